"""The fused loss against Keras' with one-hot labels, and against padding."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqpipe.training.losses import (
    all_hits,
    hits,
    label_loss,
    label_set_loss,
    softmax_cross_entropy,
)

B, T, V = 4, 6, 50


@pytest.fixture
def batch():
    random = np.random.default_rng(3)
    logits = tf.constant(random.normal(size=(B, T, V)).astype("float32") * 3)
    labels = tf.constant(random.integers(0, V, size=(B, T)), tf.int32)
    return labels, logits, tf.constant([6, 0, 1, 4], tf.int32)


def loss_and_gradient(function, logits):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = function(logits)
    return loss, tape.gradient(loss, logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("compiled", [False, True])
def test_losses_equal_keras_with_one_hot_labels(batch, smoothing, compiled):
    labels, logits, _ = batch
    weights = tf.reshape(tf.range(B * T, dtype=tf.float32), [B, T])  # each step's gradient gets a factor of its own
    loss = tf.function(
        lambda x: tf.reduce_sum(weights * softmax_cross_entropy(labels, x, label_smoothing=smoothing)),
        jit_compile=compiled,
    )

    def expected(x):
        keras_loss = keras.losses.categorical_crossentropy
        return tf.reduce_sum(
            weights * keras_loss(tf.one_hot(labels, V), x, from_logits=True, label_smoothing=smoothing)
        )

    for ours, theirs in zip(loss_and_gradient(loss, logits), loss_and_gradient(expected, logits), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_losses_are_zero_beyond_lengths_whatever_stands_there(batch):
    labels, logits, lengths = batch
    real = tf.sequence_mask(lengths, T)
    hostile_labels = tf.where(real, labels, V + 7)
    hostile_logits = tf.where(real[:, :, None], logits, 1e30)
    loss, gradient = loss_and_gradient(
        lambda x: softmax_cross_entropy(hostile_labels, x, lengths, label_smoothing=0.1), hostile_logits
    )
    expected = softmax_cross_entropy(labels, logits, label_smoothing=0.1)
    np.testing.assert_array_equal(loss, tf.where(real, expected, 0.0))
    np.testing.assert_array_equal(gradient[~real], 0.0)


def test_losses_compute_low_precision_in_float32(batch):
    labels, logits, _ = batch
    half = tf.cast(logits, tf.bfloat16)
    loss, gradient = loss_and_gradient(lambda x: softmax_cross_entropy(labels, x, label_smoothing=0.1), half)
    assert (loss.dtype, gradient.dtype) == (tf.float32, tf.bfloat16)
    np.testing.assert_allclose(
        loss, softmax_cross_entropy(labels, tf.cast(half, tf.float32), label_smoothing=0.1), rtol=1e-6
    )


def test_losses_refuse_a_smoothing_that_is_no_share(batch):
    labels, logits, _ = batch
    with pytest.raises(ValueError, match=r"label_smoothing = 1.0 is not a share. Allowed: 0 <= label_smoothing < 1."):
        softmax_cross_entropy(labels, logits, label_smoothing=1.0)


def test_losses_of_labels_are_weighted_by_class(batch):
    labels, logits, _ = batch
    labels, logits = labels[:, 0], logits[:, 0]
    weights = np.linspace(0.5, 2.0, V, dtype=np.float32)
    found = label_loss(labels, logits, class_weights=weights, label_smoothing=0.1)
    plain = softmax_cross_entropy(labels, logits, label_smoothing=0.1)
    np.testing.assert_allclose(found, plain * weights[labels.numpy()], rtol=1e-6)


def test_losses_hits_are_where_the_label_is_highest():
    logits = tf.constant([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    np.testing.assert_array_equal(hits(tf.constant([1, 1, 1]), logits), [1.0, 0.0, 1.0])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_losses_of_label_sets_equal_keras(smoothing):
    random = np.random.default_rng(4)
    logits = random.normal(size=(5, 3)).astype("float32") * 3
    labels = random.integers(0, 2, (5, 3))
    found = label_set_loss(labels, logits, positive_weights=np.ones(3, np.float32), label_smoothing=smoothing).numpy()
    keras_loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing, reduction="none")
    np.testing.assert_allclose(found, keras_loss(labels.astype("float32"), logits), rtol=1e-5)


def test_losses_of_label_sets_weigh_what_is_there():
    logits, labels = np.array([[1.0, -2.0]], np.float32), np.array([[1, 0]])
    weighted = label_set_loss(labels, logits, positive_weights=np.array([3.0, 5.0], np.float32))
    plain = -np.log(1 / (1 + np.exp(-1.0))), -np.log(1 - 1 / (1 + np.exp(2.0)))
    assert weighted.numpy()[0] == pytest.approx((3 * plain[0] + plain[1]) / 2)


def test_losses_all_hits_are_where_every_label_is_right():
    labels = np.array([[1, 0], [1, 0], [0, 0], [1, 1]], np.int32)
    logits = tf.constant([[2.0, -1.0], [2.0, 1.0], [-1.0, -3.0], [0.0, 1.0]])
    assert all_hits(labels, logits).numpy().tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_taught_share_of_the_target_is_the_teachers(smoothing):
    rng = np.random.default_rng(5)
    labels, logits = rng.integers(0, V, (B, T)), tf.constant(rng.normal(size=(B, T, V)), tf.float32)
    taught = tf.nn.softmax(tf.constant(rng.normal(size=(B, T, V)), tf.float32))
    weights = tf.constant(rng.normal(size=(B, T)), tf.float32)
    lengths = tf.constant([T, 1, *[T] * (B - 2)])
    real = tf.sequence_mask(lengths, T)

    def ours(x):
        losses = softmax_cross_entropy(
            labels, x, lengths, label_smoothing=smoothing, taught=taught, taught_fraction=0.3
        )
        return tf.reduce_sum(weights * losses)

    def plainly(x):
        own = (1 - smoothing) * tf.one_hot(labels, V) + smoothing / V
        losses = tf.nn.softmax_cross_entropy_with_logits(0.7 * own + 0.3 * taught, x)
        return tf.reduce_sum(tf.where(real, weights * losses, 0.0))

    (loss, gradient), (wanted, wanted_gradient) = loss_and_gradient(ours, logits), loss_and_gradient(plainly, logits)
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    np.testing.assert_allclose(gradient, wanted_gradient, atol=1e-6)
