"""What is counted: requests by model, version, signature and code; their seconds; the queue, its batches; streams."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from seqpipe.serving.server.errors import RequestError
from seqpipe.serving.server.servable import Servable

LABELS = ("model", "version", "signature")


@dataclass
class Counted:
    """A request. signature: once the model is known to have it; else a client could make any number of labels."""

    signature: str = "unknown"


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "seqpipe_requests", "Requests by their answer.", (*LABELS, "code"), registry=self.registry
        )
        self.seconds = Histogram(
            "seqpipe_request_seconds",
            "From a request to its answer.",
            LABELS,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.queued = Gauge("seqpipe_queue_rows", "Rows that wait.", registry=self.registry)
        self.batch_rows = Histogram(
            "seqpipe_batch_rows", "Rows answered at once.", buckets=(1, 2, 4, 8, 16, 32, 64), registry=self.registry
        )
        self.streams = Gauge("seqpipe_streams", "Microphones that are open.", registry=self.registry)
        self.versions = Gauge("seqpipe_version", "The version that is served.", ("model",), registry=self.registry)

        self._by_labels: dict[tuple[str, int, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, model: str, version: int, signature: str, code: int, took_s: float) -> None:
        """Count a request. What is looked up by labels, which takes long, is kept: there are few."""
        key = model, version, signature, code
        found = self._by_labels.get(key)
        if found is None:
            labels = model, str(version), signature
            found = self._by_labels[key] = self.requests.labels(*labels, str(code)), self.seconds.labels(*labels)
        found[0].inc()
        found[1].observe(took_s)

    @contextmanager
    def counted(self, servable: Servable) -> Iterator[Counted]:
        """Count what is done meanwhile as a request; a RequestError says its code."""
        request, code, started = Counted(), 500, time.perf_counter()
        try:
            yield request
            code = 200
        except RequestError as error:
            code = error.status
            raise
        finally:
            self.answered(servable.name, servable.version, request.signature, code, time.perf_counter() - started)

    def text(self) -> bytes:
        return generate_latest(self.registry)
