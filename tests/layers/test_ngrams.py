from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from seqpipe.data.examples import Ragged
from seqpipe.errors import DataError
from seqpipe.layers import NgramExpert
from seqpipe.layers.ngrams import NOTHING
from seqpipe.text.ngrams import NgramTables, fit_ngrams, ngram_keys

RNG = np.random.default_rng(0)
ROWS = [RNG.integers(4, 40, size=n).astype(np.int32) for n in (0, 1, 2, 3, 17, 60)]


def rows_with_a_rule(count, classes):
    """The class is told by which pair of neighbours a row holds."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, classes, count)
    rows = [rng.integers(10, 30, size=12).astype(np.int32) for _ in range(count)]
    for row, label in zip(rows, labels, strict=True):
        row[3:5] = (5, 6 + label)
    return Ragged.from_rows(rows), labels


def test_keys_are_those_of_the_layer():
    layer = NgramExpert(3, entries=10, classes=2)
    ids, lengths = Ragged.from_rows(ROWS).padded(np.arange(len(ROWS)))
    found = layer._keys(tf.constant(ids), tf.constant(lengths)).numpy()
    for row, keys in zip(ROWS, found, strict=True):
        assert sorted(set(keys[keys != NOTHING])) == ngram_keys(row, 3).tolist()


def test_keys_of_different_ngrams_differ():
    assert len(ngram_keys(np.arange(20_000, dtype=np.int32), 3)) == 20_000 + 19_999 + 19_998


@pytest.mark.parametrize("classes", [2, 3])
def test_expert_learns_pairs_and_answers_as_numpy_does(classes):
    rows, labels = rows_with_a_rule(300, classes)
    tables = fit_ngrams(rows, labels, classes, longest=2, entries=500, seed=1)
    layer = NgramExpert(2, entries=len(tables.keys), classes=classes)
    ids, lengths = rows.padded(np.arange(300))
    layer(np.zeros((300, classes), np.float32), ids, lengths)
    layer.set_tables(tables)
    logits = layer(np.zeros((300, classes), np.float32), ids, lengths).numpy()
    assert (logits.argmax(-1) == labels).mean() > 0.95
    buckets = np.flatnonzero(np.isin(tables.keys, ngram_keys(ids[0], 2)))
    weights, squares = tables.weights.astype(np.float64), tables.squares.astype(np.float64)
    expected = weights[buckets].sum(0) / np.sqrt(squares[buckets].sum(0)) + tables.bias
    expected = np.array([-expected[0], expected[0]]) / 2 if classes == 2 else expected
    np.testing.assert_allclose(logits[0], expected, atol=1e-4)


def test_expert_passes_over_what_it_does_not_know():
    keys = sorted(ngram_keys(ROWS[4], 2).tolist())
    layer = NgramExpert(2, entries=3, classes=3)
    ids, lengths = Ragged.from_rows(ROWS[4:5]).padded(np.arange(1))
    nothing = layer(np.zeros((1, 3), np.float32), ids, lengths).numpy()
    known = np.array([keys[0] - 3, keys[0] - 2, keys[0] - 1], layer.keys.dtype)  # each key of the row is larger
    ones, none = np.ones((3, 3), np.float32), np.zeros(3, np.float32)
    beside = keys[0] - 2 if keys[1] == keys[0] + 1 else keys[0] + 1
    for others in (known, sorted([keys[0] - 1, beside, keys[-1] + 1])):
        layer.set_tables(NgramTables(np.array(others, layer.keys.dtype), ones, ones, none))
        np.testing.assert_array_equal(layer(np.zeros((1, 3), np.float32), ids, lengths), nothing)
    layer.set_tables(NgramTables(np.append(known[1:], keys[0]), ones, ones, none))
    np.testing.assert_allclose(layer(np.zeros((1, 3), np.float32), ids, lengths), [[1.0] * 3], atol=1e-6)


def test_expert_lets_the_network_count_as_much_as_its_scale_says():
    rows, labels = rows_with_a_rule(50, 2)
    tables = fit_ngrams(rows, labels, 2, longest=2, entries=500, seed=1)
    layer = NgramExpert(2, entries=len(tables.keys), classes=2)
    ids, lengths = rows.padded(np.arange(4))
    network = RNG.normal(size=(4, 2)).astype(np.float32)
    silent = layer(np.zeros_like(network), ids, lengths)
    layer.set_tables(tables)
    alone = layer(np.zeros_like(network), ids, lengths)
    assert not np.allclose(silent, alone)
    layer.network_scale.assign(0.25)
    np.testing.assert_allclose(layer(network, ids, lengths), 0.25 * network + alone, atol=1e-6)


def test_expert_is_silent_in_training_and_ignores_padding():
    row = np.array([[7, 8, 9]], np.int32)
    keys = ngram_keys(np.array([7, 7, 8, 9, 7], np.int32), 2)
    layer = NgramExpert(2, entries=len(keys), classes=2)
    logits = np.ones((1, 2), np.float32)
    layer(logits, row, np.array([3]))
    layer.set_tables(NgramTables(keys, RNG.normal(size=(len(keys), 1)), np.ones((len(keys), 1)), np.zeros(1)))
    alone = layer(logits, row, np.array([3])).numpy()
    wide = layer(
        np.ones((2, 2), np.float32), np.pad(row, [(0, 1), (0, 9)], constant_values=7), np.array([3, 12])
    ).numpy()
    np.testing.assert_allclose(wide[:1], alone, atol=1e-6)
    assert (alone != logits).all()
    np.testing.assert_array_equal(layer(logits, row, np.array([3]), training=True), logits)


def test_tables_survive_saving(tmp_path):
    rows, labels = rows_with_a_rule(50, 2)
    tables = fit_ngrams(rows, labels, 2, longest=2, entries=500, seed=1)
    tables.save(tmp_path / "t.npz")
    again = NgramTables.load(tmp_path / "t.npz")
    np.testing.assert_array_equal(again.weights, tables.weights)


def test_fit_with_nothing_to_learn():
    rows = Ragged.from_rows([np.array([10 + i], np.int32) for i in range(4)])
    with pytest.raises(DataError, match=r"no n-gram stands in two training rows"):
        fit_ngrams(rows, np.array([0, 1, 0, 1]), 2, longest=2, entries=10, seed=1)


def test_expert_has_a_logit_for_each_of_several_labels():
    rows, first = rows_with_a_rule(300, 2)
    labels = np.stack([first, np.ones(300, int)], axis=1)
    tables = fit_ngrams(rows, labels, 2, longest=2, entries=500, seed=1)
    layer = NgramExpert(2, entries=len(tables.keys), classes=2, several=True)
    ids, lengths = rows.padded(np.arange(300))
    layer(np.zeros((300, 2), np.float32), ids, lengths)
    layer.set_tables(tables)
    logits = layer(np.zeros((300, 2), np.float32), ids, lengths).numpy()
    assert ((logits[:, 0] > 0) == first).mean() > 0.95
    assert (logits[:, 1] > 4).all(), "all rows have it"
    again = NgramExpert.from_config(layer.get_config())
    again.build()
    assert again.table.shape == layer.table.shape == (len(tables.keys), 2)


def test_expert_alone_works_in_mixed_precision():
    layer = NgramExpert(2, entries=4, classes=3, dtype="mixed_bfloat16")
    found = layer(np.zeros((2, 3), np.float32), np.ones((2, 5), np.int32), np.array([5, 0], np.int32))
    assert found.dtype == tf.bfloat16
    assert {weight.value.dtype for weight in (layer.bias, layer.network_scale)} == {tf.float32}
