"""Run by itself, in a process that has TensorFlow and nothing of seqpipe: load a SavedModel, answer requests.

    python -I fresh_process.py SAVED_MODEL REQUESTS.json ANSWERS.json

Values travel as {"dtype", "shape", "data"}: base64 of the bytes, for strings a list of base64.
"""

from __future__ import annotations

import base64
import importlib.abc
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

TIMED_CALLS = 25
BLOCKED = ("seqpipe", "tensorflow_text", "sentencepiece", "librosa")


class Blocked(importlib.abc.MetaPathFinder):
    """Importing what a server does not have fails."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.partition(".")[0] in BLOCKED:
            raise ImportError(f"{fullname} is not there when the artefact is served")


def pack(value: np.typing.ArrayLike) -> dict[str, object]:
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        data: str | list[str] = [base64.b64encode(item).decode() for item in array.ravel().tolist()]
        return {"dtype": "string", "shape": list(array.shape), "data": data}
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def unpack(value: dict[str, Any]) -> np.ndarray:
    if value["dtype"] == "string":
        array = np.empty(len(value["data"]), object)
        array[:] = [base64.b64decode(item) for item in value["data"]]
    else:
        array = np.frombuffer(base64.b64decode(value["data"]), value["dtype"])
    return array.reshape(value["shape"])


def main(model_directory: str, requests_file: str, answers_file: str) -> None:
    sys.meta_path.insert(0, Blocked())
    import tensorflow as tf

    loaded = tf.saved_model.load(model_directory)
    with open(requests_file, encoding="utf-8") as file:
        requests = json.load(file)
    answers: list[dict[str, object]] = []
    latency_ms: dict[str, float] = {}
    for request in requests:
        signature = loaded.signatures[request["signature"]]
        inputs = {name: tf.constant(unpack(value)) for name, value in request["inputs"].items()}
        outputs = signature(**inputs)
        answers.append({name: pack(value.numpy()) for name, value in outputs.items()})
        if request["signature"] not in latency_ms:
            latency_ms[request["signature"]] = median_ms(lambda: signature(**inputs))  # noqa: B023  called at once
    with open(answers_file, "w", encoding="utf-8") as file:
        json.dump({"answers": answers, "latency_ms": latency_ms}, file)


def median_ms(call: Callable[[], object]) -> float:
    """Median time of a call after a first one, milliseconds."""
    call()
    times = []
    for _ in range(TIMED_CALLS):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


if __name__ == "__main__":
    main(*sys.argv[1:])
