"""Drawing the next character: the same for the same seed, whatever other rows there are, today and after export.

One uniform number a row and step comes from an integer hash of (the row's seed, step); the character is looked up by
inverse CDF among the characters in order of their probability. In this order: what is forbidden; repetition penalty;
top-k; min-p; temperature; top-p. Only core TensorFlow ops, and the same in numpy (`draw_numpy`).

Axes: B batch (rows), V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

NEVER = -1e9  # the score of what is forbidden
MASK = 0xFFFFFFFF
GOLDEN = 0x9E3779B9
FEW = 256  # likeliest among which is drawn first: of thousands all are sorted only where the draw lies beyond
ROUNDING, TRIES = 1e-5, 6  # how far logits of two graphs lie apart, and how often that is tried
MULTIPLIERS = (0x7FEB352D, 0x31848BAB)  # below 2^31, so that no product overflows int64


class Settings(NamedTuple):
    """How characters are drawn; scalars.

    temperature: scores are divided by it; 0 takes the likeliest.
    top_k: only so many likeliest; 0 is all.
    top_p: only the likeliest that make up this share together; 1 is all.
    min_p: only those at least this share as likely as the likeliest; 0 is all.
    repetition_penalty: scores of what stands in the text, and of what it begins behind (the edge of a text, a line's
        end), are divided by it where positive, else multiplied; 1 is none.
    """

    temperature: tf.Tensor | float
    top_k: tf.Tensor | int
    top_p: tf.Tensor | float
    min_p: tf.Tensor | float
    repetition_penalty: tf.Tensor | float


def uniform(seed: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """float32 [B] in 0 <= u < 1, from seeds int64 [B] and a step.

    Source of the mixing: Wellons 2018, Prospecting for Hash Functions.
    """
    low, high = tf.bitwise.bitwise_and(seed, MASK), tf.bitwise.bitwise_and(tf.bitwise.right_shift(seed, 32), MASK)
    of_seed = _mixed(tf.bitwise.bitwise_xor(low, _mixed(tf.bitwise.bitwise_and(high + GOLDEN, MASK))))
    place = tf.bitwise.bitwise_and((tf.cast(step, tf.int64) + 1) * GOLDEN, MASK)
    drawn = _mixed(tf.bitwise.bitwise_and(of_seed + place, MASK))
    return tf.cast(tf.bitwise.right_shift(drawn, 8), tf.float32) / 2.0**24


def uniforms(seed: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """float32 [steps, B]: `uniform` of each of so many steps, for a loop."""
    return uniform(seed, tf.range(steps)[:, tf.newaxis])


def _mixed(x: tf.Tensor) -> tf.Tensor:
    for shift, multiplier in zip((16, 15), MULTIPLIERS, strict=True):
        x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, shift))
        x = tf.bitwise.bitwise_and(x * multiplier, MASK)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, 14))


def draw(logits: tf.Tensor, uniforms: tf.Tensor, settings: Settings, seen: tf.Tensor) -> tf.Tensor:
    """int32 [B], an id a row.

    Args:
        logits: float32 [B, V], NEVER where forbidden.
        uniforms: float32 [B].
        seen: bool [B, V], ids in the text so far.
    """
    return Drawer(settings, logits.shape[1])(logits, uniforms, seen)


class Drawer:
    """`draw` for a loop: what settings mean is worked out before it.

    Args:
        size: V.
    """

    def __init__(self, settings: Settings, size: int):
        self.penalty, self.top_p = settings.repetition_penalty, tf.minimum(settings.top_p, 1.0)
        self.temperature = tf.maximum(settings.temperature, 1e-6)
        self.scale = tf.cast(settings.temperature > 0, tf.float32)  # of the draw: 0 takes the likeliest
        # How far below the likeliest a score may lie; what is forbidden lies deeper. By rank for top-k.
        self.lowest = tf.maximum(tf.math.log(settings.min_p), NEVER / 2)
        self.top_k = tf.where(settings.top_k > 0, settings.top_k, size)
        self.lowest_by_rank = tf.where(tf.range(size) < self.top_k, self.lowest, np.inf)
        self.limited, self.size = self.top_k < size, size

    def __call__(self, logits: tf.Tensor, uniforms: tf.Tensor, seen: tf.Tensor | None) -> tf.Tensor:
        """As `draw`; where seen is None, nothing is penalised."""
        scores, uniforms = logits, (uniforms * self.scale)[:, tf.newaxis]
        if seen is not None:
            penalised = tf.where(logits > 0, logits / self.penalty, logits * self.penalty)
            scores = tf.where(seen, penalised, logits)
        if self.size <= 2 * FEW:
            return self._among_all(scores, uniforms)
        found, sure = self._among_few(scores, uniforms)
        others = tf.where(~sure)
        rows = others[:, 0]
        rest = self._among_all(tf.gather(scores, rows), tf.gather(uniforms, rows))
        return tf.tensor_scatter_nd_update(found, others, rest)

    def _among_all(self, scores: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
        scores, order = tf.math.top_k(scores, self.size)  # equal ones by id
        summed, kept = self._kept(self._weights(scores, scores[:, :1], self.lowest_by_rank))
        return tf.gather(order, _place(summed, uniforms * kept), batch_dims=1)

    def _among_few(self, scores: tf.Tensor, uniforms: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """As `_among_all` without sorting all; bool [B], whether what was drawn stands among the FEW likeliest."""
        few, order = tf.math.top_k(scores, FEW)
        weights = self._weights(few, few[:, :1], self.lowest_by_rank[:FEW])
        all_weights = self._weights(scores, few[:, :1], self.lowest)
        every = tf.where(self.limited, tf.reduce_sum(weights, 1), tf.reduce_sum(all_weights, 1))[:, tf.newaxis]
        summed, kept = self._kept(weights, every)
        wanted, last = self.top_p * every, weights[:, -1:]
        ended = (summed[:, -1:] >= wanted) | (last <= 0)
        # Behind the few, what is kept reaches top_p, and goes beyond it by less than the last of them.
        least = tf.where(ended, kept, wanted * (1 - ROUNDING))
        most = tf.where(ended, kept, tf.minimum(wanted + last, every) * (1 + ROUNDING))
        first, place = (_place(summed, uniforms * of) for of in (least, most))
        sure = (self.top_k <= FEW) | ~self.limited
        sure &= ended[:, 0] | ((first == place) & (place < FEW))
        return tf.gather(order, tf.minimum(place, FEW - 1), batch_dims=1), sure

    def _weights(self, scores: tf.Tensor, highest: tf.Tensor, lowest: tf.Tensor) -> tf.Tensor:
        """What is drawn in proportion to, 1 for the highest score; 0 where too low."""
        below = scores - highest
        return tf.where(below >= lowest, tf.exp(below / self.temperature), 0.0)

    def _kept(self, weights: tf.Tensor, every: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Cumulated weights [B, N], in order; and [B, 1] what those that top_p keeps come to, of all together."""
        summed = tf.cumsum(weights, axis=1)
        wanted = self.top_p * (summed[:, -1:] if every is None else every)
        kept = tf.where(summed - weights < wanted, summed, 0.0)
        return summed, tf.reduce_max(kept, axis=1, keepdims=True)


def _place(summed: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
    """int32 [B], where a draw [B, 1] lies among cumulated weights. A uniform number of 24 bits times what is kept
    stays below that, so that nothing behind it is found."""
    return tf.reduce_sum(tf.cast(summed <= drawn, tf.int32), axis=1)


def uniform_numpy(seed: int, step: int) -> np.float32:
    """As `uniform`, for one row."""

    def mixed(x: int) -> int:
        for shift, multiplier in zip((16, 15), MULTIPLIERS, strict=True):
            x = ((x ^ (x >> shift)) * multiplier) & MASK
        return x ^ (x >> 14)

    of_seed = mixed((seed & MASK) ^ mixed((((seed >> 32) & MASK) + GOLDEN) & MASK))
    return np.float32((mixed((of_seed + (((step + 1) * GOLDEN) & MASK)) & MASK) >> 8) / 2.0**24)


def draw_numpy(logits: np.ndarray, drawn: float, settings: Settings, seen: np.ndarray) -> int:
    """As `draw`, for one row: logits float32 [V], seen bool [V]."""
    penalty = settings.repetition_penalty
    penalised = np.where(logits > 0, logits / penalty, np.maximum(logits * penalty, NEVER))
    scores = np.where(seen, penalised, logits)
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    if settings.temperature <= 0:
        return int(order[0])
    allowed = scores > NEVER / 2
    if settings.top_k > 0:
        allowed[settings.top_k :] = False
    allowed &= np.exp(scores - scores[0]) >= settings.min_p
    weights = np.where(allowed, np.exp((scores - scores[0]) / settings.temperature), 0)
    weights = weights / weights.sum()
    weights[np.concatenate([[0], np.cumsum(weights)[:-1]]) >= settings.top_p] = 0
    summed = np.cumsum(weights)
    place = int((summed <= drawn * summed[-1]).sum())
    return int(order[min(place, int((weights > 0).sum()) - 1)])


def is_settled(found: int, logits: np.ndarray, drawn: float, settings: Settings, seen: np.ndarray) -> bool:
    """Whether `draw_numpy` finds the same id where rounding differs, as it does between machines and graphs."""
    rng = np.random.default_rng(0)
    for _ in range(TRIES):
        near = np.where(logits > NEVER / 2, logits + rng.normal(0, ROUNDING, logits.shape), logits).astype(np.float32)
        if draw_numpy(near, float(np.clip(drawn + rng.normal(0, ROUNDING), 0, 1)), settings, seen) != found:
            return False
    return True
