"""Our recurrent layers against Keras' own: outputs and every gradient, in each option, with lengths and masks."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from testing import ask_without_seqpipe, run_layer_test

from seqpipe.layers import recurrent_form
from seqpipe.layers.recurrent import GRU, LSTM, Bidirectional, SimpleRNN
from seqpipe.layers.recurrent_form import traced_for

TOLERANCE = 1e-5
CELLS = {"LSTM": LSTM, "GRU": GRU, "SimpleRNN": SimpleRNN}
STATES = {"LSTM": 2, "GRU": 1, "SimpleRNN": 1}
UNITS, CHANNELS, STEPS = 5, 3, 8  # 8 steps: the last turn of a loop is not full
LENGTHS = [8, 0, 1, 5]
OPTIONS = {
    "last": {},
    "sequences": {"return_sequences": True},
    "states": {"return_sequences": True, "return_state": True},
    "no_bias": {"use_bias": False, "return_sequences": True},
    "dropout": {"dropout": 0.3, "return_sequences": True},
    "recurrent_dropout": {"recurrent_dropout": 0.3, "return_state": True},
    "both_dropouts": {"dropout": 0.3, "recurrent_dropout": 0.3, "return_sequences": True},
    "relu": {"activation": "relu", "return_sequences": True, "return_state": True},
    "unroll": {"unroll": True, "return_sequences": True},
}
GRU_OPTIONS = {
    "reset_before": {"reset_after": False, "return_sequences": True, "return_state": True},
    "reset_before_dropout": {"reset_after": False, "recurrent_dropout": 0.3, "return_sequences": True},
    "reset_before_no_bias": {"reset_after": False, "use_bias": False},
}
CASES = [
    *itertools.product(CELLS, OPTIONS.values()),
    *itertools.product(["GRU"], GRU_OPTIONS.values()),
    ("LSTM", {"unit_forget_bias": False, "recurrent_activation": "hard_sigmoid", "return_sequences": True}),
]
IDS = [*(f"{c}-{o}" for c, o in itertools.product(CELLS, OPTIONS)), *(f"GRU-{o}" for o in GRU_OPTIONS), "LSTM-gates"]


def numbers(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def pair(cell: str, options: dict, merge: str | None = "none", channels: int = CHANNELS) -> tuple:
    """Our layer and Keras' with the same weights and the same dropout; Keras' gives zeros for masked steps too."""
    ours = CELLS[cell](UNITS, seed=7, **options)
    theirs = getattr(keras.layers, cell)(
        UNITS, seed=7, zero_output_for_mask=bool(options.get("return_sequences")), **options
    )
    if merge != "none":
        ours, theirs = Bidirectional(ours, merge_mode=merge), keras.layers.Bidirectional(theirs, merge_mode=merge)
    for layer in (theirs, ours):
        layer.build((None, STEPS, channels))
    for n, variable in enumerate(theirs.trainable_variables):
        variable.assign(0.6 * numbers(*variable.shape, seed=n))
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def answers_and_gradients(layer, x, state, *, graph=False, compiled=False, training=True, **places) -> list[np.ndarray]:
    """All outputs, and the gradients of a sum of them by inputs, states and weights."""

    def run(x, state, places):
        with tf.GradientTape() as tape:
            tape.watch([x, state])
            outputs = tf.nest.flatten(layer(x, initial_state=state, training=training, **places))
            loss = tf.add_n([tf.reduce_sum(o * numbers(*o.shape, seed=9)) for o in outputs])
        return outputs, tape.gradient(loss, [x, *state, *(v.value for v in layer.trainable_variables)])

    run = tf.function(run, jit_compile=compiled) if graph or compiled else run  # tracing takes longer than 8 steps
    return [np.asarray(a) for a in tf.nest.flatten(run(x, state, places))]


def assert_close(ours, theirs, tolerance=TOLERANCE):
    for n, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()), err_msg=f"no. {n}")


def compare(cell, options, x, *, merge="none", lengths=None, mask=None, training=True, graph=False, compiled=False):
    ours, theirs = pair(cell, options, merge, x.shape[-1])
    count = STATES[cell] * (1 if merge == "none" else 2)
    state = [numbers(x.shape[0], UNITS, seed=20 + n) for n in range(count)]
    real = mask if lengths is None else tf.sequence_mask(lengths, x.shape[1])
    given = {} if real is None else {"mask": real} if lengths is None else {"lengths": lengths}
    masked = {} if real is None else {"mask": real}
    expected = answers_and_gradients(theirs, x, state, graph=graph, training=training, **masked)
    got = answers_and_gradients(ours, x, state, graph=graph, compiled=compiled, training=training, **given)
    assert_close(got, expected)


@pytest.mark.parametrize(("cell", "options"), CASES, ids=IDS)
def test_recurrent_equals_keras_with_lengths_in_training(cell, options):
    compare(cell, options, numbers(4, STEPS, CHANNELS), lengths=tf.constant(LENGTHS))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("training", [False, True])
def test_recurrent_equals_keras_without_lengths(cell, training):
    compare(cell, OPTIONS["states"], numbers(4, STEPS, CHANNELS), training=training)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", ["last", "states"])
def test_recurrent_equals_keras_with_a_mask(cell, options):
    compare(cell, OPTIONS[options], numbers(4, STEPS, CHANNELS), mask=tf.sequence_mask(LENGTHS, STEPS))


@pytest.mark.parametrize("layer", [GRU(UNITS), Bidirectional(LSTM(UNITS))], ids=["GRU", "Bidirectional"])
@pytest.mark.parametrize("pattern", [[1, 0, 1, 0], [0, 1, 1, 1]], ids=["hole", "padded in front"])
def test_recurrent_refuses_a_mask_with_a_real_step_behind_one_that_is_not(layer, pattern):
    mask = tf.constant([[1, 1, 0, 0], pattern]) > 0
    with pytest.raises(tf.errors.InvalidArgumentError, match="Allowed: in each row first all real steps, then none"):
        layer(numbers(2, 4, CHANNELS), mask=mask)


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_equals_keras_in_large_batches(cell):
    lengths = tf.constant(np.random.default_rng(2).integers(0, STEPS + 1, size=37), tf.int32)
    for training in (False, True):
        compare(cell, OPTIONS["states"], numbers(37, STEPS, CHANNELS), lengths=lengths, training=training)


@pytest.mark.parametrize(
    ("cell", "batch", "steps"), [("LSTM", 1, 1), ("GRU", 1, 400), ("GRU", 64, 1), ("LSTM", 64, 400)]
)
def test_recurrent_equals_keras_for_one_step_and_for_400(cell, batch, steps):
    lengths = tf.constant(np.random.default_rng(3).integers(0, steps + 1, size=batch), tf.int32)
    compare(cell, OPTIONS["sequences"], numbers(batch, steps, CHANNELS), lengths=lengths, graph=True)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("merge", ["concat", None])
def test_recurrent_bidirectional_equals_keras(cell, merge):
    lengths = tf.constant(LENGTHS)
    compare(cell, OPTIONS["states"], numbers(4, STEPS, CHANNELS), merge=merge, lengths=lengths)
    compare(cell, OPTIONS["last"], numbers(4, STEPS, CHANNELS), merge=merge, lengths=lengths, training=False)


def test_recurrent_bidirectional_refuses_a_merge_mode_it_does_not_know():
    with pytest.raises(ValueError, match=r'merge_mode = "sum" is not allowed\. Allowed: concat, None\.'):
        Bidirectional(GRU(UNITS), merge_mode="sum")


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_go_backwards_turns_each_row_around_by_its_length(cell):
    x, state = numbers(4, STEPS, CHANNELS), [numbers(4, UNITS)] * STATES[cell]
    options = {**OPTIONS["states"], "go_backwards": True}
    compare(cell, options, x)  # every step real: as Keras has it
    ours, theirs = pair(cell, options)
    sequences, *final = ours(x, tf.constant(LENGTHS), initial_state=state)
    for row, length in enumerate(LENGTHS):
        assert not sequences[row, length:].numpy().any()
        if length:
            alone = theirs(x[row : row + 1, :length], initial_state=[s[row : row + 1] for s in state])
            assert_close([sequences[row, :length], *(s[row] for s in final)], [a[0] for a in alone])
        else:
            assert_close([s[row] for s in final], [s[row] for s in state])


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_compiled_by_xla_equals_keras(cell):
    compare(cell, OPTIONS["states"], numbers(4, STEPS, CHANNELS), lengths=tf.constant(LENGTHS), compiled=True)


def test_recurrent_loops_compiled_by_xla_equal_keras_and_draw_the_same_dropout():
    options = {**OPTIONS["states"], "dropout": 0.2, "recurrent_dropout": 0.3}
    with traced_for("xla_loops"):
        compare("GRU", options, numbers(20, STEPS, CHANNELS), lengths=tf.constant(LENGTHS * 5), graph=True)


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_second_order_gradients_equal_keras(cell):
    x = numbers(3, STEPS, CHANNELS)

    def second_order(layer):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(tf.sin(layer(x, training=True)))
            first = tf.reduce_sum(inner.gradient(y, x) ** 2)
        return outer.gradient(first, [x, *(v.value for v in layer.trainable_variables)])

    ours, theirs = (second_order(layer) for layer in pair(cell, OPTIONS["sequences"]))
    assert_close(ours, theirs, 1e-4)


def test_recurrent_steps_that_only_fill_a_turn_do_nothing():
    """They would make infinities of an activation that grows fast, and those a gradient that is no number."""
    x = numbers(3, 1, CHANNELS)

    def gradients(layer):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(layer(x, training=True))
        return [y, *tape.gradient(y, [x, *(v.value for v in layer.trainable_variables)])]

    ours, theirs = (gradients(layer) for layer in pair("SimpleRNN", {"activation": "exponential"}))
    assert_close(ours, theirs, 1e-4)
    assert all(np.isfinite(found).all() for found in ours)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("runner", ["any", "serving"])
@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_forms_answer_alike_for_every_batch(monkeypatch, cell, runner, big):
    if big:  # the forms of large layers, at a size that a test can afford
        monkeypatch.setattr(recurrent_form, "BIG_UNITS", 1)
        monkeypatch.setattr(recurrent_form, "FUSED_WEIGHTS", 0)
    ours, theirs = pair(cell, OPTIONS["states"])
    with traced_for(runner):
        answer = tf.function(ours).get_concrete_function(
            tf.TensorSpec([None, None, CHANNELS]), tf.TensorSpec([None], tf.int32)
        )
    for batch in (1, 3, 7, 21):
        x = numbers(batch, STEPS, CHANNELS)
        lengths = tf.constant(np.random.default_rng(4).integers(0, STEPS + 1, size=batch), tf.int32)
        assert_close(answer(x, lengths), theirs(x, mask=tf.sequence_mask(lengths, STEPS)))
    fused = "BlockLSTMV2" in str(answer.graph.as_graph_def())
    assert fused == (cell == "LSTM" and runner == "serving" and not big)


@pytest.mark.parametrize("cell", [*CELLS, "Bidirectional"])
def test_recurrent_layer_keeps_the_contract_of_layers(cell):
    def make():
        if cell == "Bidirectional":
            return Bidirectional(GRU(UNITS, return_sequences=True, dropout=0.1, name="inner"))
        return CELLS[cell](UNITS, return_sequences=True, return_state=True, weight_dropout=0.2)

    run_layer_test(make)


@pytest.mark.parametrize(
    ("make", "wanted", "count"),
    [
        (lambda: LSTM(UNITS), 2, 1),
        (lambda: GRU(UNITS), 1, 2),
        (lambda: Bidirectional(GRU(UNITS)), 2, 1),
        (lambda: Bidirectional(LSTM(UNITS)), 4, 5),
    ],
)
def test_recurrent_state_of_another_size_is_told(make, wanted, count):
    layer, x = make(), numbers(4, STEPS, CHANNELS)
    with pytest.raises(
        ValueError, match=rf"initial_state has the shapes .* Allowed: {wanted} of them, \[B, {UNITS}\] each"
    ):
        layer(x, initial_state=[numbers(4, UNITS)] * count)
    with pytest.raises(ValueError, match=rf"Allowed: {wanted} of them"):
        layer(x, initial_state=tf.constant([1, 2, 3, 4]))  # lengths, as Keras' own Bidirectional would take them


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_padding_is_never_read(cell):
    """Not even by the gradients: what stands beyond a length may be NaN."""
    ours, _ = pair(cell, OPTIONS["states"])
    lengths = tf.constant([8, 3, 0, 5])
    x, state = numbers(4, STEPS, CHANNELS), [numbers(4, UNITS)] * STATES[cell]
    hostile = tf.where(tf.sequence_mask(lengths, STEPS)[:, :, None], x, np.nan)
    clean, dirty = (answers_and_gradients(ours, values, state, lengths=lengths) for values in (x, hostile))
    for a, b in zip(clean, dirty, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_config_and_weights_move_both_ways(cell):
    options = {**OPTIONS["states"], "dropout": 0.1, "recurrent_dropout": 0.2, "seed": 3, "go_backwards": True}
    theirs = getattr(keras.layers, cell)(UNITS, name="layer", **options)
    ours = CELLS[cell].from_config(theirs.get_config())
    assert ours.get_config() == theirs.get_config()
    again = type(theirs).from_config(ours.get_config())
    for layer in (theirs, ours, again):
        layer.build((None, None, CHANNELS))
    assert [(w.path, w.shape) for w in ours.weights] == [(w.path, w.shape) for w in theirs.weights]
    ours.set_weights(theirs.get_weights())
    again.set_weights(ours.get_weights())
    x = numbers(2, STEPS, CHANNELS)
    assert_close(ours(x), theirs(x))
    assert_close(again(x), theirs(x))


def test_recurrent_weight_dropout_drops_recurrent_weights_and_is_kept():
    layer = LSTM.from_config(LSTM(UNITS, seed=5, weight_dropout=0.5, return_sequences=True).get_config())
    assert layer.weight_dropout == 0.5
    x = numbers(2, STEPS, CHANNELS)
    inference = layer(x)
    kernel = layer.cell.recurrent_kernel.value
    expected = keras.random.dropout(kernel, 0.5, seed=keras.random.SeedGenerator(5))
    assert 0 < np.count_nonzero(expected) < kernel.shape.num_elements()
    training = layer(x, training=True)
    layer.cell.recurrent_kernel.assign(expected)
    assert_close([training], [layer(x)])
    assert np.abs(training - inference).max() > 1e-3
    with pytest.raises(ValueError, match=r"weight_dropout = 1.5 is not a share. Allowed: 0 <= weight_dropout < 1."):
        GRU(UNITS, weight_dropout=1.5)


def test_recurrent_dropout_continues_from_its_saved_seed_state():
    layer = GRU(UNITS, dropout=0.4, seed=1)
    x = numbers(2, STEPS, CHANNELS)
    layer(x, training=True)
    seed_state = layer.cell.seed_generator.state
    saved = seed_state.numpy()
    first, second = layer(x, training=True), layer(x, training=True)
    assert np.abs(first - second).max() > 1e-4
    seed_state.assign(saved)
    np.testing.assert_array_equal(layer(x, training=True), first)
    layer(x)
    np.testing.assert_array_equal(layer(x, training=True), second)  # inference draws nothing


@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"activation": "relu"}, {"reset_after": False}], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_steps_of_a_loop_equal_the_layer(cell, options):
    if "reset_after" in options and cell != "GRU":
        pytest.skip("of the GRU")
    layer = CELLS[cell](UNITS, return_sequences=True, **options)
    x = numbers(4, STEPS, CHANNELS)
    wanted = layer(x).numpy()
    for advance in (layer.step, layer.stepper()):
        state = [tf.zeros([4, UNITS])] * STATES[cell]
        for number in range(STEPS):
            state = advance(x[:, number], state)
            np.testing.assert_allclose(state[0], wanted[:, number], atol=TOLERANCE)


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_stateful_carries_the_state_over(cell):
    options = {**OPTIONS["sequences"], "stateful": True}
    ours, theirs = CELLS[cell](UNITS, **options), getattr(keras.layers, cell)(UNITS, **options)
    x = numbers(2, STEPS, CHANNELS)
    theirs(x)
    ours(x)
    ours.set_weights(theirs.get_weights())
    for layer in (ours, theirs):
        layer.reset_state()
    for _ in range(2):
        assert_close([ours(x)], [theirs(x)])


def test_recurrent_takes_the_mask_that_an_embedding_sends():
    tokens = tf.constant([[3, 4, 5, 0, 0], [6, 0, 0, 0, 0]])
    embedding = keras.layers.Embedding(10, CHANNELS, mask_zero=True)
    ours, theirs = pair("GRU", OPTIONS["last"])
    inputs = keras.Input((None,), dtype="int32")
    models = [keras.Model(inputs, layer(embedding(inputs))) for layer in (ours, theirs)]
    assert_close([models[0](tokens)], [models[1](tokens)])


def test_recurrent_refuses_lengths_beside_a_mask():
    x = numbers(2, STEPS, CHANNELS)
    with pytest.raises(ValueError, match=r"lengths and mask were both given\. Allowed: one of them\."):
        GRU(UNITS)(x, tf.constant([1, 2]), mask=tf.ones([2, STEPS], tf.bool))


def test_recurrent_refuses_a_state_in_the_place_of_lengths():
    with pytest.raises(ValueError, match=r"lengths must be \[B\], not \(2, 3\); a state is given as initial_state\."):
        GRU(3)(numbers(2, STEPS, CHANNELS), numbers(2, 3))


def test_recurrent_bidirectional_refuses_other_layers():
    with pytest.raises(
        TypeError, match=r"Bidirectional wraps keras.*GRU. Allowed: seqpipe.layers.LSTM, GRU, SimpleRNN."
    ):
        Bidirectional(keras.layers.GRU(UNITS))


def test_recurrent_mixed_precision_is_near_float32():
    for cell in CELLS:
        exact = CELLS[cell](UNITS, return_sequences=True, seed=1)
        mixed = CELLS[cell](UNITS, return_sequences=True, seed=1, dtype="mixed_bfloat16")
        x = numbers(4, STEPS, CHANNELS)
        exact(x), mixed(x)
        mixed.set_weights(exact.get_weights())
        with tf.GradientTape() as tape:
            output = mixed(x, tf.constant(LENGTHS), training=True)
            loss = tf.reduce_sum(tf.cast(output, tf.float32))
        assert output.dtype == tf.bfloat16
        assert all(g.dtype == tf.float32 for g in tape.gradient(loss, [v.value for v in mixed.trainable_variables]))
        assert np.abs(tf.cast(output, tf.float32) - exact(x, tf.constant(LENGTHS))).max() < 0.05


def test_recurrent_saved_model_runs_without_seqpipe(tmp_path):
    x, lengths = numbers(3, STEPS, CHANNELS), tf.constant([8, 0, 5])
    layers = {"lstm": LSTM(UNITS), "gru": GRU(UNITS), "both": Bidirectional(SimpleRNN(UNITS))}
    module = tf.Module()
    module.layers = list(layers.values())
    signatures, expected = {}, {}
    for name, layer in layers.items():
        expected[name] = layer(x, lengths)
        with traced_for("serving"):
            signatures[name] = tf.function(
                lambda x, lengths, layer=layer: {"y": layer(x, lengths)},
                input_signature=[tf.TensorSpec([None, None, CHANNELS]), tf.TensorSpec([None], tf.int32)],
            ).get_concrete_function()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=signatures)
    inputs = {"x": x.numpy(), "lengths": lengths.numpy()}
    requests = [{"signature": name, "inputs": inputs} for name in signatures]
    answers = ask_without_seqpipe(tmp_path / "model", requests)["answers"]
    for name, answer in zip(signatures, answers, strict=True):
        assert_close([answer["y"]], [expected[name]])
