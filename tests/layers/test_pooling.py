from __future__ import annotations

import numpy as np
import pytest
from testing import run_layer_test

from seqpipe.layers import AttentionMaxPooling, AttentionPooling, MaxPooling, MeanPooling

LAYERS = {
    "attention": lambda: AttentionPooling(4),
    "attention_max": lambda: AttentionMaxPooling(4),
    "mean": MeanPooling,
    "max": MaxPooling,
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_pooling_properties(make):
    run_layer_test(make)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_pooling_weights_sum_to_one_over_real_steps(make):
    x = np.random.default_rng(0).normal(size=(3, 6, 5)).astype(np.float32)
    pooled, weights = make()(x, np.array([6, 2, 0], np.int32))
    np.testing.assert_allclose(weights.numpy().sum(axis=1), [1, 1, 0], atol=1e-6)
    assert not weights.numpy()[1, 2:].any()
    assert not pooled.numpy()[2].any()


def test_pooling_mean_and_max_are_numpys():
    x = np.random.default_rng(0).normal(size=(1, 6, 5)).astype(np.float32)
    lengths = np.array([4], np.int32)
    np.testing.assert_allclose(MeanPooling()(x, lengths)[0][0], x[0, :4].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(MaxPooling()(x, lengths)[0][0], x[0, :4].max(axis=0))


def test_pooling_max_is_shared_by_steps_that_tie_but_for_rounding():
    x = np.array([[[2.0, -300.0003], [2.0 + 1e-6, -300.0], [1.9, -400.0], [9.0, 9.0]]], np.float32)
    pooled, weights = MaxPooling()(x, np.array([3], np.int32))
    np.testing.assert_array_equal(pooled[0], [2.0 + np.float32(1e-6), -300.0])
    np.testing.assert_allclose(weights[0], [0.5, 0.5, 0, 0], atol=1e-7)


def test_pooling_max_of_an_empty_row_is_zero_in_half_precision():
    pooled, _ = MaxPooling(dtype="mixed_float16")(np.ones((2, 3, 2), np.float32), np.array([2, 0], np.int32))
    np.testing.assert_array_equal(pooled, [[1, 1], [0, 0]])


def test_pooling_mean_of_many_steps_in_half_precision():
    x = np.random.default_rng(0).normal(90, 10, size=(1, 2000, 3)).astype(np.float32)
    pooled, _ = MeanPooling(dtype="mixed_float16")(x, np.array([2000], np.int32))
    np.testing.assert_allclose(pooled[0], x[0].mean(axis=0), rtol=1e-3)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
def test_pooling_of_no_rows(make):
    pooled, weights = make()(np.zeros((0, 6, 5), np.float32), np.zeros(0, np.int32))
    assert pooled.shape[0] == 0
    assert weights.shape == (0, 6)


def test_pooling_attention_max_is_both_side_by_side():
    x = np.random.default_rng(0).normal(size=(2, 6, 5)).astype(np.float32)
    lengths = np.array([6, 3], np.int32)
    layer = AttentionMaxPooling(4)
    pooled, weights = layer(x, lengths)
    mean, mean_weights = layer.attention(x, lengths)
    largest, largest_weights = MaxPooling()(x, lengths)
    np.testing.assert_array_equal(pooled, np.concatenate([mean, largest], axis=1))
    np.testing.assert_allclose(weights, (mean_weights + largest_weights) / 2, atol=1e-7)


def test_pooling_attention_is_the_formula():
    x = np.random.default_rng(0).normal(size=(1, 6, 5)).astype(np.float32)
    layer = AttentionPooling(3)
    pooled, weights = layer(x, np.array([4], np.int32))
    kernel, bias, score = (w.astype(np.float64) for w in layer.get_weights())
    scores = np.tanh(x[0, :4] @ kernel + bias) @ score[:, 0]
    expected = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(weights[0, :4], expected, atol=1e-6)
    np.testing.assert_allclose(pooled[0], expected @ x[0, :4], atol=1e-6)
