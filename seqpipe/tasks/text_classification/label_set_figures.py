"""Figures of a classifier that gives a text several labels, and the thresholds from which a label is answered.

Axes: N rows, C classes. The labels of rows are int8 [N, C], 1 where a text has a label; so are the chosen ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqpipe.evaluation.measures import Measure
from seqpipe.evaluation.metrics import likeliest_shares, likeliest_temperature
from seqpipe.evaluation.rows import RowFigures

OWN_POSITIVES = 20  # dev rows that a label needs for a threshold of its own
LEAST_GAP = 1e-4  # scores closer together are not told apart: the arithmetic of another machine would not either
NO_EVIDENCE = 0.5  # the threshold where dev has no label at all


class MicroF1(Measure):
    """F1 over all labels of all rows together: twice the right ones over those answered and those there."""

    is_mean = False

    def of(self, rows: RowFigures, times: np.ndarray) -> float:
        right, chosen, given = times @ rows.columns["counts"]
        return float(2 * right / max(chosen + given, 1))


class MacroF1(Measure):
    """The mean of the F1 of the labels that have rows: each label counts the same.

    A label that none of the rows drawn for an interval has counts as it does in all of them.
    """

    is_mean = False

    def of(self, rows: RowFigures, times: np.ndarray) -> float:
        labels, chosen = (rows.columns[name].astype(np.float32, copy=False) for name in ("labels", "chosen"))
        both = labels * chosen
        there = labels.any(axis=0)  # [C], as all below
        if not there.any():
            return 0.0
        times = times.astype(np.float32)
        right, answered, given = times @ both, times @ chosen, times @ labels
        of_all = 2 * both.sum(axis=0) / np.maximum(1, chosen.sum(axis=0) + labels.sum(axis=0))
        of_drawn = 2 * right / np.maximum(1, answered + given)
        return float(np.mean(np.where(given > 0, of_drawn, of_all)[there]))


MICRO_F1 = MicroF1("micro_f1", "micro F1", unit="%")
MACRO_F1 = MacroF1("macro_f1", "macro F1", unit="%")
ALL_RIGHT = Measure("accuracy", "texts with all labels right", unit="%")
MEASURES = (MICRO_F1, MACRO_F1, ALL_RIGHT)


def label_set_rows(labels: np.ndarray, chosen: np.ndarray, rows_key: str = "") -> RowFigures:
    """The columns `labels` and `chosen` int8 [N, C], `counts` float32 [N, 3] (right, chosen, given), and `accuracy`."""
    labels, chosen = np.asarray(labels, np.int8), np.asarray(chosen, np.int8)
    counts = np.stack([part.sum(axis=1, dtype=np.float32) for part in (labels & chosen, chosen, labels)], axis=1)
    accuracy = (labels == chosen).all(axis=1).astype(np.float64)
    return RowFigures(rows_key, {"labels": labels, "chosen": chosen, "counts": counts, "accuracy": accuracy})


def nll(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log likelihood of each label's being there or not, in nats, for logits [N, C]."""
    return float(np.mean(np.logaddexp(0.0, logits) - logits * labels))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T for which sigmoid(logits / T) gives these labels the best likelihood.

    As `seqpipe.evaluation.metrics.fit_temperature`, with a sigmoid for each label; 1 where the rows cannot tell.
    """
    logits = np.asarray(logits, np.float64)
    if np.array_equal(logits > 0, labels > 0):
        return 1.0
    return likeliest_temperature(lambda scaled: nll(scaled, labels), logits)


def fit_shares(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """The factors a and b, not below 0, for which sigmoid(a first + b second) gives the labels the best likelihood.

    As `seqpipe.evaluation.metrics.fit_shares`, with a sigmoid for each label.

    Args:
        first, second: float [N, C], logits of two models.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if np.array_equal(first + second > 0, labels > 0):
        return 1.0, 1.0
    return likeliest_shares(lambda mixed: nll(mixed, labels), first, second)


@dataclass(frozen=True)
class Thresholds:
    """Of each label: it is chosen where its score reaches the threshold.

    values: float64 [C]. own: bool [C], whether the label had dev rows enough for one of its own; the others share one.
    """

    values: np.ndarray
    own: np.ndarray

    def chosen(self, scores: np.ndarray) -> np.ndarray:
        """int8 [N, C]."""
        return (scores >= self.values.astype(scores.dtype)).astype(np.int8)


def fit_thresholds(scores: np.ndarray, labels: np.ndarray, *, lowest: float | None = None) -> Thresholds:
    """The thresholds that give the best F1: of each label with OWN_POSITIVES rows its own, of all together for others.

    Args:
        scores: float [N, C], such as probabilities.
        labels: int8 [N, C].
        lowest: a score that is never below, such as 0 for probabilities.
    """
    lowest = float(scores.min(initial=0.0)) - 1 if lowest is None else lowest
    shared, _ = best_cut(scores.ravel(), labels.ravel(), lowest)
    own = labels.sum(axis=0, dtype=np.int64) >= OWN_POSITIVES
    values = np.full(scores.shape[1], shared)
    for place in np.flatnonzero(own):
        values[place], _ = best_cut(scores[:, place], labels[:, place], lowest)
    return Thresholds(values, own)


def best_cut(scores: np.ndarray, labels: np.ndarray, lowest: float) -> tuple[float, float]:
    """The threshold with the best F1, and that F1; of equally good ones, the one in the widest gap between scores.

    Args:
        scores: float [M]. labels: [M], 1 or 0. lowest: as in `fit_thresholds`.
    """
    positives = int(labels.sum(dtype=np.int64))
    if not positives:
        return NO_EVIDENCE, 0.0
    order = np.argsort(-scores, kind="stable")
    ranked = np.append(scores[order].astype(np.float64), lowest)
    gap = ranked[:-1] - ranked[1:]  # below the i-th score
    f1 = 2 * np.cumsum(labels[order], dtype=np.int64) / (np.arange(1, len(scores) + 1) + positives)
    f1 = np.where(gap >= LEAST_GAP, f1, -1.0)
    best = max(np.flatnonzero(f1 == f1.max()), key=lambda place: gap[place])
    if f1[best] < 0:  # all scores are one
        return NO_EVIDENCE, 0.0
    return _between(ranked[best + 1], ranked[best]), float(f1[best])


def _between(low: float, high: float) -> float:
    """The number of fewest decimals in the middle half between two."""
    middle = (low + high) / 2
    short = (round(middle, decimals) for decimals in range(1, 8))
    return next((float(number) for number in short if abs(number - middle) <= (high - low) / 4), float(middle))


def f1_of_an_epoch(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Micro and macro F1 of logits [N, C] with one threshold for all labels, the one with the best micro F1."""
    cut, _ = best_cut(logits.ravel(), labels.ravel(), float(logits.min()) - 1)
    rows = label_set_rows(labels, logits >= cut)
    once = np.ones(len(rows), np.int64)
    return {measure.name: measure.of(rows, once) for measure in (MICRO_F1, MACRO_F1)}
