"""Text to learn writing from: one long stream, or a text on each line.

Axes: N characters of a split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from seqpipe.data.files import as_on_disk, find_files, folder_of_texts, is_table, read_unpacked
from seqpipe.data.findings import Finding, listed, raise_errors
from seqpipe.data.lines import BadRow
from seqpipe.data.sources import Role, read_rows
from seqpipe.data.splits import Splits
from seqpipe.errors import DataError
from seqpipe.tasks.writing.config import WritingData
from seqpipe.text.characters import EDGE, normalised
from seqpipe.text.units import Units

BETWEEN = "\n\n"  # rows in a stream
LINE_BREAK = "\n"  # between files, where none ends the first
FEWEST = 100  # characters of a split
SMALL = 100_000  # characters of train, below which a finding says so
OVERLAP = 200  # characters of dev that must not stand in train


Texts = Splits[list[str]]  # of a stream one text each


def read_splits(data: WritingData, normalise: str) -> Texts:
    """Raises DataError: with every error at once."""
    findings: list[Finding] = []
    train = _read(data, data.train, "train", normalise)
    if data.dev is not None:
        dev = _read(data, data.dev, "dev", normalise)
    else:
        train, dev = _cut(train, data)
    test = _read(data, data.test, "test", normalise) if data.test is not None else None
    for role, texts in (("train", train), ("dev", dev), ("test", test)):
        if texts is not None:
            findings += _check(role, texts)
    raise_errors(findings)
    if data.layout == "lines":
        train, lost = _without(train, "train", [*dev, *(test or [])], "dev or test")
        dev, more = _without(dev, "dev", test or [], "test")
        findings += [*lost, *more]
    else:
        for role, texts, other in (("dev", dev, train), ("test", test, train), ("test", test, dev)):
            findings += _copied(role, texts or [], other[0], "train" if other is train else "dev")
    raise_errors(findings)
    return Texts(train, dev, test, findings)


def read_texts(data: WritingData, source: str, normalise: str) -> tuple[list[str], list[Finding]]:
    """The texts of a source apart from any training, and what was found in them.

    Raises:
        DataError: it cannot be read, or is no text.
    """
    texts = _read(data, source, "test", normalise)
    findings = list(_check("test", texts))
    raise_errors(findings)
    return texts, findings


def _read(data: WritingData, sources: str | Sequence[str], role: Role, normalise: str) -> list[str]:
    sources = [sources] if isinstance(sources, str) else sources
    found = [part for source in sources for part in _texts(data, source, role)]
    texts = [normalised(text, normalise) for text, _ in found]  # type: ignore[arg-type]
    if data.layout == "lines":
        return texts
    stream: list[str] = []
    for text, (_, before) in zip(texts, found, strict=True):
        if stream and not (before == LINE_BREAK and stream[-1].endswith(LINE_BREAK)):
            stream.append(before)
        stream.append(text)
    return ["".join(stream)]


def _texts(data: WritingData, source: str, role: Role) -> Iterator[tuple[str, str]]:
    """Each text, and what stands before it in a stream that has begun."""
    scheme, _, rest = source.partition(":")
    if scheme != "files":
        yield from _of_rows(source, data, role)
        return
    folder = as_on_disk(rest)
    for path in (folder_of_texts(folder) if folder.is_dir() else None) or find_files(rest):
        if is_table(path):
            yield from _of_rows(f"files:{path}", data, role)
            continue
        raw = read_unpacked(path)
        try:
            text = raw.decode(data.encoding)
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            raise DataError(
                f"{path}, line {line}: byte {error.start} (0x{raw[error.start]:02x}) is not {data.encoding}. A text is "
                "plain characters; data.encoding names another encoding."
            ) from None
        text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        if data.layout == "stream":
            yield text, LINE_BREAK
        else:
            yield from ((line, LINE_BREAK) for line in text.split("\n") if line)


def _of_rows(source: str, data: WritingData, role: Role) -> Iterator[tuple[str, str]]:
    for row in read_rows(source, columns={"text": data.text_column}, role=role, encoding=data.encoding):
        if isinstance(row, BadRow):
            raise DataError(f"{row.place}: {row.reason}")
        yield row.values["text"], BETWEEN


def _cut(train: list[str], data: WritingData) -> tuple[list[str], list[str]]:
    """Dev from the end of a stream; of texts every so many, all copies of a text on one side."""
    if data.layout == "stream":
        cut = round(len(train[0]) * (1 - data.dev_fraction))
        return [train[0][:cut]], [train[0][cut:]]
    distinct = list(dict.fromkeys(train))
    taken = np.floor(np.arange(-1, len(distinct)) * data.dev_fraction + 1e-9)  # how many, up to each text
    dev = set(np.array(distinct, object)[np.diff(taken) > 0])
    return [text for text in train if text not in dev], [text for text in distinct if text in dev]


def _check(role: str, texts: list[str]) -> Iterator[Finding]:
    characters = sum(map(len, texts))
    if characters < FEWEST:
        text = f"{role}: {characters:,} characters. A split needs at least {FEWEST:,} to say anything."
        yield Finding("error", text)
        return
    nul = sum(text.count("\0") for text in texts)
    if nul:
        text = f"{role}: {nul:,} NUL characters: this is no text. Allowed: files of plain characters."
        yield Finding("error", text)
    if len(set("".join(texts[:1000]))) < 2:
        yield Finding("error", f"{role}: one character, again and again. There is nothing to learn.")
    if role == "train" and characters < SMALL:
        text = f"train: {characters:,} characters are few; below {SMALL:,} expect little but copies."
        yield Finding("warning", text)


def _without(texts: list[str], role: str, others: list[str], where: str) -> tuple[list[str], list[Finding]]:
    """Texts of a split but those that stand in another."""
    known = set(others)
    kept = [text for text in texts if text not in known]
    if len(kept) == len(texts):
        return kept, []
    if sum(map(len, kept)) < FEWEST:
        left = f"{role}: {len(kept):,} of {len(texts):,} texts are left, for the others stand in {where} too."
        return kept, [Finding("error", f"{left} Name other texts.")]
    copies = listed([text[:40] for text in texts if text in known])
    gone = f"{len(texts) - len(kept):,} texts of {role} stand in {where} too and are left out: {copies}"
    return kept, [Finding("warning", gone)]


def _copied(role: str, texts: list[str], other: str, where: str) -> Iterator[Finding]:
    """Spans of a stream that stand in another."""
    text = "".join(texts)
    spans = [text[i : i + OVERLAP] for i in range(0, len(text) - OVERLAP + 1, OVERLAP)]
    copied = [span for span in spans if span in other]
    if copied:
        start = copied[0][:40].replace("\n", " ")
        text = f"{role}: {len(copied):,} of {len(spans):,} spans of {OVERLAP} characters stand in {where}, the first "
        yield Finding("error", f'{text}begins "{start}". A figure on what was learned by heart says nothing.')


def as_rows(characters: Units, texts: Sequence[str]) -> list[np.ndarray]:
    """Ids of each text, with EDGE before and after it."""
    edge = np.array([EDGE], np.int32)
    return [np.concatenate([edge, characters.encode(text), edge]) for text in texts]
