"""What each layer of a model sees of its input, what it costs, and how often its parameters are shared.

A step of a layer's output depends on `receptive_field` steps of the model's input and lies `stride` input steps from
its neighbour (Araujo et al. 2019, Computing Receptive Fields of Convolutional Neural Networks).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import keras

from seqpipe import layers

RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)  # ours are such
POOLING = (layers.AttentionPooling, layers.AttentionMaxPooling, layers.MeanPooling, layers.MaxPooling)


@dataclass(frozen=True)
class LayerReport:
    """One row of the report.

    receptive_field: input steps one output step depends on; None: the whole sequence.
    stride: input steps between two output steps.
    parameters: trainable and not.
    times_shared: steps of a typical row at which the same parameters are used.
    dense_parameters: what a dense layer between the same input and output of a typical row would need.
    shortest_input: input steps needed for one output step without zero padding.
    """

    name: str
    receptive_field: int | None
    stride: int
    parameters: int
    times_shared: int
    dense_parameters: int
    shortest_input: int


def receptive_field_report(model: keras.Model, *, typical_steps: int) -> list[LayerReport]:
    """A row for each layer that mixes time steps or has parameters, in the model's order.

    Args:
        model: any functional model whose layers follow one another.
        typical_steps: input length for which sharing is counted, for example the median.
    """
    rows: list[LayerReport] = []
    field: int | None = 1
    stride = 1
    for layer, windows in _mixing(model):
        steps_in = -(-typical_steps // stride)
        for span, jump in windows:
            field = None if field is None else field + (span - 1) * stride
            stride *= jump
        if isinstance(layer, (*RECURRENT, *POOLING)):
            field = None
        steps_out = -(-typical_steps // stride)
        if isinstance(layer, POOLING):
            steps_out = 1
        elif _has_no_time(layer):
            steps_in = steps_out = 1
        rows.append(
            LayerReport(
                name=layer.name,
                receptive_field=field,
                stride=stride,
                parameters=layer.count_params(),
                times_shared=steps_in if isinstance(layer, POOLING) else steps_out,
                dense_parameters=steps_in * _values(layer.input) * steps_out * _values(layer.output),
                shortest_input=1 if field is None else field,
            )
        )
    return rows


def total_stride(model: keras.Model) -> int:
    """Input steps between two steps of the last layer that has time."""
    return math.prod(jump for _, windows in _mixing(model) for _, jump in windows)


def _mixing(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, list[tuple[int, int]]]]:
    """Layers worth a row, each with the (span, stride) of the windows it applies one after the other."""
    for layer in model.layers:
        if isinstance(layer, (layers.ConvolutionBlock, layers.SpectrogramBlock)):
            yield layer, [(layer.span, layer.stride), (layer.pool, layer.pool)]
        elif isinstance(layer, keras.layers.Conv1D):
            yield layer, [((layer.kernel_size[0] - 1) * layer.dilation_rate[0] + 1, layer.strides[0])]
        elif isinstance(layer, (keras.layers.MaxPooling1D, keras.layers.AveragePooling1D)):
            size = layer.pool_size if isinstance(layer.pool_size, int) else layer.pool_size[0]
            jump = layer.strides if isinstance(layer.strides, int) else layer.strides[0]
            yield layer, [(size, jump)]
        elif isinstance(layer, (*RECURRENT, *POOLING)) or layer.count_params():
            yield layer, []


def _has_no_time(layer: keras.layers.Layer) -> bool:
    """Whether the layer comes after the pooling."""
    return not isinstance(layer.output, (list, tuple)) and len(layer.output.shape) == 2


def _values(shape_of: keras.KerasTensor | list[keras.KerasTensor] | tuple[keras.KerasTensor, ...]) -> int:
    """Values that a layer's first input or output has a step, or at all where it has no time; 1 for ids."""
    tensor = shape_of[0] if isinstance(shape_of, (list, tuple)) else shape_of
    return math.prod(size or 1 for size in tensor.shape[1:][-1 if len(tensor.shape) < 3 else 1 :])
