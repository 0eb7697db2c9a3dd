"""Rows of a table of series: which are one series', in the order of time, each time once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seqpipe.data.checks import alike
from seqpipe.data.findings import Finding, counted

FRACTION = re.compile(r":\d\d[.,]\d")  # of a second


@dataclass
class Rows:
    """Columns of text by our names, and where each row stands."""

    columns: dict[str, list[str]]
    places: list[tuple[str, int]]

    def place(self, row: int) -> str:
        file, line = self.places[row]
        return f"{file}:{line}"


def groups_of(rows: Rows) -> dict[str, np.ndarray]:
    """Row numbers of each series, in the order in which series first appear."""
    if "series" not in rows.columns:
        return {"": np.arange(len(rows.places))}
    names, first, inverse = np.unique(
        np.array(rows.columns["series"], dtype=np.str_), return_index=True, return_inverse=True
    )
    by_series = np.argsort(inverse, kind="stable")
    cuts = np.cumsum(np.bincount(inverse, minlength=len(names)))[:-1]
    members = np.split(by_series, cuts)
    return {str(names[index]): members[index] for index in np.argsort(first)}


def odd_names(role: str, groups: dict[str, np.ndarray], rows: Rows, column: str) -> Iterator[Finding]:
    """Rows of no series beside others, and series that are probably one."""
    unnamed = [members for name, members in groups.items() if not name.strip()]
    if unnamed and len(unnamed) < len(groups):
        found = np.concatenate(unnamed)
        text = f"{rows.place(found.min())}: no series is named, in {counted(len(found), 'row')}"
        yield Finding("error", f"{text}. Fill data.series_column = {column} in each row.")
    yield from alike(role, groups, "If they are one series, write one name.", noun="series")


def in_order(
    name: str,
    members: np.ndarray,
    utc: np.ndarray,
    rows: Rows,
    numbers: dict[str, np.ndarray],
    findings: list[Finding],
) -> np.ndarray:
    """The rows of a series in the order of time, each time once."""
    called = f"series {name}" if name else "the series"
    order = np.argsort(utc[members], kind="stable")
    if (np.diff(utc[members]) < 0).any():
        findings.append(Finding("warning", f"{called}: rows do not stand in the order of time; they were sorted."))
    members = members[order]
    again = np.flatnonzero(np.diff(utc[members]) == 0)
    if not len(again):
        return members
    texts = rows.columns["time"]
    for first, row in zip(members[again].tolist(), members[again + 1].tolist(), strict=True):
        if texts[first] != texts[row] and FRACTION.search(texts[row]):
            text = f"{rows.place(row)}: {called} has {texts[first]} and {texts[row]}: times are read in whole seconds."
            findings.append(Finding("error", f"{text} data.time_column: null counts rows instead."))
            return np.delete(members, again + 1)
    equal = np.all(
        [
            (column[members[again]] == column[members[again + 1]])
            | (np.isnan(column[members[again]]) & np.isnan(column[members[again + 1]]))
            for column in numbers.values()
        ],
        axis=0,
    )
    if not equal.all():
        first, row = (members[again[np.argmin(equal)] + both] for both in (0, 1))
        when, before = texts[row], texts[first]
        pairs = counted(int((~equal).sum()), "such pair")
        one = f"the time {when} twice" if when == before else f"{before} and {when}, which are one time"
        text = f"{rows.place(row)}: {called} has {one}, with other values ({pairs})."
        cure = "Name the column that tells series apart (data.series_column), or keep one row."
        findings.append(Finding("error", f"{text} {cure}"))
    else:
        findings.append(Finding("warning", f"{called}: {counted(len(again), 'row')} repeated, counted once."))
    return np.delete(members, again + 1)
