from __future__ import annotations

import numpy as np
import tensorflow as tf

from seqpipe.layers import AdversarialNoise
from seqpipe.layers.adversarial import noisy_pass

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5, 4)).astype(np.float32)
LENGTHS = np.array([5, 2, 0], np.int32)


def test_adversarial_changes_nothing_by_itself():
    layer = AdversarialNoise(0.5)
    np.testing.assert_array_equal(layer(X, LENGTHS, training=True), X)
    with noisy_pass([tf.constant(X)]):
        np.testing.assert_array_equal(layer(X, LENGTHS, training=False), X)


def test_adversarial_noise_follows_the_slope_at_its_size_within_the_row():
    slope = RNG.normal(size=X.shape).astype(np.float32)
    for row, length in enumerate(LENGTHS):
        slope[row, length:] = 0
    with noisy_pass([tf.constant(slope)]):
        noise = AdversarialNoise(0.5)(X, LENGTHS, training=True).numpy() - X
    for row, length in enumerate(LENGTHS):
        assert not noise[row, length:].any()
        if length:
            size = np.linalg.norm(noise[row]) / np.linalg.norm(X[row, :length])
            np.testing.assert_allclose(size, 0.5, rtol=1e-4)
            np.testing.assert_allclose(
                noise[row] * np.linalg.norm(slope[row]), slope[row] * np.linalg.norm(noise[row]), atol=1e-4
            )


def test_adversarial_noise_is_as_large_where_the_slope_is_tiny():
    slope = RNG.normal(size=X.shape).astype(np.float32)
    lengths = np.full(3, 5, np.int32)
    for scale in (1, 1e-9, 1e-18):
        with noisy_pass([tf.constant(scale * slope)]):
            noise = AdversarialNoise(0.5)(X, lengths, training=True).numpy() - X
        sizes = np.linalg.norm(noise, axis=(1, 2)) / np.linalg.norm(X, axis=(1, 2))
        np.testing.assert_allclose(sizes, 0.5, rtol=1e-4)
    with noisy_pass([tf.zeros(X.shape)]):
        np.testing.assert_array_equal(AdversarialNoise(0.5)(X, lengths, training=True), X)


def test_adversarial_layers_of_a_pass_have_a_slope_each():
    lengths = np.array([5, 5, 5], np.int32)
    slopes = [tf.constant(RNG.normal(size=X.shape).astype(np.float32)) for _ in range(2)]
    with noisy_pass(slopes):
        moved = [AdversarialNoise(0.5)(X, lengths, training=True).numpy() - X for _ in slopes]
    for noise, slope in zip(moved, slopes, strict=True):
        np.testing.assert_allclose(np.sign(noise), np.sign(slope))


def test_adversarial_notes_what_it_sees():
    with noisy_pass() as clean:
        AdversarialNoise(0.5)(X, LENGTHS, training=True)
    np.testing.assert_array_equal(clean.seen[0], X)
