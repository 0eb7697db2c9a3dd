"""One table for vectors and scores, against products of numpy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqpipe.layers.embedding import TiedEmbedding

KINDS = [[0, 1, 2, 2], [1, 0, 1, 3]]


def built(kinds=KINDS):
    layer = TiedEmbedding(4, 3, kinds=kinds)
    layer.build()
    layer.set_weights([np.random.default_rng(n).normal(size=w.shape) for n, w in enumerate(layer.weights)])
    return layer


def test_embedding_starts_with_vectors_of_about_length_one_and_no_bias():
    layer = TiedEmbedding(2000, 16, kinds=[np.arange(2000)])
    layer.build()
    assert layer.embeddings.numpy().std() == pytest.approx(0.25, rel=0.03)
    assert layer.shared[0].numpy().std() == pytest.approx(0.25, rel=0.03)
    assert not layer.bias.numpy().any()
    assert [weight.name for weight in layer.weights] == ["embeddings", "bias", "shared_0"]


def test_embedding_vectors_and_scores_add_what_kinds_share():
    layer = built()
    own, bias, first, second = layer.get_weights()
    assert (first.shape, second.shape) == ((2, 3), (3, 3))
    none = np.zeros((1, 3))
    table = own + np.concatenate([none, first])[KINDS[0]] + np.concatenate([none, second])[KINDS[1]]
    np.testing.assert_allclose(layer.table(), table, atol=1e-6)
    ids = np.array([[0, 1, 2], [3, 3, 0]])
    vectors = layer(ids)
    np.testing.assert_allclose(vectors, table[ids], atol=1e-6)
    scores = layer(vectors, score=True)
    assert scores.shape == (2, 3, 4)
    np.testing.assert_allclose(scores, table[ids] @ table.T + bias, atol=1e-5)
    np.testing.assert_allclose(layer(vectors[:, 0], score=True), scores[:, 0], atol=1e-6)


def test_embedding_scores_and_vectors_have_the_shapes_and_type_they_announce():
    layer = TiedEmbedding(4, 3, kinds=KINDS, dtype="mixed_bfloat16")
    vectors = layer(keras.Input((None,), dtype="int32"))
    scores = layer(vectors, score=True)
    assert [(out.shape, out.dtype) for out in (vectors, scores)] == [
        ((None, None, 3), "bfloat16"),
        ((None, None, 4), "bfloat16"),
    ]
    found = layer(np.array([[1, 2]]))
    assert found.dtype == layer(found, score=True).dtype == layer.table().dtype == tf.bfloat16
    assert {weight.dtype for weight in layer.weights} == {"float32"}


def test_embedding_made_again_from_its_configuration_answers_alike():
    for kinds in (KINDS, []):
        layer = built(kinds)
        config = layer.get_config()
        assert (config["vocabulary_size"], config["units"], config.get("kinds", [])) == (4, 3, kinds)
        again = TiedEmbedding.from_config(config)
        again.build()
        again.set_weights(layer.get_weights())
        np.testing.assert_array_equal(again(np.arange(4)), layer(np.arange(4)))


def test_embedding_of_kinds_in_which_nothing_is_shared():
    layer = TiedEmbedding(4, 3, kinds=[[0, 0, 0, 0]])
    assert layer(np.arange(4)).shape == (4, 3)
    assert layer.get_config().get("kinds", []) == []


def test_embedding_refuses_kinds_of_other_pieces():
    with pytest.raises(ValueError, match=r"kinds of shapes \[\(2,\)\]\. Allowed: \(3,\) each"):
        TiedEmbedding(3, 2, kinds=[[1, 1]])
