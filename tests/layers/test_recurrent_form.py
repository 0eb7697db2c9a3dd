from __future__ import annotations

import pytest
import tensorflow as tf

from seqpipe.layers.recurrent_form import Form, by_rows, choose_form, traced_for


@pytest.mark.parametrize(
    ("rows", "units", "training", "by_hand", "fusable", "runner", "form"),
    [
        (64, 128, True, True, True, "any", Form.GRADIENT_BY_HAND),
        (1, 128, True, True, True, "serving", Form.GRADIENT_BY_HAND),
        (64, 255, True, True, True, "xla_loops", Form.GRADIENT_BY_HAND_XLA),
        (64, 256, True, True, True, "xla_loops", Form.GRADIENT_BY_HAND),
        (1, 128, True, False, False, "xla_loops", Form.INPUTS_BY_TURN),
        (16, 512, False, True, True, "serving", Form.INPUTS_BY_TURN),
        (15, 255, False, True, True, "serving", Form.INPUTS_FIRST),
        (1, 255, False, True, True, "many_rows", Form.INPUTS_BY_TURN),
        (1, 512, False, False, False, "many_rows", Form.INPUTS_BY_TURN),
        (1, 128, True, True, True, "many_rows", Form.GRADIENT_BY_HAND),
        (5, 255, False, True, True, "serving", Form.INPUTS_FIRST),
        (4, 255, False, True, True, "serving", Form.FUSED),
        (4, 255, False, True, True, "any", Form.INPUTS_FIRST),
        (4, 255, False, True, False, "serving", Form.INPUTS_FIRST),
        (15, 256, False, True, False, "any", Form.INPUTS_FIRST_BY_GATE),
        (15, 512, False, True, False, "any", Form.INPUTS_FIRST_BY_GATE),
        (1, 128, False, False, False, "xla_loops", Form.INPUTS_FIRST),
    ],
)
def test_recurrent_form_is_that_of_the_table(rows, units, training, by_hand, fusable, runner, form):
    with traced_for(runner):
        chosen = choose_form(rows, units=units, training=training, by_hand=by_hand, fusable=fusable)
    assert chosen is form
    assert choose_form(64, units=8, training=False, by_hand=True, fusable=True) is Form.INPUTS_BY_TURN  # any again


@pytest.mark.parametrize("known", [False, True])
def test_recurrent_form_of_a_batch_is_that_of_its_rows(known):
    def choose(rows):
        return Form.FUSED if rows <= 4 else Form.INPUTS_FIRST if rows < 16 else Form.INPUTS_BY_TURN

    def run(form):
        return tf.constant(form.name)

    def answer(rows):
        batch = rows if known else tf.constant(rows)
        return tf.function(lambda: by_rows(batch, choose, run))().numpy().decode()

    assert [answer(rows) for rows in (0, 1, 4, 5, 15, 16, 900)] == [
        *["FUSED"] * 3,
        *["INPUTS_FIRST"] * 2,
        *["INPUTS_BY_TURN"] * 2,
    ]


def test_recurrent_form_that_is_the_same_for_all_rows_needs_no_branch():
    answer = tf.function(lambda batch: by_rows(batch, lambda rows: Form.FUSED, lambda form: batch + 1))
    graph = answer.get_concrete_function(tf.TensorSpec([], tf.int32)).graph
    assert not any("If" in op.type for op in graph.get_operations())
