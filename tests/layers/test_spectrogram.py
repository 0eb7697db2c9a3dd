from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from testing import run_layer_test

from seqpipe.layers import LastSteps, SpectrogramBlock
from seqpipe.layers.spectrogram import FoldedBlock


@pytest.mark.parametrize(
    ("padding", "kernel", "stride"), [("same", 3, 1), ("same", 5, 2), ("causal", 5, 2), ("causal", 3, 1)]
)
def test_spectrogram_block(padding, kernel, stride):
    run_layer_test(
        lambda: SpectrogramBlock(4, kernel_frames=kernel, stride_frames=stride, stride_bands=2, padding=padding)
    )


@pytest.mark.parametrize("stride_bands", [1, 2, 3])
def test_spectrogram_block_is_keras_conv2d_on_a_full_row(stride_bands):
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype(np.float32)
    block = SpectrogramBlock(4, kernel_frames=3, kernel_bands=4, stride_bands=stride_bands)
    y, lengths = block(x, np.array([9, 9], np.int32))
    assert lengths.numpy().tolist() == [9, 9]
    same = tf.nn.conv2d(x, block.convolution.kernel, strides=(1, stride_bands), padding="SAME")
    np.testing.assert_allclose(y, tf.nn.relu(same / np.sqrt(1 + block.norm.epsilon)), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float64", "float16", "mixed_float16"])
@pytest.mark.parametrize("lengths", [[7, 7], [7, 3]])
def test_spectrogram_block_learns_in_any_precision(dtype, lengths):
    x = np.random.default_rng(0).normal(size=(2, 7, 6)).astype(np.float32)
    layer, full = SpectrogramBlock(4, dtype=dtype), SpectrogramBlock(4)
    for one in (full, layer):
        one.build(x.shape)
        one.set_weights(full.get_weights())
    answers = [one(x, np.array(lengths), training=True)[0] for one in (layer, full)]
    np.testing.assert_allclose(*(np.asarray(answer, np.float32) for answer in answers), atol=0.02)
    np.testing.assert_allclose(layer.norm.moving_mean, full.norm.moving_mean, atol=1e-3)


def test_layers_over_time_refuse_sizes_that_lose_steps():
    with pytest.raises(ValueError, match="stride_frames = 5 is above kernel_frames = 3: sound is lost"):
        SpectrogramBlock(4, stride_frames=5)
    with pytest.raises(ValueError, match="steps = 0 is less than 1"):
        LastSteps(0)


@pytest.mark.parametrize("lengths", [[7, 7], [7, 3], [0, 0]])
def test_spectrogram_block_normalises_by_the_real_frames_of_the_batch(lengths):
    x = np.random.default_rng(0).normal(2.0, 3.0, size=(2, 7, 2)).astype(np.float32)
    block = SpectrogramBlock(3, kernel_frames=1, kernel_bands=1)
    block.build(x.shape)
    block.norm.gamma.assign([1.0, 2.0, 0.5])
    block.norm.beta.assign([0.5, 0.0, -0.5])
    y, _ = block(x, np.array(lengths, np.int32), training=True)
    kernel = block.convolution.kernel.numpy().reshape(1, 3)
    real = np.concatenate([x[row, :length].reshape(-1, 1) @ kernel for row, length in enumerate(lengths)])
    mean, variance = (real.mean(0), real.var(0)) if len(real) else (np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(block.norm.moving_mean, (1 - block.norm.momentum) * mean, rtol=1e-4, atol=1e-6)
    kept = block.norm.momentum + (1 - block.norm.momentum) * variance
    np.testing.assert_allclose(block.norm.moving_variance, kept, rtol=1e-5)
    scale = np.array([1.0, 2.0, 0.5]) / np.sqrt(variance + block.norm.epsilon)
    for row, length in enumerate(lengths):
        expected = np.maximum((x[row, :length, :, None] * kernel[0] - mean) * scale + [0.5, 0.0, -0.5], 0)
        np.testing.assert_allclose(y[row, :length], expected, atol=1e-4)
        assert not y[row, length:].numpy().any()


def test_spectrogram_block_that_is_frozen_normalises_as_it_serves():
    x = np.random.default_rng(0).normal(2.0, 3.0, size=(2, 7, 2)).astype(np.float32)
    block = SpectrogramBlock(3, kernel_frames=1, kernel_bands=1)
    served, _ = block(x, np.array([7, 5], np.int32))
    block.trainable = False
    y, _ = block(x, np.array([7, 5], np.int32), training=True)
    np.testing.assert_array_equal(y, served)
    np.testing.assert_array_equal(block.norm.moving_mean, np.zeros(3))


def test_last_steps():
    run_layer_test(lambda: LastSteps(4))
    x = np.arange(12, dtype=np.float32).reshape(2, 6, 1)
    y, lengths = LastSteps(3)(x, np.array([6, 2], np.int32))
    np.testing.assert_array_equal(y[:, :, 0], [[3, 4, 5], [6, 7, 0]])
    np.testing.assert_array_equal(lengths, [3, 2])


@pytest.mark.parametrize(("kernel", "stride"), [(5, 2), (3, 1), (1, 1)])
def test_folded_block_answers_and_streams_as_the_whole(kernel, stride):
    rng = np.random.default_rng(0)
    layer = SpectrogramBlock(4, kernel_frames=kernel, stride_frames=stride, stride_bands=2, padding="causal")
    x = rng.normal(size=(2, 1 + 6 * stride, 5)).astype(np.float32)
    layer(x, np.array([x.shape[1], 3], np.int32), training=True)  # moves the means that are folded in
    whole, _ = layer(x, np.array([x.shape[1]] * 2, np.int32))
    folded = FoldedBlock(layer)
    np.testing.assert_allclose(folded(tf.constant(x)), whole, atol=1e-5)
    before = tf.zeros([2, kernel - stride, 5])
    x = np.concatenate([np.zeros((2, stride - 1, 5), np.float32), x], axis=1)
    parts, start = [], 0
    for outputs in (1, 3, 2, 1):
        y, before = folded.stream(tf.constant(x[:, start : start + outputs * stride]), before)
        parts.append(y)
        start += outputs * stride
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)


def test_spectrogram_block_refuses_another_padding():
    with pytest.raises(ValueError, match='padding = "valid" is not one of same, causal'):
        SpectrogramBlock(4, padding="valid")
