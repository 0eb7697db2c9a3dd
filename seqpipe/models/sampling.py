"""Drawing the next character: the same for the same seed, whatever other rows there are, today and after export.

One uniform number a row and step comes from an integer hash of (the row's seed, step); the character is looked up by
inverse CDF among the characters in order of their probability. In this order: what is forbidden; repetition penalty;
top-k; min-p; temperature; top-p. Only core TensorFlow ops, and the same in numpy (`draw_numpy`).

Axes: B batch (rows), V vocabulary.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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
    repetition_penalty: scores of what stands in the text are divided by it where positive, else multiplied; 1 is none.
    """

    temperature: Any
    top_k: Any
    top_p: Any
    min_p: Any
    repetition_penalty: Any


def uniform(seed: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """float32 [B] in 0 <= u < 1, from seeds int64 [B] and a step.

    Source of the mixing: Wellons 2018, Prospecting for Hash Functions.
    """
    return uniform_of(mixed_seed(seed), step)


def mixed_seed(seed: tf.Tensor) -> tf.Tensor:
    """int64 [B], what `uniform` makes of seeds before it sees a step: a loop does it once."""
    low, high = tf.bitwise.bitwise_and(seed, MASK), tf.bitwise.bitwise_and(tf.bitwise.right_shift(seed, 32), MASK)
    return _mixed(tf.bitwise.bitwise_xor(low, _mixed(tf.bitwise.bitwise_and(high + GOLDEN, MASK))))


def uniform_of(of_seed: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """`uniform`, of what `mixed_seed` gave."""
    place = tf.bitwise.bitwise_and((tf.cast(step, tf.int64) + 1) * GOLDEN, MASK)
    drawn = _mixed(tf.bitwise.bitwise_and(of_seed + place, MASK))
    return tf.cast(tf.bitwise.right_shift(drawn, 8), tf.float32) / 2.0**24


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
    penalty = settings.repetition_penalty
    penalised = tf.where(logits > 0, logits / penalty, tf.maximum(logits * penalty, NEVER))
    scores = tf.where(seen, penalised, logits)
    size = scores.shape[1]
    if size is None or size <= 2 * FEW:
        return _draw_among_all(scores, uniforms, settings)
    found, sure = _draw_among_few(scores, uniforms, settings)
    others = tf.where(~sure)
    rows = others[:, 0]
    rest = _draw_among_all(tf.gather(scores, rows), tf.gather(uniforms, rows), settings)
    return tf.tensor_scatter_nd_update(found, others, rest)


def _draw_among_all(scores: tf.Tensor, uniforms: tf.Tensor, settings: Settings) -> tf.Tensor:
    scores, order = tf.math.top_k(scores, tf.shape(scores)[1])  # equal ones by id
    weights = _weights(scores, scores[:, :1], settings)
    weights = tf.where((settings.top_k <= 0) | (tf.range(tf.shape(scores)[1]) < settings.top_k), weights, 0.0)
    summed = _summed(weights / tf.reduce_sum(weights, axis=1, keepdims=True), settings)
    return _at(
        order, tf.reduce_sum(tf.cast(summed <= uniforms[:, tf.newaxis] * summed[:, -1:], tf.int32), 1), summed, settings
    )


def _draw_among_few(scores: tf.Tensor, uniforms: tf.Tensor, settings: Settings) -> tuple[tf.Tensor, tf.Tensor]:
    """As `_draw_among_all` without sorting all; bool [B], whether what was drawn stands among the FEW likeliest."""
    few, order = tf.math.top_k(scores, FEW)
    weights = _weights(few, few[:, :1], settings)
    weights = tf.where((settings.top_k <= 0) | (tf.range(FEW) < settings.top_k), weights, 0.0)
    every = tf.where(
        settings.top_k > 0, tf.reduce_sum(weights, 1), tf.reduce_sum(_weights(scores, few[:, :1], settings), 1)
    )
    weights /= every[:, tf.newaxis]
    summed = _summed(weights, settings)
    kept, last = summed[:, -1], weights[:, -1]
    ended = (tf.reduce_sum(weights, 1) >= settings.top_p) | (last <= 0)
    # Behind the few, what is kept reaches top_p, and goes beyond it by less than the last of them.
    least = tf.where(ended, kept, tf.minimum(settings.top_p, 1.0) * (1 - ROUNDING))
    most = tf.where(ended, kept, tf.minimum(settings.top_p + last, 1.0) * (1 + ROUNDING))
    places = [tf.reduce_sum(tf.cast(summed <= (uniforms * of)[:, tf.newaxis], tf.int32), 1) for of in (least, most)]
    sure = (settings.top_k <= FEW) & (ended | ((places[0] == places[1]) & (places[1] < FEW)))
    return _at(order, places[1], summed, settings), sure | (settings.temperature <= 0)


def _weights(scores: tf.Tensor, highest: tf.Tensor, settings: Settings) -> tf.Tensor:
    """Weights of what is neither forbidden nor below min_p, those of the highest 1."""
    allowed = (scores > NEVER / 2) & (tf.exp(scores - highest) >= settings.min_p)
    return tf.where(allowed, tf.exp((scores - highest) / tf.maximum(settings.temperature, 1e-6)), 0.0)


def _summed(weights: tf.Tensor, settings: Settings) -> tf.Tensor:
    """Cumulated weights of what top_p keeps."""
    before = tf.cumsum(weights, axis=1, exclusive=True)
    return tf.cumsum(tf.where(before < settings.top_p, weights, 0.0), axis=1)


def _at(order: tf.Tensor, place: tf.Tensor, summed: tf.Tensor, settings: Settings) -> tf.Tensor:
    """The ids at places, at the last that is kept where rounding leads beyond it."""
    last = tf.reduce_sum(tf.cast(summed < summed[:, -1:], tf.int32), axis=1)
    place = tf.minimum(place, last)
    # Where settings leave nothing, the place is none at all: whoever forbids them says so, not this lookup.
    place = tf.where(settings.temperature <= 0, 0, tf.maximum(place, 0))
    return tf.gather(order, place, batch_dims=1)


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
