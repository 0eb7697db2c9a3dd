"""Helpers that make each test of a component short and check the same properties everywhere."""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fresh
import keras
import numpy as np
import pytest
import tensorflow as tf

from seqpipe.export import fresh_process as proof
from seqpipe.export.fresh_process import pack, unpack

TOLERANCE = 1e-5


def run_layer_test(make: Callable[[], keras.layers.Layer], *, channels: int = 6, steps: int = 13) -> None:
    """Seven properties of a layer that takes (x, lengths): x float [B, T, C], lengths int32 [B].

    Config and attributes survive a round trip; symbolic shapes are the eager ones; a training step gives every weight
    a finite gradient, though NaN stands beyond a length; mixed precision works; padding changes nothing and what lies
    beyond a length is zero; a saved model answers as before; lengths beyond T count as T, and another rank is refused.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, steps, channels)).astype(np.float32)
    lengths = np.array([steps, 5, 1, 0], np.int32)
    layer = make()
    outputs = _tuple(layer(x, lengths))
    _check_config(layer, make)
    model = _check_symbolic(make, channels, outputs)
    _check_training(layer, x, lengths)
    _check_mixed_precision(make, x, lengths)
    _check_padding(layer, x, lengths)
    _check_saving(model, x, lengths)
    _check_lengths(layer, x, lengths)


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _check_config(layer: keras.layers.Layer, make: Callable[[], keras.layers.Layer]) -> None:
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert json.dumps(again.get_config(), sort_keys=True) == json.dumps(config, sort_keys=True)
    fresh = make()
    for name, value in vars(fresh).items():
        if not name.startswith("_") and isinstance(value, (int, float, str, bool)) and name != "name":
            assert getattr(again, name) == value, name


def _check_symbolic(make: Callable[[], keras.layers.Layer], channels: int, outputs: tuple[Any, ...]) -> keras.Model:
    x = keras.Input((None, channels))
    lengths = keras.Input((), dtype="int32")
    symbolic = _tuple(make()(x, lengths))
    assert len(symbolic) == len(outputs)
    for spec, value in zip(symbolic, outputs, strict=True):
        assert len(spec.shape) == len(value.shape)
        assert all(a in (None, b) for a, b in zip(spec.shape, value.shape, strict=True))
        assert keras.backend.standardize_dtype(spec.dtype) == keras.backend.standardize_dtype(value.dtype)
    return keras.Model([x, lengths], list(symbolic))


def _check_training(layer: keras.layers.Layer, x: np.ndarray, lengths: np.ndarray) -> None:
    real = np.arange(x.shape[1]) < lengths[:, None]
    x_variable = tf.Variable(np.where(real[:, :, None], x, np.nan))
    with tf.GradientTape() as tape:
        outputs = _tuple(
            layer(x_variable, lengths, training=True) if _takes_training(layer) else layer(x_variable, lengths)
        )
        loss = tf.add_n([tf.reduce_sum(tf.square(tf.cast(o, tf.float32))) for o in outputs if o.dtype.is_floating])
    gradients = tape.gradient(loss, [x_variable, *(v.value for v in layer.trainable_variables)])
    for variable, gradient in zip(["input", *layer.trainable_variables], gradients, strict=True):
        assert gradient is not None, variable
        assert np.isfinite(tf.convert_to_tensor(gradient).numpy()).all(), variable
    for row, length in enumerate(lengths):
        assert not gradients[0].numpy()[row, length:].any(), "padding has a gradient"


def _check_lengths(layer: keras.layers.Layer, x: np.ndarray, lengths: np.ndarray) -> None:
    beyond = np.where(lengths == x.shape[1], 400, lengths)  # int64, as numpy has them
    for found, expected in zip(_tuple(layer(x, beyond)), _tuple(layer(x, lengths)), strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"must be \[B, T|expected ndim=3"):
        layer(x[:, 0], lengths)


def _takes_training(layer: keras.layers.Layer) -> bool:
    return "training" in inspect.signature(layer.call).parameters


def _check_mixed_precision(make: Callable[[], keras.layers.Layer], x: np.ndarray, lengths: np.ndarray) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = make()
        output = _tuple(layer(x, lengths))[0]
    finally:
        keras.config.set_dtype_policy(before)
    assert output.dtype == tf.bfloat16
    assert all(v.dtype == "float32" for v in layer.trainable_variables)
    assert np.isfinite(tf.cast(output, tf.float32).numpy()).all()


def _check_padding(layer: keras.layers.Layer, x: np.ndarray, lengths: np.ndarray) -> None:
    for row, length in enumerate(lengths):
        length = int(length)
        alone = [o.numpy() for o in _tuple(layer(x[row : row + 1, : max(1, length)], lengths[row : row + 1]))]
        for more in (1, 7, 50):
            wide = np.full((3, length + more, x.shape[2]), np.nan, np.float32)  # whatever stands in padding
            wide[1, :length] = x[row, :length]
            wide[[0, 2]] = 0.5
            beside = np.array([length + more, length, max(1, length - 1)], np.int32)
            for one, output in zip(alone, _tuple(layer(wide, beside)), strict=True):
                other = output.numpy()[1:2]
                if one.ndim > 1 and one.shape != other.shape:
                    assert not other[:, one.shape[1] :].any(), "not zero beyond the length"
                    other = other[:, : one.shape[1]]
                np.testing.assert_allclose(other, one, rtol=0, atol=TOLERANCE)


def _check_saving(model: keras.Model, x: np.ndarray, lengths: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as place:
        model.save(f"{place}/model.keras")
        again = keras.saving.load_model(f"{place}/model.keras")
    for before, after in zip(_tuple(model([x, lengths])), _tuple(again([x, lengths])), strict=True):
        np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


def ask_without_seqpipe(directory: Path, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """What a SavedModel answers in a process in which seqpipe, TF Text and sentencepiece cannot be imported.

    Args:
        requests: `{"signature": name, "inputs": {name: array}}` each.
    Returns:
        `{"answers": [{name: array}, ...], "latency_ms": {signature: number}}`
    """
    with tempfile.TemporaryDirectory() as place:
        asked, answered = Path(place) / "requests.json", Path(place) / "answers.json"
        packed = [{**r, "inputs": {name: pack(value) for name, value in r["inputs"].items()}} for r in requests]
        asked.write_text(json.dumps(packed), encoding="utf-8")
        done = fresh.run(proof.__file__, str(directory), str(asked), str(answered), cwd=place)
        assert done.returncode == 0, done.stderr
        result = json.loads(answered.read_text(encoding="utf-8"))
    answers = [{name: unpack(value) for name, value in answer.items()} for answer in result["answers"]]
    return {**result, "answers": answers}


def is_picture(path: Path) -> bool:
    """Whether a file is an image of some size with ink on white."""
    from matplotlib.image import imread

    image = imread(path)
    return image.shape[0] >= 200 and image.shape[1] >= 600 and image[..., :3].max() == 1 and image[..., :3].std() > 0.02
