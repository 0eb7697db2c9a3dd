from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqpipe.layers import GRU, LSTM, AttentionDecoder, BahdanauAttention, LuongAttention, SimpleRNN, TiedEmbedding

KINDS = [
    {},
    {"cell": "lstm", "layers": 2},
    {"attention": "bahdanau", "layers": 2},
    {"input_feeding": True, "cell": "lstm"},
]


def inputs():
    rng = np.random.default_rng(0)
    x, memory = rng.normal(size=(4, 6, 5)).astype("float32"), rng.normal(size=(4, 7, 8)).astype("float32")
    return x, np.array([6, 3, 1, 6], np.int32), memory, np.array([7, 2, 4, 0], np.int32)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_decoder_at_once_is_step_by_step(kind):
    x, lengths, memory, memory_lengths = inputs()
    layer = AttentionDecoder(9, 4, **kind)
    outputs, alignment = (part.numpy() for part in layer(x, lengths, memory, memory_lengths))
    state, shared = layer.start(tf.constant(memory), tf.constant(memory_lengths))
    for t in range(6):
        output, weights, state = layer.step(tf.constant(x[:, t : t + 1]), state, shared)
        real = lengths > t
        np.testing.assert_allclose(output.numpy()[real, 0], outputs[real, t], atol=1e-5)
        np.testing.assert_allclose(weights.numpy()[real, 0], alignment[real, t], atol=1e-5)
        assert not outputs[~real, t].any()
        assert not alignment[~real, t].any()


def test_decoder_begins_with_what_the_mean_of_the_memory_says():
    x, lengths, memory, memory_lengths = inputs()
    layer = AttentionDecoder(9, 4, layers=2)
    layer(x, lengths, memory, memory_lengths)
    state, _ = layer.start(tf.constant(memory), tf.constant(memory_lengths))
    means = [row[:n].mean(axis=0) if n else 0 * row[0] for row, n in zip(memory, memory_lengths, strict=True)]
    wanted = layer.bridge(tf.constant(np.stack(means))).numpy()
    found = np.concatenate([part.numpy()[:, 0] for cell in state["cells"] for part in cell], axis=1)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("feeding", [False, True])
def test_decoder_reads_no_padding_in_no_gradient_and_trains_with_xla(feeding):
    x, lengths, memory, memory_lengths = inputs()
    layer = AttentionDecoder(9, 4, input_feeding=feeding)
    layer(x, lengths, memory, memory_lengths)
    hostile = [
        np.where(np.arange(part.shape[1])[:, None] < n[:, None, None], part, np.nan)
        for part, n in ((x, lengths), (memory, memory_lengths))
    ]

    @tf.function(jit_compile=True)
    def gradients(x, memory):
        with tf.GradientTape() as tape:
            outputs, _ = layer(x, tf.constant(lengths), memory, tf.constant(memory_lengths), training=True)
            loss = tf.reduce_sum(tf.square(outputs))
        return [tf.convert_to_tensor(part) for part in tape.gradient(loss, [v.value for v in layer.trainable_weights])]

    for one, other in zip(gradients(x, memory), gradients(*map(tf.constant, hostile)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        assert np.isfinite(one).all()


@pytest.mark.parametrize("kind", [{}, {"cell": "lstm", "attention": "bahdanau", "layers": 2}], ids=str)
def test_decoder_with_input_feeding_in_a_graph_for_any_sizes_is_the_eager_one(kind):
    data = inputs()
    layer = AttentionDecoder(9, 4, input_feeding=True, **kind)
    specs = [tf.TensorSpec([None] if part.ndim == 1 else [None, None, part.shape[2]], part.dtype) for part in data]

    def outputs_and_gradients(*given):
        with tf.GradientTape() as tape:
            outputs, alignment = layer(*given)
            loss = tf.reduce_sum(tf.square(outputs))
        return outputs, alignment, tape.gradient(loss, [weight.value for weight in layer.trainable_weights])

    eager = outputs_and_gradients(*map(tf.constant, data))
    traced = tf.function(outputs_and_gradients, input_signature=specs)(*data)
    for one, other in zip(tf.nest.flatten(eager), tf.nest.flatten(traced), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_decoder_steps_several_hypotheses_of_a_row(kind):
    x, _, memory, memory_lengths = inputs()
    layer = AttentionDecoder(9, 4, **kind)
    layer(*inputs())
    state, shared = layer.start(tf.constant(memory), tf.constant(memory_lengths))
    wide = tf.nest.map_structure(lambda s: tf.repeat(s, 3, axis=1), state)
    together, *_ = layer.step(tf.constant(x[:, :3]), wide, shared)
    for w in range(3):
        alone, *_ = layer.step(tf.constant(x[:, w : w + 1]), state, shared)
        np.testing.assert_allclose(together.numpy()[:, w], alone.numpy()[:, 0], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_decoder_does_not_see_padding(kind):
    x, lengths, memory, memory_lengths = inputs()
    layer = AttentionDecoder(9, 4, **kind)
    outputs, alignment = (part.numpy() for part in layer(x, lengths, memory, memory_lengths))
    more_x, more_memory = np.full((4, 11, 5), 3.0, np.float32), np.full((4, 12, 8), np.nan, np.float32)
    for row in range(4):
        more_x[row, : lengths[row]] = x[row, : lengths[row]]
        more_memory[row, : memory_lengths[row]] = memory[row, : memory_lengths[row]]
    more_outputs, more_alignment = (part.numpy() for part in layer(more_x, lengths, more_memory, memory_lengths))
    np.testing.assert_allclose(more_outputs[:, :6], outputs, atol=1e-5)
    np.testing.assert_allclose(more_alignment[:, :6, :7], alignment, atol=1e-5)
    assert not more_outputs[:, 6:].any()
    assert not more_alignment[:, 6:].any()
    assert not more_alignment[:, :, 7:].any()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_decoder_trains_and_is_saved(kind, tmp_path):
    data = inputs()
    given = [keras.Input((None, 5)), keras.Input((), dtype="int32"), keras.Input((None, 8))]
    given.append(keras.Input((), dtype="int32"))
    drops = {"dropout": 0.2} if kind.get("input_feeding") else {"recurrent_dropout": 0.2, "weight_dropout": 0.2}
    model = keras.Model(given, AttentionDecoder(9, 4, **kind, **drops)(*given))
    assert [output.shape for output in model.outputs] == [(None, None, 4), (None, None, None)]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(list(data), training=True)[0]))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, [v.value for v in model.trainable_variables]), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient.numpy()).all()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(list(data))[0].numpy(), again(list(data))[0].numpy())


@pytest.mark.parametrize(("name", "kind"), [("luong", LuongAttention), ("bahdanau", BahdanauAttention)])
def test_decoder_scores_the_memory_in_the_way_it_is_told(name, kind):
    assert isinstance(AttentionDecoder(4, 4, attention=name).scores, kind)


def test_decoder_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match=r'"grru" is not allowed\. Allowed: lstm, gru\.'):
        AttentionDecoder(4, 4, cell="grru")


@pytest.mark.parametrize("drops", [{"recurrent_dropout": 0.1}, {"weight_dropout": 0.1}])
def test_decoder_with_input_feeding_refuses_dropout_that_it_does_not_do(drops):
    with pytest.raises(ValueError, match="input_feeding allows no recurrent_dropout and no weight_dropout"):
        AttentionDecoder(4, 4, input_feeding=True, **drops)


def test_decoder_drops_in_its_own_precision():
    layer = AttentionDecoder(4, 4, dropout=0.1, layers=2, dtype="mixed_bfloat16")
    assert {drop.compute_dtype for drop in layer.drops} == {"bfloat16"}


@pytest.mark.parametrize("make", [GRU, LSTM, SimpleRNN, lambda units: GRU(units, reset_after=False)])
def test_recurrent_step_is_a_sequence_of_one_step(make):
    rng = np.random.default_rng(0)
    layer = make(6)
    layer.return_state = True
    x, states = rng.normal(size=(3, 5)).astype("float32"), rng.normal(size=(2, 3, 6)).astype("float32")
    state = [tf.constant(s) for s in states[: 2 if isinstance(layer, LSTM) else 1]]
    _, *expected = layer(x[:, None], initial_state=state)
    for a, b in zip(layer.step(tf.constant(x), state), expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)


def test_tied_embedding_looks_up_and_scores_with_one_matrix(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    layer = TiedEmbedding(11, 4)
    vectors = layer(ids)
    model = keras.Model(ids, [vectors, layer(vectors, score=True)])
    assert [output.shape for output in model.outputs] == [(None, None, 4), (None, None, 11)]
    layer.bias.assign(np.arange(11.0))
    found, scores = (part.numpy() for part in model(np.array([[3, 10]])))
    table = layer.embeddings.numpy()
    np.testing.assert_array_equal(found[0], table[[3, 10]])
    np.testing.assert_allclose(scores[0], table[[3, 10]] @ table.T + np.arange(11), atol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(np.array([[3, 10]]))[1].numpy(), scores)


@pytest.mark.parametrize("kinds", [[], [[0, 1, 1, 2, 0]]], ids=["plain", "kinds"])
def test_tied_embedding_reads_its_table_without_a_copy(kinds):
    layer = TiedEmbedding(5, 4, kinds=kinds)
    layer.build()
    both = tf.function(lambda ids: layer(layer(ids), score=True)).get_concrete_function(tf.TensorSpec([None], tf.int32))
    # A variable that was once read so is copied whole by each later read.
    assert not any(operation.type == "ResourceGather" for operation in both.graph.get_operations())


def test_tied_embedding_of_kinds_shares_parts_of_vectors(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    layer = TiedEmbedding(5, 4, kinds=[[0, 1, 1, 2, 0], [3, 0, 1, 1, 2]])
    vectors = layer(ids)
    model = keras.Model(ids, [vectors, layer(vectors, score=True)])
    table = layer.embeddings.numpy()
    first, second = (part.numpy() for part in layer.shared)
    assert first.shape == (2, 4)
    assert second.shape == (3, 4)
    none = np.zeros(4)
    whole = table + np.stack([none, first[0], first[0], first[1], none])
    whole += np.stack([second[2], none, second[0], second[0], second[1]])
    np.testing.assert_allclose(layer.table(), whole, atol=1e-6)
    found, scores = (part.numpy() for part in model(np.arange(5)[None]))
    np.testing.assert_allclose(found[0], whole, atol=1e-6)
    np.testing.assert_allclose(scores[0], whole @ whole.T, atol=1e-5)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.constant([[1, 2, 2]])))
    gradient = tf.convert_to_tensor(tape.gradient(loss, layer.shared[0].value))
    np.testing.assert_allclose(gradient, [[3.0] * 4, [0.0] * 4])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(np.arange(5)[None])[1].numpy(), scores)
