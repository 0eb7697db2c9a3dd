"""One rule, three places: the graph, `decode` and the blocks that `listen` reads."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sound.wav_cases import READ, REFUSED

from seqpipe.errors import DataError
from seqpipe.serving.listening import read_blocks
from seqpipe.sound.recordings import decode
from seqpipe.sound.wav import decode_wav

in_graph = tf.function(decode_wav, input_signature=[tf.TensorSpec([], tf.string)])


def by_graph(path):
    waveform, error = in_graph(path.read_bytes())
    if error.numpy():
        assert waveform.shape == (0,)
        raise ValueError(error.numpy().decode())
    return waveform.numpy()


def by_decode(path):
    return decode(path) / 32_768


def by_blocks(path):
    return np.concatenate(list(read_blocks(path)))


PLACES = {"graph": by_graph, "decode": by_decode, "blocks": by_blocks}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", READ)
def test_wav_is_read_alike_everywhere(tmp_path, name, place):
    file, expected = READ[name]
    (tmp_path / "a.wav").write_bytes(file)
    actual = PLACES[place](tmp_path / "a.wav")
    assert abs(len(actual) - len(expected)) <= 1
    size = min(len(actual), len(expected))
    np.testing.assert_allclose(actual[:size], expected[:size], rtol=0, atol=1e-2 if "U8" in name else 2e-3)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", REFUSED)
def test_wav_is_refused_alike_everywhere(tmp_path, name, place):
    file, rule = REFUSED[name]
    (tmp_path / "a.wav").write_bytes(file)
    with pytest.raises((ValueError, DataError)) as raised:
        PLACES[place](tmp_path / "a.wav")
    place_says = str(raised.value).removeprefix(f"{tmp_path}/a.wav ")
    if "RIFF....WAVE" in rule and place != "graph":
        assert place_says.startswith("cannot be decoded: ")  # it might have been FLAC
    elif rule.startswith("the"):
        assert rule in place_says
    else:
        assert place_says.startswith(rule)
