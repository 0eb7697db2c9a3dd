"""Series of a pipeline, cut by time, and what the training part says of them.

Axes: S series, T steps, K known and P past columns.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqpipe.config.series import SeriesData
from seqpipe.data.findings import Finding, counted, listed, raise_errors
from seqpipe.models.forecaster import Frame
from seqpipe.series.clock import Step
from seqpipe.series.seasons import find_seasons, is_yearly
from seqpipe.series.table import Series, read_series
from seqpipe.series.windows import Cut, cut_series
from seqpipe.storage import write_json
from seqpipe.tasks.forecasting.config import ForecastingPipeline

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
            findings.append(
                Finding("error", f"{data.test}: has none of the series of {data.train}: {listed(sorted(named))}.")
            )
        short = [name for name, end in later_ends.items() if end - ends[name] < horizon]
        if short:
            text = f"{len(short)} of {len(later_ends)} series go on for less than model.horizon_steps = {horizon}"
            findings.append(Finding("warning", f"{data.test}: {text}: {listed(short)}. They are not tested."))
    useful = {name: one for name, one in named.items() if ends[name] > 1}
    empty = sorted(set(named) - set(useful))
    if empty:
        findings.append(
            Finding(
                "warning",
                f"{len(empty)} with less than two values: {listed(empty)}. They are left out.",
            )
        )
    if not useful:
        findings.append(Finding("error", f"{data.train}: no series has two values."))
    raise_errors(findings)
    asked = 0 if data.test is not None else data.test_windows
    cuts = cut_series([ends[name] for name in useful], horizon=horizon, validation=data.validation_windows, test=asked)
    cuts = [Cut(cut.train, cut.dev, later_ends.get(name, cut.end)) for name, cut in zip(useful, cuts, strict=True)]
    panel = Panel(list(useful.values()), cuts, found.step)
    return panel, [*findings, *_looked_at(panel, data, horizon)]


def _joined(train: Series, later: Series, end: int, step: Step, findings: list[Finding]) -> tuple[Series, int]:
    """A series with what goes on behind it, on one grid; and its new end."""
    if step.kind == "rows":
        start = end
    else:
        first = step.ticks(train.steps_on[:1])[0]
        start = int(step.ticks(later.steps_on[:1])[0] - first)
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
    grid = steps if step.kind == "rows" else np.asarray(step.later(train.steps_on[0], steps))
    clock = grid + (train.clock[0] - train.steps_on[0])
    clock[: min(len(train), start)] = train.clock[:start]
    if step.kind != "rows":
        clock[start:] = later.clock
    whole = Series(
        train.name,
        clock,
        joined(train.values, later.values),
        joined(train.known, later.known),
        joined(train.past, later.past),
        train.static,
        grid,
    )
    return whole, whole.end


def _looked_at(panel: Panel, data: SeriesData, horizon: int) -> list[Finding]:
    """What is strange about the series themselves."""
    findings = [Finding("info", _sizes(panel))]
    constant = [one.name for one, values in zip(panel.series, panel.training, strict=True) if _is_constant(values)]
    if constant:
        findings.append(
            Finding(
                "warning",
                f"{len(constant)} constant in training: {listed(constant)}. MASE is undefined there.",
            )
        )
    untested = [one.name for one, cut in zip(panel.series, panel.cuts, strict=True) if cut.dev == cut.train]
    if untested:
        findings.append(
            Finding(
                "warning",
                f"{len(untested):,} of {len(panel.series):,} series are too short for validation of "
                f"{horizon} steps: {listed(untested)}.",
            )
        )
    if len(untested) == len(panel.series):
        longest = max(len(one) for one in panel.series)
        findings.append(
            Finding(
                "error",
                f"every series is too short: the longest has {longest:,} steps, a horizon of "
                f"{horizon} needs {2 * horizon + 1} at least. Lower model.horizon_steps.",
            )
        )
    raise_errors(findings)
    findings += _flat(panel) + _leaks(panel, data, horizon) + _weekends(panel)
    firsts = [
        one.clock[cut.dev] if cut.dev < len(one) else 0 for one, cut in zip(panel.series, panel.cuts, strict=True)
    ]
    lasts = [one.clock[max(0, cut.train - 1)] for one, cut in zip(panel.series, panel.cuts, strict=True)]
    if panel.step.kind in ("seconds", "months") and max(lasts) >= min(firsts):
        findings.append(
            Finding("warning", "series end at different times: some train on days that others are tested on.")
        )
    return findings


def _sizes(panel: Panel) -> str:
    lengths = np.array([len(one) for one in panel.series])
    held = [sum(cut.dev - cut.train for cut in panel.cuts), sum(cut.end - cut.dev for cut in panel.cuts)]
    missing = np.mean(np.concatenate([~np.isfinite(one.values[: one.end]) for one in panel.series]))
    return (
        f"{f'{len(lengths):,} series'} of {lengths.min():,} to {lengths.max():,} steps, {missing:.1%} missing; "
        f"held back: {held[0]:,} steps for validation, {held[1]:,} for testing."
    )


def _is_constant(values: np.ndarray) -> bool:
    seen = values[np.isfinite(values)]
    return not len(seen) or bool(np.ptp(seen) == 0)


def _flat(panel: Panel) -> list[Finding]:
    """Long stretches of one value, which are often a dead meter."""
    found = []
    for one in panel.series:
        same = np.concatenate([[0], (np.diff(one.values) == 0).astype(int), [0]])
        edges = np.flatnonzero(np.diff(same))
        runs = edges[1::2] - edges[::2]
        if len(runs) and 50 < runs.max() < 0.5 * len(one) and one.values[edges[::2][np.argmax(runs)]] != 0:
            found.append(
                f"{one.name or 'the series'}: {runs.max() + 1:,} steps at {one.values[edges[::2][np.argmax(runs)]]:g}"
            )
    return [Finding("warning", f"flat stretches: {listed(found)}.")] if found else []


def _in_line(both: np.ndarray) -> bool:
    """Whether enough pairs [2, N] lie on a line; their size does not matter."""
    if both.shape[1] <= 20:
        return False
    both = both / np.maximum(np.abs(both).max(axis=1, keepdims=True), 1e-300)
    return bool(both.std(axis=1).min() > 0 and abs(np.corrcoef(both)[0, 1]) > 0.9999)


def _leaks(panel: Panel, data: SeriesData, horizon: int) -> list[Finding]:
    """Covariates that equal the value to come."""
    found = []
    for kind, columns in (("known", data.known), ("past", data.past)):
        for index, column in enumerate(columns):
            for shift in (0, *((1, horizon) if kind == "past" else ())):
                pairs = []
                for one in panel.series[:20]:
                    covariate = getattr(one, kind)[: len(one) - shift, index]
                    pairs.append(np.stack([covariate, one.values[shift:]]))
                both = np.concatenate(pairs, axis=1)
                if _in_line(both[:, np.isfinite(both).all(axis=0)]):
                    if kind == "past" and shift == 0:
                        continue  # the value itself again, which the past may hold
                    when = "the value of the same step" if shift == 0 else f"the value {counted(shift, 'step')} later"
                    found.append(
                        Finding("warning", f"{kind} column {column} equals {when}: a leak of what is to be forecast?")
                    )
    return found


def _weekends(panel: Panel) -> list[Finding]:
    """Whether what is missing are whole weekdays, as on an exchange."""
    if panel.step != Step("seconds", 86_400):
        return []
    one = panel.series[0]
    weekday = one.clock // 86_400 % 7
    missing = [float(np.mean(~np.isfinite(one.values[weekday == day]))) for day in range(7)]
    empty = sum(share > 0.98 for share in missing)
    if not 0 < empty < 7:
        return []
    return [
        Finding(
            "warning", f"{empty} days of the week never have a value. If only trading days count, set data.step: rows."
        )
    ]


@dataclass(frozen=True)
class Facts:
    """What the training part fixes; kept with the run, and all that an artefact needs.

    names: of series, the first is number 1 of the model. static: the known values of each static column.
    level, scale: of each series, transformed: its median, and the usual spread of its windows. error: of the seasonal
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
    """From the training part alone."""
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
        scale=[float(np.median(scale)), *scale],
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
        lower=_lower(training) if features.lower == "auto" else features.lower,
    )


def _lower(training: list[np.ndarray]) -> float | None:
    """0 where no value is negative: what is counted or weighed never is."""
    return None if any((values < 0).any() for values in training) else 0.0


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


def _or(function: Any, values: np.ndarray, other: float) -> float:
    return float(function(values)) if np.isfinite(values).any() else other


def _spreads(columns: list[np.ndarray]) -> list[tuple[float, float]]:
    whole = np.concatenate(columns)
    found = []
    for column in whole.T:
        seen = column[np.isfinite(column)]
        spread = float(seen.std()) if len(seen) else 0.0
        found.append((float(seen.mean()) if len(seen) else 0.0, spread if spread > 0 else 1.0))
    return found
