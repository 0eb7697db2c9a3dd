"""What a client is told, by the codes of TensorFlow Serving."""

from __future__ import annotations

import json

from starlette.responses import Response


def as_json(value: object, status: int = 200) -> Response:
    """With NaN, which Starlette's own refuses."""
    return Response(json.dumps(value, ensure_ascii=False), status, media_type="application/json")


class RequestError(Exception):
    """A request that is not answered.

    status: of HTTP. retry_after_s: when it may be tried again.
    """

    def __init__(self, status: int, text: str, *, retry_after_s: int | None = None):
        super().__init__(text)
        self.status, self.text, self.retry_after_s = status, text, retry_after_s


def not_found(name: str, version: int | None = None, label: str | None = None) -> RequestError:
    wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    if label is not None:
        wanted = f"Label({name}, {label})"
    return RequestError(404, f"Servable not found for request: {wanted}")
