"""The picture of a search: how it went, trial by trial, and what each searched key had to do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqpipe.evaluation.pictures import BLUE, GREY, INK, LIGHT, ORANGE, drawable, new_figure, percent, plain, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
_PRUNED: dict[str, Any] = {"s": 26, "facecolors": "none", "edgecolors": GREY, "zorder": 2}
_DONE: dict[str, Any] = {"s": 42, "color": BLUE, "linewidths": 0, "alpha": 0.85, "zorder": 3}
_MOST_KEYS = 9  # panels; the keys that matter least are left out


@dataclass(frozen=True)
class Trial:
    """
    number: from 0, in the order they were tried.
    values: by searched key.
    figure: the dev figure; of a pruned trial the last one.
    pruned: whether it was stopped early.
    """

    number: int
    values: Mapping[str, Any]
    figure: float
    pruned: bool


def search(
    trials: Sequence[Trial], *, monitor: str, importances: Mapping[str, float], logarithmic: Sequence[str], path: Path
) -> Path:
    """Draw the history of a search, and the figure over the values of each key.

    Args:
        trials: at least one.
        monitor: "accuracy" (the more the better) or "loss".
        importances: share of the variation that each key explains (0..1, 1 together); empty where too few trials tell.
        logarithmic: keys on a logarithmic axis.
    """
    keys = sorted(trials[0].values, key=lambda key: (-importances.get(key, 0.0), key))[:_MOST_KEYS]
    columns = 2 if len(keys) == 4 else min(_COLUMNS, len(keys))
    rows = -(-len(keys) // columns)
    figure = new_figure(10.0, 3.8 + 2.9 * rows)
    grid = figure.add_gridspec(1 + rows, columns, height_ratios=[1.25, *[1] * rows])
    best = _best(trials, monitor)
    history = figure.add_subplot(grid[0, :])
    _draw_history(history, trials, best, monitor)
    first: Axes | None = None
    for place, key in enumerate(keys):
        axes = figure.add_subplot(grid[1 + place // columns, place % columns], sharey=first)
        first = first or axes
        _draw_key(axes, trials, best, key, logarithmic=key in logarithmic)
        share = f"{100 * importances[key]:.0f} % of the variation" if key in importances else ""
        section, _, name = key.rpartition(".")
        plain(axes, f"{name}\n{share}" if share else name)
        axes.set_xlabel(section)
        if place % columns == 0:
            axes.set_ylabel(f"dev {monitor}")
        if monitor != "loss":
            axes.yaxis.set_major_formatter(percent)
    if any(trial.pruned for trial in trials):
        history.scatter([], [], **_PRUNED, label="pruned, with its last figure")
    history.scatter([], [], **_DONE, label="trained to the end")
    figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=10, labelcolor=INK)
    return save(figure, path)


def _draw_history(axes: Axes, trials: Sequence[Trial], best: Trial | None, monitor: str) -> None:
    done = [trial for trial in trials if not trial.pruned]
    pruned = [trial for trial in trials if trial.pruned]
    title = f"{len(done)} trials to the end, {len(pruned)} pruned"
    plain(axes, title if best is None else f"{title}; best: trial {best.number + 1}, dev {monitor} {best.figure:.4f}")
    _points(axes, [(trial.number + 1, trial) for trial in trials], best)
    if done:
        so_far = [_best(done[: place + 1], monitor) for place in range(len(done))]
        numbers = [trial.number + 1 for trial in done]
        figures = [trial.figure for trial in so_far if trial is not None]
        last = max(trial.number for trial in trials) + 1
        axes.step([*numbers, last], [*figures, figures[-1]], where="post", color=ORANGE, linewidth=1.8, zorder=1)
        axes.annotate(
            "best so far",
            (last, figures[-1]),
            xytext=(12, 0),
            textcoords="offset points",
            va="center",
            color=ORANGE,
            fontsize=10,
            annotation_clip=False,
        )
    axes.set_xlabel("trial")
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.set_ylabel(f"dev {monitor}")
    axes.margins(y=0.12)
    axes.grid(color=LIGHT, linewidth=0.8)
    if monitor != "loss":
        axes.yaxis.set_major_formatter(percent)


def _draw_key(axes: Axes, trials: Sequence[Trial], best: Trial | None, key: str, *, logarithmic: bool) -> None:
    values = [trial.values[key] for trial in trials]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        _points(axes, [(float(trial.values[key]), trial) for trial in trials], best)
        if logarithmic:
            axes.set_xscale("log")
            axes.minorticks_off()
        elif all(isinstance(value, int) for value in values):
            axes.locator_params(axis="x", integer=True)
    else:
        names = sorted({str(value) for value in values})
        _points(axes, [(names.index(str(trial.values[key])), trial) for trial in trials], best)
        axes.set_xticks(range(len(names)), [drawable(name) for name in names], parse_math=False)
        axes.set_xlim(-0.5, len(names) - 0.5)
    axes.margins(y=0.12)
    axes.grid(color=LIGHT, linewidth=0.8)


def _points(axes: Axes, points: Sequence[tuple[float, Trial]], best: Trial | None) -> None:
    for pruned, looks in ((True, _PRUNED), (False, _DONE)):
        chosen = [(x, trial.figure) for x, trial in points if trial.pruned == pruned]
        axes.scatter([x for x, _ in chosen], [y for _, y in chosen], **looks)
    for x, trial in points:
        if trial is best:
            axes.scatter([x], [trial.figure], s=150, facecolors="none", edgecolors=ORANGE, linewidths=2, zorder=4)


def _best(trials: Sequence[Trial], monitor: str) -> Trial | None:
    done = [trial for trial in trials if not trial.pruned]
    return max(done, key=lambda trial: -trial.figure if monitor == "loss" else trial.figure, default=None)
