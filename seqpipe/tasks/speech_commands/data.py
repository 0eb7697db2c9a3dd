"""Recordings of commands, other words and noise: read, split by speaker, checked before anything is trained on them."""

from __future__ import annotations

import itertools
import re
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from seqpipe.config.sound import SILENCE, UNKNOWN
from seqpipe.data.checks import alike
from seqpipe.data.findings import EXAMPLES, Bad, Finding, listed, raise_errors
from seqpipe.data.reading import read_role, read_roles
from seqpipe.data.sources import Role
from seqpipe.data.splits import Splits
from seqpipe.errors import DataError, not_allowed
from seqpipe.sound.recordings import RATE_HZ, Recording, read_recordings
from seqpipe.sound.synthesis import check_synthesis
from seqpipe.tasks.speech_commands.config import CommandsData

NOISE_NAMES = re.compile(
    "noise|noisy|background|ambien|room[_ -]?tone|no[_ -]?speech|bruit|ruido|rumore|ger(ä|ae)usch|rauschen|шум|噪",
    re.IGNORECASE,
)
LONG_S, MUCH_LONGER = 2.5, 3.0  # recordings so long, and so many times as long as usual, are no words


@dataclass(frozen=True)
class Clips:
    """The recordings of a split.

    samples: int16 [samples] each, 16 kHz.
    labels: int32 [rows], index into the classes.
    words: what is said, which for the class unknown tells the words apart.
    speakers: who says it; where no pattern says so, each recording has its own.
    places: for messages.
    noise: int16 [samples] each, recordings in which nobody speaks.
    """

    samples: list[np.ndarray]
    labels: np.ndarray
    words: list[str]
    speakers: list[str]
    places: list[str]
    noise: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, rows: np.ndarray) -> Clips:
        """Some of the rows, with all the noise."""
        columns = ([column[row] for row in rows] for column in (self.samples, self.words, self.speakers, self.places))
        samples, words, speakers, places = columns
        return Clips(samples, self.labels[rows], words, speakers, places, self.noise)


@dataclass(frozen=True)
class CommandSplits(Splits[Clips]):
    """The recordings of each split, what was noticed, the class names, and words left out of training."""

    classes: list[str]
    left_out: Clips


class _Read(NamedTuple):
    """A recording, and a name of its own that does not hang on where its folder lies."""

    recording: Recording
    own_name: str


def read_commands(data: CommandsData) -> CommandSplits:
    """Read and check all splits; without a dev source, about every dev_every-th speaker of train is in dev.

    Raises:
        DataError: with every error in the data at once.
    """
    rows, findings = read_roles(data, _rows_of(data), noun="file", group=lambda row: row.recording.folder)
    if data.synthesis is not None:
        try:
            check_synthesis(data.synthesis)
        except DataError as error:
            findings.append(Finding("error", str(error)))
    raise_errors(findings)
    readings = {role: _apart(read, data) for role, read in rows.items()}
    commands = _commands(readings["train"], data)
    classes = [*commands, UNKNOWN, SILENCE]
    clips = {role: _clips(role, reading, data, classes) for role, reading in readings.items()}
    for role, reading in readings.items():
        findings += _check_noise_folder(role, reading, data)
    raise_errors([*findings, *_check_voices(clips["train"], classes)])
    if "dev" not in clips:
        clips = _with_dev(clips, data.dev_every)
    left_out, clips["train"] = _leave_out(clips["train"], data.leave_out)
    _, clips["dev"] = _leave_out(clips["dev"], data.leave_out)  # nothing is chosen by them either
    for role, split in clips.items():
        findings += _check_split(role, split, classes, data)
    findings += alike("train", classes, "If they are one word, put them into one folder.")
    if data.speaker is not None:
        findings += _check_speakers(clips)
    raise_errors(findings)
    return CommandSplits(clips["train"], clips["dev"], clips.get("test"), findings, classes, left_out)


def read_clips(source: str, data: CommandsData, classes: list[str]) -> tuple[Clips, list[Finding]]:
    """Read and check other recordings for a model whose classes are known.

    Raises:
        DataError: the source cannot be read, or more of its files are bad than data.max_bad_fraction allows.
    """
    rows, findings = read_role(
        source, "test", _rows_of(data), noun="file", most=data.max_rows, max_bad_fraction=data.max_bad_fraction
    )
    raise_errors(findings)
    reading = _apart(rows or [], data)
    clips = _clips("test", reading, data, classes)
    findings += [*_check_noise_folder("test", reading, data), *_check_split("test", clips, classes, data)]
    raise_errors(findings)
    return clips, findings


def _rows_of(data: CommandsData) -> Callable[[str, Role], Iterator[_Read | Bad | Finding]]:
    """Reads one source after the other; recordings of several may have one name, and are by different speakers."""
    earlier: dict[Role, list[str]] = defaultdict(list)

    def rows(source: str, role: Role) -> Iterator[_Read | Bad | Finding]:
        number = len(earlier[role])
        earlier[role].append(source)
        for row in read_recordings(source, role, most=data.max_rows):
            if isinstance(row, Recording):
                own = f"{row.folder}/{unicodedata.normalize('NFC', row.name)}"
                yield _Read(_reserved(row), f"{number}/{own}" if number else own)
            else:
                yield row

    return rows


def _reserved(row: Recording) -> Recording:
    """Speech Commands' test set calls the two classes that are no words _unknown_ and _silence_."""
    name = row.folder.strip("_").lower()
    return replace(row, folder=name) if row.folder.lower() == f"_{name}_" and name in (UNKNOWN, SILENCE) else row


@dataclass
class _Reading:
    """Recordings of words, and of noise."""

    recordings: list[_Read]
    noise: list[np.ndarray]


def _apart(rows: list[_Read], data: CommandsData) -> _Reading:
    noise = [row.recording.samples for row in rows if row.recording.folder == data.noise_folder]
    return _Reading([row for row in rows if row.recording.folder != data.noise_folder], noise)


def _commands(train: _Reading, data: CommandsData) -> list[str]:
    folders = sorted({row.recording.folder for row in train.recordings} - {UNKNOWN, SILENCE})
    named = [("words", data.words or []), ("unknown", data.unknown or []), ("leave_out", data.leave_out)]
    errors = [
        f"data.{key}: {not_allowed(word, 'word of the training recordings', folders)}"
        for key, words in named
        for word in words
        if word not in folders
    ]
    for key, others in named[1:]:
        both = sorted(set(data.words or []) & set(others))
        errors += [f"data.words and data.{key} both name {word}. Name it in one of them." for word in both]
    commands = data.words or [word for word in folders if word not in {*(data.unknown or []), *data.leave_out}]
    if len(commands) < 2:
        only = f"the only one is {commands[0]}" if commands else "there is none"
        errors.append(f"train: there must be two commands; {only}.")
    if errors:
        raise DataError("\n".join(errors))
    return commands


def _clips(role: Role, reading: _Reading, data: CommandsData, classes: list[str]) -> Clips:
    index = {name: number for number, name in enumerate(classes)}
    others = None if data.unknown is None else {*data.unknown, *data.leave_out, UNKNOWN}
    folders = [row.recording.folder for row in reading.recordings]
    rows = [
        row
        for row, folder in zip(reading.recordings, folders, strict=True)
        if folder in index or others is None or folder in others
    ]
    if not rows:
        raise DataError(f"{role}: no recording is of a class of this pipeline: {', '.join(classes)}.")
    kept = [row.recording for row in rows]
    labels = [index.get(recording.folder, index[UNKNOWN]) for recording in kept]
    return Clips(
        [recording.samples for recording in kept],
        np.array(labels, np.int32),
        [recording.folder for recording in kept],
        _speakers(role, rows, data.speaker),
        [recording.place for recording in kept],
        reading.noise,
    )


def _speakers(role: Role, rows: list[_Read], pattern: str | None) -> list[str]:
    if pattern is None:
        return [row.own_name for row in rows]
    found = [match[1] if (match := re.search(pattern, row.recording.name)) else "" for row in rows]
    missing = [row.recording.place for row, name in zip(rows, found, strict=True) if not name]
    if missing:
        raise DataError(
            f"{role}: data.speaker = {pattern!r} matches nothing in the name of {listed(missing)}: nobody knows who "
            "speaks there. Its group must find the speaker in every file's name."
        )
    return found


def _with_dev(clips: dict[Role, Clips], every: int) -> dict[Role, Clips]:
    """Speakers by the order of their names' hashes until they have said their share: a recording more moves few.
    Each class is in both where that can be."""
    train = clips["train"]
    said: dict[str, set[int]] = defaultdict(set)
    voices: dict[int, set[str]] = defaultdict(set)
    for label, speaker in zip(train.labels.tolist(), train.speakers, strict=True):
        said[speaker].add(label)
        voices[label].add(speaker)
    in_turn = sorted(said, key=lambda speaker: (zlib.crc32(speaker.encode("utf-8", "surrogatepass")), speaker))
    counts, wanted = Counter(train.speakers), len(train) / every
    dev: set[str] = set()
    held_back = 0
    for speaker in in_turn:
        if abs(held_back + counts[speaker] - wanted) < abs(held_back - wanted):
            dev.add(speaker)
            held_back += counts[speaker]
    rest = set(said) - dev
    for wanting, giving in ((dev, rest), (rest, dev)):
        for label in sorted(voices):
            if len(voices[label]) < 2 or voices[label] & wanting:
                continue
            able = [speaker for speaker in in_turn if speaker in voices[label]]
            spared = [speaker for speaker in able if all(len(voices[other] & giving) > 1 for other in said[speaker])]
            for speaker in (spared or (able if wanting is rest else []))[:1]:
                giving.discard(speaker)
                wanting.add(speaker)
    is_dev = np.array([speaker in dev for speaker in train.speakers], bool)
    ends = [len(wave) - len(wave) // every for wave in train.noise]  # behind them it is heard by dev alone
    cut = list(zip(train.noise, ends, strict=True))
    kept = replace(train.take(np.flatnonzero(~is_dev)), noise=[wave[:end] for wave, end in cut])
    chosen = replace(train.take(np.flatnonzero(is_dev)), noise=[wave[end:] for wave, end in cut])
    return {**clips, "train": kept, "dev": chosen}


def _leave_out(clips: Clips, words: list[str]) -> tuple[Clips, Clips]:
    """Clips of these words, and the others."""
    out = np.array([word in words for word in clips.words], bool)
    return clips.take(np.flatnonzero(out)), clips.take(np.flatnonzero(~out))


def _check_voices(train: Clips, classes: list[str]) -> list[Finding]:
    """Commands that one speaker alone says."""
    speakers: dict[str, set[str]] = defaultdict(set)
    for label, speaker in zip(train.labels, train.speakers, strict=True):
        speakers[classes[label]].add(speaker)
    return [
        Finding("error", f"train: {name} is said by one speaker alone, {min(speakers[name])}. There must be two.")
        for name in classes[:-2]
        if len(speakers[name]) == 1
    ]


def _check_noise_folder(role: str, reading: _Reading, data: CommandsData) -> list[Finding]:
    """Folders that are read as words, and by their name or the length of their recordings are noise."""
    lengths: dict[str, list[int]] = defaultdict(list)
    for row in reading.recordings:
        lengths[row.recording.folder].append(len(row.recording.samples))
    usual_s = float(np.median([length for each in lengths.values() for length in each])) / RATE_HZ if lengths else 0.0
    named = {*(data.words or []), *(data.unknown or []), *data.leave_out, UNKNOWN, SILENCE}
    return [
        Finding(
            "warning",
            f"{role}: the folder {folder} is read as a word, and seems to hold noise. If nobody speaks there: "
            f"data.noise_folder = {folder}.",
        )
        for folder, each in sorted(lengths.items())
        if folder not in named
        and (NOISE_NAMES.search(folder) or float(np.median(each)) / RATE_HZ > max(LONG_S, MUCH_LONGER * usual_s))
    ]


def _check_split(role: str, clips: Clips, classes: list[str], data: CommandsData) -> Iterator[Finding]:
    if not len(clips):
        yield Finding("error", f"{role}: no recordings.")
        return
    counts = Counter(classes[label] for label in clips.labels)
    for name in classes[:-2]:
        if not counts[name]:
            yield Finding("error" if role in ("train", "dev") else "warning", f"{role}: no recording of {name}.")
    listed = ", ".join(f"{name} {counts[name]:,}" for name in classes if counts[name])
    said_by = f" by {len(set(clips.speakers)):,} speakers" if data.speaker is not None else ""
    yield Finding("info", f"{role}: {len(clips):,} recordings{said_by}: {listed}.")
    seconds = np.array([len(samples) / RATE_HZ for samples in clips.samples])
    longest = int(seconds.argmax())
    yield Finding(
        "info",
        f"{role}: recordings of {np.median(seconds):.2f} s (median), the shortest {seconds.min():.2f} s, the "
        f"longest {seconds[longest]:.2f} s in {clips.places[longest]}.",
    )
    noise_s = sum(len(noise) for noise in clips.noise) / RATE_HZ
    generated = f"no noise in a folder {data.noise_folder}: it is generated"
    yield Finding("info", f"{role}: {f'{noise_s:,.0f} s of noise' if clips.noise else generated}.")


def _check_speakers(clips: dict[Role, Clips]) -> Iterator[Finding]:
    for first, second in itertools.combinations(clips, 2):
        shared = sorted(set(clips[first].speakers) & set(clips[second].speakers))
        if shared:
            text = f"{first} and {second} share {len(shared):,} speakers, such as {', '.join(shared[:EXAMPLES])}. "
            yield Finding("error", f"{text}A speaker may be in one split only.")


def empty_bands(mean: np.ndarray, centres_hz: np.ndarray, floor_db: float) -> list[str]:
    """What `check` says of mel bands in which the recordings hold nothing, as those above what a telephone passes.

    Args:
        mean: of each band in decibels, float [F]. centres_hz: float [F].
    """
    heard = np.flatnonzero(mean > floor_db + 0.5)
    highest = int(heard[-1]) + 1 if len(heard) else len(mean)
    if highest == len(mean):
        return []
    empty, from_hz = len(mean) - highest, centres_hz[highest]
    return [
        f"warning: nothing stands in {empty} of {len(mean)} mel bands, from {from_hz:,.0f} Hz on: the recordings hold "
        f"no higher sounds. With features.highest_hz = {from_hz:.0f} all bands lie below."
    ]
