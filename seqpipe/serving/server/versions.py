"""Models by name: versions are polled, loaded and warmed beside the one that serves, swapped, drained and closed."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seqpipe.export.artefact import versions
from seqpipe.serving.server.errors import not_found
from seqpipe.serving.server.metrics import Metrics
from seqpipe.serving.server.servable import Servable

State = Literal["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]
POLL_S = 1.0
DRAIN_S = 30.0
log = logging.getLogger("seqpipe.serve")


@dataclass
class Status:
    state: State = "START"
    error: str = ""


@dataclass
class Hosted:
    """A model: its directory, the version that serves, and what became of each version."""

    name: str
    directory: Path
    serving: Servable | None = None
    statuses: dict[int, Status] = field(default_factory=dict)


class Models:
    """What is served.

    Args:
        directories: NAME -> a directory with numbered versions, or of one version.
    """

    def __init__(self, directories: dict[str, Path], metrics: Metrics):
        self.hosted = {name: Hosted(name, path) for name, path in directories.items()}
        self._metrics = metrics
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
        for hosted in self.hosted.values():
            if hosted.serving is not None:
                self._retire(hosted, hosted.serving)

    @property
    def ready(self) -> bool:
        return all(hosted.serving is not None for hosted in self.hosted.values())

    def get(self, name: str, version: int | None = None) -> Servable:
        """
        Raises:
            RequestError: there is no such model, or this version is not served.
        """
        hosted = self.hosted.get(name)
        if hosted is None or hosted.serving is None or version not in (None, hosted.serving.version):
            raise not_found(name, version)
        return hosted.serving

    def _poll(self) -> None:
        while not self._stop.wait(POLL_S):
            self.look()

    def look(self) -> None:
        """Load what is new, once. What goes wrong with one model is logged, and tried again the next time."""
        for hosted in list(self.hosted.values()):
            try:
                self._look(hosted)
            except Exception:  # such as a directory that cannot be read for now
                log.exception("%s: %s cannot be looked at", hosted.name, hosted.directory)

    def _look(self, hosted: Hosted) -> None:
        places = versions(hosted.directory) or [hosted.directory]
        latest = places[-1]
        number = int(latest.name) if latest.name.isdecimal() else 1
        if number not in hosted.statuses:
            self._load(hosted, latest, number)

    def _load(self, hosted: Hosted, path: Path, number: int) -> None:
        status = hosted.statuses[number] = Status("LOADING")
        started = time.monotonic()
        try:
            servable = Servable(hosted.name, path)
            servable.warm_up()
        except Exception as error:  # whatever is wrong with it: the version before it goes on
            status.state, status.error = "END", f"{type(error).__name__}: {error}"
            log.error("%s version %d cannot be served: %s", hosted.name, number, status.error)
            return
        before, hosted.serving = hosted.serving, servable
        status.state = "AVAILABLE"
        self._metrics.versions.labels(hosted.name).set(number)
        log.info("%s version %d is served after %.1f s", hosted.name, number, time.monotonic() - started)
        if before is not None:
            self._retire(hosted, before)

    def _retire(self, hosted: Hosted, servable: Servable) -> None:
        """Close a version once its last request is answered."""
        status = hosted.statuses[servable.version]
        status.state = "UNLOADING"
        deadline = time.monotonic() + DRAIN_S
        while servable.in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
        servable.close()
        status.state = "END"
