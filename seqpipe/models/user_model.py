"""A model of the user's own in a pipeline: a function by its name, or a saved .keras file."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path

import keras
import numpy as np

from seqpipe.config.networks import Classifier
from seqpipe.errors import ModelError, RunError, nearest
from seqpipe.storage import write_json

TRIED_STEPS = 64  # of the row that a model is tried with


def own_model(config: Classifier, *, vocabulary_size: int, classes: int, known: Path) -> keras.Model:
    """Build or load the model that `model.builder` or `model.keras` names, and check its inputs and output.

    Args:
        known: a file of what it answers with weights that hang on nothing, made the first time and compared later.
    Raises:
        ModelError: it cannot be found, fails, or does not map (ids, lengths) to logits [B, classes].
        RunError: it is another network than it was the first time.
    """
    if config.builder is not None:
        model = _built(config.builder, config, vocabulary_size, classes)
        origin = f"model.builder = {config.builder}"
    else:
        model = _loaded(Path(str(config.keras)))
        origin = f"model.keras = {config.keras}"
    if not isinstance(model, keras.Model):
        raise ModelError(f"{origin}: gives a {type(model).__name__}, not a keras.Model.")
    if not getattr(model, "inputs", None):
        raise ModelError(f"{origin}: gives a model without inputs; it must be made as keras.Model(inputs, outputs).")
    if len(model.inputs) != 2:
        raise ModelError(f"{origin}: takes {len(model.inputs)} inputs; it must take two: ids [B, T] and lengths [B].")
    if len(model.outputs) != 1 or len(model.outputs[0].shape) != 2 or model.outputs[0].shape[-1] != classes:
        shapes = ", ".join(str(output.shape) for output in model.outputs)
        raise ModelError(f"{origin}: returns {shapes}; it must return logits of shape (None, {classes}), one a class.")
    last = vocabulary_size - 1
    ids = np.linspace(0, last, TRIED_STEPS).astype(np.int32)
    try:
        answer, padded = _tried(model, ids)
    except Exception as error:
        raise ModelError(
            f"{origin}: must take ids from 0 to {last} in rows of any length; it fails with {type(error).__name__}."
        ) from error
    if not np.allclose(answer, padded, rtol=1e-3, atol=1e-4, equal_nan=True):
        raise ModelError(
            f"{origin}: the answer to a row depends on how far it is padded. What stands beyond a row's length must "
            "change nothing: give the lengths to each layer over time, as those of seqpipe.layers take them, or mask."
        )
    if (answer >= 0).all() and abs(answer.sum() - 1) < 1e-4 and classes > 1:
        raise ModelError(f"{origin}: gives probabilities; it must give logits, from before softmax.")
    if not known.exists():
        write_json(known, answer.tolist())
    elif not np.allclose(answer, json.loads(known.read_text(encoding="utf-8")), rtol=1e-3, atol=1e-4, equal_nan=True):
        raise RunError(
            f"{origin}: is another network than the one that this run began with. Use --fresh to start over, or give "
            "the new run another name: --set name=..."
        )
    return model


def _tried(model: keras.Model, ids: np.ndarray) -> list[np.ndarray]:
    """Logits [classes] of a row, and of it with as much padding, with weights that are numbered, not trained.

    The weights are as before afterwards.
    """
    kept, rng = model.get_weights(), np.random.default_rng(0)
    for weight, value in zip(model.weights, kept, strict=True):
        if np.issubdtype(value.dtype, np.floating):
            low = -0.5 if weight.trainable else 0.5  # what is not trained may be a variance
            weight.assign(rng.uniform(low, low + 1, value.shape) / max(1, *value.shape[-1:]) ** 0.5)
    rows, lengths = [np.pad(ids, (0, padding))[None] for padding in (0, len(ids))], np.array([len(ids)], np.int32)
    answers = [np.asarray(model([row, lengths], training=False), np.float64)[0] for row in rows]
    model.set_weights(kept)
    return answers


def _built(name: str, config: Classifier, vocabulary_size: int, classes: int) -> keras.Model:
    module_name, _, function_name = name.partition(":")
    # As `python -m` does: a module in the working directory can be named.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ModelError(f"model.builder = {name}: {module_name} cannot be imported: {error}.") from error
    except Exception as error:  # what the module does when it is imported, or how it is written
        raise ModelError(f"model.builder = {name}: {module_name} fails: {type(error).__name__}: {error}.") from error
    function = getattr(module, function_name, None)
    if function is None:
        raise ModelError(
            f"model.builder = {name}: {module_name} has no {function_name}.{nearest(function_name, dir(module))}"
        )
    try:
        return function(config, vocabulary_size=vocabulary_size, classes=classes)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)
        place = next(
            (f"{f.filename}:{f.lineno}" for f in reversed(frame) if f.filename == module.__file__), module_name
        )
        raise ModelError(f"model.builder = {name} failed at {place}: {type(error).__name__}: {error}") from error


def _loaded(path: Path) -> keras.Model:
    if not path.exists():
        raise ModelError(f"model.keras = {path}: there is no such file.")
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, OSError) as error:
        raise ModelError(f"model.keras = {path}: Keras cannot load it: {error}") from error
