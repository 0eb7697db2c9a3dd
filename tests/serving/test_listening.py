from __future__ import annotations

import json
import sys
import types

import fresh
import numpy as np
import pytest
import soundfile
import tensorflow as tf
import yaml
from finished import finished

import seqpipe
from pipelines import TONES
from seqpipe.errors import DataError, ModelError
from seqpipe.runs.run import open_run
from seqpipe.serving.listening import (
    PIECE_MS,
    Detector,
    Heard,
    _before_the_end,
    as_line,
    listen,
    microphone,
    read_blocks,
    stream,
)
from seqpipe.sound.tones import tones
from seqpipe.tasks import load_pipeline
from seqpipe.tasks.speech_commands.streaming import StreamingRecogniser

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


def test_detector_hears_one_command_after_the_other():
    """The second rose while the first lasted, or in the time in which none is found."""
    crossing = np.array([[1.0, 0.5, 0, 0]] * 10 + [[0.2, 1, 0, 0]] * 30)
    first, second = Detector(0.8, 0, refractory_ms=500).commands(crossing, LABELS)
    assert (first.label, second.label) == ("yes", "no")
    assert first.end_s == pytest.approx(second.start_s) == pytest.approx(0.4)


def test_detector_is_as_slow_to_hear_at_the_beginning_as_later():
    rows = probabilities(("yes", 1, 1), ("silence", 20, 1))
    assert not list(Detector(0.7, smoothing_ms=200).commands(rows, LABELS))
    (heard,) = Detector(0.7, smoothing_ms=200).commands(probabilities(("yes", 5, 1), ("silence", 20, 1)), LABELS)
    assert heard.confidence == pytest.approx(1)


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
    facts = {"file": "a.wav", "label": "yes", "start_s": 1.0, "end_s": 1.25, "confidence": 0.9877}
    assert json.loads(as_line(heard, "a.wav", "jsonl")) == facts
    assert as_line(heard, "a.wav", "text").split() == ["1.00", "1.25", "yes", "0.988"]
    assert 1000 % PIECE_MS == 0


def test_listening_hears_a_word_at_the_very_end():
    """The model is sure of it only in the quiet after it, which is no part of the recording."""
    recording = [np.ones(8_000, np.float32), np.ones(8_000, np.float32)]

    def surer_in_quiet(blocks):
        for block in blocks:
            pieces = len(block) // (16 * PIECE_MS)
            yield from probabilities(("yes", pieces, 0.5 if block.any() else 0.9))

    def commands(blocks):
        return Detector(0.8, smoothing_ms=0).commands(surer_in_quiet(blocks), LABELS)

    assert not list(commands(recording))
    (heard,) = _before_the_end(recording, commands)
    assert (heard.label, heard.end_s) == ("yes", pytest.approx(1.0))


@pytest.mark.parametrize("blocks", [[639, 1, 640, 1], [1, 1, 2000, 640, 5], [1280], [3]])
def test_listening_gives_a_model_whole_pieces_and_what_is_left_in_the_end(blocks):
    whole = np.arange(sum(blocks), dtype=np.float32)
    given = []

    def signature(waveform, age):
        given.append(waveform.numpy()[0])
        return {"probabilities": age + 1, "age": age + 1}

    specs = {"age": tf.TensorSpec([None, 1], tf.float32)}
    answers = list(stream(signature, specs, np.split(whole, np.cumsum(blocks)[:-1])))
    assert [len(piece) for piece in given[:-1]] == [640] * (len(given) - 1)
    assert 0 < len(given[-1]) <= 640
    np.testing.assert_array_equal(np.concatenate(given), whole)
    assert [answer.tolist() for answer in answers] == [[count] for count in range(1, len(given) + 1)]


class Microphone:
    """Of a fake sounddevice: three blocks, then it is unplugged."""

    def __init__(self, **settings):
        assert settings == {"samplerate": 16_000, "channels": 1, "dtype": "float32"}
        self.count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def read(self, size):
        self.count += 1
        if self.count > 3:
            raise OSError("unplugged")
        return np.full((size, 1), self.count, np.float32), False


def test_listening_to_a_microphone(monkeypatch):
    fake = types.SimpleNamespace(InputStream=Microphone, PortAudioError=OSError)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    blocks = microphone()
    heard = [next(blocks) for _ in range(3)]
    assert [block.shape for block in heard] == [(16 * PIECE_MS,)] * 3
    assert [block[0] for block in heard] == [1, 2, 3]
    with pytest.raises(DataError, match="--microphone: unplugged"):
        next(blocks)


def test_listening_to_a_microphone_needs_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DataError, match=r"--microphone needs pip install 'seqpipe\[microphone\]': "):
        next(microphone())


@pytest.fixture(scope="module")
def streaming(tmp_path_factory):
    """A small model that streams, trained on tones, saved and loaded."""
    directory = tmp_path_factory.mktemp("streaming")
    tree = yaml.safe_load(yaml.safe_dump(TONES))
    tree["data"] |= {"train": "builtin:tones?split=train&rows=240", "made_unknown_fraction": 0.0}
    tree["model"] |= {"streaming": True, "recurrent": {"units": 24, "bidirectional": False}, "dropout": 0.0}
    off = ("noise_fraction", "speed", "pitch", "reverberation_fraction", "time_masks", "band_masks")
    tree["training"] |= {"epochs": 16, "augmentation": dict.fromkeys(off, 0), "xla": "never"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        (directory / "tiny.yaml").write_text(yaml.safe_dump(tree))
        with open_run(load_pipeline("tiny.yaml").config, say=lambda line: None) as run:
            run.train()
            model, task = run.best_model, run.task
    module = StreamingRecogniser(model, task.mel, classes=task.classes, temperature=1.0, version=1)
    tf.saved_model.save(module, str(directory / "saved"), signatures=module.functions())
    return seqpipe.load(directory / "saved")


@pytest.fixture(scope="module")
def spoken():
    """The easiest word said by dev voices, each time in a second."""
    return [wave.astype(np.float32) for word, _, wave in tones("dev", 48, 1) if word == "di"][:4]


def test_listening_stream_in_any_pieces_answers_as_the_whole(streaming, spoken):
    rng = np.random.default_rng(3)
    signature = streaming.loaded.signatures["stream"]
    specs = signature.structured_input_signature[1]
    for size in (3, 40_000):
        wave = np.concatenate(spoken)[:size]
        state = {name: tf.zeros([1, *spec.shape[1:]], spec.dtype) for name, spec in specs.items() if name != "waveform"}
        for piece in np.split(wave, np.sort(rng.integers(0, size, 17))):
            answer = signature(waveform=tf.constant(piece[None]), **state)
            state = {name: answer[name] for name in state}
        whole = streaming.run([wave])
        np.testing.assert_allclose(answer["probabilities"].numpy(), whole["probabilities"], atol=1e-4)


def test_listening_finds_commands_in_a_recording(streaming, spoken, tmp_path):
    quiet = np.zeros(16_000, np.float32)
    recording = np.concatenate([part for wave in spoken for part in (wave, quiet)])
    soundfile.write(tmp_path / "a.wav", recording, 16_000)
    heard = list(listen(streaming, read_blocks(tmp_path / "a.wav"), Detector(0.5, smoothing_ms=80)))
    assert {each.label for each in heard} == {"di"}
    assert len({int(each.start_s // 2) for each in heard}) >= 3, heard
    assert all(0 <= each.start_s < each.end_s <= 8 for each in heard)
    options = ("--model", str(streaming.path), "--threshold", "0.5", "--smoothing-ms", "80", "--format", "jsonl")
    done = fresh.run("seqpipe", "listen", "a.wav", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{streaming.name} hears {', '.join(streaming.labels)}" in done.stderr.splitlines()
    assert done.stdout.splitlines() == [as_line(each, "a.wav", "jsonl") for each in heard]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["streaming", "clips"])
def test_listening_to_an_hour_at_once(name, streaming, tmp_path_factory):
    import resource

    model = streaming
    if name == "clips":
        model = seqpipe.load(finished("speech_commands", tmp_path_factory) / "saved_models" / "tiny" / "1")
    hour = 0.01 * np.random.default_rng(0).standard_normal(3600 * 16_000, np.float32)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for wave in (hour, np.zeros_like(hour)):
        (answer,) = model([wave])
        assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
    grown_bytes = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib)
    assert grown_bytes < 8 * hour.nbytes  # a few copies of the samples; frames of all of them would be more
