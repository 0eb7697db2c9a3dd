"""Trainings that end before their time, and several processes that train together: by the command line, to the end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from functools import partial
from pathlib import Path

import fresh
import numpy as np
import pytest
import yaml
from finished import finished

from pipelines import SHOPS, write_tiny
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
    """Of those that no program is given unasked: what is free now is free when a worker has started."""
    ports = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            ports.append(port)
    return list(dict.fromkeys(ports)) if len(set(ports)) == count else free_ports(count)


def two_workers(directory):
    """Both train the same pipeline."""
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    places = [{"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}} for index in range(2)]
    started = partial(fresh.start, "seqpipe", "train", "tiny.yaml", cwd=directory)
    return [started(TF_CONFIG=json.dumps(place)) for place in places]


def test_training_two_workers_of_which_one_is_told_to_stop_stop_after_the_same_step_and_go_on(tmp_path):
    """Of a task that computes before it trains, and trains once more in the end."""
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SHOPS))
    run = tmp_path / "runs" / "tiny"
    workers = two_workers(tmp_path)
    while not (run / "position.npz").exists() and workers[0].process.is_alive():
        time.sleep(0.005)
    os.kill(workers[1].pid, signal.SIGTERM)
    both = [worker.wait() for worker in workers]
    assert [done.returncode for done in both] == [128 + signal.SIGTERM] * 2, [done.stderr for done in both]
    assert len({done.stderr.splitlines()[-1] for done in both}) == 1
    for worker in two_workers(tmp_path):
        done = worker.wait()
        assert done.returncode == 0, done.stderr
    assert json.loads((run / "state.json").read_text())["steps"].keys() >= {"train", "refit"}


def test_training_two_workers_are_one_with_the_same_batch(tmp_path):
    changes = {"model__embedding": {"units": 8, "dropout": 0.0}, "model__dropout": 0.0, "training__batch_size": 30}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, **changes)
    assert fresh.run("seqpipe", "train", "tiny.yaml", cwd=tmp_path / "one").returncode == 0
    for worker in two_workers(tmp_path / "two"):
        done = worker.wait()
        assert done.returncode == 0, done.stderr
    one, two = (read_history(tmp_path / name / "runs" / "tiny") for name in ("one", "two"))
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], abs=1e-4)
    with np.load(tmp_path / "one/runs/tiny/best.npz") as a, np.load(tmp_path / "two/runs/tiny/best.npz") as b:
        for name in a.files:
            np.testing.assert_allclose(b[name], a[name], atol=2e-4)
