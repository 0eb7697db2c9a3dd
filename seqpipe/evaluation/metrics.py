"""Figures of a classifier, and how sure one may be of them.

N rows, C classes. Logits and probabilities are [N, C], labels and predictions are class indices [N]. Everything is
computed in float64; a value that is not finite, a label that is no class and an empty split are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
CALIBRATION_BINS = 15
TEMPERATURE_BOUNDS = (0.05, 20.0)


def softmax(logits: ArrayLike) -> np.ndarray:
    """Probabilities along the last axis; large logits do not overflow.

    >>> softmax([[1000.0, 1000.0]]).tolist()
    [[0.5, 0.5]]
    """
    from scipy import special

    return special.softmax(np.asarray(logits, np.float64), axis=-1)


def wilson_interval(correct: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Score interval of a share (Wilson 1927); it holds its confidence for small totals and near 0 and 1.

    Args:
        correct: rows that are right, 0..total.
        total: rows, at least 1.
    Returns:
        The lower and the upper bound, 0..1.

    >>> [round(bound, 4) for bound in wilson_interval(8, 10)]
    [0.4902, 0.9433]
    """
    from scipy.stats import binomtest

    bounds = binomtest(correct, total).proportion_ci(confidence, method="wilson")
    return float(bounds.low), float(bounds.high)


def per_class(answers: ArrayLike, labels: ArrayLike, classes: Sequence[str]) -> list[dict[str, str | float | None]]:
    """Precision, recall and F1 of each class.

    Args:
        answers, labels: int [N]; or [N, C], 1 where a row has a class, of which it may have several or none.
        classes: the C class names.
    Returns:
        One dict a class: name, precision, recall, f1, support (rows with this label). A figure that does not exist is
        None: precision where nothing was answered, recall where no row has the label.
    """
    both = [np.asarray(rows) for rows in (answers, labels)]
    of_answers, of_labels = (rows if rows.ndim == 2 else rows[:, None] == np.arange(len(classes)) for rows in both)
    counts = [part.sum(axis=0, dtype=np.int64).tolist() for part in (of_answers & of_labels, of_answers, of_labels)]
    return [
        {
            "name": name,
            "precision": right / answered if answered else None,
            "recall": right / there if there else None,
            "f1": 2 * right / (answered + there) if answered + there else None,
            "support": there,
        }
        for name, right, answered, there in zip(classes, *counts, strict=True)
    ]


def negative_log_likelihood(logits: ArrayLike, labels: ArrayLike) -> float:
    """Mean negative log likelihood of the labels, in nats; finite for every finite logit."""
    logits, labels = checked(logits, labels)
    return max(0.0, _mean_nll(logits, labels))  # of answers that are sure and right, rounding is left


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature T for which softmax(logits / T) gives these labels the best likelihood.

    Temperature scaling (Guo et al. 2017, On Calibration of Modern Neural Networks): one number, fitted on rows the
    model did not train on; predictions stay as they are. The likelihood has a single optimum in T, looked for within
    TEMPERATURE_BOUNDS. T is 1 where the rows cannot tell: all are right (the lower T the better, down to 0), or all
    logits of a row are equal.

    Args:
        logits: float [N, C].
        labels: int [N].
    """
    logits, labels = checked(logits, labels)
    if np.all(logits.argmax(axis=1) == labels):
        return 1.0
    return likeliest_temperature(lambda scaled: _mean_nll(scaled, labels), logits)


def likeliest_temperature(nll: Callable[[np.ndarray], float], logits: np.ndarray) -> float:
    """The T within TEMPERATURE_BOUNDS for which nll(logits / T) is lowest; 1 where none is lower than without."""
    from scipy.optimize import minimize_scalar

    low, high = np.log(TEMPERATURE_BOUNDS)
    found = minimize_scalar(
        lambda log_temperature: nll(logits / np.exp(log_temperature)),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x)) if found.fun < nll(logits) else 1.0


def fit_shares(first: ArrayLike, second: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """The factors a and b, not below 0, for which softmax(a first + b second) gives the labels the best likelihood.

    The likelihood is concave in (a, b). b stays above the lowest inverse temperature, so that one can divide by it.

    Args:
        first, second: float [N, C], logits of two models.
        labels: int [N].
    """
    first, labels = checked(first, labels)
    second, _ = checked(second, labels)
    if np.all((first + second).argmax(axis=1) == labels):
        return 1.0, 1.0  # the rows cannot tell, as in `fit_temperature`
    return likeliest_shares(lambda mixed: _mean_nll(mixed, labels), first, second)


def likeliest_shares(nll: Callable[[np.ndarray], float], first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The factors a and b, not below 0, for which nll(a first + b second) is lowest."""
    from scipy.optimize import minimize

    low, high = TEMPERATURE_BOUNDS
    found = minimize(
        lambda shares: nll(shares[0] * first + shares[1] * second),
        x0=[1.0, 1.0],
        bounds=[(0.0, 1 / low), (1 / high, 1 / low)],
        method="L-BFGS-B",
    )
    return float(found.x[0]), float(found.x[1])


@dataclass(frozen=True)
class Bins:
    """Rows by the probability of their top class, in bins of equal width; arrays [bins].

    Attributes:
        edges: [bins + 1], 0..1; a bin holds its upper edge, the first also 0.
        count: rows.
        confidence: mean probability of the top class; NaN in an empty bin.
        accuracy: share of rows that are right; NaN in an empty bin.
    """

    edges: np.ndarray
    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def calibration_error(self) -> float:
        """How far the probability of the top class is from the share of right answers, 0..1, weighted over bins.

        The expected calibration error of Guo et al. 2017: top class only, bins of equal width over 0..1. It is a biased
        estimate: few rows give a high value.
        """
        gap = np.abs(self.accuracy - self.confidence)
        return float(np.nansum(gap * self.count) / self.count.sum())


def calibration_bins(probabilities: ArrayLike, labels: ArrayLike, bins: int = CALIBRATION_BINS) -> Bins:
    """What the expected calibration error and the reliability diagram are made of."""
    probabilities, labels = checked(probabilities, labels, kind="probabilities")
    if np.any(probabilities < 0) or np.any(np.abs(probabilities.sum(axis=1) - 1) > 1e-3):
        raise ValueError("probabilities must be 0 or more, and 1 together in each row; are these logits?")
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    filled = np.where(count > 0, count, np.nan)
    return Bins(
        edges,
        count,
        np.bincount(index, weights=confidence, minlength=bins) / filled,
        np.bincount(index, weights=correct, minlength=bins) / filled,
    )


def sign_p(differences: ArrayLike) -> float:
    """Exact two-sided p-value that differences [N] lie above 0 as often as below it; those at 0 say nothing.

    Of right answers less those of another it is McNemar's (1947, the binomial form). With a handful of disagreements a
    bootstrap is too sure of itself (one row: an interval without width); this is not.
    """
    from scipy.stats import binomtest

    above, below = int(np.sum(np.asarray(differences) > 0)), int(np.sum(np.asarray(differences) < 0))
    return float(binomtest(above, above + below).pvalue) if above + below else 1.0


def side(difference: Mapping[str, float]) -> int:
    """1 or -1 where a difference is shown to lie above or below 0, else 0.

    Args:
        difference: {low, high}, by a bootstrap; and `sign_p`, of the rows that it was made of, without which a handful
            of rows would show too much.
    """
    if difference.get("sign_p", 0.0) >= 1 - CONFIDENCE:
        return 0
    return int(difference["low"] > 0) - int(difference["high"] < 0)


def checked(values: ArrayLike, labels: ArrayLike, kind: str = "logits") -> tuple[np.ndarray, np.ndarray]:
    """The values as float64 [N, C] and the labels as int64 [N], or a ValueError that names what is wrong."""
    values, labels = np.asarray(values, np.float64), np.asarray(labels)
    if values.ndim != 2 or labels.shape != values.shape[:1] or 0 in values.shape:
        raise ValueError(f"{kind} {values.shape} and labels {labels.shape} must be [N, C] and [N], N and C at least 1.")
    if not np.all(np.isfinite(values)):
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"{kind}[{row}, {column}] is {values[row, column]}: {kind} must be finite.")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels are {labels.dtype}: labels must be class indices.")
    outside = np.flatnonzero((labels < 0) | (labels >= values.shape[1]))
    if outside.size:
        row = outside[0]
        raise ValueError(f"labels[{row}] is {labels[row]}: a label must be 0..{values.shape[1] - 1}.")
    return values, labels.astype(np.int64)


def _mean_nll(logits: np.ndarray, labels: np.ndarray) -> float:
    from scipy.special import log_softmax

    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())
