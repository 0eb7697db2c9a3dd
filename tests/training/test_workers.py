from __future__ import annotations

import json

import pytest

from seqpipe.errors import RunError
from seqpipe.training import workers

CLUSTER = {"worker": ["a:1", "b:1"]}


@pytest.mark.parametrize(
    ("cluster", "task", "chief"),
    [
        (CLUSTER, {"type": "worker", "index": 0}, True),
        (CLUSTER, {"type": "worker", "index": 1}, False),
        ({**CLUSTER, "chief": ["c:1"]}, {"type": "worker", "index": 0}, False),
        ({**CLUSTER, "chief": ["c:1"]}, {"type": "chief", "index": 0}, True),
        (CLUSTER, {"type": "evaluator", "index": 0}, False),
    ],
)
def test_workers_one_of_them_writes(monkeypatch, cluster, task, chief):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    assert workers.is_chief() is chief


def test_workers_a_process_alone_writes(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert workers.is_chief()


@pytest.mark.parametrize("text", ["{", "[]", '{"cluster": {}}', '{"cluster": {}, "task": {"type": "worker"}}'])
def test_workers_name_a_tf_config_that_is_none(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(RunError, match=r"TF_CONFIG is not usable \(.*It looks like"):
        workers.is_chief()


@pytest.mark.parametrize(("needed", "waited"), [(0, 0), (3, 3)])
def test_workers_wait_until_the_chief_has_done_it(monkeypatch, needed, waited):
    naps = []
    monkeypatch.setattr(workers.time, "sleep", naps.append)
    workers.wait_for(lambda: len(naps) >= needed, "finish")
    assert naps == [workers.POLL_S] * waited


def test_workers_give_up_after_half_an_hour(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(workers.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(workers.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + 600))
    with pytest.raises(RunError, match=r"Waited 1,800 s for the chief to fit features\. Is it running, and is the run"):
        workers.wait_for(lambda: False, "fit features")
    assert now[0] == 100 + 4 * 600  # three times 600 s are not more than 1,800 s
