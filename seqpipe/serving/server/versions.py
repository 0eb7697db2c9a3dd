"""Models by name: versions are polled, loaded and warmed beside the one that serves, swapped, drained and closed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seqpipe.export.artefact import SAVED_MODEL, versions
from seqpipe.serving.server.errors import not_found
from seqpipe.serving.server.metrics import Metrics
from seqpipe.serving.server.servable import Servable

State = Literal["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]
POLL_S = 1.0
DRAIN_S = 30.0
log = logging.getLogger("seqpipe.serve")


@dataclass
class Status:
    """files: the newest time and the size of what was loaded, by which a version that failed is tried again."""

    state: State = "START"
    error: str = ""
    files: tuple[int, int] = 0, 0


@dataclass
class Hosted:
    """A model: its directory, the version that serves, and what became of each version.

    retired: versions to be closed once nobody uses them.
    """

    name: str
    directory: Path
    serving: Servable | None = None
    statuses: dict[int, Status] = field(default_factory=dict)
    retired: list[Servable] = field(default_factory=list)


class Models:
    """What is served.

    Args:
        directories: NAME -> a directory with numbered versions, or of one version.
    """

    def __init__(self, directories: dict[str, Path], metrics: Metrics):
        self.hosted = {name: Hosted(name, path) for name, path in directories.items()}
        self._metrics = metrics
        self._swapping = threading.Lock()
        self._stop = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="seqpipe-versions", daemon=True)

    def start(self) -> None:
        """Load the latest version of each model, then watch for others."""
        self.look()
        self._poller.start()

    def close(self) -> None:
        self._stop.set()
        if self._poller.is_alive():
            self._poller.join()
        deadline = time.monotonic() + DRAIN_S
        for hosted in self.hosted.values():
            if hosted.serving is not None:
                _retire(hosted, hosted.serving)
            while any(servable.in_flight for servable in hosted.retired) and time.monotonic() < deadline:
                time.sleep(0.01)
            _close(hosted, hosted.retired)

    @property
    def ready(self) -> bool:
        return all(hosted.serving is not None for hosted in self.hosted.values())

    def get(self, name: str, version: int | None = None) -> Servable:
        """Raises RequestError: there is no such model, or this version is not served."""
        hosted = self.hosted.get(name)
        if hosted is None or hosted.serving is None or version not in (None, hosted.serving.version):
            raise not_found(name, version)
        return hosted.serving

    @contextmanager
    def in_use(self, name: str, version: int | None = None) -> Iterator[Servable]:
        """What `get` gives, which is not closed meanwhile, whatever version serves then."""
        with self._swapping:
            servable = self.get(name, version)
            servable.hold()
        try:
            yield servable
        finally:
            servable.release()

    def _poll(self) -> None:
        while not self._stop.wait(POLL_S):
            self.look()

    def look(self) -> None:
        """Load what is new, once, and close what nobody uses any more.

        What goes wrong with one model is logged, and tried again the next time.
        """
        for hosted in list(self.hosted.values()):
            try:
                self._look(hosted)
            except Exception:  # such as a directory that cannot be read for now
                log.exception("%s: %s cannot be looked at", hosted.name, hosted.directory)

    def _look(self, hosted: Hosted) -> None:
        """Load the highest version that can be; those that failed only where their files are others now.

        One that serves and was deleted makes way for the highest that is there, and serves on where there is none.
        """
        for path in reversed(versions(hosted.directory) or [hosted.directory]):
            number = int(path.name) if path.name.isdecimal() else 1
            if (serving := hosted.serving) is not None:
                keeps = number <= serving.version if serving.path.exists() else not (path / SAVED_MODEL).is_file()
                if keeps:
                    break
            files, status = _files(path), hosted.statuses.get(number)
            if status is None or status.files != files or not status.error:
                self._load(hosted, path, number, files)
        _close(hosted, [servable for servable in hosted.retired if not servable.in_flight])

    def _load(self, hosted: Hosted, path: Path, number: int, files: tuple[int, int]) -> None:
        status = hosted.statuses[number] = Status("LOADING", files=files)
        started = time.monotonic()
        try:
            servable = Servable(hosted.name, path)
            try:
                servable.warm_up()
            except Exception:
                servable.close()
                raise
        except Exception as error:  # whatever is wrong with it: the version before it goes on
            status.state, status.error = "END", f"{type(error).__name__}: {error}"
            log.error("%s version %d cannot be served: %s", hosted.name, number, status.error)
            return
        with self._swapping:
            before, hosted.serving = hosted.serving, servable
        status.state = "AVAILABLE"
        self._metrics.versions.labels(hosted.name).set(number)
        log.info("%s version %d is served after %.1f s", hosted.name, number, time.monotonic() - started)
        if before is not None:
            _retire(hosted, before)


def _files(path: Path) -> tuple[int, int]:
    """The newest time of what lies in a directory, in ns, and its size in bytes."""
    found = []
    for place in (path, *path.rglob("*")):
        with suppress(OSError):  # a link that leads nowhere, or what has just gone
            found.append(place.stat())
    return max((each.st_mtime_ns for each in found), default=0), sum(each.st_size for each in found)


def _retire(hosted: Hosted, servable: Servable) -> None:
    hosted.statuses[servable.version].state = "UNLOADING"
    hosted.retired.append(servable)


def _close(hosted: Hosted, unused: list[Servable]) -> None:
    hosted.retired = [servable for servable in hosted.retired if servable not in unused]
    for servable in unused:
        servable.close()
        status = hosted.statuses[servable.version]
        if status.state == "UNLOADING":  # and was not loaded anew meanwhile
            status.state = "END"
