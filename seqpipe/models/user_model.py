"""A model of the user's own in a pipeline: a function by its name, or a saved .keras file."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path

import keras
import numpy as np

from seqpipe.config.networks import Classifier
from seqpipe.errors import ModelError, nearest

TRIED_STEPS = 64  # of the row that a model is tried with


def own_model(config: Classifier, *, vocabulary_size: int, classes: int) -> keras.Model:
    """Build or load the model that `model.builder` or `model.keras` names, and check its inputs and output.

    Raises:
        ModelError: it cannot be found, fails, or does not map (ids, lengths) to logits [B, classes].
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
    try:
        model([np.full((1, TRIED_STEPS), last, np.int32), np.array([TRIED_STEPS], np.int32)], training=False)
    except Exception as error:
        raise ModelError(
            f"{origin}: must take ids from 0 to {last} in rows of any length; it fails with {type(error).__name__}."
        ) from error
    return model


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
