"""The graph that an exported forecaster answers with: values of series in, core TensorFlow ops only.

Axes: B batch, T steps given, L look-back, H horizon, K known, P past, S static columns, Q quantiles, N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy.stats import norm

from seqpipe.export.artefact import signature
from seqpipe.layers.recurrent_form import traced_for
from seqpipe.models.traced import traced_once
from seqpipe.tasks.forecasting.data import Facts

MOST_STEPS = 100_000
MOST_SAMPLES = 10_000
NAN = float("nan")
Tensors = dict[str, tf.Tensor]


class Forecasts(tf.Module):
    """Signatures over a Keras model of windows.

    Args:
        model: as `seqpipe.models.forecaster` makes it.
        facts: what the training data fixed.
        horizon: H.
        levels: of the model's quantiles; answered: those that are answered.
        memory: correlation of one step's rank with the next, for sample paths.
        anomaly_fraction: share of values that are flagged.
        version: of the artefact.
    """

    def __init__(
        self,
        model: keras.Model,
        facts: Facts,
        *,
        horizon: int,
        levels: Sequence[float],
        answered: Sequence[float],
        memory: float,
        anomaly_fraction: float,
        version: int,
    ):
        super().__init__()
        self.weights = [variable.value for variable in model.weights]
        self._infer = traced_once(model)
        self._facts, self._frame, self._horizon = facts, facts.frame(), horizon
        self._levels, self._answered = list(levels), [list(levels).index(level) for level in answered]
        self._middle = self._levels.index(0.5)
        self._normal = norm.ppf(self._levels).astype(np.float32)
        self._memory, self._anomaly, self._version = memory, anomaly_fraction, version
        self._lower = facts.lower
        self._names = facts.names if facts.names != [""] else []
        size = self._frame.look_back
        self.state_size = 2 * size * (1 + self._frame.known + self._frame.past)
        spec = self._specs()
        number = tf.TensorSpec([], tf.int32, "steps")
        drawn = tf.TensorSpec([], tf.int32, "samples"), tf.TensorSpec([2], tf.int32, "seed")
        held = (
            tf.TensorSpec([None], tf.int64, "observations"),
            tf.TensorSpec([None, self.state_size], tf.float32, "state"),
        )
        self.functions = {
            "serving_default": _function(self._answer, *spec),
            "longer": _function(self._longer, *spec, number),
            "samples": _function(self._samples, *spec, *drawn),
            "score": _function(self._score, *spec),
            "explain": _function(self._explain, *spec),
            "stream": _function(self._stream, *spec, *held),
            "info": signature(self._info),
        }

    def _specs(self) -> list[tf.TensorSpec]:
        frame = self._frame
        specs = [tf.TensorSpec([None, None], tf.float32, "values")]
        if frame.step.kind != "rows":
            specs.append(tf.TensorSpec([None], tf.int64, "time"))
        if self._names:
            specs.append(tf.TensorSpec([None], tf.string, "series"))
        if frame.known:
            specs.append(tf.TensorSpec([None, None, frame.known], tf.float32, "known"))
        if frame.past:
            specs.append(tf.TensorSpec([None, None, frame.past], tf.float32, "past"))
        if frame.static:
            specs.append(tf.TensorSpec([None, len(frame.static)], tf.string, "static"))
        return specs

    # Signatures

    def _answer(self, given: Tensors) -> Tensors:
        self._check_lengths(given, self._horizon)
        return self._shown(given, self._quantiles(self._window(given, self._horizon)))

    def _longer(self, given: Tensors) -> Tensors:
        steps = given.pop("steps")
        allowed = f"longer: steps must be 1 to {MOST_STEPS:,}."
        tf.debugging.Assert((steps >= 1) & (steps <= MOST_STEPS), [allowed])
        self._check_lengths(given, steps)
        blocks = tf.maximum(
            (steps + self._horizon - 1) // self._horizon, 1
        )  # a forbidden number meets its assertion and nothing else
        window = self._window(given, blocks * self._horizon)
        answers = tf.TensorArray(tf.float32, size=blocks, element_shape=[None, self._horizon, len(self._levels)])

        def turn(
            number: tf.Tensor, values: tf.Tensor, past: tf.Tensor, answers: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
            done = number * self._horizon
            inputs = {**window, "values": values} | ({"past": past} if "past" in window else {})
            if "time" in window:
                inputs["time"] = self._frame.step.later(window["time"], tf.cast(done, tf.int64))
            if "known" in window:
                inputs["known"] = window["known"][:, done : done + self._frame.look_back + self._horizon]
                inputs["known"].set_shape([None, self._frame.look_back + self._horizon, None])
            found = self._quantiles(inputs)
            values = tf.concat([values, found[:, :, self._middle]], axis=1)[:, -self._frame.look_back :]
            unseen = tf.fill([tf.shape(past)[0], self._horizon, self._frame.past], NAN)
            past = tf.concat([past, unseen], axis=1)[:, -self._frame.look_back :]
            values, past = tf.ensure_shape(values, window["values"].shape), tf.ensure_shape(past, shapes[2])
            return number + 1, values, past, answers.write(number, found)

        past = window.get("past", tf.zeros([tf.shape(window["values"])[0], self._frame.look_back, 0]))
        shapes = (tf.TensorShape([]), window["values"].shape, past.shape, tf.TensorShape(None))
        *_, answers = tf.while_loop(
            lambda number, *_: number < blocks,
            turn,
            (tf.constant(0), window["values"], past, answers),
            shape_invariants=shapes,
        )
        stacked = tf.transpose(answers.stack(), [1, 0, 2, 3])  # [B, blocks, H, Q]
        whole = tf.reshape(self._widened(stacked), [-1, blocks * self._horizon, len(self._levels)])[:, :steps]
        beyond = tf.range(steps)[None, :] >= self._horizon
        rows = tf.ones([tf.shape(whole)[0], 1], tf.bool)
        return {**self._shown(given, whole), "extrapolated": beyond & rows}

    def _widened(self, blocks: tf.Tensor) -> tf.Tensor:
        """Quantiles [B, N, H, Q] of blocks, each of which took the medians of those before it for what came.

        How far these may be wrong at their last steps is added, as of errors that have nothing to do with each other.
        """
        wide = tf.cast(blocks, tf.float64)  # which holds the square of any float32
        median = wide[..., self._middle, None]
        squares = tf.square(wide - median)
        before = tf.cumsum(squares[:, :, -1:], axis=1, exclusive=True)  # [B, N, 1, Q]
        sides = np.sign(np.arange(len(self._levels)) - self._middle).astype(np.float64)
        widened = tf.clip_by_value(median + sides * tf.sqrt(squares + before), -3e38, 3e38)
        return self._bounded(tf.where(before > 0, tf.cast(widened, tf.float32), blocks))

    def _bounded(self, values: tf.Tensor) -> tf.Tensor:
        return values if self._lower is None else tf.maximum(values, self._lower)

    def _samples(self, given: Tensors) -> Tensors:
        count, seed = given.pop("samples"), given.pop("seed")
        tf.debugging.Assert((count >= 1) & (count <= MOST_SAMPLES), [f"samples must be 1 to {MOST_SAMPLES:,}."])
        self._check_lengths(given, self._horizon)
        found = self._quantiles(self._window(given, self._horizon))  # [B, H, Q]
        # One draw for all rows, so that a row's paths do not depend on the rows beside it.
        shocks = tf.random.stateless_normal([count, self._horizon], seed)
        decays = self._memory ** np.abs(np.subtract.outer(np.arange(self._horizon), np.arange(self._horizon)))
        mixing = np.linalg.cholesky(decays + 1e-6 * np.eye(self._horizon)).astype(np.float32)
        normal = tf.matmul(shocks, mixing, transpose_b=True)  # [N, H], each step standard normal
        return {"samples": self._bounded(at_normal(found[:, None], normal[None], self._normal))}

    def _score(self, given: Tensors) -> Tensors:
        self._check_lengths(given, self._horizon)
        values, steps, horizon = given["values"], tf.shape(given["values"])[1], self._horizon
        blocks = (steps + horizon - 1) // horizon
        window = self._window(given, horizon, look_back=self._frame.look_back + blocks * horizon)
        starts = tf.range(blocks) * horizon  # of the window that ends before a block
        size = self._frame.look_back
        inputs = {
            name: tf.repeat(value, blocks, axis=0) for name, value in window.items() if name in ("series", "static")
        }
        rows = tf.shape(values)[0]

        def cut(name: str, length: int) -> tf.Tensor:
            at = starts[:, None] + tf.range(length)[None, :]
            taken = tf.gather(window[name], at, axis=1)  # [B, blocks, length, ...]
            return tf.reshape(taken, tf.concat([[rows * blocks, length], tf.shape(taken)[3:]], 0))

        inputs["values"] = cut("values", size)
        if "known" in window:
            inputs["known"] = tf.ensure_shape(cut("known", size + horizon), [None, size + horizon, self._frame.known])
        if "past" in window:
            inputs["past"] = tf.ensure_shape(cut("past", size), [None, size, self._frame.past])
        if "time" in window:
            back = tf.cast((tf.range(blocks) - blocks) * horizon, tf.int64)
            inputs["time"] = tf.reshape(self._frame.step.later(window["time"][:, None], back[None, :]), [-1])
        found = self._quantiles(inputs)
        found = tf.reshape(found, [rows, blocks * horizon, len(self._levels)])[:, blocks * horizon - steps :]
        # What nothing came before was not forecast: the width of an interval there says nothing.
        begun = tf.reduce_any(tf.math.is_finite(inputs["values"]), axis=1)
        begun = tf.repeat(tf.reshape(begun, [rows, blocks]), horizon, axis=1)[:, blocks * horizon - steps :]
        seen = tf.math.is_finite(values) & begun
        rank = rank_of(found, tf.where(seen, values, found[:, :, self._middle]), self._normal)
        half = self._anomaly / 2
        return {"rank": tf.where(seen, rank, 0.5), "anomaly": seen & ((rank < half) | (rank > 1 - half))}

    def _explain(self, given: Tensors) -> Tensors:
        """How far the forecast moves when a segment of the past, or a covariate, is hidden."""
        self._check_lengths(given, self._horizon)
        window = self._window(given, self._horizon)
        quantiles = self._quantiles(window)
        median, size, segment = quantiles[:, :, self._middle], self._frame.look_back, self._frame.segment
        count, rows = -(-size // segment), tf.shape(window["values"])[0]
        hides = (np.arange(size)[None, :] + count * segment - size) // segment == np.arange(count)[:, None]

        def moved(many: int, changed: Tensors) -> tf.Tensor:
            repeated = {name: tf.repeat(value, many, axis=0) for name, value in window.items()} | changed
            other = tf.reshape(self._quantiles(repeated)[:, :, self._middle], [rows, many, self._horizon])
            return tf.transpose(median[:, None] - other, [0, 2, 1])  # [B, H, many]

        hidden = tf.reshape(tf.where(hides[None], NAN, window["values"][:, None]), [-1, size])
        seen = tf.cast(tf.math.is_finite(window["values"]), tf.float32)
        members = tf.matmul(seen, hides.astype(np.float32), transpose_b=True)  # [B, segments]
        each = moved(count, {"values": hidden}) / tf.maximum(members, 1.0)[:, None]
        weights = tf.matmul(each, tf.constant(hides, tf.float32)) * seen[:, None]  # [B, H, L]
        steps = tf.shape(given["values"])[1]
        weights = tf.pad(weights, [[0, 0], [0, 0], [tf.maximum(0, steps - size), 0]])[
            :, :, tf.maximum(0, size - steps) :
        ]
        answer = {"weights": weights, **self._shown(given, quantiles)}
        if "known" in window:
            columns = self._frame.known
            future = np.arange(size + self._horizon) >= size
            hides_known = future[None, :, None] & np.eye(columns, dtype=bool)[:, None, :]
            without = tf.where(hides_known[None], NAN, window["known"][:, None])
            without = tf.reshape(without, [-1, size + self._horizon, columns])
            answer["known_weights"] = moved(columns, {"known": without})
        return answer

    def _stream(self, given: Tensors) -> Tensors:
        """The newest values behind those that the state holds: the look-back, as numbers and whether they are there."""
        observations, state = given.pop("observations"), given.pop("state")
        self._check_lengths(given, self._horizon)
        size, frame = self._frame.look_back, self._frame
        held = tf.reshape(state, [-1, size, 2, 1 + frame.known + frame.past])
        held = tf.where(held[:, :, 1] > 0.5, held[:, :, 0], NAN)  # [B, L, 1 + K + P]
        steps = tf.shape(given["values"])[1]
        whole = dict(given)
        whole["values"] = tf.concat([held[:, :, 0], given["values"]], axis=1)
        news = [given["values"][:, :, None]]
        if "known" in given:
            whole["known"] = tf.concat([held[:, :, 1 : 1 + frame.known], given["known"]], axis=1)
            news.append(given["known"][:, :steps])
        if "past" in given:
            whole["past"] = tf.concat([held[:, :, 1 + frame.known :], given["past"]], axis=1)
            news.append(given["past"])
        answer = self._answer(whole)
        kept = tf.concat([held, tf.concat(news, axis=2)], axis=1)[:, -size:]
        there = tf.math.is_finite(kept)
        kept = tf.stack([tf.where(there, kept, 0.0), tf.cast(there, tf.float32)], axis=2)
        return {
            **answer,
            "observations": observations + tf.cast(steps, tf.int64),
            "state": tf.reshape(kept, [-1, self.state_size]),
        }

    def _info(self) -> Tensors:
        return {
            "levels": tf.constant([self._levels[index] for index in self._answered], tf.float32),
            "step": tf.constant(str(self._frame.step)),
            "horizon": tf.constant(self._horizon, tf.int32),
            "look_back": tf.constant(self._frame.look_back, tf.int32),
            "seasons": tf.constant(self._facts.seasons, tf.int32),
            "series": tf.constant(self._names, tf.string),
            "state_size": tf.constant(self.state_size, tf.int32),
            "version": tf.constant(self._version, tf.int32),
            "streaming": tf.constant(True),
        }

    # Parts

    def _check_lengths(self, given: Tensors, ahead: int | tf.Tensor) -> None:
        steps = tf.shape(given["values"])[1]
        if "known" in given:
            rule = "known must have a row for each value and each step to come: T + H steps."
            tf.debugging.Assert(tf.equal(tf.shape(given["known"])[1], steps + ahead), [rule])
        if "past" in given:
            tf.debugging.Assert(tf.equal(tf.shape(given["past"])[1], steps), ["past must have a row for each value."])

    def _window(self, given: Tensors, ahead: int | tf.Tensor, look_back: int | tf.Tensor | None = None) -> Tensors:
        """The inputs of the model: the last steps, missing ones before a short history."""
        size = self._frame.look_back if look_back is None else look_back
        rows = tf.shape(given["values"])[0]

        def last(x: tf.Tensor, steps: int | tf.Tensor) -> tf.Tensor:
            before = tf.fill(tf.concat([[rows, size], tf.shape(x)[2:]], 0), NAN)
            kept = tf.concat([before, x], axis=1)
            kept = kept[:, tf.shape(kept)[1] - steps :]
            kept.set_shape([None, steps if isinstance(steps, int) else None, *x.shape[2:]])
            return kept

        window = {"values": last(given["values"], size), "series": self._number(given, rows)}
        if "time" in given:
            window["time"] = given["time"]
        if "known" in given:
            extra = tf.shape(given["values"])[1] + ahead - tf.shape(given["known"])[1]  # of the last turn of `longer`
            known = tf.pad(given["known"], [[0, 0], [0, tf.maximum(0, extra)], [0, 0]], constant_values=NAN)
            window["known"] = last(known, size + ahead)
        if "past" in given:
            window["past"] = last(given["past"], size)
        if "static" in given:
            columns = [_index(given["static"][:, i], known)[0] for i, known in enumerate(self._facts.static)]
            window["static"] = tf.stack(columns, axis=1)
        return window

    def _number(self, given: Tensors, rows: tf.Tensor) -> tf.Tensor:
        return _index(given["series"], self._names)[0] if "series" in given else tf.ones([rows], tf.int32)

    def _quantiles(self, window: Tensors) -> tf.Tensor:
        with traced_for("serving"):
            return self._infer(window)

    def _shown(self, given: Tensors, quantiles: tf.Tensor) -> Tensors:
        rows, steps = tf.shape(quantiles)[0], tf.shape(quantiles)[1]
        answer = {"median": quantiles[:, :, self._middle], "quantiles": tf.gather(quantiles, self._answered, axis=2)}
        if "time" in given:
            ahead = tf.range(1, tf.cast(steps, tf.int64) + 1, dtype=tf.int64)
            answer["time"] = self._frame.step.later(given["time"][:, None], ahead[None, :])
        known = _index(given["series"], self._names)[1] if "series" in given else tf.ones([rows], tf.bool)
        return {**answer, "known_series": known}


def _function(call: Callable[[Tensors], Tensors], *specs: tf.TensorSpec) -> tf.types.experimental.PolymorphicFunction:
    names = [spec.name for spec in specs]
    return signature(lambda *values: call(dict(zip(names, values, strict=True))), *specs)


def _index(texts: tf.Tensor, known: Sequence[str]) -> tuple[tf.Tensor, tf.Tensor]:
    """The number of each text among those known, from 1; 0 and False for another."""
    equal = texts[:, None] == tf.constant(list(known), tf.string)[None, :]
    found = tf.reduce_any(equal, axis=1)
    return tf.where(found, tf.argmax(tf.cast(equal, tf.int32), axis=1, output_type=tf.int32) + 1, 0), found


def at_normal(quantiles: tf.Tensor, normal: tf.Tensor, levels: np.ndarray) -> tf.Tensor:
    """The quantile function [..., Q] at standard normal scores [...]: lines between quantiles, going on beyond."""
    total = quantiles[..., 0] + tf.zeros_like(normal)
    if len(levels) == 1:
        return total
    for number in range(len(levels) - 1):
        slope = (quantiles[..., number + 1] - quantiles[..., number]) / (levels[number + 1] - levels[number])
        low = levels[number] if number else -6.0
        high = levels[number + 1] if number < len(levels) - 2 else 6.0
        total += slope * (tf.clip_by_value(normal, low, high) - levels[number])
    return total


def rank_of(quantiles: tf.Tensor, values: tf.Tensor, levels: np.ndarray) -> tf.Tensor:
    """The share of outcomes below each value, 0..1: the inverse of `at_normal`."""
    if len(levels) == 1:
        return tf.where(values < quantiles[..., 0], 0.25, tf.where(values > quantiles[..., 0], 0.75, 0.5))
    score = tf.zeros_like(values) + levels[0]
    for number in range(len(levels) - 1):
        width = quantiles[..., number + 1] - quantiles[..., number]
        share = tf.math.divide_no_nan(values - quantiles[..., number], width)
        low = 0.0 if number else -20.0
        high = 1.0 if number < len(levels) - 2 else 20.0
        beyond = tf.where(values > quantiles[..., number], high, tf.where(values < quantiles[..., number], low, 0.5))
        share = tf.where(width > 0, share, beyond)
        score += (levels[number + 1] - levels[number]) * tf.clip_by_value(share, low, high)
    return 0.5 * (1.0 + tf.math.erf(tf.clip_by_value(score, -6.0, 6.0) / np.sqrt(2.0).astype(np.float32)))
