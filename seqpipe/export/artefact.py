"""A published artefact: what lies in DIRECTORY/NAME/VERSION, and what a task hands over to become one.

TensorFlow is not imported here: whoever looks for models wants an answer at once.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

FORMAT = 1  # of an artefact's directory; a reader refuses a higher one
SAVED_MODEL = "saved_model.pb"  # what makes a directory a model
KERAS_MODEL = "model.keras"
PIPELINE = "pipeline.yaml"
CARD = "card.md"
FEATURES = "features"  # a directory: of a run's features, what exporting the model again needs
PARITY = "parity.json"  # what the proof measured, and the facts that other forms of the model are made with

TOLERANCE = 1e-5

Row = dict[str, np.ndarray]  # one request's inputs, or one answer's outputs, without the batch axis


class Parity(TypedDict):
    """What the proof measured; signatures: figures by signature. facts: what else parity.json holds."""

    format: int
    tolerance: float
    signatures: dict[str, dict[str, float | None]]
    ops: list[str]
    tensorflow: str
    keras: str
    facts: NotRequired[Mapping[str, object]]


@dataclass
class Artefact:
    """What a task hands over to be exported.

    module: what the signatures are methods of; it keeps the variables they use alive.
    model: the Keras model, saved beside as model.keras.
    signatures: `tf.function`s with an input signature, by permanent name.
    probes: rows to prove each signature with; a signature without probes is proved to exist only.
    shared: for a signature, inputs that a request has once, not once a row.
    reference: for a signature, the Keras model's own answers to rows, made without the exported graph.
    differences: outputs that are differences between values of another output, by its name: they are rounded as it is.
    tolerance: bound on differences of numbers, as shares of the largest one beyond 1.
    """

    module: tf.Module
    model: keras.Model
    signatures: dict[str, tf.types.experimental.PolymorphicFunction]
    probes: dict[str, list[Row]]
    shared: dict[str, Row] = field(default_factory=dict)
    reference: dict[str, Callable[[list[Row]], list[Row]]] = field(default_factory=dict)
    differences: dict[str, str] = field(default_factory=dict)
    tolerance: float = TOLERANCE


def signature(function: Callable[..., object], *given: tf.TensorSpec) -> tf.types.experimental.PolymorphicFunction:
    """A function in the graph; its inputs are called as the specs are."""
    import tensorflow as tf

    return tf.function(function, input_signature=given, autograph=False)


def facts_of(artefact: Path) -> dict[str, Any]:
    """What was fitted before a model was exported; nothing of one that has none written beside it."""
    file = artefact / PARITY
    return json.loads(file.read_text(encoding="utf-8")).get("facts", {}) if file.is_file() else {}


def keep_features(names: Iterable[str], features: Path, artefact: Path) -> None:
    """Copy those of these files and directories that there are in a run's features into an artefact."""
    for place in (features / name for name in names):
        kept = artefact / FEATURES / place.name
        if place.is_dir():
            shutil.copytree(place, kept)
        elif place.is_file():
            kept.parent.mkdir(exist_ok=True)
            shutil.copyfile(place, kept)


def versions(directory: Path) -> list[Path]:
    """The published versions in DIRECTORY, lowest first."""
    found = [path for path in directory.glob("*") if path.name.isdecimal() and (path / SAVED_MODEL).is_file()]
    return sorted(found, key=lambda path: int(path.name))


def next_version(directory: Path) -> int:
    """One more than the highest version in DIRECTORY, at least 1."""
    numbers = [int(path.name) for path in directory.glob("*") if path.name.isdecimal()]
    return max(numbers, default=0) + 1
