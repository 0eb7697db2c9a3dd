"""Figures of several labels a text, against scikit-learn and a search through everything."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from seqpipe.evaluation.metrics import per_class
from seqpipe.tasks.text_classification.label_set_figures import (
    ALL_RIGHT,
    MACRO_F1,
    MICRO_F1,
    Thresholds,
    best_cut,
    f1_of_an_epoch,
    fit_shares,
    fit_temperature,
    fit_thresholds,
    label_set_rows,
    nll,
)
from seqpipe.tasks.text_classification.label_set_report import Answered, Settings, figures
from seqpipe.tasks.text_classification.label_set_words import to_markdown

rng = np.random.default_rng(5)
LABELS = (rng.random((200, 4)) < [0.5, 0.3, 0.1, 0.0]).astype(np.int8)
SCORES = np.round(np.clip(0.3 * LABELS + 0.7 * rng.random((200, 4)), 0, 1), 3)
CHOSEN = (SCORES >= 0.5).astype(np.int8)
ONCE = np.ones(200, np.int64)


def plain_f1(labels, chosen):
    return 2 * np.sum((labels == 1) & chosen) / (np.sum(labels) + np.sum(chosen))


def test_label_set_f1_is_that_of_scikit_learn():
    rows = label_set_rows(LABELS, CHOSEN)
    assert MICRO_F1.of(rows, ONCE) == pytest.approx(f1_score(LABELS, CHOSEN, average="micro"))
    there = LABELS.any(axis=0)  # macro F1 is over labels that have rows
    assert MACRO_F1.of(rows, ONCE) == pytest.approx(f1_score(LABELS[:, there], CHOSEN[:, there], average="macro"))
    assert ALL_RIGHT.of(rows, ONCE) == np.mean((LABELS == CHOSEN).all(axis=1))


def test_label_set_f1_counts_a_row_as_often_as_it_stands():
    times = rng.integers(0, 4, 200)
    more = label_set_rows(np.repeat(LABELS, times, axis=0), np.repeat(CHOSEN, times, axis=0))
    rows = label_set_rows(LABELS, CHOSEN)
    for measure in (MICRO_F1, MACRO_F1, ALL_RIGHT):
        assert measure.of(rows, times) == pytest.approx(measure.of(more, np.ones(len(more), np.int64)))


def test_label_set_macro_f1_counts_a_label_that_was_not_drawn_as_in_all_rows():
    rows = label_set_rows([[1, 0], [1, 0], [0, 1]], [[1, 0], [1, 0], [0, 0]])
    assert [MACRO_F1.of(rows, np.array(times)) for times in ([1, 1, 1], [2, 1, 0], [0, 0, 3])] == [0.5, 0.5, 0.5]


def test_label_set_f1_of_nothing_is_zero():
    nothing = label_set_rows(np.zeros((3, 2)), np.zeros((3, 2)))
    assert [measure.of(nothing, np.ones(3, np.int64)) for measure in (MICRO_F1, MACRO_F1, ALL_RIGHT)] == [0, 0, 1]


def test_label_set_figures_of_each_label():
    found = per_class(CHOSEN, LABELS, list("abcd"))
    expected = f1_score(LABELS, CHOSEN, average=None, zero_division=0)
    np.testing.assert_allclose([row["f1"] or 0 for row in found], expected)
    assert [row["support"] for row in found] == LABELS.sum(0).tolist()
    assert (found[3]["recall"], found[3]["precision"]) == (None, 0.0)
    assert per_class(np.zeros((2, 1), np.int8), np.zeros((2, 1), np.int8), ["a"])[0]["f1"] is None


def test_label_set_cut_is_the_best_there_is():
    for column in range(3):
        scores, labels = SCORES[:, column], LABELS[:, column]
        cut, f1 = best_cut(scores, labels, 0.0)
        tried = [plain_f1(labels, scores >= threshold) for threshold in np.unique(scores)]
        assert f1 == pytest.approx(max(tried))
        assert f1_score(labels, scores >= cut) == pytest.approx(max(tried))
        assert np.abs(scores - cut).min() >= 1e-5, "no score stands at the threshold"


def test_label_set_cut_has_few_decimals_and_does_not_part_what_is_equal():
    assert best_cut(np.array([0.9, 0.2]), np.array([1, 0]), 0.0) == (0.6, 1.0)
    assert best_cut(np.array([0.50001, 0.5]), np.array([1, 0]), 0.0)[0] == 0.2  # both, for they are not told apart
    assert best_cut(np.array([0.9, 0.2]), np.array([0, 0]), 0.0) == (0.5, 0.0)
    assert best_cut(np.array([0.0, 0.0]), np.array([1, 0]), 0.0) == (0.5, 0.0)


def test_label_set_thresholds_are_shared_where_there_are_few_rows():
    found = fit_thresholds(SCORES, LABELS, lowest=0.0)
    assert found.own.tolist() == [True, True, LABELS[:, 2].sum() >= 20, False]
    shared, _ = best_cut(SCORES.ravel(), LABELS.ravel(), 0.0)
    assert found.values[3] == shared
    assert found.values[0] == best_cut(SCORES[:, 0], LABELS[:, 0], 0.0)[0]
    np.testing.assert_array_equal(found.chosen(SCORES), found.values <= SCORES)


def test_label_set_temperature_is_the_best_there_is():
    logits = 5 * rng.normal(size=(200, 4))
    found = fit_temperature(logits, LABELS)
    best = min(np.geomspace(0.05, 20, 400), key=lambda t: nll(logits / t, LABELS))
    assert found == pytest.approx(best, rel=0.02)
    assert fit_temperature(np.where(LABELS, 2.0, -2.0), LABELS) == 1.0


def test_label_set_shares_are_the_best_there_are():
    first, second = 3 * rng.normal(size=(2, 200, 4)) + 2 * LABELS - 1
    found = fit_shares(first, second, LABELS)
    grid = [(a, b) for a in np.linspace(0, 1.5, 16) for b in np.linspace(0.1, 1.5, 15)]
    best = min(nll(a * first + b * second, LABELS) for a, b in grid)
    assert nll(found[0] * first + found[1] * second, LABELS) <= best + 1e-6


def test_label_set_nll_is_that_of_a_sigmoid():
    logits = rng.normal(size=(5, 3))
    labels = rng.integers(0, 2, (5, 3))
    shares = 1 / (1 + np.exp(-logits))
    assert nll(logits, labels) == pytest.approx(-np.mean(np.log(np.where(labels, shares, 1 - shares))))


def test_label_set_figures_of_an_epoch_have_one_threshold():
    logits = np.log(SCORES + 0.01)
    found = f1_of_an_epoch(logits, LABELS)
    tried = [plain_f1(LABELS, logits >= cut) for cut in np.unique(logits)]
    assert found["micro_f1"] >= max(tried) - 1e-9
    assert 0 < found["macro_f1"] < 1


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [(4, "The two disagree on too few rows to tell which is better."), (8, "The model is better than the baseline")],
)
def test_label_set_report_needs_rows_for_a_verdict(wrong, verdict):
    labels = LABELS.copy()
    baseline = labels.copy()
    baseline[:wrong, 0] = 1 - baseline[:wrong, 0]
    settings = Settings("abcd", 1.0, Thresholds(np.full(4, 0.5), np.ones(4, bool)), samples=200, seed=1)
    logits = np.where(labels > 0, 5.0, -5.0)
    report, _ = figures(Answered("test", logits, labels, baseline=baseline), settings)
    assert report["difference"]["micro_f1"]["low"] > 0
    assert f"**{verdict}" in to_markdown(report)
