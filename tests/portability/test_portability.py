"""Released models answer through TensorFlow's C API, which bindings of other languages use, as they do in Python.

SEQPIPE_TF_LIBRARIES names a directory with the libraries of another TensorFlow to run with; `make portability` does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

import seqpipe
from seqpipe.serving.find import list_models
from seqpipe.sound.tones import tones

pytestmark = pytest.mark.slow

INSTALLED = Path(tf.sysconfig.get_lib())
TEXTS = {"zh": "这部电影真好看", "": "Two dogs play in the park, naïve and happy 🎉."}
RELEASED = [path for path in list_models() if path.parents[1].name == "saved_models"]


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """The program, built against the headers and libraries of the installed TensorFlow."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("NOT PROVED: there is no C compiler (gcc), so no model was asked through TensorFlow's C API")
    program = tmp_path_factory.mktemp("portability") / "serve"
    libraries = [f"-L{INSTALLED}", "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]
    source = Path(__file__).with_name("serve.c")
    includes = ["-isystem", tf.sysconfig.get_include()]
    allowed = "-Wl,--allow-shlib-undefined"
    subprocess.run(
        [compiler, "-O1", *warnings, *includes, source, "-o", program, *libraries, allowed, "-lm"], check=True
    )
    return program


def ask(program, model, signature, **inputs):
    """What it prints, by output."""
    libraries = os.environ.get("SEQPIPE_TF_LIBRARIES", str(INSTALLED))
    done = subprocess.run(
        [program, model, signature, *(f"{name}={value}" for name, value in inputs.items())],
        env={"LD_LIBRARY_PATH": libraries, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return dict(line.split(b":", 1) for line in done.stdout.splitlines())


def compare(printed, expected):
    assert sorted(printed) == sorted(name.encode() for name in expected)
    for name, value in expected.items():
        said = printed[name.encode()].strip()
        if value.dtype == object:
            assert said == b" ".join(value.ravel().tolist()).replace(b"\n", b"\\n").strip()
        elif value.dtype.kind == "f":
            np.testing.assert_allclose([float(each) for each in said.split()], value.ravel(), atol=2e-5, rtol=0)
        else:
            assert said.decode().split() == [str(each).lower() for each in value.ravel().tolist()]


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.parent.name)
def test_portability_of_a_released_model(serve, tmp_path, path):
    model = seqpipe.load(path)
    if "waveform" in model.takes("serving_default"):
        (wave,) = (wave.astype(np.float32) for _, _, wave in tones("test", rows=1, seed=1))
        wave.tofile(tmp_path / "wave")
        soundfile.write(tmp_path / "wave.wav", wave, 16_000)
        wav = (tmp_path / "wave.wav").read_bytes()
        compare(
            ask(serve, path, "serving_default", waveform=f"@{tmp_path}/wave"),
            model.call("serving_default", {"waveform": tf.constant(wave[None])}),
        )
        compare(ask(serve, path, "wav", wav=f"@{tmp_path}/wave.wav"), model.call("wav", {"wav": tf.constant([wav])}))
        return
    if "values" in model.takes("serving_default"):
        compare(*of_series(serve, model, path, tmp_path))
        return
    text = next(text for ending, text in TEXTS.items() if path.parent.name.endswith(ending))
    for signature in {"serving_default", "explain"} & set(model.signatures):
        assert set(model.takes(signature)) == {"text"}
        compare(ask(serve, path, signature, text=text), model.call(signature, {"text": tf.constant([text])}))


def of_series(serve, model, path, directory, *, steps=400):
    """A forecast by the program, and by TensorFlow here."""
    horizon = int(model.call("info", {})["horizon"])
    rng = np.random.default_rng(1)
    given, told = {}, {}
    for name, spec in model.takes("serving_default").items():
        if name == "time":
            given[name], told[name] = np.array([1_700_006_400]), "1700006400"
        elif name == "series":
            given[name], told[name] = np.array([b"nobody"]), "nobody"
        else:
            size = steps + (horizon if name == "known" else 0)
            given[name] = rng.normal(5, 1, (1, size, *spec.shape[2:])).astype(np.float32)
            given[name].tofile(directory / name)
            told[name] = f"@{directory / name}"
    answer = model.call("serving_default", {name: tf.constant(value) for name, value in given.items()})
    return ask(serve, path, "serving_default", **told), answer


def test_portability_there_are_released_models():
    assert len(RELEASED) >= 9
