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
    found = prefix_lengths(tf.constant([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]))
    assert (found.dtype, found.numpy().tolist()) == (tf.int32, [3, 1, 0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="A mask has a real step behind one that is not"):
        prefix_lengths(tf.constant([[True, True], [False, True]]))


WAYS = [  # what the loop reads, [T', B], and whether at a real step; what comes back of Y, [B, T]
    (None, FORWARDS, [[1, 4, 7], [2, 5, 8], [3, 6, 9], [3, 6, 9]], [[1] * 3] * 3, [[1, 4, 7], [2, 5, 8], [3, 6, 9]]),
    (None, BACKWARDS, [[3, 6, 9], [2, 5, 8], [1, 4, 7], [1, 4, 7]], [[1] * 3] * 3, [[7, 4, 1], [8, 5, 2], [9, 6, 3]]),
    (
        LENGTHS,
        FORWARDS,
        [[1, 4, 0], [2, 5, 0], [3, 5, 0], [3, 5, 0]],
        [[1, 1, 0], [1, 1, 0], [1, 0, 0]],
        [[1, 4, 7], [2, 5, 0], [0, 0, 0]],
    ),
    (
        LENGTHS,
        BACKWARDS,
        [[3, 5, 0], [2, 4, 0], [1, 4, 0], [1, 4, 0]],
        [[1, 1, 0], [1, 1, 0], [1, 0, 0]],
        [[7, 4, 1], [5, 2, 0], [0, 0, 0]],
    ),
]


@pytest.mark.parametrize(("lengths", "backwards", "loop", "real", "back"), WAYS)
def test_recurrent_rows_go_in_and_come_back_each_the_gradient_of_the_other(lengths, backwards, loop, real, back):
    way = rows(lengths, backwards)
    assert with_gradient(way.to_loop, X, Y) == (loop, back)
    read = np.array(loop) * [*real, [0, 0, 0]]
    assert with_gradient(way.from_loop, Y, X) == (back, read.tolist())
    assert np.broadcast_to(flat(way.loop_valid), np.shape(loop)).tolist() == [*real, [0, 0, 0]]


def test_recurrent_rows_let_nothing_of_the_padding_through():
    nans = tf.constant(np.where(np.arange(3)[:, None] < np.array(LENGTHS)[:, None, None], X, np.nan), tf.float32)
    way = Rows(nans, LENGTHS, backwards=False, multiple=2)
    loop = way.to_loop(nans)
    assert flat(loop) == [[1, 4, 0], [2, 5, 0], [3, 5, 0], [3, 5, 0]]
    ends = tf.where(way.loop_valid, loop, np.nan)
    assert flat(way.from_loop(ends)) == [[1, 2, 3], [4, 5, 0], [0, 0, 0]]


@pytest.mark.parametrize("backwards", [FORWARDS, BACKWARDS])
def test_recurrent_rows_have_no_more_steps_than_there_are(backwards):
    assert flat(rows([400, 2, -3], backwards).to_loop(X)) == flat(rows(LENGTHS, backwards).to_loop(X))


@pytest.mark.parametrize(("multiple", "steps"), [(1, 3), (2, 4), (3, 3), (4, 4), (5, 5)])
def test_recurrent_rows_fill_up_the_last_turn_of_the_loop(multiple, steps):
    assert rows(LENGTHS, FORWARDS, multiple).to_loop(X).shape == (steps, 3, 1)


def test_recurrent_rows_in_loop_order_are_turned_up_to_their_length():
    assert flat(rows(LENGTHS, BACKWARDS).in_loop_order(X)) == [[3, 2, 1], [5, 4, 6], [7, 8, 9]]
    assert flat(rows(None, BACKWARDS).in_loop_order(X)) == [[3, 2, 1], [6, 5, 4], [9, 8, 7]]


def test_recurrent_rows_at_the_end_have_the_state_of_the_last_real_step_or_the_first():
    first = tf.constant([[-1.0], [-2.0], [-3.0]])
    assert flat(rows(LENGTHS, FORWARDS).at_end(Y, first)) == [7, 5, -3]
    assert flat(rows([1, 3, 1], FORWARDS).at_end(Y, first)) == [1, 8, 3]
    assert flat(rows(None, FORWARDS).at_end(Y, first)) == [7, 8, 9]
