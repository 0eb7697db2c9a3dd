"""The commands, given a recogniser."""

from __future__ import annotations

import json
import re

import fresh
import pytest
from finished import finished


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return finished("speech_commands", tmp_path_factory)


def seqpipe(*arguments, cwd):
    return fresh.run("seqpipe", *arguments, cwd=cwd, COLUMNS="160", NO_COLOR="1")


def test_recogniser_check_says_what_a_clip_is_for_the_network(home):
    done = seqpipe("check", "tiny.yaml", cwd=home)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert re.search(r"[\d,]+ rows, \d+ batches an epoch; steps a row: median 98, 90 % within 98 to 98", said), said
    assert "Receptive fields" in done.stdout
    assert "rnn1 all 2 1,248" in said


def test_recogniser_evaluate_reports_on_labelled_recordings(home):
    source = "builtin:tones?split=dev&rows=40"
    done = seqpipe("evaluate", "saved_models/tiny/1", "--data", source, "--output", "report", cwd=home)
    assert done.returncode == 0, done.stderr
    report = json.loads((home / "report" / "report.json").read_text())
    accuracy = (
        report["splits"]["test"]["measures"]["accuracy"] if "splits" in report else report["measures"]["accuracy"]
    )
    assert accuracy["n"] == 39  # of 40 one is left out
    assert 0 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
    assert accuracy["low"] < accuracy["high"]


def test_recogniser_listen_names_a_model_that_does_not_stream(home):
    (home / "a.wav").write_bytes(b"")
    done = seqpipe("listen", "a.wav", "--model", "tiny", cwd=home)
    assert done.returncode == 2
    assert "does not stream: it has no signature stream. Train one with model.streaming." in done.stderr


def test_recogniser_listen_takes_recordings_or_the_microphone(home):
    for arguments in ([], ["a.wav", "--microphone"]):
        done = seqpipe("listen", *arguments, cwd=home)
        assert done.returncode == 2
        assert "listen takes recordings or --microphone, one of them." in done.stderr
