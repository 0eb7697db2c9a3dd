"""The Open Inference Protocol, version 2: a second dialect of the same models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seqpipe.serving.server.errors import RequestError
from seqpipe.serving.server.tensors import Arrays, Spec, array, parsed

if TYPE_CHECKING:
    from seqpipe.serving.server.rest import Server

TYPES = {
    "DT_STRING": "BYTES", "DT_FLOAT": "FP32", "DT_DOUBLE": "FP64", "DT_INT32": "INT32", "DT_INT64": "INT64",
    "DT_BOOL": "BOOL", "DT_UINT8": "UINT8",
}  # fmt: skip


def routes(server: Server, guard: Any) -> list[Route]:
    base = "/v2/models/{name}"
    return [
        Route("/v2", guard(_about), methods=["GET"]),
        *(
            Route(f"{place}{rest}", guard(endpoint), methods=[method])
            for place in (base, base + "/versions/{version:int}")
            for rest, endpoint, method in (("", _model, "GET"), ("/ready", _ready, "GET"), ("/infer", _infer, "POST"))
        ),
    ]


def _answer(value: Any) -> Response:
    return Response(json.dumps(value, ensure_ascii=False), media_type="application/json")


async def _about(server: Server, request: Request) -> Response:
    return _answer({"name": "seqpipe", "version": "1", "extensions": []})


def _servable(server: Server, request: Request) -> Any:
    return server.models.get(request.path_params["name"], request.path_params.get("version"))


async def _ready(server: Server, request: Request) -> Response:
    servable = _servable(server, request)
    return _answer({"name": servable.name, "ready": True})


async def _model(server: Server, request: Request) -> Response:
    servable = _servable(server, request)
    signature = servable.signature("serving_default")

    def listed(specs: dict[str, Spec]) -> list[dict[str, Any]]:
        return [
            {"name": name, "datatype": TYPES.get(spec.dtype, spec.dtype), "shape": list(spec.shape or ())}
            for name, spec in specs.items()
        ]

    return _answer(
        {
            "name": servable.name,
            "versions": [str(servable.version)],
            "platform": "tensorflow_savedmodel",
            "inputs": listed(signature.inputs),
            "outputs": listed(signature.outputs),
        }
    )


async def _infer(server: Server, request: Request) -> Response:
    servable = _servable(server, request)
    asked = parsed(await server.body(request))
    parameters = asked.get("parameters") or {}
    name = parameters.get("signature_name", "serving_default") if isinstance(parameters, dict) else "serving_default"
    specs = servable.signature(name).inputs
    inputs = _inputs(asked.get("inputs"), specs)
    outputs = await server.batcher.answer(servable, name, inputs, timeout_s=server.settings.timeout_s)
    wanted = [str(each.get("name")) for each in asked.get("outputs") or [] if isinstance(each, dict)] or list(outputs)
    unknown = [each for each in wanted if each not in outputs]
    if unknown:
        raise RequestError(400, f"{unknown[0]} is not an output. Allowed: {', '.join(outputs)}.")
    return _answer(
        {
            "model_name": servable.name,
            "model_version": str(servable.version),
            **({"id": asked["id"]} if "id" in asked else {}),
            "outputs": [_output(each, outputs[each], servable.signature(name).outputs[each]) for each in wanted],
        }
    )


def _inputs(given: Any, specs: dict[str, Spec]) -> Arrays:
    if not isinstance(given, list) or not all(isinstance(each, dict) and "name" in each for each in given):
        raise RequestError(400, '"inputs" must be a list of objects with name, shape, datatype and data')
    by_name = {each["name"]: each for each in given}
    if set(by_name) != set(specs):
        raise RequestError(400, f"inputs are {', '.join(map(str, by_name))}; they must be {', '.join(specs)}")
    arrays = {}
    for name, spec in specs.items():
        shape, data = by_name[name].get("shape"), by_name[name].get("data")
        if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
            raise RequestError(400, f"{name}: shape must be a list of whole numbers")
        flat = array(name, _flat(data), Spec(spec.tensor, spec.dtype, (-1,)))
        if flat.size != int(np.prod(shape, dtype=np.int64)):
            raise RequestError(400, f"{name}: {flat.size} values do not fit the shape {shape}")
        arrays[name] = flat.reshape(shape)
    return arrays


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        return [data]
    return [item for each in data for item in (_flat(each) if isinstance(each, list) else [each])]


def _output(name: str, value: np.ndarray, spec: Spec) -> dict[str, Any]:
    flat = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in value.ravel().tolist()]
    return {"name": name, "datatype": TYPES.get(spec.dtype, spec.dtype), "shape": list(value.shape), "data": flat}
