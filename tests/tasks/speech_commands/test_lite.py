from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from streaming_model import CLASSES, TEMPERATURE, on_a_device, recogniser, save, tiny

from seqpipe.errors import DataError, ModelError, ProofError
from seqpipe.export import lite
from seqpipe.runs import lite as on_device
from seqpipe.sound.log_mel import blocks, mel_matrix
from seqpipe.tasks.speech_commands import lite as speech_commands_lite

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def artefact(tmp_path_factory):
    return on_a_device(tmp_path_factory)


@pytest.fixture(scope="module")
def served(artefact):
    return tf.saved_model.load(str(artefact)).signatures


def sounds(count=6):
    rng = np.random.default_rng(3)
    loudness = np.linspace(0, 9, 16_000)
    return [(rng.normal(size=16_000) * np.sin(loudness + n) ** 2 * 0.2).astype(np.float32) for n in range(count)]


@pytest.mark.parametrize(("name", "allowed"), [("float.tflite", 1e-5), ("int8.tflite", 0.03)])
def test_lite_clip_is_answered_as_by_the_savedmodel(artefact, served, name, allowed):
    content = (artefact / "lite" / name).read_bytes()
    assert not [op for op in lite.used_ops(content) if op.startswith("CUSTOM")]
    interpreter = lite.Interpreter(content)
    assert interpreter.inputs == {"waveform": ((1, 16_000), np.float32)}
    for waveform in sounds():
        answers = served["serving_default"](waveform=tf.constant(waveform[None]))
        expected = {key: value.numpy() for key, value in answers.items()}
        answer = interpreter(waveform=waveform[None])
        assert set(answer) == {"probabilities"}
        np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=allowed)
        assert CLASSES[answer["probabilities"].argmax()].encode() == expected["label"]


def test_lite_answers_a_number_to_everything(artefact):
    interpreter = lite.Interpreter((artefact / "lite" / "float.tflite").read_bytes())
    silent = interpreter(waveform=np.zeros((1, 16_000), np.float32))
    for value in (np.nan, np.inf, -np.inf, 12_000.0):
        answer = interpreter(waveform=np.full((1, 16_000), value, np.float32))
        np.testing.assert_array_equal(answer["probabilities"], silent["probabilities"])


def test_lite_files_are_in_the_card_and_the_report(artefact):
    report = json.loads((artefact / "lite" / "report.json").read_text())
    assert report["classes"] == CLASSES
    for name in report["files"]:
        assert zipfile.ZipFile(artefact / "lite" / name).read("labels.txt").decode().split("\n") == CLASSES
    assert report["files"]["int8.tflite"]["bytes"] == (artefact / "lite" / "int8.tflite").stat().st_size
    assert report["files"]["int8.tflite"]["bytes"] < report["files"]["float.tflite"]["bytes"]
    assert 0 < report["files"]["int8.tflite"]["difference"] < report["files"]["int8.tflite"]["allowed"]
    assert report["files"]["float.tflite"]["accuracy"]["n"] > 48  # builtin data is always at hand
    assert report["files"]["float.tflite"]["accuracy"] == report["savedmodel"]["accuracy"]
    card = (artefact / "card.md").read_text()
    assert card.index("## On a device") < card.index("| `int8.tflite` |") < card.index("## Limits")
    said = (artefact.parents[1] / "said.txt").read_text().splitlines()[-1]
    assert said.startswith("Published: ")
    assert said.endswith("tiny/1/lite")


def test_lite_files_that_are_there_stay(artefact, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in artefact.rglob("*")}
    place, config = on_device.find(str(artefact), [])
    on_device.add_lite(place, config, data_named=False, say=lambda line: None)
    assert before == {path: path.stat().st_mtime_ns for path in artefact.rglob("*")}


def test_lite_that_fails_its_proof_leaves_the_artefact_as_it_was(tmp_path, monkeypatch):
    directory = tmp_path / "tiny" / "1"
    save(directory, temperature=TEMPERATURE)
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    place, config = on_device.find(str(directory), ["data.train=files:gone.tar"])
    with pytest.raises(DataError, match=r"gone.tar does not exist"):
        on_device.add_lite(place, config, data_named=True, say=lambda line: None)
    monkeypatch.setitem(speech_commands_lite.TOLERANCE, "int8", 1e-7)
    said = []
    with pytest.raises(
        ProofError, match=r"int8.tflite answers otherwise than the SavedModel: by .* on \d+ probes, .*1e-07"
    ):
        on_device.add_lite(place, config, data_named=False, say=said.append)
    assert any("Its data is not at hand" in line for line in said)
    assert before == {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    assert not (directory / "lite").exists()
    (directory / "parity.json").write_text("{}")
    with pytest.raises(ModelError, match=r"1 was made by an older seqpipe: its parity.json has no facts.temperature"):
        on_device.add_lite(place, config, data_named=False, say=said.append)
    (directory / "model.keras").unlink()
    with pytest.raises(ModelError, match=r"has no model.keras, which its LiteRT files are made with"):
        on_device.find(str(directory), [])


def compare_steps(content, stream, *, samples, atol):
    """Steps of a LiteRT file beside the same pieces through `stream`, a function of waveform, samples and state."""
    assert not [op for op in lite.used_ops(content) if op.startswith("CUSTOM") or op in ("WHILE", "IF")]
    interpreter = lite.Interpreter(content)
    assert set(interpreter.inputs) == {"waveform", "samples", "state"}
    assert interpreter.inputs["waveform"] == ((1, samples), np.float32)
    answer = {name: np.zeros(*facts) for name, facts in interpreter.inputs.items()}
    assert answer["samples"].dtype == np.int32
    expected = {name: tf.constant(value) for name, value in answer.items()}
    expected["samples"] = tf.cast(expected["samples"], tf.int64)
    for piece in np.concatenate(sounds(2))[: 40 * samples].reshape(-1, 1, samples):
        answer = interpreter(waveform=piece, samples=answer["samples"], state=answer["state"])
        assert {value.dtype.name for value in answer.values()} == {"float32", "int32"}
        expected = stream(waveform=tf.constant(piece), samples=expected["samples"], state=expected["state"])
        np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=atol)
        np.testing.assert_array_equal(answer["samples"], expected["samples"])
        np.testing.assert_allclose(answer["state"], expected["state"], atol=100 * atol)


@pytest.mark.parametrize(("name", "atol"), [("stream_float.tflite", 1e-5), ("stream_int8.tflite", 0.03)])
def test_lite_steps_are_answered_as_by_the_stream(artefact, served, name, atol):
    compare_steps((artefact / "lite" / name).read_bytes(), served["stream"], samples=640, atol=atol)


def test_lite_steps_go_on_when_no_more_samples_are_counted(artefact):
    interpreter = lite.Interpreter((artefact / "lite" / "stream_float.tflite").read_bytes())
    pieces = np.concatenate(sounds(2))[: 40 * 640].reshape(-1, 1, 640)
    answers = []
    for samples in (2**20 // 640 * 640, 2**31 - 1 - 640):
        state = np.zeros(*interpreter.inputs["state"])
        for piece in pieces:
            answer = interpreter(waveform=piece, samples=np.array([samples], np.int32), state=state)
            samples, state = answer["samples"][0], answer["state"]
        answers.append(answer)
    assert 2**30 <= answers[1]["samples"] <= 2**30 + 640
    np.testing.assert_array_equal(answers[0]["probabilities"], answers[1]["probabilities"])


def test_lite_code_in_the_docs_runs(artefact, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[3] / "docs" / "speech.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S) if "litert" in block)
    for named in re.findall(r"saved_models/\w+/\d+", code):
        Path(named).parent.mkdir(parents=True)
        Path(named).symlink_to(artefact)
    exec(compile(code, "docs/speech.md", "exec"), {})
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[0] in CLASSES
    assert second.split()[0] == first.split()[0], "silence, whole or in steps"


def test_lite_steps_may_be_shorter_than_a_window(tmp_path):
    model, task = tiny(tmp_path, stride=1)
    stream = recogniser(model, task, temperature=TEMPERATURE).functions()["stream"]
    parts = SimpleNamespace(model=model, mel=task.mel, classes=CLASSES, temperature=TEMPERATURE)
    function = speech_commands_lite.step_function(parts)
    content = lite.convert(function.graph, int8=False, variables=function.variables)
    compare_steps(content, stream, samples=160, atol=1e-5)


def test_lite_mel_bands_lie_in_small_blocks():
    matrix = mel_matrix(40, 20.0, 7600.0).numpy()
    again = np.zeros_like(matrix)
    found = blocks(matrix, less_than=1024)
    for rows, columns in found:
        assert matrix[rows, columns].size < 1024
        again[rows, columns] = matrix[rows, columns]
    np.testing.assert_array_equal(again, matrix)
    assert [columns.start for _, columns in found[1:]] == [columns.stop for _, columns in found[:-1]]
    assert len(found) < 8
