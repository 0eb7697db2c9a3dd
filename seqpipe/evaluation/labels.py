"""What a classifier answered to each row, as its measures need it.

Axes: N rows, C classes.
"""

from __future__ import annotations

import numpy as np

from seqpipe.evaluation.measures import Measure
from seqpipe.evaluation.rows import RowFigures


def label_rows(logits: np.ndarray, labels: np.ndarray, rows_key: str) -> RowFigures:
    """The columns `logits` float32 [N, C], `labels` int [N] and `accuracy` float [N]: 1 where a row is right."""
    logits, labels = np.asarray(logits, np.float32), np.asarray(labels)
    right = (logits.argmax(axis=1) == labels).astype(np.float64)
    return RowFigures(rows_key, {"logits": logits, "labels": labels, "accuracy": right})


class BalancedAccuracy(Measure):
    """The mean of the recalls, which is no mean over rows."""

    is_mean = False

    def of(self, rows: RowFigures, times: np.ndarray) -> float:
        labels, right = rows.columns["labels"], rows.columns["accuracy"]
        recalls = [
            times[chosen] @ right[chosen] / times[chosen].sum()
            for chosen in (labels == label for label in np.unique(labels))
            if times[chosen].sum()
        ]
        return float(np.mean(recalls))


BALANCED_ACCURACY = BalancedAccuracy("balanced_accuracy", "balanced accuracy", unit="%")
