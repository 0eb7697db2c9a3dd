from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from seqpipe.config.networks import Classifier, Convolution
from seqpipe.config.training import Pretraining
from seqpipe.errors import ModelError
from seqpipe.models import classifier
from seqpipe.models.language_model import LanguageModel, encoder_weights, reach, set_encoder_weights

V = 30
SETTINGS = {
    "embedding": {"units": 6},
    "convolution": [{"filters": 5, "kernel_size": 4, "pool": 2}, {"filters": 5, "kernel_size": 3, "stride": 2}],
    "recurrent": {"units": 4},
}
RNG = np.random.default_rng(0)


def build(*, pretraining=None, **settings):
    config = Classifier.model_validate({**SETTINGS, **settings})
    options = Pretraining.model_validate({"window": 2, "sampled_pieces": 20, "dropout": 0.0, **(pretraining or {})})
    return LanguageModel(config, options, np.arange(V))


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [{"filters": 5, "kernel_size": 3, "pool": 4}],
        [{"filters": 5, "kernel_size": 4, "padding": "causal"}],
        [{"filters": 5, "kernel_size": 2, "dilation": 3}, {"filters": 5, "kernel_size": 3, "pool": 2}],
        SETTINGS["convolution"],
    ],
)
def test_language_model_reach_is_what_a_step_depends_on(blocks):
    blocks = [Convolution.model_validate({**block, "activation": "linear", "pool_kind": "average"}) for block in blocks]
    behind, ahead, stride = reach(blocks)
    config = Classifier.model_validate({**SETTINGS, "recurrent": None}).model_copy(update={"convolution": blocks})
    from seqpipe.models.classifier import encoder

    x = tf.Variable(RNG.normal(size=(1, 40, 6)).astype(np.float32))
    with tf.GradientTape() as tape:
        states, _ = encoder(config, x, tf.constant([40]))
        step = 3
        total = tf.reduce_sum(states[0, step] * RNG.normal(size=states.shape[-1]).astype(np.float32))
    slope = np.abs(tape.gradient(total, x).numpy()[0]).sum(-1)
    seen = np.flatnonzero(slope)
    assert (seen[0], seen[-1]) == (step * stride - behind, step * stride + ahead)


@pytest.mark.parametrize("direction", [0, 1])
def test_language_model_never_sees_what_it_guesses(direction):
    model = build()
    ids = RNG.integers(4, V, size=(1, 33)).astype(np.int32)
    lengths = np.array([33], np.int32)

    def states(ids):
        both, _ = model.encoder([model.embedding(ids), tf.constant(lengths)])
        return np.split(both.numpy(), 2, axis=-1)[direction]

    before = states(ids)
    for step in range(before.shape[1]):
        first = step * model.stride + (model.ahead + 1 if direction == 0 else -model.behind - model.window)
        for place in range(first, first + model.window):
            if 0 <= place < 33:
                changed = ids.copy()
                changed[0, place] = (ids[0, place] + 1 - 4) % (V - 4) + 4
                np.testing.assert_array_equal(states(changed)[0, step], before[0, step])


def test_language_model_loss_is_the_mean_cross_entropy_over_all_pieces():
    model = build()
    ids = RNG.integers(4, V, size=(2, 20)).astype(np.int32)
    lengths = np.array([20, 7], np.int32)
    losses = model([ids, lengths], training=False).numpy()
    both, steps = model.encoder([model.embedding(ids), tf.constant(lengths)])
    table, bias = model.embedding.embeddings.numpy().astype(np.float64), model.bias.numpy().astype(np.float64)
    weight = model.weight.numpy()
    for row, length in enumerate(lengths):
        directions = []
        for guess, half, forward in zip(model.guesses, np.split(both.numpy(), 2, -1), (True, False), strict=True):
            total = weights = 0.0
            for step in range(steps[row]):
                first = step * model.stride + (model.ahead + 1 if forward else -model.behind - model.window)
                for place in range(first, first + model.window):
                    if 0 <= place < length:
                        target = ids[row, place]
                        logits = table @ guess(half[row : row + 1, step : step + 1]).numpy()[0, 0] + bias
                        total += weight[target] * (np.log(np.exp(logits).sum()) - logits[target])
                        weights += weight[target]
            directions.append(total / weights)
        np.testing.assert_allclose(losses[row], np.mean(directions), rtol=1e-4)


@pytest.mark.parametrize("blocks", [[], [{"filters": 5, "kernel_size": 5, "pool": 2}], SETTINGS["convolution"]])
def test_language_model_padding_changes_nothing(blocks):
    model = build(convolution=blocks)
    ids, lengths = RNG.integers(4, V, size=(1, 30)).astype(np.int32), np.array([30], np.int32)
    alone = model([ids, lengths], training=False).numpy()
    for more in (1, 2, 30):
        np.testing.assert_allclose(model([np.pad(ids, [(0, 0), (0, more)]), lengths], training=False), alone, rtol=1e-5)


def test_language_model_a_direction_that_guesses_nothing_does_not_count():
    model = build(convolution=[{"filters": 5, "kernel_size": 5, "pool": 4}])
    ids, lengths = RNG.integers(4, V, size=(2, 8)).astype(np.int32), np.array([8, 5], np.int32)
    both, one = model([ids, lengths], training=False).numpy()
    assert one == 0 or both / 2 < one < 2 * both  # nats a piece, not half of them


@pytest.mark.parametrize(
    ("recurrent", "found"),
    [(None, "is null"), ({"units": 4, "layers": 2}, "reads both directions in 2 layers")],
)
def test_language_model_refuses_an_encoder_that_would_see_the_answer(recurrent, found):
    with pytest.raises(ModelError, match=found):
        build(recurrent=recurrent)


def test_language_model_of_one_direction_may_have_layers():
    assert build(recurrent={"units": 4, "layers": 2, "bidirectional": False}).directions == ["forward"]


def test_language_model_hands_its_encoder_to_the_classifier():
    model = build()
    target = classifier(Classifier.model_validate(SETTINGS), vocabulary_size=V, classes=2)
    set_encoder_weights(target, encoder_weights(model), "here")
    for name in ("embedding", "convolution_1", "convolution_2", "recurrent_1"):
        source = model.embedding if name == "embedding" else model.encoder.get_layer(name)
        for ours, theirs in zip(target.get_layer(name).get_weights(), source.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_language_model_names_an_encoder_that_does_not_fit():
    other = classifier(Classifier.model_validate({**SETTINGS, "recurrent": {"units": 7}}), vocabulary_size=V, classes=2)
    with pytest.raises(
        ModelError,
        match=r"encoder of runs/x is not the one .* recurrent_1\.0 has the shape \[5, 12\] there, \[5, 21\] here",
    ):
        set_encoder_weights(other, encoder_weights(build()), "runs/x")
