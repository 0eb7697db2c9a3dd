"""Several seeds of one pipeline, from the command line to the card."""

from __future__ import annotations

import contextlib
import json
import re
import statistics
from types import SimpleNamespace

import fresh
import numpy as np
import pytest
import yaml
from finished import PIPELINES
from rich.console import Console

from pipelines import PHRASES, write_tiny
from seqpipe.errors import ConfigError, RunError
from seqpipe.evaluation.measures import ACCURACY, LOSS
from seqpipe.runs import seeds
from seqpipe.runs.seeds import _configs, best_of, parse_seeds
from seqpipe.tasks import load_pipeline, make_task


@pytest.mark.parametrize(
    ("text", "expected"), [("2", [7, 8]), ("3", [7, 8, 9]), ("1,5", [1, 5]), (" 4, 2 ,9", [4, 2, 9])]
)
def test_seeds_are_a_count_or_a_list(text, expected):
    assert parse_seeds(text, first=7) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("three", "write how many, such as --seeds 3"),
        ("1,", "write how many"),
        ("1", "takes at least two seeds"),
        ("0", "takes at least two seeds"),
        ("99999999999", r"--seeds 99999999999: too many\. Allowed: 2 to 1,000"),
        ("-2", "takes at least two seeds"),
        ("1,5,5,1", r"1, 5 stands twice\. The same seed gives the same run again"),
        ("1,-1", r"-1 is no seed\. Allowed: 0 to 2147483647"),
    ],
)
def test_seeds_message(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_seeds(text, first=7)


@pytest.mark.parametrize(
    ("measure", "figures", "best"),
    [
        (LOSS, [float("nan"), 0.5, 0.4, 0.4], 2),
        (LOSS, [float("-inf"), 0.5], 1),
        (ACCURACY, [0.5, float("nan"), 0.4], 0),
        (ACCURACY, [float("nan"), float("nan")], 0),
    ],
)
def test_seeds_best_is_one_whose_figure_is_a_number(measure, figures, best):
    outcomes = [SimpleNamespace(monitor=measure, figure=figure) for figure in figures]
    assert best_of(outcomes) is outcomes[best]


def test_seeds_pretrain_once(tmp_path):
    config = load_pipeline(write_tiny(tmp_path, training__pretrain={"epochs": 1})).config
    first, second, third = _configs(config, [4, 5, 6])
    assert first.training.pretrain == config.training.pretrain
    assert first.model.start_from is None
    for each in (second, third):
        assert each.training.pretrain is None
        assert each.model.start_from == "runs/tiny-seed4/pretrain"
        assert each.model.model_copy(update={"start_from": None}) == config.model


def test_seeds_of_several_data_are_refused_before_the_next_is_trained(tmp_path, monkeypatch):
    trained, keys = [], iter(["one", "one", "another"])

    @contextlib.contextmanager
    def opened(config, **how):
        task = SimpleNamespace(splits_key=lambda: next(keys))
        yield SimpleNamespace(findings=[], task=task, train=lambda: trained.append(config.seed))

    monkeypatch.setattr(seeds, "open_run", opened)
    monkeypatch.setattr(seeds, "read_outcome", lambda path: path)
    config = load_pipeline(write_tiny(tmp_path)).config
    with pytest.raises(RunError, match=r"The data is no longer what runs/tiny-seed1 was trained on"):
        seeds.run_seeds(
            config, [1, 2, 3], publish=False, out=Console(quiet=True), fresh=False, callbacks=lambda each: None
        )
    assert trained == [1, 2]


@pytest.mark.parametrize("task", PIPELINES)
def test_seeds_of_a_task_read_the_same_rows(tmp_path, monkeypatch, task):
    monkeypatch.chdir(tmp_path)
    settings = yaml.safe_load(yaml.safe_dump(PIPELINES[task]))
    if task == "text_classification":  # of which the first seed alone reads more
        (tmp_path / "more.txt").write_text("a film\nanother film\n")
        settings["training"]["pretrain"] = {"source": "files:more.txt"}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(settings))
    tasks = [make_task(each) for each in _configs(load_pipeline("tiny.yaml").config, [1, 2])]
    for each in tasks:
        each.read()
    first, second = (each.splits_key() for each in tasks)
    assert first == second


def seqpipe(*arguments, cwd):
    done = fresh.run("seqpipe", *arguments, cwd=cwd, COLUMNS="160", NO_COLOR="1")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A working directory with two seeds of a pipeline, the better of them published."""
    directory = tmp_path_factory.mktemp("home")
    write_tiny(directory, model__recurrent=None)
    return directory, seqpipe("run", "tiny.yaml", "--seeds", "2,1", cwd=directory)


def dev_figures(directory):
    figures = {}
    for seed in (2, 1):
        lines = (directory / "runs" / f"tiny-seed{seed}" / "history.jsonl").read_text().splitlines()
        figures[seed] = max(row["dev_accuracy"] for row in map(json.loads, lines) if "step" not in row)
    return figures


def test_seeds_each_have_a_run_that_equals_one_trained_alone(home):
    directory, _ = home
    seqpipe("train", "tiny.yaml", "--set", "seed=1", cwd=directory)
    with np.load(directory / "runs/tiny-seed1/best.npz") as a, np.load(directory / "runs/tiny/best.npz") as b:
        assert a.files == b.files
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])


def test_seeds_summary_is_mean_and_spread_of_the_dev_figure(home):
    directory, printed = home
    figures = list(dev_figures(directory).values())
    mean, deviation = statistics.mean(figures), statistics.stdev(figures)
    assert f"mean {100 * mean:.2f} %, sample standard deviation {100 * deviation:.2f} %" in printed
    assert f"{100 * min(figures):.2f} % to {100 * max(figures):.2f} %" in printed
    kept = json.loads((directory / "runs" / "tiny-seeds.json").read_text())
    assert kept["dev"]["mean"] == pytest.approx(mean)
    assert [run["seed"] for run in kept["runs"]] == [2, 1]


def test_seeds_publish_the_best_on_dev_under_the_own_name_and_the_card_says_how(home):
    directory, _ = home
    figures = dev_figures(directory)
    best = max(figures, key=figures.get)
    artefact = directory / "saved_models" / "tiny" / "1"
    pipeline = yaml.safe_load((artefact / "pipeline.yaml").read_text())
    assert (pipeline["name"], pipeline["seed"]) == ("tiny", best)
    card = (artefact / "card.md").read_text()
    section = card[card.index("### Seeds") : card.index("## Training")]
    assert f"the one of seed {best}, which has the best dev accuracy" in section
    assert f"| tiny-seed1 | {100 * figures[1]:.2f} % |" in section
    assert re.search(r"\| mean \| [\d.]+ % \|", section)
    assert re.search(r"\| standard deviation \| [\d.]+ % \|", section)
    assert "standard deviation" in yaml.safe_load(card.split("---")[1])["figure"]


def test_seeds_finished_are_not_repeated(home):
    directory, _ = home
    printed = seqpipe("run", "tiny.yaml", "--seeds", "2,1", cwd=directory)
    assert printed.count("Training is finished") == 2
    assert printed.count("Evaluation is finished") == 2
    assert "Published: saved_models/tiny/1" in printed
    assert not (directory / "saved_models" / "tiny" / "2").exists()


@pytest.mark.slow
def test_seeds_other_than_the_published_card_says_publish_anew(home):
    directory, _ = home
    printed = seqpipe("run", "tiny.yaml", "--seeds", "2", cwd=directory)
    assert printed.count("Training is finished") == 2
    card = (directory / "saved_models" / "tiny" / "2" / "card.md").read_text()
    assert card.index("| tiny-seed1 |") < card.index("| tiny-seed2 |")


def test_seeds_runs_keep_their_answers_row_by_row_and_the_deletion_test(home):
    directory, _ = home
    run = directory / "runs" / "tiny-seed1"
    report = json.loads((run / "report" / "report.json").read_text())
    for split in ("dev", "test"):
        with np.load(run / "report" / split / "rows.npz") as saved:
            assert saved["logits"].dtype == np.float32
            right = np.mean(saved["logits"].argmax(1) == saved["labels"])
        assert right == pytest.approx(report["splits"][split]["measures"]["accuracy"]["value"])
    deletion = report["splits"]["dev"]["deletion"]
    assert deletion["rows"] == 64
    difference = deletion["difference"]
    assert difference["low"] <= difference["value"] <= difference["high"]
    assert difference["value"] == pytest.approx(deletion["heaviest"] - deletion["random"])
    card = (directory / "saved_models" / "tiny" / "1" / "card.md").read_text()
    assert "tested by deletion on 64 dev rows: without the heaviest 10 % of its pieces" in card


def test_seeds_can_be_compared(home):
    directory, _ = home
    printed = seqpipe("compare", "tiny-seed1", "runs/tiny-seed2", cwd=directory)
    assert "tiny, 2 seeds" in printed
    assert "Table and pictures: runs/tiny-compared" in printed
    assert {path.name for path in (directory / "runs" / "tiny-compared").iterdir()} == {
        "comparison.md",
        "comparison.json",
        "learning_curves.png",
    }


def test_seeds_only_trained_have_a_summary_and_no_model(tmp_path):
    write_tiny(tmp_path, model__recurrent=None, training__epochs=1, training__monitor="loss", name="short")
    printed = seqpipe("train", "tiny.yaml", "--seeds", "5,3", cwd=tmp_path)
    assert re.search(r"dev loss over 2 seeds: mean 0\.\d{4}, sample standard deviation 0\.\d{4}", printed)
    assert {path.name for path in (tmp_path / "runs").glob("short*")} == {
        "short-seed3",
        "short-seed5",
        "short-seeds.json",
    }
    assert not (tmp_path / "saved_models").exists()


@pytest.mark.slow
def test_seeds_of_a_translator_are_measured_by_bleu(tmp_path):
    tree = yaml.safe_load(yaml.safe_dump(PHRASES))
    tree["training"]["epochs"] = 1
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    printed = seqpipe("run", "tiny.yaml", "--seeds", "2", cwd=tmp_path)
    assert re.search(r"dev bleu over 2 seeds: mean \d+\.\d\d, sample standard deviation \d+\.\d\d, ", printed)
    assert "test BLEU, beam" in printed
    card = (tmp_path / "saved_models" / "tiny" / "1" / "card.md").read_text()
    assert "| run | dev bleu | dev BLEU, beam | test BLEU, beam | epochs | training, s |" in card
    compared = seqpipe("compare", "tiny-seed1", "tiny-seed2", cwd=tmp_path)
    assert "test, BLEU" in compared
    assert "tiny, 2 seeds" in compared
