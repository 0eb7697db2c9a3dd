from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqpipe.layers import BahdanauAttention, LuongAttention

LAYERS = {"luong": LuongAttention, "bahdanau": lambda: BahdanauAttention(5)}


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    queries, memory = rng.normal(size=(4, 3, 6)).astype("float32"), rng.normal(size=(4, 7, 8)).astype("float32")
    return queries, memory, np.array([7, 4, 1, 0], np.int32)


@pytest.mark.parametrize("name", LAYERS)
def test_attention_equals_numpy(name):
    queries, memory, lengths = inputs()
    layer = LAYERS[name]()
    context, weights = (x.numpy() for x in layer(queries, memory, lengths))
    w = [np.asarray(weight) for weight in layer.get_weights()]
    for row, length in enumerate(lengths):
        for step, query in enumerate(queries[row]):
            if name == "luong":
                scores = memory[row, :length] @ w[0] @ query
            else:
                scores = (np.tanh(query @ w[0] + memory[row, :length] @ w[1]) @ w[2])[:, 0]
            expected = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(weights[row, step, :length], expected, atol=1e-5)
            assert not weights[row, step, length:].any()
            np.testing.assert_allclose(context[row, step], expected @ memory[row, :length], atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_attention_does_not_see_what_lies_beyond(name):
    queries, memory, lengths = inputs()
    layer = LAYERS[name]()
    before = [x.numpy() for x in layer(queries, memory, lengths)]
    wide = np.full((4, 12, 8), np.nan, np.float32)
    wide[:, :7] = np.where(np.arange(7)[None, :, None] < lengths[:, None, None], memory, np.nan)
    context, weights = (x.numpy() for x in layer(queries, wide, lengths))
    np.testing.assert_allclose(context, before[0], atol=1e-6)
    np.testing.assert_allclose(weights[:, :, :7], before[1], atol=1e-6)
    assert not weights[:, :, 7:].any()


@pytest.mark.parametrize("name", LAYERS)
def test_attention_is_saved_and_has_gradients(name, tmp_path):
    queries, memory, lengths = inputs()
    given = [keras.Input((None, 6)), keras.Input((None, 8)), keras.Input((), dtype="int32")]
    model = keras.Model(given, LAYERS[name]()(*given))
    assert [output.shape for output in model.outputs] == [(None, None, 8), (None, None, None)]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model([queries, memory, lengths])[0]))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    assert all(np.isfinite(g.numpy()).all() and np.abs(g.numpy()).sum() > 0 for g in gradients)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(model([queries, memory, lengths]), again([queries, memory, lengths]), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("name", LAYERS)
def test_attention_of_no_rows(name):
    context, weights = LAYERS[name]()(*(part[:0] for part in inputs()))
    assert context.shape == (0, 3, 8)
    assert weights.shape == (0, 3, 7)
