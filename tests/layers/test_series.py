"""Quantiles that cannot cross, and a median that they do not move."""

import numpy as np
import tensorflow as tf

from seqpipe.layers.series import SpreadQuantiles


def test_quantiles_are_sorted_around_a_median_that_is_as_given():
    x = tf.constant(np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32))
    for median in range(5):
        layer = SpreadQuantiles.from_config(SpreadQuantiles(median).get_config())
        answer = layer(x).numpy()
        assert (np.diff(answer, axis=2) > 0).all()
        np.testing.assert_array_equal(answer[:, :, median], x[:, :, median])
    np.testing.assert_allclose(answer[:, :, 0], x[:, :, 4] - np.log1p(np.exp(x[:, :, :4])).sum(axis=2), rtol=1e-5)


def test_quantiles_teach_the_median_nothing():
    x = tf.Variable(tf.ones([1, 2, 3]))
    with tf.GradientTape(persistent=True) as tape:
        outer, middle = tf.split(SpreadQuantiles(1)(x), [1, 2], axis=2)
        middle = middle[:, :, :1]
    np.testing.assert_array_equal(tape.gradient(outer, x)[:, :, 1], np.zeros([1, 2]))
    np.testing.assert_array_equal(tape.gradient(middle, x)[:, :, 1], np.ones([1, 2]))
