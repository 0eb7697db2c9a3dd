"""The pictures of a comparison: learning curves over each other, and differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqpipe.evaluation.measures import Measure
from seqpipe.evaluation.pictures import GREY, INK, LIGHT, drawable, new_figure, plain, save, tick_format
from seqpipe.training.position import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import LineStyleType

# Okabe and Ito (2008), less the yellow that white swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#222222")
DASHES: tuple[LineStyleType, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))


def learning_curves(curves: Sequence[tuple[str, Sequence[Sequence[Epoch]]]], measure: Measure, path: Path) -> Path:
    """Draw a dev figure by epoch for each pipeline: a line a run, a ring around the epoch that was kept.

    Args:
        curves: (name, the epochs of each of its runs); seeds of one pipeline share a colour, and with several the
            lines are thin and their mean, over the epochs that all have, is thick.
        measure: the epochs hold it by its name behind `dev_`.
    """
    figure = new_figure(9.6, 4.8)
    axes = figure.add_subplot()
    plain(axes, f"dev {measure.title} by epoch; a ring marks the epoch that was kept")
    key = f"dev_{measure.name}"
    for number, (name, runs) in enumerate(curves):
        colour, dash = style(number)
        several = len(runs) > 1
        for epochs in runs:
            _run(axes, epochs, key, style(number), label=None if several else drawable(name))
        if several:
            common = min(len(epochs) for epochs in runs)
            means = [sum(epochs[i][key] for epochs in runs) / len(runs) for i in range(common)]
            label = f"{drawable(name)}, mean of {len(runs)} seeds"
            axes.plot(range(1, common + 1), means, color=colour, linestyle=dash, linewidth=2.6, label=label)
    axes.set_xlabel("epoch")
    axes.set_xlim(0.7, max([1, *(len(epochs) for _, runs in curves for epochs in runs)]) + 0.3)
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.margins(y=0.1)
    axes.grid(color=LIGHT, linewidth=0.8)
    axes.yaxis.set_major_formatter(tick_format(measure))
    figure.legend(loc="outside lower left", ncols=min(3, len(curves)), frameon=False, fontsize=10, labelcolor=INK)
    return save(figure, path)


def _run(axes: Axes, epochs: Sequence[Epoch], key: str, style: tuple[str, LineStyleType], *, label: str | None) -> None:
    """The line of a run with its ring, thin where it has no label of its own."""
    colour, dash = style
    thin = label is None
    figures = [row[key] for row in epochs]
    look: dict[str, Any] = {"linewidth": 0.9, "alpha": 0.55} if thin else {"linewidth": 2.0}
    axes.plot(range(1, len(epochs) + 1), figures, color=colour, linestyle=dash, label=label, **look)
    kept = epochs[-1]["best_epoch"]
    size, edge = (6, 1.1) if thin else (10, 1.6)
    ring: dict[str, Any] = {"markersize": size, "markeredgewidth": edge, "markerfacecolor": "none"}
    axes.plot(kept + 1, figures[kept], marker="o", color=colour, **ring)


def differences(
    rows: Sequence[tuple[str, int, Mapping[str, float]]], reference: str, split: str, measure: Measure, path: Path
) -> Path:
    """Draw a figure minus that of the first with its 95 % interval, a row each; an interval that holds 0 is grey.

    Args:
        rows: (name, number of its style, {value, low, high}), from top to bottom.
        reference: what they are compared with.
        split: whose rows they are over.
    """
    figure = new_figure(8.4, 1.6 + 0.48 * len(rows))
    axes = figure.add_subplot()
    plain(axes, f"{split} {measure.title} minus that of {drawable(reference)}")
    axes.axvline(0, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
    for place, (_, number, difference) in enumerate(rows):
        value, low, high = (measure.scale * difference[key] for key in ("value", "low", "high"))
        open_ended = low <= 0 <= high
        colour = GREY if open_ended else style(number)[0]
        axes.plot([low, high], [place, place], color=colour, linewidth=2.4)
        axes.plot(
            value,
            place,
            marker="o",
            markersize=8,
            color=colour,
            markerfacecolor="white" if open_ended else colour,
            markeredgewidth=1.8,
        )
    axes.set_yticks(range(len(rows)), [drawable(name) for name, _, _ in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.08)
    unit = "points" if measure.unit == "%" else measure.unit or measure.title
    better = "right" if measure.higher_is_better else "left"
    axes.set_xlabel(f"{unit}, with the 95 % interval of a paired bootstrap; grey where it holds 0; {better} is better")
    axes.grid(axis="x", color=LIGHT, linewidth=0.8)
    return save(figure, path)


def style(number: int) -> tuple[str, LineStyleType]:
    """Colour and dash of the pipeline with this number: as many as can be told apart."""
    return COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
