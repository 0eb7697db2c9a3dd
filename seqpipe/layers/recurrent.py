"""Keras' recurrent layers, made for the CPU and for lengths: same arguments, same weights, same answers.

They subclass Keras' layers and compute with the loops of `recurrent_kernels.py`, in the form that `recurrent_form.py`
chooses. Padding never changes an answer: a row's state stops at its last real step, outputs beyond it are exactly zero,
and `go_backwards` turns each row around by its own length, so that padding stays at the end. Our Bidirectional wraps
them; Keras' own turns the whole axis around once more.

Axes: B batch, T time (steps), T' time in the loop (a multiple of its steps a turn), C channels, U units, G gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import keras
import tensorflow as tf

from seqpipe.layers import recurrent_form
from seqpipe.layers import recurrent_kernels as kernels
from seqpipe.layers.lengths import Shape, Tensor
from seqpipe.layers.recurrent_form import Form, by_rows, choose_form
from seqpipe.layers.recurrent_rows import Rows, prefix_lengths

STEPS_A_TURN = 5  # of the loop; more win little, and the last turn computes up to this many steps too many


class _Lengths(keras.layers.RNN):
    """What our LSTM, GRU and SimpleRNN share: a mixin in front of Keras' layer of that name."""

    wrapped = False  # in a Bidirectional: outputs stand at their inputs' steps, backwards too

    def __init__(self, *args: object, weight_dropout: float = 0.0, **kwargs: object):
        if not 0 <= weight_dropout < 1:
            raise ValueError(f"weight_dropout = {weight_dropout} is not a share. Allowed: 0 <= weight_dropout < 1.")
        super().__init__(*args, **kwargs)
        self.weight_dropout = weight_dropout

    def build(
        self, sequences_shape: Shape, lengths_shape: Shape | None = None, initial_state_shape: Shape | None = None
    ) -> None:
        super().build(sequences_shape)

    def compute_output_shape(
        self, sequences_shape: Shape, lengths_shape: Shape | None = None, initial_state_shape: Shape | None = None
    ) -> Shape | Sequence[Shape]:
        return super().compute_output_shape(sequences_shape)

    def call(
        self,
        sequences: Tensor,
        lengths: Tensor | None = None,
        initial_state: Tensor | Sequence[Tensor] | None = None,
        mask: Tensor | None = None,
        training: bool | None = False,
    ) -> Tensor | tuple[Tensor, ...]:
        if mask is not None:
            if lengths is not None:
                raise ValueError("lengths and mask were both given. Allowed: one of them.")
            lengths = prefix_lengths(mask)
        if lengths is not None and len(keras.ops.shape(lengths)) != 1:
            raise ValueError(f"lengths must be [B], not {keras.ops.shape(lengths)}; a state is given as initial_state.")
        sequences = tf.cast(sequences, self.compute_dtype)
        batch = tf.shape(sequences)[0] if sequences.shape[0] is None else sequences.shape[0]
        if initial_state is None:
            initial_state = self.states if self.stateful else self.cell.get_initial_state(batch_size=batch)
        state = [self._value(s) for s in _states_given(initial_state, self._tensors, self.units)]
        sequences, weights = self._weights(sequences, state[0], training=bool(training))
        # In training the form is one, whatever the rows.
        compiled = self._form(recurrent_form.MANY_ROWS, training=bool(training)) is Form.GRADIENT_BY_HAND_XLA

        def run() -> list[Tensor]:
            return self._loop(batch, sequences, state, weights, lengths, training=bool(training), compiled=compiled)

        output, *final = tf.function(run, jit_compile=True)() if compiled else run()
        if self.stateful:
            for variable, s in zip(self.states, final, strict=True):
                variable.assign(s)
        output.set_shape([*sequences.shape[: 1 + self.return_sequences], self.units])
        return (output, *final) if self.return_state else output

    @property
    def _tensors(self) -> int:
        """Tensors of a state."""
        size = self.cell.state_size
        return len(size) if isinstance(size, Sequence) else 1

    def _value(self, variable: keras.Variable | Tensor) -> Tensor:
        """A variable's or an array's tensor, in the dtype the layer computes in."""
        return tf.cast(tf.convert_to_tensor(keras.ops.convert_to_tensor(variable)), self.compute_dtype)

    def _weights(self, x: Tensor, h: Tensor, *, training: bool) -> tuple[Tensor, kernels.Weights]:
        """Inputs with dropout; what the loop multiplies by."""
        weights = self._all_weights()
        if not training:
            return x, weights
        kernel, recurrent_kernel = weights.kernel, weights.recurrent_kernel
        masks = self.cell.get_dropout_mask(x[:, 0]) if 0 < self.cell.dropout < 1 else []
        state_masks = self.cell.get_recurrent_dropout_mask(h) if 0 < self.cell.recurrent_dropout < 1 else []
        self.cell.reset_dropout_mask()
        self.cell.reset_recurrent_dropout_mask()
        if isinstance(masks, list) and masks:  # one for each gate: each gate sees other inputs
            parts = tf.split(kernel, len(masks), axis=1)
            gates = [tf.matmul(x * m[:, tf.newaxis], k) for m, k in zip(masks, parts, strict=True)]
            x, kernel = tf.concat(gates, axis=2), None
        elif not isinstance(masks, list):
            x = x * masks[:, tf.newaxis]
        if self.weight_dropout:
            recurrent_kernel = keras.random.dropout(
                recurrent_kernel, self.weight_dropout, seed=self.cell.seed_generator
            )
        state_masks = state_masks if isinstance(state_masks, list) else [state_masks]
        return x, replace(weights, kernel=kernel, recurrent_kernel=recurrent_kernel, masks=state_masks)

    def _all_weights(self) -> kernels.Weights:
        bias, recurrent_bias = self._biases(None if self.cell.bias is None else self._value(self.cell.bias))
        kernel, recurrent_kernel = self._value(self.cell.kernel), self._value(self.cell.recurrent_kernel)
        return kernels.Weights(kernel, bias, recurrent_kernel, recurrent_bias)

    def _biases(self, bias: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """The bias of the inputs, and of a GRU's candidate the one that the reset gate reaches."""
        return bias, None

    def _form(self, rows: int, *, training: bool) -> Form:
        by_hand, fusable = self._by_hand(), self._fusable()
        return choose_form(rows, units=self.units, training=training, by_hand=by_hand, fusable=fusable)

    def _loop(
        self,
        batch: int | Tensor,
        x: Tensor,
        state: list[Tensor],
        weights: kernels.Weights,
        lengths: Tensor | None,
        *,
        training: bool,
        compiled: bool,
    ) -> list[Tensor]:
        """Output [B, T, U] or [B, U], and the state in the end, [B, U] each, as far as it is wanted."""
        steps = 1 if compiled else STEPS_A_TURN
        wanted = len(state) if self.return_state or self.stateful else 1
        rows = Rows(x, lengths, backwards=self.go_backwards, multiple=steps)
        x = rows.to_loop(x)  # [T', B, C]
        valid = None if self._by_hand() else rows.loop_valid
        states = by_rows(
            batch,
            lambda count: self._form(count, training=training),
            lambda form: self._states(form, x, state, weights, valid, steps=steps, wanted=wanted),
        )
        final = [rows.at_end(s, first) for s, first in zip(states, state[:wanted], strict=True)]
        if self.return_sequences:
            output = rows.from_loop(states[0])  # [B, T, U]
            return [rows.in_loop_order(output) if self.go_backwards and not self.wrapped else output, *final]
        return [rows.at_end(states[0], tf.zeros_like(state[0])), *final]

    def _states(
        self,
        form: Form,
        x: Tensor,
        state: list[Tensor],
        weights: kernels.Weights,
        valid: Tensor | None,
        *,
        steps: int,
        wanted: int,
    ) -> list[Tensor]:
        """The first `wanted` states of every step, [T', B, U] each, of x [T', B, C]."""
        cell = self._cell()
        match form:
            case Form.GRADIENT_BY_HAND | Form.GRADIENT_BY_HAND_XLA:
                dense = form is Form.GRADIENT_BY_HAND_XLA
                states = kernels.trained_scan(cell, weights, x, state, steps=steps, wanted=wanted, dense=dense)
            case Form.FUSED:
                states = kernels.block_lstm(weights, x, state)
            case Form.INPUTS_BY_TURN | Form.INPUTS_FIRST | Form.INPUTS_FIRST_BY_GATE:
                if form is not Form.INPUTS_BY_TURN:
                    weights, x = kernels.project(weights, x)
                by_gate = form is Form.INPUTS_FIRST_BY_GATE
                states = kernels.scan(cell, weights, x, state, steps=steps, by_gate=by_gate, valid=valid)
        return list(states[:wanted])

    def step(self, x: Tensor, state: Sequence[Tensor]) -> list[Tensor]:
        """One step without a loop or dropout: x [B, C] and the state before it to the state after it, [B, U] each.

        The first tensor of the state is the output.
        """
        return kernels.step(self._cell(), self._all_weights(), x, state)

    def stepper(self) -> kernels.Step:
        """`step` for a loop of the caller's own: called before it, so that weights are read once."""
        return kernels.stepper(self._cell(), self._all_weights())

    def _by_hand(self) -> bool:
        """Whether the gradient written by hand applies."""
        return self.activation is keras.activations.tanh and self.recurrent_activation is keras.activations.sigmoid

    def _fusable(self) -> bool:
        """Whether TensorFlow's fused operation computes this layer, and well."""
        return False

    def _cell(self) -> kernels.Cell:
        raise NotImplementedError

    def get_config(self) -> dict[str, object]:
        """Keras' config; weight_dropout only where it is used, so that Keras' layer reads it too."""
        config = super().get_config()
        return {**config, "weight_dropout": self.weight_dropout} if self.weight_dropout else config


@keras.saving.register_keras_serializable(package="seqpipe")
class LSTM(_Lengths, keras.layers.LSTM):
    """Keras' LSTM that takes lengths; GRU and SimpleRNN take and give the same.

    Args: those of `keras.layers.LSTM`, and
        weight_dropout: share of the recurrent kernel's weights dropped in each training step (DropConnect;
            Merity et al., 2017).
    Call arguments:
        sequences: float [B, T, C], T at least 1.
        lengths: int32 [B], 0..T, real steps of each row; without it every step is real.
        initial_state: tensors [B, U], as Keras takes them; zeros without it.
        mask: bool [B, T], Keras' alternative to lengths: True at the real steps, which come first in each row. One that
            an Embedding sends along arrives without initial_state only, as in Keras; beside it, give the mask.
        training: whether dropout applies.
    Returns:
        [B, T, U] with return_sequences, zero beyond each length; else [B, U], the output of the last real step,
        zero for a length of 0. With return_state also the state after the last real step (after none: the
        initial state).
    """

    def _cell(self) -> kernels.Cell:
        return kernels.Lstm(self.activation, self.recurrent_activation)

    def _fusable(self) -> bool:
        weights = (self.cell.kernel.shape[0] + self.units) * 4 * self.units
        return self._by_hand() and self.compute_dtype == "float32" and weights <= recurrent_form.FUSED_WEIGHTS


@keras.saving.register_keras_serializable(package="seqpipe")
class GRU(_Lengths, keras.layers.GRU):
    """Keras' GRU that takes lengths.

    Args: those of `keras.layers.GRU`, and weight_dropout.
    Call arguments, returns and padding: those of `seqpipe.layers.LSTM`.
    """

    def _cell(self) -> kernels.Cell:
        if self.reset_after:
            return kernels.Gru(self.activation, self.recurrent_activation)
        return kernels.GruResetBefore(self.activation, self.recurrent_activation)

    def _by_hand(self) -> bool:
        return self.reset_after and super()._by_hand()

    def _biases(self, bias: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if bias is None or not self.reset_after:
            return bias, None
        of_gates, of_candidate = tf.split(bias[1], [2 * self.units, self.units], axis=0)
        return bias[0] + tf.pad(of_gates, [[0, self.units]]), of_candidate


@keras.saving.register_keras_serializable(package="seqpipe")
class SimpleRNN(_Lengths, keras.layers.SimpleRNN):
    """Keras' SimpleRNN that takes lengths.

    Args: those of `keras.layers.SimpleRNN`, and weight_dropout.
    Call arguments, returns and padding: those of `seqpipe.layers.LSTM`.
    """

    def _cell(self) -> kernels.Cell:
        return kernels.Simple(self.activation)

    def _by_hand(self) -> bool:
        return self.activation is keras.activations.tanh


def _states_given(given: Tensor | Sequence[Tensor], count: int, units: int) -> Sequence[Tensor]:
    """The tensors of a state.

    Raises:
        ValueError: they are not as many, or not [B, U] each.
    """
    states = given if isinstance(given, Sequence) else [given]
    shapes = [tuple(keras.ops.shape(state)) for state in states]
    if len(states) != count or any(len(shape) != 2 for shape in shapes):
        raise ValueError(f"initial_state has the shapes {shapes}. Allowed: {count} of them, [B, {units}] each.")
    return states


@keras.saving.register_keras_serializable(package="seqpipe")
class Bidirectional(keras.layers.Bidirectional):
    """Keras' Bidirectional over one of our layers; takes lengths, and the two outputs are aligned in time.

    Args: those of `keras.layers.Bidirectional`; merge_mode is concat or None.
    Call arguments and padding: the wrapped layer's; initial_state holds the forward states, then the backward ones.
    """

    def __init__(self, layer: keras.layers.Layer, *args: object, **kwargs: object):
        for given in (layer, kwargs.get("backward_layer")):
            if given is not None and not isinstance(given, _Lengths):
                raise TypeError(
                    f"Bidirectional wraps {type(given).__module__}.{type(given).__name__}. "
                    "Allowed: seqpipe.layers.LSTM, GRU, SimpleRNN."
                )
        super().__init__(layer, *args, **kwargs)
        if self.merge_mode not in ("concat", None):
            raise ValueError(f'merge_mode = "{self.merge_mode}" is not allowed. Allowed: concat, None.')
        self.forward_layer.wrapped = self.backward_layer.wrapped = True

    def build(
        self, sequences_shape: Shape, lengths_shape: Shape | None = None, initial_state_shape: Shape | None = None
    ) -> None:
        super().build(sequences_shape)

    def compute_output_shape(
        self, sequences_shape: Shape, lengths_shape: Shape | None = None, initial_state_shape: Shape | None = None
    ) -> Shape | Sequence[Shape]:
        return super().compute_output_shape(sequences_shape)

    def call(
        self,
        sequences: Tensor,
        lengths: Tensor | None = None,
        initial_state: Tensor | Sequence[Tensor] | None = None,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor | tuple[Tensor, ...]:
        half = self.forward_layer._tensors
        given: list[Sequence[Tensor] | None] = [None, None]
        if initial_state is not None:
            both = _states_given(initial_state, 2 * half, self.forward_layer.units)
            given = [both[:half], both[half:]]
        outputs: list[Tensor] = []
        states: list[Tensor] = []
        for layer, state in zip((self.forward_layer, self.backward_layer), given, strict=True):
            answer = layer(sequences, lengths, initial_state=state, mask=mask, training=training)
            output, *state = answer if self.return_state else (answer,)
            outputs.append(tf.cast(output, self.compute_dtype))
            states += state
        if self.merge_mode is None:
            return (*outputs, *states)
        output = tf.concat(outputs, axis=-1)
        return (output, *states) if self.return_state else output
