"""The server over a small model: REST, gRPC, WebSocket, versions, batches, refusals."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from lengths_model import publish
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from seqpipe.serving.server import rpc
from seqpipe.serving.server import versions as server_versions
from seqpipe.serving.server.errors import RequestError
from seqpipe.serving.server.rest import application


@pytest.fixture(scope="module")
def server(place, made):
    return made(place, max_body_mb=0.1, origins=("https://page.example",))


@pytest.fixture(scope="module")
def client(server):
    return TestClient(application(server))


def ask(client, body, path="/v1/models/lengths:predict", **more):
    response = client.post(path, content=body if isinstance(body, (str, bytes)) else json.dumps(body), **more)
    return response.status_code, response.json()


def test_server_answers_rows_and_columns(client):
    expected = {"label": "3", "probabilities": [pytest.approx(0.3), pytest.approx(0.7)]}
    assert ask(client, {"instances": ["abc"]}) == (200, {"predictions": [expected]})
    status, answer = ask(client, {"inputs": {"text": ["abc", "a"]}})
    assert (status, answer["outputs"]["label"]) == (200, ["3", "1"])
    assert ask(client, {"instances": ["abc"]}, "/v1/models/lengths/versions/1:predict")[0] == 200
    assert ask(client, {"instances": ["abc"]}, "/V1/Models/lengths/Versions/1:PREDICT")[0] == 200
    status, answer = ask(client, {"signature_name": "explain", "inputs": ["ab"]})
    assert answer == {"outputs": [["a", "b"]]}
    packed = gzip.compress(json.dumps({"instances": ["abc"]}).encode())
    assert ask(client, packed, headers={"Content-Encoding": "gzip"})[0] == 200
    status, answer = ask(client, packed, headers={"Content-Encoding": "br"})
    assert (status, answer["error"]) == (415, "Content-Encoding br is not known. Allowed: gzip.")
    for broken in (packed[:-4], packed + b"more", packed + packed):
        status, answer = ask(client, broken, headers={"Content-Encoding": "gzip"})
        assert (status, answer["error"].partition(":")[0]) == (400, "The body is not one whole gzip stream")
    assert ask(client, {"signature_name": "", "inputs": ["abc"]})[1] == ask(client, {"inputs": ["abc"]})[1]


CASES = [
    ("POST", "/v1/models/nothing:predict", "{}", 404, "Servable not found for request: Latest(nothing)"),
    (
        "POST",
        "/v1/models/lengths/versions/9:predict",
        "{}",
        404,
        "Servable not found for request: Specific(lengths, 9)",
    ),
    ("POST", "/v1/models/lengths/labels/best:predict", "{}", 404, "Label(lengths, best)"),
    ("GET", "/v1/models/nothing", None, 404, "Could not find any versions of model nothing"),
    ("GET", "/v1/models/lengths/versions/9", None, 404, "Could not find version 9 of model lengths"),
    ("GET", "/v1/models/lengths:predict", None, 400, "Malformed request: GET /v1/models/lengths:predict"),
    ("DELETE", "/v1/models/lengths", None, 400, "Malformed request: DELETE"),
    ("GET", "/v1/models", None, 400, "Missing model name in request."),
    (
        "POST",
        "/v1/models/lengths:classify",
        '{"examples": []}',
        400,
        "Expected classification signature method_name to be "
        "tensorflow/serving/classify. Was: tensorflow/serving/predict",
    ),
    ("POST", "/v1/models/lengths:predict", "x", 400, "JSON Parse error"),
    ("POST", "/v1/models/lengths:predict", '{"signature_name": "no", "instances": ["a"]}', 400, '"no" not found'),
    ("POST", "/v1/models/lengths:predict", '{"signature_name": "labels", "inputs": []}', 400, "it has no inputs"),
    (
        "POST",
        "/v1/models/lengths:predict",
        '{"instances": ["%s"]}' % ("x" * 1000),
        400,
        "text is longer than 999 bytes",
    ),
    ("POST", "/v1/models/lengths:predict", "x" * 200_000, 413, "The body is larger than 0.1 MB."),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "text"), CASES)
def test_server_refuses_with_the_code_and_the_rule(client, method, path, body, status, text):
    response = client.request(method, path, content=body)
    assert response.status_code == status
    assert text in response.json()["error"]


def test_server_refuses_a_gzip_bomb(client):
    bomb = gzip.compress(b" " * 50_000_000)
    assert ask(client, bomb, headers={"Content-Encoding": "gzip"})[0] == 413
    assert ask(client, b"no gzip", headers={"Content-Encoding": "gzip"})[0] == 400


def test_server_says_what_there_is(client):
    status = client.get("/v1/models/lengths").json()["model_version_status"]
    assert status == [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]
    signatures = client.get("/v1/models/lengths/metadata").json()["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["inputs"]["text"]["dtype"] == "DT_STRING"
    assert client.get("/v2/health/ready").json() == {"ready": True}
    (model,) = client.get("/models").json()["models"]
    assert model["labels"] == ["a", "b"]
    assert "/v1/models/lengths:predict" in client.get("/openapi.json").json()["paths"]
    ask(client, {"instances": ["abc"]})
    assert b'seqpipe_requests_total{code="200",model="lengths"' in client.get("/metrics").content
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http" not in page.text.replace("http-equiv", "")


def test_server_speaks_the_open_inference_protocol(client):
    body = {"id": "7", "inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["abc", "a"]}]}
    status, answer = ask(client, body, "/v2/models/lengths/infer")
    assert status == 200
    assert answer["id"] == "7"
    assert answer["outputs"][0] == {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["3", "1"]}
    body["inputs"][0]["shape"] = [3]
    assert ask(client, body, "/v2/models/lengths/infer")[0] == 400


def test_server_knows_who_may_ask(place, client, made):
    allowed = client.get("/v1/models/lengths", headers={"Origin": "https://page.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://page.example"
    assert client.get("/v1/models/lengths", headers={"Origin": "https://other.example"}).status_code == 403
    guarded = TestClient(application(made(place, token="secret")))
    assert guarded.get("/v1/models/lengths").status_code == 401
    assert guarded.get("/v1/models/lengths", headers={"Authorization": "Bearer secret"}).status_code == 200
    assert guarded.get("/v1/models/lengths", headers={"Authorization": "bearer secret"}).status_code == 200
    for token, named in (("schlüssel", "Bearer schlüssel".encode()), ("", b"Bearer ")):
        guarded = TestClient(application(made(place, token=token)))
        assert guarded.get("/v1/models/lengths", headers={"Authorization": named}).status_code == 200
        assert guarded.get("/v1/models/lengths").status_code == 401


def test_server_stream_takes_the_token_as_a_subprotocol(place, made):
    guarded = TestClient(application(made(place, token="t/ö?")))

    def said(protocols, **headers):
        with guarded.websocket_connect("/v1/models/lengths:stream", subprotocols=protocols, headers=headers) as socket:
            socket.send_bytes(np.zeros(640, "<f4").tobytes())
            return socket.accepted_subprotocol, next(iter(socket.receive_json()))

    named = base64.urlsafe_b64encode("t/ö?".encode()).decode()
    assert said(["seqpipe", f"seqpipe.token.{named.rstrip('=')}"]) == ("seqpipe", "label")
    assert said([], Authorization="Bearer t/ö?".encode()) == (None, "label")
    for wrong in ("", "dC8", "!", named[:-3]):
        assert said(["seqpipe", f"seqpipe.token.{wrong}"]) == ("seqpipe", "error")
    assert said(["seqpipe"]) == ("seqpipe", "error")


def test_server_that_is_strict_has_nothing_of_its_own(place, made):
    strict = TestClient(application(made(place, strict=True)))
    assert strict.get("/v1/models/lengths").status_code == 200
    for path in ("/", "/models", "/openapi.json", "/v2/models/lengths"):
        assert strict.get(path).status_code == 404


def test_server_answers_rows_with_strangers_as_alone(server):
    texts = ["x" * (i % 7) for i in range(60)]

    async def all_at_once():
        servable = server.models.get("lengths")
        return await asyncio.gather(
            *(
                server.batcher.answer(
                    servable, "serving_default", {"text": np.array([t.encode()], object)}, timeout_s=30
                )
                for t in texts
            )
        )

    answers = asyncio.run(all_at_once())
    assert [answer["label"].tolist() for answer in answers] == [[str(len(t)).encode()] for t in texts]


def test_server_bad_row_does_not_spoil_the_batch_beside_it(server):
    async def three():
        servable = server.models.get("lengths")
        texts = [b"abc", b"x" * 1000, b"a"]
        return await asyncio.gather(
            *(
                server.batcher.answer(servable, "serving_default", {"text": np.array([t], object)}, timeout_s=30)
                for t in texts
            ),
            return_exceptions=True,
        )

    first, bad, last = asyncio.run(three())
    assert (first["label"][0], last["label"][0]) == (b"3", b"1")
    assert isinstance(bad, RequestError)


def test_server_full_queue_and_deadline_are_said(place, made, queued):
    server = made(place)
    servable = server.models.get("lengths")
    gate, run = threading.Event(), servable.run
    servable.run = lambda *arguments: (gate.wait(), run(*arguments))[1]

    async def crowd():
        row = {"text": np.array([b"a"], object)}
        slow = asyncio.create_task(server.batcher.answer(servable, "serving_default", row, timeout_s=0.2))
        await queued(server, requests=1, rows=0)
        rows = {"text": np.array([b"a"] * 64, object)}
        waiting = asyncio.create_task(server.batcher.answer(servable, "serving_default", rows, timeout_s=30))
        await queued(server, requests=2, rows=64)
        with pytest.raises(RequestError, match="1 rows do not fit into the queue: 64 wait") as full:
            await server.batcher.answer(servable, "serving_default", row, timeout_s=30)
        with pytest.raises(RequestError, match=r"no answer within 0\.2 s") as late:
            await slow
        gate.set()
        return full.value, late.value, await waiting

    full, late, answer = asyncio.run(crowd())
    assert (full.status, full.retry_after_s, late.status) == (429, 1, 504)
    assert len(answer["label"]) == 64


def loading_threads():
    return sum(thread.name.startswith("seqpipe-lengths-") for thread in threading.enumerate())


def test_server_swaps_versions_and_keeps_the_old_where_the_new_is_broken(tmp_path, made):
    directory = tmp_path / "lengths"
    directory.mkdir()
    publish(directory, 1)
    server = made(directory)
    client = TestClient(application(server))
    publish(directory, 2)
    threads = loading_threads()
    server.models.look()
    assert server.models.get("lengths").version == 2
    assert loading_threads() <= threads  # that of the version before has ended
    states = [each["state"] for each in client.get("/v1/models/lengths").json()["model_version_status"]]
    assert states == ["AVAILABLE", "END"]
    (directory / "3").mkdir()
    (directory / "3" / "saved_model.pb").write_bytes(b"broken")
    server.models.look()
    assert ask(client, {"instances": ["abc"]})[0] == 200
    (broken, *_) = client.get("/v1/models/lengths").json()["model_version_status"]
    assert broken["version"] == "3"
    assert broken["status"]["error_message"]


def test_server_listens_to_a_stream(client):
    with client.websocket_connect("/v1/models/lengths:stream") as socket:
        socket.send_text('{"format": "int16"}')
        socket.send_bytes((np.ones(640) * 16384).astype("<i2").tobytes())
        step = socket.receive_json()
        assert step["probabilities"]["a"] == pytest.approx(0.5)
        assert b"\nseqpipe_streams 1.0\n" in client.get("/metrics").content
        socket.send_bytes(b"odd")
        assert "whole int16 samples" in socket.receive_json()["error"]
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()
    assert b"\nseqpipe_streams 0.0\n" in client.get("/metrics").content


def test_server_answers_grpc(server):
    async def call():
        running, port = await rpc.start(server, "127.0.0.1:0", None, 1_000_000)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "lengths"
            request.inputs["text"].CopyFrom(tf.make_tensor_proto([b"abc"]))
            predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
            answer = await predict(request)
            request.inputs["text"].CopyFrom(tf.make_tensor_proto([1.0]))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await predict(request)
            asked = get_model_status_pb2.GetModelStatusRequest()
            asked.model_spec.name = "lengths"
            status = await model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(asked)
        await running.stop(0)
        return answer, refused.value, status

    answer, refused, status = asyncio.run(call())
    assert tf.make_ndarray(answer.outputs["label"]).tolist() == [b"3"]
    assert answer.model_spec.version.value == 1
    assert refused.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert status.model_version_status[0].state == get_model_status_pb2.ModelVersionStatus.AVAILABLE


def test_server_takes_no_half_of_a_character(client):
    for body in ('{"instances": ["a\\ud83d"]}', '{"signature_name": "\\udc00", "instances": ["a"]}'):
        status, answer = ask(client, body)
        assert status == 400
        assert answer["error"].startswith("JSON Parse error: The surrogate pair in string is invalid")
    assert ask(client, b'{"instances": ["\xed\xa0\xbd"]}')[0] == 400
    status, answer = ask(client, '{"signature_name": "explain", "inputs": ["\\ud83d\\ude00"]}')
    assert (status, len(answer["outputs"][0])) == (200, 4)


def test_server_forgets_a_request_that_nobody_waits_for(place, made, queued):
    server = made(place)
    servable = server.models.get("lengths")
    gate, run = threading.Event(), servable.run
    servable.run = lambda *arguments: (gate.wait(), run(*arguments))[1]
    row = {"text": np.array([b"a"] * 40, object)}

    async def crowd():
        def asked(timeout_s=30):
            return asyncio.create_task(server.batcher.answer(servable, "serving_default", row, timeout_s=timeout_s))

        running = asked()
        await queued(server, requests=1, rows=0)
        waiting = asked()
        await queued(server, requests=2, rows=40)
        assert servable.in_flight == 2
        assert b"seqpipe_queue_rows 40.0" in server.metrics.text()
        waiting.cancel()
        await asyncio.sleep(0.05)
        assert servable.in_flight == 1
        late = asked(timeout_s=0.05)  # which has room, since the one before it is gone
        with pytest.raises(RequestError, match="Deadline"):
            await late
        assert servable.in_flight == 1
        gate.set()
        return await running

    assert len(asyncio.run(crowd())["label"]) == 40
    assert b"seqpipe_queue_rows 0.0" in server.metrics.text()


def test_server_answers_on_after_an_event_loop_is_gone(place, made):
    server = made(place)
    servable = server.models.get("lengths")
    gate, run = threading.Event(), servable.run
    servable.run = lambda *arguments: (gate.wait(), run(*arguments))[1]
    row = {"text": np.array([b"a"], object)}

    async def leave():
        task = asyncio.create_task(server.batcher.answer(servable, "serving_default", row, timeout_s=30))
        await asyncio.sleep(0.05)
        assert not task.done()

    asyncio.run(leave())
    gate.set()
    answer = asyncio.run(server.batcher.answer(servable, "serving_default", row, timeout_s=30))
    assert answer["label"].tolist() == [b"1"]


def test_server_looks_on_after_a_directory_could_not_be_read(place, monkeypatch, caplog, made):
    server, versions = made(place), server_versions.versions
    monkeypatch.setattr(server_versions, "POLL_S", 0.01)
    looked = []

    def failing(directory):
        looked.append(directory)
        if len(looked) < 3:
            raise PermissionError("no entry")
        return versions(directory)

    monkeypatch.setattr(server_versions, "versions", failing)
    server.models.start()
    deadline = time.monotonic() + 10
    while len(looked) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    server.models._stop.set()
    server.models._poller.join()
    assert len(looked) >= 5
    assert "cannot be looked at" in caplog.text
    assert server.models.get("lengths").version
