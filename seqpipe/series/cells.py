"""Cells of a table of series: texts to numbers, and what in them may mean something else than what is read."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from seqpipe.config.series import SeriesTable
from seqpipe.data.findings import BadRows, Finding, counted
from seqpipe.series.clock import Times

MISSING = frozenset(("", "na", "nan", "n/a", "null", "none", "?"))
TRUTH = {"true": "1", "false": "0", "yes": "1", "no": "0"}
SLASHED = re.compile(r"\s*(\d{1,2})/\d{1,2}/\d{4}")
WEEK_NUMBER = re.compile(r"\s*(1[89]|20)\d\d(0[1-9]|[1-4]\d|5[0-3])\s*")  # 202352
SERIAL_DAYS = (25_000, 60_000)  # 1968 to 2064, as a spreadsheet counts days


def odd_times(texts: list[str], times: Times) -> list[Finding]:
    """Times that may mean something else than what is read."""
    slashed = [found for found in map(SLASHED.match, texts) if found]
    if slashed and all(int(found[1]) <= 12 for found in slashed):
        text = f"times such as {slashed[-1][0]} are read as day/month/year, and no day is above the 12th."
        return [Finding("warning", f"{text} If the month stands first, write ISO dates (2016-07-01).")]
    if times.kind != "count" or not texts:
        return []
    clock = times.clock
    text = f"times such as {texts[0]} are read as plain numbers, without a calendar."
    if clock.min() >= SERIAL_DAYS[0] and clock.max() < SERIAL_DAYS[1]:
        return [
            Finding("warning", f"{text} If they are a spreadsheet's days since 1900, write ISO dates (2016-07-01).")
        ]
    if clock.min() // 100 < clock.max() // 100 and all(map(WEEK_NUMBER.fullmatch, texts)):
        return [Finding("warning", f"{text} If they are weeks of a year, write ISO weeks (2016-W27).")]
    return []


def _like_thousands(texts: list[str], mark: str) -> list[str]:
    """The numbers with a mark, if it may be one of thousands: wherever it stands, three digits follow."""
    marked = [text for text in texts if mark in text]
    of_thousands = re.compile(rf"\s*-?[1-9]\d{{0,2}}{re.escape(mark)}\d{{3}}\s*")
    return marked if all(map(of_thousands.fullmatch, marked)) else []


def _odd_numbers(name: str, texts: list[str], mark: str) -> list[Finding]:
    """A decimal mark that may be one of thousands; more probably so beside whole numbers."""
    marked = _like_thousands(texts, mark)
    if not marked:
        return []
    read = float(marked[0].replace(mark, "."))
    text = f"{name}: {marked[0]} is read as {read:g}, and behind each {mark} are three digits."
    return [
        Finding(
            "warning" if any(other.strip().isdigit() for other in texts) else "info",
            f"{text} If it stands between thousands, take it out of the data.",
        )
    ]


def read_numbers(
    texts: list[str], name: str, role: str, place: Callable[[int], str], wanted: SeriesTable, findings: list[Finding]
) -> np.ndarray:
    """The numbers of a column, float64 [N], NaN where a value is missing; what is no number is an error.

    Args:
        name: of the column. role: what its rows are for.
        place: of a row, by its index.
        findings: to which is added what is noticed.
    """
    findings += _odd_numbers(name, texts, wanted.decimal)
    plain = texts if wanted.decimal == "." else _with_points(texts)
    if any("_" in text for text in plain):  # which Python takes for a mark of thousands
        plain = [text.replace("_", "_?") for text in plain]
    try:
        values = np.array(plain, dtype=np.float64) if plain else np.zeros(0)
    except ValueError:
        values = _slowly(texts, plain, name, role, place, wanted, findings)
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        text = f"{place(infinite[0])}: {name} is infinite, in {counted(len(infinite), 'row')}."
        findings.append(Finding("error", f"{text} A missing value is an empty field."))
    return values


def _with_points(texts: list[str]) -> list[str]:
    """Numbers with a decimal comma as Python writes them; one with a point is none where others have a comma, or where
    the point may stand between thousands."""
    commas = any("," in text for text in texts) or bool(_like_thousands(texts, "."))
    return [
        text.replace(",", ".")
        if text.count(",") == 1 and "." not in text
        else f"{text}?"
        if commas and "." in text
        else text
        for text in texts
    ]


def _slowly(
    texts: list[str],
    plain: list[str],
    name: str,
    role: str,
    place: Callable[[int], str],
    wanted: SeriesTable,
    findings: list[Finding],
) -> np.ndarray:
    values = np.full(len(texts), np.nan)
    bad = BadRows("value", then="count as missing")
    for index, text in enumerate(texts):
        small = plain[index].strip().lower()
        if small in MISSING:
            continue
        try:
            values[index] = float(TRUTH.get(small, small))
        except ValueError:
            hint = ""
            if {",", ".", " ", "'"} & set(text.strip()):
                hint = f": numbers have no thousands separators, and the decimal mark {wanted.decimal} (data.decimal)"
            bad.add(f'{place(index)}: {name} = "{text:.30}" is no number{hint}')
    findings += bad.check(f"{role}, {name}", good=len(texts) - bad.count, max_bad_fraction=wanted.max_bad_fraction)
    return values
