from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from seqpipe.errors import DataError, ModelError
from seqpipe.listening import PIECE_MS, Detector, Heard, as_line, listen, read_blocks

LABELS = ["yes", "no", "unknown", "silence"]


def probabilities(*parts):
    """Rows of probabilities: (label, pieces, p) one after another, the rest is silence's."""
    rows = []
    for label, pieces, p in parts:
        row = np.zeros(len(LABELS))
        row[LABELS.index(label)] = p
        row[-1] += 1 - p
        rows += [row] * pieces
    return rows


def test_detector_hears_commands_with_start_end_and_confidence():
    rows = probabilities(("silence", 50, 1), ("yes", 25, 0.9), ("silence", 50, 1), ("no", 25, 0.8))
    first, second = Detector(0.7, smoothing_ms=0, refractory_ms=0).commands(rows, LABELS)
    assert (first.label, second.label) == ("yes", "no")
    assert (first.start_s, first.end_s) == (pytest.approx(2.0), pytest.approx(3.0))
    assert (second.start_s, second.end_s) == (pytest.approx(5.0), pytest.approx(6.0))
    assert (first.confidence, second.confidence) == (pytest.approx(0.9), pytest.approx(0.8))


def test_detector_hears_no_unknown_and_nothing_below_the_threshold():
    rows = probabilities(("unknown", 50, 1), ("yes", 50, 0.69))
    assert not list(Detector(0.7).commands(rows, LABELS))


def test_detector_smoothing_passes_over_a_flicker():
    rows = probabilities(("silence", 20, 1), ("yes", 1, 1), ("silence", 20, 1))
    assert len(list(Detector(0.7, smoothing_ms=0).commands(rows, LABELS))) == 1
    assert not list(Detector(0.7, smoothing_ms=200).commands(rows, LABELS))


def test_detector_refractory_time():
    rows = probabilities(("yes", 10, 1), ("silence", 5, 1), ("no", 5, 1), ("silence", 5, 1))
    assert len(list(Detector(0.7, 0, refractory_ms=0).commands(rows, LABELS))) == 2
    assert len(list(Detector(0.7, 0, refractory_ms=500).commands(rows, LABELS))) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [((1.5, 0, 0), "--threshold 1.5 is not a probability"), ((0.5, -1, 0), "--smoothing-ms -1 is not allowed")],
)
def test_detector_refuses(settings, message):
    with pytest.raises(DataError, match=message):
        Detector(*settings)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_listening_reads_blocks_of_any_rate(tmp_path, rate_hz):
    time = np.arange(int(2.5 * rate_hz)) / rate_hz
    sound = 0.5 * np.sin(2 * np.pi * 300 * time)
    soundfile.write(tmp_path / "a.wav", np.stack([sound, sound], axis=1), rate_hz)
    blocks = list(read_blocks(tmp_path / "a.wav"))
    assert len(blocks) > 2
    whole = np.concatenate(blocks)
    assert len(whole) == pytest.approx(40_000, abs=2)
    expected = 0.5 * np.sin(2 * np.pi * 300 * np.arange(len(whole)) / 16_000)
    np.testing.assert_allclose(whole[500:-500], expected[500:-500], atol=1e-2)


def test_listening_names_what_it_cannot_read(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(DataError, match=r"a.wav cannot be decoded"):
        list(read_blocks(tmp_path / "a.wav"))
    with pytest.raises(DataError, match="is no file"):
        list(read_blocks(tmp_path / "b.wav"))


class Deaf:
    path = "deaf/1"
    signatures = ("serving_default",)


def test_listening_needs_a_model_that_streams():
    with pytest.raises(ModelError, match="deaf/1 does not stream"):
        listen(Deaf(), [], Detector())


def test_listening_formats():
    heard = Heard("yes", 1.0, 1.25, 0.987654)
    assert as_line(heard, "a.wav", "audacity") == "1.000\t1.250\tyes"
    facts = {"file": "a.wav", "label": "yes", "start_s": 1.0, "end_s": 1.25, "confidence": 0.9877}
    assert json.loads(as_line(heard, "a.wav", "jsonl")) == facts
    assert as_line(heard, "a.wav", "text").split() == ["1.00", "1.25", "yes", "0.988"]
    assert 1000 % PIECE_MS == 0
