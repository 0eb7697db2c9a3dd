"""The Open Inference Protocol, version 2: a second dialect of the same models."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seqpipe.serving.server.errors import RequestError, as_json
from seqpipe.serving.server.tensors import Arrays, Spec, array, check_shape, parsed

if TYPE_CHECKING:
    from seqpipe.serving.server.rest import Endpoint, Server

DEFAULT = "serving_default"
VERSION = re.compile("[0-9]{1,19}")
TYPES = {
    "DT_STRING": "BYTES", "DT_FLOAT": "FP32", "DT_DOUBLE": "FP64", "DT_INT32": "INT32", "DT_INT64": "INT64",
    "DT_BOOL": "BOOL", "DT_UINT8": "UINT8",
}  # fmt: skip


def routes(server: Server, guard: Callable[[Endpoint], Callable[[Request], Awaitable[Response]]]) -> list[Route]:
    base = "/v2/models/{name}"
    return [
        Route("/v2", guard(_about)),
        *(
            Route(f"{place}{rest}", guard(endpoint), methods=[method])
            for place in (base, base + "/versions/{version}")
            for rest, endpoint, method in (("", _model, "GET"), ("/ready", _ready, "GET"), ("/infer", _infer, "POST"))
        ),
    ]


async def _about(server: Server, request: Request) -> Response:
    return as_json({"name": "seqpipe", "version": "1", "extensions": []})


def _asked(request: Request) -> tuple[str, int | None]:
    """The model and its version."""
    version = request.path_params.get("version")
    if version is not None and not VERSION.fullmatch(version):
        raise RequestError(400, f"{version[:20]} is no version. Allowed: whole numbers of up to 19 digits.")
    return request.path_params["name"], int(version) if version else None


async def _ready(server: Server, request: Request) -> Response:
    servable = server.models.get(*_asked(request))
    return as_json({"name": servable.name, "ready": True})


async def _model(server: Server, request: Request) -> Response:
    servable = server.models.get(*_asked(request))
    signature = servable.signature(DEFAULT)

    def listed(specs: dict[str, Spec]) -> list[dict[str, object]]:
        return [
            {"name": name, "datatype": TYPES.get(spec.dtype, spec.dtype), "shape": list(spec.shape or ())}
            for name, spec in specs.items()
        ]

    return as_json(
        {
            "name": servable.name,
            "versions": [str(servable.version)],
            "platform": "tensorflow_savedmodel",
            "inputs": listed(signature.inputs),
            "outputs": listed(signature.outputs),
        }
    )


async def _infer(server: Server, request: Request) -> Response:
    body = await server.body(request)
    with server.models.in_use(*_asked(request)) as servable, server.metrics.counted(servable) as counted:
        asked = parsed(body)
        parameters = asked.get("parameters")
        name = parameters.get("signature_name", DEFAULT) if isinstance(parameters, dict) else DEFAULT
        signature = servable.signature(name)
        counted.signature = name
        if not isinstance(asked.get("id", ""), (str, int)):
            raise RequestError(400, '"id" must be a string')
        inputs = _inputs(asked.get("inputs"), signature.inputs)
        wanted = signature.wanted(each["name"] for each in _named(asked.get("outputs") or [], "outputs", "name"))
        outputs = await server.batcher.answer(servable, name, inputs, timeout_s=server.settings.timeout_s)
        return as_json(
            {
                "model_name": servable.name,
                "model_version": str(servable.version),
                **({"id": asked["id"]} if "id" in asked else {}),
                "outputs": [_output(each, outputs[each], signature.outputs[each]) for each in wanted],
            }
        )


def _named(given: object, key: str, parts: str) -> list[dict[str, Any]]:
    if isinstance(given, list) and all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in given):
        return given
    raise RequestError(400, f'"{key}" must be a list of objects with {parts}; the name is a string')


def _inputs(given: object, specs: dict[str, Spec]) -> Arrays:
    by_name = {each["name"]: each for each in _named(given, "inputs", "name, shape, datatype and data")}
    if set(by_name) != set(specs):
        raise RequestError(400, f"inputs are {', '.join(by_name)}; they must be {', '.join(specs)}")
    arrays = {}
    for name, spec in specs.items():
        shape, data = by_name[name].get("shape"), by_name[name].get("data")
        datatype, wanted = by_name[name].get("datatype"), TYPES.get(spec.dtype, spec.dtype)
        if datatype != wanted:
            raise RequestError(400, f"{name}: datatype is {datatype!s:.20}; it must be {wanted}")
        if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
            raise RequestError(400, f"{name}: shape must be a list of whole numbers")
        check_shape(name, shape, spec)
        values = array(name, data, replace(spec, shape=None))
        try:
            arrays[name] = values.reshape(shape)
        except (ValueError, OverflowError):
            raise RequestError(400, f"{name}: {values.size} values do not fit the shape {shape}") from None
    return arrays


def _output(name: str, value: np.ndarray, spec: Spec) -> dict[str, object]:
    flat = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in value.ravel().tolist()]
    return {"name": name, "datatype": TYPES.get(spec.dtype, spec.dtype), "shape": list(value.shape), "data": flat}
