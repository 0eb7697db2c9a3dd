"""A recurrent decoder that looks at an encoder's memory.

Without input feeding nothing of a step depends on where the step before it looked: under teacher forcing each
recurrence runs over all steps at once, and attention and output are a few large products. With more than one layer the
attention sits above the first, so that the upper layers remember what was looked at.

Axes: B batch, T target steps, S source steps, W hypotheses of a row, E channels of inputs, C of the memory, U units,
O output units.
"""

from __future__ import annotations

from typing import Any, Unpack

import keras
import tensorflow as tf
from keras import KerasTensor

from seqpipe.layers.attention import BahdanauAttention, LuongAttention
from seqpipe.layers.lengths import LayerOptions, Shape, Tensor, within, zero_beyond
from seqpipe.layers.recurrent import GRU, LSTM

CELLS = {"lstm": LSTM, "gru": GRU}
State = dict[str, Any]
States = list[list[Tensor]]  # of each recurrent layer


@keras.saving.register_keras_serializable(package="seqpipe")
class AttentionDecoder(keras.layers.Layer):
    """Recurrent layers with attention, for all steps of known targets, or step by step.

    The first state comes from the mean of the memory; the output is tanh of a product of the last state and the context
    (Luong et al. 2015, section 3).

    Args:
        units: U, of each recurrent layer.
        output_units: O.
        cell: lstm or gru.
        layers: recurrent layers; those above the first take the state below and the context.
        attention: luong or bahdanau, how a step scores the memory.
        input_feeding: give each step the output of the step before, at the price of a loop around everything.
        dropout: share of channels dropped from the inputs of each recurrent layer, one mask a row; with input feeding
            of the first one's alone.
        recurrent_dropout: share of the state dropped, one mask a row; 0 with input feeding.
        weight_dropout: share of each recurrent kernel's weights dropped; 0 with input feeding.
    Call arguments:
        x: float [B, T, E], vectors of the pieces before each step.
        lengths: int32 [B], real steps of x.
        memory: float [B, S, C]; what lies beyond its lengths changes nothing.
        memory_lengths: int32 [B].
    Returns:
        (outputs [B, T, O], alignment float32 [B, T, S]), both zero beyond the lengths.
    """

    def __init__(
        self,
        units: int,
        output_units: int,
        *,
        cell: str = "gru",
        layers: int = 1,
        attention: str = "luong",
        input_feeding: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        **base: Unpack[LayerOptions],
    ):
        super().__init__(**base)
        for value, allowed in ((cell, CELLS), (attention, ("luong", "bahdanau"))):
            if value not in allowed:
                raise ValueError(f'"{value}" is not allowed. Allowed: {", ".join(allowed)}.')
        if input_feeding and (recurrent_dropout or weight_dropout):
            raise ValueError("input_feeding allows no recurrent_dropout and no weight_dropout.")
        self.units, self.output_units, self.layers = units, output_units, layers
        self.cell, self.attention, self.input_feeding = cell, attention, input_feeding
        self.dropout, self.recurrent_dropout, self.weight_dropout = dropout, recurrent_dropout, weight_dropout
        policy = self.dtype_policy
        self.recurrent = [
            CELLS[cell](
                units,
                return_sequences=True,
                recurrent_dropout=recurrent_dropout,
                weight_dropout=weight_dropout,
                dtype=policy,
                name=f"{cell}_{number}",
            )
            for number in range(1, layers + 1)
        ]
        self.drops = [
            keras.layers.Dropout(dropout, noise_shape=(None, 1, None), dtype=policy)
            for _ in range(layers if dropout else 0)
        ]
        self.scores = LuongAttention(dtype=policy) if attention == "luong" else BahdanauAttention(units, dtype=policy)
        self.bridge = keras.layers.Dense(units * layers * self._tensors, activation="tanh", dtype=policy, name="bridge")
        self.combine = keras.layers.Dense(output_units, activation="tanh", dtype=policy, name="combine")

    @property
    def _tensors(self) -> int:
        """State tensors of one recurrent layer."""
        return 2 if self.cell == "lstm" else 1

    def build(self, x_shape: Shape, lengths_shape: Shape | None = None, memory_shape: Shape = (), *rest: Shape) -> None:
        channels = memory_shape[-1]
        below = x_shape[-1] + (self.output_units if self.input_feeding else 0)
        for layer in self.recurrent:
            layer.build((None, None, below))
            below = self.units + channels
        self.scores.build((None, None, self.units), memory_shape)
        self.bridge.build((None, channels))
        self.combine.build((None, self.units + channels))
        self.built = True

    def call(
        self, x: Tensor, lengths: Tensor, memory: Tensor, memory_lengths: Tensor, training: bool | None = None
    ) -> tuple[Tensor, Tensor]:
        memory = zero_beyond(tf.cast(memory, self.compute_dtype), memory_lengths)
        if self.input_feeding:
            x = self._dropped(0, zero_beyond(x, lengths), training)
            output, weights = self._fed_loop(x, *self.start(memory, memory_lengths))
        else:
            states = self._first_states(memory, memory_lengths)
            h = self._over_time(0, x, lengths, states, training)
            context, weights = self.scores.attend(h, self.scores.keys(memory), memory, memory_lengths)
            for number in range(1, self.layers):
                h = self._over_time(number, tf.concat([h, context], axis=2), lengths, states, training)
            output = self.combine(tf.concat([h, context], axis=2))
        return zero_beyond(output, lengths), zero_beyond(weights, lengths)

    def start(self, memory: Tensor, memory_lengths: Tensor) -> tuple[State, State]:
        """What a step needs: the state of each hypothesis, [B, 1, ...] each, and what a row's hypotheses share."""
        memory = zero_beyond(memory, memory_lengths)
        state: State = {"cells": [[s[:, tf.newaxis] for s in of] for of in self._first_states(memory, memory_lengths)]}
        if self.input_feeding:
            state["fed"] = tf.zeros([tf.shape(memory)[0], 1, self.output_units], memory.dtype)
        return state, {"memory": memory, "keys": self.scores.keys(memory), "lengths": memory_lengths}

    def step(self, x: Tensor, state: State, shared: State) -> tuple[Tensor, Tensor, State]:
        """One step of W hypotheses a row, without dropout.

        Args:
            x: float [B, W, E].
            state, shared: as `start` makes them, [B, W, ...] each in the state.
        Returns:
            output [B, W, O], alignment [B, W, S], the state after the step.
        """
        rows, width = tf.shape(x)[0], tf.shape(x)[1]
        x = tf.concat([x, state["fed"]], axis=2) if self.input_feeding else x
        h, cells, context, weights = x, [], None, None
        for layer, before in zip(self.recurrent, state["cells"], strict=True):
            flat = tf.reshape(h if context is None else tf.concat([h, context], axis=2), [rows * width, -1])
            flat = tf.ensure_shape(flat, [None, layer.cell.kernel.shape[0]])
            after = layer.step(flat, [tf.reshape(s, [rows * width, self.units]) for s in before])
            cells.append([tf.reshape(s, [rows, width, self.units]) for s in after])
            h = cells[-1][0]
            if context is None:
                context, weights = self.scores.attend(h, shared["keys"], shared["memory"], shared["lengths"])
        flat = tf.reshape(tf.concat([h, context], axis=2), [rows * width, -1])  # XLA differentiates no other in a loop
        flat = tf.ensure_shape(flat, [None, self.combine.kernel.shape[0]])
        output = tf.reshape(self.combine(flat), [rows, width, self.output_units])
        return output, weights, {"cells": cells, **({"fed": output} if self.input_feeding else {})}

    def _first_states(self, memory: Tensor, lengths: Tensor) -> States:
        count = tf.maximum(tf.cast(within(lengths, tf.shape(memory)[1]), tf.float32), 1)[:, tf.newaxis]
        mean = tf.cast(tf.reduce_sum(tf.cast(memory, tf.float32), axis=1) / count, memory.dtype)
        states = tf.split(self.bridge(mean), self.layers * self._tensors, axis=1)
        return [states[n * self._tensors : (n + 1) * self._tensors] for n in range(self.layers)]

    def _dropped(self, number: int, x: Tensor, training: bool | None) -> Tensor:
        return self.drops[number](x, training=training) if self.drops else x

    def _over_time(self, number: int, x: Tensor, lengths: Tensor, states: States, training: bool | None) -> Tensor:
        x = self._dropped(number, x, training)
        return self.recurrent[number](x, lengths, initial_state=states[number], training=training)

    def _fed_loop(self, x: Tensor, state: State, shared: State) -> tuple[Tensor, Tensor]:
        """Outputs [B, T, O] and weights [B, T, S], a step after the other."""
        steps = tf.shape(x)[1]

        def body(t, state, outputs, alignment):
            output, weights, state = self.step(x[:, t][:, tf.newaxis], state, shared)
            return t + 1, state, outputs.write(t, output[:, 0]), alignment.write(t, weights[:, 0])

        arrays = [tf.TensorArray(dtype, size=steps) for dtype in (x.dtype, tf.float32)]
        _, _, *arrays = tf.while_loop(lambda t, *_: t < steps, body, (0, state, *arrays), maximum_iterations=steps)
        outputs, alignment = (tf.transpose(array.stack(), [1, 0, 2]) for array in arrays)
        return tf.ensure_shape(outputs, [None, None, self.output_units]), alignment

    def compute_output_spec(
        self,
        x: KerasTensor,
        lengths: KerasTensor,
        memory: KerasTensor,
        memory_lengths: KerasTensor,
        training: bool | None = None,
    ) -> KerasTensor:
        rows, steps, _ = x.shape
        return (
            KerasTensor((rows, steps, self.output_units), dtype=self.compute_dtype),
            KerasTensor((rows, steps, memory.shape[1]), dtype="float32"),
        )

    def get_config(self) -> dict[str, object]:
        names = ("units", "output_units", "cell", "layers", "attention", "input_feeding")
        shares = ("dropout", "recurrent_dropout", "weight_dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in (*names, *shares)}}
