"""The loops behind `recurrent.py`: time-major tensors in, every step's state out.

What makes them quick on a CPU, each measured in docs/recurrent.md: several steps a turn, so that the loop itself
weighs little; the inputs of a turn meet their kernel in one product while they are in the cache; gradients written by
hand, which keep the gates and leave the weights' gradients to one product each after the loop.

With tanh and sigmoid a loop knows no lengths: the steps behind a row's last one are computed and never read, and
because no gradient arrives there, the gates' gradients are zero there by themselves. Other activations may grow
without bound behind the last step: their state stops there, and TensorFlow finds the gradient.

Axes: T time, B batch, C channels, U units, G gates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import tensorflow as tf

Tensors = Sequence[tf.Tensor]
Step = Callable[[tf.Tensor, Tensors], list[tf.Tensor]]  # (x [B, C], state before it [B, U] each) to the state after it
TRAINED = ("kernel", "bias", "recurrent_kernel", "recurrent_bias")
sigmoid_gradient, tanh_gradient = tf.raw_ops.SigmoidGrad, tf.raw_ops.TanhGrad


@dataclass(frozen=True)
class Weights:
    """What a recurrence multiplies by.

    Args:
        kernel: [C, GU], or None where the inputs are already multiplied.
        bias: [GU], or None.
        recurrent_kernel: [U, GU].
        recurrent_bias: [U], of a GRU's candidate, where the reset gate reaches it; or None.
        masks: dropout of the state: one [B, U] for all gates, one for each gate, or none.
    """

    kernel: tf.Tensor | None
    bias: tf.Tensor | None
    recurrent_kernel: tf.Tensor
    recurrent_bias: tf.Tensor | None = None
    masks: Tensors = ()


class Cell:
    """One step of a recurrence.

    gates: blocks of U columns in the kernels. kept: tensors `forward` keeps for `backward`. gradients: tensors
    `backward` returns for inputs and product: one where they are equal. The last two are 0 where TensorFlow finds the
    gradient.
    """

    gates: int
    kept = 0
    gradients = 0

    def __init__(self, activation: Callable, gate_activation: Callable = tf.sigmoid):
        self.activation, self.gate_activation = activation, gate_activation

    def forward(self, x: tf.Tensor, product: Product, *state: tf.Tensor) -> tuple[Tensors, Tensors]:
        """(state after the step, what is kept) from the step's inputs [B, GU] and the state before it."""
        raise NotImplementedError

    def backward(self, kept: Tensors, *d_state: tf.Tensor) -> tuple[Tensors, Sequence[tf.Tensor | None]]:
        """Gradients by inputs and by product, [B, GU] each; and by the state before the step, as far as they do not
        pass through the product (None where they all do). With tanh and sigmoid.
        """
        raise NotImplementedError


class Lstm(Cell):
    """Hochreiter and Schmidhuber, 1997; gates: input, forget, candidate, output."""

    gates, kept, gradients = 4, 6, 1

    def forward(self, x, product, h, c):
        i, f, g, o = product.sums(x, h)
        i, f, g, o = self.gate_activation(i), self.gate_activation(f), self.activation(g), self.gate_activation(o)
        c_before, c = c, f * c + i * g
        tanh_c = self.activation(c)
        return (o * tanh_c, c), (i, f, g, o, c_before, tanh_c)

    def backward(self, kept, dh, dc):
        i, f, g, o, c_before, tanh_c = kept
        dc += tanh_gradient(y=tanh_c, dy=dh * o)
        dz = tf.concat(
            [
                sigmoid_gradient(y=i, dy=dc * g),
                sigmoid_gradient(y=f, dy=dc * c_before),
                tanh_gradient(y=g, dy=dc * i),
                sigmoid_gradient(y=o, dy=dh * tanh_c),
            ],
            axis=1,
        )
        return (dz,), (None, dc * f)


class Gru(Cell):
    """GRU with the reset gate after the product, as cuDNN has it; gates: update, reset, candidate."""

    gates, kept, gradients = 3, 5, 2

    def forward(self, x, product, h):
        x_z, x_r, x_g = tf.split(x, 3, axis=1)
        h_z, h_r, h_g = product.gates(h)
        h_g = h_g if product.bias is None else h_g + product.bias
        z, r = self.gate_activation(x_z + h_z), self.gate_activation(x_r + h_r)
        g = self.activation(x_g + r * h_g)
        difference = h - g
        return (g + z * difference,), (z, r, g, h_g, difference)

    def backward(self, kept, dh):
        z, r, g, h_g, difference = kept
        through = dh * z
        dg = tanh_gradient(y=g, dy=dh - through)
        dz = sigmoid_gradient(y=z, dy=dh * difference)
        dr = sigmoid_gradient(y=r, dy=dg * h_g)
        return (tf.concat([dz, dr, dg], axis=1), tf.concat([dz, dr, dg * r], axis=1)), (through,)


class GruResetBefore(Cell):
    """GRU with the reset gate before the product (Cho et al., 2014); gates: update, reset, candidate."""

    gates = 3

    def forward(self, x, product, h):
        x_z, x_r, x_g = tf.split(x, 3, axis=1)
        z = self.gate_activation(x_z + product.gate(h, 0))
        r = self.gate_activation(x_r + product.gate(h, 1))
        g = self.activation(x_g + product.gate(r * h, 2))
        return (g + z * (h - g),), ()


class Simple(Cell):
    """Fully connected recurrence."""

    gates, kept, gradients = 1, 1, 1

    def forward(self, x, product, h):
        (z,) = product.sums(x, h)
        h = self.activation(z)
        return (h,), (h,)

    def backward(self, kept, dh):
        dz = tanh_gradient(y=kept[0], dy=dh)
        return (dz,), (None,)


class Product:
    """State [B, U] times recurrent kernel, gate by gate, with a dropout mask in front; and its gradients."""

    def __init__(self, weights: Weights, gates: int, *, by_gate: bool):
        self.count = gates
        self.kernel = weights.recurrent_kernel
        self.bias = weights.recurrent_bias
        self.masks = weights.masks
        self.units = self.kernel.shape[0]
        self.by_gate = by_gate or len(self.masks) > 1
        self.kernels = tf.split(self.kernel, gates, axis=1)

    def gates(self, h: tf.Tensor) -> Tensors:
        """G tensors [B, U]."""
        if self.by_gate:
            return [self.gate(h, n) for n in range(self.count)]
        h = h * self.masks[0] if self.masks else h
        return tf.split(tf.matmul(h, self.kernel), self.count, axis=1)

    def gate(self, h: tf.Tensor, n: int) -> tf.Tensor:
        h = h * self.masks[n % len(self.masks)] if self.masks else h
        return tf.matmul(h, self.kernels[n])

    def sums(self, x: tf.Tensor, h: tf.Tensor) -> Tensors:
        """x [B, GU] + product, G tensors [B, U]."""
        if self.by_gate:
            return [a + b for a, b in zip(tf.split(x, self.count, axis=1), self.gates(h), strict=True)]
        h = h * self.masks[0] if self.masks else h
        return tf.split(x + tf.matmul(h, self.kernel), self.count, axis=1)

    def gradient(self, transposed: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
        """By the state [B, U], of the gradient by the product [B, GU]; transposed: the kernel [GU, U]."""
        if len(self.masks) <= 1:
            dh = tf.matmul(d, transposed)
            return dh * self.masks[0] if self.masks else dh
        kernels, parts = tf.split(transposed, self.count), tf.split(d, self.count, axis=1)
        return tf.add_n([tf.matmul(p, k) * m for p, k, m in zip(parts, kernels, self.masks, strict=True)])

    def kernel_gradient(self, h: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
        """By the kernel [U, GU], of all states [T, B, U] and all gradients by the product [TB, GU]."""
        masks = self.masks or (None,)
        parts = tf.split(d, len(masks), axis=1)
        masked = [tf.reshape(h if m is None else h * m, [-1, self.units]) for m in masks]
        return tf.concat([tf.matmul(a, p, transpose_a=True) for a, p in zip(masked, parts, strict=True)], axis=1)


class Included(Product):
    """A product that is in the inputs already."""

    def __init__(self, gates: int):
        self.count = gates

    def sums(self, x: tf.Tensor, h: tf.Tensor) -> Tensors:
        return tf.split(x, self.count, axis=1)


def project(weights: Weights, x: tf.Tensor) -> tuple[Weights, tf.Tensor]:
    """Inputs [T, B, C] times their kernel, plus bias, over all steps at once: [T, B, GU], and the weights left."""
    steps, batch = tf.shape(x)[0], tf.shape(x)[1]
    if weights.kernel is not None:
        flat = tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), weights.kernel)
        x = tf.reshape(flat, [steps, batch, weights.kernel.shape[1]])
    x = x if weights.bias is None else tf.nn.bias_add(x, weights.bias)
    return replace(weights, kernel=None, bias=None), x


def scan(
    cell: Cell, weights: Weights, x: tf.Tensor, state: Tensors, *, steps: int, by_gate: bool, valid: tf.Tensor | None
) -> Tensors:
    """Every step's state, [T, B, U] each.

    Args:
        x: [T, B, C], T a multiple of steps and more than 0.
        state: [B, U] each, before the first step.
        steps: steps in one turn of the loop.
        by_gate: a product for each gate instead of one for all, which other cores can share.
        valid: bool [T, B or 1, 1], where the state moves on; None: everywhere.
    """
    return _forward(cell, weights, x, state, steps=steps, by_gate=by_gate, valid=valid, keep=False)[0]


def trained_scan(
    cell: Cell, weights: Weights, x: tf.Tensor, state: Tensors, *, steps: int, wanted: int, dense: bool
) -> Tensors:
    """As `scan`, the first `wanted` states only, with the gradient written by hand (tanh and sigmoid).

    Args:
        dense: keep what the gradient needs as one tensor each, which costs a copy but for XLA, and which a function
            that XLA compiles can hand over to its gradient.
    """
    given = {name: getattr(weights, name) for name in TRAINED if getattr(weights, name) is not None}

    @tf.custom_gradient
    def run(x, *rest):
        first, used = rest[: len(state)], dict(zip(given, rest[len(state) :], strict=True))
        traced = replace(weights, **used)
        states, kept = _forward(cell, traced, x, first, steps=steps, by_gate=False, valid=None, keep=True, dense=dense)

        def gradient(*d_states):
            dx, d_first, found = _backward(cell, traced, x, first, states[0], kept, d_states, steps=steps)
            return (dx, *d_first, *(found[name] for name in given))

        return tuple(states[:wanted]), gradient

    return run(x, *state, *given.values())


def block_lstm(weights: Weights, x: tf.Tensor, state: Tensors) -> Tensors:
    """As `scan` for an LSTM, by TensorFlow's fused operation: one small batch at its quickest, but not in XLA."""
    h0, c0 = state
    no_peephole = tf.zeros([c0.shape[1]], x.dtype)
    bias = tf.zeros([weights.recurrent_kernel.shape[1]], x.dtype) if weights.bias is None else weights.bias
    answer = tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.shape(x, tf.int64)[0],
        x=x,
        cs_prev=c0,
        h_prev=h0,
        w=tf.concat([weights.kernel, weights.recurrent_kernel], axis=0),
        wci=no_peephole,
        wcf=no_peephole,
        wco=no_peephole,
        b=bias,
        cell_clip=0.0,
        use_peephole=False,
    )
    return answer.h, answer.cs


def stepper(cell: Cell, weights: Weights) -> Step:
    """A step for a loop of the caller's own; what can be prepared before the loop is."""
    if cell.gradients != 1:
        return partial(step, cell, weights)
    # Inputs and state meet their kernels in one product.
    both = tf.concat([weights.kernel, weights.recurrent_kernel], axis=0)

    def run(x: tf.Tensor, state: Tensors) -> list[tf.Tensor]:
        sums = tf.matmul(tf.concat([x, state[0]], axis=1), both)
        sums = sums if weights.bias is None else tf.nn.bias_add(sums, weights.bias)
        after, _ = cell.forward(sums, Included(cell.gates), *state)
        return list(after)

    return run


def step(cell: Cell, weights: Weights, x: tf.Tensor, state: Tensors) -> list[tf.Tensor]:
    """A single step: x [B, C] and the state before it to the state after it, [B, U] each."""
    used, inputs = project(weights, x[tf.newaxis])
    after, _ = cell.forward(inputs[0], Product(used, cell.gates, by_gate=False), *state)
    return list(after)


def _forward(
    cell: Cell,
    weights: Weights,
    x: tf.Tensor,
    state: Tensors,
    *,
    steps: int,
    by_gate: bool,
    valid: tf.Tensor | None,
    keep: bool,
    dense: bool = False,
) -> tuple[Tensors, list[tf.TensorArray | tf.Tensor]]:
    """All states, [T, B, U] each; and, to keep, what each step's gradient needs: arrays, dense ones or lists."""
    product = Product(weights, cell.gates, by_gate=by_gate)
    total, batch, units = tf.shape(x)[0], tf.shape(x)[1], product.units
    turns = total // steps
    rows = x.shape[1]
    x = tf.reshape(x, [turns, steps * batch, x.shape[-1]])

    def body(turn, state, arrays, kept):
        inputs = x[turn] if weights.kernel is None else tf.matmul(x[turn], weights.kernel)
        inputs = tf.reshape(inputs, [steps, batch, cell.gates * units])
        inputs = inputs if weights.bias is None else tf.nn.bias_add(inputs, weights.bias)
        for n, step_input in enumerate(tf.unstack(inputs, num=steps)):
            t = turn * steps + n
            after, keeps = cell.forward(step_input, product, *state)
            if valid is not None:
                after = [tf.where(valid[t], new, old) for new, old in zip(after, state, strict=True)]
            state = tuple(after)
            arrays = [array.write(t, s) for array, s in zip(arrays, state, strict=True)]
            kept = [array.write(t, k) for array, k in zip(kept, keeps, strict=True)] if keep else kept
        return turn + 1, state, arrays, kept

    shape = tf.TensorShape([rows, units])
    arrays, kept = (
        [tf.TensorArray(x.dtype, size=total, element_shape=shape, clear_after_read=False) for _ in range(count)]
        for count in (len(state), cell.kept if keep else 0)
    )
    _, _, arrays, kept = tf.while_loop(
        lambda turn, *_: turn < turns, body, (0, tuple(state), arrays, kept), maximum_iterations=turns
    )
    states, kept = [array.stack() for array in arrays], list(kept)
    return states, [array.stack() for array in kept] if dense else kept


def _backward(
    cell: Cell,
    weights: Weights,
    x: tf.Tensor,
    state: Tensors,
    h: tf.Tensor,
    kept: list[tf.TensorArray | tf.Tensor],
    d_states: Tensors,
    *,
    steps: int,
) -> tuple[tf.Tensor, Tensors, dict[str, tf.Tensor]]:
    """Gradients by inputs [T, B, C], by the state before the first step, and by each of the weights."""
    product = Product(weights, cell.gates, by_gate=False)
    transposed = tf.transpose(weights.recurrent_kernel)  # [GU, U]; once, as products with a transposed one are slower
    turns = tf.shape(x)[0] // steps

    def body(n, d_state, arrays):
        for k in reversed(range(steps)):
            t = (turns - 1 - n) * steps + k
            arriving = [d + outside[t] for d, outside in zip(d_state, d_states, strict=False)]
            d_state = (*arriving, *d_state[len(arriving) :])
            of_step = [k.read(t) if isinstance(k, tf.TensorArray) else k[t] for k in kept]
            gradients, direct = cell.backward(of_step, *d_state)
            dh = product.gradient(transposed, gradients[-1])
            d_state = (dh if direct[0] is None else direct[0] + dh, *direct[1:])
            arrays = [array.write(t, g) for array, g in zip(arrays, gradients, strict=True)]
        return n + 1, d_state, arrays

    d_state = tuple(tf.zeros_like(s) for s in state)
    arrays = [tf.TensorArray(x.dtype, size=tf.shape(x)[0]) for _ in range(cell.gradients)]
    _, d_state, arrays = tf.while_loop(lambda n, *_: n < turns, body, (0, d_state, arrays), maximum_iterations=turns)
    by_inputs, by_product = (
        tf.reshape(array.stack(), [-1, cell.gates * product.units]) for array in (arrays[0], arrays[-1])
    )  # [TB, GU]
    before = tf.concat([state[0][tf.newaxis], h[:-1]], axis=0)
    found = {
        "bias": _sum_rows(by_inputs),
        "recurrent_kernel": product.kernel_gradient(before, by_product),
        "recurrent_bias": _sum_rows(by_product[:, -product.units :]),
    }
    dx = by_inputs
    if weights.kernel is not None:
        found["kernel"] = tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), by_inputs, transpose_a=True)
        dx = tf.matmul(by_inputs, tf.transpose(weights.kernel))
    return tf.reshape(dx, tf.shape(x)), d_state, found


def _sum_rows(x: tf.Tensor) -> tf.Tensor:
    """[N, C] -> [C]; a product with ones, which is quicker than tf.reduce_sum."""
    return tf.matmul(tf.ones([1, tf.shape(x)[0]], x.dtype), x)[0]
