"""What is exported of a forecaster: signatures, rows to prove them with, and answers by another way.

Axes: T steps given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from seqpipe.export.artefact import Artefact, Row
from seqpipe.layers.recurrent_form import traced_for
from seqpipe.models.traced import traced_once
from seqpipe.tasks.forecasting.signatures import Forecasts

if TYPE_CHECKING:
    from seqpipe.tasks.forecasting.task import Forecasting
    from seqpipe.tasks.protocol import Fitted

TOLERANCE = 1e-4


def make_artefact(task: Forecasting, model: keras.Model, fitted: Fitted, version: int) -> Artefact:
    """Signatures with probes, real and hostile, and what the Keras model answers to them."""
    module = Forecasts(
        model,
        task.facts,
        horizon=task.horizon,
        levels=task.levels,
        answered=task.config.model.quantiles,
        memory=fitted["memory"],
        anomaly_fraction=task.config.conformal.anomaly_fraction,
        version=version,
    )
    rows = probes(task)
    small = rows[:4] + rows[-6:]
    state = np.zeros(module.state_size, np.float32)
    later = np.int32(task.horizon + 3)
    longer = [_reaching(row, int(later) - task.horizon) for row in small]
    return Artefact(
        module=module,
        model=model,
        signatures=module.functions,
        probes={
            "serving_default": rows,
            "longer": longer,
            "samples": small,
            "score": small,
            "explain": small,
            "stream": [{**row, "observations": np.array(0, np.int64), "state": state} for row in small],
        },
        shared={
            "longer": {"steps": np.array(later, np.int32)},
            "samples": {"samples": np.array(5, np.int32), "seed": np.array([1, 2], np.int32)},
        },
        reference={"serving_default": lambda rows: _reference(task, model, rows)},
        differences={"weights": "median", "known_weights": "median"},
        tolerance=TOLERANCE,
    )


def probes(task: Forecasting) -> list[Row]:
    """Windows of dev; short, long and empty histories; nothing but gaps, one value, huge ones; a series unheard of."""
    examples = task.examples("dev")
    rng = np.random.default_rng(task.config.seed)
    chosen = rng.permutation(len(examples))[:6]
    batch = examples.batch(chosen)
    look_back = task.facts.look_back
    real = [
        window_row(task, int(place), int(number), look_back)
        for place, number in zip(batch["place"], batch["series"], strict=True)
    ]
    first = real[0]
    place, number = int(batch["place"][0]), int(batch["series"][0])
    lengths = [window_row(task, place, number, steps) for steps in (5, 1, 0)]
    longer = window_row(task, place, number, look_back, more=3)

    def filled(value: float) -> Row:
        return {**first, "values": np.full_like(first["values"], value)}

    spike = first["values"].copy()
    spike[-3:][0] = 1e30
    hostile = [
        filled(float("nan")),
        filled(1e30),
        filled(-7.0),
        filled(0.0),
        filled(float("inf")),
        {**first, "values": spike},
    ]
    if "series" in first:
        hostile[2]["series"] = np.array(b"never heard of \xe2\x98\x83", object)
    return [*real, longer, *lengths, *hostile]


def window_row(task: Forecasting, place: int, number: int, steps: int, more: int = 0) -> Row:
    """The window of so many steps that ends at a place, as a request has it; more: steps before it, missing."""
    store, facts = task.store, task.facts
    back = slice(place - steps + 1, place + 1)
    row: Row = {"values": np.concatenate([np.full(more, np.nan, np.float32), store.values[back]])}
    if facts.step[0] != "rows":
        row["time"] = np.array(store.clock[place], np.int64)
    if facts.names != [""]:
        row["series"] = np.array(facts.names[number - 1].encode(), object)

    def padded(x: np.ndarray) -> np.ndarray:
        return np.concatenate([np.full((more, x.shape[1]), np.nan, np.float32), x])

    if facts.known:
        row["known"] = padded(store.known[place - steps + 1 : place + task.horizon + 1])
    if facts.past:
        row["past"] = padded(store.past[back])
    if facts.static:
        row["static"] = np.array([text.encode() for text in task.panel.series[number - 1].static], object)
    return row


def _reaching(row: Row, more: int) -> Row:
    """A probe whose covariates reach so many steps further."""
    if "known" not in row:
        return row
    return {**row, "known": np.concatenate([row["known"], np.repeat(row["known"][-1:], more, axis=0)])}


def _reference(task: Forecasting, model: keras.Model, rows: list[Row]) -> list[Row]:
    """What the Keras model answers to each probe alone, its window made with numpy."""
    answer = traced_once(model)
    answered = [task.levels.index(level) for level in task.config.model.quantiles]

    def found(row: Row) -> Row:
        quantiles = answer(_window(task, model, row)).numpy()[0]
        return {"median": quantiles[:, task.levels.index(0.5)], "quantiles": quantiles[:, answered]}

    with traced_for("many_rows"):
        return [found(row) for row in rows]


def _window(task: Forecasting, model: keras.Model, row: Row) -> dict[str, tf.Tensor]:
    """What the model takes of a probe, as a batch of one."""
    facts = task.facts

    def last(x: np.ndarray, steps: int) -> np.ndarray:
        whole = np.concatenate([np.full((facts.look_back, *x.shape[1:]), np.nan, np.float32), x])
        return whole[len(whole) - steps :][None]

    name = row["series"].item().decode() if "series" in row else facts.names[0]
    number = facts.names.index(name) + 1 if name in facts.names else 0
    inputs = {"values": last(row["values"], facts.look_back), "series": np.array([number], np.int32)}
    if "time" in row:
        inputs["time"] = row["time"][None]
    if "known" in row:
        inputs["known"] = last(row["known"], facts.look_back + task.horizon)
    if "past" in row:
        inputs["past"] = last(row["past"], facts.look_back)
    if "static" in row:
        known = [values.index(text.decode()) + 1 for values, text in zip(facts.static, row["static"], strict=True)]
        inputs["static"] = np.array([known], np.int32)
    return {name: tf.constant(inputs[name]) for name in model.input}
