"""What a run directory says once it has trained: its configuration, the figures of its epochs, its report."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seqpipe.errors import RunError, nearest
from seqpipe.evaluation.measures import Figure, Measure, Report, monitored, reported
from seqpipe.runs.state import STATE, load_state
from seqpipe.serving.find import named
from seqpipe.storage import HIDDEN, is_hidden
from seqpipe.tasks import task_class
from seqpipe.training.position import Epoch

RUNS = Path("runs")  # where the name of a run is looked up


@dataclass(frozen=True)
class Outcome:
    """A run that has finished training.

    directory: of the run.
    config: its configuration by dotted key.
    epochs: dev figures of its finished epochs, as history.jsonl has them.
    seconds: of training.
    """

    directory: Path
    config: dict[str, Any]
    epochs: list[Epoch]
    seconds: float

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @cached_property
    def monitor(self) -> Measure:
        """The dev figure its best epoch was chosen by."""
        return monitored(self.config["training.monitor"], self.measures)

    @cached_property
    def measure(self) -> Measure:
        """What runs of its task are compared by."""
        return self.measures[0]

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        return task_class(self.config["task"]).measures_of(self.config)

    @property
    def figure(self) -> float:
        """The dev figure a run is chosen by: its report's, as it is exported; before that, the best epoch's."""
        found = reported(self.report, "dev", self.monitor)
        if found is not None:
            return found["value"]
        kept = self.epochs[-1]["best_epoch"]
        return next(row[f"dev_{self.monitor.name}"] for row in self.epochs if row["epoch"] == kept)

    @cached_property
    def report(self) -> Report:
        """report.json; empty for a run that was not evaluated."""
        file = self.directory / "report" / "report.json"
        evaluated = "evaluate" in load_state(self.directory)["steps"]
        return json.loads(file.read_text(encoding="utf-8")) if evaluated and file.is_file() else {}

    def measured(self, split: str) -> Figure | None:
        """The measure on a split; None where the report has none."""
        return reported(self.report, split, self.measure)


@dataclass(frozen=True)
class Spread:
    """Several values of one figure: mean, sample standard deviation (None for a single value), range."""

    mean: float
    deviation: float | None
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """
        >>> Spread.of([1.0, 2.0, 3.0])
        Spread(mean=2.0, deviation=1.0, low=1.0, high=3.0, n=3)
        """
        values = list(values)
        deviation = None
        if len(values) > 1:  # statistics fails at NaN and infinity
            deviation = statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan
        return cls(statistics.fmean(values), deviation, min(values), max(values), len(values))


def read_outcome(directory: Path) -> Outcome:
    """Read a run directory.

    Raises:
        RunError: it is none, or its training is not finished.
    """
    state = load_state(directory)
    if "train" not in state["steps"]:
        raise RunError(f"{directory} holds no finished training. Run `seqpipe train` or `seqpipe run` first.")
    lines = (directory / "history.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [row for row in map(json.loads, lines) if "step" not in row]
    return Outcome(directory, state["config"], epochs, state["steps"]["train"]["seconds"])


def find_run(run: str) -> Path:
    """The directory of a run given as a directory or by its name in runs/.

    Raises:
        RunError: there is no such run.
    """
    for place in (named(run), RUNS / run):
        if (place / STATE).is_file():
            return place
        if is_hidden(place):
            raise RunError(f"{place} {HIDDEN}")
    names = sorted(path.parent.name for path in RUNS.glob("[!.]*/state.json"))
    hint = " It is a directory without a state.json." if Path(run).is_dir() else ""
    raise RunError(
        f"{run} is neither a run directory nor the name of a run in {RUNS}.{hint} "
        f"Known names: {', '.join(names) or 'none'}.{nearest(run, names)}"
    )
