"""Every registered task, end to end on embedded data: the row of a new task is its tiny pipeline."""

from __future__ import annotations

import contextlib
import json
import shutil

import keras
import numpy as np
import pytest
from finished import PIPELINES, finished
from testing import ask_without_seqpipe

import seqpipe
import seqpipe.layers  # makes them known to Keras
from seqpipe.config.file import to_yaml
from seqpipe.runs import lite as on_device
from seqpipe.runs.run import open_run
from seqpipe.tasks import TASKS, load_pipeline, make_task

ROWS = {
    "text_classification": "a fine meal",
    "speech_commands": np.sin(np.arange(12_000) / 9),
    "translation": "The dog sleeps.",
    "forecasting": {
        "values": np.arange(30.0),
        "time": "2024-03-01 12:00",
        "series": "market",
        "known": np.zeros((42, 1)),
        "past": np.ones((30, 1)),
        "static": ["inland"],
    },
    "writing": "The fox",
}
OUTPUTS = {
    "writing": {"text"},
    "translation": {"text", "score", "truncated"},
    "forecasting": {"median", "quantiles", "time", "known_series"},
}
CLASSES = {
    "text_classification": ["negative", "positive"],
    "speech_commands": ["ba", "di", "gu", "aya", "unknown", "silence"],
}


def task_of(directory):
    return load_pipeline(directory / "tiny.yaml").config.task


def test_tasks_all_have_a_row():
    assert set(PIPELINES) == set(TASKS)


@pytest.fixture(scope="module", params=sorted(PIPELINES))
def published(request, tmp_path_factory):
    """A run of the task's tiny pipeline, from raw data to a proved artefact, and what it printed."""
    directory = finished(request.param, tmp_path_factory)
    return directory, directory / "saved_models" / "tiny" / "1", (directory / "said.txt").read_text().splitlines()


def test_task_publishes_a_whole_artefact(published):
    directory, path, _ = published
    assert {p.name for p in path.iterdir()} >= {
        "saved_model.pb",
        "variables",
        "assets.extra",
        "model.keras",
        "pipeline.yaml",
        "card.md",
        "parity.json",
    }
    assert (directory / "runs" / "tiny" / "state.json").exists()
    config = load_pipeline(path / "pipeline.yaml").config
    assert to_yaml(config) == (path / "pipeline.yaml").read_text()


def test_task_answers_the_same_moved_and_without_seqpipe(published, tmp_path):
    directory, path, _ = published
    moved = tmp_path / "elsewhere"
    shutil.copytree(path, moved)
    config = load_pipeline(directory / "tiny.yaml").config
    task = make_task(config)
    task.read()
    task.load_features(directory / config.run_path / "features")
    model = keras.saving.load_model(path / "model.keras")
    fitted = json.loads((directory / config.run_path / "fitted.json").read_text())
    artefact = task.artefact(model, fitted, 1)
    rows = artefact.probes["serving_default"][::3]  # the proof has seen all of them
    requests = [
        {"signature": "serving_default", "inputs": {key: value[None] for key, value in row.items()}} for row in rows
    ]
    answers = ask_without_seqpipe(moved, requests)["answers"]
    for answer, expected in zip(answers, artefact.reference["serving_default"](rows), strict=True):
        for name, value in expected.items():
            if np.asarray(value).dtype.kind == "f":
                np.testing.assert_allclose(answer[name][0], value, rtol=1e-5, atol=1e-5)
            else:
                assert answer[name][0] == value


def test_task_finished_steps_are_not_repeated(published, monkeypatch):
    directory, path, said = published
    monkeypatch.chdir(directory)
    assert any(line.startswith("Fitting features") for line in said)
    again: list[str] = []
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    with open_run(load_pipeline("tiny.yaml").config, say=again.append) as run:
        assert run.all() == path.relative_to(directory)
    steps = ["Training is finished", "Evaluation is finished", "Published"]
    assert [line.split(":")[0] for line in again if not line.startswith("Reading ")] == steps
    assert before == {p: p.stat().st_mtime_ns for p in path.rglob("*")}


def test_task_with_a_lite_form_exports_it_with_the_rest(published, monkeypatch):
    directory, path, _ = published
    monkeypatch.chdir(directory)
    if task_of(directory) != "speech_commands":
        assert not (path / "lite").exists()
        return
    report = json.loads((path / "lite" / "report.json").read_text())
    assert report["rows"].endswith("rows of dev")
    card = (path / "card.md").read_text()
    assert "## On a device" in card
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
    assert float(card.partition("size_mb: ")[2].partition("\n")[0]) == pytest.approx(size, abs=0.011)
    again: list[str] = []
    place, config = on_device.find("tiny", [])
    assert place.name == "tiny", "the run, not its model"
    on_device.add_lite(place, config, data_named=False, say=again.append)
    assert again == [f"Published: {path.relative_to(directory) / 'lite'}"]


@pytest.fixture(scope="module")
def model(published):
    with contextlib.chdir(published[0]):
        return seqpipe.load("tiny")


def test_task_loads_by_name_and_answers(published, model):
    directory, _, _ = published
    (answer,) = model([ROWS[task_of(directory)]])
    if task_of(directory) not in CLASSES:
        assert set(answer) == OUTPUTS[task_of(directory)]
        return
    assert answer["label"] in model.labels
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
    if "explain" not in model.signatures:
        return
    (explained,) = model(["a fine meal"], signature="explain")
    assert "".join(explained["pieces"]).strip() == "a fine meal"
    assert sum(explained["weights"]) == pytest.approx(1.0, abs=1e-4)
    assert explained["label"] == answer["label"]


def test_task_scores_say_the_order_of_the_classes_with_each_answer(published, model):
    directory, _, _ = published
    task = task_of(directory)
    if task not in CLASSES:
        assert "scores" not in model.signatures
        return
    row = model.input.from_value(ROWS[task])
    found, answered = (model.run([row, row], signature=name) for name in ("scores", "serving_default"))
    assert [[name.decode() for name in names] for names in found["labels"]] == [CLASSES[task]] * 2
    np.testing.assert_array_equal(found["probabilities"], answered["probabilities"])


def test_task_labels_or_info_say_what_there_is(published, model):
    directory, _, _ = published
    classes = CLASSES.get(task_of(directory))
    labels = model.loaded.signatures["labels" if classes else "info"]()
    assert [name.decode() for name in labels["labels"].numpy()] == classes if classes else "labels" not in labels
    assert labels["version"].numpy() == 1
    assert labels["streaming"].numpy() == (task_of(directory) == "forecasting")
