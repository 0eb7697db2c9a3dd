from __future__ import annotations

import keras
import numpy as np
import pytest
from testing import run_layer_test

from seqpipe.layers import ConvolutionBlock
from seqpipe.layers.convolution import pool_time

BLOCKS = {
    "plain": {"filters": 5, "kernel_size": 3},
    "even kernel": {"filters": 5, "kernel_size": 4},
    "kernel longer than input": {"filters": 5, "kernel_size": 31},
    "dilated causal": {"filters": 5, "kernel_size": 3, "dilation": 3, "padding": "causal"},
    "strided": {"filters": 5, "kernel_size": 5, "stride": 3, "residual": True},
    "max pool": {"filters": 6, "kernel_size": 3, "pool": 3, "residual": True},
    "average pool": {"filters": 5, "kernel_size": 1, "pool": 4, "pool_kind": "average", "activation": "tanh"},
    "layer norm": {"filters": 5, "kernel_size": 3, "normalisation": "layer", "stride": 2, "pool": 2},
    "batch norm": {"filters": 5, "kernel_size": 3, "normalisation": "batch", "activation": "gelu", "dropout": 0.2},
}


@pytest.mark.parametrize("options", BLOCKS.values(), ids=BLOCKS.keys())
def test_convolution_block_properties(options):
    run_layer_test(lambda: ConvolutionBlock(**options))


@pytest.mark.parametrize("padding", ["same", "causal"])
@pytest.mark.parametrize(("kernel", "dilation"), [(5, 2), (4, 1)])
def test_convolution_block_is_keras_conv1d_on_a_full_row(padding, kernel, dilation):
    x = np.random.default_rng(0).normal(size=(2, 17, 4)).astype(np.float32)
    block = ConvolutionBlock(6, kernel_size=kernel, dilation=dilation, padding=padding, activation="linear")
    y, lengths = block(x, np.array([17, 17], np.int32))
    stock = keras.layers.Conv1D(6, kernel, dilation_rate=dilation, padding=padding)
    stock.build(x.shape)
    stock.set_weights(block.get_weights())
    np.testing.assert_allclose(y, stock(x), atol=1e-6)
    assert lengths.numpy().tolist() == [17, 17]


def test_convolution_block_strides_change_lengths_by_ceil():
    block = ConvolutionBlock(2, kernel_size=3, stride=2, pool=3)
    _, lengths = block(np.zeros((8, 13, 2), np.float32), np.array([0, 1, 2, 3, 6, 7, 12, 13], np.int32))
    assert lengths.numpy().tolist() == [0, 1, 1, 1, 1, 2, 2, 3]


def test_convolution_block_batch_norm_ignores_padding():
    rng = np.random.default_rng(1)
    x = rng.normal(2.0, 3.0, size=(2, 9, 4)).astype(np.float32)
    lengths = np.array([9, 4], np.int32)
    block = ConvolutionBlock(4, kernel_size=1, normalisation="batch", activation="linear")
    block(x, lengths, training=True)
    dense = np.concatenate([block.convolution(x[:1]).numpy()[0], block.convolution(x[1:, :4]).numpy()[0]])
    np.testing.assert_allclose(block.norm.moving_mean, 0.01 * dense.mean(axis=0), rtol=1e-4, atol=1e-6)


def test_convolution_block_refuses_stride_with_dilation():
    with pytest.raises(ValueError, match="stride = 2 and dilation = 2 exclude each other"):
        ConvolutionBlock(2, kernel_size=3, stride=2, dilation=2)


@pytest.mark.parametrize(("name", "allowed"), [("padding", "same, causal"), ("pool_kind", "max, average")])
def test_convolution_block_refuses_what_it_does_not_know(name, allowed):
    with pytest.raises(ValueError, match=f'{name} = "valid" is not one of {allowed}'):
        ConvolutionBlock(2, kernel_size=3, **{name: "valid"})


def test_pool_time_ignores_padding_in_a_partial_window():
    x = np.arange(1, 9, dtype=np.float32).reshape(1, 8, 1)
    lengths = np.array([5], np.int32)
    assert pool_time(x, lengths, 4, "average").numpy().ravel().tolist() == [2.5, 5.0]
    assert pool_time(-x, lengths, 4, "max").numpy().ravel().tolist() == [-1.0, -5.0]
