"""Search for a text, piece by piece: greedy, by sampling, and by beam; over any model that has a step.

A model gives a `step(tokens int32 [B, W], state) -> (logits float32 [B, W, V], state)` and the state before the
first step, of W = 1. The state is any structure of tensors [B, W, ...]: the search moves it by plain gathers. What is
the same for all hypotheses of a row stays out of it, in the step itself.

A hypothesis ends with EOS. It has at most `bounds` pieces before that: there it is made to end, and the price of EOS
is part of its score like any other. So every search ends, and all scores are of whole texts. A row whose bound is 0
gets the empty text. Each search stops when all rows have ended. Only core TensorFlow ops.

Axes: B batch (rows), W hypotheses of a row, V vocabulary, T pieces of the longest answer, K candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from seqpipe.text.vocabulary import BOS, EOS, PAD, UNKNOWN

Step = Callable[[tf.Tensor, Any], tuple[tf.Tensor, Any]]
LOWEST = -1e9  # the score of no hypothesis
NEVER_WRITTEN = (PAD, UNKNOWN, BOS)


class Answers(NamedTuple):
    """What a search found for each row; of a beam, W hypotheses a row, the best first.

    ids: int32 [B, T] or [B, W, T], without EOS, PAD beyond a length.
    lengths: int32 [B] or [B, W].
    scores: float32 [B] or [B, W], the log probability divided by the length penalty; LOWEST where a beam found fewer.
    truncated: bool, as scores: made to end at its bound.
    """

    ids: tf.Tensor
    lengths: tf.Tensor
    scores: tf.Tensor
    truncated: tf.Tensor


def length_divisor(pieces: tf.Tensor, penalty: tf.Tensor | float) -> tf.Tensor:
    """((5 + pieces) / 6) ** penalty, pieces with EOS (Wu et al. 2016, Google's Neural Machine Translation System)."""
    return tf.pow((5.0 + tf.cast(pieces, tf.float32)) / 6.0, penalty)


def greedy(step: Step, state: Any, bounds: tf.Tensor, *, length_penalty: tf.Tensor | float = 0.0) -> Answers:
    """The likeliest piece at each step.

    Args:
        step, state: of the model.
        bounds: int32 [B], most pieces of each answer.
        length_penalty: of the scores.
    """
    return _follow(
        step, state, bounds, lambda logits, t: tf.argmax(logits, axis=1, output_type=tf.int32), length_penalty
    )


def sample(
    step: Step,
    state: Any,
    bounds: tf.Tensor,
    *,
    seed: tf.Tensor,
    temperature: tf.Tensor | float = 1.0,
    likeliest: int | None = None,
    length_penalty: tf.Tensor | float = 0.0,
) -> Answers:
    """Pieces drawn by their probability; the same seed draws the same.

    Args:
        step, state, bounds, length_penalty: as for `greedy`.
        seed: int32 [2].
        temperature: logits are divided by it; near 0 it is greedy.
        likeliest: draw among so many likeliest pieces only.
    """

    def draw(logits: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        if likeliest is not None:
            least = tf.math.top_k(logits, likeliest).values[:, -1:]
            logits = tf.where(logits < least, LOWEST, logits)
        at = tf.random.experimental.stateless_fold_in(seed, t)
        return tf.random.stateless_categorical(logits / temperature, 1, at, dtype=tf.int32)[:, 0]

    return _follow(step, state, bounds, draw, length_penalty)


def _follow(step: Step, state: Any, bounds: tf.Tensor, choose: Callable, length_penalty: tf.Tensor | float) -> Answers:
    """One hypothesis a row, its next piece chosen from logits [B, V] and the number of the step."""
    rows = tf.shape(bounds)[0]

    def body(t, tokens, state, scores, lengths, ended, written):
        logits, state = step(tokens[:, tf.newaxis], state)
        logits = logits[:, 0]  # [B, V]
        allowed = logits + _banned(logits.shape[-1], t >= bounds)
        chosen = tf.where(ended, PAD, choose(allowed, t))  # [B]
        log_probability = tf.gather(logits, chosen, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
        scores += tf.where(ended, 0.0, log_probability)
        ends = tf.equal(chosen, EOS)
        lengths += tf.where(ended | ends, 0, 1)
        return t + 1, chosen, state, scores, lengths, ended | ends, written.write(t, tf.where(ends, PAD, chosen))

    written = tf.TensorArray(tf.int32, size=tf.reduce_max(bounds) + 1, element_shape=[None])
    first = (0, tf.fill([rows], BOS), state, tf.zeros([rows]), tf.zeros([rows], tf.int32), bounds <= 0, written)
    steps, _, _, scores, lengths, _, written = tf.while_loop(
        # One step in any case: no steps have no shape.
        lambda t, tokens, state, scores, lengths, ended, written: tf.equal(t, 0) | ~tf.reduce_all(ended),
        body,
        first,
    )
    ids = tf.reshape(written.gather(tf.range(steps)), [steps, rows])
    ids = tf.transpose(ids)[:, : tf.reduce_max(tf.concat([lengths, [0]], 0))]
    pieces = tf.where(bounds > 0, lengths + 1, 0)
    return Answers(ids, lengths, scores / length_divisor(pieces, length_penalty), (lengths >= bounds) & (bounds > 0))


def beam(
    step: Step,
    state: Any,
    bounds: tf.Tensor,
    *,
    width: tf.Tensor | int,
    length_penalty: tf.Tensor | float = 0.0,
    bonus: Callable[[Any], tf.Tensor] | None = None,
) -> Answers:
    """The best hypotheses of a beam search; its width 1 is greedy search.

    A hypothesis that ends among the `width` best candidates of a step is kept, and the `width` best others live on. A
    row has ended when `width` hypotheses are kept, or at its bound.

    Args:
        step, state, bounds, length_penalty: as for `greedy`.
        width: W, at least 1.
        bonus: state [B, W, ...] -> [B, W], added to the score of a hypothesis that ends in this state.
    """
    width = tf.convert_to_tensor(width, tf.int32)
    rows = tf.shape(bounds)[0]
    state = tf.nest.map_structure(lambda x: tf.repeat(x, width, axis=1), state)

    def body(t, tokens, state, alive, history, kept, kept_ids, kept_lengths, done):
        logits, state = step(tokens, state)  # [B, W, V]
        vocabulary = logits.shape[-1]
        at_bound = t >= bounds
        each = tf.minimum(2 * width, vocabulary)
        best, pieces = tf.math.top_k(logits + _banned(vocabulary, at_bound)[:, tf.newaxis], each)  # [B, W, each]
        totals = (alive - tf.reduce_logsumexp(logits, axis=2))[:, :, tf.newaxis] + best
        totals, places = tf.math.top_k(tf.reshape(totals, [rows, -1]), tf.minimum(2 * width, width * each))  # [B, K]
        parents = places // each
        pieces = tf.gather(tf.reshape(pieces, [rows, -1]), places, batch_dims=1)
        ends, real = tf.equal(pieces, EOS), totals > LOWEST / 2

        scores = totals / length_divisor(t + 1, length_penalty)
        if bonus is not None:
            scores += tf.gather(bonus(state), parents, batch_dims=1)
        among_best = tf.range(tf.shape(totals)[1]) < width
        scores = tf.where(ends & real & among_best & ~done[:, tf.newaxis], scores, LOWEST)
        kept, which = tf.math.top_k(tf.concat([kept, scores], axis=1), width)
        ended_ids = tf.gather(history, parents, batch_dims=1)  # [B, K, t]
        kept_ids = tf.gather(tf.concat([kept_ids, ended_ids], axis=1), which, batch_dims=1)
        kept_lengths = tf.gather(tf.concat([kept_lengths, tf.fill(tf.shape(totals), t)], axis=1), which, batch_dims=1)
        done |= at_bound | (tf.reduce_sum(tf.cast(kept > LOWEST / 2, tf.int32), axis=1) >= width)

        alive, which = tf.math.top_k(tf.where(ends, LOWEST, totals), width)
        parents, tokens = (tf.gather(x, which, batch_dims=1) for x in (parents, pieces))
        state = tf.nest.map_structure(lambda x: tf.gather(x, parents, batch_dims=1), state)
        history = tf.concat([tf.gather(history, parents, batch_dims=1), tokens[:, :, tf.newaxis]], axis=2)
        kept_ids = tf.pad(kept_ids, [[0, 0], [0, 0], [0, 1]])  # as long as the history
        return t + 1, tokens, state, tf.maximum(alive, LOWEST), history, kept, kept_ids, kept_lengths, done

    none = tf.fill([rows, width], LOWEST)
    only_first = tf.tile(tf.where(tf.range(width) > 0, LOWEST, 0.0)[tf.newaxis], [rows, 1])
    empty = tf.zeros([rows, width, 0], tf.int32)
    done = bounds <= 0
    first = (
        0,
        tf.fill([rows, width], BOS),
        state,
        only_first,
        empty,
        tf.where(done[:, tf.newaxis], only_first, none),
        empty,
        tf.zeros([rows, width], tf.int32),
        done,
    )
    any_size, grows = tf.TensorShape([None, None]), tf.TensorShape([None, None, None])
    shapes = (
        tf.TensorShape([]),
        any_size,
        tf.nest.map_structure(lambda x: tf.TensorShape([None, None, *x.shape[2:]]), state),
        any_size,
        grows,
        any_size,
        grows,
        any_size,
        tf.TensorShape([None]),
    )
    *_, kept, kept_ids, lengths, _ = tf.while_loop(
        lambda *variables: ~tf.reduce_all(variables[-1]), body, first, shape_invariants=shapes
    )
    ids = kept_ids[:, :, : tf.reduce_max(tf.concat([tf.reshape(lengths, [-1]), [0]], 0))]
    bounds = bounds[:, tf.newaxis]
    return Answers(ids, lengths, kept, (lengths >= bounds) & (bounds > 0) & (kept > LOWEST / 2))


def coverage_bonus(attended: tf.Tensor, lengths: tf.Tensor, penalty: float) -> tf.Tensor:
    """penalty * sum of log(min(attention, 1)) over source pieces, [B, W]: less than 0 where some were not looked at.

    Args:
        attended: float [B, W, S], the attention each source piece got so far.
        lengths: int32 [B], of the sources.

    Source: Wu et al. 2016, Google's Neural Machine Translation System, equation 14.
    """
    logs = tf.math.log(tf.clip_by_value(attended, 1e-9, 1.0))
    real = tf.sequence_mask(lengths, tf.shape(attended)[2])[:, tf.newaxis]
    return penalty * tf.reduce_sum(tf.where(real, logs, 0.0), axis=2)


def _banned(vocabulary: int, at_bound: tf.Tensor) -> tf.Tensor:
    """What is added to the logits of each row: LOWEST for pieces that must not come next, [B, V]."""
    table = np.zeros((2, vocabulary), np.float32)
    table[0, list(NEVER_WRITTEN)] = LOWEST
    table[1] = LOWEST
    table[1, EOS] = 0.0
    return tf.gather(tf.constant(table), tf.cast(at_bound, tf.int32))
