"""Pictures of a forecaster's report: fans of the best, median and worst window, errors by step, ranks, coverage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.evaluation.forecasts import row_mean
from seqpipe.evaluation.pictures import BLUE, INK, ORANGE, drawable, new_figure, plain, save
from seqpipe.series.conformal import pairs_of
from seqpipe.tasks.protocol import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from seqpipe.tasks.forecasting.report import Windows
    from seqpipe.tasks.forecasting.task import Forecasting

SHOWN = 3  # horizons of the past in a fan


def draw(task: Forecasting, windows: Windows, quantiles: np.ndarray, report: Report, directory: Path) -> None:
    """Write fans.png, by_step.png, ranks.png and coverage.png."""
    _fans(task, windows, quantiles, directory / "fans.png")
    figure, axes = _titled("Error by step")
    axes.plot(range(1, task.horizon + 1), report["by_step"], color=BLUE)
    axes.set(xlabel="steps ahead", ylabel="MASE")
    save(figure, directory / "by_step.png")

    below = (windows.wanted[:, :, None] > quantiles).sum(axis=2)[np.isfinite(windows.wanted)]
    figure, axes = _titled("Where outcomes fell (flat is right)")
    edges = [0.0, *task.levels, 1.0]
    shares = np.bincount(below, minlength=len(edges) - 1) / max(1, len(below))
    axes.bar(edges[:-1], shares / np.diff(edges), np.diff(edges), align="edge", color=BLUE, edgecolor="white")
    axes.axhline(1.0, color=INK, linewidth=1)
    axes.set(xlabel="share of outcomes expected below", ylabel="density")
    save(figure, directory / "ranks.png")

    figure, axes = _titled("Coverage over time")
    blocks = np.array_split(np.arange(len(windows)), min(40, max(1, len(windows) // 5)))
    for low, high, share in pairs_of(task.levels):
        inside = (windows.wanted >= quantiles[:, :, low]) & (windows.wanted <= quantiles[:, :, high])
        covered = row_mean(np.where(np.isfinite(windows.wanted), inside, np.nan))
        line = axes.plot([row_mean(covered[block][None])[0] for block in blocks], label=f"{share:.0%}")
        axes.axhline(share, color=line[0].get_color(), linestyle=":")
    axes.set(xlabel="windows in the order of time", ylabel="share covered", ylim=(0, 1.02))
    if pairs_of(task.levels):
        axes.legend()
    save(figure, directory / "coverage.png")


def _titled(title: str) -> tuple[Figure, Axes]:
    figure = new_figure(7, 3)
    axes = figure.add_subplot()
    plain(axes, title)
    return figure, axes


def _fans(task: Forecasting, windows: Windows, quantiles: np.ndarray, file: Path) -> None:
    unit = np.array(task.facts.error)[windows.series]
    errors = np.abs(windows.wanted - quantiles[:, :, task.levels.index(0.5)]).mean(axis=1) / unit
    order = np.argsort(np.where(np.isfinite(errors), errors, np.inf))
    count = max(1, int(np.isfinite(errors).sum()))
    figure = new_figure(8, 8)
    steps = min(task.facts.look_back, SHOWN * max(task.horizon, 8))
    for axes, (title, row) in zip(
        figure.subplots(3, 1),
        (("best", order[0]), ("median", order[count // 2]), ("worst", order[count - 1])),
        strict=True,
    ):
        place = windows.places[row]
        past = task.store.values[place - steps + 1 : place + 1]
        fan(axes, past, quantiles[row], task.levels, windows.wanted[row])
        name = task.facts.names[windows.series[row] - 1]
        plain(axes, drawable(f"{title} window{f' ({name})' if name else ''}"))
    axes.set_xlabel("steps from the last value")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
    save(figure, file)


def fan(axes: Axes, past: np.ndarray, quantiles: np.ndarray, levels: list[float], wanted: np.ndarray | None) -> None:
    """The past, the median and intervals around it, and what came."""
    ahead = np.arange(1, len(quantiles) + 1)
    axes.plot(np.arange(1 - len(past), 1), past, color=INK, linewidth=1)
    for low, high, share in pairs_of(levels):
        inside = f"{share:.0%} interval"
        axes.fill_between(
            ahead, quantiles[:, low], quantiles[:, high], color=BLUE, alpha=0.2, linewidth=0, label=inside
        )
    axes.plot(ahead, quantiles[:, levels.index(0.5)], color=BLUE, label="median")
    if wanted is not None:
        axes.plot(ahead, wanted, color=ORANGE, linewidth=1, label="what came")
