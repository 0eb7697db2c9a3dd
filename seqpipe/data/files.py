"""Files of text: found by a path or a pattern, unpacked (.gz, .xz), and read in the format they have."""

from __future__ import annotations

import contextlib
import csv
import glob
import gzip
import io
import json
import lzma
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from seqpipe.data import formats
from seqpipe.data.formats import Column, Format, check_columns
from seqpipe.data.lines import (
    CANNOT_UNPACK,
    LOOKED_AT_BYTES,
    BadRow,
    Lines,
    Row,
    cut,
    encoding_of,
    line_end,
    not_decoded,
)
from seqpipe.errors import DataError, nearest, not_allowed

__all__ = ["BadRow", "Column", "Format", "Row", "check_columns", "find_files", "format_by_ending", "read_files"]

ENDINGS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "label_text"
}  # fmt: skip
NAMED = ("csv", "tsv", "jsonl", "label_text", "folders")
COMPRESSIONS = {".gz": "gzip", ".xz": "xz"}
FIRST_BYTES = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"BZh91AY": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
}
# What other tools write, which is not text though its name may say so.
FOREIGN = {
    b"\xd0\xcf\x11\xe0": "a spreadsheet of Excel, or another document of Office",
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"SQLite format 3": "an SQLite database",
    b"%PDF-": "PDF",
    b"version https://git-lfs": "a Git LFS pointer, whose file `git lfs pull` fetches",
    b"<?xml": "XML (such as TMX or XLIFF)",
    b"<tmx": "XML (TMX)",
    b"<xliff": "XML (XLIFF)",
}
LOOKED_AT_LINES = 100


def read_files(
    pattern: str,
    *,
    columns: Mapping[str, Column],
    format: Format = "auto",
    encoding: str = "utf-8",
    separator: str | None = None,
    encoding_key: str = "data.encoding",
    label_separator: str | None = None,
) -> Iterator[Row | BadRow]:
    """The rows of all files a pattern names, in the order of their names.

    Args:
        pattern: a path or a glob, relative to the working directory; for texts that stand one in a file, a folder of
            folders, or a glob over folders such as train/*/*.txt: a folder's name is the label. Where no label is asked
            for, a folder of texts too.
        columns: our name -> column or JSON key in the data (`a.b` is b inside a); positions, counted from 1, for CSV
            and TSV files that have no header. Files of `label sentence` hold a label and a text,
            plain lines only a text, under whatever name asks for them.
        format: auto goes by each file's ending; a .txt file of which no label is asked is plain lines.
        encoding: any encoding Python knows, used where no byte order mark names another.
        separator: of the columns, one character; files that are no JSON are then read as CSV.
        encoding_key: the option that names the encoding, for messages.
        label_separator: what stands between the labels of a text that may have several. JSON lists of labels are then
            taken too; a `label` is then still one text, such as `a|b` or `["a", "b"]`.
    Raises:
        DataError: no such file, not the named format or compression, no such column, an empty file.
    """
    texts = _texts_in_folders(pattern, columns, format)
    if texts:
        return (_whole_text(path, columns, encoding, encoding_key) for path in texts)
    paths = find_files(pattern)
    kinds = [_format_of(path, columns, encoding, separator) if format == "auto" else format for path in paths]
    return (
        row
        for path, kind in zip(paths, kinds, strict=True)
        for row in _read(path, kind, columns, encoding, separator, encoding_key, label_separator)
    )


def find_files(pattern: str) -> list[Path]:
    """The files that a path or a glob names, sorted.

    Raises:
        DataError: there is none, or it is a directory.
    """
    path = as_on_disk(pattern)
    if path.is_file():
        return [path]
    if path.is_dir():
        inside = sorted(child.name for child in path.iterdir() if child.is_file())
        holds = f" It holds {', '.join(inside[:3])}{' ...' if len(inside) > 3 else ''}." if inside else ""
        raise DataError(f"{pattern} is a directory. Name a file, or a pattern such as {path}/*.csv.{holds}")
    if path.exists():
        raise DataError(f"{pattern} is a pipe or a device. Save what comes out of it to a file, and name that.")
    found = _globbed(path)
    if found:
        return found
    if glob.has_magic(pattern):
        raise DataError(f"no file is named like {pattern} (looked in {Path.cwd()}).")
    folder = path.parent
    several = [as_on_disk(name.strip()) for name in pattern.split(",")]
    if len(several) > 1 and all(name.is_file() for name in several):
        raise DataError(f"{pattern} names {len(several)} files. Several sources are a list: [files:A, files:B].")
    if not folder.is_dir():
        raise DataError(f"{pattern} does not exist: there is no folder {folder} (looked in {Path.cwd()}).")
    guess = nearest(path.name, [child.name for child in folder.iterdir()])
    raise DataError(f"{pattern} does not exist (looked in {folder.resolve()}).{guess}")


def as_on_disk(name: str) -> Path:
    """The path in the form of Unicode that the file's name has: é may be one character or two.

    Raises:
        DataError: no file can have this name, or nobody may look there.
    """
    try:
        path = Path(name).expanduser()
        os.stat(path)
    except FileNotFoundError:
        forms = (Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD"))
        return next((form for form in forms if form.exists()), path)
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a NUL in it, the home of nobody
        reason = error.strerror if isinstance(error, OSError) else "it holds NUL" if "\0" in name else error
        raise DataError(f"{name[:60]!r} cannot be looked up: {str(reason).rstrip('.')}.") from None
    return path


def _globbed(path: Path) -> list[Path]:
    """The files that a glob names; a part of it that is there as it stands, brackets and all, is no glob."""
    pattern = Path()
    for part in path.parts:
        there = (pattern / part).exists() if not glob.has_magic(str(pattern)) else False
        pattern = pattern / (glob.escape(part) if there else part)
    found = [Path(name) for name in sorted(glob.glob(str(pattern), recursive=True))]
    for name in found:
        if name.is_symlink() and not name.exists():
            raise DataError(f"{name} is a link that leads nowhere.")
    return [name for name in found if name.is_file()]


def _texts_in_folders(pattern: str, columns: Mapping[str, Column], format: Format) -> list[Path]:
    """The files of texts that stand one in a file, in a folder for each class; none where they do not."""
    if format not in ("auto", "folders") or not set(columns) <= {"text", "label"}:
        return []
    path = as_on_disk(pattern)
    if path.is_dir():
        deeper = min(filter(_is_text, path.glob("[!.]*/[!.]*/*")), default=None)
        if deeper is not None:
            raise DataError(
                f"{pattern} holds folders of folders of texts, such as {deeper}. Name the one whose folders are the "
                "classes."
            )
        texts = [text for text in sorted(path.glob("[!.]*/*")) if _is_text(text)]
        if not texts and "label" not in columns:
            texts = folder_of_texts(path)
        elif not texts and format == "auto" and folder_of_texts(path):
            raise DataError(
                f"{pattern} is a directory of texts without classes, and labels are asked for. Allowed: a folder in it "
                "for each class, or a file that holds texts and labels."
            )
        if not texts and "label" in columns:
            unread = next(filter(Path.is_file, sorted(path.glob("[!.]*/[!.]*"))), None)
            if format == "folders" or unread is not None:
                other = f" {unread} is none." if unread is not None else ""
                raise DataError(f"{pattern} holds no folders of .txt files, one for each class.{other}")
        return texts
    many = glob.has_magic(path.name) and glob.has_magic(str(path.parent)) and not path.exists()
    if format == "folders" or many:
        found = find_files(pattern)
        texts = [text for text in found if _is_text(text)]
        return texts if format == "folders" or len(texts) == len(found) else []
    return []


def folder_of_texts(folder: Path) -> list[Path]:
    """The files in a folder that are named as texts are, sorted; where no class is asked for, they need none."""
    return [text for text in sorted(folder.glob("*")) if _is_text(text)]


def unread_in_folders(pattern: str) -> str:
    """Of a folder with a folder of texts for each class: which other files stand there and are not read, if any."""
    root = as_on_disk(pattern)
    if not root.is_dir():
        return ""
    files = [file for file in sorted(root.glob("[!.]*/[!.]*")) if file.is_file()]
    unread = [file for file in files if not _is_text(file)]
    if not unread or len(unread) == len(files):
        return ""
    listed = ", ".join(f"{count:,} {ending}" for ending, count in Counter(file.suffix for file in unread).most_common())
    return f"files of other formats are not read: {listed}, such as {unread[0]}."


def _is_text(path: Path) -> bool:
    """Whether a file is named as a text may be: .txt, or without an ending, and not hidden."""
    named = format_by_ending(path) == "label_text" or not path.suffix or path.suffix[1:].isdigit()
    return named and not path.name.startswith(".") and path.is_file()


def _whole_text(path: Path, columns: Mapping[str, Column], encoding: str, key: str) -> Row | BadRow:
    try:
        with open_unpacked(path) as stream:
            raw = stream.read()
        encoding = encoding_of(raw[:4], encoding)
        text = raw.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        return BadRow(str(path), 1, not_decoded(error, encoding, key))
    except DataError as error:
        return BadRow(str(path), 1, str(error).rstrip("."))
    except CANNOT_UNPACK as error:
        return BadRow(str(path), 1, f"cannot be read: {error}")
    if "\0" in text:
        return BadRow(str(path), 1, f"character {text.index(chr(0))} is NUL")
    both = {"label": unicodedata.normalize("NFC", path.parent.name), "text": cut(text)}
    return Row({name: both[name] for name in columns}, str(path), 1)


def column_names(
    path: Path, *, format: Format = "auto", encoding: str = "utf-8", separator: str | None = None
) -> list[str]:
    """What the first line of a CSV or TSV file, or the first object of JSON lines, calls its columns.

    Raises:
        DataError: it cannot be read, or has no names.
    """
    known = _format_of(path, {}, encoding, separator) if format == "auto" else format
    blank = f" \t\r\n{separator or ','}"  # a line of a spreadsheet without anything in it too
    with open_unpacked(path) as stream:
        lines = (line for line in Lines(stream, str(path), encoding) if line.strip(blank))
        first = next(lines, "")
        if known == "csv" and (named := formats.separator_line(first)):
            separator, first = separator or named, next(lines, "")
        if known == "jsonl" and first.lstrip().startswith("["):
            first = "".join([first, *lines])
    if not first:
        raise DataError(f"{path} is empty.")
    names: list[str] = []
    if known == "csv":
        with contextlib.suppress(csv.Error):
            names = next(csv.reader([first], delimiter=separator or ","))
    elif known == "tsv":
        names = cut(first).split("\t")
    elif known == "jsonl":
        with contextlib.suppress(ValueError, RecursionError):
            record = json.loads(first)
            record = record[0] if isinstance(record, list) and record else record
            names = list(record) if isinstance(record, dict) else []
    if not names:
        raise DataError(f"{path} names no columns. Allowed: CSV and TSV with a header, and JSON lines.")
    return names


def format_by_ending(path: Path) -> Format | None:
    """What a file's ending says, packed or not, in any case; None for an ending that says nothing."""
    return ENDINGS.get(_ending(path))


def is_table(path: Path) -> bool:
    """Whether a file's ending says that it has columns or keys."""
    return _ending(path) == ".json" or format_by_ending(path) not in (None, "label_text")


def _ending(path: Path) -> str:
    endings = [ending.lower() for ending in path.suffixes[-2:]]
    return next((ending for ending in reversed(endings) if ending not in COMPRESSIONS), "")


def _format_of(path: Path, columns: Mapping[str, Column], encoding: str, separator: str | None) -> Format:
    known = "jsonl" if _ending(path) == ".json" else format_by_ending(path)
    if separator is not None and known != "jsonl":
        return "csv"
    if known is None:
        raise DataError(
            f"{path} does not say its format. Allowed endings: {', '.join([*ENDINGS, '.json'])}, each also with .gz "
            f"or .xz; or name the format ({', '.join(NAMED)})."
        )
    return known if known != "label_text" else _format_of_txt(first_lines(path, encoding), columns)


def _format_of_txt(begin: Sequence[str], columns: Mapping[str, Column]) -> Format:
    """Of a .txt file: what its first lines say, a label and a sentence where both are asked for."""
    names, lines, alone = set(columns.values()), [line for line in begin if line.strip()], len(columns) == 1
    if not names:
        return "lines"
    if lines and not alone and all(line.startswith('{"') and line.rstrip().endswith("}") for line in lines):
        return "jsonl"
    signs: tuple[tuple[str, Format], ...] = (("\t", "tsv"), (",", "csv"))
    for sign, table in signs if lines else ():
        fields = {field.strip('" ') for field in lines[0].split(sign)}
        # A line of prose may hold the name of a column that is asked for alone.
        if names <= fields and (not alone or (len(lines) > 1 and all(sign in line for line in lines))):
            return table
    by_number = all(isinstance(column, int) for column in names)
    if by_number and lines and all("\t" in line for line in lines):
        return "tsv"
    if by_number and "label" in columns:
        return "csv"
    return "label_text" if "label" in columns else "lines"


def first_lines(path: Path, encoding: str) -> list[str]:
    """Some lines from the beginning of a file, as well as they can be read."""
    try:
        with open_unpacked(path) as stream:
            raw = stream.read(LOOKED_AT_BYTES)
    except CANNOT_UNPACK:  # told when it is read
        return []
    text = raw.decode(encoding_of(raw[:4], encoding), "replace").removeprefix("\ufeff")
    lines = text.split(line_end(text))[:LOOKED_AT_LINES]
    whole = lines[:-1] if len(raw) == LOOKED_AT_BYTES and len(lines) > 1 else lines
    return [cut(line) for line in whole]


def _read(
    path: Path,
    format: Format,
    columns: Mapping[str, Column],
    encoding: str,
    separator: str | None,
    encoding_key: str,
    label_separator: str | None,
) -> Iterator[Row | BadRow]:
    begin = first_lines(path, encoding) if format == "label_text" else []
    between = formats.after_label(str(path), begin) if format == "label_text" else ""
    fasttext = any(formats.FASTTEXT in line for line in begin)
    with open_unpacked(path) as stream:
        lines = Lines(stream, str(path), encoding, encoding_key)
        if format == "csv":
            yield from formats.read_csv(lines, columns, separator)
        elif format == "tsv":
            yield from formats.read_tsv(lines, columns)
        elif format == "jsonl":
            yield from formats.read_json(lines, columns, label_separator)
        elif format == "label_text":
            yield from formats.read_label_text(lines, columns, between, label_separator, fasttext=fasttext)
        elif format == "lines":
            yield from formats.read_lines(lines, columns)
        else:
            raise DataError(f"{path}: {not_allowed(format, 'format', [*NAMED, 'lines'])}")
    if lines.number == 0:
        raise DataError(f"{path} is empty.")


def read_unpacked(path: Path, most: int = -1) -> bytes:
    """The unpacked bytes of a file, or so many of them.

    Raises:
        DataError: it cannot be read, or is packed and damaged.
    """
    try:
        with open_unpacked(path) as stream:
            return stream.read(most)
    except CANNOT_UNPACK as error:
        raise DataError(f"{path} cannot be read: {error}.") from None


def open_unpacked(path: Path) -> io.BufferedReader:
    """The unpacked bytes of a file, after a look whether it is packed as its name says."""
    named = COMPRESSIONS.get(path.suffix.lower())
    try:
        with path.open("rb") as file:
            start = file.read(32)
        found = next((name for magic, name in FIRST_BYTES.items() if start.startswith(magic)), None)
        if start and found != named:
            holds = found or f"no {named}"
            raise DataError(
                f"{path} is named as {named or 'plain'} and holds {holds} data. Allowed: plain, .gz and .xz."
            )
        foreign = next((what for magic, what in FOREIGN.items() if start.startswith(magic)), None)
        if foreign:
            raise DataError(f"{path} holds {foreign}. Allowed: text, such as CSV, TSV, JSON lines or plain lines.")
        if named == "gzip":
            return io.BufferedReader(gzip.open(path, "rb"), LOOKED_AT_BYTES)
        if named == "xz":
            return io.BufferedReader(lzma.open(path, "rb"), LOOKED_AT_BYTES)
        return io.BufferedReader(path.open("rb", 0), LOOKED_AT_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
