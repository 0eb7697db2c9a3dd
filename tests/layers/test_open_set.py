from __future__ import annotations

import keras
import numpy as np
import pytest

from seqpipe.layers import OpenSetScores

KNOWN, CHANNELS, DIRECTIONS = 3, 8, 4


@pytest.fixture
def learned():
    """A layer, and inputs of known classes: 200 each around their centres, far apart."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    centres = rng.normal(0, 10, (KNOWN, CHANNELS))
    labels = np.repeat(np.arange(KNOWN), 200)
    x = (centres[labels] + rng.normal(0, np.linspace(0.1, 2, CHANNELS), (len(labels), CHANNELS))).astype(np.float32)
    layer = OpenSetScores(KNOWN + 2, known=KNOWN, directions=DIRECTIONS)
    layer(x)
    return layer, x, labels


def dense(layer, x):
    return x @ layer.kernel.numpy() + layer.bias.numpy()


@pytest.mark.parametrize("policy", ["float16", "mixed_float16", "mixed_bfloat16"])
def test_answers_in_less_precision_before_and_after_it_is_assigned(learned, policy):
    full, x, labels = learned
    layer = OpenSetScores(KNOWN + 2, known=KNOWN, directions=DIRECTIONS, dtype=policy)
    assert np.isfinite(np.asarray(layer(x), np.float32)).all()
    for one in (full, layer):
        one.set_weights(full.get_weights())
        one.assign(full.placed(x, labels, x, weight=1.0))
    far = x + 30
    np.testing.assert_allclose(np.asarray(layer(far), np.float32), np.asarray(full(far)), rtol=0.05, atol=0.5)


def test_is_a_dense_layer_until_distances_are_assigned(learned):
    layer, x, _ = learned
    np.testing.assert_allclose(layer(x), dense(layer, x), atol=1e-4)
    assert [weight.path.split("/")[-1] for weight in layer.trainable_weights] == ["kernel", "bias"]


def test_scores_of_known_classes_fall_by_the_log_of_the_mahalanobis_distance(learned):
    layer, x, labels = learned
    layer.assign(layer.placed(x[::2], labels[::2], x[1::2], weight=2.0))
    centres = np.stack([x[::2][labels[::2] == known].mean(axis=0) for known in range(KNOWN)])
    variances, vectors = np.linalg.eigh(np.cov(x[::2] - centres[labels[::2]], rowvar=False))
    within = vectors[:, -DIRECTIONS:]  # the widest

    def distance(rows):
        away = (rows[:, np.newaxis] - centres) @ within / np.sqrt(variances[-DIRECTIONS:])
        return np.square(away).sum(axis=-1).min(axis=1)

    asked = np.concatenate([x[1::2], np.full((1, CHANNELS), 50, np.float32)])
    falls = 2 * np.log(distance(asked) / np.median(distance(x[1::2])))
    fallen = dense(layer, asked) - np.asarray(layer(asked))
    np.testing.assert_allclose(fallen[:, :KNOWN], np.tile(falls[:, np.newaxis], KNOWN), atol=2e-3)
    np.testing.assert_allclose(fallen[:, KNOWN:], 0, atol=1e-4)
    assert falls[-1] > 5 > falls[:-1].max()


def test_takes_inputs_of_one_channel():
    layer = OpenSetScores(4, known=2, directions=1)
    x, labels = np.array([[0.0], [1], [10], [11]], np.float32), np.array([0, 0, 1, 1])
    layer(x)
    layer.assign(layer.placed(x, labels, x + 2, weight=1.0))
    near, far = dense(layer, x[:1])[0] - np.asarray(layer(x[:1]))[0], dense(layer, x[:1] + 5)[0]
    assert near[0] < (far - np.asarray(layer(x[:1] + 5))[0])[0]


def test_stays_finite_in_the_very_centre_and_far_away(learned):
    layer, x, labels = learned
    layer.assign(layer.placed(x, labels, x, weight=1.0))
    centre = x[labels == 0].mean(axis=0)
    assert np.isfinite(layer(np.stack([centre, centre * 1e6]))).all()


def test_is_saved_and_loaded(learned, tmp_path):
    layer, x, labels = learned
    layer.assign(layer.placed(x, labels, x, weight=1.0))
    inputs = keras.Input((CHANNELS,))
    keras.Model(inputs, layer(inputs)).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), layer(x))
