"""The proof of a SavedModel: moved, and loaded by a process without seqpipe, it answers as the Keras model does.

Each signature is asked with its probes, each alone and beside others; an answer must not depend on its neighbours.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType

import numpy as np

from seqpipe.errors import ProofError
from seqpipe.export.artefact import Artefact, Row
from seqpipe.export.fresh_process import pack, unpack
from seqpipe.storage import beside, hidden

SCRIPT = Path(__file__).with_name("fresh_process.py")


@dataclass(frozen=True)
class Request:
    """What a signature is asked: inputs with the batch axis, and the numbers of the probes they are made of."""

    signature: str
    inputs: dict[str, np.ndarray]
    probes: list[int]


def prove_traced_once(artefact: Artefact) -> None:
    """
    Raises:
        ProofError: a function has no input signature, so that a server would trace it in the middle of a request.
    """
    for name, function in artefact.signatures.items():
        if function.input_signature is None:
            raise ProofError(
                f"{name} is traced anew for inputs of different shapes. Give its tf.function an input_signature with "
                "None for each size that varies."
            )


def prove(artefact: Artefact, directory: Path, *, run_directory: Path | None) -> dict[str, dict[str, float | None]]:
    """Prove a SavedModel; figures by signature: probes, largest differences, latency_ms.

    Args:
        directory: of the SavedModel, elsewhere while it is asked.
        run_directory: hidden meanwhile, so that nothing in it can be needed; None where there is none.
    Raises:
        ProofError: it does not load, or answers otherwise than it must.
    """
    requests = [
        request
        for name in artefact.signatures
        for request in _of_signature(name, artefact.probes.get(name, []), artefact.shared.get(name, {}))
    ]
    with _moved(directory) as moved, hidden(run_directory) if run_directory else contextlib.nullcontext():
        answers, latency_ms = _ask_fresh_process(moved, requests)
    asked: dict[str, list[tuple[Request, Row]]] = defaultdict(list)
    for request, answer in zip(requests, answers, strict=True):
        _check_values(request.signature, answer)
        asked[request.signature].append((request, answer))
    figures: dict[str, dict[str, float | None]] = {}
    for name, pairs in asked.items():
        alone = {request.probes[0]: _row(answer, 0) for request, answer in pairs if len(request.probes) == 1}
        figures[name] = {"probes": len(alone), "alone_against_batch": _against_batch(artefact, name, alone, pairs)}
        if name in artefact.reference:
            figures[name]["against_keras"] = _against_keras(artefact, name, alone)
        figures[name]["latency_ms"] = latency_ms[name]
    return figures


def _of_signature(name: str, rows: list[Row], shared: Row) -> Iterator[Request]:
    """Each row alone, then all rows of equal shape together; a signature without rows is asked with nothing."""
    if not rows:
        yield Request(name, {}, [])
    groups: dict[tuple[tuple[str, tuple[int, ...]], ...], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        yield Request(name, {key: value[None] for key, value in row.items()} | shared, [number])
        groups[tuple((key, value.shape) for key, value in row.items())].append(number)
    for numbers in groups.values():
        if len(numbers) > 1:
            together = {key: np.stack([rows[number][key] for number in numbers]) for key in rows[numbers[0]]}
            yield Request(name, together | shared, numbers)


@contextlib.contextmanager
def _moved(directory: Path) -> Iterator[Path]:
    """The directory under another name, one that is taken for a leftover if this process dies meanwhile."""
    away = beside(directory)
    os.rename(directory, away)
    try:
        yield away.resolve()
    finally:
        os.rename(away, directory)


def _ask_fresh_process(directory: Path, requests: list[Request]) -> tuple[list[Row], dict[str, float]]:
    """What a process that has TensorFlow and nothing of ours answers, and how long the first probe takes it."""
    with tempfile.TemporaryDirectory(prefix="seqpipe-proof-") as place:
        asked, answered = Path(place) / "requests.json", Path(place) / "answers.json"
        packed = [
            {"signature": request.signature, "inputs": {key: pack(value) for key, value in request.inputs.items()}}
            for request in requests
        ]
        asked.write_text(json.dumps(packed), encoding="utf-8")
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("PYTHON") and key != "TF_CONFIG"
        }
        process = subprocess.run(
            [sys.executable, "-I", str(SCRIPT), str(directory), str(asked), str(answered)],
            cwd=place,
            env={**environment, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            raise ProofError(
                "Moved to another place, with the run hidden and seqpipe not importable, the SavedModel does not load "
                f"and answer: {_reason(process.stderr)[:1000]}"
            )
        done = json.loads(answered.read_text(encoding="utf-8"))
    answers = [{key: unpack(value) for key, value in answer.items()} for answer in done["answers"]]
    return answers, done["latency_ms"]


def _reason(stderr: str) -> str:
    """What the last exception in a traceback says."""
    lines = [line.strip() for line in stderr.split("\n") if line.strip()]
    first = max((number for number, line in enumerate(lines) if re.match(r"[\w.]+: ", line)), default=0)
    return " ".join(lines[first:]) or "no message"


def _check_values(name: str, answer: Row) -> None:
    for key, value in answer.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ProofError(f"{name}: the output {key} holds NaN or infinity.")
        for text in value.ravel() if value.dtype == object else ():
            try:
                text.decode("utf-8")
            except UnicodeDecodeError:
                raise ProofError(
                    f"{name}: the output {key} holds {text!r:.60}, which is no UTF-8. Allowed: whole characters, since "
                    "a client that reads JSON can read nothing else; `TextTokenizer.whole_pieces` makes them of bytes."
                ) from None


def _row(answer: Row, place: int) -> Row:
    """One row's part of an answer; arrays throughout."""
    return {key: value[place : place + 1].reshape(value.shape[1:]) for key, value in answer.items()}


def _against_batch(
    artefact: Artefact, name: str, alone: dict[int, Row], pairs: list[tuple[Request, Row]]
) -> float | None:
    """The largest difference between answers to probes alone and beside others; None where none stood beside others."""
    batches = [(request, answer) for request, answer in pairs if len(request.probes) > 1]
    worst = 0.0
    for request, answer in batches:
        for place, number in enumerate(request.probes):
            apart = difference(alone[number], _row(answer, place), artefact.differences)
            worst = max(worst, apart)
            if apart > artefact.tolerance:
                raise ProofError(
                    f"{name}: the answer to probe {number} depends on the rows beside it (by {apart:.3g}, "
                    f"allowed {artefact.tolerance:g}). A layer lets padding through: whatever lies beyond a row's "
                    "length must not change its answer. Use the layers of seqpipe.layers, which take (x, lengths)."
                )
    return worst if batches else None


def _against_keras(artefact: Artefact, name: str, alone: dict[int, Row]) -> float:
    """The largest difference between answers to probes and what the Keras model answers to them."""
    worst = 0.0
    for number, expected in zip(alone, artefact.reference[name](artefact.probes[name]), strict=True):
        apart = difference(expected, {key: alone[number][key] for key in expected}, artefact.differences)
        worst = max(worst, apart)
        if apart > artefact.tolerance:
            raise ProofError(
                f"{name}: the exported graph answers probe {number} otherwise than the Keras model (by "
                f"{apart:.3g}, allowed {artefact.tolerance:g})."
            )
    return worst


def difference(expected: Row, actual: Row, differences: Mapping[str, str]) -> float:
    """The largest difference, as a share of the largest number beyond 1; infinite where strings or shapes differ.

    An axis that grew with the batch may go on with zeros or empty strings. NaN and infinities equal themselves alone.

    Args:
        differences: as `Artefact.differences`: shares are of the largest number of either output.
    """
    worst = 0.0
    for key, value in expected.items():
        other = actual[key]
        if value.ndim != other.ndim or any(a > b for a, b in zip(value.shape, other.shape, strict=True)):
            return float("inf")
        inside: tuple[slice | EllipsisType, ...] = (
            *(slice(size) for size in value.shape),
            ...,
        )  # a single string stays in an array, with its NULs
        beyond = np.ones(other.shape, bool)
        beyond[inside] = False
        if value.dtype.kind == "f":
            scale = _largest(value)
            if differences.get(key) in expected:
                scale = max(scale, _largest(expected[differences[key]]))
            finite = np.isfinite(value) & np.isfinite(other[inside])
            alike = np.array_equal(value[~finite], other[inside][~finite], equal_nan=True)
            if not alike or not np.isfinite(other[beyond]).all():
                return float("inf")
            apart = np.abs(value[finite] - other[inside][finite]) / scale
            worst = max([worst, *apart.ravel(), *np.abs(other[beyond]).ravel()])
        elif not np.array_equal(value, other[inside]) or any(other[beyond].tolist()):
            return float("inf")
    return float(worst)


def _largest(value: np.ndarray) -> float:
    """The largest finite number whatever its sign, at least 1."""
    return np.abs(value[np.isfinite(value)]).max(initial=1.0)
