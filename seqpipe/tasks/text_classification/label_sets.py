"""Several labels a text, one or none: how a cell is read as labels, and what is noticed about them.

Axes: N rows, C classes. The labels of rows are int8 [N, C], 1 where a text has a label.
"""

from __future__ import annotations

import ast
import contextlib
import json
import warnings
from collections.abc import Sequence

import numpy as np

from seqpipe.data.findings import Finding, counted, share
from seqpipe.data.formats import LONE_SURROGATE

MOST_LISTED = 10  # classes with their counts, in a finding


def split_labels(cell: str, separator: str) -> list[str] | str:
    """The labels in a cell, each once, in order of appearance; as a string, why it is none.

    Args:
        cell: labels with the separator between them, or a list as JSON or Python, and so pandas, writes it; nothing at
            all is no label.

    >>> split_labels("price | service|", "|"), split_labels('["price", 2]', "|"), split_labels("['a', 'b']", "|")
    (['price', 'service'], ['price', '2'], ['a', 'b'])
    """
    cell = cell.strip()
    found = _listed(cell) if cell.startswith("[") and cell.endswith("]") else cell.split(separator)
    if found is None:
        return 'the labels are in brackets and no list, such as ["a", "b"]'
    names = []
    for item in found:
        if not isinstance(item, (str, int, float)):
            return f"a label is {'null' if item is None else 'a list' if isinstance(item, list) else 'an object'}"
        name = item.strip() if isinstance(item, str) else json.dumps(item)
        if "\0" in name or LONE_SURROGATE.search(name):
            return "a label holds NUL or half a surrogate pair"
        if separator in name:
            return f"the label {_short(name)!r} holds {separator!r}, which is data.label_separator: name another"
        names.append(name)
    return list(dict.fromkeys(name for name in names if name))


def _listed(cell: str) -> Sequence[object] | None:
    """What stands in a list, written as JSON or as Python; None where it is neither."""
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a backslash before what it does not escape
            return read(cell)
    return None


def as_matrix(rows: Sequence[Sequence[str]], classes: Sequence[str]) -> np.ndarray:
    """int8 [N, C] of the names of each row's labels."""
    index = {name: number for number, name in enumerate(classes)}
    matrix = np.zeros((len(rows), len(classes)), np.int8)
    for number, names in enumerate(rows):
        matrix[number, [index[name] for name in names]] = 1
    return matrix


def strata(labels: np.ndarray) -> np.ndarray:
    """int [N], the rarest label of each row, C for a row without one: dev cut out by it has its share of each."""
    count = labels.sum(axis=0, dtype=np.int64)
    among = np.where(labels > 0, count, len(labels) + 1)  # [N, C]
    return np.where(labels.any(axis=1), among.argmin(axis=1), labels.shape[1])


def shown(name: str) -> str:
    """A class in a list of counts: in quotes where it begins with a digit, such as stars."""
    return f'"{name}"' if name[0].isdigit() else name


def check_labels(role: str, labels: np.ndarray, classes: Sequence[str]) -> list[Finding]:
    """How often each label stands, rows without one, and what cannot be learned."""
    rows = len(labels)
    if not rows:
        return [] if role != "train" else [Finding("error", "train: no rows left.")]
    count = labels.sum(axis=0, dtype=np.int64)
    if not count.any() and role != "train":
        return [Finding("warning", f"{role}: no row has a label.")]
    most = [(classes[i], int(count[i])) for i in np.argsort(-count, kind="stable")]
    without = rows - int(labels.any(axis=1).sum())
    text = (
        f"{role}: {counted(rows, 'row')}, {count.sum() / rows:.2f} labels each on average, {without:,} "
        f"({share(without, rows)}) without one: {shares(most, rows)}."
    )
    findings = [Finding("info", text), *_not_learned(role, count, rows, classes)]
    if role == "train" and labels.sum(axis=1, dtype=np.int64).max() < 2 and len(classes) > 1:
        text = "train: no row has more than one label. Does data.label_separator stand between them?"
        findings.append(Finding("warning", text))
    return [*findings, *hardly_any(f"{role}: hardly any rows of some labels", most, rows)]


def shares(most: Sequence[tuple[str, int]], rows: int) -> str:
    """Classes with their counts, the largest first, and with what share of the rows that is; of many the ends."""
    told = [f"{shown(name)} {count:,} ({share(count, rows)})" for name, count in most]
    return ", ".join(told if len(told) <= MOST_LISTED else [*told[:3], "...", *told[-3:]])


def hardly_any(what: str, most: Sequence[tuple[str, int]], rows: int) -> list[Finding]:
    """A warning of the classes that have hardly any of so many rows, if some have."""
    few = min(0.01, 0.1 / len(most)) * rows  # with many classes an even share is itself below 1 %
    rare = [f"{shown(name)} {counted(count, 'row')}" for name, count in reversed(most) if count < 2 or count < few]
    more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
    return [Finding("warning", f"{what}: {', '.join(rare[:5])}{more}.")] if rare else []


def _not_learned(role: str, count: np.ndarray, rows: int, classes: Sequence[str]) -> list[Finding]:
    if role != "train":
        return []
    findings = []
    none = [name for name, number in zip(classes, count, strict=True) if not number]
    if none:
        text = f"train: no row of {', '.join(none[:5])}. A label is learned from rows: take it out of data.labels."
        findings.append(Finding("error", text))
    always = [name for name, number in zip(classes, count, strict=True) if number == rows]
    if len(always) == len(classes):
        text = f"train: every row has the same labels ({', '.join(always[:5])}): there is nothing to tell apart."
        findings.append(Finding("error", text))
    elif always:
        text = f"train: every row has the label {', '.join(always[:5])}: it will be answered to every text."
        findings.append(Finding("warning", text))
    return findings


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:37]}..."
