"""Several labels a text, from raw data to a proved model and what is asked of it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from finished import quick_proof
from rich.console import Console

import seqpipe
from pipelines import TINY
from seqpipe.errors import ConfigError, ModelError
from seqpipe.evaluation.rows import RowFigures
from seqpipe.runs.again import export_again, find
from seqpipe.runs.compare import compare
from seqpipe.runs.evaluate import evaluate_artefact
from seqpipe.runs.run import open_run
from seqpipe.runs.seeds import run_seeds
from seqpipe.tasks import load_pipeline, make_task

CLASSES = ["delivery", "price", "quality", "service"]
SOURCE = "builtin:messages?split={}&rows={}"
MESSAGES = {
    **TINY,
    "model": {**TINY["model"], "recurrent": None, "ngrams": {"longest": 2, "entries": 2000}},
    "training": {**TINY["training"], "epochs": 2},
    "data": {
        "train": SOURCE.format("train", 320),
        "dev": SOURCE.format("dev", 64),
        "test": SOURCE.format("test", 48),
        "label_separator": "|",
    },
    "evaluation": {"bootstrap_samples": 100, "other_domains": {"later": {"source": SOURCE.format("test&seed=2", 20)}}},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A working directory with a run and its model."""
    directory = tmp_path_factory.mktemp("several")
    (directory / "tiny.yaml").write_text(yaml.safe_dump(MESSAGES))
    with pytest.MonkeyPatch.context() as patch, quick_proof():
        patch.chdir(directory)
        with open_run(load_pipeline("tiny.yaml").config, say=lambda line: None) as run:
            run.all()
    return directory


@pytest.fixture(autouse=True)
def _at_home(home, monkeypatch):
    monkeypatch.chdir(home)


def console():
    return Console(file=io.StringIO(), width=160)


def report_of(run):
    return json.loads((run / "report" / "report.json").read_text())


RUN = Path("runs/tiny")


def test_label_set_task_reports_each_label_and_all():
    found = report_of(RUN)
    part = found["splits"]["test"]
    assert set(part["measures"]) == {"micro_f1", "macro_f1", "accuracy"}
    for figure in part["measures"].values():
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert figure["n"] == 48
    assert [row["name"] for row in part["per_label"]] == CLASSES
    assert sum(row["support"] for row in part["per_label"]) == part["labels"]
    assert len(found["thresholds"]) == 4
    assert found["network_scale"] >= 0
    assert part["difference"]["micro_f1"]["low"] <= part["difference"]["micro_f1"]["high"]
    assert set(found["other_domains"]["later"]["measures"]) == set(part["measures"])
    assert part["baseline"]["micro_f1"]["value"] > 0.7


def test_label_set_task_keeps_what_was_answered_to_each_row():
    kept = RowFigures.read(RUN / "report" / "test")
    found = report_of(RUN)["splits"]["test"]
    labels, chosen = (kept.columns[name].astype(bool) for name in ("labels", "chosen"))
    right = 2 * (labels & chosen).sum() / (labels.sum() + chosen.sum())
    assert found["measures"]["micro_f1"]["value"] == pytest.approx(right)


def test_label_set_task_card_says_what_the_numbers_are(home):
    card = (home / "saved_models" / "tiny" / "1" / "card.md").read_text()
    assert "Test micro F1 " in card
    assert "| label | threshold | precision | recall | F1 | rows | answered |" in card
    assert "Each label has a probability of its own: they do not add to one." in card
    assert "| later | 20 | " in card
    assert "times beside those of the n-grams" in card
    assert "a linear SVM for each label (C = 1), with thresholds chosen on dev" in card


def test_label_set_task_answers_labels_that_reach_their_thresholds(home):
    model = seqpipe.load("tiny")
    texts = ["The lamp was broken. The hotline was rude. The bill was wrong. The box was late.", "Hello!", ""]
    facts = json.loads((home / "saved_models" / "tiny" / "1" / "parity.json").read_text())["facts"]
    thresholds = dict(zip(CLASSES, facts["thresholds"], strict=True))
    for answer in model(texts):
        shares = answer["probabilities"]
        chosen = [name for name in answer["label"].split("|") if name]
        assert set(chosen) == {name for name in CLASSES if shares[name] >= thresholds[name]}
        assert [shares[name] for name in chosen] == sorted((shares[name] for name in chosen), reverse=True)
        assert answer["probability"] == max(shares.values())
    (explained,) = model(texts[:1], signature="explain")
    assert explained["label"] == model(texts[:1])[0]["label"]
    signatures = tf.saved_model.load(str(home / "saved_models" / "tiny" / "1")).signatures
    assert [name.decode() for name in signatures["labels"]()["labels"].numpy()] == CLASSES
    found = signatures["scores"](tf.constant(texts))
    assert found["labels"].shape == found["probabilities"].shape == (3, 4)


def test_label_set_task_is_evaluated_as_it_is_served(home):
    report = evaluate_artefact(
        "tiny", SOURCE.format("test", 48), overrides=[], directory=home / "later", console=console()
    )
    ours, theirs = (found["splits"]["test"] for found in (report, report_of(RUN)))
    assert ours["per_label"] == theirs["per_label"]
    assert ours["measures"]["micro_f1"]["value"] == theirs["measures"]["micro_f1"]["value"]
    assert (home / "later" / "report.md").is_file()


def test_label_set_task_reads_lists_of_a_file(home):
    few = [{"text": "The lamp was broken.", "label": ["quality"]}, {"text": "Hi", "label": []}]
    (home / "few.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in few))
    out = console()
    evaluate_artefact("tiny", "files:few.jsonl", overrides=[], directory=home / "few", console=out)
    assert "2 rows with 1 label, 1 of the rows without one" in out.file.getvalue()


def test_label_set_task_keeps_to_the_kind_it_was_trained_with(home):
    (home / "few.jsonl").write_text('{"text": "Hi", "label": []}')
    with pytest.raises(ConfigError, match=r"training\.monitor = micro_f1 needs data\.label_separator"):
        evaluate_artefact(
            "tiny", "files:few.jsonl", overrides=["data.label_separator=null"], directory=home, console=console()
        )
    with pytest.raises(ModelError, match=r"answers several labels a text: data\.label_separator must be as it was"):
        evaluate_artefact(
            "tiny",
            "files:few.jsonl",
            overrides=["data.label_separator=null", "training.monitor=loss"],
            directory=home,
            console=console(),
        )


@pytest.mark.slow
def test_label_set_task_seeds_are_compared_by_micro_f1(home):
    config = load_pipeline("tiny.yaml", ["name=seeds", "training.epochs=1", "evaluation.other_domains={}"]).config
    with quick_proof():
        run_seeds(config, [1, 2], publish=True, fresh=False, out=console(), callbacks=lambda config: lambda *_: ())
    out = console()
    lines = compare(["seeds-seed1", "seeds-seed2", "tiny"], output=home / "compared", out=out)
    assert "Micro F1: higher is better" in out.file.getvalue()
    assert lines[2].name.endswith("2 seeds")
    assert "micro F1" in (home / "saved_models" / "seeds" / "1" / "card.md").read_text()
    assert 0 < lines[-1].figure["test"]["value"] < 1


@pytest.mark.slow
def test_label_set_task_is_exported_again(home):
    with quick_proof():
        path = export_again(find("tiny"), say=lambda line: None)
    assert path.name == "2"
    assert seqpipe.load(path)(["The lamp was broken."])[0]["probabilities"].keys() == set(CLASSES)


def test_label_set_task_trains_with_weights_and_smoothing(home):
    changes = ["training.class_weights=balanced", "training.label_smoothing=0.1", "training.epochs=1"]
    config = load_pipeline("tiny.yaml", [*changes, "name=other", "model.recurrent=null"]).config
    with open_run(config, say=lambda line: None) as run:
        run.train()
        made = run.task
    train = made.splits.train.labels
    np.testing.assert_allclose(made.class_weights, (len(train) - train.sum(0)) / train.sum(0), rtol=1e-6)


def test_label_set_task_begins_at_how_often_labels_are_there():
    made = make_task(load_pipeline("tiny.yaml").config)
    made.load_features(RUN / "features")
    rows = np.array(json.loads((RUN / "features" / "classes.json").read_text())["train_rows"])
    bias = made.build().get_layer("logits").bias
    np.testing.assert_allclose(bias, np.log(rows / (320 - rows)), atol=0.02)


def test_label_set_task_answers_in_a_table_of_csv(home):
    from seqpipe.runs.predict import Wanted, write_answers
    from seqpipe.serving.rows import predict_rows

    model = seqpipe.load(home / "saved_models" / "tiny" / "1")
    write_answers(model, predict_rows(model, ["Hello!"]), Wanted("csv", home / "out.csv"), console())
    with (home / "out.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert set(row) >= {"label", "probability", *CLASSES}
