"""Keras' recurrent layers, made for the CPU and for lengths: same arguments, same weights, same answers.

They subclass Keras' layers and compute with the loops of `recurrent_kernels.py`. Padding never changes an answer:
a row's state stops at its last real step, outputs beyond it are exactly zero, and `go_backwards` turns each row
around by its own length, so that padding stays at the end.

Axes: B batch, T time (steps), C channels, U units, G gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seqpipe.layers import recurrent_kernels as kernels

Tensor = Any
Shape = tuple[int | None, ...]


class _Lengths:
    """What our LSTM, GRU and SimpleRNN share: a mixin in front of Keras' layer of that name.

    Call arguments:
        sequences: float [B, T, C].
        lengths: int32 [B], 0..T, real steps of each row; without it every step is real.
        initial_state: tensors [B, U], as Keras takes them; zeros without it.
        mask: bool [B, T], Keras' alternative to lengths. Any pattern: masked steps are passed over. Right-padded
            ones are best given as lengths, which saves moving the real steps together.
        training: whether dropout applies.
        aligned: with go_backwards, leave each output at its input's step instead of in the order of the loop.
    Returns:
        [B, T, U] with return_sequences, zero beyond each length; else [B, U], the output of the last real step,
        zero for a length of 0. With return_state also the state after the last real step (after none: the
        initial state).
    """

    def __init__(self, *args: Any, weight_dropout: float = 0.0, **kwargs: Any):
        if not 0 <= weight_dropout < 1:
            raise ValueError(f"weight_dropout = {weight_dropout} is not a share. Allowed: 0 <= weight_dropout < 1.")
        super().__init__(*args, **kwargs)
        self.weight_dropout = weight_dropout

    def build(self, sequences_shape: Shape, lengths_shape: Any = None, initial_state_shape: Any = None) -> None:
        super().build(sequences_shape)

    def compute_output_shape(
        self, sequences_shape: Shape, lengths_shape: Any = None, initial_state_shape: Any = None
    ) -> Any:
        return super().compute_output_shape(sequences_shape)

    def call(
        self,
        sequences: Tensor,
        lengths: Tensor | None = None,
        initial_state: Any = None,
        mask: Tensor | None = None,
        training: bool = False,
        aligned: bool = False,
    ) -> Any:
        rows = _Rows.of(sequences, lengths, mask, backwards=self.go_backwards)
        if initial_state is None:
            batch = tf.shape(sequences)[0]
            initial_state = self.states if self.stateful else self.cell.get_initial_state(batch_size=batch)
        if not isinstance(initial_state, Sequence):
            initial_state = [initial_state]
        initial_state = [tf.cast(keras.ops.convert_to_tensor(s), self.compute_dtype) for s in initial_state]

        states = self._run(rows.time_major(sequences), initial_state, rows.valid, training=bool(training))
        final = [rows.last(s, first) for s, first in zip(states, initial_state, strict=True)]
        if self.stateful:
            for variable, state in zip(self.states, final, strict=True):
                variable.assign(state)
        if self.return_sequences:
            output = rows.batch_major(states[0], aligned=aligned)  # [B, T, U]
        else:
            output = rows.last(states[0], tf.zeros_like(initial_state[0]))
        return (output, *final) if self.return_state else output

    def _run(self, x: Tensor, state: list[Tensor], valid: Tensor | None, *, training: bool) -> tuple[Tensor, ...]:
        """Every step's state, [T, B, U] each, of time-major inputs [T, B, C]."""
        dropped = training and 0 < self.cell.dropout < 1
        state_dropped = training and 0 < self.cell.recurrent_dropout < 1
        input_masks = self.cell.get_dropout_mask(x[0]) if dropped else None
        state_masks = self.cell.get_recurrent_dropout_mask(state[0]) if state_dropped else None
        self.cell.reset_dropout_mask()
        self.cell.reset_recurrent_dropout_mask()

        recurrent_kernel = _value(self.cell.recurrent_kernel)
        if training and self.weight_dropout:
            recurrent_kernel = keras.random.dropout(
                recurrent_kernel, self.weight_dropout, seed=self.cell.seed_generator
            )
        if state_masks is not None:
            state_masks = tf.stack(state_masks if isinstance(state_masks, list) else [state_masks])
        products = _input_products(x, _value(self.cell.kernel), input_masks)
        return self._loop(products, state, recurrent_kernel, state_masks, valid)

    def get_config(self) -> dict[str, Any]:
        """Keras' config; weight_dropout only where it is used, so that Keras' layer reads it too."""
        config = super().get_config()
        return {**config, "weight_dropout": self.weight_dropout} if self.weight_dropout else config


@keras.saving.register_keras_serializable(package="seqpipe")
class LSTM(_Lengths, keras.layers.LSTM):
    """Keras' LSTM that takes lengths.

    Args: those of `keras.layers.LSTM`, and weight_dropout: share of the recurrent kernel's weights dropped in each
        training step (DropConnect; Merity et al., 2017).
    """

    __doc__ += _Lengths.__doc__.split("\n", 1)[1]

    def _loop(self, x, state, kernel, masks, valid):
        x = x if self.cell.bias is None else x + _value(self.cell.bias)
        return kernels.lstm(
            x, *state, kernel, masks, valid, activations=(self.activation, self.recurrent_activation)
        )


@keras.saving.register_keras_serializable(package="seqpipe")
class GRU(_Lengths, keras.layers.GRU):
    """Keras' GRU that takes lengths.

    Args: those of `keras.layers.GRU`, and weight_dropout: share of the recurrent kernel's weights dropped in each
        training step (DropConnect; Merity et al., 2017).
    """

    __doc__ += _Lengths.__doc__.split("\n", 1)[1]

    def _loop(self, x, state, kernel, masks, valid):
        bias = None if self.cell.bias is None else _value(self.cell.bias)
        activations = (self.activation, self.recurrent_activation)
        if not self.reset_after:
            x = x if bias is None else x + bias
            return (kernels.gru_reset_before(x, *state, kernel, masks, valid, activations=activations),)
        x = x if bias is None else x + bias[0]
        recurrent_bias = None if bias is None else bias[1]
        return (kernels.gru(x, *state, kernel, recurrent_bias, masks, valid, activations=activations),)


@keras.saving.register_keras_serializable(package="seqpipe")
class SimpleRNN(_Lengths, keras.layers.SimpleRNN):
    """Keras' SimpleRNN that takes lengths.

    Args: those of `keras.layers.SimpleRNN`, and weight_dropout: share of the recurrent kernel's weights dropped in
        each training step (DropConnect; Merity et al., 2017).
    """

    __doc__ += _Lengths.__doc__.split("\n", 1)[1]

    def _loop(self, x, state, kernel, masks, valid):
        x = x if self.cell.bias is None else x + _value(self.cell.bias)
        return (kernels.simple(x, *state, kernel, masks, valid, activation=self.activation),)


@keras.saving.register_keras_serializable(package="seqpipe")
class Bidirectional(keras.layers.Bidirectional):
    """Keras' Bidirectional over one of our layers; takes lengths, and the two outputs are aligned in time.

    Args: those of `keras.layers.Bidirectional`.
    Call arguments and padding: as the wrapped layer's; initial_state holds the forward states, then the backward ones.
    """

    def __init__(self, layer: keras.layers.Layer, *args: Any, **kwargs: Any):
        for wrapped in (layer, kwargs.get("backward_layer")):
            if wrapped is not None and not isinstance(wrapped, _Lengths):
                raise TypeError(
                    f"Bidirectional wraps {type(wrapped).__module__}.{type(wrapped).__name__}. "
                    "Allowed: seqpipe.layers.LSTM, GRU, SimpleRNN."
                )
        super().__init__(layer, *args, **kwargs)

    def build(self, sequences_shape: Shape, lengths_shape: Any = None, initial_state_shape: Any = None) -> None:
        super().build(sequences_shape)

    def compute_output_shape(
        self, sequences_shape: Shape, lengths_shape: Any = None, initial_state_shape: Any = None
    ) -> Any:
        return super().compute_output_shape(sequences_shape)

    def call(
        self,
        sequences: Tensor,
        lengths: Tensor | None = None,
        initial_state: Any = None,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Any:
        half = len(initial_state) // 2 if initial_state is not None else 0
        outputs, states = [], []
        for layer, state in (
            (self.forward_layer, initial_state and initial_state[:half]),
            (self.backward_layer, initial_state and initial_state[half:]),
        ):
            answer = layer(sequences, lengths, initial_state=state, mask=mask, training=training, aligned=True)
            output, *state = answer if self.return_state else (answer,)
            outputs.append(tf.cast(output, self.compute_dtype))
            states += state
        output = self._merge(*outputs)
        if not self.return_state:
            return output
        return (*output, *states) if self.merge_mode is None else (output, *states)

    def _merge(self, forward: Tensor, backward: Tensor) -> Any:
        match self.merge_mode:
            case "concat":
                return tf.concat([forward, backward], axis=-1)
            case "sum":
                return forward + backward
            case "ave":
                return (forward + backward) / 2
            case "mul":
                return forward * backward
            case None:
                return forward, backward
        raise ValueError(f'merge_mode = "{self.merge_mode}". Allowed: concat, sum, ave, mul, None.')


class _Rows:
    """Where the real steps of a batch are, and how to bring them into time-major order and back."""

    def __init__(self, real: Tensor | None, order: Tensor | None, lengths: Tensor | None, steps: Tensor):
        self.real = real  # [B, T]: the real steps of the batch in a row, then the others; None: they stand so
        self.order = order  # [B, T]: which step of the batch each step of the loop reads; None: the same
        self.lengths = lengths
        self.valid = None  # [T, B, 1]
        if lengths is not None:
            self.valid = (tf.range(steps)[:, tf.newaxis] < lengths)[:, :, tf.newaxis]

    @classmethod
    def of(cls, sequences: Tensor, lengths: Tensor | None, mask: Tensor | None, *, backwards: bool) -> _Rows:
        if lengths is not None and mask is not None:
            raise ValueError("lengths and mask were both given. Allowed: one of them.")
        steps = tf.shape(sequences)[1]
        real = None
        if mask is not None:
            mask = tf.cast(mask, tf.bool)
            lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
            real = tf.argsort(tf.cast(~mask, tf.int32), axis=1, stable=True)  # real steps first
        elif lengths is not None:
            lengths = tf.cast(lengths, tf.int32)
        if not backwards:
            return cls(real, real, lengths, steps)
        ends = tf.fill([tf.shape(sequences)[0]], steps) if lengths is None else lengths
        t = tf.range(steps)
        turned = tf.where(t < ends[:, tf.newaxis], ends[:, tf.newaxis] - 1 - t, t)
        return cls(real, turned if real is None else tf.gather(real, turned, batch_dims=1), lengths, steps)

    @staticmethod
    def transposed(x: Tensor) -> Tensor:
        return tf.transpose(x, [1, 0, 2])

    def time_major(self, x: Tensor) -> Tensor:
        """[B, T, C] -> [T, B, C], steps in the order of the loop."""
        return self.transposed(x if self.order is None else tf.gather(x, self.order, batch_dims=1))

    def batch_major(self, x: Tensor, *, aligned: bool) -> Tensor:
        """[T, B, U] -> [B, T, U], zero where no step is real; aligned: in the order of the batch, not of the loop."""
        if self.valid is not None:
            x = tf.where(self.valid, x, tf.zeros([], x.dtype))
        x = self.transposed(x)
        places = self.order if aligned else self.real
        return x if places is None else tf.gather(x, tf.argsort(places, axis=1), batch_dims=1)

    def last(self, x: Tensor, first: Tensor) -> Tensor:
        """State after the last real step of each row [B, U], of the states [T, B, U]; first where there is none."""
        states = tf.concat([first[tf.newaxis], x], axis=0)  # [T + 1, B, U]
        if self.lengths is None:
            return states[-1]
        return tf.gather_nd(states, tf.stack([self.lengths, tf.range(tf.shape(x)[1])], axis=1))


def _value(variable: Any) -> Tensor:
    """A variable's tensor, in the dtype the layer computes in."""
    return tf.convert_to_tensor(keras.ops.convert_to_tensor(variable))


def _input_products(x: Tensor, kernel: Tensor, masks: Any) -> Tensor:
    """Inputs [T, B, C] times kernel [C, GU], over all steps at once: [T, B, GU].

    Args:
        masks: None, one dropout mask [B, C] for all gates, or a list with one for each gate.
    """
    if masks is None:
        return tf.matmul(x, kernel)
    if not isinstance(masks, list):
        return tf.matmul(x * masks, kernel)
    parts = tf.split(kernel, len(masks), axis=1)
    return tf.concat([tf.matmul(x * mask, part) for mask, part in zip(masks, parts, strict=True)], axis=2)
