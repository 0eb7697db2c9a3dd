"""Models at hand: by directory or by name, and what lies beside their SavedModel."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from seqpipe.data.files import as_on_disk
from seqpipe.errors import ModelError, nearest
from seqpipe.export.artefact import FORMAT, PIPELINE, versions


def model_directories() -> list[Path]:
    """Where a model's name is looked up: SEQPIPE_MODELS, the working directory, the checkout seqpipe runs from."""
    named = os.environ.get("SEQPIPE_MODELS")
    candidates = [Path(named)] if named else []
    candidates += [Path("saved_models"), Path(__file__).parents[2] / "saved_models"]
    unique: dict[Path, Path] = {}
    for path in candidates:
        if path.is_dir():
            unique.setdefault(path.resolve(), path)
    return list(unique.values())


def list_models() -> list[Path]:
    """The latest version of every model that can be called by name."""
    latest: dict[str, Path] = {}
    for directory in model_directories():
        for model in sorted(directory.iterdir()):
            if model.is_dir() and versions(model):
                latest.setdefault(model.name, versions(model)[-1])
    return list(latest.values())


def named(place: str | Path) -> Path:
    """The path of what a user names; of `.` and `..` the directory itself, whose name is asked for later.

    Raises:
        DataError: nothing can have this name.
    """
    path = as_on_disk(str(place))
    return path.resolve() if path.name in ("", "..") else path


def find_model(model: str | Path) -> Path:
    """The directory of a model given as a directory (with or without its version) or by name.

    Raises:
        ModelError: there is no such model, it is not whole, or it was made by a newer seqpipe.
    """
    candidates = [named(model), *(directory / model for directory in model_directories())]
    places = [path for path in candidates if path.is_dir()]
    if not places:
        names = [path.parent.name for path in list_models()]
        hint = " It is a file; a model is a directory." if Path(model).is_file() else ""
        if (run := Path("runs") / model / PIPELINE).is_file():
            hint = f" {run.parent} is a run whose model was not exported: seqpipe export FILE, of its pipeline file."
        raise ModelError(
            f"{model} is neither a model directory nor the name of a model.{hint} "
            f"Known names: {', '.join(names) or 'none'}.{nearest(model, names)}"
        )
    place = next((whole for path in places if (whole := _whole(path))), None)
    if place is None:
        raise ModelError(
            f"{places[0]} holds no model: there is no saved_model.pb in it or in a numbered directory in it."
        )
    made_by = _format_of(place / "parity.json")
    if made_by > FORMAT:
        raise ModelError(
            f"{place} was made by a newer seqpipe (format {made_by}; this one reads up to {FORMAT}). Upgrade seqpipe, "
            "or load it with tf.saved_model.load, which always works."
        )
    return place


def _format_of(facts: Path) -> int:
    try:
        return int(json.loads(facts.read_text(encoding="utf-8")).get("format", 1)) if facts.is_file() else 1
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{facts} is damaged: {error}. It must be a JSON object, as export wrote it.") from None


def _whole(place: Path) -> Path | None:
    """The model in a directory: itself, or its latest version."""
    return place if (place / "saved_model.pb").is_file() else next(reversed(versions(place)), None)


def pipeline_of(model: str | Path) -> dict[str, Any]:
    """What a model was trained by, as it is written beside it; empty where nothing is.

    Raises:
        ModelError: it is damaged.
    """
    file = Path(model) / PIPELINE
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (yaml.YAMLError, UnicodeError):
        found = None
    if not isinstance(found, dict):
        raise ModelError(f"{file} is damaged: it is no YAML of keys, as export wrote it.")
    return found


def read_card(directory: Path) -> dict[str, object]:
    """The facts at the head of card.md; empty for a model that has none.

    Raises:
        ModelError: it is damaged.
    """
    file = directory / "card.md"
    try:
        head = re.match(r"---\n(.*?)\n---\n", file.read_text(encoding="utf-8"), re.DOTALL) if file.is_file() else None
        facts = yaml.safe_load(head[1]) if head else {}
    except (ValueError, yaml.YAMLError) as error:
        raise ModelError(f"{file} is damaged: {' '.join(str(error).split())}. Its head must be YAML.") from None
    return facts if isinstance(facts, dict) else {}


def describe_signatures(directory: Path) -> list[str]:
    """Each signature with the names, types and shapes of its inputs and outputs, a line each.

    Raises:
        ModelError: saved_model.pb is damaged.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework import types_pb2
    from tensorflow.core.protobuf import saved_model_pb2

    def shown(name: str, tensor: Any) -> str:
        dims = tensor.tensor_shape.dim
        shape = ", ".join("?" if dim.size < 0 else str(dim.size) for dim in dims)
        return f"{name} {types_pb2.DataType.Name(tensor.dtype).removeprefix('DT_').lower()} [{shape}]"

    file = directory / "saved_model.pb"
    try:
        signatures = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs[0].signature_def
    except (DecodeError, IndexError):
        raise ModelError(f"{file} is damaged: it holds no whole SavedModel.") from None
    lines = []
    for name, signature in sorted(signatures.items()):
        if name.startswith("__"):
            continue
        inputs = ", ".join(shown(key, value) for key, value in sorted(signature.inputs.items())) or "nothing"
        outputs = ", ".join(shown(key, value) for key, value in sorted(signature.outputs.items()))
        lines.append(f"{name}: {inputs} -> {outputs}")
    return lines
