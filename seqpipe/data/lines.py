"""The lines of a file as text, and the rows that they make.

Files are streamed, so memory does not grow with them. Lines end at "\\n" or "\\r\\n" and nowhere else: a review may
hold U+0085 or U+2028, at which `str.splitlines` would cut it. Where a file begins without a "\\n" far and wide and has
several "\\r", as spreadsheets write for an old Mac, lines end there.
"""

from __future__ import annotations

import codecs
import io
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from seqpipe.errors import DataError

MARKS = (  # the longer first: the mark of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LOOKED_AT_BYTES = 65_536
CANNOT_UNPACK = (EOFError, zlib.error, lzma.LZMAError, OSError)  # what a packed file that is damaged raises


@dataclass(frozen=True, slots=True)
class Row:
    """The values of a row by our names for its columns, and the line it starts in (counted from 1)."""

    values: dict[str, str]
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why."""

    file: str
    line: int
    reason: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def encoding_of(begin: bytes, encoding: str) -> str:
    """The encoding that a byte order mark at the beginning of a file names, else the given one."""
    marked = next((name for mark, name in MARKS if begin.startswith(mark)), None)
    return marked or codecs.lookup(encoding).name.removesuffix("-sig")


def line_end(begin: str | bytes) -> str:
    """What ends the lines of a file, by its beginning: "\\n", or "\\r" where there are several and no "\\n"."""
    text = begin if isinstance(begin, str) else begin.decode("latin-1")
    return "\r" if "\n" not in text and text.count("\r") > 1 else "\n"


def not_decoded(error: UnicodeDecodeError, encoding: str, key: str, *, offset: int = 0) -> str:
    """What stands in a file that is of another encoding.

    Args:
        key: the option that names the encoding.
        offset: of the bytes in the file.
    """
    byte = error.object[error.start]
    return f"byte {offset + error.start} (0x{byte:02x}) is not {encoding}: name the encoding with {key}"


class Lines:
    """The lines of a file as text. A faulty line is noted, so that its row can be named and the next one read.

    Attributes:
        number: of the line last given out, counted from 1.
    """

    def __init__(self, stream: io.BufferedReader, name: str, encoding: str, encoding_key: str = "data.encoding"):
        self.name = name
        self.number = 0
        self._stream = stream
        self._encoding = encoding
        self._key = encoding_key
        self._fault: str | None = None

    def __iter__(self) -> Iterator[str]:
        try:
            for line in self._decoded():
                yield line.lstrip("\ufeff") if self.number == 1 else line
        except UnicodeError as error:
            markless = "start with BOM" in str(error)  # of UTF-16 and UTF-32; another error in each Python
            why = ": it has no byte order mark" if markless else f" from here: {getattr(error, 'reason', error)}"
            reason = f"not {self._encoding}{why}. Another is named with {self._key}"
            raise DataError(f"{self.name}:{self.number + 1}: {reason}.") from None
        except CANNOT_UNPACK as error:
            raise DataError(f"{self.name}:{self.number + 1}: cannot be read from here: {error}.") from None

    def _decoded(self) -> Iterator[str]:
        self._encoding = encoding_of(self._stream.peek(4)[:4], self._encoding)
        if "\n,".encode(self._encoding) != b"\n,":  # UTF-16 and its like: "\n" is not one byte
            with io.TextIOWrapper(self._stream, self._encoding, newline="\n") as text:
                for line in text:
                    self.number += 1
                    if "\0" in line:
                        self._note("a character is NUL")
                    yield line
            return
        offset = 0
        for raw in self._raw():
            self.number += 1
            try:
                line = raw.decode(self._encoding)
            except UnicodeDecodeError as error:
                line = raw.decode(self._encoding, errors="replace")
                self._note(not_decoded(error, self._encoding, self._key, offset=offset))
            if b"\0" in raw:
                hint = f": is it UTF-16? Name the encoding with {self._key}" if raw.count(0) > 1 else ""
                self._note(f"byte {offset + raw.index(0)} is NUL{hint}")
            offset += len(raw)
            yield line

    def _raw(self) -> Iterator[bytes]:
        if line_end(self._stream.peek()) == "\n":
            yield from self._stream
            return
        left = b""
        while part := self._stream.read(LOOKED_AT_BYTES):
            *whole, left = (left + part).split(b"\r")
            yield from (line + b"\n" for line in whole)
        if left:
            yield left

    def _note(self, fault: str) -> None:
        self._fault = self._fault or fault

    def take_fault(self) -> str | None:
        """What was wrong with the lines since the last call."""
        fault, self._fault = self._fault, None
        return fault

    def row(self, values: dict[str, str] | str, *, start: int | None = None) -> Row | BadRow:
        """The row read last: its values or, as a string, why it is bad."""
        line = self.number if start is None else start
        values = self.take_fault() or values
        return BadRow(self.name, line, values) if isinstance(values, str) else Row(values, self.name, line)


def cut(line: str) -> str:
    """A line without its end."""
    return line.removesuffix("\n").removesuffix("\r")
