from __future__ import annotations

import io
import os
import shutil
import tarfile
import unicodedata

import numpy as np
import pytest
import soundfile

from seqpipe.data.findings import Bad, Finding
from seqpipe.errors import DataError
from seqpipe.sound.recordings import decode, read_recordings
from seqpipe.sound.tones import WORDS, tones
from seqpipe.tasks.speech_commands.config import CommandsData
from seqpipe.tasks.speech_commands.data import read_clips, read_commands

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
    ("ending", "subtype"), [("wav", "PCM_24"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", None), ("aiff", "PCM_16")]
)
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_recordings_of_any_format_rate_and_channels(tmp_path, ending, subtype, rate_hz):
    mono = sound(0.5, rate_hz)
    soundfile.write(tmp_path / f"a.{ending}", np.stack([mono, mono], axis=1), rate_hz, subtype=subtype)
    samples = decode(tmp_path / f"a.{ending}")
    assert samples.dtype == np.int16
    assert len(samples) == pytest.approx(8_000, abs=1_700)  # MP3 pads to whole frames
    assert np.abs(samples).max() == pytest.approx(0.5 * 2**15, rel=0.1)


def test_recordings_of_opus(tmp_path):
    soundfile.write(tmp_path / "a.opus", sound(0.5, 16_000), 16_000, format="OGG", subtype="OPUS")
    samples = decode(tmp_path / "a.opus")
    assert len(samples) == pytest.approx(8_000, abs=10)
    assert np.abs(samples).max() == pytest.approx(0.5 * 2**15, rel=0.2)


def test_recordings_of_a_tar_are_those_of_its_folder(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("tar") / "words.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(folder, arcname="words")
    inside = {(r.folder, r.name): r.samples.tolist() for r in read_recordings(f"files:{path}", "train")}
    assert inside == {(r.folder, r.name): r.samples.tolist() for r in read_recordings(f"files:{folder}", "train")}
    assert len(inside) == 17


def test_recordings_of_a_tar_leave_out_what_those_of_its_folder_do(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("tar") / "words.tar"
    shutil.copytree(folder / "yes", folder / "yes" / "anna")
    shutil.copy(folder / "yes" / "a_nohash_0.wav", folder)
    with tarfile.open(path, "w") as tar:
        tar.add(folder, "words")
    ours, theirs = (list(read_recordings(f"files:{place}", "train")) for place in (folder, path))
    found, same = ({each.text for each in said if isinstance(each, Finding)} for said in (ours, theirs))
    assert "1 folder inside a word's folder is left out, such as yes/anna." in found
    assert (same, len(theirs)) == (found, len(ours))


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


def test_recordings_in_a_codec_whose_end_is_not_known_are_named(folder):
    soundfile.write(folder / "yes" / "gsm.wav", np.zeros(3200), 16_000, subtype="GSM610")
    (bad,) = [r for r in read_recordings(f"files:{folder}", "train") if isinstance(r, Bad)]
    assert bad.text.endswith("yes/gsm.wav has a codec that is not read: GSM 6.10")


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_recordings_of_a_tar_cut_short(folder, tmp_path_factory, ending):
    path = tmp_path_factory.mktemp("tar") / f"words.{ending}"
    with tarfile.open(path, "w:gz" if ending.endswith("gz") else "w") as tar:
        tar.add(folder, ".")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"words\.{ending} is damaged or cut short: "):
        list(read_recordings(f"files:{path}", "train"))


def test_recordings_of_a_tar_cut_between_its_files(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("tar") / "words.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(folder, ".")
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    whole = path.read_bytes()
    for size in (last.offset, last.offset + 100):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"words\.tar is damaged or cut short: the mark of its end is missing"):
            list(read_recordings(f"files:{path}", "train"))


def noticed(folder, severity):
    found = read_commands(data(folder)).findings
    return [finding.text for finding in found if finding.severity == severity]


def test_recordings_that_are_hidden_are_left_out_with_their_count(folder):
    (folder / "yes" / "._a.wav").write_bytes(b"\0\5\x16\7")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".ipynb_checkpoints").mkdir()
    soundfile.write(folder / ".ipynb_checkpoints" / "a.wav", sound(), 16_000)
    text = "train: 3 hidden paths are left out, such as .DS_Store."
    assert text in noticed(folder, "info")
    assert read_commands(data(folder)).classes == ["no", "yes", "unknown", "silence"]


def test_recordings_folders_and_files_in_the_wrong_place_are_left_out_with_their_count(folder):
    (folder / "yes" / "old.wav").mkdir()
    soundfile.write(folder / "loose.wav", sound(), 16_000)
    (folder / "later").symlink_to("nowhere")
    assert [text for text in noticed(folder, "warning") if "left out" in text] == [
        "train: 1 link that leads nowhere is left out, such as later.",
        "train: 1 recording in no word's folder is left out, such as loose.wav.",
        "train: 1 folder inside a word's folder is left out, such as yes/old.wav.",
    ]


def test_recordings_of_other_formats_are_counted(folder, tmp_path_factory):
    (folder / "hello").mkdir()
    for number in range(3):
        (folder / "hello" / f"{number}.M4A").write_bytes(b"\0")
    (folder / "hello" / "about.txt").write_text("by phone")
    text = "files of other formats than WAV, FLAC, OGG, Opus, MP3, AIFF are not read: 3 .m4a, such as hello/0.M4A"
    assert f"train: {text}." in noticed(folder, "warning")
    alone = tmp_path_factory.mktemp("alone")
    (folder / "hello").rename(alone / "hello")
    with pytest.raises(
        DataError, match=r"holds no recordings\. .* Its files of other formats than .* are not read: 3 \.m4a"
    ):
        list(read_recordings(f"files:{alone}", "train"))


@pytest.mark.parametrize("target", ["../gone/zz.wav", "zz.wav"])
@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_recordings_links_that_lead_nowhere_are_bad_files(folder, tmp_path_factory, kind, target):
    (folder / "yes" / "zz.wav").symlink_to(target)
    source = folder
    if kind == "tar":
        source = tmp_path_factory.mktemp("tar") / "words.tar"
        with tarfile.open(source, "w") as tar:
            tar.add(folder, "words")
    (bad,) = [r for r in read_recordings(f"files:{source}", "train") if isinstance(r, Bad)]
    assert bad.text.endswith("yes/zz.wav cannot be read: it is a link that leads nowhere")


def test_recordings_folder_without_any_is_named(folder):
    (folder / "maybe").mkdir()
    (folder / "maybe" / "about.txt").touch()
    (folder / "hi").mkdir()
    (folder / "hi" / "a.m4a").touch()
    said = noticed(folder, "warning")
    assert said[0] == "train: 1 folder without a recording is left out, such as maybe."
    assert said[1].startswith("train: files of other formats than WAV, FLAC, OGG, Opus, MP3, AIFF are not read: 1 .m4a")


def test_recordings_of_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "words.tar")
    with pytest.raises(DataError, match=r"words\.tar is a pipe or a device. Allowed: a folder, or a \.tar\."):
        list(read_recordings(f"files:{tmp_path}/words.tar", "train"))


@pytest.mark.parametrize(
    "begin", [b"RF64\xff\xff\xff\xffWAVEfmt ", b"FORM\xff\xff\xff\xf0AIFFCOMM", b"RIFX\xff\xff\xff\xffWAVEdata"]
)
def test_recordings_of_any_bytes_print_nothing(tmp_path, begin, capfd):
    rng = np.random.default_rng(0)
    for _ in range(60):
        with pytest.raises(ValueError):  # noqa: PT011  whichever rule it breaks
            decode(io.BytesIO(begin + rng.bytes(int(rng.integers(0, 200)))))
    assert "Exception ignored" not in capfd.readouterr().err


def test_commands_reserved_names_in_another_case_are_noticed(folder):
    for name in ("Silence", "_Unknown_"):
        (folder / name).mkdir()
        for number in range(3):
            shutil.copy(next((folder / "yes").glob("*.wav")), folder / name / f"{number}_nohash_0.wav")
    splits = read_commands(data(folder))
    assert "_Unknown_" not in splits.classes
    assert any('"Silence" and "silence"' in finding.text for finding in splits.findings)


def test_commands_named_twice_are_an_error():
    with pytest.raises(ValueError, match=r"words\n.*names caf\u00e9 twice"):
        CommandsData(train="files:words", words=["caf\u00e9", "cafe\u0301", "no"])
    with pytest.raises(ValueError, match="names 'files:words' twice"):
        CommandsData(train=["files:words", "files:more", "files:words"])


def test_recordings_that_are_no_files_are_bad(folder):
    os.mkfifo(folder / "yes" / "pipe.wav")
    (bad,) = [r for r in read_recordings(f"files:{folder}", "train") if isinstance(r, Bad)]
    assert bad.text.endswith("yes/pipe.wav is no file")


def test_recordings_in_a_folder_whose_name_is_no_text_are_bad(folder):
    strange = os.fsencode(folder) + b"/\xff"
    os.mkdir(strange)
    shutil.copy(folder / "yes" / "a_nohash_0.wav", os.fsdecode(strange) + "/a.wav")
    (bad,) = [r for r in read_recordings(f"files:{folder}", "train") if isinstance(r, Bad)]
    assert bad.text.endswith("/?/a.wav lies in a folder whose name is not UTF-8")


def test_recordings_silence_may_be_silent(folder):
    (folder / "_silence_").mkdir()
    soundfile.write(folder / "_silence_" / "a.wav", np.zeros(8_000), 16_000)
    assert not [r for r in read_recordings(f"files:{folder}", "train") if isinstance(r, Bad)]


def test_commands_noise_by_another_name_is_a_warning(folder):
    for name in ("backgroundNoise", "hum"):
        (folder / name).mkdir()
        for number in range(3):
            soundfile.write(folder / name / f"{number}_nohash_0.wav", sound(3.0), 16_000)
    for name in ("backgroundNoise", "hum"):
        text = f"train: the folder {name} is read as a word, and seems to hold noise. If nobody speaks there: "
        assert f"{text}data.noise_folder = {name}." in noticed(folder, "warning")


def test_commands_words_are_the_same_in_both_forms_of_unicode(folder):
    (folder / "yes").rename(folder / unicodedata.normalize("NFD", "café"))
    (folder / "no").rename(folder / "thé")
    splits = read_commands(data(folder, words=["café", unicodedata.normalize("NFD", "thé")]))
    assert splits.classes == ["café", "thé", "unknown", "silence"]
    assert set(splits.train.words) == {"café", "thé"}


def test_commands_folders_of_a_test_set_are_its_classes(folder):
    (folder / "yes").rename(folder / "_unknown_")
    (folder / "no").rename(folder / "_silence_")
    clips, _ = read_clips(f"files:{folder}", data(folder), ["go", "stop", "unknown", "silence"])
    assert np.bincount(clips.labels).tolist() == [0, 0, 8, 8]
    assert set(clips.words) == {"unknown", "silence"}


def test_commands_split_does_not_depend_on_how_the_path_is_spelt(folder, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(folder.parent)
    archive = tmp_path_factory.mktemp("tar") / "words.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, "words")
    sources = (folder, folder.name, f"./{folder.name}/../{folder.name}/", archive)
    names = [
        sorted((word, place.rpartition("/")[2]) for word, place in zip(dev.words, dev.places, strict=True))
        for dev in (read_commands(data(source, speaker=None)).dev for source in sources)
    ]
    assert names[0]
    assert all(each == names[0] for each in names)


@pytest.mark.parametrize("speaker", [None, "^(.*)_nohash_"])
@pytest.mark.parametrize("every", [2, 10, 10_000])
def test_commands_are_in_train_and_dev_where_that_can_be(folder, speaker, every):
    (folder / "rare").mkdir()
    for name in "ab":
        soundfile.write(folder / "rare" / f"{name}_nohash_0.wav", sound(), 16_000)
    splits = read_commands(data(folder, dev_every=every, speaker=speaker))
    for clips in (splits.train, splits.dev):
        assert set(clips.labels.tolist()) == {0, 1, 2}


def test_commands_of_several_sources_are_by_several_speakers(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(folder, other, dirs_exist_ok=True)
    splits = read_commands(data(folder, train=[f"files:{folder}", f"files:{other}"], speaker=None))
    assert len(splits.train) + len(splits.dev) == 32
    assert not set(splits.train.speakers) & set(splits.dev.speakers)
    assert len(set(splits.train.speakers)) == len(splits.train)


def test_commands_max_rows_reads_a_part_of_each_folder(folder):
    splits = read_commands(data(folder, max_rows=9, speaker=None))
    assert any("train: 9 of 17 recordings of " in finding.text for finding in splits.findings)
    assert np.bincount(np.concatenate([splits.train.labels, splits.dev.labels])).tolist() == [4, 4]


@pytest.mark.parametrize("every", [2, 3, 5])
@pytest.mark.parametrize("names", ["a{}", "p{:03d}", "user_{}"])
def test_commands_dev_has_its_share_of_few_speakers(tmp_path, names, every):
    for word in ("yes", "no"):
        (tmp_path / word).mkdir()
        for number in range(12):
            soundfile.write(tmp_path / word / f"{names.format(number)}_nohash_0.wav", sound(0.1), 16_000)
    splits = read_commands(data(tmp_path, dev_every=every))
    assert abs(len(splits.dev) / 24 - 1 / every) <= 1 / 12


def test_commands_are_split_by_speaker(folder):
    splits = read_commands(data(folder))
    assert splits.classes == ["no", "yes", "unknown", "silence"]
    assert not set(splits.train.speakers) & set(splits.dev.speakers)
    assert len(splits.train) + len(splits.dev) == 16


@pytest.mark.parametrize(("every", "of_dev"), [(2, 16_000), (10, 3_200), (100_000, 0)])
def test_commands_the_end_of_each_noise_is_heard_by_dev_alone(folder, every, of_dev):
    splits = read_commands(data(folder, dev_every=every))
    (train,), (dev,) = splits.train.noise, splits.dev.noise
    assert len(dev) == of_dev
    np.testing.assert_array_equal(np.concatenate([train, dev]), decode(folder / "_background_noise_" / "hum.wav"))


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
        (
            {"words": ["yes", "no"], "leave_out": ["no"]},
            "data.words and data.leave_out both name no. Name it in one of them.",
        ),
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
