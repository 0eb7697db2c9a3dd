"""Series from tables: long (`series,time,value`), wide (a column a series), with covariates; on a regular grid.

Axes: T steps of a series, K columns known ahead, P columns known up to now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from seqpipe.config.series import SeriesTable
from seqpipe.data.files import column_names, find_files
from seqpipe.data.findings import BadRows, Finding, counted, listed, raise_errors, share
from seqpipe.data.formats import Gappy, check_columns, without_blanks
from seqpipe.data.sources import BadRow, Role, read_rows
from seqpipe.errors import DataError
from seqpipe.series.builtin import builtin_rows
from seqpipe.series.cells import SLASHED, odd_times, read_numbers
from seqpipe.series.clock import (
    Step,
    Times,
    at_month_starts,
    infer_step,
    local_offsets,
    months_of,
    parse_step,
    parse_times,
    seconds_of_month,
    to_utc,
)
from seqpipe.series.parquet import parquet_names, read_parquet
from seqpipe.series.rows import Rows, groups_of, in_order, odd_names

SPARSE = 4  # a grid with so many steps for each row is no grid


@dataclass(frozen=True)
class Series:
    """One series on its grid; NaN is a missing value.

    clock: int64 [T], what the clock of the place reads, seconds or a number; of `step: rows` 0, 1, 2 ...
    grid: the same in steps one apart, where a zone's hours are put forward and back.
    values: float64 [T].
    known: float64 [T, K]. past: float64 [T, P]. static: a text for each static column.
    read: int64 [T], what the clock read at each row, where `step: rows` counts the rows of a table with times.
    """

    name: str
    clock: np.ndarray
    grid: np.ndarray
    values: np.ndarray
    known: np.ndarray
    past: np.ndarray
    static: tuple[str, ...] = ()
    read: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def end(self) -> int:
        """One more than the last step that has a value."""
        found = np.flatnonzero(np.isfinite(self.values))
        return int(found[-1]) + 1 if len(found) else 0

    def comes_after(self, places: np.ndarray, steps: int) -> np.ndarray:
        """bool [N], whether any of so many steps behind each place has a value."""
        known = np.concatenate([[0], np.cumsum(np.isfinite(self.values))])
        return known[np.minimum(places + 1 + steps, len(self))] > known[places + 1]


@dataclass(frozen=True)
class SeriesSet:
    """Series of one source: all of one step."""

    series: list[Series]
    step: Step
    findings: list[Finding] = field(default_factory=list)


def read_series(
    source: str | list[str], wanted: SeriesTable, role: Role = "train", *, step: Step | None = None
) -> SeriesSet:
    """Read and check a source, or several, whose rows follow each other.

    Args:
        step: of the series that these go on from; else as the configuration says.
    Raises:
        DataError: with every error at once.
    """
    rows, findings = _read_all(source, wanted, role)
    given = step or parse_step(wanted.step)
    times, bad_time = _times(rows, wanted, given)
    if bad_time is not None:
        raise DataError(_no_time(rows, bad_time))
    monthly = len(np.unique(times.clock)) > 1 if given is None else given.kind == "months"
    if monthly and (starts := at_month_starts(times)) is not None:
        times = starts
        findings.append(Finding("info", f"{role}: last days of months, each of which stands for its month."))
    findings += odd_times(rows.columns.get("time", []), times)
    numbers = {
        name: read_numbers(rows.columns[name], name[2:], role, rows.place, wanted, findings)
        for name in rows.columns
        if name[:2] in ("v:", "k:", "p:")
    }
    raise_errors(findings)
    groups = groups_of(rows)
    findings += odd_names(role, groups, rows, wanted.series_column)
    zone = wanted.time_zone if times.kind == "seconds" and wanted.time_column is not None else None
    utc = times.clock
    if zone is not None and not times.zoned:
        utc = np.zeros_like(times.clock)
        for members in groups.values():
            utc[members] = to_utc(times.clock[members], zone)
    order = {name: in_order(name, members, utc, rows, numbers, findings) for name, members in groups.items()}
    raise_errors(findings)
    # Days and months are those of the zone's clock; hours go on when that is put forward or back.
    clock = utc + local_offsets(utc, zone) if zone is not None and times.zoned else times.clock
    chosen = given or infer_step([clock[members] for members in order.values()], times.kind)
    if wanted.time_column is None:
        chosen = Step("rows")
    if not chosen.whole_days:
        clock = utc
    findings += _of_step(role, chosen, clock, found=wanted.step == "auto")
    of_hours = None if chosen.whole_days or chosen.kind == "rows" else zone
    made: list[Series] = []
    gaps: dict[str, tuple[int, int]] = {}
    for name, members in order.items():
        found = _grids(name, members, clock, of_hours, rows, numbers, wanted, chosen, findings)
        made += found
        if found and len(found[0]) > len(members):
            gaps[name] = len(found[0]) - len(members), len(found[0])
    raise_errors(findings)
    findings += _gaps(gaps, len(order))
    return SeriesSet(made, chosen, findings)


def _no_time(rows: Rows, row: int) -> str:
    text = rows.columns["time"][row]
    month_first = " Days stand before months here." if SLASHED.match(text) else ""
    return (
        f'{rows.place(row)}: the time "{text:.40}" is none. Allowed: ISO dates (2016-07-01 13:00), 01.07.2016, '
        "01/07/2016, 2016/07/01, months, quarters (2016Q1), Unix times, or whole numbers, the same kind in all rows."
        f"{month_first}"
    )


def _of_step(role: Role, step: Step, clock: np.ndarray, *, found: bool) -> Iterator[Finding]:
    """What to know of the step, and of days in steps of months."""
    yield Finding("info", f"{role}: step {step}{'' if found else ' as configured'}.")
    if step.kind == "months" and (clock != seconds_of_month(months_of(clock))).any():
        text = f"{role}: days within months, each of which stands for its month: answers name its first day."
        yield Finding("info", text)


def _read_all(source: str | list[str], wanted: SeriesTable, role: Role) -> tuple[Rows, list[Finding]]:
    rows, findings = Rows({}, []), list[Finding]()
    for one in [source] if isinstance(source, str) else source:
        more, said = _read(one, wanted, role)
        if rows.places and rows.columns.keys() != more.columns.keys():
            raise DataError(f"{one}: has a column that tells series apart, or none, other than the sources before it.")
        rows.columns = {name: [*rows.columns.get(name, []), *cells] for name, cells in more.columns.items()}
        rows.places += more.places
        findings += said
    return rows, findings


def _read(source: str, wanted: SeriesTable, role: Role) -> tuple[Rows, list[Finding]]:
    scheme, _, rest = source.partition(":")
    columns: dict[str, str] = {f"v:{name}": Gappy(name) for name in wanted.values or [wanted.value_column]}
    columns |= {f"k:{name}": Gappy(name) for name in wanted.known} | {f"p:{name}": Gappy(name) for name in wanted.past}
    columns |= {f"s:{name}": name for name in wanted.static}
    if wanted.time_column is not None:
        columns["time"] = wanted.time_column
    if scheme == "builtin":
        names, records = builtin_rows(source)
    elif scheme == "files":
        paths = find_files(rest)
        packed = [path for path in paths if path.name.lower().endswith((".parquet", ".pq"))]
        if packed and len(packed) < len(paths):
            other = next(path for path in paths if path not in packed)
            raise DataError(f"{other} and {packed[0]}: Allowed: Parquet files alone, or none.")
        names = (
            parquet_names(packed[0])
            if packed
            else without_blanks(
                column_names(paths[0], format=wanted.format, encoding=wanted.encoding, separator=wanted.separator),
                [wanted.series_column],
            )
        )
    else:
        raise DataError(f"{source}: series come from files:PATH or builtin:series.")
    if _tells_apart(source, names, wanted):
        columns["series"] = wanted.series_column
    found: dict[str, list[str]] = {name: [] for name in columns}
    places: list[tuple[str, int]] = []
    bad = BadRows("row")
    if scheme == "builtin":
        check_columns(source, columns, names)
        for line, record in enumerate(records, start=1):
            for ours, theirs in columns.items():
                found[ours].append(record[theirs])
            places.append((source, line))
        return Rows(found, places), []
    if packed:
        return Rows(*read_parquet(packed, columns)), []
    for row in read_rows(
        source, columns=columns, role=role, format=wanted.format, encoding=wanted.encoding, separator=wanted.separator
    ):
        if isinstance(row, BadRow):
            bad.add(f"{row.place}: {row.reason}")
            continue
        for ours in columns:
            found[ours].append(row.values[ours])
        places.append((row.file, row.line))
    return Rows(found, places), bad.check(role, good=len(places), max_bad_fraction=wanted.max_bad_fraction)


def _tells_apart(source: str, names: list[str], wanted: SeriesTable) -> bool:
    """Whether a column says whose a row is.

    Raises:
        DataError: it was asked for, and there is none or there is no need of one.
    """
    column = wanted.series_column
    if column in names and not wanted.values:
        return True
    if column == type(wanted).model_fields["series_column"].default:
        return False
    check_columns(source, {"series": column}, names)
    raise DataError(
        f"data.values = {wanted.values} makes a series of each column, and data.series_column = {column} names "
        "one that tells series apart: set one of them."
    )


def _times(rows: Rows, wanted: SeriesTable, step: Step | None) -> tuple[Times, int | None]:
    if wanted.time_column is None:
        return Times(np.arange(len(rows.places), dtype=np.int64), "count"), None
    return parse_times(rows.columns["time"], counted=step is not None and step.kind == "count")


def _grids(
    name: str,
    members: np.ndarray,
    clock: np.ndarray,
    zone: str | None,
    rows: Rows,
    numbers: dict[str, np.ndarray],
    wanted: SeriesTable,
    step: Step,
    findings: list[Finding],
) -> list[Series]:
    """A series a value column, on the grid of the step; where a zone is given, on that one's clock afterwards."""
    own = clock[members]
    places = _places(name, own, step, rows, members, findings)
    if places is None or not len(places):
        return []
    length = int(places[-1]) + 1
    grid = _grid(own[0], length, step)
    shown = grid if zone is None else grid + local_offsets(grid, zone)

    def spread(columns: list[str]) -> np.ndarray:
        made = np.full((length, len(columns)), np.nan)
        for index, column in enumerate(columns):
            made[places, index] = numbers[column][members]
        return made

    known, past = spread([f"k:{c}" for c in wanted.known]), spread([f"p:{c}" for c in wanted.past])
    static = tuple(_static(name, column, rows, members, findings) for column in wanted.static)
    read = own if step.kind == "rows" and wanted.time_column is not None else None
    return [
        Series(column if wanted.values else name, shown, grid, spread([f"v:{column}"])[:, 0], known, past, static, read)
        for column in wanted.values or [wanted.value_column]
    ]


def _gaps(gaps: dict[str, tuple[int, int]], series: int) -> list[Finding]:
    """What is said of steps without a row: how many there are in the series that lacks most, of how many steps."""
    if not gaps:
        return []
    name = max(gaps, key=lambda name: gaps[name][0] / gaps[name][1])
    lacks, steps = gaps[name]
    of_one = f"{counted(lacks, 'step')} of {steps:,} ({share(lacks, steps)})"
    if series == 1:
        return [Finding("info", f"the series: {of_one} have no row and count as missing.")]
    text = f"{len(gaps):,} of {series:,} series have steps without a row, which count as missing, most of them {name}"
    return [Finding("info", f"{text}: {of_one}.")]


def _places(
    name: str, own: np.ndarray, step: Step, rows: Rows, members: np.ndarray, findings: list[Finding]
) -> np.ndarray | None:
    """The place of each row on the grid."""
    if step.kind == "rows":
        return np.arange(len(own))
    distance = months_of(own) - months_of(own[:1]) if step.kind == "months" else own - own[:1]
    places, rest = distance // step.size, distance % step.size
    off = np.flatnonzero(rest)
    called = f"series {name}" if name else "the series"
    if len(off) or (len(places) > 1 and (np.diff(places) == 0).any()):
        row = members[off[0]] if len(off) else members[np.argmax(np.diff(places) == 0) + 1]
        many = counted(max(1, len(off)), "row")
        text = f"{rows.place(row)}: {called} has a time off its grid of {step} ({many}). Allowed: one step;"
        findings.append(Finding("error", f"{text} data.step names another, rows counts rows alone (trading days)."))
        return None
    if len(own) and int(places[-1]) + 1 > SPARSE * len(own) + 1000:
        text = f"{called}: {len(own):,} rows on a grid of {int(places[-1]) + 1:,} steps of {step}."
        findings.append(Finding("error", f"{text} Name data.step; rows counts rows alone."))
        return None
    return places


def _grid(first: int, length: int, step: Step) -> np.ndarray:
    steps = np.arange(length, dtype=np.int64)
    return steps if step.kind == "rows" else np.asarray(step.later(np.int64(first), steps))


def _static(name: str, column: str, rows: Rows, members: np.ndarray, findings: list[Finding]) -> str:
    texts = sorted({rows.columns[f"s:{column}"][member] for member in members} - {""}) or [""]
    if len(texts) > 1:
        text = f"series {name}: the static column {column} changes: {listed(texts)}."
        findings.append(Finding("error", f"{text} Name it under data.past or data.known."))
    return texts[0]
