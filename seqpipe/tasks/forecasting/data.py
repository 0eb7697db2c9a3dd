"""Series of a pipeline, cut by time, and what the training part says of them.

Axes: S series, T steps, K known and P past columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.config.data import source_text
from seqpipe.config.series import SeriesData
from seqpipe.data.findings import Finding, listed, raise_errors
from seqpipe.series.clock import Step
from seqpipe.series.seasons import find_seasons, is_yearly
from seqpipe.series.table import Series, read_series
from seqpipe.series.windows import Cut, cut_series
from seqpipe.storage import write_json
from seqpipe.tasks.forecasting.config import ForecastingPipeline
from seqpipe.tasks.forecasting.oddities import looked_at

if TYPE_CHECKING:
    from seqpipe.models.forecaster import Frame

LONG = 336  # steps that are looked back on where there are enough
SPREADS = 60  # windows of a series whose spread is looked at
FACTS = "facts.json"


@dataclass(frozen=True)
class Panel:
    """Series and their cuts, in the order of the source."""

    series: list[Series]
    cuts: list[Cut]
    step: Step

    @property
    def training(self) -> list[np.ndarray]:
        """The training values of each series."""
        return [one.values[: cut.train] for one, cut in zip(self.series, self.cuts, strict=True)]


def read_panel(data: SeriesData, horizon: int) -> tuple[Panel, list[Finding]]:
    """Read, check and cut the series of a pipeline.

    Raises:
        DataError: with every error at once.
    """
    found = read_series(data.train, data)
    train, test = source_text(data.train), source_text(data.test or "")
    findings = [*found.findings]
    named = {one.name: one for one in found.series}
    ends = {name: one.end for name, one in named.items()}
    later_ends: dict[str, int] = {}
    if data.test is not None:
        later = read_series(data.test, data, "test", step=found.step)
        findings += [finding for finding in later.findings if finding.severity != "info"]
        for one in later.series:
            if one.name in named:
                named[one.name], later_ends[one.name] = _joined(
                    named[one.name], one, ends[one.name], found.step, findings
                )
        if not later_ends:
            text = f"{test}: has none of the series of {train}: {listed(sorted(named))}."
            findings.append(Finding("error", text))
        strange = sorted({one.name for one in later.series} - set(named))
        if later_ends and strange:
            text = f"{len(strange)} of {len(later.series)} series are not in {train}: {listed(strange)}"
            findings.append(Finding("warning", f"{test}: {text}. They are not tested."))
        short = [name for name, end in later_ends.items() if end - ends[name] < horizon]
        if short:
            text = f"{len(short)} of {len(later_ends)} series go on for less than model.horizon_steps = {horizon}"
            findings.append(Finding("warning", f"{test}: {text}: {listed(short)}. They are not tested."))
    useful = {name: one for name, one in named.items() if ends[name] > 1}
    empty = sorted(set(named) - set(useful))
    if empty:
        text = f"{len(empty)} with less than two values: {listed(empty)}. They are left out."
        findings.append(Finding("warning", text))
    if not useful:
        findings.append(Finding("error", f"{train}: no series has two values."))
    raise_errors(findings)
    asked = 0 if data.test is not None else data.test_windows
    cuts = cut_series([ends[name] for name in useful], horizon=horizon, validation=data.validation_windows, test=asked)
    cuts = [Cut(cut.train, cut.dev, later_ends.get(name, cut.end)) for name, cut in zip(useful, cuts, strict=True)]
    panel = Panel(list(useful.values()), cuts, found.step)
    return panel, [*findings, *looked_at(panel, data, horizon)]


def _joined(train: Series, later: Series, end: int, step: Step, findings: list[Finding]) -> tuple[Series, int]:
    """A series with what goes on behind it, on one grid; and its new end."""
    if step.kind == "rows":
        overlaps = train.read is not None and later.read is not None and later.read[0] <= train.read[end - 1]
        start = end - 1 if overlaps else end
    else:
        first = step.ticks(train.grid[:1])[0]
        start = int(step.ticks(later.grid[:1])[0] - first)
        if step.later(train.grid[0], start) != later.grid[0]:
            text = f"series {train.name}: the times of data.test lie beside the grid of {step} of data.train"
            findings.append(Finding("error", f"{text}, such as half a step later."))
            return train, end
    if start < end:
        findings.append(Finding("error", f"series {train.name}: data.test begins before data.train ends."))
        return train, end
    length = start + len(later)

    def joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        whole = np.full((length, *one.shape[1:]), np.nan)
        whole[: min(len(one), start)] = one[:start]
        whole[start:] = other
        return whole

    steps = np.arange(length)
    grid = steps if step.kind == "rows" else np.asarray(step.later(train.grid[0], steps))
    clock = grid + (train.clock[0] - train.grid[0])
    clock[: min(len(train), start)] = train.clock[:start]
    if step.kind != "rows":
        clock[start:] = later.clock
    whole = Series(
        train.name,
        clock,
        grid,
        joined(train.values, later.values),
        joined(train.known, later.known),
        joined(train.past, later.past),
        train.static,
    )
    return whole, whole.end


@dataclass(frozen=True)
class Facts:
    """What the training part fixes; kept with the run, and all that an artefact needs.

    names: of series, the first is number 1 of the model. static: the known values of each static column.
    level, scale: of each series, transformed: its median, and the usual spread of its windows that move; 0 of a series
    that stood still, which is measured by its windows alone, as one that is not known. error: of the seasonal
    naive forecast in training, transformed, that losses are counted in. mase: the same untransformed; NaN where it is
    0. mean, std: of training values. known, past: mean and spread of each column. lower: no answer lies below it.
    """

    step: tuple[str, int]
    names: list[str]
    static: list[list[str]]
    seasons: list[int]
    yearly: bool
    look_back: int
    segment: int
    level: list[float]
    scale: list[float]
    error: list[float]
    mase: list[float]
    mean: list[float]
    std: list[float]
    known: list[tuple[float, float]]
    past: list[tuple[float, float]]
    lower: float | None = None

    def frame(self) -> Frame:
        from seqpipe.models.forecaster import Frame

        kind, size = self.step
        return Frame(
            Step(kind, size),  # type: ignore[arg-type]
            self.look_back,
            self.segment,
            tuple(self.seasons),
            self.yearly,
            len(self.names),
            len(self.known),
            len(self.past),
            tuple(len(values) for values in self.static),
            self.lower,
        )

    def save(self, directory: Path) -> None:
        write_json(directory / FACTS, asdict(self))

    @classmethod
    def load(cls, directory: Path) -> Facts:
        return cls(**json.loads((directory / FACTS).read_text(encoding="utf-8")))


def fit_facts(panel: Panel, config: ForecastingPipeline) -> Facts:
    """From the training part alone, but for the bound, which what is trained once more, on dev too, must not break."""
    horizon, features = config.model.horizon_steps, config.features
    training = panel.training
    changed = [_transformed(values, features.transform) for values in training]
    seasons = find_seasons(changed, panel.step) if features.seasons_steps == "auto" else list(features.seasons_steps)
    told = [season for season in seasons if season > 1] if features.calendar and panel.step.kind != "rows" else []
    lengths = [len(values) for values in training]
    look_back = (
        _look_back(lengths, horizon, seasons) if features.look_back_steps == "auto" else features.look_back_steps
    )
    asked = config.model.segment_steps
    segment = _segment(look_back) if asked == "auto" else min(asked, look_back)
    season = seasons[0] if seasons else 1
    level = [_or(np.nanmedian, values, 0.0) for values in changed]
    scale = [usual_spread(values, look_back) for values in changed]
    naive = [naive_error(values, season) for values in changed]
    usual = float(np.median([error for error in naive if error > 0] or [1.0]))
    return Facts(
        step=(panel.step.kind, panel.step.size),
        names=[one.name for one in panel.series],
        static=[sorted({one.static[index] for one in panel.series}) for index in range(len(config.data.static))],
        seasons=told if told or seasons in ([], [1]) else seasons,
        yearly=features.calendar and is_yearly(panel.step, max(lengths)),
        look_back=look_back,
        segment=segment,
        level=[float(np.median(level)), *level],
        scale=[float(np.median([size for size in scale if size > 0] or [0.0])), *scale],
        error=[
            usual,
            *(
                error if error > 1e-6 * max(size, 1e-30) else max(size, usual)
                for error, size in zip(naive, scale, strict=True)
            ),
        ],
        mase=[naive_error(values, season) or float("nan") for values in training],
        mean=[_or(np.nanmean, values, 0.0) for values in training],
        std=[_or(np.nanstd, values, 0.0) for values in training],
        known=_spreads([one.known[: cut.train] for one, cut in zip(panel.series, panel.cuts, strict=True)]),
        past=_spreads([one.past[: cut.train] for one, cut in zip(panel.series, panel.cuts, strict=True)]),
        lower=_lower([one.values[: cut.dev] for one, cut in zip(panel.series, panel.cuts, strict=True)])
        if features.lower == "auto"
        else features.lower,
    )


def _lower(seen: list[np.ndarray]) -> float | None:
    """0 where no value is negative: what is counted or weighed never is."""
    return None if any((values < 0).any() for values in seen) else 0.0


def naive_error(values: np.ndarray, season: int) -> float:
    """Mean absolute error of repeating the value a season before, over a series; the last one of a short series."""
    season = season if len(values) > season else 1
    errors = np.abs(values[season:] - values[:-season])
    errors = errors[np.isfinite(errors)]
    return float(errors.mean()) if len(errors) else 0.0


def usual_spread(values: np.ndarray, look_back: int) -> float:
    """Median over windows of the mean absolute distance from their mean, of those that move; 0 where none does."""
    ends = np.unique(np.linspace(min(look_back, len(values)), len(values), SPREADS).astype(int))
    windows = [window[np.isfinite(window)] for window in (values[max(0, end - look_back) : end] for end in ends)]
    spreads = np.array([np.mean(np.abs(window - window.mean())) if len(window) else 0.0 for window in windows])
    return float(np.median(spreads[spreads > 0])) if (spreads > 0).any() else 0.0


def _look_back(lengths: list[int], horizon: int, seasons: list[int]) -> int:
    """336 steps in whole seasons, or what most series have."""
    longest = max(seasons, default=1)
    wanted = longest * -(-LONG // longest)
    room = max(2, (int(np.median(lengths)) - horizon) // 2)
    if wanted <= room:
        return wanted
    return max(2, room // longest * longest if room >= longest else room)


def _segment(look_back: int) -> int:
    """Steps read at once: the largest divisor of the look-back up to a quarter of it and 48, or that bound itself."""
    most = max(1, min(48, look_back // 4))
    fitting = [size for size in range(1, most + 1) if look_back % size == 0]
    return max(fitting) if max(fitting) * 2 > most else most


def _transformed(values: np.ndarray, transform: str) -> np.ndarray:
    if transform == "none":
        return values
    with np.errstate(invalid="ignore", divide="ignore"):
        changed = np.sign(values) * np.log1p(np.abs(values)) if transform == "log1p" else np.log(values)
    return np.where(np.isfinite(changed), changed, np.nan)


def _or(function: Callable[[np.ndarray], float], values: np.ndarray, other: float) -> float:
    return float(function(values)) if np.isfinite(values).any() else other


def _spreads(columns: list[np.ndarray]) -> list[tuple[float, float]]:
    whole = np.concatenate(columns)
    found = []
    for column in whole.T:
        seen = column[np.isfinite(column)]
        spread = float(seen.std()) if len(seen) else 0.0
        found.append((float(seen.mean()) if len(seen) else 0.0, spread if spread > 0 else 1.0))
    return found
