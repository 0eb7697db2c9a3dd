"""Comparisons of run directories made by hand, so that every figure is known."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from seqpipe.errors import RunError
from seqpipe.evaluation.labels import label_rows
from seqpipe.evaluation.metrics import wilson_interval
from seqpipe.evaluation.paired import mean_with_interval, with_interval
from seqpipe.runs.compare import compare
from seqpipe.tasks.translation.bleu import CORPUS_BLEU, bleu, bleu_rows

ROWS = 200
LABELS = np.random.default_rng(0).integers(0, 2, ROWS)


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make_run(name, *, right, seed=1, rows_key="rows", splits=("dev",), **config):
        """A run that is right on the rows where `right` is true; `a__b` in the keywords is the key a.b."""
        directory = tmp_path / "runs" / name
        right = np.asarray(right)
        labels = LABELS[: len(right)]
        wins = np.where(right, labels, 1 - labels)
        (low, high), value = wilson_interval(int(right.sum()), len(right)), float(right.mean())
        accuracy = {"value": value, "low": low, "high": high, "n": len(right)}
        settings = {
            "task": "text_classification",
            "name": name,
            "seed": seed,
            "training.monitor": "accuracy",
            "training.epochs": 2,
        }
        settings |= {key.replace("__", "."): value for key, value in config.items()}
        (directory / "report").mkdir(parents=True)
        for split in splits:
            label_rows(np.eye(2, dtype=np.float32)[wins], labels, rows_key).write(directory / "report" / split)
        report = {"splits": {split: {"measures": {"accuracy": accuracy}} for split in splits}}
        (directory / "report" / "report.json").write_text(json.dumps(report))
        steps = {"train": {"seconds": 10.0}, "evaluate": {}}
        (directory / "state.json").write_text(json.dumps({"config": settings, "steps": steps}))
        epochs = [
            {"epoch": i, "dev_accuracy": value - 0.1 + 0.1 * i, "dev_loss": 0.5, "best_epoch": i} for i in range(2)
        ]
        (directory / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in epochs))
        np.savez(directory / "best.npz", w0=np.zeros((3, 4)), w1=np.zeros(5))
        return directory

    return make_run


def translates(directory, answers, references):
    """Make a run one of a translator with these answers to the dev rows."""
    kept = bleu_rows(answers, references, "13a")
    kept.write(directory / "report" / "dev")
    figures = {"bleu": with_interval(CORPUS_BLEU, [kept], samples=50, seed=1)}
    (directory / "report" / "report.json").write_text(json.dumps({"splits": {"dev": {"measures": figures}}}))
    state = json.loads((directory / "state.json").read_text())
    state["config"] |= {"task": "translation", "training.monitor": "bleu"}
    (directory / "state.json").write_text(json.dumps(state))
    lines = (directory / "history.jsonl").read_text().replace("dev_accuracy", "dev_bleu")
    (directory / "history.jsonl").write_text(lines)


def pattern(seed, share=0.8, rows=ROWS):
    return np.random.default_rng(seed).random(rows) < share


def ask(*names):
    out = Console(file=io.StringIO(), width=120, soft_wrap=True)
    lines = compare(names, output=None, out=out)
    return lines, out.file.getvalue()


def test_comparing_two_runs_is_a_paired_bootstrap_on_their_rows(make):
    a, b = pattern(1, 0.7), pattern(2, 0.85)
    make("a", right=a, model__units=8)
    make("b", right=b, model__units=16)
    (first, second), printed = ask("a", "b")
    assert first.difference == {"dev": None}
    value, low, high = mean_with_interval(b.astype(int) - a, samples=20_000, seed=5)
    assert second.difference["dev"]["value"] == pytest.approx(value)
    assert second.difference["dev"]["low"] == pytest.approx(low, abs=0.011)
    assert second.difference["dev"]["high"] == pytest.approx(high, abs=0.011)
    assert second.figure["dev"]["value"] == pytest.approx(b.mean())
    assert (second.parameters, second.seconds, second.epochs) == (17, 10.0, 2)
    assert second.differs == {"model.units": 16}
    assert "model.units=16" in printed


def test_comparing_seeds_gives_mean_spread_and_the_difference_of_means(make):
    seeds = [pattern(i, 0.7) for i in range(3)]
    for i, right in enumerate(seeds):
        make(f"old-seed{i}", right=right, seed=i)
    better = pattern(9, 0.9)
    make("new", right=better, model__units=16)
    lines, printed = ask("old-seed0", "old-seed1", "old-seed2", "new")
    assert [line.name for line in lines] == ["old-seed0", "old-seed1", "old-seed2", "old, 3 seeds", "new"]
    means = [right.mean() for right in seeds]
    together, new = lines[3], lines[4]
    assert together.figure["dev"] == pytest.approx({"value": np.mean(means), "low": min(means), "high": max(means)})
    assert together.deviation["dev"] == pytest.approx(np.std(means, ddof=1))
    assert f"± {100 * np.std(means, ddof=1):.2f}" in printed
    difference = better - np.mean(seeds, axis=0)
    assert new.difference["dev"]["value"] == pytest.approx(difference.mean())
    rng = np.random.default_rng(1)
    resampled = [difference[rng.integers(0, ROWS, ROWS)].mean() for _ in range(4000)]
    assert new.difference["dev"]["low"] == pytest.approx(np.quantile(resampled, 0.025), abs=0.008)
    assert new.difference["dev"]["high"] == pytest.approx(np.quantile(resampled, 0.975), abs=0.008)


def test_comparing_writes_table_and_pictures(make, tmp_path):
    make("a", right=pattern(1), splits=("dev", "test"))
    make("b", right=pattern(2), splits=("dev", "test"), model__name="x|y")
    ask("a", "b")
    written = {path.name for path in (tmp_path / "runs" / "a-compared").iterdir()}
    pictures = {"learning_curves.png", "differences_dev.png", "differences_test.png"}
    assert written == {"comparison.md", "comparison.json", *pictures}
    page = (tmp_path / "runs" / "a-compared" / "comparison.md").read_text()
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert all(f"({name})" in page for name in pictures)


def test_comparing_translators_is_a_paired_bootstrap_of_bleu(make):
    references = [f"row {i} has a dog in the garden" for i in range(60)]
    worse = [line.replace("dog", "cat") if i % 2 else line for i, line in enumerate(references)]
    translates(make("a", right=pattern(1)), worse, references)
    translates(make("b", right=pattern(1), model__units=16), references, references)
    (first, second), printed = ask("a", "b")
    assert first.figure["dev"]["value"] == pytest.approx(bleu(worse, references))
    difference = second.difference["dev"]
    assert difference["value"] == pytest.approx(100 - bleu(worse, references))
    assert 0 < difference["low"] < difference["value"] < difference["high"]
    assert "dev, BLEU" in printed
    assert f"{difference['value']:+.2f}" in printed


def test_comparing_refuses_runs_of_different_tasks(make):
    make("a", right=pattern(1))
    translates(make("b", right=pattern(1), model__units=16), ["a"], ["a"])
    with pytest.raises(RunError, match="runs/a is measured by accuracy and runs/b by BLEU: they are of"):
        ask("a", "b")


def test_comparing_uses_only_the_splits_that_all_have(make):
    make("a", right=pattern(1), splits=("dev", "test"))
    make("b", right=pattern(2), model__units=16)
    lines, _ = ask("a", "b")
    assert all(set(line.figure) == {"dev"} for line in lines)


def test_comparing_refuses_different_rows_and_names_both(make):
    make("a", right=pattern(1))
    make("b", right=pattern(2, rows=150), rows_key="others", model__units=16)
    message = r"runs/a and runs/b were evaluated on different dev rows \(200 and 150 rows\)"
    with pytest.raises(RunError, match=message):
        ask("a", "b")


def test_comparing_refuses_seeds_that_repeat(make):
    make("a", right=pattern(1), seed=4)
    make("b", right=pattern(2), seed=4)
    with pytest.raises(RunError, match=r"runs/a and runs/b are the same pipeline with the same seed \(4\)"):
        ask("a", "b")


def test_comparing_refuses_one_run_or_the_same_twice(make):
    directory = make("a", right=pattern(1))
    with pytest.raises(RunError, match="takes two runs or more"):
        ask("a")
    with pytest.raises(RunError, match="that is the same run twice"):
        ask("a", str(directory))


def test_comparing_refuses_runs_that_are_not_evaluated_or_kept_no_answers(make):
    make("a", right=pattern(1))
    directory = make("b", right=pattern(2), model__units=16)
    (directory / "report" / "dev" / "rows.npz").unlink()
    with pytest.raises(RunError, match="runs/b has no predictions of single rows"):
        ask("a", "b")
    state = json.loads((directory / "state.json").read_text())
    del state["steps"]["evaluate"]
    (directory / "state.json").write_text(json.dumps(state))
    with pytest.raises(RunError, match="runs/b holds no finished evaluation"):
        ask("a", "b")


def test_comparing_later_seeds_start_from_the_pre_training_of_the_first(make):
    embedding = {"model__embedding__vectors": "files:v.txt"}
    make("mine-seed1", right=pattern(1), training__pretrain__epochs=2, model__start_from=None, **embedding)
    for seed in (2, 3):
        start = {"training__pretrain": None, "model__start_from": "runs/mine-seed1/pretrain"}
        make(f"mine-seed{seed}", right=pattern(seed), seed=seed, model__embedding__vectors=None, **start)
    make("other", right=pattern(4), model__start_from="runs/elsewhere/pretrain")
    lines, _ = ask(*(f"runs/mine-seed{seed}" for seed in (1, 2, 3)), "runs/other")
    assert {line.style for line in lines} == {0, 1}, "two pipelines"


@pytest.mark.parametrize("key", ["export__weight_bits", "evaluation__beam_width", "evaluation__length_penalty"])
def test_comparing_runs_that_answer_differently_are_two_pipelines(make, key):
    make("a", right=pattern(1), seed=1, **{key: 8})
    make("b", right=pattern(2), seed=2, **{key: 12})
    lines, _ = ask("a", "b")
    assert [line.name for line in lines] == ["a", "b"]
    assert lines[1].differs == {key.replace("__", "."): 12}
    assert lines[1].difference["dev"]


def test_comparing_says_what_the_interval_does_not_hold(make):
    for i, name in enumerate("abc"):
        make(name, right=pattern(i), model__units=i)
    _, two = ask("a", "b")
    assert "It is of these trained weights: what another seed would give is not in it." in two
    assert "nothing corrects" not in two
    assert "2 pipelines are compared with a, and nothing corrects for that." in ask("a", "b", "c")[1]
