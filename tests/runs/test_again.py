from __future__ import annotations

import json
import re
import shutil
import sys

import keras
import numpy as np
import pytest
from finished import finished, quick_proof

import seqpipe
from seqpipe import cli
from seqpipe.errors import ModelError, ProofError
from seqpipe.runs import again
from seqpipe.serving.find import read_card
from seqpipe.training.weights import rounded

ROWS = {
    "text_classification": ["a fine film", "", "naïve 🎉"],
    "speech_commands": [np.zeros(0, np.float32), np.full(20_000, 0.25, np.float32)],
    "translation": ["two dogs play", ""],
    "writing": ["The fox", ""],
}


@pytest.fixture(
    scope="module",
    params=[
        "text_classification",
        "speech_commands",
        *(pytest.param(task, marks=pytest.mark.slow) for task in ("translation", "writing")),
    ],
)
def published(request, tmp_path_factory):
    return request.param, alone(request.param, tmp_path_factory)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return alone("text_classification", tmp_path_factory)


def alone(task, factory):
    """A model whose run is gone."""
    home = finished(task, factory)
    shutil.rmtree(home / "runs")
    (home / "tiny.yaml").unlink()
    return home / "saved_models" / "tiny" / "1"


def test_again_makes_the_same_model_without_the_run(published, monkeypatch, capsys):
    task, old = published
    monkeypatch.chdir(old.parents[2])
    monkeypatch.setattr(sys, "argv", ["seqpipe", "export", "tiny", "--again"])
    with quick_proof(), pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    new = old.with_name("2")
    assert capsys.readouterr().out.splitlines()[-1].endswith("saved_models/tiny/2")
    for before, after in zip(seqpipe.load(old)(ROWS[task]), seqpipe.load(new)(ROWS[task]), strict=True):
        assert before == after

    def names(place):
        return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())

    assert [name for name in names(new) if "variables" not in name] == [
        name for name in names(old) if "variables" not in name
    ]
    assert read_card(new)["version"] == 2
    assert read_card(new)["figure"] == read_card(old)["figure"]
    card = (new / "card.md").read_text()
    assert "# tiny, version 2\n" in card
    assert card.count("## Proof") == card.count("## Limits") == 1
    assert "Exported again from version 1, with its weights: answers to " in card
    assert (
        json.loads((new / "parity.json").read_text())["facts"] == json.loads((old / "parity.json").read_text())["facts"]
    )
    if (old / "lite").exists():
        assert "## On a device" in card
    again.find(str(new))  # once more would do


def test_again_refuses_other_answers(classifier):
    other = shutil.copytree(classifier, classifier.parents[1] / "other" / "1")
    facts = json.loads((other / "parity.json").read_text())
    facts["facts"]["temperature"] *= 1.5
    (other / "parity.json").write_text(json.dumps(facts))
    with quick_proof(), pytest.raises(ProofError, match=r"version 1 answers probe \d+ otherwise \(by 0\.\d+, allowed"):
        again.export_again(other, say=lambda line: None)
    assert [path.name for path in other.parent.iterdir()] == ["1"]


def test_again_with_fewer_bits_says_how_many_answers_are_others(classifier):
    with quick_proof():
        new = again.export_again(classifier, say=lambda line: None, weight_bits=6)
    for weights in keras.saving.load_model(new / "model.keras").get_weights():
        np.testing.assert_array_equal(weights, rounded(weights, 6))
    assert (new / "model.keras").stat().st_size < (classifier / "model.keras").stat().st_size
    said = re.search(
        r"rounded to 6 significant bits: of (\d+) probes (\d+) have another label or text, "
        r"the others differ by (\S+) at most",
        (new / "card.md").read_text(),
    )
    assert 0 <= int(said[2]) < int(said[1])
    assert float(said[3]) > 1e-5


def test_again_names_what_an_older_model_lacks(classifier, tmp_path):
    old = shutil.copytree(classifier, tmp_path / "tiny" / "1")
    shutil.rmtree(old / "features")
    with pytest.raises(
        ModelError, match=r"cannot be exported again: it has no features\. Models that an older seqpipe"
    ):
        again.find(str(old))


def test_again_takes_neither_lite_nor_set(monkeypatch, capsys):
    for options, said in (
        (["--again", "--lite"], "--again excludes --lite and --set"),
        (["--weight-bits", "8"], "--weight-bits goes with --again; a pipeline file has export.weight_bits"),
    ):
        monkeypatch.setattr(sys, "argv", ["seqpipe", "export", "tiny", *options])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 2
        assert said in capsys.readouterr().err


def test_again_names_a_task_whose_models_hold_too_little(tmp_path):
    for name in ("saved_model.pb", "model.keras", "card.md"):
        (tmp_path / name).touch()
    (tmp_path / "pipeline.yaml").write_text("task: forecasting\n")
    (tmp_path / "parity.json").write_text("{}")
    with pytest.raises(
        ModelError, match=r"cannot be exported again: no model of forecasting can, .* --fresh` makes a new"
    ):
        again.find(str(tmp_path))
