"""How much a row of each class, or a label that is there, weighs in the loss; numpy alone.

Axes: C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from seqpipe.errors import ModelError

Wanted = Literal["none", "balanced"] | Mapping[str, float]


def class_weights(wanted: Wanted, classes: Sequence[str], rows: np.ndarray) -> np.ndarray:
    """The weights that `training.class_weights` asks for, float32 [C].

    Args:
        wanted: none, balanced (all rows of a class together weigh as much as those of any other; the mean over the
            rows is 1), or a weight for each class name.
        classes: C names.
        rows: int [C], training rows of each class.
    Raises:
        ModelError: weights by name are not those of the classes.
    """
    if wanted == "none":
        return np.ones(len(classes), np.float32)
    if wanted == "balanced":
        return (rows.sum() / (np.count_nonzero(rows) * np.maximum(1, rows))).astype(np.float32)
    if set(wanted) != set(classes):
        raise ModelError(
            f"training.class_weights names {', '.join(sorted(wanted))}; "
            f"it must give one weight to each class: {', '.join(classes)}."
        )
    return np.array([wanted[name] for name in classes], np.float32)


def positive_weights(wanted: Wanted, classes: Sequence[str], rows: np.ndarray, total: int) -> np.ndarray:
    """The same where a row may have several labels, float32 [C]: what a label that is there weighs beside one that is
    not, which weighs 1.

    Args:
        wanted: none (1), balanced (the rows with a label weigh together as much as those without), or a weight for each
            class name.
        rows: int [C], training rows with each label.
        total: training rows.
    Raises:
        ModelError: weights by name are not those of the classes.
    """
    if wanted == "balanced":
        return (np.maximum(1, total - rows) / np.maximum(1, rows)).astype(np.float32)
    return class_weights(wanted, classes, rows)


def log_odds(rows: np.ndarray, total: int, weights: np.ndarray) -> np.ndarray:
    """The logit of how often each label is there, float32 [C]: where a network begins that knows nothing else.

    Args:
        rows: int [C], training rows with each label.
        total: training rows.
        weights: float32 [C], as `positive_weights` gives them.
    """
    return np.log(weights * (rows + 0.5) / (total - rows + 0.5)).astype(np.float32)
