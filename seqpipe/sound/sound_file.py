"""Recordings opened with libsndfile; of a WAV file, what is read is one rule, here and in core TensorFlow ops in `wav`.

Who writes into a pipe cannot go back to the header, so a size there that no file has, or zero before samples, counts as
unknown: all that follows is read. Who counts the header too, or a byte too many, is believed as far as there are bytes.
Who promises much more than there is was cut short. The size of the whole file, which is said once more, is not needed.
Of PCM and float the fmt chunk counts as far as code, channels, rate and bits. Samples above full scale are cut there,
those too that come above it when the rate is changed.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    import soundfile

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 4_000, 192_000
HIGHEST_SAMPLE = 2.0  # a little above full scale is what resampling leaves
HIGHEST_CHANNELS = 1_024  # of libsndfile
UNKNOWN_BYTES = 0x7FFF0000  # from here on a size is none: recorders write 0x7FFFF000, 0x80000000, 0xFFFFFFFF
LARGEST_BYTES = 2**32 - 1  # that a chunk's size can say
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
# (code, bits a sample) that can be read everywhere; what else libsndfile reads, the graph does not.
ENCODINGS = ((PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64))

# What other bytes are: where they say so, what they say, and what that is.
OTHERS = (
    (0, b"version https://git-lfs", "a Git LFS pointer, whose file `git lfs pull` fetches"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"PK\x03\x04", "a zip archive"),
    (4, b"ftyp", "an MP4 or M4A file"),
)

# Rules that a file may break, in words that follow its name; each place takes a number.
NOTHING = "is empty: it has not one byte"
OTHER = "is {}. Allowed: {}"
NO_WAV = "is no WAV file: that begins with RIFF....WAVE"
NO_FORMAT = "holds no whole fmt chunk before its samples"
NO_DATA = "holds no data chunk"
CODEC = (
    "has a codec that is not read: code {}, {} bits. Allowed: PCM (1) of 8, 16, 24 or 32 bits, float (3) of 32 or 64 "
    "(seqpipe's command line also reads 2, 17 ADPCM, 6 A-law and 7 mu-law, but not 49 GSM and 85 MP3)"
)
BLOCK = "holds samples of 24 bits in 4 bytes, which no two programs read alike. Allowed: 24 in 3 bytes, or 32 bits"
CHANNELS = f"says that it has {{}} channels. Allowed: 1 to {HIGHEST_CHANNELS:,}"
RATE = f"has a rate of {{}} Hz. Allowed: {LOWEST_RATE_HZ:,} to {HIGHEST_RATE_HZ:,}"
TRUNCATED = "is truncated: {} bytes of samples said, {} there"
NO_SAMPLES = "holds no samples"
NO_NUMBER = "holds NaN or infinity"
LOUD = "holds samples far outside -1..1 (divide floats in the range of 16 bits by 32,768); the highest is {}"

READ = "WAV, FLAC, OGG, Opus, MP3, AIFF"


@contextlib.contextmanager
def opened(file: BinaryIO | Path) -> Iterator[soundfile.SoundFile]:
    """A recording, opened for reading.

    Raises:
        ValueError: with the rule that it breaks, in words that follow its name, there or while it is read.
    """
    import soundfile

    with contextlib.ExitStack() as stack:
        try:
            raw = stack.enter_context(file.open("rb")) if isinstance(file, Path) else file
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None
        try:
            recording = stack.enter_context(soundfile.SoundFile(mended(raw)))
            if not LOWEST_RATE_HZ <= recording.samplerate <= HIGHEST_RATE_HZ:
                raise ValueError(RATE.format(recording.samplerate))
            if not recording.seekable():
                raise ValueError(f"has a codec that is not read: {recording.subtype_info}")
            yield recording
        except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
            reason = str(error).rpartition(": ")[2].rstrip(".")
            raise ValueError(f"cannot be decoded: {reason}. Allowed: {READ}") from None


def checked(samples: np.ndarray) -> np.ndarray:
    """The samples.

    Raises:
        ValueError: one is no number, or far outside -1..1.
    """
    highest = float(np.abs(samples).max(initial=0))
    if not np.isfinite(highest):
        raise ValueError(NO_NUMBER)
    if highest > HIGHEST_SAMPLE:
        raise ValueError(LOUD.format(f"{highest:g}"))
    return samples


def mended(file: BinaryIO) -> io.RawIOBase:
    """A file from its beginning, with the sizes in its header put right where it is a WAV file.

    Raises:
        ValueError: it breaks a rule that its header shows.
    """
    file.seek(0)
    head = file.read(64)
    if not head:
        raise ValueError(NOTHING)
    for at, mark, what in OTHERS:
        if head[at : at + len(mark)] == mark:
            raise ValueError(OTHER.format(what, READ))
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        samples = _samples_of(file)
        return _Part(file, _head(samples), samples.start, samples.size)
    return _Part(file, b"", 0, file.seek(0, io.SEEK_END))


@dataclass(frozen=True)
class _Samples:
    """The body of the fmt chunk; where the samples begin in the file, and how many bytes they are."""

    format: bytes
    start: int
    size: int


def _samples_of(file: BinaryIO) -> _Samples:
    whole = file.seek(0, io.SEEK_END)
    at, format = 12, b""

    def read(start: int, size: int) -> bytes:
        file.seek(start)
        return file.read(size)

    while at + 8 <= whole:
        name, said = struct.unpack("<4sI", read(at, 8))
        at += 8
        if name == b"data":
            break
        if name == b"fmt " and 16 <= said <= whole - at:
            format = read(at, said)
        at += said
        # Chunks stand at even places, but not everyone who writes them knows.
        if said % 2 and read(at, 4) not in (b"data", b"fmt "):
            at += 1
    else:
        raise ValueError(NO_DATA if format else NO_FORMAT)
    if not format:
        raise ValueError(NO_FORMAT)
    format, frame_bytes = _plain(format)
    there = whole - at
    size = there if _is_unknown(said, read(at + said, 8), there - said) else said
    if size > there + at:
        raise ValueError(TRUNCATED.format(size, there))
    size = min(size, there)
    size -= size % (frame_bytes or 1)  # a part of a frame at the end
    if not size:
        raise ValueError(NO_SAMPLES)
    return _Samples(format, at, size)


def _plain(format: bytes) -> tuple[bytes, int]:
    """The body of a fmt chunk, of PCM and float as short as can be, and the bytes of a frame."""
    code, channels, rate_hz, _, block_bytes, bits = struct.unpack_from("<HHIIHH", format)
    if code == EXTENSIBLE and len(format) >= 26:
        (code,) = struct.unpack_from("<H", format, 24)
    if not 1 <= channels <= HIGHEST_CHANNELS:
        raise ValueError(CHANNELS.format(channels))
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise ValueError(RATE.format(rate_hz))
    frame_bytes = channels * bits // 8
    if code not in (PCM, FLOAT):  # libsndfile says whether it can be read
        return format, frame_bytes
    if (code, bits) not in ENCODINGS:
        raise ValueError(CODEC.format(code, bits))
    if bits == 24 and block_bytes == 4 * channels:
        raise ValueError(BLOCK)
    return struct.pack("<HHIIHH", code, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits), frame_bytes


def _is_unknown(said: int, next_bytes: bytes, left: int) -> bool:
    """Whether the size of the samples is none: zero or very large, though neither a chunk nor the end follows.

    Args:
        next_bytes: that stand behind so many samples. left: how many there are of them, below 0 for too few.
    """
    if 0 < said < UNKNOWN_BYTES or (said and 0 <= left < 8):
        return False
    if left < 8:
        return True
    name, size = next_bytes[:4], struct.unpack_from("<I", next_bytes, 4)[0]
    return not (all(32 <= byte < 127 for byte in name) and size <= left - 8)


def _head(samples: _Samples) -> bytes:
    """A header with true sizes, before samples that stay where they are."""
    chunks = struct.pack("<4sI", b"fmt ", len(samples.format)) + samples.format + bytes(len(samples.format) % 2)
    name, behind = b"RIFF", len(chunks) + 12
    if behind + samples.size > LARGEST_BYTES:  # then the sizes stand in a chunk of their own
        name, behind = b"RF64", behind + 36
        chunks = struct.pack("<4sIQQQI", b"ds64", 28, behind + samples.size, samples.size, 0, 0) + chunks
    sizes = [min(size, LARGEST_BYTES) for size in (behind + samples.size, samples.size)]
    return struct.pack("<4sI4s", name, sizes[0], b"WAVE") + chunks + struct.pack("<4sI", b"data", sizes[1])


class _Part(io.RawIOBase):
    """A head and a part of a file behind it; libsndfile may seek anywhere, and an exception there would be printed."""

    def __init__(self, file: BinaryIO, head: bytes, start: int, size: int):
        self._file, self._head, self._start, self._size, self._at = file, head, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        end = len(self._head) + self._size
        self._at = max(0, {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: end}[whence] + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Into a buffer, as much of head or file as it holds."""
        if self._at < len(self._head):
            part = self._head[self._at : self._at + len(buffer)]
        else:
            place = self._at - len(self._head)
            size = max(0, min(len(buffer), self._size - place))
            self._file.seek(self._start + place if size else 0)
            part = self._file.read(size)
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)
