"""Keras' recurrent layers, made for the CPU and for lengths: same arguments, same weights, same answers.

They subclass Keras' layers and compute with the loops of `recurrent_kernels.py`. Padding never changes an answer:
a row's state stops at its last real step, outputs beyond it are exactly zero, and `go_backwards` turns each row
around by its own length, so that padding stays at the end.

Axes: B batch, T time (steps), T' time in the loop (a multiple of its steps a turn), C channels, U units, G gates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import keras
import tensorflow as tf

from seqpipe.layers import recurrent_kernels as kernels
from seqpipe.layers.recurrent_rows import Rows

Tensor = Any
Shape = tuple[int | None, ...]
Runner = Literal["any", "xla", "xla_loops", "serving"]

# How a layer computes, from the measurements in docs/recurrent.md.
STEPS_A_TURN = 5  # more win little, and the last turn computes up to this many steps too many
MANY_ROWS = 16  # from here the inputs of a turn fill a product, and two loops over half the batch busy two cores
BIG_UNITS = 256  # from here one product busies two cores, better than XLA does; few rows share it gate by gate
BLOCK_ROWS = 4  # up to here TensorFlow's fused LSTM wins, where its weights stay in a core's cache:
BLOCK_WEIGHTS = 2**18

_runner: ContextVar[Runner] = ContextVar("runner", default="any")


@contextmanager
def traced_for(runner: Runner) -> Iterator[None]:
    """Layers called inside choose the form that is quickest where their graph will run.

    Args:
        runner: any: everywhere, best without XLA. xla: in a function that XLA compiles. xla_loops: where XLA may
            compile the loops, each for itself, again for each new batch and time. serving: in TensorFlow Serving or a
            loaded SavedModel, without XLA, which cannot compile all of it.
    """
    token = _runner.set(runner)
    try:
        yield
    finally:
        _runner.reset(token)


class _Lengths(keras.layers.RNN):
    """What our LSTM, GRU and SimpleRNN share: a mixin in front of Keras' layer of that name."""

    wrapped = False  # in a Bidirectional: outputs at their inputs' steps; the other direction busies the other core

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
        training: bool | None = False,
    ) -> Any:
        if lengths is not None and mask is not None:
            raise ValueError("lengths and mask were both given. Allowed: one of them.")
        sequences = tf.cast(sequences, self.compute_dtype)
        batch = tf.shape(sequences)[0] if sequences.shape[0] is None else sequences.shape[0]
        if initial_state is None:
            initial_state = self.states if self.stateful else self.cell.get_initial_state(batch_size=batch)
        if not isinstance(initial_state, Sequence):
            initial_state = [initial_state]
        state = [self._value(s) for s in initial_state]
        sequences, weights, state_masks = self._weights(sequences, state[0], training=bool(training))

        def part(many, sequences, state, state_masks, **places):
            part_weights = kernels.Weights(**weights, masks=state_masks)
            return self._part(sequences, state, part_weights, many=many, training=training, **places)

        if _runner.get() == "xla_loops" and self.units < BIG_UNITS:
            part = _compiled(part)
        rows = {"sequences": sequences, "state": state, "state_masks": state_masks}
        rows |= {name: x for name, x in (("lengths", lengths), ("mask", mask)) if x is not None}

        def whole():
            return part(True, **rows)

        def halves():
            middle = batch // 2
            sides = slice(middle), slice(middle, None)
            answers = [part(True, **tf.nest.map_structure(lambda x, side=side: x[side], rows)) for side in sides]
            return [tf.concat(pair, axis=0) for pair in zip(*answers, strict=True)]

        one_loop = self.wrapped or self.units >= BIG_UNITS or _runner.get() == "xla"
        many = whole if one_loop else halves
        if training and not isinstance(batch, int):
            output, *final = many()
        else:
            output, *final = _by_rows(batch, MANY_ROWS, many, lambda: part(False, **rows))

        if self.stateful:
            for variable, s in zip(self.states, final, strict=True):
                variable.assign(s)
        output.set_shape([*sequences.shape[: 1 + self.return_sequences], self.units])
        return (output, *final) if self.return_state else output

    def _value(self, variable: Any) -> Tensor:
        """A variable's or an array's tensor, in the dtype the layer computes in."""
        return tf.cast(tf.convert_to_tensor(keras.ops.convert_to_tensor(variable)), self.compute_dtype)

    def _weights(self, x: Tensor, h: Tensor, *, training: bool) -> tuple[Tensor, dict[str, Any], list[Tensor]]:
        """Inputs with dropout; weights by the names `kernels.Weights` has for them; dropout masks of the state."""
        weights = {"kernel": self._value(self.cell.kernel), "recurrent_kernel": self._value(self.cell.recurrent_kernel)}
        weights |= self._biases(None if self.cell.bias is None else self._value(self.cell.bias))
        if not training:
            return x, weights, []
        masks = self.cell.get_dropout_mask(x[:, 0]) if 0 < self.cell.dropout < 1 else []
        state_masks = self.cell.get_recurrent_dropout_mask(h) if 0 < self.cell.recurrent_dropout < 1 else []
        self.cell.reset_dropout_mask()
        self.cell.reset_recurrent_dropout_mask()
        if isinstance(masks, list) and masks:  # one for each gate: each gate sees other inputs
            parts = tf.split(weights["kernel"], len(masks), axis=1)
            gates = [tf.matmul(x * m[:, tf.newaxis], k) for m, k in zip(masks, parts, strict=True)]
            x, weights["kernel"] = tf.concat(gates, axis=2), None
        elif not isinstance(masks, list):
            x = x * masks[:, tf.newaxis]
        if self.weight_dropout:
            weights["recurrent_kernel"] = keras.random.dropout(
                weights["recurrent_kernel"], self.weight_dropout, seed=self.cell.seed_generator
            )
        return x, weights, state_masks if isinstance(state_masks, list) else [state_masks]

    def _biases(self, bias: Tensor | None) -> dict[str, Tensor | None]:
        return {"bias": bias}

    def _part(
        self,
        x: Tensor,
        state: list[Tensor],
        weights: kernels.Weights,
        *,
        many: bool,
        training: bool | None,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> list[Tensor]:
        """Output and state in the end, for rows that one loop computes."""
        runner = _runner.get()
        steps = 1 if runner == "xla" else STEPS_A_TURN
        wanted = len(state) if self.return_state or self.stateful else 1
        rows = Rows(x, lengths, mask, backwards=self.go_backwards, multiple=steps)
        x = rows.to_loop(x)  # [T', B, C]
        by_hand = self._by_hand()

        def by_scan():
            big = self.units >= BIG_UNITS
            project = not many and (big or runner != "xla")
            used, inputs = kernels.project(weights, x) if project else (weights, x)
            by_gate = big and not many and runner != "xla"
            valid = None if by_hand else rows.loop_valid
            return kernels.scan(self._cell(), used, inputs, state, steps=steps, by_gate=by_gate, valid=valid)[:wanted]

        if training and by_hand:
            states = kernels.trained_scan(
                self._cell(), weights, x, state, steps=steps, wanted=wanted, dense=runner == "xla"
            )
        elif not many and runner == "serving" and by_hand and self._fits_block():
            batch = tf.shape(x)[1] if x.shape[1] is None else x.shape[1]
            states = _by_rows(
                batch, BLOCK_ROWS + 1, by_scan, lambda: list(kernels.block_lstm(weights, x, state))[:wanted]
            )
        else:
            states = by_scan()
        final = [rows.at_end(s, first) for s, first in zip(states, state[:wanted], strict=True)]
        if self.return_sequences:
            output = rows.from_loop(states[0])  # [B, T, U]
            return [rows.in_loop_order(output) if self.go_backwards and not self.wrapped else output, *final]
        return [rows.at_end(states[0], tf.zeros_like(state[0])), *final]

    def step(self, x: Tensor, state: Sequence[Tensor]) -> list[Tensor]:
        """One step without a loop or dropout: x [B, C] and the state before it to the state after it, [B, U] each.

        The first tensor of the state is the output.
        """
        _, weights, _ = self._weights(x, state[0], training=False)
        used, inputs = kernels.project(kernels.Weights(**weights), x[tf.newaxis])
        cell = self._cell()
        after, _ = cell.forward(inputs[0], kernels.Product(used, cell.gates, by_gate=False), *state)
        return list(after)

    def _by_hand(self) -> bool:
        """Whether the gradient written by hand applies."""
        return self.activation is keras.activations.tanh and self.recurrent_activation is keras.activations.sigmoid

    def _fits_block(self) -> bool:
        """Whether TensorFlow's fused operation computes this layer, and well."""
        return False

    def _cell(self) -> kernels.Cell:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Keras' config; weight_dropout only where it is used, so that Keras' layer reads it too."""
        config = super().get_config()
        return {**config, "weight_dropout": self.weight_dropout} if self.weight_dropout else config


_ARGUMENTS = """
        weight_dropout: share of the recurrent kernel's weights dropped in each training step (DropConnect;
            Merity et al., 2017).
    Call arguments:
        sequences: float [B, T, C], T at least 1.
        lengths: int32 [B], 0..T, real steps of each row; without it every step is real.
        initial_state: tensors [B, U], as Keras takes them; zeros without it.
        mask: bool [B, T], Keras' alternative to lengths. Any pattern: masked steps are passed over.
        training: whether dropout applies.
    Returns:
        [B, T, U] with return_sequences, zero beyond each length; else [B, U], the output of the last real step,
        zero for a length of 0. With return_state also the state after the last real step (after none: the
        initial state).
    """


@keras.saving.register_keras_serializable(package="seqpipe")
class LSTM(_Lengths, keras.layers.LSTM):
    __doc__ = (
        """Keras' LSTM that takes lengths.

    Args: those of `keras.layers.LSTM`, and"""
        + _ARGUMENTS
    )

    def _cell(self) -> kernels.Cell:
        return kernels.Lstm(self.activation, self.recurrent_activation)

    def _fits_block(self) -> bool:
        inputs = self.cell.kernel.shape[0]
        return self.compute_dtype == "float32" and (inputs + self.units) * 4 * self.units <= BLOCK_WEIGHTS


@keras.saving.register_keras_serializable(package="seqpipe")
class GRU(_Lengths, keras.layers.GRU):
    __doc__ = (
        """Keras' GRU that takes lengths.

    Args: those of `keras.layers.GRU`, and"""
        + _ARGUMENTS
    )

    def _cell(self) -> kernels.Cell:
        if self.reset_after:
            return kernels.Gru(self.activation, self.recurrent_activation)
        return kernels.GruResetBefore(self.activation, self.recurrent_activation)

    def _by_hand(self) -> bool:
        return self.reset_after and super()._by_hand()

    def _biases(self, bias: Tensor | None) -> dict[str, Tensor | None]:
        if bias is None or not self.reset_after:
            return {"bias": bias}
        of_gates, of_candidate = tf.split(bias[1], [2 * self.units, self.units], axis=0)
        return {"bias": bias[0] + tf.pad(of_gates, [[0, self.units]]), "recurrent_bias": of_candidate}


@keras.saving.register_keras_serializable(package="seqpipe")
class SimpleRNN(_Lengths, keras.layers.SimpleRNN):
    __doc__ = (
        """Keras' SimpleRNN that takes lengths.

    Args: those of `keras.layers.SimpleRNN`, and"""
        + _ARGUMENTS
    )

    def _cell(self) -> kernels.Cell:
        return kernels.Simple(self.activation)

    def _by_hand(self) -> bool:
        return self.activation is keras.activations.tanh


@keras.saving.register_keras_serializable(package="seqpipe")
class Bidirectional(keras.layers.Bidirectional):
    """Keras' Bidirectional over one of our layers; takes lengths, and the two outputs are aligned in time.

    Args: those of `keras.layers.Bidirectional`.
    Call arguments and padding: the wrapped layer's; initial_state holds the forward states, then the backward ones.
    """

    def __init__(self, layer: keras.layers.Layer, *args: Any, **kwargs: Any):
        for given in (layer, kwargs.get("backward_layer")):
            if given is not None and not isinstance(given, _Lengths):
                raise TypeError(
                    f"Bidirectional wraps {type(given).__module__}.{type(given).__name__}. "
                    "Allowed: seqpipe.layers.LSTM, GRU, SimpleRNN."
                )
        super().__init__(layer, *args, **kwargs)
        self.forward_layer.wrapped = self.backward_layer.wrapped = True

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
        outputs: list[Tensor] = []
        states: list[Tensor] = []
        for layer, state in (
            (self.forward_layer, initial_state and initial_state[:half]),
            (self.backward_layer, initial_state and initial_state[half:]),
        ):
            answer = layer(sequences, lengths, initial_state=state, mask=mask, training=training)
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


def _compiled(part: Callable[..., list[Tensor]]) -> Callable[..., list[Tensor]]:
    """part as a function that XLA compiles, in the form that suits it."""

    def run(*args, **kwargs):
        with traced_for("xla"):
            return part(*args, **kwargs)

    return tf.function(run, jit_compile=True)


def _by_rows(batch: Tensor | int, threshold: int, many: Callable[[], Any], few: Callable[[], Any]) -> Any:
    """many() from `threshold` rows, few() below; decided when the graph runs where the batch is not known before."""
    if isinstance(batch, int):
        return many() if batch >= threshold else few()
    return tf.cond(batch >= threshold, many, few)
