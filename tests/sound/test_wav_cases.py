"""One rule, three places: the graph, `decode` and the blocks that `listen` reads."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import tensorflow as tf
from sound.wav_cases import READ, REFUSED, damaged, wav

from seqpipe.errors import DataError
from seqpipe.serving.listening import read_blocks
from seqpipe.sound.recordings import decode
from seqpipe.sound.sound_file import opened
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


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("rate_hz", [4_000, 8_000, 44_100])
def test_wav_whose_new_rate_goes_above_full_scale_is_cut_there(tmp_path, rate_hz, place):
    noise = np.where(np.random.default_rng(0).random(rate_hz) < 0.5, -1.9, 1.9)
    (tmp_path / "a.wav").write_bytes(wav(noise, rate_hz, "FLOAT"))
    actual = PLACES[place](tmp_path / "a.wav")
    assert 0.999 < np.abs(actual).max() <= 1


@pytest.mark.parametrize("codec", ["ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM"])
@pytest.mark.parametrize("place", ["decode", "blocks"])
def test_wav_of_other_codecs_is_read_outside_the_graph(tmp_path, place, codec):
    (tmp_path / "a.wav").write_bytes(wav(subtype=codec))
    actual = PLACES[place](tmp_path / "a.wav")
    np.testing.assert_allclose(actual[:8_000], READ["plain"][1], rtol=0, atol=0.05)


@pytest.mark.parametrize(("said", "frames"), [(0xFFFFFFFF, 2**31), (0x7FFFF000, 2**31), (0, 2**31), (2**31, 2**30)])
def test_wav_of_more_bytes_than_its_sizes_can_say(tmp_path, said, frames):
    file = tmp_path / "a.wav"
    with file.open("wb") as stream:
        stream.write(struct.pack("<4sI4s4sIHHIIHH", b"RIFF", said, b"WAVE", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16))
        stream.write(struct.pack("<4sI", b"data", said))
        stream.seek(44 + 2 * frames)
        stream.write(b"LIST\4\0\0\0INFO" if said == 2 * frames else b"")
        stream.truncate(44 + 2 * frames + 12)
    with opened(file) as recording:
        assert recording.frames == frames + (0 if said == 2 * frames else 6)


def test_wav_damaged_anyhow_is_read_alike_everywhere(tmp_path):
    rng = np.random.default_rng(7)
    for _ in range(300):
        (tmp_path / "a.wav").write_bytes(damaged(rng))
        said, found = [], []
        for place in PLACES.values():
            try:
                found.append(len(place(tmp_path / "a.wav")))
            except (ValueError, DataError) as error:
                said.append(str(error).removeprefix(f"{tmp_path}/a.wav ").removesuffix("."))
        if said:
            same = {text.partition("; the highest is")[0] for text in said}
            assert not found
            assert len(same) == 1 or (said[0].startswith("has a codec") and said[1] == said[2])
        assert not found or max(found) - min(found) <= 1
