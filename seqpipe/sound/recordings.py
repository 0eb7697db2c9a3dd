"""Recordings of a source, decoded to 16 kHz mono: `files:` a folder or .tar of folders, `tfds:`, `builtin:`."""

from __future__ import annotations

import io
import lzma
import math
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seqpipe.data.sources import TFDS_SPLITS, Role, prepared_tfds, source_options, whole_number_option
from seqpipe.errors import DataError, not_allowed
from seqpipe.sound.sound_file import NO_SAMPLES, checked, opened
from seqpipe.sound.tones import TONES_ROWS, tones

RATE_HZ = 16_000
ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
SILENT_PEAK = 1e-4  # of full scale; a 16-bit recording of nothing has a step or two
CLIPPED_FRACTION = 0.25  # of samples at full scale, from where a recording is no longer speech
INT16 = 32_768.0


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording.

    samples: int16 [samples], 16,000 a second, one channel.
    folder: the word that is said in it, or the name of a noise folder.
    name: of the file, without its folder.
    place: where it comes from, for messages.
    """

    samples: np.ndarray
    folder: str
    name: str
    place: str


@dataclass(frozen=True, slots=True)
class BadRecording:
    """A file that cannot be used, and why."""

    place: str
    reason: str


def read_recordings(source: str, role: Role) -> Iterator[Recording | BadRecording]:
    """The recordings of a source, in an order that never changes.

    Args:
        source: `files:PATH` (a folder or a .tar, plain or compressed, of folders named by words),
            `tfds:NAME[?split=train]` with the features audio and label, or
            `builtin:tones[?split=train&rows=100&seed=1]`.
        role: what the recordings are for; it chooses the split where the source names none.
    Raises:
        DataError: the source as a whole cannot be read. A single bad file comes out as a BadRecording.
    """
    scheme, _, rest = source.partition(":")
    if scheme == "files":
        return _read_files(rest)
    if scheme == "tfds":
        return _read_tfds(source, rest, role)
    if scheme == "builtin":
        return _read_builtin(source, rest, role)
    raise DataError(f"{source} is not a source. Allowed: files:PATH, tfds:NAME, builtin:NAME.")


def decode(file: BinaryIO | Path) -> np.ndarray:
    """A recording of any rate, format and number of channels as int16 [samples], 16 kHz, channels averaged.

    Raises:
        ValueError: with the reason, in words that follow a file's name.
    """
    import soxr

    with opened(file) as recording:
        mono = checked(recording.read(dtype="float32", always_2d=True)).mean(axis=1)
        rate_hz = recording.samplerate
    if not len(mono):
        raise ValueError(NO_SAMPLES)
    if rate_hz != RATE_HZ:
        wanted = math.ceil(len(mono) * RATE_HZ / rate_hz)
        mono = soxr.resample(mono, rate_hz, RATE_HZ)
        mono = np.pad(mono, (0, wanted - len(mono)))  # it rounds down as well as up
    return np.clip(np.round(mono * INT16), -INT16, INT16 - 1).astype(np.int16)


def _checked(samples: np.ndarray, folder: str, name: str, place: str) -> Recording | BadRecording:
    if not len(samples):
        return BadRecording(place, "holds no samples")
    loud = np.abs(samples.astype(np.int32))
    if loud.max() < SILENT_PEAK * INT16:
        return BadRecording(place, f"is silent: no sample reaches {SILENT_PEAK:g} of full scale")
    clipped = float(np.mean(loud >= INT16 - 2))
    if clipped > CLIPPED_FRACTION:
        return BadRecording(place, f"is clipped: {clipped:.0%} of its samples stand at full scale")
    return Recording(samples, folder, name, place)


def _read_files(path: str) -> Iterator[Recording | BadRecording]:
    place = Path(path).expanduser()
    if place.is_dir():
        return _read_folder(place)
    if place.is_file() and tarfile.is_tarfile(place):
        return _read_tar(place)
    if place.is_file():
        raise DataError(f"{path} is no .tar. Name a folder or a .tar that holds a folder of recordings for each word.")
    raise DataError(f"{path} does not exist (looked in {Path.cwd()}).")


def _read_folder(root: Path) -> Iterator[Recording | BadRecording]:
    files = sorted(path for path in root.glob("*/*") if path.suffix.lower() in ENDINGS)
    if not files:
        raise DataError(f"{root} holds no recordings. It must hold a folder for each word, with {', '.join(ENDINGS)}.")
    for path in files:
        try:
            yield _checked(decode(path), path.parent.name, path.name, str(path))
        except ValueError as error:
            yield BadRecording(str(path), str(error))


def _read_tar(path: Path) -> Iterator[Recording | BadRecording]:
    try:
        yield from _read_members(path)
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} is damaged or cut short: {str(error).rstrip('.')}.") from None


def _read_members(path: Path) -> Iterator[Recording | BadRecording]:
    found = False
    with tarfile.open(path) as tar:
        for member in tar:
            name = Path(member.name)
            if not member.isfile() or name.suffix.lower() not in ENDINGS:
                continue
            found = True
            place = f"{path}/{member.name}"
            if len(name.parts) < 2:
                yield BadRecording(place, "lies in no folder, which would name its word")
                continue
            file = tar.extractfile(member)
            if file is None:
                continue  # a link to what is not in it
            try:
                yield _checked(decode(io.BytesIO(file.read())), name.parts[-2], name.name, place)
            except (ValueError, tarfile.ReadError) as error:
                yield BadRecording(place, str(error))
    if not found:
        raise DataError(f"{path} holds no recordings. It must hold a folder for each word, with {', '.join(ENDINGS)}.")


def _read_builtin(source: str, rest: str, role: Role) -> Iterator[Recording | BadRecording]:
    name, options = source_options(source, rest, ("split", "rows", "seed"))
    if name != "tones":
        raise DataError(f"{source}: {not_allowed(name, 'builtin data set of recordings', ['tones'])}")
    split = options.get("split", role)
    if split not in TONES_ROWS:
        raise DataError(f"{source}: {not_allowed(split, 'split', TONES_ROWS)}")
    rows = whole_number_option(source, options, "rows", TONES_ROWS[split], 1, 100_000)
    seed = whole_number_option(source, options, "seed", 1, 0, 2**31 - 1)
    for folder, file, waveform in tones(split, rows, seed):
        samples = np.round(waveform * (INT16 - 1)).astype(np.int16)
        yield Recording(samples, folder, file, f"builtin:tones/{split}/{folder}/{file}")


def _read_tfds(source: str, rest: str, role: Role) -> Iterator[Recording | BadRecording]:
    name, options = source_options(source, rest, ("split",))
    split = options.get("split", TFDS_SPLITS[role])
    import tensorflow_datasets as tfds

    builder: Any = prepared_tfds(source, name, split, role)
    features = builder.info.features
    for column in ("audio", "label"):
        if column not in features:
            raise DataError(f"{source}: {not_allowed(column, 'feature', features)}")
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)  # rows in the order of the files
    for number, row in enumerate(tfds.as_numpy(builder.as_dataset(split=split, read_config=config))):
        place = f"tfds:{name}/{split}:{number}"
        samples = np.clip(row["audio"], -INT16, INT16 - 1).astype(np.int16)
        folder = features["label"].int2str(int(row["label"])).strip("_")  # it has _unknown_ and _silence_
        yield _checked(samples, folder, f"{number}.wav", place)
