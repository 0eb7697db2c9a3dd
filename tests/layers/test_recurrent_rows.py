"""The way of three rows into a loop of four steps and back, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from seqpipe.layers.recurrent_rows import Rows, prefix_lengths

X = tf.constant([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]], [[7.0], [8.0], [9.0]]])  # [B, T, 1]
Y = tf.reshape(tf.range(1.0, 13.0), [4, 3, 1])  # [T', B, 1]
LENGTHS = [3, 2, 0]
FORWARDS, BACKWARDS = False, True


def rows(lengths, backwards, multiple=2):
    return Rows(X, lengths, backwards=backwards, multiple=multiple)


def flat(x):
    return np.asarray(x)[..., 0].tolist()


def with_gradient(function, x, weights):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
        loss = tf.reduce_sum(y * weights)
    return flat(y), flat(tape.gradient(loss, x))


def test_recurrent_rows_lengths_are_those_of_a_mask_without_holes():
    found = prefix_lengths(tf.constant([[1, 1, 1], [1, 0, 0], [0, 0, 0]]))
    assert (found.dtype, found.numpy().tolist()) == (tf.int32, [3, 1, 0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="A mask has a real step behind one that is not"):
        prefix_lengths(tf.constant([[True, True], [False, True]]))


@pytest.mark.parametrize(
    ("lengths", "backwards", "loop", "gradient"),
    [
        (None, FORWARDS, [[1, 4, 7], [2, 5, 8], [3, 6, 9], [3, 6, 9]], [[1, 4, 7], [2, 5, 8], [3, 6, 9]]),
        (None, BACKWARDS, [[3, 6, 9], [2, 5, 8], [1, 4, 7], [1, 4, 7]], [[7, 4, 1], [8, 5, 2], [9, 6, 3]]),
        (LENGTHS, FORWARDS, [[1, 4, 7], [2, 5, 7], [3, 5, 7], [3, 5, 7]], [[1, 4, 7], [2, 5, 0], [0, 0, 0]]),
        (LENGTHS, BACKWARDS, [[3, 5, 7], [2, 4, 7], [1, 4, 7], [1, 4, 7]], [[7, 4, 1], [5, 2, 0], [0, 0, 0]]),
    ],
)
def test_recurrent_rows_go_into_the_loop_and_each_real_step_has_the_gradient_of_its_turn(
    lengths, backwards, loop, gradient
):
    gradient = np.array(gradient).T.tolist() if lengths is None and not backwards else gradient
    found = with_gradient(rows(lengths, backwards).to_loop, X, Y)
    assert found == (loop, gradient)


