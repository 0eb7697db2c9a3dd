"""A forecaster: segments of the past, a recurrence, a query for each segment of the future; beside it, a ridge.

Axes: B batch, L steps of the past, H of the future, K known, P past, S static columns, Q quantiles, N and M segments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from seqpipe import layers
from seqpipe.config.series import Forecaster, SeriesFeatures
from seqpipe.layers import series as series_layers
from seqpipe.layers import series_scale
from seqpipe.series.clock import Step


@dataclass(frozen=True)
class Frame:
    """What the data fixes of a forecaster.

    look_back: L. segment: steps read at once. seasons: lengths in steps. yearly: days of the year are told.
    series: known series. known, past: columns. static: values of each static column that are known.
    lower: no answer lies below it.
    """

    step: Step
    look_back: int
    segment: int
    seasons: tuple[int, ...] = ()
    yearly: bool = False
    series: int = 1
    known: int = 0
    past: int = 0
    static: tuple[int, ...] = field(default=())
    lower: float | None = None


def forecaster(config: Forecaster, features: SeriesFeatures, *, frame: Frame, name: str = "forecaster") -> keras.Model:
    """A `keras.Model` from windows of series to quantiles of the steps to come.

    Args:
        config: what to build; its defaults are the defaults of a pipeline file.
        features: transform, lower bound and whether there is a calendar.
        frame: what the data fixes.
    Returns:
        A functional model. Inputs, by name, as far as there are any: `values` float32 [B, L] (NaN is missing), `series`
        int32 [B] (0 is one that is not known), `time` int64 [B] of the last value, `known` float32 [B, L + H, K],
        `past` float32 [B, L, P], `static` int32 [B, S] (0 is not known).
        Output: float32 [B, H, Q], sorted, of `Forecaster.levels`.
    """
    horizon, steps = config.horizon_steps, frame.look_back
    values = keras.Input((steps,), dtype="float32", name="values")
    series = keras.Input((), dtype="int32", name="series")
    inputs = {"values": values, "series": series}
    hidden = series_layers.HiddenValues(config.mask_fraction, name="hidden")(values) if config.mask_fraction else values
    scale = series_scale.WindowScale(
        frame.series,
        normalisation="mean" if config.normalisation == "revin" else config.normalisation,
        transform=features.transform,
        usual=True,
        name="scale",
    )
    x, seen, level, unit, last = scale(hidden, series)
    calendar = phases = None
    if frame.step.kind != "rows":
        time = inputs["time"] = keras.Input((), dtype="int64", name="time")
        if features.calendar and (frame.seasons or frame.yearly):
            calendar, phases = series_layers.Calendar(
                kind=frame.step.kind,
                size=frame.step.size,
                seasons=list(frame.seasons),
                yearly=frame.yearly,
                look_back=steps,
                horizon=horizon,
                name="calendar",
            )(time)
    known = past = None
    if frame.known:
        inputs["known"] = keras.Input((steps + horizon, frame.known), dtype="float32", name="known")
        known = series_layers.Covariates(name="known_scale")(inputs["known"])
    if frame.past:
        inputs["past"] = keras.Input((steps, frame.past), dtype="float32", name="past")
        past = series_layers.Covariates(name="past_scale")(inputs["past"])
    if frame.static:
        inputs["static"] = keras.Input((len(frame.static),), dtype="int32", name="static")
    parts = _Parts(x, seen, series, calendar, phases, known, past, inputs.get("static"), last)
    ridge = _ridge(config, frame, parts) if config.linear else None
    levels = config.levels
    median = levels.index(0.5)
    network = _network(config, frame, parts, quantiles=len(levels), median=median)
    mixed = series_layers.MixedExperts(median, name="mix")(network, network[:, :, median] if ridge is None else ridge)
    answer = series_scale.Restored(features.transform, frame.lower, name="answer")(mixed, level, unit)
    return keras.Model(inputs, answer, name=name)


@dataclass(frozen=True)
class _Parts:
    """Tensors of the window, in its own units; None where there is no such thing."""

    x: keras.KerasTensor
    seen: keras.KerasTensor
    series: keras.KerasTensor
    calendar: keras.KerasTensor | None
    phases: keras.KerasTensor | None
    known: Any
    past: keras.KerasTensor | None
    static: Any
    last: keras.KerasTensor


def _network(config: Forecaster, frame: Frame, parts: _Parts, *, quantiles: int, median: int) -> keras.KerasTensor:
    """float32 [B, H, Q], sorted."""
    horizon, steps, units = config.horizon_steps, frame.look_back, config.recurrent.units
    x, season = parts.x, None
    own = series_scale.SeriesUnits(frame.series, name="own_units") if config.normalisation == "revin" else None
    if config.profile and parts.phases is not None and frame.seasons:
        season = series_layers.SeasonProfile(frame.series, list(frame.seasons), name="profile")(
            parts.series, parts.phases, parts.last
        )
        x = (x - season[:, :steps]) * parts.seen
    if own is not None:
        x = own(x, parts.series) * parts.seen
    channels = [x[:, :, None], parts.seen[:, :, None]]
    channels += [] if parts.known is None else [parts.known[:, :steps]]
    channels += [] if parts.past is None else [parts.past]
    steps_of = ops.concatenate(channels, axis=2)  # [B, L, C]
    lengths = ops.full_like(parts.series, steps)
    for number, block in enumerate(config.convolution, start=1):
        steps_of, lengths = layers.ConvolutionBlock(**block.model_dump(), name=f"convolution_{number}")(
            steps_of, lengths
        )
    count = -(-steps // frame.segment)
    steps_of = ops.pad(steps_of, [[0, 0], [count * frame.segment - steps, 0], [0, 0]])
    segments = ops.reshape(steps_of, (-1, count, frame.segment * steps_of.shape[2]))  # [B, N, SC]
    segments = keras.layers.Dense(units, activation="relu", name="segments")(segments)
    ahead = min(frame.segment, horizon)  # steps a query answers
    queries = _queries(config, frame, parts, ahead)
    queries = keras.layers.Dense(units, name="queries")(queries)  # [B, M, U]
    answers = series_layers.SegmentRecurrence(config.recurrent.cell, units, name="recurrent")(segments, queries)
    if config.recurrent.dropout:
        answers = keras.layers.Dropout(config.recurrent.dropout)(answers)
    heads = keras.layers.Dense(ahead * quantiles, dtype="float32", name="heads")(answers)
    heads = ops.reshape(heads, (-1, queries.shape[1] * ahead, quantiles))[:, :horizon]  # [B, H, Q]
    heads = series_layers.SpreadQuantiles(median, dtype="float32", name="quantiles")(heads)
    heads = heads if own is None else own(heads, parts.series, undo=True)
    return heads if season is None else heads + season[:, steps:, None]


def _queries(config: Forecaster, frame: Frame, parts: _Parts, ahead: int) -> keras.KerasTensor:
    """What is known of each segment of the future: float32 [B, M, C]."""
    horizon, units = config.horizon_steps, config.embedding_units
    many = -(-horizon // ahead)
    places = ops.arange(many) + ops.zeros_like(parts.series)[:, None]  # [B, M]
    found = [keras.layers.Embedding(many, units, name="places")(places)]

    def repeated(x: keras.KerasTensor) -> keras.KerasTensor:
        return ops.repeat(x[:, None, :], many, axis=1)

    if frame.series > 1:
        found.append(repeated(keras.layers.Embedding(frame.series + 1, units, name="series_vectors")(parts.series)))
    for number, size in enumerate(frame.static):
        vector = keras.layers.Embedding(size + 1, units, name=f"static_vectors_{number + 1}")(parts.static[:, number])
        found.append(repeated(vector))
    if parts.calendar is not None:
        found.append(parts.calendar[:, frame.look_back :: ahead][:, :many])
    if parts.known is not None:
        future = ops.pad(parts.known[:, frame.look_back :], [[0, 0], [0, many * ahead - horizon], [0, 0]])
        found.append(ops.reshape(future, (-1, many, ahead * frame.known)))
    return ops.concatenate(found, axis=2)


def _with_products(waves: keras.KerasTensor) -> keras.KerasTensor:
    """Waves of the calendar [B, C] and the product of every two: an hour is another one on Sundays, or in winter."""
    first, second = np.tril_indices(waves.shape[1], -1)[::-1]
    return ops.concatenate([waves, ops.take(waves, first, axis=1) * ops.take(waves, second, axis=1)], axis=1)


def _by_time_of_season(config: Forecaster, frame: Frame, parts: _Parts) -> list[keras.KerasTensor]:
    """Known columns of the horizon and their squares, times the first waves of the shortest season."""
    if parts.calendar is None or not frame.seasons:
        return []
    known, horizon = parts.known[:, frame.look_back :], config.horizon_steps  # [B, H, K]
    waves = parts.calendar[:, frame.look_back : frame.look_back + horizon, :2]  # [B, H, 2]
    columns = ops.concatenate([known, known * known], axis=2)[:, :, :, None] * waves[:, :, None, :]  # [B, H, 2K, 2]
    return [ops.reshape(columns, (-1, horizon * 4 * frame.known))]


def _ridge(config: Forecaster, frame: Frame, parts: _Parts) -> keras.KerasTensor:
    """float32 [B, H]: a line through what the layer `design` collects."""
    season = max(frame.seasons[:1], default=1)
    filled = series_layers.FilledBySeason(season, repeated=True, name="filled")(parts.x, parts.seen)
    found = [filled]
    if parts.calendar is not None:
        found.append(_with_products(parts.calendar[:, frame.look_back]))
    if parts.known is not None:
        back = min(frame.look_back, max(config.horizon_steps, *frame.seasons[:1], 1))
        near = ops.reshape(parts.known[:, frame.look_back - back :], (-1, (back + config.horizon_steps) * frame.known))
        found += [near, near * near, *_by_time_of_season(config, frame, parts)]
    if parts.past is not None:
        back = min(frame.look_back, 2 * max(frame.seasons[:1], default=8))
        found.append(ops.reshape(parts.past[:, -back:], (-1, back * frame.past)))
    found.append(ops.ones_like(filled[:, :1]))
    design = keras.layers.Concatenate(dtype="float32", name="design")(found)  # [B, F]
    line = keras.layers.Dense(
        config.horizon_steps, use_bias=False, kernel_initializer="zeros", trainable=False, dtype="float32", name="ridge"
    )
    return line(design)
