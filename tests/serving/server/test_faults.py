"""What once killed, misled or outlived the server: each by the request that did it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from lengths_model import publish
from starlette.testclient import TestClient
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from seqpipe.errors import RunError
from seqpipe.serving.server import batching, rpc, servable
from seqpipe.serving.server.rest import application
from seqpipe.serving.server.run import Options, _web, directories, serve
from seqpipe.serving.server.servable import Signature
from seqpipe.serving.server.versions import _files

INFER = "/v2/models/lengths/infer"
PREDICT = "/v1/models/lengths:predict"


@pytest.fixture
def server(place, made):
    return made(place, origins=("https://page.example",))


@pytest.fixture
def client(server):
    return TestClient(application(server))


def text(shape, data, **more):
    return {"inputs": [{"name": "text", "shape": shape, "datatype": "BYTES", "data": data}], **more}


def test_v2_refuses_another_datatype(client):
    body = text([1], ["abc"])
    body["inputs"][0]["datatype"] = "FP32"
    answer = client.post("/v2/models/lengths/infer", json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "text: datatype is FP32; it must be BYTES")


def counted(server):
    lines = server.metrics.text().decode().splitlines()
    return {line.split("{")[1].split("}")[0] for line in lines if line.startswith("seqpipe_requests_total{")}


def test_batching_a_request_of_another_rank_kills_no_worker(server, queued):
    servable, gate = server.models.get("lengths"), threading.Event()
    run = servable.run
    servable.run = lambda *arguments: (gate.wait(), run(*arguments))[1]

    def asked(value):
        inputs = {"text": np.array(value, object)}
        return asyncio.create_task(server.batcher.answer(servable, "serving_default", inputs, timeout_s=10))

    async def beside():
        first = asked([b"a"])
        await queued(server, requests=1, rows=0)
        both = asked(b"ab"), asked([b"abc"])
        await queued(server, requests=3, rows=2)
        gate.set()
        await asyncio.gather(first, *both, return_exceptions=True)
        return await both[1], await asked([b"abcd"])

    beside_it, after = asyncio.run(beside())
    assert (beside_it["label"].tolist(), after["label"].tolist()) == ([b"3"], [b"4"])


def test_batching_joins_streams_that_have_heard_equally_much():
    signature = SimpleNamespace(signature=lambda name: SimpleNamespace(batched=True))

    async def keys(name):
        heard = [np.array([samples]) for samples in (640, 640, 1280)]
        return [batching._work_of(signature, name, {"samples": samples}).key for samples in heard]

    first, second, later = asyncio.run(keys("stream"))
    assert first == second != later
    assert len(set(asyncio.run(keys("serving_default")))) == 1


def test_batching_what_can_never_fit_is_refused_for_good(server, monkeypatch):
    rows = {"instances": ["a"] * 65}
    monkeypatch.setattr(batching, "QUEUED_BYTES", 100)
    client = TestClient(application(server))
    for body, found in ((rows, "65 rows of 65 bytes"), ({"instances": ["a" * 101]}, "1 rows of 101 bytes")):
        response = client.post(PREDICT, json=body)
        assert response.status_code == 413
        assert f"{found} never fit into the queue. Allowed: 64 rows" in response.json()["error"]
        assert "retry-after" not in response.headers


REFUSED = [
    (INFER, text([], ["a"]), "text: shape [] does not fit [?]"),
    (INFER, text([1, 1], ["a"]), "text: shape [1, 1] does not fit [?]"),
    (INFER, text([10**30], ["a"]), "text: 1 values do not fit the shape"),
    (INFER, text([True], ["a"]), "text: shape must be a list of whole numbers"),
    (INFER, text([1], ["a"], parameters={"signature_name": ["x"]}), '"signature_name" must be a string'),
    (INFER, {"inputs": [{"name": ["x"]}]}, '"inputs" must be a list of objects with name, shape'),
    (INFER, text([1], ["a"], outputs=5), '"outputs" must be a list of objects with name'),
    (INFER, text([1], ["a"], outputs=[{"name": "x"}]), "x is not an output. Allowed: label, probabilities."),
    (INFER, text([1], ["a"], id=[1]), '"id" must be a string'),
    (f"/v2/models/lengths/versions/{'1' * 5000}/infer", text([1], ["a"]), "is no version. Allowed: whole numbers"),
    (f"/v1/models/lengths/versions/{'1' * 5000}:predict", {"instances": ["a"]}, "Malformed request"),
    (PREDICT, {"signature_name": ["x"], "instances": ["a"]}, '"signature_name" must be a string'),
]


@pytest.mark.parametrize(("path", "body", "message"), REFUSED)
def test_server_names_what_is_wrong_with_a_request(client, path, body, message):
    response = client.post(path, json=body)
    assert response.status_code == 400, response.text
    assert message in response.json()["error"]


@pytest.mark.parametrize("depth", [33, 900, 940, 960, 980])
def test_tensors_lists_that_are_nested_too_deeply_are_refused(client, depth):
    nested = "[" * depth + "]" * depth
    for path, body in (
        (PREDICT, '{"inputs": %s}'),
        (PREDICT, '{"inputs": [{"x": %s}]}'),
        (INFER, '{"inputs": [{"name": "text", "shape": [1], "data": %s}]}'),
    ):
        assert client.post(path, content=body % nested).status_code == 400


def test_versions_one_in_use_is_closed_only_afterwards(tmp_path, made):
    publish(tmp_path, 1)
    server = made(tmp_path)

    async def upload():
        yield b'{"instances": '
        publish(tmp_path, 2)
        await asyncio.to_thread(server.models.look)
        yield b'["abc"]}'

    async def slowly():
        from httpx2 import ASGITransport, AsyncClient

        async with AsyncClient(transport=ASGITransport(application(server)), base_url="http://here") as client:
            return await client.post(PREDICT, content=upload())

    response = asyncio.run(slowly())
    assert response.status_code == 200, response.text
    with TestClient(application(server)).websocket_connect("/v1/models/lengths:stream") as socket:
        socket.send_bytes(np.zeros(640, "<f4").tobytes())
        assert "label" in socket.receive_json()
        publish(tmp_path, 3)
        server.models.look()
        assert server.models.hosted["lengths"].statuses[2].state == "UNLOADING"
        socket.send_bytes(np.zeros(640, "<f4").tobytes())
        assert "label" in socket.receive_json()
    statuses = server.models.hosted["lengths"].statuses
    for _ in range(1000):  # the worker lets go of a version once the client has its answer
        server.models.look()
        if statuses[2].state == "END":
            break
        time.sleep(0.01)
    assert {number: status.state for number, status in statuses.items()} == {1: "END", 2: "END", 3: "AVAILABLE"}


def test_versions_one_that_failed_is_tried_again_when_its_files_change(tmp_path, made):
    publish(tmp_path, 1)
    publish(tmp_path, 3)
    whole = (tmp_path / "3" / "saved_model.pb").read_bytes()
    (tmp_path / "3" / "saved_model.pb").write_bytes(b"half")
    server = made(tmp_path)
    assert server.models.get("lengths").version == 1
    failed = server.models.hosted["lengths"].statuses[3]
    server.models.look()
    assert server.models.hosted["lengths"].statuses[3] is failed  # nothing has changed
    (tmp_path / "3" / "saved_model.pb").write_bytes(whole)
    server.models.look()
    assert server.models.get("lengths").version == 3


def test_versions_one_whose_warming_fails_is_closed(tmp_path, made, monkeypatch):
    def fails(servable):
        raise ValueError("cold")

    monkeypatch.setattr(servable.Servable, "warm_up", fails)
    closed = []
    monkeypatch.setattr(servable.Servable, "close", lambda servable: closed.append(servable))
    publish(tmp_path, 1)
    server = made(tmp_path)
    assert server.models.hosted["lengths"].statuses[1].error == "ValueError: cold"
    assert len(closed) == 1


def test_versions_a_link_that_leads_nowhere_keeps_no_model_away(tmp_path, made):
    publish(tmp_path, 1)
    (tmp_path / "1" / "notes").symlink_to("nothing")
    assert made(tmp_path).models.get("lengths").version == 1
    assert _files(tmp_path / "gone") == (0, 0), "what has just been removed is no fault either"


def test_versions_go_back_to_an_older_one_when_a_failed_one_is_deleted(tmp_path, made):
    def broken(number):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "saved_model.pb").write_bytes(b"half")

    broken(1)
    server = made(tmp_path)
    broken(2)
    server.models.look()
    for number in (1, 2):
        shutil.rmtree(tmp_path / str(number))
    publish(tmp_path, 1)
    server.models.look()
    assert server.models.get("lengths").version == 1


def test_versions_go_back_to_the_highest_that_is_left_when_the_one_that_serves_is_deleted(tmp_path, made):
    for number in (1, 2):
        publish(tmp_path, number)
    server = made(tmp_path)
    publish(tmp_path, 3)
    server.models.look()
    assert server.models.get("lengths").version == 3
    (tmp_path / "3").rename(tmp_path / "away")
    server.models.look()
    assert server.models.get("lengths").version == 2
    states = {number: status.state for number, status in server.models.hosted["lengths"].statuses.items()}
    assert states == {2: "AVAILABLE", 3: "END"}
    (tmp_path / "away").rename(tmp_path / "3")
    server.models.look()
    assert server.models.get("lengths").version == 3, "which is there again"
    (tmp_path / "3").rename(tmp_path / "away")
    with server.models.in_use("lengths"):
        server.models.look()
        assert server.models.get("lengths").version == 2, "which was served and closed before"
        (tmp_path / "away").rename(tmp_path / "3")
        server.models.look()
        assert server.models.get("lengths").version == 3
    server.models.look()
    assert server.models.hosted["lengths"].statuses[3].state == "AVAILABLE", "though its first loading is closed"


def test_versions_one_that_is_deleted_serves_on_where_none_is_left(tmp_path, made):
    publish(tmp_path, 2)
    server = made(tmp_path)
    shutil.rmtree(tmp_path / "2")
    server.models.look()
    assert server.models.get("lengths").version == 2
    assert list(server.models.hosted["lengths"].statuses) == [2]


def test_run_a_port_that_is_taken_is_said(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RunError, match=f"--port {port} of --host 127.0.0.1: .*in use.* Allowed: a free port"):
            serve({"lengths": place}, Options(port=port, grpc_port=0), print)
    with pytest.raises(RunError, match="--port 99999 of --host"):
        serve({"lengths": place}, Options(port=99999, grpc_port=0), print)


def test_run_a_grpc_port_that_another_server_has_is_said(place):
    other = grpc.server(ThreadPoolExecutor(1))
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    try:
        with pytest.raises(RunError, match=f"Port {port} of 127.0.0.1: .* Name another: --grpc-port"):
            serve({"lengths": place}, Options(port=0, grpc_port=port), print)
    finally:
        other.stop(None)


def test_run_an_address_of_ipv6_is_in_brackets():
    assert (Options(host="::1").at(80), Options().at(80)) == ("[::1]:80", "127.0.0.1:80")


def test_run_signals_are_left_to_us(server):
    before = signal.getsignal(signal.SIGTERM)
    with _web(server, Options()).capture_signals():
        assert signal.getsignal(signal.SIGTERM) is before


def test_run_a_version_alone_has_the_name_of_its_model(place, monkeypatch):
    assert directories([str(place / "1")]) == {"lengths": place / "1"}
    monkeypatch.chdir(place)
    assert list(directories(["."])) == ["lengths"]
    assert list(directories(["1"])) == ["lengths"]
    assert list(directories([".", str(place)])) == ["lengths"], "one directory by two names"
    monkeypatch.chdir(place / "1")
    assert directories(["."]) == {"lengths": place / "1"}


def test_metrics_count_by_signature_and_in_both_dialects(server, client):
    client.post(PREDICT, json={"signature_name": "explain", "instances": [1]})
    client.post(PREDICT, json={"signature_name": "nothing", "instances": ["a"]})
    client.post(INFER, json=text([1], ["a"]))
    labels = 'code="%s",model="lengths",signature="%s",version="1"'
    assert counted(server) == {
        labels % (400, "explain"), labels % (400, "unknown"), labels % (200, "serving_default"),
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/models", INFER, PREDICT])
def test_rest_a_preflight_is_answered_for_every_path(client, path):
    headers = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    allowed = client.options(path, headers={"Origin": "https://page.example", **headers})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://page.example"
    assert "authorization" in allowed.headers["access-control-allow-headers"]
    other = client.options(path, headers={"Origin": "https://other.example", **headers})
    assert "access-control-allow-origin" not in other.headers


def test_stream_a_model_that_hears_no_sound_is_refused(server, client):
    signatures = server.models.get("lengths").signatures
    signatures["stream"] = Signature(server.models.get("lengths").definitions["explain"])
    with client.websocket_connect("/v1/models/lengths:stream") as socket:
        assert "lengths hears no sound: it has no signature stream with" in socket.receive_json()["error"]


@pytest.fixture
def called(place, made):
    """Calls a server by gRPC: its answer, or the code and text of its refusal."""
    server = made(place, token="secret")

    async def call(make, method, request, authorization):
        running, port = await rpc.start(server, "127.0.0.1:0", None, 1_000_000)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                named = [("authorization", authorization)] if authorization else None
                return await getattr(make(channel), method)(request, metadata=named)
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details()
        finally:
            await running.stop(0)

    def asked(make, method, request, authorization="Bearer secret"):
        return asyncio.run(call(make, method, request, authorization))

    asked.server = server
    return asked


def test_rpc_status_is_that_of_the_version_for_who_may_ask(called):
    called.server.models.hosted["lengths"].statuses[2] = type(called.server.models.hosted["lengths"].statuses[1])(
        "END", "broken"
    )
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "lengths"
    make = model_service_pb2_grpc.ModelServiceStub
    for wrong in (None, "Bearer secre", "Basic secret", "secret"):
        assert called(make, "GetModelStatus", request, wrong)[0] == grpc.StatusCode.UNAUTHENTICATED
    assert called(make, "GetModelStatus", request, "bearer secret").model_version_status
    found = called(make, "GetModelStatus", request).model_version_status
    assert [(each.version, each.status.error_code, each.status.error_message) for each in found] == [
        (2, 2, "broken"), (1, 0, ""),
    ]  # fmt: skip
    request.model_spec.version.value = 1
    assert [each.version for each in called(make, "GetModelStatus", request).model_version_status] == [1]
    request.model_spec.version.value = 7
    assert called(make, "GetModelStatus", request)[0] == grpc.StatusCode.NOT_FOUND


def test_rpc_refuses_labels_signatures_outputs_and_sizes_that_are_not_there(called):
    def predicted(output=None, size=1, **spec):
        request = predict_pb2.PredictRequest()
        request.inputs["text"].CopyFrom(tf.make_tensor_proto([b"abc"]))
        request.inputs["text"].tensor_shape.dim[0].size = size
        request.output_filter.extend([output] if output else [])
        request.model_spec.name = "lengths"
        for key, value in spec.items():
            setattr(request.model_spec, key, value)
        return called(prediction_service_pb2_grpc.PredictionServiceStub, "Predict", request)

    assert list(predicted("label").outputs) == ["label"]
    assert predicted(version_label="best") == (
        grpc.StatusCode.NOT_FOUND, "Servable not found for request: Label(lengths, best)",
    )  # fmt: skip
    assert predicted("no") == (
        grpc.StatusCode.INVALID_ARGUMENT, "no is not an output. Allowed: label, probabilities.",
    )  # fmt: skip
    for size in (10**7, -(10**7)):
        assert predicted(size=size) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED, f"text: an array [{size}] is larger than 16 MB.",
        )  # fmt: skip
    assert predicted(signature_name="made up")[0] == grpc.StatusCode.INVALID_ARGUMENT
    assert any('signature="unknown"' in labels for labels in counted(called.server))
    assert not any("made up" in labels for labels in counted(called.server))


def test_rpc_health_is_that_of_rest(called):
    request, statuses = health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse
    make = health_pb2_grpc.HealthStub
    assert called(make, "Check", request).status == statuses.SERVING
    called.server.draining = True
    assert called(make, "Check", request).status == statuses.NOT_SERVING


def test_rpc_health_is_told_to_who_watches(place, made, monkeypatch):
    monkeypatch.setattr(rpc, "WATCH_S", 0.02)
    server = made(place)

    async def watch():
        running, port = await rpc.start(server, "127.0.0.1:0", None, 1_000_000)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                told = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
                first = (await told.read()).status
                server.draining = True
                return first, (await told.read()).status, await told.read()
        finally:
            await running.stop(0)

    statuses = health_pb2.HealthCheckResponse
    assert asyncio.run(asyncio.wait_for(watch(), 30)) == (
        statuses.SERVING, statuses.NOT_SERVING, grpc.aio.EOF,
    )  # fmt: skip
