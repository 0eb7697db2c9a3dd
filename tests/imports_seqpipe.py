"""Runs the proof on a SavedModel that asks for seqpipe while it is loaded: imports_seqpipe.py PROOF SAVED_MODEL"""

from __future__ import annotations

import runpy
import sys

import tensorflow as tf

load = tf.saved_model.load


def load_with_seqpipe(path: str) -> object:
    import seqpipe  # noqa: F401  what a model that needs its Python code does

    return load(path)


tf.saved_model.load = load_with_seqpipe
script, model = sys.argv[1:]
runpy.run_path(script)["main"](model, "requests.json", "answers.json")
