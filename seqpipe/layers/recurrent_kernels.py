"""The loops behind `recurrent.py`: time-major tensors in, every step's state out, gradients written by hand.

The inputs of a loop are already multiplied by the kernel, over all steps at once. With tanh and sigmoid a loop knows
no lengths: the steps behind a row's last one are computed and never read, and because no gradient arrives there,
the gradients of the gates are zero there by themselves. What remains for the backward loop is one small product a
step; the gradient of the recurrent kernel is one product over all steps after it. Other activations may grow without
bound behind the last step: their state stops there, and TensorFlow finds the gradient.

Axes: T time, B batch, U units, G gates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

Tensors = Sequence[tf.Tensor]
Mask = tf.Tensor | None


def lstm(
    inputs: tf.Tensor, h0: tf.Tensor, c0: tf.Tensor, kernel: tf.Tensor, masks: Mask, valid: Mask, *, activations: Tensors
) -> Tensors:
    """LSTM over all steps (Hochreiter and Schmidhuber, 1997), gates in the order input, forget, candidate, output.

    Args:
        inputs: [T, B, 4U], inputs times kernel, plus bias.
        h0, c0: [B, U], state before the first step.
        kernel: [U, 4U], recurrent kernel.
        masks: [1 or 4, B, U], dropout of the state in front of the gates, or None.
        valid: bool [T, B, 1], False beyond a row's length, or None.
        activations: of the candidate and the cell; of the gates.
    Returns:
        h and c after every step, each [T, B, U]; beyond a row's length they mean nothing.
    """
    activation, gate_activation = activations

    def forward(inputs, h0, c0, kernel, valid=None):
        product = _Product(kernel, masks, gates=4)

        def step(x, h, c):
            i, f, g, o = tf.split(x + product(h), 4, axis=1)  # [B, U] each
            i, f, g, o = gate_activation(i), gate_activation(f), activation(g), gate_activation(o)
            c = f * c + i * g
            return (o * activation(c), c), (i, f, g, o)

        return product, _scan(step, (inputs,), (h0, c0), kept=4, valid=valid)

    if not _bounded(*activations):
        return forward(inputs, h0, c0, kernel, valid)[1][0]

    @tf.custom_gradient
    def run(inputs, h0, c0, kernel):
        product, ((h, c), gates) = forward(inputs, h0, c0, kernel)

        def gradient(dh, dc):
            def step(i, f, g, o, c, c_before, dh_out, dc_out, dh, dc):
                dh += dh_out
                tanh_c = tf.tanh(c)
                dc += dc_out + dh * o * (1 - tanh_c * tanh_c)
                di, df, dg, do = dc * g, dc * c_before, dc * i, dh * tanh_c
                dz = tf.concat([di * i * (1 - i), df * f * (1 - f), dg * (1 - g * g), do * o * (1 - o)], axis=1)
                return (product.gradient(dz), dc * f), (dz,)

            arrays = (*gates, c, _before(c0, c), dh, dc)
            (dh, dc), (dz,) = _scan_back(step, arrays, (tf.zeros_like(h0), tf.zeros_like(c0)), kept=1)
            return dz, dh, dc, product.kernel_gradient(_before(h0, h), dz)

        return (h, c), gradient

    return run(inputs, h0, c0, kernel)


def gru(
    inputs: tf.Tensor,
    h0: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor | None,
    masks: Mask,
    valid: Mask,
    *,
    activations: Tensors,
) -> tf.Tensor:
    """GRU with the reset gate after the product, as cuDNN has it; gates in the order update, reset, candidate.

    Args:
        inputs: [T, B, 3U], inputs times kernel, plus input bias.
        h0: [B, U].
        kernel: [U, 3U], recurrent kernel.
        bias: [3U], recurrent bias, or None.
        masks, valid, activations: as for `lstm`, with 1 or 3 masks.
    Returns:
        h after every step, [T, B, U]; beyond a row's length it means nothing.
    """
    activation, gate_activation = activations
    bias = tf.zeros_like(kernel[0]) if bias is None else bias

    def forward(inputs, h0, kernel, bias, valid=None):
        product = _Product(kernel, masks, gates=3)

        def step(x, h):
            x_z, x_r, x_g = tf.split(x, 3, axis=1)
            h_z, h_r, h_g = tf.split(product(h) + bias, 3, axis=1)
            z, r = gate_activation(x_z + h_z), gate_activation(x_r + h_r)
            g = activation(x_g + r * h_g)
            return (g + z * (h - g),), (z, r, g, h_g)

        return product, _scan(step, (inputs,), (h0,), kept=4, valid=valid)

    if not _bounded(*activations):
        return forward(inputs, h0, kernel, bias, valid)[1][0][0]

    @tf.custom_gradient
    def run(inputs, h0, kernel, bias):
        product, ((h,), gates) = forward(inputs, h0, kernel, bias)

        def gradient(dh):
            def step(z, r, g, h_g, h_before, dh_out, dh):
                dh += dh_out
                dg = dh * (1 - z) * (1 - g * g)
                dz = dh * (h_before - g) * z * (1 - z)
                dr = dg * h_g * r * (1 - r)
                d_product = tf.concat([dz, dr, dg * r], axis=1)
                return (dh * z + product.gradient(d_product),), (tf.concat([dz, dr, dg], axis=1), d_product)

            h_before = _before(h0, h)
            (dh,), (dx, d_product) = _scan_back(step, (*gates, h_before, dh), (tf.zeros_like(h0),), kept=2)
            return dx, dh, product.kernel_gradient(h_before, d_product), tf.reduce_sum(d_product, axis=[0, 1])

        return h, gradient

    return run(inputs, h0, kernel, bias)


def gru_reset_before(
    inputs: tf.Tensor, h0: tf.Tensor, kernel: tf.Tensor, masks: Mask, valid: Mask, *, activations: Tensors
) -> tf.Tensor:
    """GRU with the reset gate before the product (Cho et al., 2014); arguments and answer as for `gru`."""
    activation, gate_activation = activations
    units = kernel.shape[0]
    gate_masks, candidate_mask = (None, None) if masks is None else (masks[:2], masks[2:])

    def forward(inputs, h0, kernel, valid=None):
        gate_product = _Product(kernel[:, : 2 * units], gate_masks, gates=2)
        candidate_product = _Product(kernel[:, 2 * units :], candidate_mask, gates=1)

        def step(x, h):
            z, r = tf.split(gate_activation(x[:, : 2 * units] + gate_product(h)), 2, axis=1)
            g = activation(x[:, 2 * units :] + candidate_product(r * h))
            return (g + z * (h - g),), (z, r, g)

        return gate_product, candidate_product, _scan(step, (inputs,), (h0,), kept=3, valid=valid)

    if not _bounded(*activations):
        return forward(inputs, h0, kernel, valid)[2][0][0]

    @tf.custom_gradient
    def run(inputs, h0, kernel):
        gate_product, candidate_product, ((h,), gates) = forward(inputs, h0, kernel)

        def gradient(dh):
            def step(z, r, g, h_before, dh_out, dh):
                dh += dh_out
                dg = dh * (1 - z) * (1 - g * g)
                d_reset = candidate_product.gradient(dg)  # by r * h_before
                dz = dh * (h_before - g) * z * (1 - z)
                dr = d_reset * h_before * r * (1 - r)
                d_gates = tf.concat([dz, dr], axis=1)
                return (dh * z + d_reset * r + gate_product.gradient(d_gates),), (d_gates, dg)

            h_before = _before(h0, h)
            (dh,), (d_gates, dg) = _scan_back(step, (*gates, h_before, dh), (tf.zeros_like(h0),), kept=2)
            d_gate_kernel = gate_product.kernel_gradient(h_before, d_gates)
            d_candidate_kernel = candidate_product.kernel_gradient(gates[1] * h_before, dg)
            return tf.concat([d_gates, dg], axis=2), dh, tf.concat([d_gate_kernel, d_candidate_kernel], axis=1)

        return h, gradient

    return run(inputs, h0, kernel)


def simple(
    inputs: tf.Tensor, h0: tf.Tensor, kernel: tf.Tensor, masks: Mask, valid: Mask, *, activation: Callable
) -> tf.Tensor:
    """Fully connected recurrence, h = activation(x + h kernel); arguments and answer as for `gru`, with one gate."""

    def forward(inputs, h0, kernel, valid=None):
        product = _Product(kernel, masks, gates=1)
        (h,), _ = _scan(lambda x, h: ((activation(x + product(h)),), ()), (inputs,), (h0,), kept=0, valid=valid)
        return product, h

    if not _bounded(activation, keras.activations.sigmoid):
        return forward(inputs, h0, kernel, valid)[1]

    @tf.custom_gradient
    def run(inputs, h0, kernel):
        product, h = forward(inputs, h0, kernel)

        def gradient(dh):
            def step(h, dh_out, dh):
                dz = (dh + dh_out) * (1 - h * h)
                return (product.gradient(dz),), (dz,)

            (dh,), (dz,) = _scan_back(step, (h, dh), (tf.zeros_like(h0),), kept=1)
            return dz, dh, product.kernel_gradient(_before(h0, h), dz)

        return h, gradient

    return run(inputs, h0, kernel)


def _bounded(activation: Callable, gate_activation: Callable) -> bool:
    """Whether the gradients written here apply: they are those of tanh and sigmoid."""
    return activation is keras.activations.tanh and gate_activation is keras.activations.sigmoid


def _before(first: tf.Tensor, states: tf.Tensor) -> tf.Tensor:
    """The state each step started from, [T, B, U]."""
    return tf.concat([first[tf.newaxis], states[:-1]], axis=0)


class _Product:
    """State [B, U] times recurrent kernel [U, GU], with a dropout mask in front of the gates, and its gradients."""

    def __init__(self, kernel: tf.Tensor, masks: Mask, *, gates: int):
        self.kernel = kernel
        self.gates = gates
        self.units = kernel.shape[0]
        self.masks = masks  # [1 or G, B, U]
        self.by_gate = masks is not None and masks.shape[0] > 1
        if self.by_gate:
            self.kernel = tf.transpose(tf.reshape(kernel, [self.units, gates, self.units]), [1, 0, 2])  # [G, U, U]

    def __call__(self, h: tf.Tensor) -> tf.Tensor:
        if self.masks is None:
            return tf.matmul(h, self.kernel)
        if not self.by_gate:
            return tf.matmul(h * self.masks[0], self.kernel)
        products = tf.matmul(h * self.masks, self.kernel)  # [G, B, U]
        return tf.reshape(tf.transpose(products, [1, 0, 2]), [-1, self.gates * self.units])

    def gradient(self, d: tf.Tensor) -> tf.Tensor:
        """By the state [B, U], from the gradient by the product [B, GU]."""
        if not self.by_gate:
            dh = tf.matmul(d, self.kernel, transpose_b=True)
            return dh if self.masks is None else dh * self.masks[0]
        d = tf.transpose(tf.reshape(d, [-1, self.gates, self.units]), [1, 0, 2])  # [G, B, U]
        return tf.reduce_sum(tf.matmul(d, self.kernel, transpose_b=True) * self.masks, axis=0)

    def kernel_gradient(self, h: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
        """By the kernel [U, GU], from all states [T, B, U] and all gradients by the product [T, B, GU]."""
        if not self.by_gate:
            h = h if self.masks is None else h * self.masks[0]
            h, d = tf.reshape(h, [-1, self.units]), tf.reshape(d, [-1, self.gates * self.units])
            return tf.matmul(h, d, transpose_a=True)
        d = tf.reshape(d, [tf.shape(h)[0], -1, self.gates, self.units])
        return tf.reshape(tf.einsum("tbu,gbu,tbgv->ugv", h, self.masks, d), [self.units, self.gates * self.units])


def _scan(step: Callable, inputs: Tensors, state: Tensors, *, kept: int, valid: Mask = None) -> tuple[Tensors, Tensors]:
    """step(*inputs at t, *state) -> (state, kept) for every t; all states and all kept, each [T, B, ...]."""
    steps = tf.shape(inputs[0])[0]
    sources = _sources(inputs)
    valid_source = None if valid is None else _sources([valid])[0]

    def body(t, state, arrays):
        new, keep = step(*(source.read(t) for source in sources), *state)
        if valid_source is not None:
            real = valid_source.read(t)
            new = [tf.where(real, after, before) for after, before in zip(new, state, strict=True)]
        arrays = [array.write(t, x) for array, x in zip(arrays, (*new, *keep), strict=True)]
        return t + 1, tuple(new), arrays

    arrays = [tf.TensorArray(inputs[0].dtype, size=steps) for _ in range(len(state) + kept)]
    _, _, arrays = tf.while_loop(
        lambda t, *_: t < steps, body, (0, tuple(state), arrays), maximum_iterations=steps
    )
    stacked = [array.stack() for array in arrays]
    return stacked[: len(state)], stacked[len(state) :]


def _scan_back(step: Callable, inputs: Tensors, state: Tensors, *, kept: int) -> tuple[Tensors, Tensors]:
    """As `_scan` from the last step to the first; the state in the end, and all kept."""
    steps = tf.shape(inputs[0])[0]
    sources = _sources(inputs)

    def body(n, state, arrays):
        t = steps - 1 - n
        state, keep = step(*(source.read(t) for source in sources), *state)
        return n + 1, tuple(state), [array.write(t, x) for array, x in zip(arrays, keep, strict=True)]

    arrays = [tf.TensorArray(inputs[0].dtype, size=steps) for _ in range(kept)]
    _, state, arrays = tf.while_loop(
        lambda n, *_: n < steps, body, (0, tuple(state), arrays), maximum_iterations=steps
    )
    return state, [array.stack() for array in arrays]


def _sources(tensors: Tensors) -> list[tf.TensorArray]:
    return [tf.TensorArray(x.dtype, size=tf.shape(x)[0]).unstack(x) for x in tensors]
