"""A model as one function of a graph, however many others call it."""

from __future__ import annotations

import keras
import tensorflow as tf


def traced_once(model: keras.Model) -> tf.types.experimental.PolymorphicFunction:
    """A model's answers without dropout, as a function that is traced once, for any batch.

    Functions that call it share its graph: a SavedModel holds it once, and exporting and loading take as much less.

    Args:
        model: a functional model; what it takes is taken here, with the same names and shapes.
    """
    taken = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype, x.name), model.input)
    return tf.function(lambda given: model(given, training=False), input_signature=[taken], autograph=False)
