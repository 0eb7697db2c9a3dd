"""A streaming recogniser of random weights: nobody trains it, and it hears words in tones all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from finished import made_once

from pipelines import TONES
from seqpipe.runs import lite as on_device
from seqpipe.tasks import load_pipeline, make_task
from seqpipe.tasks.speech_commands.streaming import StreamingRecogniser

TEMPERATURE = 0.1
CLASSES = ["ba", "di", "gu", "aya", "unknown", "silence"]


def tiny(directory: Path, *, stride: int) -> tuple[keras.Model, Any]:
    """The model and its task; pipeline.yaml lies in the directory."""
    tree = yaml.safe_load(yaml.safe_dump(TONES))
    tree["data"] |= {"train": "builtin:tones?split=train&rows=48", "dev": "builtin:tones?split=dev&rows=48"}
    tree["features"] = {"bands": 16}
    tree["model"] |= {"streaming": True, "recurrent": {"units": 24, "bidirectional": False}}
    tree["model"]["convolution"][0]["stride_frames"] = stride
    (directory / "pipeline.yaml").write_text(yaml.safe_dump(tree))
    task = make_task(load_pipeline(directory / "pipeline.yaml").config)
    task.classes, task.mean, task.deviation = CLASSES, np.full(16, -40, np.float32), np.full(16, 15, np.float32)
    keras.utils.set_random_seed(1)
    model = task.build()
    for layer in model.layers:
        if layer.name.startswith("convolution"):  # a normalisation that is not the identity
            gamma, beta, average, variance = layer.norm.get_weights()
            layer.norm.set_weights([gamma * 1.5, beta + 0.3, average + 0.1, variance * 0.5])
    return model, task


def recogniser(model: keras.Model, task: Any, *, temperature: float) -> StreamingRecogniser:
    return StreamingRecogniser(model, task.mel, classes=CLASSES, temperature=temperature, version=1)


def save(directory: Path, *, temperature: float) -> None:
    """An artefact, as far as serving and LiteRT files need one."""
    directory.mkdir(parents=True)
    (directory / "card.md").write_text("---\nname: tiny\nsize_mb: 0.0\n---\n\n# tiny\n\n## Limits\n\n- none\n")
    model, task = tiny(directory, stride=4)
    module = recogniser(model, task, temperature=temperature)
    tf.saved_model.save(module, str(directory), signatures=module.functions())
    model.save(directory / "model.keras")
    (directory / "parity.json").write_text(json.dumps({"facts": {"temperature": temperature}}))


def on_a_device(factory: pytest.TempPathFactory) -> Path:
    """A copy of such an artefact with its LiteRT files, made once for all test files; said.txt holds what was said."""

    def make(directory: Path) -> None:
        save(directory / "tiny" / "1", temperature=TEMPERATURE)
        place, config = on_device.find(str(directory / "tiny" / "1"), [])
        said: list[str] = []
        on_device.add_lite(place, config, data_named=False, say=said.append)
        (directory / "said.txt").write_text("\n".join(said))

    return made_once("hearing", make, factory) / "tiny" / "1"


def melody() -> np.ndarray:
    """Eight seconds of tones and near silence, float32 [S]: four words to the model."""
    rng, time = np.random.default_rng(0), np.arange(9600) / 16_000
    parts = []
    for tone_hz in (300, 900, 2500, 500, 1500, 3000, 250, 700):
        parts += [0.4 * np.sin(2 * np.pi * tone_hz * time), 0.003 * rng.normal(size=6400)]
    return np.concatenate(parts).astype(np.float32)
