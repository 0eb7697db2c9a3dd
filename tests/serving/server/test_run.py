"""A server in a process of its own: how it stops, and what clients that nobody here wrote make of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import fresh
import pytest
from websockets.sync.client import connect

from seqpipe.errors import RunError
from seqpipe.serving.server.run import check_certificate


@pytest.fixture
def running(place):
    """A server in a process of its own, and its port."""
    started = fresh.start("seqpipe", "serve", str(place), "--port", "0", "--grpc-port", "0")
    try:
        found = None
        while found is None:
            assert started.process.exitcode is None, started.streams[1].read_text()
            time.sleep(0.05)
            said = started.streams[0].read_text() if started.streams[0].exists() else ""
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", said)
        yield started, int(found[1])
    finally:
        if started.process.exitcode is None:
            started.process.kill()
        started.wait()


def asking(port, answered, lost):
    """Ask again and again on one connection, and on another when it is closed, until nobody listens."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.connect()
        except OSError:
            return
        try:
            while connection.sock is not None:
                connection.request("POST", "/v1/models/lengths:predict", b'{"instances": ["abc"]}')
                response = connection.getresponse()
                response.read()
                answered.append(response.status)
        except (OSError, http.client.HTTPException) as error:
            lost.append(repr(error))
            return
        finally:
            connection.close()


def test_server_told_to_stop_answers_what_comes_on_open_connections(running):
    started, port = running
    answered, lost = [], []
    clients = [threading.Thread(target=asking, args=(port, answered, lost), daemon=True) for _ in range(16)]
    for thread in clients:
        thread.start()
    deadline = time.monotonic() + 60
    while len(answered) < 200:
        assert time.monotonic() < deadline, (lost, answered[-3:])
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGTERM)
    for thread in clients:
        thread.join(60)
    started.process.join(60)
    assert (set(answered), lost, started.process.exitcode) == ({200}, [], 0)


def test_server_told_to_stop_waits_for_no_idle_connection(running):
    started, port = running
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/v2/health/ready")
    assert connection.getresponse().read() == b'{"ready": true}'
    os.kill(started.pid, signal.SIGTERM)
    started.process.join(60)
    connection.close()
    assert started.process.exitcode == 0
    assert "Stopping: answering what has come" in started.streams[0].read_text()


def test_server_told_to_stop_says_to_a_microphone_what_it_heard(running):
    started, port = running
    with connect(f"ws://127.0.0.1:{port}/v1/models/lengths:stream") as socket:
        socket.send(bytes(4 * 640))
        assert "label" in json.loads(socket.recv())
        os.kill(started.pid, signal.SIGTERM)
        told = [json.loads(message) for message in socket]
    started.process.join(60)
    assert told[-2]["seconds"] == 14 * 0.04  # a piece and half a second of quiet
    assert told[-1]["heard"]["label"] == "b"
    assert (socket.close_code, started.process.exitcode) == (1001, 0)


FOREIGN = """
import sys
import ovmsclient

client = ovmsclient.make_grpc_client(f"127.0.0.1:{sys.argv[1]}")
assert client.get_model_status("lengths")[1]["state"] == "AVAILABLE"
assert client.get_model_metadata("lengths")["inputs"]["text"]["dtype"] == "DT_STRING"
print(client.predict({"text": ["abc"]}, "lengths")["label"])
try:
    client.predict({"text": ["abc"]}, "nothing")
except ovmsclient.tfs_compat.base.errors.ModelNotFoundError:
    print("not found")
"""


def test_server_answers_a_client_that_nobody_here_wrote(running):
    started, _ = running
    port = re.search(r"gRPC 127\.0\.0\.1:(\d+)", started.streams[0].read_text())[1]
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN, port],
        env={**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},  # it was made for an older protobuf
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "3" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[1] == "not found"


def test_run_certificate_that_is_none_is_refused_before_anything_is_loaded(tmp_path):
    (tmp_path / "a.pem").write_text("no certificate")
    for name in ("a.pem", "b.pem"):
        with pytest.raises(RunError, match=r"--certificate .*\.pem and --key .*\.pem cannot be used: "):
            check_certificate(tmp_path / name, tmp_path / "a.pem")
