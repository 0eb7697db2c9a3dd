"""TensorFlow Serving's gRPC interface: Predict, GetModelMetadata, GetModelStatus, and the usual health service."""

from __future__ import annotations

import asyncio
import math
from typing import TypeAlias

import grpc
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from seqpipe.serving.server.errors import RequestError, not_found
from seqpipe.serving.server.rest import Server, named_token, status
from seqpipe.serving.server.servable import Servable
from seqpipe.serving.server.tensors import Arrays, Spec, check_shape

ModelRequest: TypeAlias = (
    "predict_pb2.PredictRequest | get_model_metadata_pb2.GetModelMetadataRequest | "
    "get_model_status_pb2.GetModelStatusRequest"
)
WATCH_S = 1.0  # after so long a watching client is told what has changed
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def _asked(server: Server, request: ModelRequest, context: grpc.aio.ServicerContext) -> tuple[str, int | None]:
    """The model and its version, of a client that may ask."""
    metadata = dict(context.invocation_metadata() or ())
    server.settings.admit(named_token(metadata.get("authorization", "")))
    spec = request.model_spec
    if not spec.name:
        raise RequestError(400, "Missing ModelSpec")
    if spec.HasField("version_label"):
        raise not_found(spec.name, label=spec.version_label)
    version = spec.version.value if spec.HasField("version") else None
    latest = version == 0 and not server.settings.strict  # clients of OpenVINO's server mean that by 0
    return spec.name, None if latest else version


async def _fail(context: grpc.aio.ServicerContext, error: RequestError) -> None:
    """End the call, by the error that `abort` raises."""
    await context.abort(CODES.get(error.status, grpc.StatusCode.UNKNOWN), error.text)


class Services(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
    health_pb2_grpc.HealthServicer,
):
    def __init__(self, server: Server):
        self.server = server

    async def Predict(  # noqa: N802  gRPC's name
        self, request: predict_pb2.PredictRequest, context: grpc.aio.ServicerContext
    ) -> predict_pb2.PredictResponse:
        name, server = request.model_spec.signature_name or "serving_default", self.server
        try:
            asked = _asked(server, request, context)
            with server.models.in_use(*asked) as servable, server.metrics.counted(servable) as counted:
                signature = servable.signature(name)
                counted.signature = name
                inputs = _inputs(request, signature.inputs, most_mb=server.settings.max_body_mb)
                wanted = signature.wanted(request.output_filter)
                left_s = context.time_remaining()
                timeout_s = min(server.settings.timeout_s, left_s) if left_s else server.settings.timeout_s
                outputs = await server.batcher.answer(servable, name, inputs, timeout_s=timeout_s)
                return _answer(servable, name, {each: outputs[each] for each in wanted})
        except RequestError as error:
            await _fail(context, error)

    async def GetModelMetadata(  # noqa: N802
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.aio.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        try:
            servable = self.server.models.get(*_asked(self.server, request, context))
            if list(request.metadata_field) != ["signature_def"]:
                raise RequestError(400, "Metadata field is not supported. Allowed: signature_def")
        except RequestError as error:
            await _fail(context, error)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in servable.definitions.items():
            signatures.signature_def[name].CopyFrom(definition)
        packed = AnyMessage()
        packed.Pack(signatures)
        response.metadata["signature_def"].CopyFrom(packed)
        return response

    async def GetModelStatus(  # noqa: N802
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.aio.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        try:
            found = status(self.server, *_asked(self.server, request, context))
        except RequestError as error:
            await _fail(context, error)
        return json_format.ParseDict(found, get_model_status_pb2.GetModelStatusResponse())

    def _health(self, service: str) -> int:
        """As REST's: serving where every model is."""
        statuses = health_pb2.HealthCheckResponse
        if service:
            return statuses.SERVICE_UNKNOWN
        return statuses.SERVING if self.server.ready else statuses.NOT_SERVING

    async def Check(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        if request.service:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return health_pb2.HealthCheckResponse(status=self._health(request.service))

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> None:
        """Tell the status and what becomes of it, until the server stops."""
        told = None
        while True:
            draining, status = self.server.draining, self._health(request.service)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            if draining:
                return
            await asyncio.sleep(WATCH_S)


def _inputs(request: predict_pb2.PredictRequest, specs: dict[str, Spec], *, most_mb: float) -> Arrays:
    import tensorflow as tf

    if set(request.inputs) != set(specs):
        raise RequestError(400, f"input names are {', '.join(request.inputs)}; they must be {', '.join(specs)}")
    inputs = {}
    for name, spec in specs.items():
        shape = [dim.size for dim in request.inputs[name].tensor_shape.dim]  # a few values may stand for any number
        if math.prod(map(abs, shape)) * spec.numpy.itemsize > most_mb * 1e6:
            raise RequestError(413, f"{name}: an array {shape} is larger than {most_mb:g} MB.")
        try:
            value = tf.make_ndarray(request.inputs[name])
        except (ValueError, TypeError) as error:
            raise RequestError(400, f"{name}: {error}") from None
        if value.dtype != spec.numpy:
            raise RequestError(400, f"{name}: {value.dtype} does not fit {spec.dtype}")
        check_shape(name, value.shape, spec)
        inputs[name] = value
    return inputs


def _answer(servable: Servable, signature: str, outputs: Arrays) -> predict_pb2.PredictResponse:
    import tensorflow as tf

    response = predict_pb2.PredictResponse()
    response.model_spec.name, response.model_spec.signature_name = servable.name, signature
    response.model_spec.version.value = servable.version
    for name, value in outputs.items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    return response


async def start(
    server: Server, address: str, credentials: grpc.ServerCredentials | None, most_bytes: int
) -> tuple[grpc.aio.Server, int]:
    """A running gRPC server, and its port."""
    options = [
        ("grpc.max_receive_message_length", most_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # else another server's port would be shared in silence
    ]
    rpc = grpc.aio.server(options=options)
    services = Services(server)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(services, rpc)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(services, rpc)
    health_pb2_grpc.add_HealthServicer_to_server(services, rpc)
    port = rpc.add_insecure_port(address) if credentials is None else rpc.add_secure_port(address, credentials)
    await rpc.start()
    return rpc, port
