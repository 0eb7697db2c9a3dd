"""Masks, zeros and strides of padded batches, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from seqpipe.layers.lengths import step_mask, strided, within, zero_beyond


def test_lengths_mask_is_true_up_to_each_length():
    expected = [[False, False, False], [True, False, False], [True, True, True]]
    assert step_mask(np.array([0, 1, 3], np.int64), 3).numpy().tolist() == expected
    assert step_mask(tf.constant([2]), tf.constant(4)).numpy().tolist() == [[True, True, False, False]]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
def test_lengths_zero_beyond_keeps_real_steps_and_the_type(dtype):
    x = tf.cast(tf.reshape(tf.range(1, 13), [2, 3, 2]), dtype)
    found = zero_beyond(x, np.array([2, 0]))
    assert found.dtype == dtype
    assert tf.cast(found, tf.int32).numpy().tolist() == [[[1, 2], [3, 4], [0, 0]], [[0, 0]] * 3]


def test_lengths_zero_beyond_lets_no_nan_through():
    x = np.array([[[1.0], [np.nan], [np.inf]]], np.float32)
    assert zero_beyond(x, np.array([1])).numpy().tolist() == [[[1.0], [0.0], [0.0]]]


def test_lengths_and_what_they_measure_have_their_rank():
    with pytest.raises(ValueError, match=r"lengths must be \[B\], not \(2, 1\)"):
        step_mask(np.ones((2, 1), np.int32), 3)
    with pytest.raises(ValueError, match=r"x must be \[B, T, C\], not \(2, 3\)"):
        zero_beyond(np.ones((2, 3), np.float32), np.ones(2, np.int32))


def test_lengths_within_are_no_longer_than_the_rows():
    assert within(np.array([-1, 0, 3, 9]), 3).numpy().tolist() == [0, 0, 3, 3]


@pytest.mark.parametrize(
    ("stride", "expected"), [(1, [0, 1, 2, 3, 4, 5]), (2, [0, 1, 1, 2, 2, 3]), (3, [0, 1, 1, 1, 2, 2])]
)
def test_lengths_after_a_stride_are_rounded_up(stride, expected):
    assert [strided(length, stride) for length in range(6)] == expected
    assert strided(tf.range(6), stride).numpy().tolist() == expected
