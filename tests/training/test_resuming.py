"""Trainings that end before their time, and several processes that train together: by the command line, to the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import fresh
import numpy as np
import pytest
from finished import finished

from pipelines import write_tiny
from seqpipe.training.position import read_history

KILLED = Path(__file__).parents[1] / "killed.py"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    directory = write(tmp_path_factory.mktemp("uninterrupted"))
    assert fresh.run("seqpipe", "train", "tiny.yaml", cwd=directory).returncode == 0
    return directory / "runs" / "tiny"


def write(directory, **changes):
    """A pipeline whose graphs are quickly traced; that of commands has a recurrence."""
    write_tiny(directory, model__recurrent=None, **changes)
    return directory


def assert_same_run(directory: Path, uninterrupted: Path) -> None:
    with np.load(directory / "best.npz") as ours, np.load(uninterrupted / "best.npz") as theirs:
        for name in theirs.files:
            np.testing.assert_array_equal(ours[name], theirs[name])
    with np.load(directory / "position.npz") as ours, np.load(uninterrupted / "position.npz") as theirs:
        for name in set(theirs.files) - {"position"}:
            np.testing.assert_array_equal(ours[name], theirs[name])
    assert (directory / "history.jsonl").read_text() == (uninterrupted / "history.jsonl").read_text()


def test_training_stopped_anywhere_and_resumed_is_bit_for_bit_the_same(tmp_path, uninterrupted):
    """Killed three times and asked to stop once, by one process after the other."""
    write(tmp_path)
    position = tmp_path / "runs" / "tiny" / "position.npz"

    def kill(place: str, count: int, step: str) -> None:
        killed = fresh.run(KILLED, place, str(count), step, "tiny.yaml", cwd=tmp_path)
        assert killed.returncode == -signal.SIGKILL, killed.stderr

    kill("after a step", 7, "train")
    kill("while the position is written", 3, "train")
    before = position.stat().st_mtime_ns
    started = fresh.start("seqpipe", "train", "tiny.yaml", cwd=tmp_path)
    while position.stat().st_mtime_ns == before and started.process.is_alive():
        time.sleep(0.005)
    os.kill(started.pid, signal.SIGTERM)
    stopped = started.wait()
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    assert "The position is saved; the same command goes on from here." in stopped.stderr
    kill("before evaluation", 1, "run")
    resumed = fresh.run("seqpipe", "train", "tiny.yaml", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_run(tmp_path / "runs" / "tiny", uninterrupted)
    assert not list((tmp_path / "runs" / "tiny").glob(".*.part"))


def test_training_of_commands_killed_and_resumed_is_bit_for_bit_the_same(tmp_path, tmp_path_factory):
    whole = finished("speech_commands", tmp_path_factory)
    shutil.copy(whole / "tiny.yaml", tmp_path)
    lines = (whole / "runs" / "tiny" / "history.jsonl").read_text().splitlines()
    count = len(lines) - 2  # in the last epoch, in which clips change otherwise than in the first
    killed = fresh.run(KILLED, "after a step", str(count), "train", "tiny.yaml", cwd=tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = fresh.run("seqpipe", "train", "tiny.yaml", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_run(tmp_path / "runs" / "tiny", whole / "runs" / "tiny")


def test_training_full_disk_loses_nothing(tmp_path, uninterrupted):
    (tmp_path / "runs").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path / "runs")]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        write(tmp_path)
        full = fresh.run("seqpipe", "train", "tiny.yaml", cwd=tmp_path)
        assert full.returncode == 2, full.stderr
        assert "the disk is full. Nothing half-written stays" in full.stderr
        subprocess.run(["mount", "-o", "remount,size=50m", str(tmp_path / "runs")], check=True)
        assert fresh.run("seqpipe", "train", "tiny.yaml", cwd=tmp_path).returncode == 0
        assert_same_run(tmp_path / "runs" / "tiny", uninterrupted)
    finally:
        subprocess.run(["umount", str(tmp_path / "runs")], check=True)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def test_training_two_workers_are_one_with_the_same_batch(tmp_path):
    changes = {"model__embedding": {"units": 8, "dropout": 0.0}, "model__dropout": 0.0, "training__batch_size": 30}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, **changes)
    assert fresh.run("seqpipe", "train", "tiny.yaml", cwd=tmp_path / "one").returncode == 0
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = [
        fresh.start(
            "seqpipe",
            "train",
            "tiny.yaml",
            cwd=tmp_path / "two",
            TF_CONFIG=json.dumps({"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]
    for worker in workers:
        done = worker.wait()
        assert done.returncode == 0, done.stderr
    one, two = (read_history(tmp_path / name / "runs" / "tiny") for name in ("one", "two"))
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], abs=1e-4)
    with np.load(tmp_path / "one/runs/tiny/best.npz") as a, np.load(tmp_path / "two/runs/tiny/best.npz") as b:
        for name in a.files:
            np.testing.assert_allclose(b[name], a[name], atol=2e-4)
