"""What a SavedModel's variables are stored as, and that those who load it see none of it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from seqpipe.export.variables import SMALLEST, holder
from seqpipe.training.weights import rounded


class Scales(tf.Module):
    """x [B, N] by a table of N numbers, an offset, and a count that is no float."""

    def __init__(self, table):
        super().__init__()
        self.table, self.offset, self.count = tf.Variable(table), tf.Variable(0.5), tf.Variable(3)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
    def scaled(self, x):
        return {"scaled": x * self.table + self.offset + tf.cast(self.count, tf.float32)}

    @tf.function(input_signature=[])
    def table_of(self):
        return {"table": self.table}


def save(module: Scales, place) -> str:
    functions = {"serving_default": module.scaled, "table": module.table_of}
    functions = {name: function.get_concrete_function() for name, function in functions.items()}
    tf.saved_model.save(holder(functions.values()), str(place), signatures=functions)
    return str(place)


@pytest.fixture
def table() -> np.ndarray:
    values = np.random.default_rng(1).normal(size=2 * SMALLEST).astype(np.float32)
    values[:4] = [0.0, -0.0, 1e-30, 3e38]
    return rounded(values, 8)


def shapes_and_types(saved: str) -> set[tuple[int, str]]:
    reader = tf.train.load_checkpoint(f"{saved}/variables/variables")
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return {(int(np.prod(reader.get_tensor(name).shape)), reader.get_tensor(name).dtype.name) for name in names}


def test_weights_of_eight_bits_lie_in_two_bytes_and_come_back_as_they_were(table, tmp_path):
    saved = save(Scales(table), tmp_path / "saved")
    assert shapes_and_types(saved) == {(table.size, "bfloat16"), (1, "float32"), (1, "int32")}
    loaded = tf.saved_model.load(saved)
    np.testing.assert_array_equal(loaded.signatures["table"]()["table"], table)
    x = np.ones((2, table.size), np.float32)
    np.testing.assert_array_equal(loaded.signatures["serving_default"](x=x)["scaled"][1], table + np.float32(3.5))


@pytest.mark.parametrize("bits", [9, 24])
def test_weights_of_more_bits_stay_whole(table, tmp_path, bits):
    values = np.random.default_rng(2).normal(size=table.size).astype(np.float32)
    saved = save(Scales(rounded(values, bits)), tmp_path / "saved")
    assert shapes_and_types(saved) == {(table.size, "float32"), (1, "float32"), (1, "int32")}


def test_few_weights_stay_whole(table, tmp_path):
    assert (SMALLEST - 1, "float32") in shapes_and_types(save(Scales(table[: SMALLEST - 1]), tmp_path / "saved"))


def test_a_signature_outlives_the_model_it_came_from_and_others_loaded_beside_it(table, tmp_path):
    first, second = (
        tf.saved_model.load(save(Scales(values), tmp_path / name)).signatures["table"]
        for name, values in (("first", table), ("second", -table))
    )
    np.testing.assert_array_equal(first()["table"], table)
    np.testing.assert_array_equal(second()["table"], -table)


def test_a_session_as_servers_have_it_fills_them(table, tmp_path):
    saved = save(Scales(table), tmp_path / "saved")
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], saved)
        np.testing.assert_array_equal(session.run(loaded.signature_def["table"].outputs["table"].name), table)


def test_saving_leaves_the_model_as_it_was(table, tmp_path):
    module = Scales(table)
    first = save(module, tmp_path / "first")
    np.testing.assert_array_equal(module.table_of()["table"], table)
    module.table.assign(-module.table)
    np.testing.assert_array_equal(module.table_of()["table"], -table)
    second = save(module, tmp_path / "second")
    np.testing.assert_array_equal(tf.saved_model.load(second).signatures["table"]()["table"], -table)
    np.testing.assert_array_equal(tf.saved_model.load(first).signatures["table"]()["table"], table)
