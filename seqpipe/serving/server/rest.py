"""TensorFlow Serving's REST interface, health, metrics and what the page asks, as a Starlette application."""

from __future__ import annotations

import base64
import hmac
import re
import time
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from seqpipe.serving.server import inference_v2, openapi
from seqpipe.serving.server.batching import Batcher
from seqpipe.serving.server.errors import RequestError, as_json, not_found
from seqpipe.serving.server.metrics import Counted, Metrics
from seqpipe.serving.server.servable import Servable
from seqpipe.serving.server.stream import TOKEN_PROTOCOL, Streams
from seqpipe.serving.server.tensors import decoded, encoded, parsed
from seqpipe.serving.server.versions import Models

PAGE = Path(__file__).with_name("page")
MODEL_PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]{1,19})|/labels/(?P<label>[^/:]+))?"
    r"(?P<rest>/metadata|:(?P<verb>predict|classify|regress))?",
    re.IGNORECASE,
)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'none'"
)


@dataclass(frozen=True)
class Settings:
    """max_body_mb, timeout_s: of a request. token: that a client must name. origins: that a browser may ask from.

    strict: nothing that TensorFlow Serving does not do.
    """

    max_body_mb: float = 16.0
    timeout_s: float = 30.0
    token: str | None = None
    origins: tuple[str, ...] = ()
    strict: bool = False

    def admit(self, given: bytes | None) -> None:
        """Raises RequestError: a token is wanted, and a client gives none or another one."""
        if self.token is not None and (given is None or not hmac.compare_digest(given, self.token.encode())):
            raise RequestError(401, "Name the token: Authorization: Bearer TOKEN.")


@dataclass
class Server:
    """What the endpoints share.

    draining: what comes is answered, but each answer closes its connection. busy: requests and streams in hand.
    asked_s: when the last request came, by the monotonic clock.
    """

    models: Models
    batcher: Batcher
    metrics: Metrics
    settings: Settings = field(default_factory=Settings)
    draining: bool = False
    busy: int = 0
    asked_s: float = 0.0

    async def body(self, request: Request) -> bytes:
        """The whole body, unpacked.

        Raises:
            RequestError: it is larger than max_body_mb, packed or not, or is not what it says.
        """
        most = int(self.settings.max_body_mb * 1e6)
        encoding = request.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", "gzip", ""):
            raise RequestError(415, f"Content-Encoding {encoding:.20} is not known. Allowed: gzip.")
        unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        parts: list[bytes] = []
        size = 0
        try:
            async for part in request.stream():
                part = unpack.decompress(part, most + 1) if unpack is not None else part
                size += len(part)
                if size > most or (unpack is not None and unpack.unconsumed_tail):
                    raise RequestError(413, f"The body is larger than {self.settings.max_body_mb:g} MB.")
                parts.append(part)
            if unpack is not None and (unpack.unused_data or not unpack.eof):
                raise RequestError(
                    400, "The body is not one whole gzip stream: it ends inside, or more stands behind it."
                )
        except zlib.error as error:
            raise RequestError(400, f"The body is not gzip: {error}") from None
        except ClientDisconnect:
            raise RequestError(499, "The client went away.") from None
        return b"".join(parts)

    async def predict(self, servable: Servable, body: bytes, counted: Counted) -> bytes:
        """The answer's body."""
        request = parsed(body)
        signature = request.get("signature_name", "")
        signature = "serving_default" if signature == "" else signature  # as TensorFlow Serving has it
        specs = servable.signature(signature).inputs
        counted.signature = signature
        inputs, rows = decoded(request, specs)
        outputs = await self.batcher.answer(servable, signature, inputs, timeout_s=self.settings.timeout_s)
        return encoded(outputs, rows=rows, strict=self.settings.strict)

    @property
    def ready(self) -> bool:
        return self.models.ready and not self.draining

    def allow(self, request: HTTPConnection) -> None:
        """Raises RequestError: a token is wanted and not named, or a browser asks from elsewhere."""
        given = named_token(request.headers.get("authorization", ""))
        self.settings.admit(_token_of_a_socket(request) if given is None else given)
        origin = request.headers.get("origin")
        if origin is None:
            return
        scheme = {"ws": "http", "wss": "https"}.get(request.url.scheme, request.url.scheme)
        own = f"{scheme}://{request.headers.get('host', '')}"
        if origin != own and not {origin, "*"} & set(self.settings.origins):
            raise RequestError(403, f"The origin {origin} is not allowed. Allow it by --allow-origin {origin}.")


def named_token(authorization: str) -> bytes | None:
    """The token in a header, whose scheme may be in any case (RFC 7235); None where there is none."""
    kind, _, given = authorization.partition(" ")
    return given.encode("latin-1") if kind.lower() == "bearer" else None


def _token_of_a_socket(request: HTTPConnection) -> bytes | None:
    """The token that a browser names where it opens a WebSocket, as a subprotocol."""
    for protocol in request.scope.get("subprotocols", ()):
        if protocol.startswith(TOKEN_PROTOCOL):
            text = protocol.removeprefix(TOKEN_PROTOCOL)
            with suppress(ValueError):
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return None


def application(server: Server) -> ASGIApp:
    """The application; routes that TensorFlow Serving does not have are left out where it is strict.

    What asks a model goes past Starlette's routes and wrappers, which cost as much as reading the request.
    """
    guard = partial(_guarded, server)
    routes: list[BaseRoute] = [
        Route("/v2/health/live", lambda request: as_json({"live": True})),
        Route("/v2/health/ready", lambda request: as_json({"ready": server.ready}, 200 if server.ready else 503)),
        Route("/monitoring/prometheus/metrics", lambda request: _metrics(server)),
    ]
    if not server.settings.strict:
        routes += [
            Route("/metrics", lambda request: _metrics(server)),
            Route("/models", guard(_models)),
            Route("/openapi.json", guard(_openapi)),
            *inference_v2.routes(server, guard),
            WebSocketRoute("/v1/models/{name}:stream", Streams(server).serve),
            Route("/", lambda request: _page()),
        ]
    answer, methods = guard(_v1), ["GET", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"]
    routes += [Route(f"/{head}/{{path:path}}", answer, methods=methods) for head in ("v1", "V1")]  # in any case
    app = Starlette(routes=routes)
    if not server.settings.strict:
        app.mount("/page", StaticFiles(directory=PAGE))

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith("/v1/"):
            response = await answer(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await app(scope, receive, send)

    origins = server.settings.origins
    if not origins:
        return asked
    return CORSMiddleware(
        asked, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["authorization", "content-type"]
    )


Endpoint = Callable[[Server, Request], Awaitable[Response]]


def _guarded(server: Server, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint whose errors are answered as TensorFlow Serving answers them."""

    async def answer(request: Request) -> Response:
        server.busy, server.asked_s = server.busy + 1, time.monotonic()
        try:
            server.allow(request)
            response = await endpoint(server, request)
        except RequestError as error:
            response = as_json({"error": error.text}, error.status)
            if error.retry_after_s is not None:
                response.headers["Retry-After"] = str(error.retry_after_s)
        finally:
            server.busy -= 1
        if server.draining:
            response.headers["Connection"] = "close"
        return response

    return answer


def _metrics(server: Server) -> Response:
    return Response(server.metrics.text(), media_type="text/plain; version=0.0.4")


def _page() -> Response:
    return Response(
        (PAGE / "index.html").read_bytes(), media_type="text/html", headers={"Content-Security-Policy": POLICY}
    )


async def _v1(server: Server, request: Request) -> Response:
    path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
    if path.rstrip("/").lower() == "/v1/models":
        raise RequestError(400, "Missing model name in request.")
    match = MODEL_PATH.fullmatch(path)
    malformed = RequestError(400, f"Malformed request: {request.method} {path}")
    if match is None:
        raise malformed
    name, version = unquote(match["name"]), int(match["version"]) if match["version"] else None
    if match["label"]:
        raise not_found(name, label=match["label"])
    if match["verb"]:
        if request.method != "POST":
            raise malformed
        return await _predict(server, request, name, version, match["verb"].lower())
    if request.method != "GET":
        raise malformed
    if match["rest"]:
        return as_json(metadata(server.models.get(name, version)))
    return as_json(status(server, name, version))


async def _predict(server: Server, request: Request, name: str, version: int | None, verb: str) -> Response:
    body = await server.body(request)
    with server.models.in_use(name, version) as servable, server.metrics.counted(servable) as counted:
        if verb != "predict":
            kind = "classification" if verb == "classify" else "regression"
            wanted = f"Expected {kind} signature method_name to be tensorflow/serving/{verb}"
            raise RequestError(400, f"{wanted}. Was: tensorflow/serving/predict")
        return Response(await server.predict(servable, body, counted), media_type="application/json")


def status(server: Server, name: str, version: int | None = None) -> dict[str, object]:
    """What TensorFlow Serving says of a model's versions."""
    hosted = server.models.hosted.get(name)
    if hosted is None or (version is not None and version not in hosted.statuses):
        wanted = "any versions" if version is None else f"version {version}"
        raise RequestError(404, f"Could not find {wanted} of model {name}")
    said = []
    for number in sorted(hosted.statuses, reverse=True) if version is None else [version]:
        known = hosted.statuses[number]
        found = {"error_code": "UNKNOWN" if known.error else "OK", "error_message": known.error}
        said.append({"version": str(number), "state": known.state, "status": found})
    return {"model_version_status": said}


def metadata(servable: Servable) -> dict[str, object]:
    """What TensorFlow Serving says of a model's signatures."""
    signatures = {
        name: json_format.MessageToDict(
            definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for name, definition in servable.definitions.items()
    }
    return {
        "model_spec": {"name": servable.name, "signature_name": "", "version": str(servable.version)},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


async def _models(server: Server, request: Request) -> Response:
    return as_json({"models": [_about(hosted.serving) for hosted in server.models.hosted.values() if hosted.serving]})


def _about(servable: Servable) -> dict[str, object]:
    """What a page or a client needs to know of a model."""
    return {
        "name": servable.name,
        "version": servable.version,
        "facts": {key: servable.facts[key] for key in ("task", "figure", "date", "streaming") if key in servable.facts},
        "labels": servable.labels,
        "info": servable.info,
        "signatures": {
            name: {
                "inputs": {name: spec.shape for name, spec in signature.inputs.items()},
                "outputs": list(signature.outputs),
            }
            for name, signature in servable.signatures.items()
        },
    }


async def _openapi(server: Server, request: Request) -> Response:
    return as_json(openapi.document(server.models))
