from __future__ import annotations

import pytest
import tensorflow as tf

from seqpipe.errors import RunError
from seqpipe.training.position import (
    HISTORY,
    Position,
    open_history,
    read_history,
    restore_position,
    save_position,
)


def test_history_is_cut_back_to_the_position_and_never_made_longer(tmp_path):
    for saved, kept in ((8, [{"a": 1}]), (16, [{"a": 1}, {"b": 2}]), (100, [{"a": 1}, {"b": 2}])):
        (tmp_path / HISTORY).write_bytes(b'{"a":1}\n{"b":2}\n')
        with open_history(tmp_path, Position(history_bytes=saved)) as file:
            file.write(b'{"c":3}\n')
        assert read_history(tmp_path) == [*kept, {"c": 3}]


def test_history_that_is_damaged_is_named(tmp_path):
    (tmp_path / HISTORY).write_text('{"a": 1}\n{"b"')
    with pytest.raises(RunError, match=r"history\.jsonl is damaged: .* Start over with --fresh"):
        read_history(tmp_path)


def test_position_of_a_model_of_other_shapes_is_refused_before_anything_is_assigned(tmp_path):
    save_position(tmp_path, Position(), [tf.Variable([1.0, 2.0]), tf.Variable([[3.0]])])
    others = [tf.Variable([0.0, 0.0]), tf.Variable([[0.0, 0.0]])]
    with pytest.raises(RunError, match="was saved by another model"):
        restore_position(tmp_path, others)
    assert not others[0].numpy().any()
