"""One worker answers what queued while it was busy: rows of several requests together where that changes no answer.

Nothing waits for a batch to fill. Rows are joined by signature, by the sizes that do not vary, and for texts by
length to a power of two, so that a long one does not slow short ones.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from seqpipe.serving.server.errors import RequestError
from seqpipe.serving.server.metrics import Metrics
from seqpipe.serving.server.servable import Servable
from seqpipe.serving.server.tensors import Arrays

MOST_ROWS = 64  # of a batch
SHORT_BYTES = 256  # texts up to here are of one length
QUEUED_BYTES = 256 * 2**20
Answer = Arrays | RequestError


@dataclass(eq=False)
class Work:
    """A request in the queue.

    key: equal keys may be joined; that of a request that is answered alone is like no other. answer: of the event loop
    that asked.
    """

    servable: Servable
    signature: str
    inputs: Arrays
    rows: int
    size_bytes: int
    key: Hashable
    answer: asyncio.Future[Arrays]
    waits: bool = True  # in the queue; no longer once the worker takes it or nobody asks for it


class Batcher:
    """The queue and its worker.

    Args:
        most_rows: that may wait; beyond, requests are refused with 429.
    """

    def __init__(self, *, most_rows: int, metrics: Metrics):
        self._most_rows, self._metrics = most_rows, metrics
        self._queue: deque[Work] = deque()
        self._rows = self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        metrics.queued.set_function(lambda: self._rows)
        self._worker = threading.Thread(target=self._work, name="seqpipe-worker", daemon=True)
        self._worker.start()

    async def answer(self, servable: Servable, signature: str, inputs: Arrays, *, timeout_s: float) -> Arrays:
        """
        Raises:
            RequestError: it is larger than the queue (413), the queue is full (429), the time is over (504), or what
                the graph refuses.
        """
        work = _work_of(servable, signature, inputs)
        if work.rows > self._most_rows or work.size_bytes > QUEUED_BYTES:
            raise RequestError(
                413,
                f"{work.rows} rows of {work.size_bytes} bytes never fit into the queue. Allowed: {self._most_rows} "
                f"rows and {QUEUED_BYTES} bytes at most.",
            )
        with self._changed:
            if self._rows + work.rows > self._most_rows or self._bytes + work.size_bytes > QUEUED_BYTES:
                raise RequestError(
                    429,
                    f"{work.rows} rows do not fit into the queue: {self._rows} wait, at most {self._most_rows} may.",
                    retry_after_s=1,
                )
            servable.hold()
            self._rows, self._bytes = self._rows + work.rows, self._bytes + work.size_bytes
            self._queue.append(work)
            self._changed.notify()
        timer = work.answer.get_loop().call_later(timeout_s, _expire, work, timeout_s)
        try:
            return await work.answer
        finally:
            timer.cancel()
            if work.waits:
                self._forget(work)

    def _forget(self, work: Work) -> None:
        """Take a request that nobody waits for out of the queue, where the worker has not begun with it."""
        with self._changed:
            if work.waits:
                self._queue.remove(work)
                self._count_out(work)
                work.servable.release()

    def _count_out(self, work: Work) -> None:
        work.waits = False
        self._rows, self._bytes = self._rows - work.rows, self._bytes - work.size_bytes

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._worker.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if not self._queue:
                    return
                batch = self._take()
            self._run(batch)
            with self._changed:
                for work in batch:
                    work.servable.release()
                self._changed.notify_all()

    def _take(self) -> list[Work]:
        """The oldest request, with others of its key."""
        first = self._queue.popleft()
        batch, rows, left = [first], first.rows, deque[Work]()
        for work in self._queue:
            if work.key == first.key and rows + work.rows <= MOST_ROWS:
                batch.append(work)
                rows += work.rows
            else:
                left.append(work)
        self._queue = left
        for work in batch:
            self._count_out(work)
        return batch

    def _run(self, batch: list[Work]) -> None:
        self._metrics.batch_rows.observe(sum(work.rows for work in batch))
        try:
            answers = self._together(batch) if len(batch) > 1 else [_alone(batch[0])]
        except Exception:  # one of them; each is asked by itself
            answers = [_alone(work) for work in batch]
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Work, Answer]]] = {}
        for work, answer in zip(batch, answers, strict=True):
            by_loop.setdefault(work.answer.get_loop(), []).append((work, answer))
        for loop, settled in by_loop.items():  # woken once a batch, not once a request
            with suppress(RuntimeError):  # a loop that is closed waits for nothing
                loop.call_soon_threadsafe(_settle, settled)

    def _together(self, batch: list[Work]) -> list[Answer]:
        """Answer all at once; whatever is wrong with one of them is raised."""
        first = batch[0]
        joined = {name: np.concatenate([work.inputs[name] for work in batch]) for name in first.inputs}
        outputs = first.servable.run(first.signature, joined)
        ends = np.cumsum([work.rows for work in batch]).tolist()
        return [
            {name: value[end - work.rows : end] for name, value in outputs.items()}
            for work, end in zip(batch, ends, strict=True)
        ]


def _alone(work: Work) -> Answer:
    try:
        return work.servable.run(work.signature, work.inputs)
    except RequestError as error:
        return error
    except Exception as error:  # whatever TensorFlow meets: the worker goes on
        return RequestError(500, f"{type(error).__name__}: {error}")


def _settle(settled: list[tuple[Work, Answer]]) -> None:
    """Give answers to who waits for them, in their event loop."""
    for work, answer in settled:
        if work.answer.done():  # its time was over, or nobody waits any more
            continue
        if isinstance(answer, RequestError):
            work.answer.set_exception(answer)
        else:
            work.answer.set_result(answer)


def _expire(work: Work, timeout_s: float) -> None:
    _settle([(work, RequestError(504, f"Deadline exceeded: no answer within {timeout_s:g} s."))])


def _work_of(servable: Servable, signature: str, inputs: Arrays) -> Work:
    rows = max([value.shape[0] for value in inputs.values() if value.ndim], default=1)
    equal = len({value.shape[:1] for value in inputs.values()}) == 1
    key: Hashable = object()
    if servable.signature(signature).batched and equal and rows:
        lengths = tuple(_length_class(value) for value in inputs.values())
        shapes = tuple(value.shape[1:] for value in inputs.values())
        # Streams of one batch must have heard equally much.
        heard = inputs["samples"][:1].tobytes() if signature == "stream" and "samples" in inputs else b""
        key = (id(servable), signature, shapes, lengths, heard)
    answer = asyncio.get_running_loop().create_future()
    return Work(servable, signature, inputs, max(1, rows), sum(map(_size_bytes, inputs.values())), key, answer)


def _size_bytes(value: np.ndarray) -> int:
    return sum(map(len, value.ravel().tolist())) if value.dtype == object else value.nbytes


def _length_class(value: np.ndarray) -> int:
    """Texts of one class differ in length by less than two times; others are of one class."""
    if value.dtype != object:
        return 0
    longest = max(map(len, value.ravel().tolist()), default=0)
    return max(longest, SHORT_BYTES).bit_length()
