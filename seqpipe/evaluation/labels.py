"""What a classifier answered to each row, as its measures need it.

Axes: N rows, C classes.
"""

from __future__ import annotations

import numpy as np

from seqpipe.evaluation.measures import Measure
from seqpipe.evaluation.paired import with_interval
from seqpipe.evaluation.rows import RowFigures


def label_rows(logits: np.ndarray, labels: np.ndarray, rows_key: str = "") -> RowFigures:
    """The columns `logits` float32 [N, C], `labels` int [N] and `accuracy` float [N]: 1 where a row is right."""
    logits, labels = np.asarray(logits, np.float32), np.asarray(labels)
    right = (logits.argmax(axis=1) == labels).astype(np.float64)
    return RowFigures(rows_key, {"logits": logits, "labels": labels, "accuracy": right})


class BalancedAccuracy(Measure):
    """The mean of the recalls of the classes that have rows, which is no mean over rows."""

    is_mean = False

    def of(self, rows: RowFigures, times: np.ndarray) -> float:
        labels = rows.columns["labels"]
        count = np.bincount(labels, weights=times)
        right = np.bincount(labels, weights=times * rows.columns["accuracy"])
        return float(np.mean(right[count > 0] / count[count > 0]))


BALANCED_ACCURACY = BalancedAccuracy("balanced_accuracy", "balanced accuracy", unit="%")


def balanced_accuracy(logits: np.ndarray, labels: np.ndarray, *, samples: int, seed: int) -> dict[str, float]:
    """{value, low, high, n} of logits [N, C], with a percentile interval over so many resamples of the rows."""
    figure = with_interval(BALANCED_ACCURACY, [label_rows(logits, labels)], samples=samples, seed=seed)
    return {**figure, "n": len(labels)}
