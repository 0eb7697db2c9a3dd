"""TensorFlow Serving's gRPC interface: Predict, GetModelMetadata, GetModelStatus, and the usual health service."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
from google.protobuf.any_pb2 import Any as AnyMessage
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from seqpipe.serving.server.errors import RequestError
from seqpipe.serving.server.rest import Server
from seqpipe.serving.server.servable import Servable

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
STATES = {"START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}


def _servable(server: Server, request: Any, context: grpc.aio.ServicerContext) -> Servable:
    token = server.settings.token
    if token is not None and ("authorization", f"Bearer {token}") not in tuple(context.invocation_metadata() or ()):
        raise RequestError(401, "Name the token: authorization: Bearer TOKEN.")
    spec = request.model_spec
    if not spec.name:
        raise RequestError(400, "Missing ModelSpec")
    version = spec.version.value if spec.HasField("version") else None
    latest = version == 0 and not server.settings.strict  # clients of OpenVINO's server mean that by 0
    return server.models.get(spec.name, None if latest else version)


async def _fail(context: grpc.aio.ServicerContext, error: RequestError) -> None:
    await context.abort(CODES.get(error.status, grpc.StatusCode.UNKNOWN), error.text)


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, server: Server):
        self.server = server

    async def Predict(self, request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: N802  gRPC's name
        code, signature, servable = 500, request.model_spec.signature_name or "serving_default", None
        try:
            servable = _servable(self.server, request, context)
            inputs = _inputs(request, servable, signature)
            left_s = context.time_remaining()
            timeout_s = min(self.server.settings.timeout_s, left_s) if left_s else self.server.settings.timeout_s
            outputs = await self.server.batcher.answer(servable, signature, inputs, timeout_s=timeout_s)
            code = 200
            return _answer(servable, signature, outputs, set(request.output_filter))
        except RequestError as error:
            code = error.status
            await _fail(context, error)
        finally:
            if servable is not None:
                self.server.metrics.requests.labels(servable.name, str(servable.version), signature, str(code)).inc()

    async def GetModelMetadata(self, request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        try:
            servable = _servable(self.server, request, context)
            if list(request.metadata_field) != ["signature_def"]:
                raise RequestError(400, "Metadata field is not supported. Allowed: signature_def")
        except RequestError as error:
            await _fail(context, error)
            return None
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


class ModelStatus(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, server: Server):
        self.server = server

    async def GetModelStatus(self, request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: N802
        hosted = self.server.models.hosted.get(request.model_spec.name)
        if hosted is None:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {request.model_spec.name}"
            )
            return None
        response = get_model_status_pb2.GetModelStatusResponse()
        for number in sorted(hosted.statuses, reverse=True):
            each = response.model_version_status.add()
            each.version, each.state = number, STATES[hosted.statuses[number].state]
            each.status.error_message = hosted.statuses[number].error
        return response


def _inputs(request: Any, servable: Servable, signature: str) -> dict[str, np.ndarray]:
    import tensorflow as tf

    specs = servable.signature(signature).inputs
    if set(request.inputs) != set(specs):
        raise RequestError(400, f"input names are {', '.join(request.inputs)}; they must be {', '.join(specs)}")
    inputs = {}
    for name, spec in specs.items():
        try:
            value = tf.make_ndarray(request.inputs[name])
        except (ValueError, TypeError) as error:
            raise RequestError(400, f"{name}: {error}") from None
        if value.dtype != spec.numpy or (spec.shape is not None and value.ndim != len(spec.shape)):
            raise RequestError(400, f"{name}: {value.dtype} {list(value.shape)} does not fit {spec.dtype} {spec.shape}")
        inputs[name] = value
    return inputs


def _answer(servable: Servable, signature: str, outputs: dict[str, np.ndarray], wanted: set[str]) -> Any:
    import tensorflow as tf

    response = predict_pb2.PredictResponse()
    response.model_spec.name, response.model_spec.signature_name = servable.name, signature
    response.model_spec.version.value = servable.version
    for name, value in outputs.items():
        if not wanted or name in wanted:
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    return response


async def start(
    server: Server, address: str, credentials: grpc.ServerCredentials | None, most_bytes: int
) -> tuple[grpc.aio.Server, int]:
    """A running gRPC server, and its port."""
    limits = [("grpc.max_receive_message_length", most_bytes), ("grpc.max_send_message_length", -1)]
    rpc = grpc.aio.server(options=limits)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(server), rpc)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelStatus(server), rpc)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, rpc)
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)
    port = rpc.add_insecure_port(address) if credentials is None else rpc.add_secure_port(address, credentials)
    await rpc.start()
    return rpc, port
