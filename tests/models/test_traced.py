"""A model that several functions share: its graph stands once, and answers as the model does."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from seqpipe.export.graph import read
from seqpipe.models.traced import traced_once


def test_traced_once_stands_once_for_all_who_call_it(tmp_path):
    given = {"x": keras.Input((3,), name="x"), "y": keras.Input((3,), name="y")}
    both = keras.layers.Dropout(0.5)(keras.layers.Add()([given["x"], given["y"]]))
    model = keras.Model(given, keras.layers.Dense(2)(both))
    shared = traced_once(model)
    spec = [tf.TensorSpec([None, 3], tf.float32, name="x")]
    module = tf.Module()
    module.weights = [variable.value for variable in model.weights]
    functions = {
        "sum": tf.function(lambda x: {"out": shared({"x": x, "y": x})}, input_signature=spec),
        "first": tf.function(lambda x: {"out": shared({"x": x, "y": tf.zeros_like(x)})}, input_signature=spec),
    }
    signatures = {name: function.get_concrete_function() for name, function in functions.items()}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    (meta_graph,) = read(tmp_path).meta_graphs
    products = [node for f in meta_graph.graph_def.library.function for node in f.node_def if node.op == "MatMul"]
    assert len(products) == 1
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    loaded = tf.saved_model.load(str(tmp_path)).signatures
    np.testing.assert_allclose(loaded["sum"](x=x)["out"], model({"x": x, "y": x}), rtol=1e-6)
    np.testing.assert_allclose(loaded["first"](x=x)["out"], model({"x": x, "y": 0 * x}), rtol=1e-6)
