"""An expert on n-grams: a linear classifier over the pieces and the short runs of pieces that a text holds.

Features are binary, scaled by their naive-Bayes log-count ratio and brought to length one; a linear SVM weighs them
(Wang and Manning 2012, Baselines and Bigrams). Fitted in closed form before the network trains;
`seqpipe.layers.NgramExpert` is the same in the graph. An n-gram is known by a 32-bit hash.

Axes: N rows, C classes (C' = 1 column for two classes that exclude each other), K n-grams.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.data.examples import Ragged
from seqpipe.errors import DataError
from seqpipe.storage import write_arrays

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MULTIPLIER = 1_779_033_703  # odd and below 2^31, so that products of 32-bit keys stay inside int64
MASK = (1 << 32) - 1
HALF = 1 << 31  # keys are stored as int32, shifted so that their order stays
SMOOTHING = 1.0
PENALTY = 1.0  # C of the SVM
CANDIDATES = 8  # n-grams that are looked at for each that is kept
FOLDS = 4
CERTAIN = 5.0  # the logit of what all rows have, or none


@dataclass(frozen=True)
class NgramTables:
    """What the layer needs.

    keys: int32 [K], ascending.
    weights: float16 [K, C'], ratio times SVM weight, in units of a logit.
    squares: float16 [K, C'], the ratio squared.
    bias: float32 [C'].
    """

    keys: np.ndarray
    weights: np.ndarray
    squares: np.ndarray
    bias: np.ndarray

    def save(self, file: Path) -> None:
        write_arrays(file, keys=self.keys, weights=self.weights, squares=self.squares, bias=self.bias)

    @classmethod
    def load(cls, file: Path) -> NgramTables:
        with np.load(file) as saved:
            return cls(saved["keys"], saved["weights"], saved["squares"], saved["bias"])


def ngram_keys(ids: np.ndarray, longest: int) -> np.ndarray:
    """The distinct n-grams of a row, 1 <= n <= longest.

    Args:
        ids: int32 [T].
    Returns:
        int32 [at most T * longest], ascending.
    """
    key = np.zeros(len(ids), np.int64)
    found = [np.zeros(0, np.int64)]
    for n in range(1, min(longest, len(ids)) + 1):
        key = ((key[: len(ids) - n + 1] * MULTIPLIER) & MASK) + ids[n - 1 :] + n
        found.append(((key & MASK) * MULTIPLIER) & MASK)
    return (np.unique(np.concatenate(found)) - HALF).astype(np.int32)


def fit_ngrams(rows: Ragged, labels: np.ndarray, classes: int, *, longest: int, entries: int, seed: int) -> NgramTables:
    """Fit on the training split; the scale of a logit comes from cross-validation inside it.

    Args:
        rows: piece ids of N rows.
        labels: int [N]; or [N, C], 1 where a row has a class, which may have several or none.
        classes: C.
        longest: pieces in the longest n-gram.
        entries: the n-grams kept are those that tell most of the labels, by the chi-squared statistic, of eight times
            as many that stand in the most rows; those in a single row never are.
        seed: of the folds.
    Raises:
        DataError: no n-gram stands in two rows.
    """
    from sklearn.model_selection import StratifiedKFold

    present = [ngram_keys(rows.row(i), longest) for i in range(len(rows))]
    keys, counts = np.unique(np.concatenate(present), return_counts=True)
    most = np.argsort(-counts, kind="stable")[: CANDIDATES * entries]
    keys = np.sort(keys[most[counts[most] > 1]])
    if not len(keys):
        raise DataError(
            "model.ngrams: no n-gram stands in two training rows, so there is nothing to learn. Set it to null."
        )
    binary, targets = _binary(present, keys), _targets(labels, classes)
    chosen = _telling(binary, targets, entries)
    keys, kept = keys[chosen], binary[:, chosen]
    columns = []
    for target in targets:
        if target.all() or not target.any():  # nothing to tell apart: always, or never
            columns.append((np.zeros(len(keys)), np.zeros(len(keys)), CERTAIN if target.all() else -CERTAIN))
            continue
        scale = 1.0
        folds = min(FOLDS, int(target.sum()), int((~target).sum()))
        if folds > 1:
            margins = np.zeros(len(rows))
            for fit, hold in StratifiedKFold(folds, shuffle=True, random_state=seed).split(binary, target):
                learned = binary[fit]
                own = _telling(learned, [target[fit]], entries)  # what the rows held back tell stays unknown
                weights, bias, ratio = _fit_one(learned[:, own], target[fit])
                margins[hold] = _scaled(binary[hold][:, own], ratio) @ weights + bias
            scale = _logit_scale(margins, target)
        weights, bias, ratio = _fit_one(kept, target)
        columns.append((scale * weights * ratio, ratio**2, scale * bias))
    weights, squares = (np.stack([column[i] for column in columns], axis=1).astype(np.float16) for i in (0, 1))
    return NgramTables(keys, weights, squares, np.array([column[2] for column in columns], np.float32))


def _targets(labels: np.ndarray, classes: int) -> list[np.ndarray]:
    """bool [N] for each column."""
    if labels.ndim == 2:
        return [column > 0 for column in labels.T]
    return [labels == 1] if classes == 2 else [labels == label for label in range(classes)]


def _binary(present: list[np.ndarray], keys: np.ndarray) -> csr_matrix:
    """A sparse matrix [N, K]: which row holds which n-gram."""
    from scipy import sparse

    places = []
    for row in present:
        place = np.minimum(np.searchsorted(keys, row), len(keys) - 1)
        places.append(place[keys[place] == row])
    offsets = np.cumsum([0, *(len(place) for place in places)])
    ones = np.ones(offsets[-1], np.float32)
    return sparse.csr_matrix((ones, np.concatenate(places), offsets), shape=(len(present), len(keys)))


def _telling(binary: csr_matrix, targets: list[np.ndarray], entries: int) -> np.ndarray:
    """The columns, ascending, whose n-grams tell most of any target: by its chi-squared statistic."""
    from sklearn.feature_selection import chi2

    if binary.shape[1] <= entries:
        return np.arange(binary.shape[1])
    told = np.zeros(binary.shape[1])
    for target in targets:
        if target.any() and not target.all():
            told = np.fmax(told, chi2(binary, target)[0])  # NaN of what stands in no row
    return np.sort(np.argsort(-told, kind="stable")[:entries])


def _fit_one(binary: csr_matrix, target: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """SVM weights [K], bias, and log-count ratios [K] of one class against the others."""
    from sklearn.svm import LinearSVC

    inside = SMOOTHING + np.asarray(binary[target].sum(axis=0))[0]
    outside = SMOOTHING + np.asarray(binary[~target].sum(axis=0))[0]
    ratio = np.log((inside / inside.sum()) / (outside / outside.sum()))
    svm = LinearSVC(C=PENALTY, dual=True, random_state=0).fit(_scaled(binary, ratio), target)
    return svm.coef_[0], float(svm.intercept_[0]), ratio


def _scaled(binary: csr_matrix, ratio: np.ndarray) -> csr_matrix:
    from sklearn.preprocessing import normalize

    return normalize(binary.multiply(ratio[None, :]).tocsr())


def _logit_scale(margins: np.ndarray, target: np.ndarray) -> float:
    """The factor that makes margins logits: least negative log likelihood (Platt 1999, with no offset)."""
    from scipy.optimize import minimize_scalar

    signs = np.where(target, 1.0, -1.0)
    result = minimize_scalar(
        lambda log_scale: np.mean(np.logaddexp(0.0, -signs * margins * np.exp(log_scale))),
        bounds=(-4.0, 4.0),
        method="bounded",
    )
    return float(np.exp(result.x))
