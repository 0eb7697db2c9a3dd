"""Convolution over time and frequency that knows its lengths, and streams.

Axes: B batch, T time (frames), F frequency (mel bands), C channels.
"""

from __future__ import annotations

from typing import Literal, Unpack

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from seqpipe.layers.lengths import LayerOptions, Shape, Tensor, check_rank, step_mask, strided, within, zero_beyond


@keras.saving.register_keras_serializable(package="seqpipe")
class SpectrogramBlock(keras.layers.Layer):
    """Pad, convolve over frames and bands, normalise by batch, ReLU; padding in time never changes a real frame.

    What lies beyond a length enters as zero and leaves as zero. Output frame i stands at input frame i * stride_frames.

    Args:
        filters: channels of the output.
        kernel_frames, kernel_bands: what a filter sees.
        stride_frames, stride_bands: distance between two outputs; in frames no more than the kernel.
        padding: in time, same (a frame sees both sides) or causal (it sees no later frame).

    Call with x float [B, T, F] or [B, T, F, C] and lengths int32 [B]; returns (y [B, T', F', filters], lengths [B]).
    """

    pool = 1  # what the receptive-field report asks of a convolution

    def __init__(
        self,
        filters: int,
        *,
        kernel_frames: int = 3,
        kernel_bands: int = 3,
        stride_frames: int = 1,
        stride_bands: int = 1,
        padding: Literal["same", "causal"] = "same",
        **base: Unpack[LayerOptions],
    ):
        super().__init__(**base)
        if padding not in ("same", "causal"):
            raise ValueError(f'padding = "{padding}" is not one of same, causal.')
        if stride_frames > kernel_frames:
            raise ValueError(
                f"stride_frames = {stride_frames} is above kernel_frames = {kernel_frames}: sound is lost."
            )
        self.filters, self.padding = filters, padding
        self.kernel_frames, self.kernel_bands = kernel_frames, kernel_bands
        self.stride_frames, self.stride_bands = stride_frames, stride_bands
        self.convolution = keras.layers.Conv2D(
            filters,
            (kernel_frames, kernel_bands),
            strides=(stride_frames, stride_bands),
            padding="valid",
            use_bias=False,  # the normalisation has one
            dtype=self.dtype_policy,
        )
        self.norm = keras.layers.BatchNormalization(dtype=self.dtype_policy)

    @property
    def span(self) -> int:
        return self.kernel_frames

    @property
    def stride(self) -> int:
        return self.stride_frames

    def build(self, x_shape: Shape, lengths_shape: Shape | None = None) -> None:
        channels = x_shape[3] if len(x_shape) == 4 else 1
        self.convolution.build((None, None, None, channels))
        self.norm.build((None, None, None, self.filters))
        self.built = True

    def call(self, x: Tensor, lengths: Tensor, training: bool | None = None) -> tuple[Tensor, Tensor]:
        check_rank("x", x, "[B, T, F] or [B, T, F, C]", 3, 4)
        x = x if len(x.shape) == 4 else x[..., None]
        lengths = within(lengths, ops.shape(x)[1])
        x = _zero_beyond(x, lengths)
        x = ops.pad(x, [[0, 0], [self.frames_before, self.span - 1 - self.frames_before], [0, 0], [0, 0]])
        lengths = strided(lengths, self.stride_frames)
        y = self._convolve(x)
        learning = training and self.norm.trainable  # as in Keras a frozen one stays as it is
        y = self._normalised(y, lengths) if learning else self.norm(y, training=False)
        return _zero_beyond(ops.relu(y), lengths), lengths

    @property
    def frames_before(self) -> int:
        """Frames of padding before the first."""
        return self.span - 1 if self.padding == "causal" else (self.span - 1) // 2

    def bands_around(self, bands: int) -> list[int]:
        """Bands of padding below and above."""
        missing = max(0, (strided(bands, self.stride_bands) - 1) * self.stride_bands + self.kernel_bands - bands)
        return [missing // 2, missing - missing // 2]

    def _convolve(self, x: Tensor) -> Tensor:
        return self.convolution(ops.pad(x, [[0, 0], [0, 0], self.bands_around(x.shape[2]), [0, 0]]))

    def _normalised(self, y: Tensor, lengths: Tensor) -> Tensor:
        """y by the mean and variance of the batch's real frames, which the moving ones follow.

        Clips are mostly of one length; then TensorFlow's fused kernel does it, in a third of the time.
        """
        norm = self.norm
        gamma, beta = ops.cast(norm.gamma, "float32"), ops.cast(norm.beta, "float32")

        def fused() -> tuple[Tensor, ...]:
            normalised, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
                x=y, scale=gamma, offset=beta, mean=[], variance=[], epsilon=norm.epsilon, is_training=True
            )
            count = tf.cast(tf.size(y) // self.filters, tf.float32)
            return normalised, mean, unbiased * (count - 1) / count

        def masked() -> tuple[Tensor, ...]:
            real = tf.cast(step_mask(lengths, tf.shape(y)[1])[:, :, None, None], tf.float32)  # [B, T', 1, 1]
            y32 = tf.cast(y, tf.float32)
            count = tf.maximum(tf.reduce_sum(real) * tf.cast(tf.shape(y)[2], tf.float32), 1)
            mean = tf.reduce_sum(y32 * real, axis=[0, 1, 2]) / count
            variance = tf.reduce_sum(tf.square(y32 - mean) * real, axis=[0, 1, 2]) / count
            normalised = tf.nn.batch_normalization(y32, mean, variance, beta, gamma, norm.epsilon)
            return tf.cast(normalised, y.dtype), mean, variance

        fusable = y.dtype != tf.float64  # of which TensorFlow has no kernel
        normalised, mean, variance = tf.cond(_whole(y, lengths), fused, masked) if fusable else masked()
        for moving, value in ((norm.moving_mean, mean), (norm.moving_variance, variance)):
            value = ops.cast(tf.stop_gradient(value), moving.dtype)
            moving.assign(moving * norm.momentum + value * (1 - norm.momentum))
        return normalised

    def get_config(self) -> dict[str, object]:
        names = ["filters", "kernel_frames", "kernel_bands", "stride_frames", "stride_bands", "padding"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class FoldedBlock:
    """A trained `SpectrogramBlock` for serving: one convolution, with the normalisation in its weights.

    weights: kernel and bias, two variables.
    """

    def __init__(self, block: SpectrogramBlock):
        norm = block.norm
        gamma, beta, mean, variance = (
            ops.convert_to_numpy(v) for v in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
        )
        scale = gamma / np.sqrt(variance + norm.epsilon)
        kernel = tf.Variable(ops.convert_to_numpy(block.convolution.kernel) * scale, trainable=False)
        bias = tf.Variable(beta - mean * scale, trainable=False)
        self.block, self.weights = block, [kernel, bias]

    def __call__(self, x: Tensor) -> Tensor:
        """x [B, T, F(, C)], all of it real, to [B, T', F', filters]."""
        block = self.block
        return self._convolve(x, [block.frames_before, block.span - 1 - block.frames_before])

    def stream(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """The frames that come next, of a causal block.

        Args:
            x: [B, n * stride_frames, F(, C)], the frames up to the n-th next output.
            before: [B, span - stride_frames, F(, C)], the frames before them; zeros before the first.
        Returns:
            (y [B, n, F', filters], the frames that the next call wants as `before`).
        """
        x = tf.concat([before, x], axis=1)
        kept = before.shape[1]
        return self._convolve(x, [0, 0]), x[:, -kept:] if kept else before

    def _convolve(self, x: Tensor, frames_around: list[int]) -> Tensor:
        x = x if len(x.shape) == 4 else x[..., tf.newaxis]
        x = tf.pad(x, [[0, 0], frames_around, self.block.bands_around(x.shape[2]), [0, 0]])
        kernel, bias = self.weights
        strides = [self.block.stride_frames, self.block.stride_bands]
        return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, strides, "VALID"), bias))


@keras.saving.register_keras_serializable(package="seqpipe")
class LastSteps(keras.layers.Layer):
    """The last real steps of each row.

    Args:
        steps: how many, at most.

    Call with x float [B, T, C] and lengths int32 [B]; returns (y [B, min(T, steps), C], lengths [B]); zero beyond them.
    """

    def __init__(self, steps: int, **base: Unpack[LayerOptions]):
        super().__init__(**base)
        if steps < 1:
            raise ValueError(f"steps = {steps} is less than 1.")
        self.steps = steps

    def call(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        lengths = within(lengths, ops.shape(x)[1])
        x = zero_beyond(x, lengths)
        kept = ops.minimum(lengths, self.steps)
        size = ops.minimum(ops.shape(x)[1], self.steps)
        places = (lengths - kept)[:, None] + ops.arange(size, dtype="int32")[None, :]
        places = ops.minimum(places, ops.shape(x)[1] - 1)
        y = ops.take_along_axis(x, places[:, :, None], axis=1)
        mask = step_mask(kept, size)[:, :, None]
        return ops.where(mask, y, ops.zeros((), dtype=x.dtype)), kept

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "steps": self.steps}


@keras.saving.register_keras_serializable(package="seqpipe")
class FixedScale(keras.layers.Layer):
    """(x - mean) / deviation, band by band, fitted once: the same for a stream as for the whole."""

    def build(self, x_shape: Shape) -> None:
        self.mean = self.add_weight(shape=(x_shape[-1],), initializer="zeros", trainable=False, name="mean")
        self.deviation = self.add_weight(shape=(x_shape[-1],), initializer="ones", trainable=False, name="deviation")

    def call(self, x: Tensor) -> Tensor:
        return (x - ops.cast(self.mean, x.dtype)) / ops.cast(self.deviation, x.dtype)


def _zero_beyond(x: Tensor, lengths: Tensor) -> Tensor:
    """x [B, T, F, C] with exact zeros beyond each length, whatever stood there (NaN included)."""

    def zeroed() -> Tensor:
        return tf.where(step_mask(lengths, tf.shape(x)[1])[:, :, None, None], x, tf.zeros((), x.dtype))

    return tf.cond(_whole(x, lengths), lambda: x, zeroed)


def _whole(x: Tensor, lengths: Tensor) -> Tensor:
    """bool: no row of x [B, T, F, C] is shorter than T."""
    return tf.reduce_all(lengths >= tf.shape(x)[1])
