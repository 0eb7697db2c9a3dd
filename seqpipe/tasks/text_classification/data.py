"""Labelled text, read and checked before anything is trained on it."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from seqpipe.data.findings import BadRows, Finding, counted, raise_errors, share
from seqpipe.data.sources import BadRow, Role, read_rows
from seqpipe.data.splits import named_split
from seqpipe.errors import DataError, not_allowed
from seqpipe.tasks.text_classification.config import ClassificationData, LabelledText

_rows = partial(counted, noun="row")
ODDITIES = {
    "control characters U+0001 to U+007F": re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]"),
    "control characters U+0080 to U+009F": re.compile("[\x80-\x9f]"),
    "tabs": re.compile("\t"),
    "no-break spaces": re.compile("[\u00a0\u2007\u202f]"),
    "zero-width spaces": re.compile("[\u200b\u2060\ufeff]"),
    "U+FFFD, left by a wrong encoding": re.compile("\ufffd"),
    "HTML tags": re.compile(r"</?[A-Za-z][A-Za-z0-9]*( [^<>]*)?/?>"),
    "CSV quotes around them": re.compile(r'^"(?=.*"").*"$', re.DOTALL),
}


@dataclass(frozen=True)
class Table:
    """Texts with their labels and places.

    Attributes:
        texts: as they stand in the data.
        labels: int32 [rows], index into the classes.
        files: the files or splits that rows come from.
        file_index: int32 [rows], index into files.
        lines: int32 [rows], the line a row starts in, counted from 1.
    """

    texts: list[str]
    labels: np.ndarray
    files: list[str]
    file_index: np.ndarray
    lines: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def place(self, row: int) -> str:
        """File and line, such as train.csv:17."""
        return f"{self.files[self.file_index[row]]}:{self.lines[row]}"

    def take(self, rows: np.ndarray) -> Table:
        """Some of the rows, by index."""
        texts = [self.texts[row] for row in rows]
        return Table(texts, self.labels[rows], self.files, self.file_index[rows], self.lines[rows])


@dataclass(frozen=True)
class Splits:
    """The rows of each split, the names of the classes, and what was noticed."""

    classes: list[str]
    train: Table
    dev: Table
    test: Table | None
    findings: list[Finding]

    def get(self, name: str) -> Table:
        """The split called train, dev or test.

        Raises:
            DataError: the pipeline has no such split.
        """
        return named_split(name, train=self.train, dev=self.dev, test=self.test)


@dataclass
class _Reading:
    """What is read from one source, before labels are numbers."""

    role: Role
    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    file_index: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    bad: BadRows = field(default_factory=lambda: BadRows("row"))

    def check_bad(self, max_bad_fraction: float) -> list[Finding]:
        return self.bad.check(self.role, good=len(self.texts), max_bad_fraction=max_bad_fraction)

    def table(self, classes: list[str]) -> Table:
        index = {name: number for number, name in enumerate(classes)}
        return Table(
            self.texts,
            np.array([index[label] for label in self.labels], np.int32),
            list(self.files),
            np.array(self.file_index, np.int32),
            np.array(self.lines, np.int32),
        )


def read_splits(data: ClassificationData) -> Splits:
    """Read and check the training, dev and test rows of a pipeline.

    Without a dev source, every dev_every-th good row of the training source is a dev row, the first one included.

    Raises:
        DataError: with every error in the data at once.
    """
    findings: list[Finding] = []
    known = data.labels
    readings: dict[Role, _Reading] = {}
    sources: list[tuple[Role, str | None]] = [("train", data.train), ("dev", data.dev), ("test", data.test)]
    for role, source in sources:
        if source is None:
            continue
        try:
            readings[role] = _read(source, role, data, known)
        except DataError as error:
            findings.append(Finding("error", f"{role}: {error}"))
            continue
        findings += readings[role].check_bad(data.max_bad_fraction)
        if role == "train" and known is None and readings[role].labels:
            known = {name: name for name in _sorted(set(readings[role].labels))}
    classes = list(dict.fromkeys((known or {}).values()))
    tables = {role: reading.table(classes) for role, reading in readings.items() if known is not None}
    for role, table in tables.items():
        findings += _check_repeats(role, table, classes) + _check_texts(role, table)
    if "train" in tables and data.dev is None:
        is_dev = np.arange(len(tables["train"])) % data.dev_every == 0
        tables["dev"] = tables["train"].take(np.flatnonzero(is_dev))
        tables["train"] = tables["train"].take(np.flatnonzero(~is_dev))
    present = [role for role, _ in sources if role in tables]
    for role in present:
        findings += _check_balance(role, tables[role], classes)
    for first, second in itertools.combinations(present, 2):
        findings += _check_between(first, tables[first], second, tables[second])
    raise_errors(findings)
    return Splits(classes, tables["train"], tables["dev"], tables.get("test"), findings)


def read_table(source: str, data: LabelledText, classes: list[str], role: Role = "test") -> tuple[Table, list[Finding]]:
    """Read and check other rows for a model whose classes are known.

    Args:
        source: where the rows come from; columns, format, encoding and labels are those of data.
        classes: names in the order of the model's outputs.
    Raises:
        DataError: the source cannot be read, holds no good row, or more bad rows than data.max_bad_fraction.
    """
    reading = _read(source, role, data, data.labels or {name: name for name in classes})
    table = reading.table(classes)
    findings = [
        *reading.check_bad(data.max_bad_fraction),
        *_check_repeats(role, table, classes),
        *_check_texts(role, table),
        *_check_balance(role, table, classes),
    ]
    raise_errors(findings)
    return table, findings


def read_unlabelled(
    source: str | None, data: ClassificationData, splits: Splits, *, skip_held_back: bool
) -> tuple[list[str], list[Finding]]:
    """More texts, their labels unused; none for no source.

    Args:
        skip_held_back: leave out texts that also stand in dev or test, instead of refusing the source.
    Raises:
        DataError: the source cannot be read, or texts of dev or test stand in it.
    """
    if source is None:
        return [], []
    rows = read_rows(source, columns={"text": data.text_column}, role="unlabelled", encoding=data.encoding)
    texts = [row.values["text"] for row in rows if not isinstance(row, BadRow) and row.values["text"].strip()]
    if not texts:
        raise DataError(f"{source}: no text in it.")
    findings = [Finding("info", f"unlabelled: {_rows(len(texts))}.")]
    present = {text.strip() for text in texts}
    for role, table in (("dev", splits.dev), ("test", splits.test)):
        held_back = [text.strip() for text in table.texts if text.strip() in present] if table is not None else []
        if not held_back or table is None:
            continue
        shown = held_back[0] if len(held_back[0]) <= 60 else f"{held_back[0][:57]}..."
        found = f'{source}: {len(held_back):,} of {len(table):,} {role} texts stand in it, such as "{shown}"'
        if not skip_held_back:
            raise DataError(
                f"{found}. Text to pre-train on must not hold the rows that figures are taken on: remove them, or have "
                "them left out by training.pretrain.skip_held_back = true."
            )
        findings.append(Finding("warning", f"{found}; they are left out."))
        present -= set(held_back)
    return [text for text in texts if text.strip() in present], findings


def seen_rows(table: Table, train: Table) -> np.ndarray:
    """bool [rows]: whether a row's text, white space around it aside, also stands in train."""
    known = {text.strip() for text in train.texts}
    return np.array([text.strip() in known for text in table.texts], bool)


def _read(source: str, role: Role, data: LabelledText, known: Mapping[str, str] | None) -> _Reading:
    """Rows with class names; known: from a label in the data to its class, None where any label is a class."""
    columns = {"text": data.text_column, "label": data.label_column}
    reading = _Reading(role)
    for row in read_rows(source, columns=columns, role=role, format=data.format, encoding=data.encoding):
        label = "" if isinstance(row, BadRow) else row.values["label"].strip()
        reason = row.reason if isinstance(row, BadRow) else _fault(row.values["text"], label, known)
        if isinstance(row, BadRow) or reason:
            reading.bad.add(f"{row.place}: {reason}")
            continue
        reading.texts.append(row.values["text"])
        reading.labels.append(known[label] if known is not None else label)
        reading.file_index.append(reading.files.setdefault(row.file, len(reading.files)))
        reading.lines.append(row.line)
    return reading


def _fault(text: str, label: str, known: Mapping[str, str] | None) -> str | None:
    if not text.strip():
        return "the text is empty"
    if not label:
        return "the label is empty"
    if known is not None and label not in known:
        shown = label if len(label) <= 40 else f"{label[:37]}..."
        return not_allowed(shown, "label", known).rstrip(".")
    return None


def _sorted(names: set[str]) -> list[str]:
    """In numerical order if all are whole numbers, else in that of their code points."""
    if all(re.fullmatch("-?[0-9]+", name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _check_repeats(role: str, table: Table, classes: list[str]) -> list[Finding]:
    """Copies inside a source, and texts that carry several labels."""
    first: dict[str, int] = {}
    copies: list[tuple[int, int]] = []
    conflicts: dict[str, tuple[int, int]] = {}
    for row, text in enumerate(table.texts):
        text = text.strip()
        original = first.setdefault(text, row)
        if original == row:
            continue
        copies.append((row, original))
        if table.labels[row] != table.labels[original]:
            conflicts.setdefault(text, (row, original))
    findings = []
    if copies:
        row, original = copies[0]
        places = f"{table.place(row)} repeats {table.place(original)}"
        verb = "repeats" if len(copies) == 1 else "repeat"
        findings.append(Finding("warning", f"{role}: {_rows(len(copies))} {verb} an earlier text, such as: {places}."))
    if conflicts:
        row, original = next(iter(conflicts.values()))
        places = " and ".join(f"{classes[table.labels[at]]} in {table.place(at)}" for at in (original, row))
        texts = "1 text stands" if len(conflicts) == 1 else f"{len(conflicts):,} texts stand"
        findings.append(Finding("warning", f"{role}: {texts} there with different labels, such as: {places}."))
    return findings


def _check_texts(role: str, table: Table) -> list[Finding]:
    """The longest text, and characters that often mean a mistake on the way."""
    if not len(table):
        return []
    lengths = np.array([len(text) for text in table.texts])
    longest = int(lengths.argmax())
    findings = [
        Finding(
            "info",
            f"{role}: texts of {np.median(lengths):,.0f} characters (median), "
            f"the longest {lengths[longest]:,} in {table.place(longest)}.",
        )
    ]
    for name, pattern in ODDITIES.items():
        rows = [row for row, text in enumerate(table.texts) if pattern.search(text)]
        if rows:
            part = f"{len(rows):,} of {_rows(len(table))}"
            findings.append(Finding("info", f"{role}: {part} have {name}, such as {table.place(rows[0])}."))
    return findings


def _check_balance(role: str, table: Table, classes: list[str]) -> list[Finding]:
    rows = len(table)
    if rows == 0:
        return [] if role != "train" else [Finding("error", "train: no rows left.")]
    counts = Counter(dict.fromkeys(classes, 0))
    counts.update(classes[label] for label in table.labels)
    most = counts.most_common()
    if most[0][1] == rows:
        only = f"{role}: {'the only row has' if rows == 1 else f'all {rows:,} rows have'} the label {most[0][0]}"
        if role == "train":
            return [Finding("error", f"{only}. There must be two classes.")]
        return [Finding("warning", f"{only}.")]
    listed = [f"{name} {count:,} ({share(count, rows)})" for name, count in most]
    if len(listed) > 10:
        listed = [*listed[:3], "...", *listed[-3:]]
    findings = [Finding("info", f"{role}: {_rows(rows)}: {', '.join(listed)}.")]
    few = min(0.01, 0.1 / len(classes)) * rows  # with many classes an even share is itself below 1 %
    rare = [f"{name} {_rows(count)}" for name, count in reversed(most) if count < 2 or count < few]
    if rare:
        listed_rare = ", ".join(rare[:5]) + (f" and {len(rare) - 5} more" if len(rare) > 5 else "")
        findings.append(Finding("warning", f"{role}: hardly any rows of some classes: {listed_rare}."))
    return findings


def _check_between(first: str, earlier: Table, second: str, later: Table) -> list[Finding]:
    """Rows of the later split whose text stands in the earlier one, and those that carry another label there."""
    origin: dict[str, int] = {}
    labels: dict[str, set[int]] = {}
    for row, text in enumerate(earlier.texts):
        text = text.strip()
        origin.setdefault(text, row)
        labels.setdefault(text, set()).add(int(earlier.labels[row]))
    seen = [(row, text.strip()) for row, text in enumerate(later.texts) if text.strip() in origin]
    if not seen:
        return []
    contrary = sum(int(later.labels[row]) not in labels[text] for row, text in seen)
    row, text = seen[0]
    example = f"{later.place(row)} is {earlier.place(origin[text])}"
    other = f", {contrary:,} of them with another label" if contrary else ""
    count = f"{len(seen):,} of {_rows(len(later))}"
    return [Finding("warning", f"{second}: {count} also stand in {first}{other}, such as: {example}.")]
