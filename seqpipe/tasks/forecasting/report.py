"""The report on a forecaster: what is fitted on validation, every split beside its baselines, and who won.

Axes: N windows, H horizon, Q quantiles.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seqpipe.data.examples import Examples, content_key
from seqpipe.evaluation.forecasts import (
    Layout,
    block_interval,
    diebold_mariano,
    figures,
    holm,
    repeats_last,
    row_mean,
    weighted_quantile_loss,
)
from seqpipe.evaluation.rows import RowFigures
from seqpipe.series import baselines
from seqpipe.series.clock import DAY_S, YEAR_S
from seqpipe.series.conformal import latest, pairs_of, rolling, static_widths
from seqpipe.series.seasons import is_yearly

if TYPE_CHECKING:
    import keras

    from seqpipe.tasks.forecasting.task import Forecasting
    from seqpipe.tasks.protocol import Fitted, Report

SHARES = np.linspace(0, 1, 21)
LEAST_UNIT = 1e-30
DAYS = 60  # of errors that widths are made from
TRADING_DAYS = 250  # a year's: where order alone counts, no season changes the errors, and more of them tell more
WINDOWS_OF_STATSMODELS = 200

_unmixed: weakref.WeakKeyDictionary[keras.Model, keras.Model] = weakref.WeakKeyDictionary()


class Experts(NamedTuple):
    """What a model's quantiles [N, H, Q] are made of: network [N, H, Q] and ridge [N, H] in units of the window, whose
    level and scale are [N] each.
    """

    network: np.ndarray
    ridge: np.ndarray
    level: np.ndarray
    scale: np.ndarray
    quantiles: np.ndarray


@dataclass(frozen=True)
class Windows:
    """Windows of a split in the order of their origins, and what came behind them.

    origins: int [N], ticks of time, the same for windows of different series at the same time.
    """

    examples: Examples
    places: np.ndarray
    series: np.ndarray
    origins: np.ndarray
    wanted: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    def layout(self, horizon: int) -> Layout:
        unique = np.unique(self.origins)
        step = max(1, int(np.median(np.diff(unique)))) if len(unique) > 1 else 1
        return Layout(self.origins, self.series, -(-horizon // step))


def windows_of(task: Forecasting, examples: Examples) -> Windows:
    rows = np.arange(len(examples))
    batch = examples.batch(rows)
    places, series = batch["place"].astype(np.int64), batch["series"]
    step = task.panel.step
    origins = np.asarray(step.ticks(task.store.clock[places]))
    order = np.lexsort((series, origins))
    sorted_examples = Examples({name: np.asarray(column)[order] for name, column in batch.items()})
    wanted = task.store.targets(places[order], task.horizon).astype(np.float64)
    return Windows(sorted_examples, places[order], series[order], origins[order], wanted)


def fit_experts(task: Forecasting, model: keras.Model, examples: dict[str, Examples]) -> Fitted:
    """Shares of the network beside the ridge, widths of intervals, and how errors of neighbouring steps hang together.

    All from validation windows; the widths from the latest of them.
    """
    dev = windows_of(task, examples["dev"])
    network, ridge, level, scale, _ = expert_forecasts(task, model, dev.examples)
    wanted = _in_units(task, dev.wanted, level, scale)
    weights = scale / np.array(task.facts.error)[dev.series]
    middle = task.levels.index(0.5)
    share = fit_shares(network[:, :, middle], ridge, wanted, weights, squared=task.config.training.loss == "mse")
    share = share if task.config.model.linear else np.ones(task.horizon)
    mixed = _mixed(network, ridge, share, middle)
    near = latest(dev.origins, dev.series, window_steps(task))
    widths = static_widths(mixed[near], wanted[near], task.levels)
    return {"share": share.tolist(), "widths": widths.tolist(), "memory": _memory(mixed[:, :, middle], wanted)}


def expert_forecasts(task: Forecasting, model: keras.Model, examples: Examples) -> Experts:
    """What a model answers, and what its answers are made of, by one pass over the examples."""
    import keras

    from seqpipe.training.predict import predict

    if model not in _unmixed:  # a model of its own has a graph of its own: one for all who ask
        network, ridge = model.get_layer("mix").input
        _, level, scale = model.get_layer("answer").input
        flat = keras.layers.Flatten()
        parts = [flat(network), flat(model.output), ridge, level, scale]
        _unmixed[model] = keras.Model(model.input, keras.layers.Concatenate()(parts))
    found = predict(_unmixed[model], task, examples).astype(np.float64)
    horizon, quantiles = task.horizon, len(task.levels)
    sizes = np.array([horizon * quantiles, horizon * quantiles, horizon, 1, 1])
    network, answered, ridge, level, scale = np.split(found, np.cumsum(sizes)[:-1], axis=1)
    network, answered = (part.reshape(-1, horizon, quantiles) for part in (network, answered))
    return Experts(network, ridge, level[:, 0], scale[:, 0], answered)


def _mixed(network: np.ndarray, ridge: np.ndarray, share: np.ndarray, middle: int) -> np.ndarray:
    """The network's quantiles, moved by the ridge's share of each step, [N, H, Q]."""
    return network + ((1 - share)[None, :] * (ridge - network[:, :, middle]))[:, :, None]


def _in_units(task: Forecasting, values: np.ndarray, level: np.ndarray, scale: np.ndarray) -> np.ndarray:
    from seqpipe.layers.series_scale import transformed

    changed = np.asarray(transformed(values, task.config.features.transform))
    # A window without any scale, of a series that stood still so far, says nothing of how far others go.
    return (changed - level[:, None]) / np.where(scale > LEAST_UNIT, scale, np.nan)[:, None]


def fit_shares(
    network: np.ndarray, ridge: np.ndarray, wanted: np.ndarray, weights: np.ndarray, *, squared: bool
) -> np.ndarray:
    """The network's share of each step, [H], 0..1: of neighbouring steps together, so that few windows suffice."""
    horizon = network.shape[1]
    errors = np.zeros((len(SHARES), horizon))
    for index, share in enumerate(SHARES):
        away = np.abs(share * network + (1 - share) * ridge - wanted) * weights[:, None]
        errors[index] = row_mean((away**2 if squared else away).T) if len(away) else 0.0
    reach = max(1, horizon // 8)
    if not np.isfinite(errors).any():
        return np.ones(horizon)
    errors = np.where(np.isfinite(errors), errors, np.nanmean(errors, axis=1, keepdims=True))  # of which nothing came
    near = np.stack([errors[:, max(0, h - reach) : h + reach + 1].mean(axis=1) for h in range(horizon)], axis=1)
    return SHARES[np.argmin(near, axis=0)]


def _memory(forecast: np.ndarray, wanted: np.ndarray) -> float:
    """Correlation of the errors of neighbouring steps."""
    errors = wanted - forecast
    spread = np.sqrt(row_mean(((errors - row_mean(errors.T)) ** 2).T))
    errors = errors / (spread + 1e-12)
    pairs = np.stack([errors[:, 1:].ravel(), errors[:, :-1].ravel()])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    if pairs.shape[1] < 10 or (pairs.std(axis=1) == 0).any():
        return 0.0
    return float(np.clip(np.corrcoef(pairs)[0, 1], 0.0, 0.999))


def window_steps(task: Forecasting) -> int:
    """Steps whose errors widths are made from."""
    asked = task.config.conformal.window_steps
    if asked != "auto":
        return asked
    step = task.panel.step
    days = DAYS * DAY_S // step.size if step.kind == "seconds" and step.size < DAY_S else DAYS
    return max(TRADING_DAYS if step.kind == "rows" else days, 4 * task.horizon)


def evaluate(
    task: Forecasting, model: keras.Model, fitted: Fitted, examples: dict[str, Examples], directory: Path
) -> Report:
    """Write the report and its pictures; see `seqpipe.tasks.protocol.Task.evaluate`."""
    from seqpipe.tasks.forecasting.pictures import draw

    report: Report = {
        "horizon": task.horizon,
        "step": str(task.panel.step),
        "look_back": task.facts.look_back,
        "seasons": task.facts.seasons,
        "share": float(np.mean(fitted["share"])),
        "refit": task.before_refit is not None,
        "splits": {},
    }
    learned: list[tuple[Windows, Experts]] = []  # of this split and the one before
    for split, rows in examples.items():
        windows = windows_of(task, rows)
        if not len(windows):
            continue
        judged = task.before_refit if split == "dev" and task.before_refit is not None else model
        experts = expert_forecasts(task, judged, windows.examples)
        learned = [*learned[-1:], (windows, experts)]
        rolled = _rolled(task, fitted, learned)
        part = judge(task, experts, windows, experts.quantiles, rolled)
        (directory / split).mkdir(parents=True, exist_ok=True)
        part["rows"].write(directory / split)
        report["splits"][split] = part["report"]
        draw(task, windows, rolled, part["report"], directory / split)
    return report


def _rolled(task: Forecasting, fitted: Fitted, learned: list[tuple[Windows, Experts]]) -> np.ndarray:
    """Quantiles of the last windows; their widths follow the errors known at each origin, of all windows."""
    windows = learned[-1][0]
    columns: list[list[np.ndarray]] = [[], [], [], [], []]
    for part, (network, ridge, level, scale, _) in learned:
        mixed = _mixed(network, ridge, np.array(fitted["share"]), task.levels.index(0.5))
        found = (mixed, _in_units(task, part.wanted, level, scale), part.origins, level, scale)
        for column, value in zip(columns, found, strict=True):
            column.append(value)
    mixed, wanted, origins, level, scale = (np.concatenate(column) for column in columns)
    series = np.concatenate([part.series for part, _ in learned])
    start = int(windows.origins[0])
    made = np.zeros_like(mixed)
    unique = np.unique(series)
    own = len(series) / len(unique) >= 60  # windows enough for widths of each series
    for number in unique if own else [None]:
        chosen = np.flatnonzero(series == number) if number is not None else np.arange(len(series))
        chosen = chosen[np.argsort(origins[chosen], kind="stable")]
        made[chosen] = rolling(
            mixed[chosen],
            wanted[chosen],
            origins[chosen],
            task.levels,
            window_steps=window_steps(task),
            every=max(1, task.horizon // 4),
            start=start,
        )
    from seqpipe.layers.series_scale import restored

    made = made[len(made) - len(windows) :] * scale[-len(windows) :, None, None] + level[-len(windows) :, None, None]
    made = np.asarray(restored(made, task.config.features.transform))
    lower = task.facts.lower
    return made if lower is None else np.maximum(made, lower)


def judge(task: Forecasting, experts: Experts, windows: Windows, quantiles: np.ndarray, rolled: np.ndarray) -> Report:
    """Figures of one split, beside the baselines."""
    facts, middle = task.facts, task.levels.index(0.5)
    median = quantiles[:, :, middle]
    mase_unit = np.array(facts.mase)[windows.series - 1]
    undefined = ~np.isfinite(mase_unit)
    if undefined.all():  # constant series alone: errors as they are
        mase_unit = np.ones_like(mase_unit)
    errors = np.abs(windows.wanted - median)
    mase = row_mean(errors) / mase_unit
    layout = windows.layout(task.horizon)
    options = {"samples": task.config.evaluation.bootstrap_samples, "seed": task.config.seed}
    counted = np.isfinite(mase)
    headline = {**block_interval(mase, layout, **options, bounds=(0.0, np.inf)), "n": int(counted.sum())}
    names = [facts.names[number - 1] for number in windows.series[counted]]
    key = content_key(names, windows.origins[counted], windows.wanted[counted], mase_unit[counted])
    report: Report = {
        "measures": {"mase": headline},
        "windows": len(windows),
        "series": len(np.unique(windows.series)),
        "mase_undefined": int(undefined.sum()),
        **figures(median, windows.wanted, np.array(facts.std)[windows.series - 1]),
        "weighted_quantile_loss": weighted_quantile_loss(quantiles, windows.wanted, task.levels),
        "intervals": _intervals(task, windows, quantiles, rolled, options),
        "by_step": row_mean((errors / mase_unit[:, None]).T).tolist(),
        "by_series": _by_series(task, windows, mase),
        "repeats_last": _shift(task, windows, median),
        "statsmodels_left_out": task.config.evaluation.statsmodels and len(windows) > WINDOWS_OF_STATSMODELS,
    }
    report |= _beside(task, experts, windows, mase, mase_unit, layout)
    overlap = np.full(len(mase), layout.overlap)
    columns = {"mase": mase, "origins": windows.origins, "series": windows.series, "overlap": overlap}
    return {"report": report, "rows": RowFigures(key, {name: column[counted] for name, column in columns.items()})}


def _intervals(
    task: Forecasting, windows: Windows, quantiles: np.ndarray, rolled: np.ndarray, options: dict[str, int]
) -> list[dict[str, object]]:
    """Coverage and width of each interval, as exported and with widths that follow the errors."""
    found = []
    std, layout = np.array(task.facts.std)[windows.series - 1][:, None], windows.layout(task.horizon)
    for low, high, share in pairs_of(task.levels):
        row: dict[str, object] = {"share": share}
        for name, made in (("exported", quantiles), ("rolling", rolled)):
            inside = (windows.wanted >= made[:, :, low]) & (windows.wanted <= made[:, :, high])
            covered = row_mean(np.where(np.isfinite(windows.wanted), inside, np.nan))
            widths = (made[:, :, high] - made[:, :, low]) / np.where(std > 0, std, np.nan)
            interval = block_interval(covered, layout, **options, bounds=(0.0, 1.0))
            row[name] = {**interval, "width": float(np.nanmean(widths)) if (std > 0).any() else 0.0}
        found.append(row)
    return found


def _by_series(task: Forecasting, windows: Windows, mase: np.ndarray) -> dict[str, float]:
    known = np.isfinite(mase)
    numbers, places = np.unique(windows.series[known], return_inverse=True)
    means = np.bincount(places, mase[known]) / np.bincount(places)
    return {task.facts.names[number - 1]: float(mean) for number, mean in zip(numbers, means, strict=True)}


def _shift(task: Forecasting, windows: Windows, median: np.ndarray) -> bool | None:
    """Whether changes are forecast at all: by changes from two steps before, which repeating the last value misses."""
    history = baselines.histories(task.store.values, windows.places, 2)
    std = np.array(task.facts.std)[windows.series - 1]
    std = np.where(std > 0, std, np.nan)
    base = history[:, 0] / std
    return repeats_last(median[:, 0] / std - base, windows.wanted[:, 0] / std - base, history[:, 1] / std - base)


def baseline_forecasts(task: Forecasting, experts: Experts, windows: Windows) -> dict[str, np.ndarray]:
    """float64 [N, H] by name."""
    from seqpipe.layers.series_scale import restored

    facts, horizon = task.facts, task.horizon
    season = facts.seasons[0] if facts.seasons else 1
    steps = max(facts.look_back, 10 * season if season > 1 else 0, *facts.seasons)
    history = baselines.histories(task.store.values, windows.places, steps)
    starts = task.store.offsets[windows.series - 1]
    before = windows.places[:, None] + np.arange(1 - steps, 1) < starts[:, None]
    history[before] = np.nan
    found = {"last value": baselines.last_value(history, horizon)}
    if season > 1:
        found["seasonal naive"] = baselines.seasonal_naive(history, horizon, season)
        for longer in facts.seasons[1:]:
            found[f"the values {longer} steps before"] = baselines.seasonal_naive(history, horizon, longer)
        found[f"mean of {baselines.MEAN_OF} seasons"] = baselines.mean_season(history, horizon, season)
    found["drift"] = baselines.drift(history, horizon)
    climatology = _climatology(task, windows)
    if climatology is not None:
        found["climatology + AR"] = climatology
    if task.config.evaluation.statsmodels and len(windows) <= WINDOWS_OF_STATSMODELS:
        found["Theta"] = baselines.statistical(history, horizon, season, "theta")
        found["ETS"] = baselines.statistical(history, horizon, season, "ets")
    if task.config.model.linear:
        ridge = experts.ridge * experts.scale[:, None] + experts.level[:, None]
        found["ridge"] = np.asarray(restored(ridge, task.config.features.transform))
    return {name: np.nan_to_num(values) for name, values in found.items()}


def _climatology(task: Forecasting, windows: Windows) -> np.ndarray | None:
    """Where there is a year to learn, or a season of numbered or monthly steps."""
    facts, step = task.facts, task.panel.step
    yearly = is_yearly(step, max(cut.train for cut in task.panel.cuts))
    if step.kind == "rows" or not (yearly or facts.seasons):
        return None

    def angles(clock: np.ndarray) -> np.ndarray:
        turns = [harmonic * (clock / YEAR_S) for harmonic in (1, 2, 3) if yearly]
        for season in facts.seasons:
            turns += [
                harmonic * np.asarray(step.ticks(clock)) / season for harmonic in range(1, min(6, season // 2) + 1)
            ]
        return np.stack(turns, axis=-1)

    found = np.zeros((len(windows), task.horizon))
    for number in np.unique(windows.series):
        one, cut = task.panel.series[number - 1], task.panel.cuts[number - 1]
        own = np.flatnonzero(windows.series == number)
        places = windows.places[own]
        tested = places.min() - task.store.offsets[number - 1] >= cut.dev - 1
        end = cut.dev if tested and task.before_refit is not None else cut.train  # it learns from what the model does
        if np.isfinite(one.values[:end]).sum() < 3 * (baselines.LAGS + task.horizon):
            return None
        fitted = baselines.Climatology(one.values[:end], angles(one.clock[:end]), task.horizon)
        now = task.store.clock[places]
        past = np.asarray(step.later(now[:, None], np.arange(1 - baselines.LAGS, 1)[None, :]))
        future = np.asarray(step.later(now[:, None], np.arange(1, task.horizon + 1)[None, :]))
        history = baselines.histories(task.store.values, places, baselines.LAGS)
        found[own] = fitted(history, angles(past), angles(future))
    return found


def _beside(
    task: Forecasting, experts: Experts, windows: Windows, mase: np.ndarray, mase_unit: np.ndarray, layout: Layout
) -> Report:
    """The baselines' figures, tests against each, and the verdict."""
    if not task.config.evaluation.baseline:
        return {"baselines": []}
    std = np.array(task.facts.std)[windows.series - 1]
    found, chances = [], []
    for name, forecast in baseline_forecasts(task, experts, windows).items():
        losses = row_mean(np.abs(windows.wanted - forecast)) / mase_unit
        statistic, p = diebold_mariano(mase, losses, layout)
        chances.append(p)
        found.append(
            {"name": name, "mase": float(np.nanmean(losses)), "dm": statistic, **figures(forecast, windows.wanted, std)}
        )
    for row, p in zip(found, holm(chances), strict=True):
        row["p_holm"] = p
    return {"baselines": found}
