from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from seqpipe.evaluation import classification, metrics
from seqpipe.evaluation.classification import (
    Answered,
    Baseline,
    evaluate_classifier,
    evaluate_served,
    report_split,
    write_report,
)
from seqpipe.evaluation.classification_words import to_markdown
from seqpipe.evaluation.rows import RowFigures


def _evaluate(correct, *, baseline_correct=None, seen=None, split="test", classes=("bad", "good"), **about):
    """The report on a model that is right where correct says so; labels alternate."""
    correct = np.asarray(correct, bool)
    count = len(classes)
    labels = np.arange(len(correct)) % 2
    predictions = np.where(correct, labels, 1 - labels)
    other = None if baseline_correct is None else Baseline(np.where(baseline_correct, labels, 1 - labels), **about)
    answered = Answered(split, np.eye(count, dtype=np.float32)[predictions] * 4, labels, seen=seen, baseline=other)
    return evaluate_classifier(answered, classes=list(classes), temperature=2.0, bootstrap_samples=500, seed=1)


def test_classification_report_holds_each_figure_beside_its_interval():
    report = _evaluate([1] * 8 + [0] * 2)
    assert report["measures"]["accuracy"] == {
        "value": 0.8,
        "low": pytest.approx(0.4902, abs=5e-5),
        "high": pytest.approx(0.9433, abs=5e-5),
        "n": 10,
    }
    assert _evaluate([1, 1, 1])["majority"] == {"class": "bad", "accuracy": 2 / 3}
    assert report["confusion"] == [[4, 1], [1, 4]]
    assert _evaluate([1, 1, 1, 0])["confusion"] == [[2, 0], [1, 1]]  # rows are labels
    assert [row["recall"] for row in report["per_class"]] == [0.8, 0.8]
    # Logits 4 and 0: the top class has probability 1 / (1 + exp(-4)), after the temperature 1 / (1 + exp(-2)).
    assert report["calibration_error"]["before"] == pytest.approx(1 / (1 + math.exp(-4)) - 0.8)
    assert report["calibration_error"]["after"] == pytest.approx(1 / (1 + math.exp(-2)) - 0.8)
    assert report["nll"]["before"] == pytest.approx(math.log1p(math.exp(-4)) + 0.2 * 4)
    assert report["nll"]["after"] == pytest.approx(math.log1p(math.exp(-2)) + 0.2 * 2)
    assert report["baseline"] is report["difference"] is report["accuracy_unseen"] is None


def test_classification_report_is_json_and_the_same_again():
    arguments = {"baseline_correct": [1, 1, 0, 0] * 10, "seen": [True, False] * 20}
    report = _evaluate([1, 0, 1, 1] * 10, **arguments)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report == _evaluate([1, 0, 1, 1] * 10, **arguments)


def test_classification_rows_seen_in_training_are_left_out_beside():
    correct, baseline = np.array([1] * 60 + [0, 1] * 20), np.array([1] * 60 + [1, 0] * 20)
    seen = np.arange(100) < 60
    report = _evaluate(correct, baseline_correct=baseline, seen=seen)
    assert report["rows_seen_in_training"] == 60
    assert (report["measures"]["accuracy"]["value"], report["measures"]["accuracy"]["n"]) == (0.8, 100)
    assert (report["accuracy_unseen"]["value"], report["accuracy_unseen"]["n"]) == (0.5, 40)
    assert report["baseline"]["accuracy_unseen"]["n"] == report["difference_unseen"]["n"] == 40
    text = to_markdown(report)
    assert "60 of these rows stand in the training data too. On the other 40, the fairer figure: **50.00 %" in text
    assert "Over 40 rows not in training" in text


@pytest.mark.parametrize(
    ("seen", "count", "sentence"),
    [
        (None, None, "Whether rows stand in the training data too was not checked."),
        ([True] * 4, 4, "All of these rows stand in the training data too: this says nothing about new ones."),
        ([False] * 4, 0, None),
    ],
)
def test_classification_says_what_is_known_of_seen_rows(seen, count, sentence):
    report = _evaluate([1, 1, 0, 1], seen=seen)
    assert report["rows_seen_in_training"] == count
    assert report["accuracy_unseen"] is None
    text = to_markdown(report)
    assert (sentence in text) if sentence else ("training data" not in text)


@pytest.mark.parametrize(
    ("correct", "baseline", "verdict"),
    [
        ([1] * 90 + [0] * 10, [1] * 70 + [0] * 30, "The model is better than the baseline"),
        ([1] * 70 + [0] * 30, [1] * 90 + [0] * 10, "The model is worse than the baseline"),
        ([1, 0] * 50, [0, 1] * 50, "The interval of the difference holds 0: no evidence that the model is better."),
        ([1] * 50, [1] * 50, "The interval of the difference holds 0: no evidence that the model is better."),
        ([1], [0], "The two disagree on too few rows to tell which is better."),
        ([1] * 5, [0] * 5, "The two disagree on too few rows to tell which is better."),
    ],
)
def test_classification_verdict_claims_no_more_than_the_rows_show(correct, baseline, verdict):
    text = to_markdown(_evaluate(correct, baseline_correct=baseline))
    verdicts = ["better than the baseline", "worse than the baseline", "holds 0", "too few rows"]
    assert f"**{verdict}" in text
    assert sum(text.count(words) for words in verdicts) == 1


def test_classification_markdown_of_baseline_and_dev():
    report = _evaluate(
        [1, 1, 0, 1],
        baseline_correct=[1, 0, 0, 1],
        split="dev",
        description="TF-IDF of words",
        fit_time_s=2.04,
        size_bytes=1500,
    )
    text = to_markdown(report)
    assert text.startswith("**Accuracy on dev: 75.00 % (95 % interval 30.1 to 95.4 %)**, 4 rows.")
    assert "chosen by these rows, so the figures lean to the good side" in text
    assert "The baseline: TF-IDF of words." in text
    assert "the model alone is right on 1 of them, the baseline alone on 0 (exact McNemar p = 1.000)" in text
    assert "| all rows | 4 | 75.00 % (95 % interval 30.1 to 95.4 %) | 50.00 % (95 % interval 15.0 to 85.0 %) |" in text
    assert "The baseline takes 2.0 s to train and 1.5 kB." in text
    without = to_markdown(_evaluate([1, 1, 0, 1]))
    assert "chosen by these rows" not in without
    assert "No baseline was trained" in without


def test_classification_absent_class_has_no_figures():
    report = _evaluate([1, 1, 1], classes=["bad", "good", "mixed"])
    assert report["per_class"][2]["recall"] is None
    text = to_markdown(report)
    assert "| 2 | mixed | n/a | n/a | n/a | 0 |" in text
    assert "A class without rows in this split has no recall" in text


def test_classification_markdown_keeps_class_names_inside_their_cells():
    text = to_markdown(_evaluate([1, 0, 1], classes=["a|b", "two\nlines"]))
    assert "| 0 | a\\|b |" in text
    assert "| label (row), predicted (column) | a\\|b | two lines |" in text


def test_classification_many_classes_are_told_by_their_mistakes():
    text = to_markdown(_evaluate([1, 0, 0, 1, 0], classes=[f"c{index}" for index in range(20)]))
    assert "label (row)" not in text
    assert text.index("| c0 | c1 | 2 |") < text.index("| c1 | c0 | 1 |")
    assert "mistakes" not in to_markdown(_evaluate([1, 1], classes=[f"c{index}" for index in range(20)]))


def test_classification_one_row():
    report = _evaluate([0], baseline_correct=[0])
    assert report["measures"]["accuracy"]["value"] == 0
    assert report["difference"]["low"] == report["difference"]["high"] == 0
    assert ", 1 row." in to_markdown(report)


@pytest.mark.parametrize(
    ("change", "classes", "message"),
    [
        ({"logits": [[0.0, 1.0], [math.nan, 0.0]]}, "ab", r"logits\[1, 0\] is nan: logits must be finite"),
        ({}, "abc", r"logits \[2, 2\] do not fit the 3 classes"),
        ({"seen": [True]}, "ab", r"seen \(1,\) must be \[2\], one value a row"),
        ({"baseline": Baseline([0, 1, 1])}, "ab", r"baseline.predictions \(3,\) must be \[2\]"),
    ],
)
def test_classification_refuses_by_name(change, classes, message):
    answered = replace(Answered("dev", [[0.0, 1.0], [1.0, 0.0]], [0, 1]), **change)
    with pytest.raises(ValueError, match=message):
        evaluate_classifier(answered, classes=list(classes), bootstrap_samples=100, seed=1)


def test_classification_balanced_accuracy_is_told_where_it_is_another_figure():
    rows = [1] * 8 + [0] * 2
    assert "Balanced accuracy" not in to_markdown(_evaluate(rows))
    labels = np.array([0] * 9 + [1])
    report = evaluate_classifier(
        Answered("dev", np.eye(2)[np.zeros(10, int)], labels), classes=["a", "b"], bootstrap_samples=200, seed=1
    )
    assert report["measures"]["balanced_accuracy"]["value"] == 0.5
    assert "**Balanced accuracy: 50.00 % (95 % interval" in to_markdown(report)


class _Constant:
    fit_time_s, size_bytes = 1.5, 10

    def describe(self):
        return "always the first"

    def predict(self, inputs):
        return np.zeros(len(inputs), int)


def test_classification_report_split_keeps_answers_row_by_row(tmp_path):
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    baseline = Baseline.of(_Constant(), "xyz")
    answered = Answered("dev", logits, np.array([0, 1, 0]), rows_key="k", baseline=baseline)
    report = report_split(answered, tmp_path / "dev", classes=["a", "b"], bootstrap_samples=100, seed=1)
    assert report["baseline"]["description"] == "always the first"
    assert report["baseline"]["accuracy"]["value"] == pytest.approx(2 / 3)
    kept = RowFigures.read(tmp_path / "dev")
    assert kept.rows_key == "k"
    assert kept.columns["accuracy"].tolist() == [1, 1, 0]
    assert json.loads((tmp_path / "dev" / "report.json").read_text()) == report
    assert Baseline.of(None, "xyz") is None


class _Served:
    labels = ("a", "b")

    def __call__(self, rows):
        return [{"probabilities": {"b": of_b, "a": 1 - of_b}} for of_b in rows]


def test_classification_of_a_served_model_is_by_the_probabilities_it_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(classification, "write_report", lambda *_: None)
    served = evaluate_served(_Served(), [0.0, 0.75, 0.25], np.array([0, 1, 1]), "tweets", tmp_path, samples=9)
    report = served["splits"]["test"]
    assert (served["classes"], report["split"], report["temperature"]) == (["a", "b"], "tweets", 1.0)
    assert report["confusion"] == [[1, 0], [1, 1]]
    assert report["nll"]["after"] == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 3)
    (never,) = evaluate_served(_Served(), [1.0], np.array([0]), "", tmp_path, samples=9)["splits"].values()
    assert never["nll"]["after"] == pytest.approx(126 * math.log(2))  # the smallest normal float32 is 2 ** -126


def test_classification_pictures_show_probabilities_before_and_after_the_temperature(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(classification.pictures, "confusion_matrix", lambda *_: None)
    monkeypatch.setattr(classification.pictures, "reliability_diagram", lambda *shown: drawn.append(shown[:2]))
    answered = Answered("test", [[0.0, 2 * math.log(3)]], np.array([1]))
    for temperature in (2.0, 1.0):
        report = evaluate_classifier(answered, classes="ab", temperature=temperature, bootstrap_samples=9, seed=1)
        write_report(report, answered, tmp_path)
    (before, after), (alone, none) = drawn
    assert before.tolist() == alone.tolist() == [pytest.approx([0.1, 0.9])]
    assert after.tolist() == [pytest.approx([0.25, 0.75])]
    assert none is None


def test_classification_write_report_writes_four_files_and_nothing_else(tmp_path):
    answered = Answered("test", np.eye(2)[[0, 0, 0, 1]] * 4, np.array([0, 1, 0, 1]))
    report = evaluate_classifier(answered, classes=["差", "好"], bootstrap_samples=100, seed=1)
    write_report(report, answered, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "confusion.png",
        "reliability.png",
        "report.json",
        "report.md",
    ]
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# Report on test\n\n**Accuracy on test: 75.00 %")
    assert to_markdown(report) in text
    assert "![Confusion matrix](confusion.png)" in text


def test_classification_says_when_the_temperature_stands_at_its_bound():
    report = _evaluate([1, 1, 0, 1])
    assert "stands at the bound" not in to_markdown(report)
    # A search comes as close as this to its bounds, and never touches them.
    low, high = metrics.TEMPERATURE_BOUNDS
    for temperature in (low * 1.0001, high / 1.0001):
        assert "stands at the bound of its range" in to_markdown(report | {"temperature": temperature})


def test_classification_without_a_temperature_compares_nothing():
    text = to_markdown(_evaluate([1, 1, 0, 1]) | {"temperature": 1.0})
    assert "of the probabilities as they are answered" in text
    assert "Before and after" not in text
