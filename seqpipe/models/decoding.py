"""Search for a text, piece by piece: greedy and by beam; over any model that has a step.

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
from typing import NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from seqpipe.text.vocabulary import BOS, EOS, PAD, UNKNOWN

S = TypeVar("S")
Step = Callable[[tf.Tensor, S], tuple[tf.Tensor, S]]
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


def greedy(step: Step[S], state: S, bounds: tf.Tensor, *, length_penalty: tf.Tensor | float = 0.0) -> Answers:
    """The likeliest piece at each step.

    Args:
        step, state: of the model.
        bounds: int32 [B], most pieces of each answer.
        length_penalty: of the scores.
    """
    rows = tf.shape(bounds)[0]

    def body(t, tokens, state, scores, lengths, ended, written):
        logits, state = step(tokens[:, tf.newaxis], state)
        logits = logits[:, 0]  # [B, V]
        allowed = logits + _banned(logits.shape[-1], t >= bounds)
        chosen = tf.where(ended, PAD, tf.argmax(allowed, axis=1, output_type=tf.int32))  # [B]
        log_probability = tf.gather(logits, chosen, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
        scores += tf.where(ended, 0.0, log_probability)
        ends = tf.equal(chosen, EOS)
        lengths += tf.where(ended | ends, 0, 1)
        return t + 1, chosen, state, scores, lengths, ended | ends, written.write(t, tf.where(ends, PAD, chosen))

    written = tf.TensorArray(tf.int32, size=tf.reduce_max(tf.concat([bounds, [0]], 0)) + 1, element_shape=[None])
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


class _Beam(NamedTuple):
    """What a beam search carries from step to step.

    t: pieces written so far. tokens: int32 [B, W], the last of each living hypothesis. state: the model's.
    alive: float32 [B, W], log probabilities; LOWEST where there is no hypothesis. history: int32 [B, W, t].
    kept: float32 [B, W], scores of ended hypotheses, the best first. kept_ids: int32 [B, W, t]. kept_lengths: int32
    [B, W]. done: bool [B].
    """

    t: tf.Tensor | int
    tokens: tf.Tensor
    state: object
    alive: tf.Tensor
    history: tf.Tensor
    kept: tf.Tensor
    kept_ids: tf.Tensor
    kept_lengths: tf.Tensor
    done: tf.Tensor


def beam(
    step: Step[S], state: S, bounds: tf.Tensor, *, width: tf.Tensor | int, length_penalty: tf.Tensor | float = 0.0
) -> Answers:
    """The best hypotheses of a beam search; its width 1 is greedy search.

    A hypothesis that ends among the `width` best candidates of a step is kept, and the `width` best others live on. A
    row has ended when `width` hypotheses are kept, or at its bound.

    Args:
        step, state, bounds, length_penalty: as for `greedy`.
        width: W, at least 1.
    """
    width = tf.convert_to_tensor(width, tf.int32)
    state = tf.nest.map_structure(lambda x: tf.repeat(x, width, axis=1), state)
    first = _first_beam(state, bounds, width)
    any_size, grows = tf.TensorShape([None, None]), tf.TensorShape([None, None, None])
    shapes = _Beam(
        t=tf.TensorShape([]),
        tokens=any_size,
        state=tf.nest.map_structure(lambda x: tf.TensorShape([None, None, *x.shape[2:]]), state),
        alive=any_size,
        history=grows,
        kept=any_size,
        kept_ids=grows,
        kept_lengths=any_size,
        done=tf.TensorShape([None]),
    )
    last = tf.while_loop(
        lambda *values: ~tf.reduce_all(_Beam(*values).done),
        lambda *values: tuple(_advanced(step, _Beam(*values), bounds, width, length_penalty)),
        tuple(first),
        shape_invariants=tuple(shapes),
    )
    found = _Beam(*last)
    longest = tf.reduce_max(tf.concat([tf.reshape(found.kept_lengths, [-1]), [0]], 0))
    bounds = bounds[:, tf.newaxis]
    cut = (found.kept_lengths >= bounds) & (bounds > 0) & (found.kept > LOWEST / 2)
    return Answers(found.kept_ids[:, :, :longest], found.kept_lengths, found.kept, cut)


def _first_beam(state: object, bounds: tf.Tensor, width: tf.Tensor) -> _Beam:
    """One empty hypothesis a row; a row whose bound is 0 has kept it already."""
    rows = tf.shape(bounds)[0]
    only_first = tf.tile(tf.where(tf.range(width) > 0, LOWEST, 0.0)[tf.newaxis], [rows, 1])
    empty = tf.zeros([rows, width, 0], tf.int32)
    done = bounds <= 0
    return _Beam(
        t=0,
        tokens=tf.fill([rows, width], BOS),
        state=state,
        alive=only_first,
        history=empty,
        kept=tf.where(done[:, tf.newaxis], only_first, tf.fill([rows, width], LOWEST)),
        kept_ids=empty,
        kept_lengths=tf.zeros([rows, width], tf.int32),
        done=done,
    )


def _advanced(step: Step, now: _Beam, bounds: tf.Tensor, width: tf.Tensor, length_penalty: tf.Tensor | float) -> _Beam:
    """The beam one piece later."""
    logits, state = step(now.tokens, now.state)  # [B, W, V]
    vocabulary, at_bound = logits.shape[-1], now.t >= bounds
    each = tf.minimum(2 * width, vocabulary)
    best, pieces = tf.math.top_k(logits + _banned(vocabulary, at_bound)[:, tf.newaxis], each)  # [B, W, each]
    totals = (now.alive - tf.reduce_logsumexp(logits, axis=2))[:, :, tf.newaxis] + best
    rows = tf.shape(bounds)[0]
    totals, places = tf.math.top_k(tf.reshape(totals, [rows, -1]), tf.minimum(2 * width, width * each))  # [B, K]
    parents = places // each
    pieces = tf.gather(tf.reshape(pieces, [rows, -1]), places, batch_dims=1)
    ends, real = tf.equal(pieces, EOS), totals > LOWEST / 2

    among_best = tf.range(tf.shape(totals)[1]) < width
    scores = totals / length_divisor(now.t + 1, length_penalty)
    scores = tf.where(ends & real & among_best & ~now.done[:, tf.newaxis], scores, LOWEST)
    kept, which = tf.math.top_k(tf.concat([now.kept, scores], axis=1), width)
    ended_ids = tf.gather(now.history, parents, batch_dims=1)  # [B, K, t]
    kept_ids = tf.gather(tf.concat([now.kept_ids, ended_ids], axis=1), which, batch_dims=1)
    lengths = tf.concat([now.kept_lengths, tf.fill(tf.shape(totals), now.t)], axis=1)

    alive, living = tf.math.top_k(tf.where(ends, LOWEST, totals), width)
    parents, tokens = (tf.gather(x, living, batch_dims=1) for x in (parents, pieces))
    history = tf.concat([tf.gather(now.history, parents, batch_dims=1), tokens[:, :, tf.newaxis]], axis=2)
    return _Beam(
        t=now.t + 1,
        tokens=tokens,
        state=tf.nest.map_structure(lambda x: tf.gather(x, parents, batch_dims=1), state),
        alive=tf.maximum(alive, LOWEST),
        history=history,
        kept=kept,
        kept_ids=tf.pad(kept_ids, [[0, 0], [0, 0], [0, 1]]),  # as long as the history
        kept_lengths=tf.gather(lengths, which, batch_dims=1),
        done=now.done | at_bound | (tf.reduce_sum(tf.cast(kept > LOWEST / 2, tf.int32), axis=1) >= width),
    )


def _banned(vocabulary: int, at_bound: tf.Tensor) -> tf.Tensor:
    """What is added to the logits of each row: LOWEST for pieces that must not come next, [B, V]."""
    table = np.zeros((2, vocabulary), np.float32)
    table[0, list(NEVER_WRITTEN)] = LOWEST
    table[1] = LOWEST
    table[1, EOS] = 0.0
    return tf.gather(tf.constant(table), tf.cast(at_bound, tf.int32))
