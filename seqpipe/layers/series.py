"""Layers of a forecaster: scale, calendar, season, segments, experts. A missing value is NaN.

A window holds the last L steps; what lies before a series is missing, so a short history and a padded one are the same.

Axes: B batch, L steps of the past, H of the future, C channels, K covariates, Q quantiles, N and M segments, U units.
"""

from __future__ import annotations

from typing import Any, Literal

import keras
import tensorflow as tf

from seqpipe.layers.lengths import Tensor
from seqpipe.layers.recurrent import GRU, LSTM
from seqpipe.series.clock import YEAR_S, Step

HUGE = 1e30  # a value beyond is taken for this one, so that no sum overflows
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


class _Fixed(keras.layers.Layer):
    """A layer whose arguments are its configuration: a subclass names them."""

    arguments: tuple[str, ...] = ()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{name: getattr(self, name) for name in self.arguments}}

    def fixed(self, name: str, shape: tuple[int, ...], value: float = 0.0) -> Any:
        """A weight that is fitted otherwise than by gradients."""
        return self.add_weight(
            name=name, shape=shape, initializer=keras.initializers.Constant(value), trainable=False, dtype="float32"
        )


@keras.saving.register_keras_serializable(package="seqpipe")
class HiddenValues(_Fixed):
    """In training, some values of a window are missing, so that the model learns to do without.

    Call with values float [B, L]; returns them with NaN in places.
    """

    arguments = ("fraction",)

    def __init__(self, fraction: float, **base: Any):
        super().__init__(**base)
        self.fraction = fraction
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, values: Tensor, training: bool | None = None) -> Tensor:
        if not training:
            return values
        drawn = keras.random.uniform(tf.shape(values), seed=self.seed_generator)
        # Not the same share in every window: most lose few, some many.
        share = 2 * self.fraction * keras.random.uniform([tf.shape(values)[0], 1], seed=self.seed_generator)
        last = tf.range(tf.shape(values)[1]) == tf.shape(values)[1] - 1
        return tf.where((drawn < share) & ~last[None, :], float("nan"), values)


@keras.saving.register_keras_serializable(package="seqpipe")
class WindowScale(_Fixed):
    """A window in its own units: what it is measured from, and how much it varies around its mean.

    Args:
        series: number of known series; number 0 is any other.
        normalisation: last, mean, revin (as mean: nothing is learned), or none (each series' own level and
            scale).
        transform: of values, before all else.
    Call arguments:
        values: float32 [B, L], NaN where missing.
        series: int32 [B].
    Returns:
        x float [B, L], 0 where missing; seen float [B, L], 0 or 1; level and scale float [B, 1]; last int32 [B], the
        place of the last value (the last place where there is none). A window without values has its series' own level.
    """

    arguments = ("series", "normalisation", "transform")

    def __init__(self, series: int, *, normalisation: str = "last", transform: str = "none", **base: Any):
        super().__init__(**base)
        self.series, self.normalisation, self.transform = series, normalisation, transform

    def build(self, values_shape: Any = None, series_shape: Any = None) -> None:
        self.own_level = self.fixed("own_level", (self.series + 1,))
        self.own_scale = self.fixed("own_scale", (self.series + 1,))
        self.built = True

    def call(self, values: Tensor, series: Tensor) -> tuple[Tensor, ...]:
        values = transformed(tf.clip_by_value(values, -HUGE, HUGE), self.transform)
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
        match self.normalisation:
            case "last":
                level = last
            case "mean" | "revin":
                level, x = last + mean, tf.where(is_seen, x - mean, 0.0)
            case "none":
                given = (known > 0) & (own_scale > 0)
                level, scale = tf.where(given, own_level, last), tf.where(given, own_scale, scale)
                x = tf.where(is_seen, values - level, 0.0)
            case other:
                raise ValueError(f'normalisation = "{other}" is not one of last, mean, revin, none.')
        return x / tf.maximum(scale, 1e-30), seen, level, scale, last_place

    def compute_output_spec(self, values: Any, series: Any) -> tuple[Any, ...]:
        rows = values.shape[0]
        made = keras.KerasTensor
        return (
            *(made(values.shape, dtype="float32") for _ in range(2)),
            *(made((rows, 1), dtype="float32") for _ in range(2)),
            made((rows,), dtype="int32"),
        )


@keras.saving.register_keras_serializable(package="seqpipe")
class Calendar(_Fixed):
    """What day and hour the steps of a window are, from the time of its last value.

    Args:
        kind, size: of the step, see `seqpipe.series.clock.Step`.
        seasons: lengths of seasons in steps.
        yearly: whether to tell the days of the year.
        look_back, horizon: L and H.
    Call with time int64 [B]; returns features float [B, L + H, C], sines and cosines, and phases int32
    [B, L + H, seasons].
    """

    arguments = ("kind", "size", "seasons", "yearly", "look_back", "horizon")

    def __init__(
        self, *, kind: str, size: int, seasons: list[int], yearly: bool, look_back: int, horizon: int, **base: Any
    ):
        super().__init__(**base)
        self.kind, self.size, self.seasons, self.yearly = kind, size, list(seasons), yearly
        self.look_back, self.horizon = look_back, horizon

    def call(self, time: Tensor) -> tuple[Tensor, Tensor]:
        step = Step(self.kind, self.size)  # type: ignore[arg-type]
        ahead = tf.range(1 - self.look_back, self.horizon + 1, dtype=tf.int64)
        ticks = step.ticks(time)[:, None] + ahead[None, :]  # [B, L + H]
        features, phases = [], []
        for season in self.seasons:
            phase = ticks % season
            phases.append(tf.cast(phase, tf.int32))
            features += circle(tf.cast(phase, tf.float32) / season, harmonics=min(2, season // 2))
        if self.yearly:
            features += circle(self._year(step, time, ticks, ahead), harmonics=2)
        return tf.stack(features, axis=2), tf.stack(phases or [tf.zeros_like(tf.cast(ticks, tf.int32))], axis=2)

    def _year(self, step: Step, time: Tensor, ticks: Tensor, ahead: Tensor) -> Tensor:
        """Share of the year that has gone, 0..1."""
        if step.kind == "months":
            return tf.cast((ticks * step.size) % 12, tf.float32) / 12
        seconds = time[:, None] + ahead[None, :] * step.size
        return tf.cast(seconds % YEAR_S, tf.float32) / YEAR_S

    @property
    def channels(self) -> int:
        return sum(2 * min(2, season // 2) for season in self.seasons) + 4 * self.yearly

    def compute_output_spec(self, time: Any) -> tuple[Any, Any]:
        steps = self.look_back + self.horizon
        return (
            keras.KerasTensor((time.shape[0], steps, self.channels), dtype="float32"),
            keras.KerasTensor((time.shape[0], steps, max(1, len(self.seasons))), dtype="int32"),
        )


def circle(share: Tensor, *, harmonics: int) -> list[Tensor]:
    """Sines and cosines of a share of a turn."""
    turns = [2.0 * 3.141592653589793 * number * share for number in range(1, harmonics + 1)]
    return [wave(turn) for turn in turns for wave in (tf.sin, tf.cos)]


@keras.saving.register_keras_serializable(package="seqpipe")
class SeasonProfile(_Fixed):
    """A learned season for each series: a number for each phase of each season; other series have none.

    Call with series int32 [B], phases int32 [B, T, seasons], last int32 [B]; returns float [B, T], counted from the
    place `last` on, where it is 0.
    """

    arguments = ("series", "seasons")

    def __init__(self, series: int, seasons: list[int], **base: Any):
        super().__init__(**base)
        self.series, self.seasons = series, list(seasons)

    def build(self, *shapes: Any) -> None:
        self.tables = [
            self.add_weight(name=f"season_{season}", shape=((self.series + 1) * season,), initializer="zeros")
            for season in self.seasons
        ]
        self.built = True

    def call(self, series: Tensor, phases: Tensor, last: Tensor) -> Tensor:
        total = tf.zeros_like(tf.cast(phases[:, :, 0], tf.float32))
        for number, (season, table) in enumerate(zip(self.seasons, self.tables, strict=True)):
            total += tf.gather(tf.convert_to_tensor(table), series[:, None] * season + phases[:, :, number])
        total = tf.where(series[:, None] > 0, total, 0.0)
        return total - tf.gather(total, last, batch_dims=1)[:, None]

    def compute_output_spec(self, series: Any, phases: Any, last: Any) -> Any:
        return keras.KerasTensor(phases.shape[:2], dtype="float32")


@keras.saving.register_keras_serializable(package="seqpipe")
class Covariates(_Fixed):
    """Covariates in units of their spread in the training data; a missing one is the mean.

    Call with float [B, T, K]; returns the same shape.
    """

    def build(self, shape: Any) -> None:
        self.mean, self.spread = self.fixed("mean", (shape[-1],)), self.fixed("spread", (shape[-1],), 1.0)
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        scaled = (x - self.mean) / self.spread
        return tf.clip_by_value(tf.where(tf.math.is_finite(scaled), scaled, 0.0), -20.0, 20.0)


@keras.saving.register_keras_serializable(package="seqpipe")
class SegmentRecurrence(_Fixed):
    """A recurrence over the segments of the past; each segment of the future is one more step from its last state.

    All steps into the future start at the same state, so they are computed at once (SegRNN, Lin et al. 2023).

    Call with past float [B, N, C] and queries float [B, M, C]; returns float [B, M, U].
    """

    arguments = ("cell", "units")

    def __init__(self, cell: Literal["lstm", "gru"], units: int, **base: Any):
        super().__init__(**base)
        self.cell, self.units = cell, units
        self.recurrence = {"lstm": LSTM, "gru": GRU}[cell](units, return_state=True, name="recurrence")

    def build(self, past_shape: Any, queries_shape: Any = None) -> None:
        self.recurrence.build((None, None, past_shape[-1]))
        self.built = True

    def call(self, past: Tensor, queries: Tensor, training: bool | None = None) -> Tensor:
        _, *state = self.recurrence(past, training=training)
        many = tf.shape(queries)[1]
        repeated = [tf.repeat(part, many, axis=0) for part in state]  # [BM, U]
        flat = tf.reshape(queries, [-1, queries.shape[-1]])
        answer = self.recurrence.step(flat, repeated)[0]
        return tf.reshape(answer, [-1, queries.shape[1], self.units])

    def compute_output_spec(self, past: Any, queries: Any, training: bool | None = None) -> Any:
        return keras.KerasTensor((*queries.shape[:2], self.units), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="seqpipe")
class FilledBySeason(_Fixed):
    """Missing values of a window from a season before, else 0: a line through the past wants a number everywhere.

    Call with x and seen float [B, L]; returns float [B, L].
    """

    arguments = ("season",)

    def __init__(self, season: int, **base: Any):
        super().__init__(**base)
        self.season = season

    def call(self, x: Tensor, seen: Tensor) -> Tensor:
        for shift in (self.season, 2 * self.season, -self.season) if self.season > 1 else (1, 2):
            paddings = [[0, 0], [shift, 0]] if shift > 0 else [[0, 0], [0, -shift]]
            length = tf.shape(x)[1]
            other, other_seen = tf.pad(x, paddings), tf.pad(seen, paddings)
            other, other_seen = (part[:, :length] if shift > 0 else part[:, -length:] for part in (other, other_seen))
            x = tf.where(seen > 0, x, other * other_seen)
            seen = tf.maximum(seen, other_seen)
        return x

    def compute_output_spec(self, x: Any, seen: Any) -> Any:
        return keras.KerasTensor(x.shape, dtype="float32")


@keras.saving.register_keras_serializable(package="seqpipe")
class MixedExperts(_Fixed):
    """The network's quantiles moved towards the ridge's forecast, and widened until intervals cover what they promise.

    Call with network float [B, H, Q], sorted, and ridge float [B, H]; returns float [B, H, Q], sorted. `share` [H] is
    the network's, 0..1; `widths` [H, Q] is added.
    """

    arguments = ("median",)

    def __init__(self, median: int, **base: Any):
        super().__init__(**base)
        self.median = median

    def build(self, network_shape: Any, ridge_shape: Any = None) -> None:
        self.share = self.fixed("share", (network_shape[1],), 1.0)
        self.widths = self.fixed("widths", tuple(network_shape[1:]))
        self.built = True

    def call(self, network: Tensor, ridge: Tensor) -> Tensor:
        middle = network[:, :, self.median]
        moved = (1.0 - self.share)[None, :] * (ridge - middle)
        answer = network + moved[:, :, None] + self.widths[None]
        centre = answer[:, :, self.median : self.median + 1]
        below = tf.minimum(answer[:, :, : self.median], centre)
        above = tf.maximum(answer[:, :, self.median + 1 :], centre)
        return tf.concat([tf.sort(below, axis=2), centre, tf.sort(above, axis=2)], axis=2)

    def compute_output_spec(self, network: Any, ridge: Any) -> Any:
        return keras.KerasTensor(network.shape, dtype="float32")


@keras.saving.register_keras_serializable(package="seqpipe")
class Restored(_Fixed):
    """Quantiles in the units of the series. Call with x float [B, H, Q], level and scale [B, 1]."""

    arguments = ("transform", "lower")

    def __init__(self, transform: str = "none", lower: float | None = None, **base: Any):
        super().__init__(**base)
        self.transform, self.lower = transform, lower

    def call(self, x: Tensor, level: Tensor, scale: Tensor) -> Tensor:
        values = tf.clip_by_value(x, -1e6, 1e6) * scale[:, :, None] + level[:, :, None]
        values = restored(tf.clip_by_value(values, -3e38, 3e38), self.transform)
        return values if self.lower is None else tf.maximum(values, self.lower)
