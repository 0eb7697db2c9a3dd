"""Signatures -> SavedModel -> proof -> published artefact, or nothing."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from seqpipe.errors import ProofError, RunError
from seqpipe.export import graph, variables
from seqpipe.export.artefact import FORMAT, KERAS_MODEL, PARITY, Artefact, Parity
from seqpipe.export.proof import prove, prove_traced_once
from seqpipe.export.warmup import write_warmup
from seqpipe.storage import remove_leftovers_of_the_dead, whole_directory, write_json


def publish(
    artefact: Artefact,
    target: Path,
    *,
    run_directory: Path | None,
    facts: dict[str, object],
    files: Callable[[Path, Parity], None],
) -> Path:
    """Export to a staging directory, prove it, and rename it to `target`.

    Args:
        artefact: what to export.
        target: DIRECTORY/NAME/VERSION; must not exist yet.
        run_directory: hidden during the proof, so that nothing in it can be needed; None where there is none.
        facts: what other forms of the model are made with later, such as a temperature; they go into parity.json.
        files: called with the staged directory and the parity report, to write what lies beside the SavedModel.
    Raises:
        ProofError: with the findings; nothing is published.
        RunError: the target exists or cannot be written.
    """
    if target.exists():
        raise RunError(
            f"{target} is published already, and a published version never changes. Set export.version to another."
        )
    remove_leftovers_of_the_dead(target.parent)
    try:
        with whole_directory(target) as staging:
            parity: Parity = {**_save_and_prove(artefact, staging, run_directory), "facts": facts}
            write_json(staging / PARITY, parity)
            files(staging, parity)
    finally:
        with contextlib.suppress(OSError):
            target.parent.rmdir()  # only if this was to be the first version
    return target


def _save_and_prove(artefact: Artefact, staging: Path, run_directory: Path | None) -> Parity:
    prove_traced_once(artefact)
    try:
        # Concrete functions, since of others saving traces each once more.
        functions = {name: function.get_concrete_function() for name, function in artefact.signatures.items()}
        tf.saved_model.save(variables.holder(functions.values()), str(staging), signatures=functions)
    except (TypeError, ValueError, AssertionError) as error:
        raise ProofError(f"The model cannot be saved as a SavedModel: {error}") from error
    graph.drop_notes(staging)
    ops = graph.used_ops(staging)
    graph.forbid_foreign(ops)
    write_warmup(artefact, staging)
    figures = prove(artefact, staging, run_directory=run_directory)
    _save_packed(artefact.model, staging / KERAS_MODEL)
    return {
        "format": FORMAT,
        "tolerance": artefact.tolerance,
        "signatures": figures,
        "ops": sorted(ops),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


def _save_packed(model: keras.Model, file: Path) -> None:
    """The Keras model, its archive packed: Keras stores the members as they are, and rounded weights pack well."""
    stored = file.with_suffix(".stored.keras")
    model.save(stored)
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as packed:
        for name in source.namelist():
            packed.writestr(name, source.read(name))
    stored.unlink()
