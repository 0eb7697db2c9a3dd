"""One version of a model in a TensorFlow Session, which gives its memory back when it is closed."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from seqpipe.serving.answers import plain
from seqpipe.serving.find import read_card
from seqpipe.serving.model import assertion
from seqpipe.serving.server.errors import RequestError
from seqpipe.serving.server.tensors import Arrays, Spec

M_ARENA_MAX, MOST_HEAPS = -8, 256  # the number is glibc's; a heap that is hardly used takes a page or two


class Signature:
    """inputs, outputs: by name, in the order of their names. batched: whether rows of several requests may be joined.

    They may where each input begins with a batch and the shape of an output, but for its first axis, is known: nothing
    of an answer then depends on the rows beside it.
    """

    def __init__(self, definition: Any):
        self.inputs = {name: _spec(value) for name, value in sorted(definition.inputs.items())}
        self.outputs = {name: _spec(value) for name, value in sorted(definition.outputs.items())}
        begins = [spec.shape is not None and spec.shape[:1] == (-1,) for spec in self.inputs.values()]
        fixed = [
            spec.shape is not None and spec.shape[:1] == (-1,) and -1 not in spec.shape[1:]
            for spec in self.outputs.values()
        ]
        self.batched = bool(begins) and all(begins) and all(fixed)

    def wanted(self, names: Iterable[str]) -> list[str]:
        """Outputs by these names; all where none is named.

        Raises:
            RequestError: there is no output of such a name.
        """
        wanted = list(names) or list(self.outputs)
        for name in wanted:
            if name not in self.outputs:
                raise RequestError(400, f"{name} is not an output. Allowed: {', '.join(self.outputs)}.")
        return wanted


def _spec(tensor: Any) -> Spec:
    from tensorflow.core.framework import types_pb2

    shape = None if tensor.tensor_shape.unknown_rank else tuple(dim.size for dim in tensor.tensor_shape.dim)
    return Spec(tensor.name, types_pb2.DataType.Name(tensor.dtype), shape)


class Servable:
    """A loaded version.

    A thread of its own loads, warms and closes it: the C library gives each thread its own heap, so what a version
    leaves when it is closed are whole free pages, not holes between what another version keeps.

    facts: at the head of its card. definitions: the signatures as TensorFlow has them. labels: class names, of a model
    that has them. info: what its signature `info` says. in_flight: how many use it: it is not closed meanwhile.
    """

    def __init__(self, name: str, path: Path):
        self.name, self.path, self.version = name, path, int(path.name) if path.name.isdecimal() else 1
        self.facts = read_card(path)
        self.in_flight, self._counting = 0, threading.Lock()
        self._thread = ThreadPoolExecutor(1, f"seqpipe-{name}-{self.version}")
        self._thread.submit(self._load).result()

    def _load(self) -> None:
        import tensorflow as tf

        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(self.path))
        self.definitions = {n: d for n, d in loaded.signature_def.items() if not n.startswith("__")}
        self.signatures = {name: Signature(definition) for name, definition in self.definitions.items()}
        self._calls = {
            name: self._callable(signature) for name, signature in self.signatures.items() if signature.outputs
        }
        names = self.run("labels", {})["labels"].tolist() if "labels" in self.signatures else []
        self.labels = [name.decode() for name in names]
        info = self.run("info", {}) if "info" in self.signatures else {}
        self.info = {name: plain(value) for name, value in info.items()}

    def _callable(self, signature: Signature) -> Callable[..., list[np.ndarray]]:
        return self._session.make_callable(
            [spec.tensor for spec in signature.outputs.values()],
            feed_list=[spec.tensor for spec in signature.inputs.values()],
        )

    def hold(self) -> None:
        """Use it until `release`."""
        with self._counting:
            self.in_flight += 1

    def release(self) -> None:
        with self._counting:
            self.in_flight -= 1

    def signature(self, name: object) -> Signature:
        """Raises RequestError: there is none of this name."""
        if not isinstance(name, str):
            raise RequestError(400, '"signature_name" must be a string')
        if name not in self.signatures:
            raise RequestError(400, f'Serving signature name: "{name}" not found in signature def')
        return self.signatures[name]

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """Raises RequestError: what the graph says to inputs that it refuses."""
        import tensorflow as tf

        chosen = self.signatures[signature]
        try:
            values = self._calls[signature](*(inputs[name] for name in chosen.inputs))
        except (tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError, tf.errors.OutOfRangeError) as error:
            raise RequestError(400, assertion(str(error.message))) from None
        return {name: np.asarray(value) for name, value in zip(chosen.outputs, values, strict=True)}

    def warm_up(self) -> None:
        """Answer the requests that lie beside the model."""
        self._thread.submit(self._warm_up).result()
        _give_back()  # what loading took beside what it keeps

    def _warm_up(self) -> None:
        import tensorflow as tf
        from tensorflow_serving.apis import prediction_log_pb2

        from seqpipe.export.warmup import FILE

        file = self.path / FILE
        for record in tf.compat.v1.io.tf_record_iterator(str(file)) if file.is_file() else ():
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            name = request.model_spec.signature_name or "serving_default"
            self.run(name, {key: tf.make_ndarray(value) for key, value in request.inputs.items()})

    def close(self) -> None:
        """Give everything back: a graph of Python objects is a cycle, which the collector would leave for long."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()
        _give_back()

    def _close(self) -> None:
        self._session.close()
        self._calls.clear()
        del self._session
        gc.collect()


def heap_for_each_thread() -> None:
    """Of glibc, which otherwise shares eight a core among all threads; to be said before there are many."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, MOST_HEAPS)


def _give_back() -> None:
    """To the system, what is free in the heaps of glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
