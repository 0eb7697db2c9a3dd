"""`seqpipe serve`: the models, the worker and both interfaces in one process, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from seqpipe.errors import ModelError, RunError
from seqpipe.export.artefact import versions
from seqpipe.serving.find import find_model, list_models
from seqpipe.serving.server.batching import Batcher
from seqpipe.serving.server.metrics import Metrics
from seqpipe.serving.server.rest import Server, Settings, application
from seqpipe.serving.server.servable import heap_for_each_thread
from seqpipe.serving.server.versions import Models

if TYPE_CHECKING:
    import grpc
    import uvicorn

QUIET_S = 0.5  # without a request, after which an open connection counts as idle
FINISH_S = 30  # in which requests are answered that had come before SIGTERM


@dataclass(frozen=True)
class Options:
    """host, port, grpc_port: where; port 0 is any free one. certificate, key: PEM files for TLS.

    most_rows: that may wait to be answered.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int = 8500
    certificate: Path | None = None
    key: Path | None = None
    most_rows: int = 1024
    settings: Settings = field(default_factory=Settings)

    def at(self, port: int) -> str:
        """A port of the host, as an address has it."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"


def check_certificate(certificate: Path, key: Path) -> None:
    """Raises RunError: they are not a certificate and its key."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise RunError(
            f"--certificate {certificate} and --key {key} cannot be used: {error}. Allowed: a certificate and its key "
            "without a password, both PEM."
        ) from None


def directories(names: Sequence[str]) -> dict[str, Path]:
    """What is to be served by its name: directories of models, of their versions, or names; without any, all at hand.

    Raises:
        ModelError: there is no such model, or two have the same name.
    """
    if not names:
        found = list_models()
        if not found:
            raise ModelError("There is no model at hand. Name a directory, such as saved_models/NAME.")
        return {path.parent.name: path.parent for path in found}
    chosen: dict[str, Path] = {}
    for name in names:
        place = Path(name)
        below = sorted(path for path in place.iterdir() if versions(path)) if place.is_dir() else []
        for path in below or [_model(name)]:
            own = _name(path)
            if own in chosen and chosen[own].resolve() != path.resolve():
                raise ModelError(f"{path} and {chosen[own]} have the same name. Serve one of them.")
            chosen[own] = path
    return chosen


def _name(path: Path) -> str:
    """A directory's own name; of a version alone, the model's."""
    version = path.resolve()
    alone = version.name.isdecimal() and not versions(version)
    return version.parent.name if alone else Path(os.path.abspath(path)).name


def _model(name: str) -> Path:
    """The directory that holds the versions of a model; that of a version alone where it is named itself."""
    found = Path(os.path.abspath(find_model(name)))  # "." has no number
    return found.parent if found.name.isdecimal() and Path(name).resolve() != found.resolve() else found


def serve(served: dict[str, Path], options: Options, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; then answer what has come, and return.

    Raises:
        RunError: a port is taken, or no model can be loaded.
    """
    import uvloop

    with _bound(options) as bound:
        heap_for_each_thread()
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(bound, served, options, say))


def _bound(options: Options) -> socket.socket:
    """A socket at the port, which nobody can connect to before the models are loaded."""
    bound = socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((options.host, options.port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise _taken(options, error) from None
    return bound


def _taken(options: Options, error: BaseException | None) -> RunError:
    return RunError(f"--port {options.port} of --host {options.host}: {error}. Allowed: a free port; 0 is any.")


async def _serve(bound: socket.socket, served: dict[str, Path], options: Options, say: Callable[[str], None]) -> None:
    metrics = Metrics()
    models = Models(served, metrics)
    say(f"Loading {', '.join(served)}")
    await asyncio.to_thread(models.start)
    failed = {name: hosted for name, hosted in models.hosted.items() if hosted.serving is None}
    for name, hosted in failed.items():
        say(f"{name} cannot be served: {'; '.join(status.error for status in hosted.statuses.values())}")
    if len(failed) == len(models.hosted):
        raise RunError("No model can be served.")
    server = Server(models, Batcher(most_rows=options.most_rows, metrics=metrics), metrics, options.settings)
    web = _web(server, options)
    rpc, rpc_port = await _rpc(server, options)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    running = asyncio.create_task(web.serve(sockets=[bound]))
    while not web.started and not running.done():
        await asyncio.sleep(0.01)
    if running.done():
        raise _taken(options, running.exception())  # by another server, while the models were loaded
    port = bound.getsockname()[1]
    scheme = "https" if options.certificate else "http"
    say(f"{', '.join(models.hosted)}: {scheme}://{options.at(port)}/ (gRPC {options.at(rpc_port)})")
    await stopped.wait()
    say("Stopping: answering what has come")
    await _finish(server, web, rpc)
    web.should_exit = True
    await running
    server.batcher.close()
    await asyncio.to_thread(models.close)


async def _finish(server: Server, web: uvicorn.Server, rpc: grpc.aio.Server) -> None:
    """Take no new connection, and answer what comes on those that are open until they are quiet or closed."""
    for listening in web.servers:
        listening.close()
    server.draining, deadline = True, time.monotonic() + FINISH_S
    calls = asyncio.create_task(rpc.stop(FINISH_S))
    while web.server_state.connections and time.monotonic() < deadline:
        if not server.busy and time.monotonic() - server.asked_s > QUIET_S:
            break
        await asyncio.sleep(0.02)
    await calls
    web.config.timeout_graceful_shutdown = max(1, round(deadline - time.monotonic()))


def _web(server: Server, options: Options) -> uvicorn.Server:
    import uvicorn

    class Web(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:  # ours wait for the requests in hand
            yield

    config = uvicorn.Config(
        application(server),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ssl_certfile=None if options.certificate is None else str(options.certificate),
        ssl_keyfile=None if options.key is None else str(options.key),
        ws="websockets-sansio",
    )
    return Web(config)


async def _rpc(server: Server, options: Options) -> tuple[grpc.aio.Server, int]:
    import grpc

    from seqpipe.serving.server import rpc

    credentials = None
    if options.certificate is not None and options.key is not None:
        credentials = grpc.ssl_server_credentials([(options.key.read_bytes(), options.certificate.read_bytes())])
    most_bytes = int(server.settings.max_body_mb * 1e6)
    try:
        return await rpc.start(server, options.at(options.grpc_port), credentials, most_bytes)
    except RuntimeError as error:
        raise RunError(f"Port {options.grpc_port} of {options.host}: {error}. Name another: --grpc-port.") from None
