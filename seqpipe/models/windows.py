"""A long text as several windows: each is classified for itself, and their scores are pooled.

Axes: B batch (rows), T time (pieces), W windows of a row, S pieces of a window, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def cut_into_windows(ids: Any, lengths: Any, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows as windows of at most so many pieces, the last one of a row with what is left.

    Args:
        ids: int32 [B, T].
        lengths: int32 [B].
        size: S.
    Returns:
        ids int32 [B W, S], or [B, T] where T is at most S; lengths int32 [B, W], 0 for a window beyond its row.
    """
    steps = tf.shape(ids)[1]
    width = tf.minimum(steps, size)
    windows = tf.maximum(1, -(-steps // size))
    ids = tf.pad(ids, [[0, 0], [0, windows * width - steps]])
    starts = tf.range(windows) * size
    return tf.reshape(ids, [-1, width]), tf.clip_by_value(lengths[:, None] - starts[None, :], 0, size)


def pooled(scores: Any, lengths: Any) -> tf.Tensor:
    """The mean of the windows' scores, each weighted by its pieces; an empty row has the score of its empty window.

    Args:
        scores: float [B W, ...].
        lengths: int32 [B, W].
    Returns:
        float [B, ...].
    """
    shape = tf.concat([tf.shape(lengths), tf.shape(scores)[1:]], 0)
    shares = window_shares(lengths, scores.dtype)
    shares = tf.reshape(shares, tf.concat([tf.shape(lengths), tf.ones([tf.rank(scores) - 1], tf.int32)], 0))
    return tf.reduce_sum(tf.reshape(scores, shape) * shares, axis=1)


def window_shares(lengths: Any, dtype: Any) -> tf.Tensor:
    """How much each window counts, [B, W]; they sum to 1."""
    first = tf.one_hot(tf.zeros_like(lengths[:, 0]), tf.shape(lengths)[1], dtype=lengths.dtype)
    counted = tf.where(tf.reduce_sum(lengths, axis=1, keepdims=True) > 0, lengths, first)
    return tf.cast(counted, dtype) / tf.cast(tf.reduce_sum(counted, axis=1, keepdims=True), dtype)


def windowed(call: Callable[[Any, Any], Any], ids: Any, lengths: Any, size: int | None) -> Any:
    """call(ids, lengths) -> [B, C], over windows where a size is given; the size is that of a window."""
    if size is None:
        return call(ids, lengths)
    cut, inside = cut_into_windows(ids, lengths, size)
    return pooled(call(cut, tf.reshape(inside, [-1])), inside)
