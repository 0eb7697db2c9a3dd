"""Searches over a tiny pipeline: what is refused, what is pruned, and that a killed one goes on as if it never was."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import fresh
import pytest
import yaml
from rich.console import Console

from pipelines import PHRASES, SHOPS, TINY, VERSES, write_tiny
from seqpipe.errors import ConfigError, DataError, RunError
from seqpipe.runs.tune import check_tune, tune
from seqpipe.tasks import load_pipeline

pytest.importorskip("optuna")

SPACE = {
    "training.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
    "model.convolution.0.filters": {"low": 4, "high": 12},
    "model.dropout": {"low": 0, "high": 0.5},
    "model.pooling": {"choices": ["attention", "mean"]},
}


def write(directory, *, space=SPACE, trials=3, **changes):
    small = {
        "data__train": "builtin:reviews?split=train&rows=96",
        "data__test": None,
        "model__recurrent": None,  # most of what a trial takes
        "training__epochs": 2,
    }
    return write_tiny(directory, tune={"trials": trials, "space": space}, **{**small, **changes})


@pytest.mark.parametrize(
    ("key", "search", "message"),
    [
        (
            "training.learningrate",
            {"low": 1, "high": 2},
            "is not a key to search: .* Did you mean training.learning_rate?",
        ),
        ("model.convolution.1.filters", {"low": 1, "high": 2}, "Did you mean model.convolution.0.filters?"),
        ("data.train", {"choices": ["a", "b"]}, "it must be one of features, model or training"),
        ("training.monitor", {"choices": ["loss", "accuracy"]}, "the figure that trials are compared by"),
        (
            "training.epochs",
            {"low": 0, "high": 3},
            r"tune\.space\.training\.epochs: training\.epochs = 0: input should",
        ),
        ("model.pooling", {"choices": ["mean", "meen"]}, '"meen" is not a pooling.* Did you mean mean?'),
        ("model.dropout", {"low": 0.2, "high": 0.1}, r"low = 0\.2 is not below high = 0\.1"),
        ("model.dropout", {"low": 0, "high": 0.1, "log": True}, "log needs low above 0, not 0"),
        ("model.dropout", {"low": 0.1}, "name low and high, or choices"),
        ("model.dropout", {"low": 0.1, "choices": [0.1, 0.2]}, "choices exclude low, high and log"),
        ("model.pooling", {"choices": ["mean"]}, "choices must be two or more different values"),
        (
            "model.pooling",
            {"choice": ["mean"]},
            r"choice is not a key\. Allowed: low, high, log, choices\. Did you mean choi",
        ),
    ],
)
def test_tuning_message_for_a_search_space(tmp_path, key, search, message):
    file = write(tmp_path, space={key: search})
    line = next(i for i, text in enumerate(file.read_text().splitlines(), 1) if text.strip().startswith(f"{key}:"))
    with pytest.raises(ConfigError, match=message) as caught:
        load_pipeline(file)
    place = re.match(r".*tiny\.yaml:(\d+)", str(caught.value))
    assert line <= int(place[1]) <= line + 3


@pytest.mark.parametrize(
    ("pipeline", "monitor", "key", "otherwise"),
    [
        (TINY, "loss", "training.label_smoothing", ", or set training.monitor=accuracy"),
        (PHRASES, "loss", "features.vocabulary_size", ", or set training.monitor=bleu"),
        (SHOPS, "loss", "features.transform", ", or set training.monitor=mase"),
        (SHOPS, "mase", "model.horizon_steps", ""),
        (VERSES, "loss", "features.units", ""),
    ],
)
def test_what_changes_the_figure_that_trials_are_compared_by_is_not_searched(
    tmp_path, pipeline, monitor, key, otherwise
):
    values = {
        "training.label_smoothing": [0.0, 0.1],
        "features.transform": ["none", "log1p"],
        "features.units": ["characters", "bytes"],
    }
    tree = copy.deepcopy(pipeline) | {"tune": {"space": {key: {"choices": values.get(key, [300, 400])}}}}
    file = tmp_path / "tiny.yaml"
    tree["training"]["monitor"] = monitor
    file.write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=f"{key} changes what the dev {monitor} measures.*Leave it out{otherwise}\\."):
        load_pipeline(file)


def test_with_another_figure_label_smoothing_is_searched(tmp_path):
    load_pipeline(write(tmp_path, space={"training.label_smoothing": {"low": 0, "high": 0.2}}))


def test_tuning_needs_a_search_space(tmp_path):
    file = write_tiny(tmp_path)
    with pytest.raises(ConfigError, match="the key tune is missing"):
        check_tune(load_pipeline(file).config, file)


def test_tuning_needs_optuna(tmp_path, monkeypatch):
    file = write(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"pip install 'seqpipe\[tune\]'"):
        check_tune(load_pipeline(file).config, file)


def test_tuning_names_a_study_that_cannot_be_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path)
    config = load_pipeline(file).config
    study = config.run_path.with_name(f"{config.name}-tune") / "study.db"
    study.parent.mkdir(parents=True)
    study.write_text("no database, but text that is long enough for one" * 4)
    with pytest.raises(RunError, match=r"study\.db cannot be used: file is not a database\."):
        search(file)


def search(file, *, overrides=(), fresh=False):
    out = Console(file=io.StringIO(), width=200, soft_wrap=True)
    config = load_pipeline(file, list(overrides)).config
    values = tune(
        config, Path(file), overrides=overrides, fresh=fresh, out=out, callbacks=lambda config: lambda epochs, steps: ()
    )
    return values, out.file.getvalue()


def test_tuning_finds_resumes_and_refuses_another_space(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, trials=2)
    values, printed = search(file)
    assert printed.startswith("info: train: texts of "), "what was found in the data comes first"
    assert set(values) == set(SPACE)
    assert 4 <= values["model.convolution.0.filters"] <= 12
    assert isinstance(values["model.convolution.0.filters"], int)
    arguments = re.findall(r"--set (\S+)", printed.split("Train it:")[1])
    config = load_pipeline(file, arguments).config
    assert config.name == "tiny-tuned", "a run of the file itself would be contradicted"
    assert config.training.learning_rate == values["training.learning_rate"]
    assert config.model.convolution[0].filters == values["model.convolution.0.filters"]
    directory = tmp_path / "runs" / "tiny-tune"
    assert {path.name for path in directory.iterdir()} >= {
        "study.db",
        "history.png",
        "slice.png",
        "trial-001",
        "trial-002",
    }
    trained = json.loads((directory / "trial-001" / "state.json").read_text())["config"]
    assert trained["model.pooling"] in ("attention", "mean")

    _, printed = search(file, overrides=["tune.trials=3", "description=of mine"])
    assert "trial-003 of 3" in printed
    assert f"seqpipe run {file} --set tune.trials=3 --set 'description=of mine' --set " in printed
    assert "trial-002 of" not in printed

    space = {**SPACE, "model.dropout": {"low": 0, "high": 0.6}}
    write(tmp_path, trials=2, space=space)
    with pytest.raises(
        RunError, match=r"contradicts the study in runs/tiny-tune:\n  tune\.space\.model\.dropout = "
    ) as caught:
        search(file)
    assert '{"low": 0, "high": 0.6} here, {"low": 0, "high": 0.5} in the study' in str(caught.value)
    with pytest.raises(RunError, match=r"training\.epochs = 1 here, 2 in the study"):
        search(write(tmp_path), overrides=["training.epochs=1"])


def test_tuning_prunes_by_the_dev_figure_of_an_epoch(tmp_path, monkeypatch):
    import optuna

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(optuna.pruners, "MedianPruner", lambda: optuna.pruners.ThresholdPruner(lower=2.0))
    # Pre-training, which wants a recurrence, has no such figure and is not looked at.
    changes = {"training__pretrain": {"epochs": 1}, "model__recurrent": {"units": 4}}
    file = write(tmp_path, trials=1, training__epochs=3, **changes)
    with pytest.raises(RunError, match="No trial of the study in runs/tiny-tune came to an end"):
        search(file)
    lines = (tmp_path / "runs" / "tiny-tune" / "trial-001" / "history.jsonl").read_text().splitlines()
    assert len([line for line in lines if "dev_accuracy" in line]) == 1


@pytest.mark.slow
def test_tuning_a_translator_goes_by_bleu(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = yaml.safe_load(yaml.safe_dump(PHRASES))
    tree["training"]["epochs"] = 1
    tree["tune"] = {"trials": 2, "space": {"training.learning_rate": {"low": 0.002, "high": 0.05, "log": True}}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    values, printed = search(tmp_path / "tiny.yaml")
    figures = {}
    for trial in (tmp_path / "runs" / "tiny-tune").glob("trial-*"):
        config = json.loads((trial / "state.json").read_text())["config"]
        rows = map(json.loads, (trial / "history.jsonl").read_text().splitlines())
        figures[config["training.learning_rate"]] = max(row["dev_bleu"] for row in rows if "dev_bleu" in row)
    assert len(figures) == 2
    best = max(figures.values())  # which both may have
    assert figures[values["training.learning_rate"]] == best
    assert f"dev bleu {best:.4f}; as the best" in printed


@pytest.mark.slow
def test_tuning_goes_on_after_a_trial_that_cannot_be_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # A decay needs adamw: each value is allowed, not each pair.
    space = {
        "training.optimizer": {"choices": ["adam", "adamw"]},
        "training.learning_rate": SPACE["training.learning_rate"],
    }
    file = write(tmp_path, trials=4, space=space, training__optimizer="adamw", training__weight_decay=0.01)
    values, printed = search(file, overrides=["training.epochs=1"])
    assert "cannot be trained: " in printed
    assert 'weight_decay = 0.01 needs optimizer = "adamw"' in printed
    assert values["training.optimizer"] == "adamw"


def test_tuning_keeps_no_examples_of_a_trial_that_fails(tmp_path, monkeypatch):
    from seqpipe.runs import tune

    def fails(config, **_):
        (Path(config.run_directory) / config.name / "examples").mkdir(parents=True)
        raise DataError("no row is left")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tune, "open_run", fails)
    with pytest.raises(RunError, match="came to an end: 2 failed"):
        search(write(tmp_path, trials=2))
    assert not list(tmp_path.rglob("examples"))
    assert len(list(tmp_path.rglob("trial-00?"))) == 2


def test_tuning_goes_on_after_a_trial_whose_figure_is_no_number(tmp_path, monkeypatch):
    from seqpipe.runs import tune

    figures = {"trial-001": float("nan"), "trial-002": 0.5}
    monkeypatch.chdir(tmp_path)
    run = SimpleNamespace(train=lambda again: None)
    monkeypatch.setattr(tune, "open_run", lambda config, **_: contextlib.nullcontext(run))
    monkeypatch.setattr(tune, "read_outcome", lambda directory: SimpleNamespace(figure=figures[directory.name]))
    _, printed = search(write(tmp_path, trials=2))
    assert "trial-001 failed: its dev accuracy is nan, which cannot be compared" in printed
    assert "Best: trial-002" in printed


def test_tuning_refuses_to_go_on_when_the_figure_is_taken_otherwise(tmp_path, monkeypatch):
    from seqpipe.runs.tune import _check_settings

    monkeypatch.chdir(tmp_path)
    tree = copy.deepcopy(PHRASES) | {"tune": {"space": {"model.dropout": {"low": 0.0, "high": 0.5}}}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    kept = {}
    study = SimpleNamespace(trials=[], user_attrs=kept, set_user_attr=kept.__setitem__)
    config = load_pipeline("tiny.yaml").config
    _check_settings(study, config, config.tune, tmp_path)
    study.trials = ["one"]
    _check_settings(study, config, config.tune, tmp_path)
    for changes, message in (
        (["evaluation.tokenize=char"], r'evaluation\.tokenize = "char" here, "13a" in the study'),
        (["training.epochs=7"], r"training\.epochs = 7 here, 2 in the study"),
    ):
        with pytest.raises(RunError, match=message):
            _check_settings(study, load_pipeline("tiny.yaml", changes).config, config.tune, tmp_path)
    _check_settings(study, load_pipeline("tiny.yaml", ["evaluation.beam_width=2"]).config, config.tune, tmp_path)


def test_tuning_is_no_change_of_a_run(tmp_path, monkeypatch):
    from seqpipe.runs.run import open_run

    monkeypatch.chdir(tmp_path)
    with open_run(load_pipeline(write_tiny(tmp_path)).config) as run:
        run._finish("train", {})
        run._finish("evaluate", {})
    with open_run(load_pipeline(write_tiny(tmp_path, tune={"space": SPACE})).config) as run:
        assert run.finished("train")
        assert run.finished("evaluate")


def figures(directory):
    """What each trial tried, and its dev figures by epoch."""
    found = []
    for trial in sorted((directory / "runs" / "tiny-tune").glob("trial-*")):
        config = json.loads((trial / "state.json").read_text())["config"]
        rows = map(json.loads, (trial / "history.jsonl").read_text().splitlines())
        found.append(
            ([config[key] for key in SPACE if key in config], [row["dev_loss"] for row in rows if "dev_loss" in row])
        )
    return found


@pytest.mark.slow
@pytest.mark.parametrize("lines", [5, 11])
def test_tuning_killed_goes_on_as_if_it_never_was(tmp_path, lines):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for directory in (whole, killed):
        directory.mkdir()
        write(directory, training__save_every_steps=1)
    assert fresh.run("seqpipe", "tune", "tiny.yaml", cwd=whole).returncode == 0
    script = Path(__file__).parents[1] / "killed.py"
    assert fresh.run(script, "after a step", str(lines), "tune", "tiny.yaml", cwd=killed).returncode == -9
    done = fresh.run("seqpipe", "tune", "tiny.yaml", cwd=killed)
    assert done.returncode == 0, done.stderr
    assert figures(killed) == figures(whole)
    assert len(figures(killed)) == 3
    shutil.rmtree(killed)
