"""Recordings of commands, other words and noise: read, split by speaker, checked before anything is trained on them."""

from __future__ import annotations

import re
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from seqpipe.config.sound import SILENCE, UNKNOWN
from seqpipe.data.findings import EXAMPLES, BadRows, Finding, counted, listed, raise_errors
from seqpipe.data.sources import Role
from seqpipe.data.splits import named_split
from seqpipe.errors import DataError, not_allowed
from seqpipe.sound.recordings import RATE_HZ, Recording, read_recordings
from seqpipe.sound.synthesis import check_synthesis
from seqpipe.tasks.speech_commands.config import CommandsData


@dataclass(frozen=True)
class Clips:
    """The recordings of a split.

    samples: int16 [samples] each, 16 kHz.
    labels: int32 [rows], index into the classes.
    words: what is said, which for the class unknown tells the words apart.
    speakers: who says it; where no pattern says so, the recording's own place.
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
class CommandSplits:
    """The recordings of each split, the class names, words left out of training, and what was noticed."""

    classes: list[str]
    train: Clips
    dev: Clips
    test: Clips | None
    left_out: Clips
    findings: list[Finding]

    def get(self, name: str) -> Clips:
        """The split called train, dev or test.

        Raises:
            DataError: the pipeline has no such split.
        """
        return named_split(name, train=self.train, dev=self.dev, test=self.test)


@dataclass
class _Reading:
    recordings: list[Recording] = field(default_factory=list)
    noise: list[np.ndarray] = field(default_factory=list)
    bad: BadRows = field(default_factory=lambda: BadRows("file"))

    def check_bad(self, role: Role, max_bad_fraction: float) -> list[Finding]:
        good = len(self.recordings) + len(self.noise)
        return self.bad.check(role, good=good, max_bad_fraction=max_bad_fraction)


def read_commands(data: CommandsData) -> CommandSplits:
    """Read and check all splits; without a dev source, every dev_every-th speaker of train is in dev.

    Raises:
        DataError: with every error in the data at once.
    """
    findings: list[Finding] = []
    readings: dict[Role, _Reading] = {}
    sources: list[tuple[Role, str | None]] = [("train", data.train), ("dev", data.dev), ("test", data.test)]
    for role, source in sources:
        if source is None:
            continue
        try:
            readings[role] = _read(source, role, data.noise_folder)
        except DataError as error:
            findings.append(Finding("error", f"{role}: {error}"))
            continue
        findings += readings[role].check_bad(role, data.max_bad_fraction)
    if data.synthesis is not None:
        try:
            check_synthesis(data.synthesis)
        except DataError as error:
            findings.append(Finding("error", str(error)))
    raise_errors(findings)
    commands = _commands(readings["train"], data)
    classes = [*commands, UNKNOWN, SILENCE]
    clips = {role: _clips(role, reading, data, classes) for role, reading in readings.items()}
    if "dev" not in clips:
        raise_errors(_check_voices(clips["train"], classes))
        clips["dev"], clips["train"] = _cut(clips["train"], data)
    left_out, clips["train"] = _leave_out(clips["train"], data.leave_out)
    for role, split in clips.items():
        findings += _check_split(role, split, classes, data)
    if data.speaker is not None:
        findings += _check_speakers(clips)
    raise_errors(findings)
    return CommandSplits(classes, clips["train"], clips["dev"], clips.get("test"), left_out, findings)


def read_clips(source: str, data: CommandsData, classes: list[str], role: Role = "test") -> tuple[Clips, list[Finding]]:
    """Read and check other recordings for a model whose classes are known.

    Raises:
        DataError: the source cannot be read, or more of its files are bad than data.max_bad_fraction allows.
    """
    reading = _read(source, role, data.noise_folder)
    findings = reading.check_bad(role, data.max_bad_fraction)
    raise_errors(findings)
    clips = _clips(role, reading, data, classes)
    findings += _check_split(role, clips, classes, data)
    raise_errors(findings)
    return clips, findings


def _read(source: str, role: Role, noise_folder: str) -> _Reading:
    reading = _Reading()
    for recording in read_recordings(source, role):
        if not isinstance(recording, Recording):
            reading.bad.add(f"{recording.place} {recording.reason}")
        elif recording.folder == noise_folder:
            reading.noise.append(recording.samples)
        else:
            reading.recordings.append(recording)
    return reading


def _commands(train: _Reading, data: CommandsData) -> list[str]:
    folders = sorted({recording.folder for recording in train.recordings} - {UNKNOWN, SILENCE})
    named = [("words", data.words or []), ("unknown", data.unknown or []), ("leave_out", data.leave_out)]
    errors = [
        f"data.{key}: {not_allowed(word, 'word of the training recordings', folders)}"
        for key, words in named
        for word in words
        if word not in folders
    ]
    both = set(data.words or []) & {*(data.unknown or []), *data.leave_out}
    errors += [f"data.words and data.unknown or data.leave_out name {word}: one of them." for word in sorted(both)]
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
    kept = [r for r in reading.recordings if r.folder in index or others is None or r.folder in others]
    if not kept:
        raise DataError(f"{role}: no recording is of a class of this pipeline: {', '.join(classes)}.")
    labels = [index.get(recording.folder, index[UNKNOWN]) for recording in kept]
    return Clips(
        [recording.samples for recording in kept],
        np.array(labels, np.int32),
        [recording.folder for recording in kept],
        _speakers(role, kept, data.speaker),
        [recording.place for recording in kept],
        reading.noise,
    )


def _speakers(role: Role, recordings: list[Recording], pattern: str | None) -> list[str]:
    if pattern is None:
        return [recording.place for recording in recordings]
    matches = [re.search(pattern, recording.name) for recording in recordings]
    found = [match[1] if match is not None else None for match in matches]
    missing = [recording.place for recording, name in zip(recordings, found, strict=True) if not name]
    if missing:
        raise DataError(
            f"{role}: data.speaker = {pattern!r} matches nothing in the name of {listed(missing)}: nobody knows who "
            "speaks there. Its group must find the speaker in every file's name."
        )
    return [name for name in found if name]


def _cut(clips: Clips, data: CommandsData) -> tuple[Clips, Clips]:
    """(dev, train): by the speaker's name, so that a recording more moves nobody else."""
    chosen = np.array([zlib.crc32(speaker.encode()) % data.dev_every == 0 for speaker in clips.speakers], bool)
    if chosen.all() or not chosen.any():
        speakers = counted(len(set(clips.speakers)), "speaker")
        raise DataError(
            f"train: of {speakers} {'none' if chosen.all() else 'all'} would stay in train, with about one of "
            f"data.dev_every = {data.dev_every} in dev. Name data.dev, or another data.dev_every."
        )
    return clips.take(np.flatnonzero(chosen)), clips.take(np.flatnonzero(~chosen))


def _leave_out(train: Clips, words: list[str]) -> tuple[Clips, Clips]:
    out = np.array([word in words for word in train.words], bool)
    return train.take(np.flatnonzero(out)), train.take(np.flatnonzero(~out))


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


def _check_split(role: str, clips: Clips, classes: list[str], data: CommandsData) -> list[Finding]:
    if not len(clips):
        return [Finding("error", f"{role}: no recordings.")]
    counts = Counter(classes[label] for label in clips.labels)
    findings = _check_voices(clips, classes) if role == "train" else []
    for name in classes[:-2]:
        if not counts[name]:
            text = f"{role}: no recording of {name}."
            findings.append(Finding("error" if role in ("train", "dev") else "warning", text))
    listed = ", ".join(f"{name} {counts[name]:,}" for name in classes if counts[name])
    said_by = f" by {len(set(clips.speakers)):,} speakers" if data.speaker is not None else ""
    findings.append(Finding("info", f"{role}: {len(clips):,} recordings{said_by}: {listed}."))
    seconds = np.array([len(samples) / RATE_HZ for samples in clips.samples])
    longest = int(seconds.argmax())
    findings.append(
        Finding(
            "info",
            f"{role}: recordings of {np.median(seconds):.2f} s (median), the shortest {seconds.min():.2f} s, the "
            f"longest {seconds[longest]:.2f} s in {clips.places[longest]}.",
        )
    )
    noise_s = sum(len(noise) for noise in clips.noise) / RATE_HZ
    noise = (
        f"{noise_s:,.0f} s of noise" if clips.noise else f"no noise in a folder {data.noise_folder}: it is generated"
    )
    return [*findings, Finding("info", f"{role}: {noise}.")]


def _check_speakers(clips: dict[Role, Clips]) -> list[Finding]:
    findings = []
    roles = list(clips)
    for number, first in enumerate(roles):
        for second in roles[number + 1 :]:
            shared = sorted(set(clips[first].speakers) & set(clips[second].speakers))
            if shared:
                findings.append(
                    Finding(
                        "error",
                        f"{first} and {second} share {len(shared):,} speakers, such as {', '.join(shared[:EXAMPLES])}. "
                        "A speaker may be in one split only.",
                    )
                )
    return findings
