"""Losses over labels and over padded batches of steps.

Axes: B batch, T time (steps), V classes (of text that is written: pieces).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from seqpipe.layers.lengths import step_mask


def softmax_cross_entropy(
    labels: tf.Tensor,
    logits: tf.Tensor,
    lengths: tf.Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
    taught: tf.Tensor | None = None,
    taught_fraction: float = 0.0,
) -> tf.Tensor:
    """Cross-entropy of softmax(logits) against (1 - s) * label + s * uniform, with s = label_smoothing.

    Made for thousands of classes: no one-hot labels are built, and the one softmax of the forward pass serves the
    gradient (Szegedy et al., 2016, for the smoothing; uniform over all classes as in Keras).

    Args:
        labels: int [B, T] or [B], 0..V-1; beyond a length any number.
        logits: float [B, T, V] or [B, V]; computed in float32.
        lengths: int32 [B], real steps of each row; without it every step is real.
        label_smoothing: 0..1, below 1.
        taught: probabilities that teachers give, the shape of logits (Hinton, Vinyals and Dean, 2015).
        taught_fraction: 0..1, the teachers' share of the target; without `taught` they have none.
    Returns:
        float32, the shape of labels; zero beyond each length, where the gradient is zero too.
    Raises:
        ValueError: label_smoothing is not a share.
    """
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing = {label_smoothing} is not a share. Allowed: 0 <= label_smoothing < 1.")
    labels = tf.cast(labels, tf.int32)
    real = None if lengths is None else step_mask(lengths, tf.shape(labels)[1])  # [B, T]
    if real is not None:
        labels = tf.where(real, labels, 0)
    classes = tf.shape(logits)[-1]
    flat = tf.reshape(tf.cast(logits, tf.float32), [-1, classes])  # [N, V]
    guesses = None if taught is None else taught_fraction * tf.reshape(tf.cast(taught, tf.float32), [-1, classes])
    own = 1.0 if taught is None else 1.0 - taught_fraction
    found = _cross_entropy(flat, tf.reshape(labels, [-1]), label_smoothing, own, guesses)
    losses = tf.reshape(found, tf.shape(labels))
    return losses if real is None else tf.where(real, losses, 0.0)


def label_loss(
    labels: tf.Tensor,
    logits: tf.Tensor,
    *,
    class_weights: np.ndarray,
    label_smoothing: float = 0.0,
    taught: tf.Tensor | None = None,
    taught_fraction: float = 0.0,
) -> tf.Tensor:
    """`softmax_cross_entropy` of a label a row, each times the weight of its class.

    Args:
        labels: int [B].
        logits: float [B, V].
        class_weights: float32 [V].
        label_smoothing, taught, taught_fraction: as there.
    Returns:
        float32 [B].
    """
    losses = softmax_cross_entropy(
        labels, logits, label_smoothing=label_smoothing, taught=taught, taught_fraction=taught_fraction
    )
    return losses * tf.gather(tf.constant(class_weights, tf.float32), labels)


def label_set_loss(
    labels: tf.Tensor, logits: tf.Tensor, *, positive_weights: np.ndarray, label_smoothing: float = 0.0
) -> tf.Tensor:
    """Cross-entropy of sigmoid(logits) against any number of labels a row, the mean over the classes.

    Args:
        labels: int [B, V], 1 where a row has the label, else 0.
        logits: float [B, V]; computed in float32.
        positive_weights: float32 [V], how much a label that is there weighs beside one that is not.
        label_smoothing: 0..1, below 1; targets are 1 - s / 2 and s / 2.
    Returns:
        float32 [B].
    """
    targets = tf.cast(labels, tf.float32) * (1 - label_smoothing) + label_smoothing / 2
    weights = tf.constant(positive_weights, tf.float32)
    losses = tf.nn.weighted_cross_entropy_with_logits(targets, tf.cast(logits, tf.float32), weights)  # [B, V]
    return tf.reduce_mean(losses, axis=-1)


def all_hits(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """1 where the sign of each of logits [B, V] is that of labels int [B, V], 0 or 1; else 0; float32 [B]."""
    return tf.cast(tf.reduce_all(tf.equal(logits > 0, labels > 0), axis=-1), tf.float32)


def hits(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """1 where the highest of logits [B, V] is that of labels int [B], else 0; float32 [B]."""
    return tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=labels.dtype), labels), tf.float32)


def _cross_entropy(
    logits: tf.Tensor, labels: tf.Tensor, smoothing: float, own: float, guesses: tf.Tensor | None
) -> tf.Tensor:
    """[N, V], [N] -> [N], against `own` of the labels and the rest in guesses [N, V]."""

    @tf.custom_gradient
    def run(logits):
        classes = tf.cast(tf.shape(logits)[1], tf.float32)
        at_labels = tf.stack([tf.range(tf.shape(labels)[0]), labels], axis=1)  # [N, 2]
        softmax = tf.nn.softmax(logits)
        # log sum exp from the largest class, whose softmax is at least 1 / V and loses nothing; much quicker than
        # TensorFlow's fused operations, whose softmax takes seven times as long on a CPU
        log_sum = tf.reduce_max(logits, axis=1) - tf.math.log(tf.reduce_max(softmax, axis=1))
        loss = log_sum - own * (1 - smoothing) * tf.gather_nd(logits, at_labels)
        if smoothing:
            loss -= own * smoothing * tf.reduce_mean(logits, axis=1)
        if guesses is not None:
            loss -= tf.reduce_sum(guesses * logits, axis=1)

        def gradient(d_loss):
            spread = softmax - own * smoothing / classes
            if guesses is not None:
                spread -= guesses
            return tf.tensor_scatter_nd_sub(spread * d_loss[:, tf.newaxis], at_labels, own * (1 - smoothing) * d_loss)

        return loss, gradient

    return run(logits)


def quantile_loss(errors: tf.Tensor, levels: Sequence[float], *, point: str = "pinball") -> tf.Tensor:
    """Pinball loss of quantiles (Koenker and Bassett 1978), with another loss of the median where one is named.

    Args:
        errors: float [B, T, Q], what came less what was said; not finite where nothing came.
        levels: of the quantiles, 0.5 among them.
        point: pinball (the median like the others), mae, mse or huber.
    Returns:
        float32 [B], the mean over steps that have a value; 0 where none has.
    """
    shares = tf.constant(levels, tf.float32)
    seen = tf.math.is_finite(errors)
    errors = tf.where(seen, errors, 0.0)
    pinball = 2.0 * tf.maximum(shares * errors, (shares - 1.0) * errors)  # [B, T, Q]
    middle = errors[:, :, list(levels).index(0.5)]
    match point:
        case "pinball":
            losses = tf.reduce_mean(pinball, axis=2)
        case "mae":
            losses = tf.abs(middle) + tf.reduce_mean(pinball, axis=2)
        case "mse":
            losses = tf.square(middle) + tf.reduce_mean(pinball, axis=2)
        case "huber":
            size = tf.abs(middle)
            losses = tf.where(size < 1.0, 0.5 * size * size, size - 0.5) + tf.reduce_mean(pinball, axis=2)
        case other:
            raise ValueError(f'point = "{other}" is not one of pinball, mae, mse, huber.')
    steps = tf.cast(seen[:, :, 0], tf.float32)
    return tf.reduce_sum(losses * steps, axis=1) / tf.maximum(tf.reduce_sum(steps, axis=1), 1.0)
