from __future__ import annotations

import importlib.util
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from pipelines import TONES
from seqpipe import cli, layers
from seqpipe.errors import ProofError
from seqpipe.export import lite

pytest.importorskip("ai_edge_litert")


def function_of(answer, shape):
    return tf.function(answer, input_signature=[tf.TensorSpec(shape, tf.float32, name="x")])


@pytest.mark.parametrize("int8", [False, True])
def test_lite_a_recurrence_reads_constants_in_its_loop(int8):
    x = keras.Input((12, 24))
    model = keras.Model(x, layers.GRU(32, return_sequences=True)(x))

    def answer(x):
        with lite.frozen(model):
            return {"y": model(x, training=False)}

    content = lite.convert(function_of(answer, [1, 12, 24]), int8=int8)
    assert {"WHILE"} < set(lite.used_ops(content))
    assert not [name for name in lite.used_ops(content) if name.startswith("CUSTOM")]
    value = np.random.default_rng(0).normal(size=(1, 12, 24)).astype(np.float32)
    np.testing.assert_allclose(lite.Interpreter(content)(x=value)["y"], model(value), atol=2e-2 if int8 else 1e-6)


def test_lite_refuses_ops_that_are_not_its_own():
    def answer(x):
        return {"y": tf.linalg.det(x)}

    with pytest.raises(ProofError, match="LiteRT cannot hold the model with its own ops"):
        lite.convert(function_of(answer, [3, 3]), int8=False)


def test_lite_interpreter_is_asked_for_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TONES))
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "litert" in name else find_spec(name))
    for arguments, asked_by in (
        (["export", "no such model", "--lite"], "--lite"),
        (["export", "tiny.yaml", "--lite"], "--lite"),
        (["run", "tiny.yaml"], "export.lite = true"),
        (["run", "tiny.yaml", "--seeds", "2"], "export.lite = true"),
    ):
        monkeypatch.setattr(sys, "argv", ["seqpipe", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 2
        assert capsys.readouterr().err.startswith(f"error: {asked_by} needs LiteRT")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_lite_wants_a_task_that_has_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "tiny.yaml").write_text("task: text_classification\nname: tiny\ndata: {train: 'builtin:reviews'}\n")
    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        (["export", "tiny.yaml", "--lite"], '"text_classification" is not a task with a LiteRT form. Allowed: speech_'),
        (["export", "tiny"], "export tiny: name a pipeline file"),
        (["export", "tiny", "--lite"], "tiny is neither a model directory nor the name of a model"),
    ):
        monkeypatch.setattr(sys, "argv", ["seqpipe", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        assert message in capsys.readouterr().err
