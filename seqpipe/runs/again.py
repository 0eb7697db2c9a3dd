"""A published model once more, in the format of today: made from what lies in the artefact, and proved equal to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from seqpipe.config import file as pipeline_file
from seqpipe.errors import ModelError, ProofError
from seqpipe.export.artefact import CARD, FEATURES, KERAS_MODEL, PARITY, PIPELINE, Artefact, Parity, next_version
from seqpipe.serving.find import find_model
from seqpipe.tasks import TASKS, make_task, schemas, task_class


def find(target: str) -> Path:
    """The directory of a model that can be exported again; TensorFlow is not needed yet.

    Raises:
        ModelError: there is none, or it does not hold what that needs.
    """
    place = find_model(target)
    missing = [name for name in (KERAS_MODEL, PIPELINE, CARD, PARITY, FEATURES) if not (place / name).exists()]
    if not missing and "facts" not in json.loads((place / PARITY).read_text(encoding="utf-8")):
        missing = [f"facts in {PARITY}"]
    if missing == [FEATURES]:
        _check_task(place)
    if missing:
        raise ModelError(
            f"{place} cannot be exported again: it has no {', no '.join(missing)}. Models that an older seqpipe "
            "published lack that; export the run again, or train anew."
        )
    return place


def _check_task(place: Path) -> None:
    """Raises ModelError: no model of its task can be made from what lies in it."""
    from seqpipe.startup import import_tensorflow

    task = yaml.safe_load((place / PIPELINE).read_text(encoding="utf-8")).get("task")
    import_tensorflow()  # which a task is made of
    if task in TASKS and not task_class(task).kept_features:
        raise ModelError(
            f"{place} cannot be exported again: no model of {task} can, since data that it does not hold is needed. "
            "`seqpipe run FILE --fresh` makes a new version."
        )


def export_again(old: Path, *, say: Callable[[str], None], weight_bits: int | None = None) -> Path:
    """Publish a new version beside what `find` found; its weights are the same, and so must be its answers.

    Args:
        weight_bits: round the weights to so many significant bits, for a smaller model; then answers may be others, and
            the card says how many of the probes have another one.
    Raises:
        ProofError: they are not, or the proof fails; nothing is published.
    """
    import keras

    import seqpipe.layers  # noqa: F401  what model.keras is made of
    from seqpipe.export import card, lite
    from seqpipe.export.artefact import keep_features
    from seqpipe.export.publish import publish
    from seqpipe.export.warmup import read_warmup
    from seqpipe.runs.lite import of_model
    from seqpipe.storage import write_text
    from seqpipe.training.weights import rounded

    config = pipeline_file.load_again(old / PIPELINE, {}, [], schemas())
    facts = json.loads((old / PARITY).read_text(encoding="utf-8"))["facts"]
    task, version = make_task(config), next_version(old.parent)
    task.load_published(old, read_warmup(old, "serving_default"))
    say(f"Exporting {old} again, and proving the export in a fresh process without seqpipe")
    model = keras.saving.load_model(old / KERAS_MODEL)
    if weight_bits is not None:
        model.set_weights([rounded(weights, weight_bits) for weights in model.get_weights()])
    made = task.artefact(model, facts, version)

    def files(staged: Path, parity: Parity) -> None:
        rows, others, apart = compare(old, staged, made, equal=weight_bits is None)
        if weight_bits is None:
            weights, answers = "its weights", f"answers to {rows:,} probes differ by {apart:.1e} at most"
        else:
            weights = f"its weights rounded to {weight_bits} significant bits"
            answers = (
                f"of {rows:,} probes {others:,} have another label or text, the others differ by {apart:.1e} at "
                f"most; the figures above are those of version {old.name}"
            )
        note = f"Exported again from version {old.name}, with {weights}: {answers}."
        say(note)
        keep_features([path.name for path in (old / FEATURES).iterdir()], old / FEATURES, staged)
        (staged / PIPELINE).write_bytes((old / PIPELINE).read_bytes())
        text = (old / CARD).read_text(encoding="utf-8")
        write_text(staged / CARD, card.exported_again(text, staged, parity=parity, version=version, note=note))
        if (old / lite.DIRECTORY).is_dir():
            lite.add(staged, lambda artefact: of_model(artefact, config, data_named=False, say=say))

    path = publish(made, old.parent / str(version), run_directory=None, facts=facts, files=files)
    say(f"Published: {path}")
    return path


def compare(old: Path, new: Path, artefact: Artefact, *, equal: bool = True) -> tuple[int, int, float]:
    """How many probes both versions were asked, how many have another label or text, and how far the others are apart.

    Raises:
        ProofError: a signature or an output is gone, or, where all should be equal, an answer is another.
    """
    import tensorflow as tf

    from seqpipe.export.proof import difference

    before, after = (tf.saved_model.load(str(place)).signatures for place in (old, new))
    asked, others, worst = 0, 0, 0.0
    for name in before:
        if name not in after:
            raise ProofError(f"Version {old.name} has a signature {name}, and the new one has not.")
        shared = artefact.shared.get(name, {})
        for number, row in enumerate(artefact.probes.get(name, [])):
            request = {key: tf.constant(value[None]) for key, value in row.items()}
            request |= {key: tf.constant(value) for key, value in shared.items()}
            expected, actual = (
                {key: value.numpy() for key, value in signatures[name](**request).items()}
                for signatures in (before, after)
            )
            known = expected.keys() <= actual.keys()
            apart = difference(expected, actual, artefact.differences) if known else float("inf")
            asked += 1
            if (equal and apart > artefact.tolerance) or not known:
                raise ProofError(
                    f"{name}: version {old.name} answers probe {number} otherwise (by {apart:.2g}, allowed "
                    f"{artefact.tolerance:g})."
                )
            if np.isfinite(apart):
                worst = max(worst, apart)
            else:
                others += 1
    return asked, others, worst
