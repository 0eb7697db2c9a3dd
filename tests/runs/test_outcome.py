from __future__ import annotations

import json

import numpy as np
import pytest

from seqpipe.errors import RunError
from seqpipe.runs.outcome import Spread, find_run, read_outcome
from seqpipe.storage import hidden


def test_spread_is_the_sample_standard_deviation():
    values = [0.81, 0.84, 0.79, 0.9]
    spread = Spread.of(values)
    assert spread.mean == pytest.approx(np.mean(values))
    assert spread.deviation == pytest.approx(np.std(values, ddof=1))
    assert (spread.low, spread.high, spread.n) == (0.79, 0.9, 4)
    assert Spread.of([0.5]).deviation is None
    assert np.isnan(Spread.of([0.5, float("nan")]).deviation)


def make(directory, steps):
    directory.mkdir(parents=True)
    (directory / "state.json").write_text(
        json.dumps({"config": {"task": "text_classification", "training.monitor": "loss", "seed": 3}, "steps": steps})
    )
    rows = [
        {"epoch": 0, "step": 0, "loss": 1.0},
        {"epoch": 0, "loss": 0.9, "dev_loss": 0.5, "best_epoch": 0},
        {"epoch": 1, "loss": 0.8, "dev_loss": 0.7, "best_epoch": 0},
    ]
    (directory / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_outcome_figure_is_that_of_the_epoch_that_was_kept(tmp_path):
    make(tmp_path / "a", {"train": {"seconds": 2.0}})
    outcome = read_outcome(tmp_path / "a")
    assert (outcome.name, outcome.seed, outcome.figure, len(outcome.epochs)) == ("a", 3, 0.5, 2)
    assert outcome.report == {}
    assert outcome.measured("dev") is None


def test_outcome_of_an_unfinished_training_is_refused(tmp_path):
    make(tmp_path / "a", {})
    with pytest.raises(RunError, match="a holds no finished training"):
        read_outcome(tmp_path / "a")


def test_find_run_by_name_or_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "runs" / "mine", {})
    (tmp_path / "runs" / "mein").mkdir()
    assert find_run("mine").resolve() == find_run(str(tmp_path / "runs" / "mine")).resolve()
    with pytest.raises(RunError, match=r"mein is neither a run .* Known names: mine\. Did you mean mine\?"):
        find_run("mein")
    with hidden(tmp_path / "runs" / "mine"), pytest.raises(RunError, match="mine is hidden by its export"):
        find_run("mine")
    with pytest.raises(RunError, match=r"It is a directory without a state\.json\."):
        find_run("runs")
    monkeypatch.chdir(tmp_path / "runs" / "mine")
    assert find_run(".").name == "mine"
    monkeypatch.chdir(tmp_path)
    for place in (".", "/", "..", ""):
        with pytest.raises(RunError, match="is neither a run directory nor the name of a run"):
            find_run(place)
