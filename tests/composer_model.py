"""A writer of the form of `poems`, untrained: what it composes has the form all the same."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf
from poems import CHARACTERS, FORM

from seqpipe.config.networks import Writer
from seqpipe.models.character_model import Told, character_model
from seqpipe.tasks.writing.config import Sampling
from seqpipe.tasks.writing.signatures import WritingModel


def save(directory: Path, *more: str) -> None:
    """A SavedModel with `serving_default`, `info`, `compose`, and more of a writer's signatures."""
    keras.utils.set_random_seed(1)
    config = Writer.model_validate({"embedding": {"units": 4}, "recurrent": {"units": 8}})
    network = character_model(
        config, vocabulary_size=CHARACTERS.size, told=Told(FORM.places, FORM.rhymes, 4, len(FORM.groups))
    )
    module = WritingModel(network, CHARACTERS, first=0, ends=True, sampling=Sampling(length=9), version=1, form=FORM)
    signatures = {name: module.functions[name] for name in ("serving_default", "info", "compose", *more)}
    tf.saved_model.save(module, str(directory), signatures)
