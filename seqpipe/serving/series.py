"""What a forecaster takes: the past of a series by name, or a long table of several.

Axes: T steps, H horizon, K known columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from seqpipe.config.series import SeriesTable
from seqpipe.data.findings import counted, listed
from seqpipe.errors import DataError
from seqpipe.export.artefact import facts_of
from seqpipe.series.clock import Step, local_offsets, parse_step, parse_times
from seqpipe.series.table import Series, read_series
from seqpipe.serving.find import pipeline_of
from seqpipe.serving.inputs import Input
from seqpipe.serving.reading import check_encoding

Row = dict[str, np.ndarray | np.int64]  # `time` alone is a number
OTHER_UNITS = 20.0  # times as large, or as small, as values in training
MOST_STEPS = 5000  # of a history that are sent, unless a model looks back further
TAKEN = {
    "series": "a text",
    "static": "a text or several",
    "time": "a time as a table has it, or its number of seconds or of the step",
    "values": "a list of numbers",
}
NUMBERS = "a list of numbers for each step"  # of known and past


class SeriesInput(Input):
    """The past of one series: an array for each input, by name.

    ahead: steps that are asked for, which known columns must reach.
    """

    column = "series"
    example = "--input history.csv --output forecast.csv"

    def __init__(self, names: Sequence[str] = (), directory: Path | None = None):
        self.names = list(names)
        tree = {} if directory is None else pipeline_of(directory)
        wanted = {key: value for key, value in tree.get("data", {}).items() if key in SeriesTable.model_fields}
        self.table = SeriesTable.model_validate(wanted)
        self.ahead = int(tree.get("model", {}).get("horizon_steps", 1))
        trained = facts_of(directory).get("facts", {}) if directory is not None else {}
        self.step = Step(*trained["step"]) if trained else parse_step(self.table.step)
        self.look_back, self.known = trained.get("look_back", 0), trained.get("names", [])
        self.static = trained.get("static", [])
        sizes = np.abs(trained.get("mean", [])) + trained.get("std", [])
        self.usual = dict(zip(self.known, sizes.tolist(), strict=False))  # the size of a series' values in training
        self.most = max(MOST_STEPS, self.look_back)

    def from_word(self, word: str) -> NoReturn:
        raise DataError(f"{word!r:.60} is no series. Name a table with --input history.csv.")

    def from_file(
        self, source: str, *, column: str | None = None, encoding: str = "utf-8", keep: Sequence[str] = ()
    ) -> Iterator[Row]:
        if source == "-":
            raise DataError("A table of series is read from a file: --input history.csv.")
        if keep:
            raise DataError(f"--keep {keep[0]}: a forecast has rows of its own, for the steps to come.")
        table = self.table
        if column is not None:
            names = [table.series_column, table.time_column, *(table.values or [table.value_column])]
            named = ", ".join(name for name in [*names, *table.known, *table.past, *table.static] if name)
            raise DataError(f"--column {column}: a forecaster reads the columns that its pipeline names: {named}.")
        if encoding != "utf-8":  # else as the pipeline has it
            check_encoding(encoding)
            table = table.model_copy(update={"encoding": encoding})
        found = read_series(f"files:{source}", table, "test", step=self.step)
        for one in found.series:
            yield self._row(one, found.step, source)

    def _row(self, one: Series, step: Step, source: str) -> Row:
        end, called = one.end, f"series {one.name}" if one.name else "the series"
        back = slice(max(0, end - self.most), end)
        row: Row = {"values": one.values[back].astype(np.float32)}
        if "time" in self.names:
            row["time"] = _before(one, step)
        if "series" in self.names:
            row["series"] = np.array(one.name.encode(), object)
        if "known" in self.names:
            known = one.known[back.start : end + self.ahead]
            future = one.known[end : end + self.ahead]
            lacking = np.argwhere(~np.isfinite(future))
            if len(future) < self.ahead or len(lacking):
                at = int(lacking[0, 0]) if len(lacking) else len(future)
                name = self.table.known[int(lacking[0, 1])] if len(lacking) else self.table.known[0]
                when = shown_time(int(step.later(_before(one, step), at + 1)), str(step))
                raise DataError(
                    f"{source}: {called} has no {name} at {when}, {counted(at + 1, 'step')} behind its last "
                    "value. Known columns need "
                    f"a value for each of the {self.ahead} steps to come: add rows without a value."
                )
            row["known"] = known.astype(np.float32)
        if "past" in self.names:
            row["past"] = one.past[back].astype(np.float32)
        if "static" in self.names:
            row["static"] = np.array([text.encode() for text in one.static], object)
        return row

    def part_of(self, row: Row) -> str:
        return f"series {np.ravel(row['series'])[0].decode()}" if "series" in row else "the series"

    def from_value(self, value: object) -> Row:
        if not isinstance(value, Mapping) or set(value) != set(self.names):
            given = ", ".join(value) if isinstance(value, Mapping) else type(value).__name__
            raise DataError(f"A row has a value for each of {', '.join(self.names)}, by name; this has {given}.")
        row: Row = {}
        for name, item in value.items():
            try:
                row[name] = self._time(item) if name == "time" else _as_array(name, item)
            except (ValueError, TypeError, IndexError, OverflowError):
                raise DataError(f"{name}: {item!r:.60} does not fit. Allowed: {TAKEN.get(name, NUMBERS)}.") from None
        return row

    def _time(self, item: object) -> np.int64:
        """As a table is read: a text that names its distance from UTC, by the clocks of the model's zone."""
        if not isinstance(item, str):
            return np.int64(np.asarray(item).item())
        times, bad = parse_times([item], counted=self.step is not None and self.step.kind == "count")
        if bad is not None:
            raise ValueError(item)
        zone = self.table.time_zone if times.zoned and times.kind == "seconds" else None
        return np.int64(times.clock[0] + (0 if zone is None else local_offsets(times.clock, zone)[0]))

    def remark(self, row: dict[str, np.ndarray]) -> str:
        name, remarks, values = self.shown(row), [], row["values"][-self.look_back :]
        if "series" in row and self.known and name not in self.known:
            remarks.append(f"is none of those in training ({listed(self.known)}), and is forecast as any other")
        elif self.known:
            remarks += self._other_units(values, self.usual.get(name, 0.0))
        texts = [text.decode("utf-8", "replace") for text in row.get("static", [])]
        unknown = [text for text, known in zip(texts, self.static, strict=False) if text not in known]
        if unknown:
            remarks.append(f"has what training did not have ({listed(unknown)})")
        seen = int(np.isfinite(values).sum()) if self.look_back else 0
        if 2 * seen < self.look_back:
            back = f"{seen:,} of the {self.look_back:,} values that the model looks back on"
            remarks.append(f"has {back}, so that its intervals may be too narrow")
        called = f"series {name}" if name else "the series"
        return f"{called} {' and '.join(remarks)}" if remarks else ""

    @staticmethod
    def _other_units(values: np.ndarray, usual: float) -> Iterator[str]:
        """Whether a known series is far from the values that it had in training, by which it is measured."""
        sizes = np.abs(values[np.isfinite(values)])
        size = float(np.median(sizes)) if len(sizes) else 0.0
        if usual > 0 and size > 0 and not 1 / OTHER_UNITS < size / usual < OTHER_UNITS:
            yield f"has values of about {size:.4g} where it had {usual:.4g} in training, perhaps in other units"

    def shown(self, row: dict[str, np.ndarray]) -> str:
        return row["series"].item().decode("utf-8", "replace") if "series" in row else ""


def _as_array(name: str, item: object) -> np.ndarray | np.int64:
    """An input by its name; whatever numpy says of one that is not what it takes."""
    if name in ("series", "static"):
        texts = [item] if isinstance(item, (str, bytes)) else np.asarray(item, object).ravel().tolist()
        encoded = [text if isinstance(text, bytes) else str.encode(text) for text in texts]
        return np.array(encoded[0] if name == "series" else encoded, object)
    numbers = np.asarray(item, np.float32)
    if numbers.ndim != (1 if name == "values" else 2):
        raise ValueError(item)
    return numbers


def _before(one: Series, step: Step) -> np.int64:
    """The time of the last value, or where there is none of the step before the first row."""
    return np.int64(one.clock[one.end - 1] if one.end else step.later(np.int64(one.clock[0]), -1))


def shown_time(time: int, step: str) -> str:
    """A time in ISO 8601, or its number where steps are counted.

    Times of one series look alike: of steps within a day each has hour and minute, midnight too.

    Args:
        step: as `str(Step)` says it: 15min, 1h, 1D, 1MS, a number, rows.
    """
    if step == "rows" or step.isdigit():
        return str(time)
    text = str(np.datetime64(time, "s"))
    if step.endswith("s"):
        return text
    text = text.removesuffix(":00")
    return text.removesuffix("T00:00") if step.endswith(("D", "W", "MS")) else text
