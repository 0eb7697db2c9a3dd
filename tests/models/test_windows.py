from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from seqpipe.models.windows import cut_into_windows, pooled, windowed

IDS = np.arange(1, 8, dtype=np.int32)


def score(ids, lengths):
    """Two numbers of each row's real pieces."""
    real = tf.cast(tf.sequence_mask(lengths, tf.shape(ids)[1]), tf.float32) * tf.cast(ids, tf.float32)
    return tf.stack([tf.reduce_sum(real**2, axis=1), tf.cast(lengths, tf.float32) - 1.0], axis=1)


@pytest.mark.parametrize("length", range(8))
@pytest.mark.parametrize("padding", [0, 1, 9])
def test_windows_are_scored_alone_and_weighted_by_their_pieces(length, padding):
    ids = np.zeros((1, max(1, length) + padding), np.int32)
    ids[0, :length] = IDS[:length]
    answer = windowed(score, tf.constant(ids), tf.constant([length]), 3)
    parts = [IDS[start : min(start + 3, length)] for start in range(0, max(1, length), 3)]
    each = np.array([[(part.astype(float) ** 2).sum(), len(part) - 1.0] for part in parts])
    sizes = np.array([len(part) for part in parts], float)
    weights = sizes / sizes.sum() if length else np.ones(1)
    np.testing.assert_allclose(answer[0], weights @ each, rtol=1e-6)


def test_windows_short_rows_are_not_padded_to_a_window():
    ids, lengths = cut_into_windows(tf.constant([[5, 6]]), tf.constant([2]), 100)
    assert ids.shape == (1, 2)
    assert lengths.numpy().tolist() == [[2]]


def test_windows_without_a_size_are_the_whole():
    ids, lengths = tf.constant([[5, 6, 0]]), tf.constant([2])
    np.testing.assert_array_equal(windowed(score, ids, lengths, None), score(ids, lengths))


def test_windows_pool_anything_of_a_row():
    scores = tf.reshape(tf.range(8.0), [4, 2])
    np.testing.assert_allclose(pooled(scores, tf.constant([[3, 1], [0, 0]])), [[0.5, 1.5], [4.0, 5.0]])
