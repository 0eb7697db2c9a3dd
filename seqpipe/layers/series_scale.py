"""Layers that measure a window of a series in its own units, and give answers in those of the series.

Axes: B batch, L steps of the past, H of the future, Q quantiles.
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from seqpipe.layers.lengths import LayerOptions, Shape, Tensor

NORMALISATIONS, TRANSFORMS = ("last", "changes", "mean", "none"), ("none", "log1p", "log")
HUGE = 1e30  # a value beyond is taken for this one, so that no sum overflows
FARTHEST = 4.0  # from a window's scale to its series' own one, as a factor: what has grown is measured anew
LEAST_SCALE = 0.02  # of the series' own scale: below it a window counts as still, and its intervals keep some width


def transformed(values: Tensor, transform: str) -> Tensor:
    """log1p is symmetric, so that negative values have an answer too; the log of what is not positive is missing."""
    match transform:
        case "none":
            return values
        case "log1p":
            return tf.sign(values) * tf.math.log1p(tf.abs(values))
        case "log":
            return tf.math.log(tf.where(values > 0, values, float("nan")))
    raise ValueError(f'transform = "{transform}" is not one of none, log1p, log.')


def restored(values: Tensor, transform: str) -> Tensor:
    """The inverse of `transformed`, finite for every finite value."""
    match transform:
        case "none":
            return values
        case "log1p":
            return tf.sign(values) * tf.math.expm1(tf.minimum(tf.abs(values), 80.0))
        case "log":
            return tf.exp(tf.clip_by_value(values, -80.0, 80.0))
    raise ValueError(f'transform = "{transform}" is not one of none, log1p, log.')


class Fixed(keras.layers.Layer):
    """A layer whose arguments are its configuration: a subclass names them. In float32, whatever the policy."""

    arguments: tuple[str, ...] = ()

    def __init__(self, **base: Unpack[LayerOptions]):
        super().__init__(**{"dtype": "float32", **base})

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), **{name: getattr(self, name) for name in self.arguments}}

    def fixed(self, name: str, shape: tuple[int, ...], value: float = 0.0) -> keras.Variable:
        """A weight that is fitted otherwise than by gradients."""
        return self.add_weight(
            name=name, shape=shape, initializer=keras.initializers.Constant(value), trainable=False, dtype="float32"
        )


@keras.saving.register_keras_serializable(package="seqpipe")
class WindowScale(Fixed):
    """A window in its own units or those of its series: what it is measured from, and how much it varies.

    Args:
        series: number of known series; number 0 is any other.
        normalisation: last; changes, which counts in the mean change from one step to the next of the window; mean;
            none, which is each series' own level and scale.
        transform: of values, before all else.
        usual: a known series has one scale in all its windows, of last and mean, so that a calm window differs from a
            lively one; up to four times that of the window, or a fourth.
    Call arguments:
        values: float32 [B, L], NaN where missing.
        series: int32 [B].
    Returns:
        x float [B, L], 0 where missing; seen float [B, L], 0 or 1; level and scale float [B, 1]; last int32 [B], the
        place of the last value (the last place where there is none). A window without values has its series' own level.
    """

    arguments = ("series", "normalisation", "transform", "usual")

    def __init__(
        self,
        series: int,
        *,
        normalisation: str = "last",
        transform: str = "none",
        usual: bool = False,
        **base: Unpack[LayerOptions],
    ):
        super().__init__(**base)
        for name, given, allowed in (
            ("normalisation", normalisation, NORMALISATIONS),
            ("transform", transform, TRANSFORMS),
        ):
            if given not in allowed:
                raise ValueError(f'{name} = "{given}" is not one of {", ".join(allowed)}.')
        self.series, self.normalisation, self.transform, self.usual = series, normalisation, transform, usual

    def build(self, values_shape: Shape | None = None, series_shape: Shape | None = None) -> None:
        self.own_level = self.fixed("own_level", (self.series + 1,))
        self.own_scale = self.fixed("own_scale", (self.series + 1,))
        self.built = True

    def call(self, values: Tensor, series: Tensor) -> tuple[Tensor, ...]:
        within = tf.where(tf.math.is_finite(values), tf.clip_by_value(values, -HUGE, HUGE), float("nan"))
        values = transformed(within, self.transform)
        is_seen = tf.math.is_finite(values)
        seen = tf.cast(is_seen, tf.float32)
        count = tf.reduce_sum(seen, axis=1, keepdims=True)  # [B, 1]
        none = count == 0
        own_level = tf.gather(tf.convert_to_tensor(self.own_level), series)[:, None]
        own_scale = tf.gather(tf.convert_to_tensor(self.own_scale), series)[:, None]
        steps = tf.range(tf.shape(values)[1])[None, :]
        place = tf.reduce_max(tf.where(is_seen, steps, -1), axis=1)  # [B]
        last_place = tf.where(place < 0, tf.shape(values)[1] - 1, place)
        last = tf.gather(values, last_place, batch_dims=1)[:, None]
        last = tf.where(none, own_level, last)
        x = tf.where(is_seen, values - last, 0.0)  # from the last value on
        count = tf.maximum(count, 1.0)
        mean = tf.reduce_sum(x / count, axis=1, keepdims=True)
        away = tf.where(is_seen, tf.abs(x - mean), 0.0)
        scale = tf.reduce_sum(away / count, axis=1, keepdims=True)
        known = tf.cast(series > 0, tf.float32)[:, None]
        scale = tf.maximum(scale, LEAST_SCALE * known * own_scale)
        scale = tf.where(none, own_scale, scale)
        given = (known > 0) & (own_scale > 0)
        usual = tf.where(given & self.usual, tf.clip_by_value(own_scale, scale / FARTHEST, scale * FARTHEST), scale)
        match self.normalisation:
            case "last":
                level, scale = last, usual
            case "changes":
                level, scale = last, tf.where(none, own_scale, _mean_change(x, is_seen, scale))
            case "mean":
                level, scale, x = last + mean, usual, tf.where(is_seen, x - mean, 0.0)
            case _:  # none
                level, scale = tf.where(given, own_level, last), tf.where(given, own_scale, scale)
                x = tf.where(is_seen, values - level, 0.0)
        return x / tf.maximum(scale, 1e-30), seen, level, scale, last_place


def _mean_change(x: Tensor, is_seen: Tensor, scale: Tensor) -> Tensor:
    """Mean absolute change [B, 1] between neighbouring values of x [B, L] that are seen, a part of the scale at least.

    Where no two neighbours are seen it is the scale.
    """
    both = is_seen[:, 1:] & is_seen[:, :-1]
    changes = tf.where(both, tf.abs(x[:, 1:] - x[:, :-1]), 0.0)
    count = tf.reduce_sum(tf.cast(both, tf.float32), axis=1, keepdims=True)
    mean = tf.reduce_sum(changes / tf.maximum(count, 1.0), axis=1, keepdims=True)
    return tf.where(count > 0, tf.maximum(mean, LEAST_SCALE * scale), scale)


@keras.saving.register_keras_serializable(package="seqpipe")
class SeriesUnits(Fixed):
    """The learned half of RevIN (Kim et al. 2022): each series' own factor and shift, undone behind the network.

    Call with x float [B, L] or [B, H, Q] and series int32 [B]; returns the same shape. A series that is not known has
    factor 1 and shift 0.
    """

    arguments = ("series",)

    def __init__(self, series: int, **base: Unpack[LayerOptions]):
        super().__init__(**base)
        self.series = series

    def build(self, *shapes: Shape) -> None:
        shape = (self.series + 1,)
        self.log_factor = self.add_weight(name="log_factor", shape=shape, initializer="zeros")
        self.shift = self.add_weight(name="shift", shape=shape, initializer="zeros")
        self.built = True

    def call(self, x: Tensor, series: Tensor, undo: bool = False) -> Tensor:
        known = tf.cast(series > 0, tf.float32)
        shape = [-1, *[1] * (len(x.shape) - 1)]
        factor = tf.reshape(tf.exp(tf.gather(tf.convert_to_tensor(self.log_factor), series) * known), shape)
        shift = tf.reshape(tf.gather(tf.convert_to_tensor(self.shift), series) * known, shape)
        return (x - shift) / factor if undo else x * factor + shift


@keras.saving.register_keras_serializable(package="seqpipe")
class Restored(Fixed):
    """Quantiles in the units of the series. Call with x float [B, H, Q], level and scale [B, 1]."""

    arguments = ("transform", "lower")

    def __init__(self, transform: str = "none", lower: float | None = None, **base: Unpack[LayerOptions]):
        super().__init__(**base)
        self.transform, self.lower = transform, lower

    def call(self, x: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        values = tf.clip_by_value(x, -1e6, 1e6) * scale[:, :, None] + level[:, :, None]
        values = restored(tf.clip_by_value(values, -3e38, 3e38), self.transform)
        return values if self.lower is None else tf.maximum(values, self.lower)
