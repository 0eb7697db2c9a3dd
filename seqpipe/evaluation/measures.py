"""The figures that a task is judged by: what they are called, which way is better, how they are shown and compared.

Axes: N rows of a split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np

from seqpipe.errors import RunError, not_allowed
from seqpipe.evaluation.figures import number
from seqpipe.evaluation.forecasts import Layout
from seqpipe.evaluation.rows import RowFigures

Report = dict[str, Any]  # what was found, as report.json holds it


class Figure(TypedDict):
    """A measure of a split, in a report.

    n: how many it is over: rows, if `of` does not say otherwise. low, high: its 95 % interval.
    """

    value: float
    n: int
    low: NotRequired[float]
    high: NotRequired[float]
    of: NotRequired[str]


@dataclass(frozen=True)
class Measure:
    """A figure of a split; by default the mean of a column that has the measure's name and a value for each row.

    name: in reports and, behind `dev_`, among the figures of an epoch.
    title: for people.
    higher_is_better: which way the best epoch, seed and trial lie.
    unit: "%" for a share, which is shown times 100; else what follows the number, or nothing.
    decimals: that are shown.
    note: how it was made, where that is worth saying, such as "by beam search".
    """

    name: str
    title: str
    higher_is_better: bool = True
    unit: str = ""
    decimals: int = 2
    note: str = ""

    is_mean = True  # of values a row; another measure overrides `of`

    def of(self, rows: RowFigures, times: np.ndarray) -> float:
        """The figure where row i stands times[i] times, int [N]."""
        return float(times @ rows.columns[self.name] / times.sum())

    def layout(self, rows: RowFigures) -> Layout | None:
        """Where rows lie in time, of rows that are not independent."""
        return None

    @property
    def scale(self) -> float:
        """What a value is multiplied by to be shown."""
        return 100.0 if self.unit == "%" else 1.0

    def number(self, value: float, *, decimals: int | None = None, signed: bool = False) -> str:
        """The value without its unit; a difference with its sign."""
        return number(value, scale=self.scale, decimals=self.decimals if decimals is None else decimals, signed=signed)

    def shown(self, value: float) -> str:
        """
        >>> Measure("accuracy", "accuracy", unit="%").shown(0.96)
        '96.00 %'
        """
        return f"{self.number(value)} {self.unit}".rstrip()

    def better(self, one: float, other: float) -> bool:
        """Whether one value is better than another; not where they are equal."""
        return one > other if self.higher_is_better else one < other


LOSS = Measure("loss", "loss", higher_is_better=False, decimals=4)  # every task has it on dev
ACCURACY = Measure("accuracy", "accuracy", unit="%")


def monitored(name: str, measures: Sequence[Measure]) -> Measure:
    """What `training.monitor` names.

    Raises:
        RunError: the task has no such figure.
    """
    known = {measure.name: measure for measure in (*measures, LOSS)}
    if name not in known:
        raise RunError(f"training.monitor = {not_allowed(name, 'figure of this task', known)}")
    return known[name]


def reported(report: Report, split: str, measure: Measure) -> Figure | None:
    """The measure of a split, None where the report has none."""
    return report.get("splits", {}).get(split, {}).get("measures", {}).get(measure.name)


def headline(report: Report, measure: Measure) -> str:
    """The figure of the test split, of dev where there is none, in one line."""
    split = "test" if "test" in report["splits"] else "dev"
    figure: Figure = report["splits"][split]["measures"][measure.name]
    line = " ".join(part for part in (split, measure.title, measure.shown(figure["value"]), measure.note) if part)
    about = [f"{figure['n']:,} {figure.get('of', 'rows')}"]
    if "low" in figure:
        about.insert(0, f"95 % interval {measure.number(figure['low'])} to {measure.number(figure['high'])}")
    return f"{line} ({', '.join(about)})"
