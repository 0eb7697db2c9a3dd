"""Layers of a forecaster: calendar, season, segments, experts. A missing value is NaN.

A window holds the last L steps; what lies before a series is missing, so a short history and a padded one are the same.

Axes: B batch, L steps of the past, H of the future, C channels, K covariates, Q quantiles, N and M segments, U units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack, get_args

import keras
import tensorflow as tf

from seqpipe.layers.lengths import LayerOptions, Shape, Tensor
from seqpipe.layers.recurrent import GRU, LSTM
from seqpipe.layers.series_scale import Fixed
from seqpipe.series.clock import YEAR_S, Kind, Step


@keras.saving.register_keras_serializable(package="seqpipe")
class HiddenValues(Fixed):
    """In training, some values of a window are missing, so that the model learns to do without.

    Call with values float [B, L]; returns them with NaN in places.
    """

    arguments = ("fraction",)

    def __init__(self, fraction: float, **base: Unpack[LayerOptions]):
        super().__init__(**base)
        if not 0 <= fraction <= 1:
            raise ValueError(f"fraction = {fraction} is not a share. Allowed: 0..1.")
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
class Calendar(Fixed):
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
        self,
        *,
        kind: str,
        size: int,
        seasons: list[int],
        yearly: bool,
        look_back: int,
        horizon: int,
        **base: Unpack[LayerOptions],
    ):
        super().__init__(**base)
        if kind not in get_args(Kind):
            raise ValueError(f'kind = "{kind}" is not one of {", ".join(get_args(Kind))}.')
        if not seasons and not yearly:
            raise ValueError("seasons are none and yearly is False: there is nothing to tell.")
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


def circle(share: Tensor, *, harmonics: int) -> list[Tensor]:
    """Sines and cosines of a share of a turn."""
    turns = [2.0 * 3.141592653589793 * number * share for number in range(1, harmonics + 1)]
    return [wave(turn) for turn in turns for wave in (tf.sin, tf.cos)]


@keras.saving.register_keras_serializable(package="seqpipe")
class SeasonProfile(Fixed):
    """A learned season for each series: a number for each phase of each season; other series have none.

    Call with series int32 [B], phases int32 [B, T, seasons], last int32 [B]; returns float [B, T], counted from the
    place `last` on, where it is 0.
    """

    arguments = ("series", "seasons")

    def __init__(self, series: int, seasons: list[int], **base: Unpack[LayerOptions]):
        super().__init__(**base)
        self.series, self.seasons = series, list(seasons)

    def build(self, *shapes: Shape) -> None:
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


@keras.saving.register_keras_serializable(package="seqpipe")
class Covariates(Fixed):
    """Covariates in units of their spread in the training data; a missing one is the mean.

    Call with float [B, T, K]; returns the same shape.
    """

    def build(self, shape: Shape) -> None:
        self.mean, self.spread = self.fixed("mean", (shape[-1],)), self.fixed("spread", (shape[-1],), 1.0)
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        scaled = (x - self.mean) / self.spread
        return tf.clip_by_value(tf.where(tf.math.is_finite(scaled), scaled, 0.0), -20.0, 20.0)


@keras.saving.register_keras_serializable(package="seqpipe")
class SegmentRecurrence(Fixed):
    """A recurrence over the segments of the past; each segment of the future is one more step from its last state.

    All steps into the future start at the same state, so they are computed at once (SegRNN, Lin et al. 2023).

    Call with past float [B, N, C] and queries float [B, M, C]; returns float [B, M, U].
    """

    arguments = ("cell", "units")

    def __init__(self, cell: Literal["lstm", "gru"], units: int, **base: Unpack[LayerOptions]):
        super().__init__(**{"dtype": keras.config.dtype_policy(), **base})
        if cell not in ("lstm", "gru"):
            raise ValueError(f'cell = "{cell}" is not one of lstm, gru.')
        self.cell, self.units = cell, units
        self.recurrence = {"lstm": LSTM, "gru": GRU}[cell](
            units, return_state=True, dtype=self.dtype_policy, name="recurrence"
        )

    def build(self, past_shape: Shape, queries_shape: Shape | None = None) -> None:
        self.recurrence.build((None, None, past_shape[-1]))
        self.built = True

    def compute_output_shape(self, past_shape: Shape, queries_shape: Shape) -> Shape:
        return (*queries_shape[:-1], self.units)

    def call(self, past: Tensor, queries: Tensor, training: bool | None = None) -> Tensor:
        _, *state = self.recurrence(past, training=training)
        many = tf.shape(queries)[1]
        repeated = [tf.repeat(part, many, axis=0) for part in state]  # [BM, U]
        flat = tf.reshape(queries, [-1, queries.shape[-1]])
        answer = self.recurrence.step(flat, repeated)[0]
        return tf.reshape(answer, [-1, queries.shape[1], self.units])


@keras.saving.register_keras_serializable(package="seqpipe")
class SpreadQuantiles(Fixed):
    """Quantiles in their order: the median, and from it outwards steps that are never negative.

    What the outer quantiles lack teaches the steps alone, so that the median is learned as if it were alone.

    Args:
        median: its place among the quantiles.
    Call with float [B, H, Q], any; returns the same shape, sorted along Q.
    """

    arguments = ("median",)

    def __init__(self, median: int, **base: Unpack[LayerOptions]):
        super().__init__(**base)
        self.median = median

    def call(self, x: Tensor) -> Tensor:
        middle = x[:, :, self.median : self.median + 1]
        centre, steps = tf.stop_gradient(middle), tf.math.softplus(x)
        below = centre - tf.cumsum(steps[:, :, : self.median], axis=2, reverse=True)
        above = centre + tf.cumsum(steps[:, :, self.median + 1 :], axis=2)
        return tf.concat([below, middle, above], axis=2)


@keras.saving.register_keras_serializable(package="seqpipe")
class FilledBySeason(Fixed):
    """Missing values of a window from a season before, else 0: a line through the past wants a number everywhere.

    Call with x and seen float [B, L]; returns float [B, L].

    Args:
        season: steps; 1 is the value before.
        repeated: fill from as many seasons away as it takes, before or else after; without it, as models of before were
            trained, from up to two seasons before or one after. So a short history is one that repeated itself.
    """

    arguments = ("season", "repeated")

    def __init__(self, season: int, *, repeated: bool = False, **base: Unpack[LayerOptions]):
        super().__init__(**base)
        self.season, self.repeated = season, repeated

    def _shifts(self, length: int | None) -> Sequence[int]:
        if not self.repeated:
            return (self.season, 2 * self.season, -self.season) if self.season > 1 else (1, 2)
        if length is None:
            raise ValueError("FilledBySeason(repeated=True) wants windows of a fixed length.")
        doubled = [self.season << power for power in range((length - 1).bit_length()) if self.season << power < length]
        return [*doubled, *(-shift for shift in doubled)]

    def call(self, x: Tensor, seen: Tensor) -> Tensor:
        for shift in self._shifts(x.shape[1]):
            paddings = [[0, 0], [shift, 0]] if shift > 0 else [[0, 0], [0, -shift]]
            length = tf.shape(x)[1]
            other, other_seen = tf.pad(x, paddings), tf.pad(seen, paddings)
            other, other_seen = (part[:, :length] if shift > 0 else part[:, -length:] for part in (other, other_seen))
            x = tf.where(seen > 0, x, other * other_seen)
            seen = tf.maximum(seen, other_seen)
        return x


@keras.saving.register_keras_serializable(package="seqpipe")
class MixedExperts(Fixed):
    """The network's quantiles moved towards the ridge's forecast, and widened until intervals cover what they promise.

    Call with network float [B, H, Q], sorted, and ridge float [B, H]; returns float [B, H, Q], sorted. `share` [H] is
    the network's, 0..1; `widths` [H, Q] is added.
    """

    arguments = ("median",)

    def __init__(self, median: int, **base: Unpack[LayerOptions]):
        super().__init__(**base)
        self.median = median

    def build(self, network_shape: Shape, ridge_shape: Shape | None = None) -> None:
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
        return tf.concat([_sorted(below), centre, _sorted(above)], axis=2)


def _sorted(part: tf.Tensor) -> tf.Tensor:
    """[B, H, Q] in the order of size; the gradient of TensorFlow's own sort fails where there is nothing to sort."""
    return tf.sort(part, axis=2) if part.shape[2] > 1 else part
