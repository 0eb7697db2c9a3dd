"""Recordings of a source, decoded to 16 kHz mono: `files:` a folder or .tar of folders, `tfds:`, `builtin:`."""

from __future__ import annotations

import io
import math
import tarfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from seqpipe.config.sound import SILENCE
from seqpipe.data.files import as_on_disk
from seqpipe.data.findings import Bad, Finding, counted
from seqpipe.data.lines import CANNOT_UNPACK
from seqpipe.data.sources import TFDS_SPLITS, Role, prepared_tfds, source_options, whole_number_option
from seqpipe.data.splits import part_of
from seqpipe.errors import DataError, not_allowed
from seqpipe.sound.sound_file import NO_SAMPLES, READ, checked, opened
from seqpipe.sound.tones import RATE_HZ, TONES_ROWS, tones

ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif")
NO_SOUND = ("", ".txt", ".md", ".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".html", ".pdf", ".lab", ".textgrid")
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


def read_recordings(source: str, role: Role, *, most: int | None = None) -> Iterator[Recording | Bad | Finding]:
    """The recordings of a source, in an order that never changes, and what is left out there.

    Args:
        source: `files:PATH` (a folder or a .tar, plain or compressed, of folders named by words),
            `tfds:NAME[?split=train]` with the features audio and label, or
            `builtin:tones[?split=train&rows=100&seed=1]`.
        role: what the recordings are for; it chooses the split where the source names none.
        most: files that are read, of each folder its share; None for all.
    Raises:
        DataError: the source as a whole cannot be read. A single bad file comes out as Bad.
    """
    scheme, _, rest = source.partition(":")
    if scheme == "files":
        return _read_files(rest, most)
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
    with opened(file) as recording:
        mono = checked(recording.read(dtype="float32", always_2d=True)).mean(axis=1)
        rate_hz = recording.samplerate
    if not len(mono):
        raise ValueError(NO_SAMPLES)
    mono = resampled(mono, rate_hz)
    return np.clip(np.round(mono * INT16), -INT16, INT16 - 1).astype(np.int16)


def resampled(mono: np.ndarray, rate_hz: float) -> np.ndarray:
    """Samples of any rate, float32 [samples], at 16 kHz."""
    import soxr

    if rate_hz == RATE_HZ:
        return mono
    wanted = math.ceil(len(mono) * RATE_HZ / rate_hz)
    mono = soxr.resample(mono, rate_hz, RATE_HZ)
    return np.pad(mono, (0, wanted - len(mono)))  # it rounds down as well as up


def _checked(samples: np.ndarray, folder: str, name: str, place: str) -> Recording | Bad:
    folder = unicodedata.normalize("NFC", folder)
    if not len(samples):
        return Bad(f"{place} {NO_SAMPLES}")
    loud = np.abs(samples.astype(np.int32))
    if loud.max() < SILENT_PEAK * INT16 and folder.strip("_") != SILENCE:
        return Bad(f"{place} is silent: no sample reaches {SILENT_PEAK:g} of full scale")
    clipped = float(np.mean(loud >= INT16 - 2))
    if clipped > CLIPPED_FRACTION:
        return Bad(f"{place} is clipped: {clipped:.0%} of its samples stand at full scale")
    return Recording(samples, folder, name, place)


@dataclass
class _Found:
    """What lies in a folder or an archive: files to read, and what is left out.

    Attributes:
        files: (folder, name, place, how to decode it).
        left_out: what a thing is that is left out -> how many there are.
        unread: ending -> files of it that are not read.
        first: of each of these, one by name.
    """

    files: list[tuple[str, str, str, Callable[[], np.ndarray]]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def leave_out(self, kind: str, name: str) -> None:
        self.left_out[kind] += 1
        self.first.setdefault(kind, name)

    def add(self, folder: str, name: str, place: str, read: Callable[[], np.ndarray]) -> None:
        ending = Path(name).suffix.lower()
        if ending in ENDINGS:
            self.files.append((folder, name, place, read))
        elif ending not in NO_SOUND:
            self.unread[ending] += 1
            self.first.setdefault("unread", f"{folder}/{name}")

    def findings(self) -> Iterator[Finding]:
        for kind, count in self.left_out.items():
            hidden = kind.startswith("hidden")
            text = f"{counted(count, kind)} {'is' if count == 1 else 'are'} left out, such as {self.first[kind]}."
            yield Finding("info" if hidden else "warning", text)
        if self.unread:
            yield Finding("warning", f"{self._unread()}.")

    def _unread(self) -> str:
        listed = ", ".join(f"{count:,} {ending}" for ending, count in self.unread.most_common())
        return f"files of other formats than {READ} are not read: {listed}, such as {self.first['unread']}"

    def recordings(self, root: Path, most: int | None) -> Iterator[Recording | Bad | Finding]:
        if not self.files:
            unread = f" Its {self._unread()}." if self.unread else ""
            raise DataError(
                f"{root} holds no recordings. It must hold a folder for each word, with {', '.join(ENDINGS)}.{unread}"
            )
        yield from self.findings()
        chosen = self.files
        if most is not None and len(chosen) > most:
            yield Finding("warning", f"{most:,} of {len(chosen):,} recordings of {root} are used (data.max_rows).")
            chosen = [chosen[row] for row in part_of([folder for folder, *_ in chosen], most)]
        for folder, name, place, read in chosen:
            place = _printable(place)
            if folder != _printable(folder):
                yield Bad(f"{place} lies in a folder whose name is not UTF-8")
                continue
            try:
                yield _checked(read(), folder, name, place)
            except ValueError as error:
                yield Bad(f"{place} {error}")


def _printable(name: str) -> str:
    """A name of a file without the halves of characters that stand for bytes which are not UTF-8."""
    return name.encode("utf-8", "replace").decode()


def _read_files(path: str, most: int | None) -> Iterator[Recording | Bad | Finding]:
    place = as_on_disk(path)
    if place.is_dir():
        return _look_into(place).recordings(place, most)
    if place.is_file():
        return _read_tar(place, most)
    if place.exists():
        raise DataError(f"{path} is a pipe or a device. Allowed: a folder, or a .tar.")
    raise DataError(f"{path} does not exist (looked in {Path.cwd()}).")


def _look_into(root: Path) -> _Found:
    found = _Found()
    for folder in _children(root):
        if folder.name.startswith("."):
            found.leave_out("hidden path", folder.name)
        elif folder.is_dir():
            before = (len(found.files), found.unread.total(), found.left_out.total())
            for path in _children(folder):
                name = f"{folder.name}/{path.name}"
                if path.name.startswith("."):
                    found.leave_out("hidden path", name)
                elif path.is_dir():
                    found.leave_out("folder inside a word's folder", name)
                else:
                    found.add(folder.name, path.name, str(path), partial(_decode_file, path))
            if before == (len(found.files), found.unread.total(), found.left_out.total()):
                found.leave_out("folder without a recording", folder.name)
        elif folder.is_symlink() and not folder.exists():
            found.leave_out("link that leads nowhere", folder.name)
        elif folder.suffix.lower() in ENDINGS:
            found.leave_out("recording in no word's folder", folder.name)
    return found


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.") from None


def _decode_file(path: Path) -> np.ndarray:
    if path.exists() and not path.is_file():
        raise ValueError("is no file")
    if path.is_symlink() and not path.exists():
        raise ValueError("cannot be read: it is a link that leads nowhere")
    return decode(path)


def _read_tar(path: Path, most: int | None) -> Iterator[Recording | Bad | Finding]:
    try:
        if not tarfile.is_tarfile(path):
            raise DataError(
                f"{path} is no .tar. Name a folder or a .tar that holds a folder of recordings for each word."
            )
        with tarfile.open(path) as tar:
            found = _look_into_tar(tar, path)
            # The last block read is the mark of the end, unless the file ends before it.
            if tar.fileobj is not None and tar.fileobj.tell() < tar.offset + tarfile.BLOCKSIZE:
                raise DataError(f"{path} is damaged or cut short: the mark of its end is missing.")
            yield from found.recordings(path, most)
    except (tarfile.TarError, *CANNOT_UNPACK) as error:
        raise DataError(f"{path} is damaged or cut short: {str(error).rstrip('.')}.") from None


def _look_into_tar(tar: tarfile.TarFile, path: Path) -> _Found:
    found, members, deeper = _Found(), [], set()
    for member in tar:
        name = PurePosixPath(member.name)
        if member.isdir() or member.isdev():
            continue
        if any(part.startswith(".") and part not in (".", "..") for part in name.parts):
            found.leave_out("hidden path", member.name)
        else:
            members.append((name, member))
    root = _root({name.parent for name, _ in members if name.suffix.lower() in ENDINGS})
    for name, member in members:
        inside = name.relative_to(root) if root in name.parents else PurePosixPath()
        if len(inside.parts) == 1 and name.suffix.lower() in ENDINGS:
            found.leave_out("recording in no word's folder", str(inside))
        elif len(inside.parts) == 2:
            found.add(inside.parts[0], name.name, f"{path}/{member.name}", partial(_decode_member, tar, member))
        elif len(inside.parts) > 2:
            deeper.add("/".join(inside.parts[:2]))
    for folder in sorted(deeper):
        found.leave_out("folder inside a word's folder", folder)
    return found


def _root(folders: set[PurePosixPath]) -> PurePosixPath:
    """The folder that holds one for each word: the deepest that holds all these; the one above a single word."""
    above = [{folder, *folder.parents} for folder in folders] or [{PurePosixPath()}]
    common = max(set.intersection(*above), key=lambda folder: len(folder.parts), default=PurePosixPath())
    return common.parent if folders == {common} else common


def _decode_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> np.ndarray:
    try:
        file = tar.extractfile(member)
    except (KeyError, RecursionError):  # it leads to nothing, or to itself
        file = None
    if file is None:
        raise ValueError("cannot be read: it is a link that leads nowhere")
    return decode(io.BytesIO(file.read()))


def _read_builtin(source: str, rest: str, role: Role) -> Iterator[Recording | Bad]:
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


def _read_tfds(source: str, rest: str, role: Role) -> Iterator[Recording | Bad]:
    name, options = source_options(source, rest, ("split",))
    split = options.get("split", TFDS_SPLITS[role])
    import tensorflow_datasets as tfds

    builder = prepared_tfds(source, name, split)
    features = builder.info.features
    for column in ("audio", "label"):
        if column not in features:
            raise DataError(f"{source}: {not_allowed(column, 'feature', features)}")
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)  # rows in the order of the files
    for number, row in enumerate(tfds.as_numpy(builder.as_dataset(split=split, read_config=config))):
        place = f"tfds:{name}/{split}:{number}"
        label = int(row["label"])
        if not 0 <= label < features["label"].num_classes:  # -1 where it is withheld
            yield Bad(f"{place} has the label {label}, which is none of the {features['label'].num_classes} classes")
            continue
        wave = resampled(np.asarray(row["audio"], np.float32), features["audio"].sample_rate or RATE_HZ)
        samples = np.clip(np.round(wave), -INT16, INT16 - 1).astype(np.int16)
        folder = features["label"].int2str(label).strip("_")  # it has _unknown_ and _silence_
        yield _checked(samples, folder, f"{number}.wav", place)
