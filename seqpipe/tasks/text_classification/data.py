"""Labelled text, read and checked before anything is trained on it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from seqpipe.data.checks import Checked, Nouns, alike, leaks, odd_names, oddities, repeats
from seqpipe.data.examples import content_key
from seqpipe.data.files import unread_in_folders
from seqpipe.data.findings import Bad, Finding, counted, raise_errors
from seqpipe.data.formats import FASTTEXT, ONE_LABEL
from seqpipe.data.reading import read_role, read_roles, with_dev
from seqpipe.data.sources import BadRow, Role, Row, read_rows
from seqpipe.data.splits import Splits
from seqpipe.errors import DataError, not_allowed
from seqpipe.tasks.text_classification.config import ClassificationData, LabelledText, OtherDomain
from seqpipe.tasks.text_classification.label_sets import (
    as_matrix,
    check_labels,
    hardly_any,
    shares,
    split_labels,
    strata,
)

_rows = partial(counted, noun="row")
NOUNS = Nouns("row", "text", "label")
NOUNS_OF_SEVERAL = Nouns("row", "text", "label set")
NO_LABEL = Finding("error", "train: no row has a label. Is data.label_column the column of the labels?")
NO_DEV = Finding(
    "error",
    "dev: no rows: no label stands twice in train. Is data.label_column the column of the labels? Or name data.dev.",
)
MAP_THEM = "If they are one, map both to one name in data.labels."


class Labelled(NamedTuple):
    """A text with the names of its classes, in their order: one, or any number where texts have several labels."""

    text: str
    labels: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class Table:
    """Texts with their labels and places.

    Attributes:
        texts: as they stand in the data.
        labels: int32 [rows], index into the classes; where texts have several labels int8 [rows, classes], 1 where a
            text has one.
        places: file and line of each, such as train.csv:17.
    """

    texts: list[str]
    labels: np.ndarray
    places: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: np.ndarray) -> Table:
        """Some of the rows, by index."""
        return Table([self.texts[row] for row in rows], self.labels[rows], [self.places[row] for row in rows])

    def checked(self, classes: list[str]) -> Checked:
        sets = self.labels.tolist()
        if self.labels.ndim == 1:
            names = [classes[label] for label in sets]
        else:
            sets = [tuple(np.flatnonzero(row).tolist()) for row in self.labels]
            names = [", ".join(classes[label] for label in labels) or "no label" for labels in sets]
        places = [f"{name} in {place}" for name, place in zip(names, self.places, strict=True)]
        return Checked(self.texts, sets, self.places, places)


@dataclass(frozen=True)
class LabelledSplits(Splits[Table]):
    """The rows of each split, what was noticed, and the names of the classes."""

    classes: list[str]


@dataclass
class _Reader:
    """Rows with class names; without a map any label of the training rows is a class."""

    data: LabelledText
    known: Mapping[str, str] | None
    found: set[str] = field(default_factory=set)

    def rows(self, source: str, role: Role) -> Iterator[Labelled | Bad | Finding]:
        data = self.data
        scheme, _, path = source.partition(":")
        if scheme == "files" and (unread := unread_in_folders(path)):
            yield Finding("warning", unread)
        known = self.known
        if known is None and role != "train" and self.found:
            known = {name: name for name in self.classes()}
        for row in _read(source, role, data):
            if isinstance(row, BadRow):
                yield Bad(f"{row.place}: {row.reason}")
                continue
            text = row.values["text"]
            labels = self._labels(row.values["label"], known) if text.strip() else "the text is empty"
            if isinstance(labels, str):
                yield Bad(f"{row.place}: {labels}")
                continue
            self.found.update(labels)
            names = {known[label] if known is not None else label for label in labels}
            yield Labelled(text, tuple(sorted(names)), row.place)

    def _labels(self, cell: str, known: Mapping[str, str] | None) -> list[str] | str:
        """The labels in a cell or, as a string, what is wrong with them."""
        label = cell.strip()
        if self.data.label_separator is not None:
            labels = split_labels(cell, self.data.label_separator)
        elif label.startswith("[") and label.endswith("]") and ("," in label or label[1] in "'\""):
            labels = f"the label is a list: {ONE_LABEL}"
        else:
            labels = [label] if label else "the label is empty"
        if FASTTEXT in labels:
            return f"the label is empty: nothing follows {FASTTEXT}"
        unknown = [name for name in labels if name not in known] if known and not isinstance(labels, str) else []
        if not unknown:
            return labels
        shown = unknown[0] if len(unknown[0]) <= 40 else f"{unknown[0][:37]}..."
        return not_allowed(shown, "label", known or {}).rstrip(".")

    def classes(self) -> list[str]:
        return list(dict.fromkeys(self.known.values())) if self.known is not None else _sorted(self.found)


def _read(source: str, role: Role, data: LabelledText) -> Iterator[Row | BadRow]:
    return read_rows(
        source,
        columns={"text": data.text_column, "label": data.label_column},
        role=role,
        format=data.format,
        encoding=data.encoding,
        separator=data.separator,
        label_separator=data.label_separator,
    )


def rows_key(source: str, data: LabelledText) -> str:
    """A hash of the rows of a source as they stand there.

    Raises:
        DataError: the source cannot be read.
    """
    rows = _read(source, "test", data)
    return content_key(
        f"{row.place}: {row.reason}" if isinstance(row, BadRow) else "\t".join(row.values.values()) for row in rows
    )


def read_splits(data: ClassificationData) -> LabelledSplits:
    """Read and check the training, dev and test rows of a pipeline; without a dev source dev is cut out of train.

    Raises:
        DataError: with every error in the data at once.
    """
    reader = _Reader(data, data.labels)
    rows, findings = read_roles(data, reader.rows, noun="row", group=lambda row: row.labels)
    several = data.label_separator is not None
    classes = reader.classes() if "train" in rows or data.labels else []
    tables = {role: _table(read, classes, several) for role, read in rows.items()} if classes else {}
    if "train" in rows and several and not classes:
        findings.append(NO_LABEL)
    for role, table in tables.items():
        findings += _check_rows(role, table, classes)
    if "train" in tables and data.dev is None:
        labels = tables["train"].labels
        tables = with_dev(tables, strata(labels) if several else labels, data.dev_every)
        if len(labels) > 1 and not len(tables["dev"]):
            findings.append(NO_DEV)
    for role, table in tables.items():
        findings += _check_balance(role, table, classes)
    if "train" in tables:
        findings += [*_check_many_classes(tables["train"], classes), *alike("train", classes, MAP_THEM)]
        findings += odd_names("train", sorted(reader.found), data.label_column)
    checked: dict[str, Checked] = {role: table.checked(classes) for role, table in tables.items()}
    findings += leaks(checked, NOUNS_OF_SEVERAL if several else NOUNS)
    raise_errors(findings)
    return LabelledSplits(tables["train"], tables["dev"], tables.get("test"), findings, classes)


def read_table(source: str, data: LabelledText, classes: list[str]) -> tuple[Table, list[Finding]]:
    """Read and check other rows for a model whose classes are known.

    Args:
        source: where the rows come from; columns, format, encoding and labels are those of data.
        classes: names in the order of the model's outputs.
    Raises:
        DataError: the source cannot be read, holds no good row, or more bad rows than data.max_bad_fraction.
    """
    for name in (data.labels or {}).values():
        if name not in classes:
            raise DataError(f"{source}: labels: {not_allowed(name, 'class of this model', classes)}")
    reader = _Reader(data, data.labels or {name: name for name in classes})
    most = data.max_rows if isinstance(data, ClassificationData) else None
    rows, findings = read_role(
        source,
        "test",
        reader.rows,
        noun="row",
        group=lambda row: row.labels,
        most=most,
        max_bad_fraction=data.max_bad_fraction,
    )
    raise_errors(findings)
    table = _table(rows or [], classes, data.label_separator is not None)
    findings += [*_check_rows("test", table, classes), *_check_balance("test", table, classes)]
    raise_errors(findings)
    return table, findings


def read_domains(
    domains: Mapping[str, OtherDomain], classes: list[str], *, labels: dict[str, str], separator: str | None
) -> tuple[dict[str, Table], list[Finding]]:
    """Rows of other domains, by name; what is said of them names their own keys.

    Args:
        labels, separator: of the pipeline's data, where a domain says nothing of its own.
    Raises:
        DataError: as `read_table`.
    """
    tables, findings = {}, []
    for name, domain in domains.items():
        own = {"label_separator": domain.label_separator or separator, "labels": domain.labels or labels}
        place = f"evaluation.other_domains.{name}"
        theirs = partial(re.sub, rf"\bdata\.(?=({'|'.join(LabelledText.model_fields)})\b)", f"{place}.")
        try:
            tables[name], found = read_table(domain.source, domain.model_copy(update=own), classes)
        except DataError as error:
            raise DataError(f"{place}: {theirs(str(error))}") from None
        findings += [Finding(one.severity, f"{place}: {theirs(one.text)}") for one in found if one.severity != "info"]
    return tables, findings


def _table(rows: list[Labelled], classes: list[str], several: bool) -> Table:
    if several:
        labels = as_matrix([row.labels for row in rows], classes)
    else:
        index = {name: number for number, name in enumerate(classes)}
        labels = np.array([index[row.labels[0]] for row in rows], np.int32)
    return Table([row.text for row in rows], labels, [row.place for row in rows])


def read_unlabelled(
    source: str | None,
    data: ClassificationData,
    splits: LabelledSplits,
    *,
    domains: Mapping[str, Table] | None = None,
    skip_held_back: bool,
) -> tuple[list[str], list[Finding]]:
    """More texts, their labels unused; none for no source.

    Args:
        domains: other rows that figures are taken on, by name.
        skip_held_back: leave out texts that figures are taken on, instead of refusing the source.
    Raises:
        DataError: the source cannot be read, holds no text, or more bad rows than data.max_bad_fraction, or texts
            that figures are taken on stand in it.
    """
    if source is None:
        return [], []
    read, findings = read_role(
        source, "unlabelled", partial(_texts, data), noun="row", max_bad_fraction=data.max_bad_fraction
    )
    raise_errors(findings)
    texts = [text for text in read or [] if text.strip()]  # an empty line stands between paragraphs
    if not texts:
        raise DataError(f"{source}: no text in it.")
    findings.append(Finding("info", f"unlabelled: {_rows(len(texts))}."))
    present = {text.strip() for text in texts}
    for role, table in [("dev", splits.dev), ("test", splits.test), *(domains or {}).items()]:
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


def _texts(data: ClassificationData, source: str, role: Role) -> Iterator[str | Bad]:
    columns = {"text": data.text_column}
    for row in read_rows(source, columns=columns, role=role, encoding=data.encoding, separator=data.separator):
        yield Bad(f"{row.place}: {row.reason}") if isinstance(row, BadRow) else row.values["text"]


def seen_rows(table: Table, train: Table) -> np.ndarray:
    """bool [rows]: whether a row's text, white space around it aside, also stands in train."""
    known = {text.strip() for text in train.texts}
    return np.array([text.strip() in known for text in table.texts], bool)


def _sorted(names: set[str]) -> list[str]:
    """In numerical order if all are whole numbers, else in that of their code points."""
    if all(re.fullmatch("-?[0-9]+", name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _check_rows(role: str, table: Table, classes: list[str]) -> list[Finding]:
    """Copies and contradictions, the longest text, and characters that often mean a mistake on the way."""
    if not len(table):
        return []
    lengths = np.array([len(text) for text in table.texts])
    longest = int(lengths.argmax())
    return [
        *repeats(role, table.checked(classes), _nouns(table), whole=False),
        Finding(
            "info",
            f"{role}: texts of {np.median(lengths):,.0f} characters (median), "
            f"the longest {lengths[longest]:,} in {table.places[longest]}.",
        ),
        *oddities(role, "row", table.texts, table.places),
    ]


def _nouns(table: Table) -> Nouns:
    return NOUNS if table.labels.ndim == 1 else NOUNS_OF_SEVERAL


def _check_many_classes(train: Table, classes: list[str]) -> list[Finding]:
    """As many classes as rows, nearly: what is read as a label is a text."""
    if len(train) < 10 or 2 * len(classes) <= len(train):
        return []
    text = f"train: {len(classes):,} classes in {_rows(len(train))}. Is data.label_column the column of the labels?"
    if train.labels.ndim == 2:
        return [Finding("warning", f"{text} One is {classes[0]!r}.")]
    return [Finding("warning", f"{text} The first row's is {classes[train.labels[0]]!r}.")]


def _check_balance(role: str, table: Table, classes: list[str]) -> list[Finding]:
    rows = len(table)
    if table.labels.ndim == 2:
        return check_labels(role, table.labels, classes)
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
    findings = [Finding("info", f"{role}: {_rows(rows)}: {shares(most, rows)}.")]
    if role == "train" and (none := [name for name, count in most if not count]):
        text = f"train: no row of {', '.join(none[:5])}. A class is learned from rows: take it out of data.labels."
        findings.append(Finding("error", text))
    return [*findings, *hardly_any(f"{role}: hardly any rows of some classes", most, rows)]
