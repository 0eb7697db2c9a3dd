"""Signatures -> SavedModel -> proof -> published artefact, or nothing.

The proof: ops from core TensorFlow only; each function traced once; then the directory is moved, the run hidden, and a
fresh process without seqpipe must answer the probes as the Keras model does, each row alone and beside others.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from seqpipe.errors import ProofError, RunError
from seqpipe.export.artefact import FORMAT
from seqpipe.export.fresh_process import pack, unpack
from seqpipe.storage import hidden, unwritable, write_json

Row = dict[str, np.ndarray]  # one request's inputs, or one answer's outputs, without the batch axis
Request = tuple[str, dict[str, np.ndarray], list[int]]  # signature, inputs with the batch axis, numbers of the probes
TOLERANCE = 1e-5
WARMUP_SIZES = (1, 8)
WARMUP_BYTES = 30_000  # of the rows in a request; they lie beside the model

# Registered by TensorFlow itself, but not to be run by every server on every device.
FORBIDDEN_OPS = ("PyFunc", "EagerPyFunc", "PyFuncStateless", "Cudnn", "Xla", "ReadFile", "PrintV2", "Print")


@dataclass
class Artefact:
    """What a task hands over to be exported.

    module: holds the variables the signatures use.
    model: the Keras model, saved beside as model.keras.
    signatures: `tf.function`s with an input signature, by permanent name.
    probes: rows to prove each signature with; a signature without probes is proved to exist only.
    shared: for a signature, inputs that a request has once, not once a row.
    reference: for a signature, the Keras model's own answers to rows, made without the exported graph.
    tolerance: bound on the absolute difference of numbers.
    """

    module: tf.Module
    model: keras.Model
    signatures: dict[str, Any]
    probes: dict[str, list[Row]]
    shared: dict[str, Row] = field(default_factory=dict)
    reference: dict[str, Callable[[list[Row]], list[Row]]] = field(default_factory=dict)
    tolerance: float = TOLERANCE


def publish(
    artefact: Artefact, target: Path, *, run_directory: Path, files: Callable[[Path, dict[str, Any]], None]
) -> Path:
    """Export to a staging directory, prove it, and rename it to `target`.

    Args:
        artefact: what to export.
        target: DIRECTORY/NAME/VERSION; must not exist yet.
        run_directory: hidden during the proof, so that nothing in it can be needed.
        files: called with the staged directory and the parity report, to write what lies beside the SavedModel.
    Raises:
        ProofError: with the findings; nothing is published.
        RunError: the target exists or cannot be written.
    """
    if target.exists():
        raise RunError(
            f"{target} is published already, and a published version never changes. Set export.version to another."
        )
    staging = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        staging.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(staging, ignore_errors=True)
        parity = _save_and_prove(artefact, staging, run_directory)
        files(staging, parity)
        write_json(staging / "parity.json", parity)
        os.replace(staging, target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        with contextlib.suppress(OSError):
            staging.parent.rmdir()  # only if this was to be the first version
    return target


def _save_keras(model: keras.Model, file: Path) -> None:
    """The Keras model, packed: Keras itself stores its archive's members as they are."""
    with tempfile.TemporaryDirectory() as directory:
        stored = Path(directory) / "model.keras"
        model.save(stored)
        with zipfile.ZipFile(stored) as source, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in source.namelist():
                content = source.read(name)
                packed.writestr(name, _shuffled(content) if name.endswith(".h5") else content)


def _shuffled(content: bytes) -> bytes:
    """An HDF5 file whose numbers are stored byte by byte: their exponents, side by side, compress; nothing is lost."""
    packed = io.BytesIO()
    with h5py.File(io.BytesIO(content), "r") as source, h5py.File(packed, "w") as target:
        target.attrs.update(source.attrs)

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                filters = {"shuffle": True, "compression": "gzip", "compression_opts": 9} if item.size else {}
                copied = target.create_dataset(name, data=item[()], **(filters if item.ndim else {}))
            else:
                copied = target.require_group(name)
            copied.attrs.update(item.attrs)

        source.visititems(copy)
    return packed.getvalue()


def _save_and_prove(artefact: Artefact, staging: Path, run_directory: Path) -> dict[str, Any]:
    _prove_traced_once(artefact)  # before saving, which traces once more for itself
    try:
        # Not their concrete functions: those would be saved beside the ones that saving traces.
        tf.saved_model.save(artefact.module, str(staging), signatures=dict(artefact.signatures))
    except (TypeError, ValueError, AssertionError) as error:
        raise ProofError(f"The model cannot be saved as a SavedModel: {error}") from error
    _drop_notes(staging)
    ops = used_ops(staging)
    _forbid_foreign(ops)
    _write_warmup(artefact, staging)
    requests = _requests(artefact)
    with _moved(staging) as moved, hidden(run_directory):
        answers, latency_ms = _ask_fresh_process(moved, requests)
    figures = _compare(artefact, requests, answers)
    _save_keras(artefact.model, staging / "model.keras")
    for name, figure in figures.items():
        figure["latency_ms"] = latency_ms[name]
    return {
        "format": FORMAT,
        "tolerance": artefact.tolerance,
        "signatures": figures,
        "ops": sorted(ops),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


def _drop_notes(directory: Path) -> None:
    """Take the inferred shapes out of a SavedModel's nodes: a sixth of it, inferred anew by whoever loads it."""
    file = directory / "saved_model.pb"
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString(file.read_bytes())
    for meta_graph in saved.meta_graphs:
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                node.attr.pop("_output_shapes", None)
    file.write_bytes(saved.SerializeToString(deterministic=True))


def used_ops(directory: Path) -> set[str]:
    """Names of all ops in a SavedModel's graphs and functions."""
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((directory / "saved_model.pb").read_bytes())
    ops: set[str] = set()
    for meta_graph in saved.meta_graphs:
        ops |= {node.op for node in meta_graph.graph_def.node}
        for function in meta_graph.graph_def.library.function:
            ops |= {node.op for node in function.node_def}
            if function.attr["_XlaMustCompile"].b:
                ops.add("XlaMustCompile")
        functions = {function.signature.name for function in meta_graph.graph_def.library.function}
        ops -= functions
    return ops


def _forbid_foreign(ops: set[str]) -> None:
    core = set(dir(tf.raw_ops))
    foreign = sorted(op for op in ops if op not in core or op.startswith(FORBIDDEN_OPS))
    if foreign:
        raise ProofError(
            f"The graph uses ops that stock TensorFlow Serving does not run everywhere: {', '.join(foreign)}. "
            "Allowed: core TensorFlow ops without Python, cuDNN, file reading or functions that XLA must compile."
        )


def _prove_traced_once(artefact: Artefact) -> None:
    for name, rows in artefact.probes.items():
        function = artefact.signatures[name]
        for inputs, _ in _batches(rows, artefact.shared.get(name, {})):
            function(**{key: tf.constant(value) for key, value in inputs.items()})
        traces = function.experimental_get_tracing_count()
        if traces != 1:
            raise ProofError(
                f"{name} was traced {traces} times for inputs of different shapes. Give its tf.function an "
                "input_signature with None for each size that varies."
            )


def _batches(rows: list[Row], shared: Row) -> Iterator[tuple[dict[str, np.ndarray], list[int]]]:
    """Each row alone, then all rows of equal shape together, with what a request has once; and the rows' numbers."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        yield {**{key: value[None] for key, value in row.items()}, **shared}, [number]
        groups[tuple((key, value.shape) for key, value in row.items())].append(number)
    for numbers in groups.values():
        if len(numbers) > 1:
            yield {**{key: np.stack([rows[i][key] for i in numbers]) for key in rows[numbers[0]]}, **shared}, numbers


def _requests(artefact: Artefact) -> list[Request]:
    requests: list[Request] = []
    for name in artefact.signatures:
        rows = artefact.probes.get(name, [])
        requests += [(name, inputs, numbers) for inputs, numbers in _batches(rows, artefact.shared.get(name, {}))] or [
            (name, {}, [])
        ]
    return requests


@contextlib.contextmanager
def _moved(directory: Path) -> Iterator[Path]:
    """The directory elsewhere, under another name."""
    with tempfile.TemporaryDirectory(prefix="seqpipe-proof-") as elsewhere:
        away = Path(elsewhere) / "moved"
        shutil.move(directory, away)
        try:
            yield away
        finally:
            shutil.move(away, directory)


def _ask_fresh_process(directory: Path, requests: list[Request]) -> tuple[list[Row], dict[str, float]]:
    """What a process that has TensorFlow and nothing of ours answers, and how long the first probe takes it."""
    script = Path(__file__).with_name("fresh_process.py")
    with tempfile.TemporaryDirectory(prefix="seqpipe-proof-") as place:
        asked, answered = Path(place) / "requests.json", Path(place) / "answers.json"
        packed = [
            {"signature": name, "inputs": {key: pack(value) for key, value in inputs.items()}}
            for name, inputs, _ in requests
        ]
        asked.write_text(json.dumps(packed), encoding="utf-8")
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("PYTHON") and key != "TF_CONFIG"
        }
        process = subprocess.run(
            [sys.executable, "-I", str(script), str(directory), str(asked), str(answered)],
            cwd=place,
            env={**environment, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            lines = [line.strip() for line in process.stderr.split("\n") if line.strip()]
            first = max((i for i, line in enumerate(lines) if re.match(r"[\w.]+: ", line)), default=0)
            reason = " ".join(lines[first:]) or "no message"
            raise ProofError(
                "Moved to another place, with the run hidden and seqpipe not importable, the SavedModel does not load "
                f"and answer: {reason[:1000]}"
            )
        done = json.loads(answered.read_text(encoding="utf-8"))
        answers = [{key: unpack(value) for key, value in answer.items()} for answer in done["answers"]]
        return answers, done["latency_ms"]


def _compare(artefact: Artefact, requests: list[Request], answers: list[Row]) -> dict[str, dict[str, Any]]:
    figures: dict[str, dict[str, Any]] = {}
    for name in artefact.signatures:
        rows = artefact.probes.get(name, [])
        alone: dict[int, Row] = {}
        worst_batch = worst_keras = 0.0
        for (signature, _, numbers), answer in zip(requests, answers, strict=True):
            if signature != name:
                continue
            _forbid_nan(name, answer)
            for place, number in enumerate(numbers):
                row = {key: value[place : place + 1].reshape(value.shape[1:]) for key, value in answer.items()}
                if number not in alone:
                    alone[number] = row
                    continue
                difference = _difference(alone[number], row)
                worst_batch = max(worst_batch, difference)
                if difference > artefact.tolerance:
                    raise ProofError(
                        f"{name}: the answer to probe {number} depends on the rows beside it (by {difference:.2g}, "
                        f"allowed {artefact.tolerance:g}). A layer lets padding through: whatever lies beyond a row's "
                        "length must not change its answer. Use the layers of seqpipe.layers, which take (x, lengths)."
                    )
        if name in artefact.reference:
            for number, expected in enumerate(artefact.reference[name](rows)):
                difference = _difference(expected, {key: alone[number][key] for key in expected})
                worst_keras = max(worst_keras, difference)
                if difference > artefact.tolerance:
                    raise ProofError(
                        f"{name}: the exported graph answers probe {number} otherwise than the Keras model (by "
                        f"{difference:.2g}, allowed {artefact.tolerance:g})."
                    )
        figures[name] = {"probes": len(rows), "alone_against_batch": worst_batch}
        if name in artefact.reference:
            figures[name]["against_keras"] = worst_keras
    return figures


def _forbid_nan(name: str, answer: Row) -> None:
    for key, value in answer.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ProofError(f"{name}: the output {key} holds NaN or infinity.")


def _difference(expected: Row, actual: Row) -> float:
    """The largest absolute difference; infinite where strings or shapes differ.

    An axis that grew with the batch may go on with zeros or empty strings.
    """
    worst = 0.0
    for key, value in expected.items():
        other = actual[key]
        if value.ndim != other.ndim or any(a > b for a, b in zip(value.shape, other.shape, strict=True)):
            return float("inf")
        inside = tuple(slice(size) for size in value.shape)
        beyond = np.ones(other.shape, bool)
        beyond[inside] = False
        if value.dtype.kind == "f":
            worst = max([worst, *np.abs(value - other[inside]).ravel(), *np.abs(other[beyond]).ravel()])
        elif not np.array_equal(value, other[inside]) or any(other[beyond].tolist()):
            return float("inf")
    return float(worst)


def _write_warmup(artefact: Artefact, directory: Path) -> None:
    """Requests that TensorFlow Serving replays when it loads the model, so that the first client does not wait."""
    from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

    extra = directory / "assets.extra"
    extra.mkdir()
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for name, rows in artefact.probes.items():
            for size in WARMUP_SIZES:
                same = [row for row in rows if all(row[k].shape == rows[0][k].shape for k in row)][:size]
                while len(same) > 1 and sum(map(_bytes_of, same)) > WARMUP_BYTES:
                    same.pop()
                request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(signature_name=name))
                inputs = {key: np.stack([row[key] for row in same]) for key in rows[0]}
                for key, value in {**inputs, **artefact.shared.get(name, {})}.items():
                    request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
                log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
                writer.write(log.SerializeToString())


def _bytes_of(row: Row) -> int:
    return sum(len(value.item()) if value.dtype == object else value.nbytes for value in row.values())
