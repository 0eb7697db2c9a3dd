from __future__ import annotations

import tarfile

import numpy as np
import pytest
import soundfile

from seqpipe.data.findings import Bad
from seqpipe.errors import DataError
from seqpipe.sound.recordings import decode, read_recordings
from seqpipe.sound.tones import WORDS, tones
from seqpipe.tasks.speech_commands.config import CommandsData
from seqpipe.tasks.speech_commands.data import read_commands

SPEAKERS = "abcdefgh"


def sound(seconds=0.5, rate_hz=16_000):
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate_hz)) / rate_hz)


@pytest.fixture
def folder(tmp_path):
    """Two words by eight speakers each, and noise."""
    for word in ("yes", "no"):
        for speaker in SPEAKERS:
            file = tmp_path / word / f"{speaker}_nohash_0.wav"
            file.parent.mkdir(exist_ok=True)
            soundfile.write(file, sound(), 16_000)
    (tmp_path / "_background_noise_").mkdir()
    soundfile.write(tmp_path / "_background_noise_" / "hum.wav", sound(2.0), 16_000)
    return tmp_path


def data(folder, **changes):
    settings = {"train": f"files:{folder}", "dev_every": 2, "speaker": "^(.*)_nohash_"}
    return CommandsData.model_validate({**settings, **changes})


@pytest.mark.parametrize(
    ("ending", "subtype"), [("wav", "PCM_24"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", None)]
)
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_recordings_of_any_format_rate_and_channels(tmp_path, ending, subtype, rate_hz):
    mono = sound(0.5, rate_hz)
    soundfile.write(tmp_path / f"a.{ending}", np.stack([mono, mono], axis=1), rate_hz, subtype=subtype)
    samples = decode(tmp_path / f"a.{ending}")
    assert samples.dtype == np.int16
    assert len(samples) == pytest.approx(8_000, abs=1_700)  # MP3 pads to whole frames
    assert np.abs(samples).max() == pytest.approx(0.5 * 2**15, rel=0.1)


def test_recordings_of_a_tar_are_those_of_its_folder(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("tar") / "words.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(folder, arcname="words")
    inside = {(r.folder, r.name): r.samples.tolist() for r in read_recordings(f"files:{path}", "train")}
    assert inside == {(r.folder, r.name): r.samples.tolist() for r in read_recordings(f"files:{folder}", "train")}
    assert len(inside) == 17


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(0), "holds no samples"),
        (np.zeros(8_000), "is silent"),
        (np.where(np.arange(8_000) % 2, 1.0, -1.0), "is clipped: 100% of its samples"),
    ],
)
def test_recordings_that_say_nothing_are_named(folder, samples, reason):
    soundfile.write(folder / "yes" / "bad.wav", samples, 16_000)
    (bad,) = [r for r in read_recordings(f"files:{folder}", "train") if isinstance(r, Bad)]
    assert f"yes/bad.wav {reason}" in bad.text


def test_recordings_that_cannot_be_decoded_stop_or_are_skipped(folder):
    (folder / "yes" / "a_nohash_1.wav").write_bytes(b"RIFF and nothing more")
    with pytest.raises(DataError, match=r"1 of 18 files .* cannot be used, .*_fraction = 0 .*yes/a_nohash_1.wav"):
        read_commands(data(folder))
    findings = read_commands(data(folder, max_bad_fraction=0.2)).findings
    assert any(
        f.severity == "warning" and "1 of 18 files (5.6 %) cannot be used and are skipped" in f.text for f in findings
    )


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_recordings_of_a_tar_cut_short(folder, tmp_path_factory, ending):
    path = tmp_path_factory.mktemp("tar") / f"words.{ending}"
    with tarfile.open(path, "w:gz" if ending.endswith("gz") else "w") as tar:
        tar.add(folder, ".")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"words\.{ending} is damaged or cut short: "):
        list(read_recordings(f"files:{path}", "train"))


def test_commands_are_split_by_speaker(folder):
    splits = read_commands(data(folder))
    assert splits.classes == ["no", "yes", "unknown", "silence"]
    assert not set(splits.train.speakers) & set(splits.dev.speakers)
    assert len(splits.train) + len(splits.dev) == 16
    assert len(splits.train.noise) == 1


def test_commands_unknown_is_what_is_not_named_or_what_is_listed(folder):
    for word in ("up", "cat"):
        for speaker in SPEAKERS:
            (folder / word).mkdir(exist_ok=True)
            soundfile.write(folder / word / f"{speaker}_nohash_0.wav", sound(), 16_000)
    rest = read_commands(data(folder, words=["yes", "no"]))
    assert {w for w, label in zip(rest.train.words, rest.train.labels, strict=True) if label == 2} == {"up", "cat"}
    listed = read_commands(data(folder, unknown=["cat"]))
    assert listed.classes == ["no", "up", "yes", "unknown", "silence"]
    out = read_commands(data(folder, words=["yes", "no"], leave_out=["cat"]))
    assert set(out.left_out.words) == {"cat"}
    assert "cat" not in out.train.words


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speaker": "^(.*)_nobody_"}, "matches nothing in the name of .*no/a_nohash"),
        ({"speaker": "^(nobody)?"}, "matches nothing in the name of .*no/a_nohash"),
        ({"words": ["yes", "nope"]}, '"nope" is not a word of the training recordings. Allowed: no, yes'),
        ({"words": ["yes", "no"], "leave_out": ["no"]}, "name no: one of them"),
        ({"unknown": ["yes"]}, "there must be two commands; the only one is no"),
    ],
)
def test_commands_mistakes_are_named(folder, changes, message):
    with pytest.raises(DataError, match=message):
        read_commands(data(folder, **changes))


def test_commands_of_one_speaker_stop(folder):
    (folder / "maybe").mkdir()
    soundfile.write(folder / "maybe" / "a_nohash_0.wav", sound(), 16_000)
    with pytest.raises(DataError, match=r"maybe is said by one speaker alone, a\. There must be two"):
        read_commands(data(folder))


def test_commands_splits_that_share_a_speaker_stop(folder):
    with pytest.raises(DataError, match=r"train and dev share \d speakers, such as \w, "):
        read_commands(data(folder, dev=f"files:{folder}"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("files:nowhere", "nowhere does not exist"),
        ("builtin:tunes", '"tunes" is not a builtin data set of recordings. Allowed: tones'),
        ("builtin:tones?split=later", '"later" is not a split'),
    ],
)
def test_recordings_of_no_source(source, message):
    with pytest.raises(DataError, match=message):
        list(read_recordings(source, "train"))


def test_tones_are_the_same_for_the_same_seed_and_voices_differ_between_splits():
    first, again = list(tones("train", 20, 1)), list(tones("train", 20, 1))
    assert [row[:2] for row in first] == [row[:2] for row in again]
    assert all(np.array_equal(a[2], b[2]) for a, b in zip(first, again, strict=True))
    assert max(np.abs(wave).max() for _, _, wave in first) <= 1
    voices = [
        {name.partition("_")[0] for word, name, _ in tones(split, 60, 1) if word in WORDS}
        for split in ("train", "dev", "test")
    ]
    assert not voices[0] & voices[1]
    assert not voices[1] & voices[2]
