"""The tables of the expert on n-grams, against whole numbers of Python and a dense fit of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from seqpipe.data.examples import Ragged
from seqpipe.errors import DataError
from seqpipe.text.ngrams import NgramTables, fit_ngrams, ngram_keys


def key(*ids):
    """The hash of an n-gram, as artefacts hold it."""
    value = 0
    for place, one in enumerate(ids, start=1):
        value = value * 1_779_033_703 + one + place
    return value * 1_779_033_703 % 2**32 - 2**31


def test_ngrams_keys_are_the_distinct_runs_of_a_row_in_ascending_order():
    found = ngram_keys(np.array([7, 30_000, 7, 30_000], np.int32), 3)
    assert found.dtype == np.int32
    runs = [(7,), (30_000,), (7, 30_000), (30_000, 7), (7, 30_000, 7), (30_000, 7, 30_000)]
    assert found.tolist() == sorted(key(*run) for run in runs)


def test_ngrams_keys_of_short_rows_and_of_pieces_alone():
    assert ngram_keys(np.array([5, 9], np.int32), 4).tolist() == sorted([key(5), key(9), key(5, 9)])
    assert ngram_keys(np.array([5, 9], np.int32), 1).tolist() == sorted([key(5), key(9)])
    assert ngram_keys(np.zeros(0, np.int32), 2).tolist() == []


def noisy(count=48):
    """Rows of words 1 to 6, of which some lean to a class; few are sure."""
    rng = np.random.default_rng(3)
    labels = np.arange(count) % 3
    rows = [np.flatnonzero(rng.random(6) < np.where(np.arange(6) % 3 == label, 0.7, 0.4)) + 1 for label in labels]
    return Ragged.from_rows([*rows[:-1], np.append(rows[-1], 999)]), labels  # 999 stands in one row


def present(rows, words):
    return np.array([[float(word in rows.row(i)) for word in words] for i in range(len(rows))])


def fitted(x, target):
    inside, outside = 1 + x[target].sum(axis=0), 1 + x[~target].sum(axis=0)
    ratio = np.log(inside / inside.sum() * outside.sum() / outside)

    def scaled(x):
        return x * ratio / np.maximum(np.linalg.norm(x * ratio, axis=1, keepdims=True), 1e-12)

    svm = LinearSVC(C=1.0, random_state=0).fit(scaled(x), target)
    return svm.coef_[0] * ratio, ratio**2, svm.intercept_[0], lambda x: svm.decision_function(scaled(x))


def expected(x, target, folds, seed):
    """Weights, squares and bias of a column; the scale has the likelihood's slope at 0."""
    weights, squares, bias, _ = fitted(x, target)
    margins = np.zeros(len(x))
    for fit, hold in StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, target):
        margins[hold] = fitted(x[fit], target[fit])[3](x[hold])
    sided = np.where(target, margins, -margins)
    scale = brentq(lambda scale: np.mean(sided * expit(-scale * sided)), np.exp(-4), np.exp(4))
    return scale * weights, squares, scale * bias


def test_ngrams_fit_is_a_scaled_machine_for_each_class():
    rows, labels = noisy()
    words = sorted(range(1, 7), key=key)
    x = present(rows, words)
    for classes, targets in ((3, [labels == 0, labels == 1, labels == 2]), (2, [labels == 1])):
        tables = fit_ngrams(rows, labels, classes, longest=1, entries=100, seed=5)
        assert tables.keys.tolist() == [key(word) for word in words]
        assert tables.weights.shape == tables.squares.shape == (6, len(targets))
        assert (tables.weights.dtype, tables.squares.dtype, tables.bias.dtype) == (np.float16, np.float16, np.float32)
        for column, target in enumerate(targets):
            weights, squares, bias = expected(x, target, 4, 5)
            np.testing.assert_allclose(tables.weights[:, column], weights, rtol=2e-3)
            np.testing.assert_allclose(tables.squares[:, column], squares, rtol=2e-3)
            np.testing.assert_allclose(tables.bias[column], bias, rtol=1e-3)


def test_ngrams_fit_of_label_sets_has_folds_as_far_as_there_are_rows_and_constants_where_there_is_nothing_to_tell():
    rows, _ = noisy()
    x = present(rows, sorted(range(1, 7), key=key))
    few = np.isin(np.arange(48), [0, 4, 9])
    one = np.arange(48) == 4
    labels = np.stack([few, ~few, one, ~one, np.ones(48), np.zeros(48)], axis=1).astype(int)
    tables = fit_ngrams(rows, labels, 6, longest=1, entries=100, seed=5)
    for column, target in enumerate((few, ~few)):
        weights, _, bias = expected(x, target, 3, 5)
        np.testing.assert_allclose(tables.weights[:, column], weights, rtol=2e-3)
        np.testing.assert_allclose(tables.bias[column], bias, rtol=1e-3)
    for column, target in ((2, one), (3, ~one)):  # a scale of one
        weights, _, bias, _ = fitted(x, target)
        np.testing.assert_allclose(tables.weights[:, column], weights, rtol=2e-3)
        np.testing.assert_allclose(tables.bias[column], bias, rtol=1e-3)
    assert not tables.weights[:, 4:].any()
    assert not tables.squares[:, 4:].any()
    assert tables.bias[4:].tolist() == [5.0, -5.0]


def test_ngrams_kept_are_those_that_tell_most_and_never_those_in_one_row(monkeypatch):
    words = [[9, 1], [9, 1, 8], [9, 1, 7], [9, 8, 2], [9, 2], [9, 8], [9, 7, 5], [9, 8, 7]]
    rows = Ragged.from_rows([np.array(row) for row in words])
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0])

    def kept(entries, **options):
        return set(fit_ngrams(rows, labels, 2, longest=1, entries=entries, seed=1, **options).keys.tolist())

    assert kept(100) == {key(word) for word in (1, 2, 7, 8, 9)}
    assert kept(1) == {key(1)}
    assert kept(2) == {key(1), key(2)}
    sets = np.stack([np.ones(8), np.arange(8) % 2, [1, 1, 1, 0, 0, 0, 0, 0]], axis=1).astype(int)
    tables = fit_ngrams(rows, sets, 3, longest=1, entries=1, seed=1)
    assert set(tables.keys.tolist()) == {key(1)}, "of any label, those that all rows have aside"
    monkeypatch.setattr("seqpipe.text.ngrams.CANDIDATES", 1)
    assert kept(1) == {key(9)}, "of those in the most rows"


def test_ngrams_that_seem_to_tell_by_chance_are_scaled_as_telling_nothing():
    rng = np.random.default_rng(3)
    rows = Ragged.from_rows([rng.choice(3000, 60, replace=False) for _ in range(200)])
    tables = fit_ngrams(rows, rng.integers(0, 2, 200), 2, longest=1, entries=50, seed=1)
    known = set(tables.keys.tolist())
    weights = dict(zip(tables.keys.tolist(), tables.weights[:, 0].astype(float), strict=True))
    squares = dict(zip(tables.keys.tolist(), tables.squares[:, 0].astype(float), strict=True))
    for row in range(200):
        found = [each for each in ngram_keys(rows.row(row), 1).tolist() if each in known]
        logit = sum(weights[each] for each in found) / np.sqrt(max(sum(squares[each] for each in found), 1e-12))
        assert abs(logit + tables.bias[0]) < 0.5


def test_ngrams_fit_refuses_rows_that_share_nothing():
    rows = Ragged.from_rows([np.array([n]) for n in range(4)])
    with pytest.raises(DataError, match=r"^model\.ngrams: no n-gram stands in two training rows, .* Set it to null\.$"):
        fit_ngrams(rows, np.array([0, 1, 0, 1]), 2, longest=1, entries=9, seed=1)


def test_ngrams_tables_are_read_as_they_were_saved(tmp_path):
    parts = {
        "keys": np.array([-5, 7], np.int32),
        "weights": np.array([[1.5], [2.5]], np.float16),
        "squares": np.array([[0.5], [0.25]], np.float16),
        "bias": np.array([0.125], np.float32),
    }
    NgramTables(**parts).save(tmp_path / "tables.npz")
    again = NgramTables.load(tmp_path / "tables.npz")
    for name, part in parts.items():
        np.testing.assert_array_equal(getattr(again, name), part)
        assert getattr(again, name).dtype == part.dtype
