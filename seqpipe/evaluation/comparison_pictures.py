"""The pictures of a comparison: learning curves over each other, and differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqpipe.evaluation.pictures import GREY, INK, LIGHT, drawable, new_figure, percent, plain, save

# Okabe and Ito (2008), less the yellow that white swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#222222")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))


def learning_curves(
    curves: Sequence[tuple[str, Sequence[Sequence[Mapping[str, Any]]]]], monitor: str, path: Path
) -> Path:
    """Draw a dev figure by epoch for each pipeline: a line a run, a ring around the epoch that was kept.

    Args:
        curves: (name, the epochs of each of its runs); seeds of one pipeline share a colour, and with several the
            lines are thin and their mean, over the epochs that all have, is thick.
        monitor: "accuracy", "bleu" or "loss"; the epochs hold it as dev_accuracy and so on.
    """
    figure = new_figure(9.6, 4.8)
    axes = figure.add_subplot()
    plain(axes, f"dev {monitor} by epoch; a ring marks the epoch that was kept")
    key = f"dev_{monitor}"
    longest = 1
    for number, (name, runs) in enumerate(curves):
        colour, dash = style(number)
        several = len(runs) > 1
        for epochs in runs:
            longest = max(longest, len(epochs))
            axes.plot(
                range(1, len(epochs) + 1),
                [row[key] for row in epochs],
                color=colour,
                linestyle=dash,
                linewidth=0.9 if several else 2.0,
                alpha=0.55 if several else 1.0,
                label=None if several else drawable(name),
            )
            kept = epochs[-1]["best_epoch"]
            axes.plot(
                kept + 1,
                epochs[kept][key],
                marker="o",
                markersize=6 if several else 10,
                markerfacecolor="none",
                markeredgewidth=1.1 if several else 1.6,
                color=colour,
            )
        if several:
            common = min(len(epochs) for epochs in runs)
            means = [sum(epochs[i][key] for epochs in runs) / len(runs) for i in range(common)]
            label = f"{drawable(name)}, mean of {len(runs)} seeds"
            axes.plot(range(1, common + 1), means, color=colour, linestyle=dash, linewidth=2.6, label=label)
    axes.set_xlabel("epoch")
    axes.set_xlim(0.7, longest + 0.3)
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.margins(y=0.1)
    axes.grid(color=LIGHT, linewidth=0.8)
    if monitor == "accuracy":
        axes.yaxis.set_major_formatter(percent)
    figure.legend(loc="outside lower left", ncols=min(3, len(curves)), frameon=False, fontsize=10, labelcolor=INK)
    return save(figure, path)


def differences(
    rows: Sequence[tuple[str, int, Mapping[str, float]]],
    reference: str,
    figure_name: str,
    path: Path,
    *,
    scale: float = 100.0,
) -> Path:
    """Draw a figure minus that of the first with its 95 % interval, a row each; an interval that holds 0 is grey.

    Args:
        rows: (name, number of its style, {value, low, high}), from top to bottom.
        reference: what they are compared with.
        figure_name: such as "dev accuracy".
        scale: what values are multiplied by to be shown.
    """
    figure = new_figure(8.4, 1.6 + 0.48 * len(rows))
    axes = figure.add_subplot()
    plain(axes, f"{figure_name} minus that of {drawable(reference)}")
    axes.axvline(0, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
    for place, (_, number, difference) in enumerate(rows):
        open_ended = difference["low"] <= 0 <= difference["high"]
        colour = GREY if open_ended else style(number)[0]
        axes.plot([scale * difference["low"], scale * difference["high"]], [place, place], color=colour, linewidth=2.4)
        axes.plot(
            scale * difference["value"],
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
    axes.set_xlabel("points, with the 95 % interval of a paired bootstrap; grey where it holds 0")
    axes.grid(axis="x", color=LIGHT, linewidth=0.8)
    return save(figure, path)


def style(number: int) -> tuple[str, Any]:
    """Colour and dash of the pipeline with this number: as many as can be told apart."""
    return COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
