"""What is read of a WAV file: one table for all who read them."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile

FRAMES = 8_000  # half a second


def chirp(rate_hz=16_000, seconds=0.5):
    time = np.arange(round(rate_hz * seconds)) / rate_hz
    return 0.5 * np.sin(2 * np.pi * (200 + 1000 * time) * time) * np.sin(np.pi * time / seconds) ** 2


def wav(samples=None, rate_hz=16_000, subtype="PCM_16", format="WAV"):
    file = io.BytesIO()
    soundfile.write(file, chirp() if samples is None else samples, rate_hz, subtype=subtype, format=format)
    return file.getvalue()


def changed(*fields):
    """The plain file with numbers put in: (place, struct format, value)."""
    file = bytearray(wav())
    for at, form, value in fields:
        struct.pack_into(form, file, at, value)
    return bytes(file)


def with_block_bytes(count):
    """24 bits a sample, in so many bytes as the header says."""
    file = bytearray(wav(subtype="PCM_24"))
    struct.pack_into("<H", file, 32, count)
    return bytes(file)


def sizes(riff, data):
    return changed((4, "<I", riff), (40, "<I", data))


def with_chunk(name, content, *, before, padded=True):
    """The plain file with one more chunk, before or behind its samples."""
    file, chunk = wav(), name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2 * padded)
    return file[:12] + chunk + file[12:] if before else file + chunk


def damaged(rng):
    """A file of the table, changed in a few places that writers get wrong."""
    file = bytearray(KINDS[rng.integers(len(KINDS))])
    for _ in range(rng.integers(1, 4)):
        at, form = int(rng.integers(12, 80)), ("<B", "<H", "<I")[rng.integers(3)]
        match rng.integers(6):
            case 0 if at + 4 <= len(file):
                value = int(NUMBERS[rng.integers(len(NUMBERS))])
                struct.pack_into(form, file, at, value % 256 ** struct.calcsize(form))
            case 1:
                del file[int(rng.integers(12, len(file) + 1)) :]
            case 2:
                file += rng.bytes(int(rng.integers(1, 9)))
            case 3:
                content = rng.bytes(int(rng.integers(0, 40)))
                file[12:12] = b"LIST" + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
            case 4:
                file[at:at] = file[at : at + int(rng.integers(1, 40))]
            case 5 if b"data" in file:
                place = bytes(file).find(b"data") + 4
                said = len(file) - place - 4 + int(rng.integers(-60, 60))
                file[place : place + 4] = struct.pack("<I", max(0, said))
    return bytes(file)


BYTES = 2 * FRAMES
PLAIN = chirp()
NUMBERS = [*range(9), 16, 18, 20, 24, 32, 40, 64, 0xFE, 0x7FFF, 0xFFFE, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 4_000]
KINDS = [
    wav(np.stack([chirp(rate_hz, 0.02)] * channels, axis=1), rate_hz, bits, format)
    for rate_hz in (4_000, 16_000, 44_100)
    for channels in (1, 2)
    for bits in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
    for format in ("WAV", "WAVEX")
]

# File, and the waveform at 16 kHz that it is read as, near enough.
READ = {
    "plain": (wav(), PLAIN),
    "two channels": (wav(np.stack([chirp(), -0.3 * chirp()], axis=1)), 0.35 * PLAIN),
    "five channels": (wav(np.stack([chirp()] * 5, axis=1)), PLAIN),
    **{f"{bits}": (wav(subtype=bits), PLAIN) for bits in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")},
    **{f"extensible {bits}": (wav(subtype=bits, format="WAVEX"), PLAIN) for bits in ("PCM_16", "PCM_24", "FLOAT")},
    **{
        f"{rate_hz} Hz": (wav(chirp(rate_hz), rate_hz), PLAIN)
        for rate_hz in (4_000, 8_000, 11_025, 12_345, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 191_999, 192_000)
    },
    "above full scale": (wav(3 * PLAIN, subtype="FLOAT"), np.clip(3 * PLAIN, -1, 1)),
    "an identifier of its own": (wav(format="WAVEX").replace(b"\x38\x9b\x71", b"\x38\x9b\x72"), PLAIN),
    "a wrong size of frames": (changed((28, "<I", 7), (32, "<H", 3)), PLAIN),
    # Written into a pipe: by ffmpeg, SoX, arecord, and by those whose process was killed before they put the sizes in.
    "pipe ffmpeg": (sizes(0xFFFFFFFF, 0xFFFFFFFF), PLAIN),
    "pipe SoX": (sizes(0x7FFFF024, 0x7FFFF000), PLAIN),
    "pipe arecord": (sizes(0x80000024, 0x80000000), PLAIN),
    "pipe 7FFFFFFF": (sizes(0x7FFFFFFF, 0x7FFFFFFF), PLAIN),
    "pipe zeros": (sizes(0, 0), PLAIN),
    "cut off as empty": (sizes(36, 0), PLAIN),
    "only the file's size put in": (sizes(36 + BYTES, 0), PLAIN),
    "only the samples' size put in": (sizes(0, BYTES), PLAIN),
    # Counted wrong.
    "RIFF minus 8": (sizes(36 + BYTES - 8, BYTES), PLAIN),
    "RIFF plus 8": (sizes(36 + BYTES + 8, BYTES), PLAIN),
    "RIFF nonsense": (sizes(7, BYTES), PLAIN),
    "data plus header": (sizes(36 + BYTES, BYTES + 44), PLAIN),
    "data plus 8": (sizes(36 + BYTES, BYTES + 8), PLAIN),
    "data plus a byte": (sizes(37 + BYTES, BYTES + 1), PLAIN),
    "data minus a byte": (sizes(35 + BYTES, BYTES - 1), PLAIN[:-1]),
    "an odd byte behind": (wav() + b"\0", PLAIN),
    "an odd byte less": (wav()[:-1], PLAIN[:-1]),
    "less said than there": (sizes(36 + BYTES // 2, BYTES // 2), PLAIN[: FRAMES // 2]),
    # Other chunks.
    "chunk before": (with_chunk(b"LIST", b"INFOsome!", before=True), PLAIN),
    "chunk before, not padded": (with_chunk(b"LIST", b"INFOsome!", before=True, padded=False), PLAIN),
    "chunk behind": (with_chunk(b"LIST", b"INFOsome", before=False), PLAIN),
}

# File, and what the rule that it breaks says.
REFUSED = {
    "nothing": (b"", "is empty: it has not one byte"),
    "half a header": (b"RIFF", "is no WAV file: that begins with RIFF....WAVE"),
    "noise": (bytes(range(1, 201)), "is no WAV file: that begins with RIFF....WAVE"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "is a Git LFS pointer, whose file `git lfs pull` fetches. Allowed: ",
    ),
    "web page": (b"<!DOCTYPE html><html><body>404</body></html>", "is a web page. Allowed: "),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(60), "is a gzip archive. Allowed: "),
    "M4A": (b"\0\0\0\x20ftypM4A " + bytes(60), "is an MP4 or M4A file. Allowed: "),
    "half a fmt chunk": (wav()[:30], "holds no whole fmt chunk before its samples"),
    "no fmt chunk": (wav()[:12] + wav()[36:], "holds no whole fmt chunk before its samples"),
    "no data chunk": (wav()[:36], "holds no data chunk"),
    "no channels": (changed((22, "<H", 0)), "says that it has 0 channels"),
    "1,025 channels": (changed((22, "<H", 1_025)), "says that it has 1025 channels. Allowed: 1 to 1,024"),
    "12 bits": (changed((34, "<H", 12)), "has a codec that is not read: code 1, 12 bits. Allowed: PCM (1) of 8, 16, "),
    "24 bits in 4 bytes": (
        with_block_bytes(4),
        "holds samples of 24 bits in 4 bytes, which no two programs read alike",
    ),
    "no rate": (changed((24, "<I", 0)), "has a rate of 0 Hz. Allowed: 4,000 to 192,000"),
    "low rate": (changed((24, "<I", 3_999)), "has a rate of 3999 Hz"),
    "high rate": (changed((24, "<I", 2**32 - 1)), "has a rate of 4294967295 Hz"),
    "cut in the middle": (wav()[: BYTES // 2], f"is truncated: {BYTES} bytes of samples said, {BYTES // 2 - 44} there"),
    "no samples": (wav(np.zeros(0)), "holds no samples"),
    "no samples, two rates": (wav(np.zeros((0, 2)), 44_100), "holds no samples"),
    "no samples, other chunk behind": (
        wav(np.zeros(0)) + b"LIST" + struct.pack("<I", 8) + b"INFOsome",
        "holds no samples",
    ),
    "half a sample": (wav(np.zeros(0)) + b"\0", "holds no samples"),
    "NaN": (wav(np.where(np.arange(FRAMES) == 99, np.nan, PLAIN), subtype="FLOAT"), "holds NaN or infinity"),
    "infinity": (wav(np.where(np.arange(FRAMES) == 99, -np.inf, PLAIN), subtype="DOUBLE"), "holds NaN or infinity"),
    "floats as 16 bits": (wav(32_768 * PLAIN, subtype="FLOAT"), r"holds samples far outside -1..1 (divide floats in "),
    "2.5": (wav(5 * PLAIN, subtype="FLOAT"), "the highest is 2.4"),
}
