"""The pictures of a report, as PNG files: confusion matrix, reliability diagram, learning curves.

Colours are those of Okabe and Ito (2008) and one-hue scales, which colour-blind readers can tell apart. Figures are
drawn without pyplot, so nothing depends on a display or on state shared with the caller. A file is written beside its
place and renamed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from seqpipe.evaluation.figures import percent
from seqpipe.evaluation.measures import LOSS, Measure
from seqpipe.evaluation.metrics import Bins, calibration_bins, wilson_interval
from seqpipe.storage import whole_file
from seqpipe.training.position import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
BLUE, ORANGE = "#0072B2", "#D55E00"
INK, GREY, LIGHT = "#222222", "#6F6F6F", "#E4E4E4"
_MAX_NUMBERS = 20  # classes; more cells than 20 x 20 are too small for a number
_MAX_SHARES = 8  # classes; up to here a cell also holds its share
_MAX_NAMES = 60  # classes; more names than that touch each other
_MAX_CHARACTERS = 22  # of a name
_MAX_POINTS = 300  # of the loss of steps; more are averaged


def confusion_matrix(matrix: ArrayLike, classes: Sequence[str], path: str | Path, title: str) -> Path:
    """Draw how often each label (row) was predicted as each class (column).

    The colour is the share of the row, so that a rare class reads like a common one; the numbers are rows of data.

    Args:
        matrix: int [C, C].
        classes: C names; where the font lacks a character of any, indices stand in place of all.
        title: one line above the matrix.
    Returns:
        The path.
    """
    matrix = np.asarray(matrix, np.int64)
    count = len(classes)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    names = _tick_names(classes)
    longest = max(map(len, names))
    slanted = longest > 3 and count > 3
    side_inches = float(np.clip(0.55 * count, 3.0, 10.5))
    size = min(11.0, 0.4 * 72 * side_inches / count)
    names_inches = 0.1 * longest * size / 11
    figure = new_figure(side_inches + names_inches + 1.9, side_inches + (0.7 * names_inches if slanted else 0.1) + 1.0)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    plain(axes, drawable(title))
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    # Lines between the cells, drawn by minor ticks that show nothing else.
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=min(2.0, 30 / count))
    axes.tick_params(which="minor", length=0)
    if count <= _MAX_NAMES:
        slant: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
        axes.set_xticks(range(count), names, fontsize=size, parse_math=False, **slant)
        axes.set_yticks(range(count), names, fontsize=size, parse_math=False)
    if count <= _MAX_NUMBERS:
        _cell_numbers(axes, matrix, shares, size)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.03, ticks=[0, 0.25, 0.5, 0.75, 1], format=tick_percent)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=9, labelcolor=GREY)
    bar.set_label("share of the label's rows", color=GREY)
    return save(figure, path)


def _cell_numbers(axes: Axes, matrix: np.ndarray, shares: np.ndarray, size: float) -> None:
    for (row, column), cell in np.ndenumerate(matrix):
        share = shares[row, column]
        colour = "white" if share > 0.55 else INK if cell else "#A8A8A8"
        text = f"{cell:,}\n{percent(float(share), 1)}" if cell and len(matrix) <= _MAX_SHARES else f"{cell:,}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size - 2, linespacing=1.3)


def reliability_diagram(
    probabilities_before: ArrayLike, probabilities_after: ArrayLike | None, labels: ArrayLike, path: str | Path
) -> Path:
    """Draw accuracy over the probability of the top class, before and after temperature scaling.

    A calibrated model lies on the diagonal. Intervals are Wilson's, at 95 %; below stands where the rows are.

    Args:
        probabilities_before: float [N, C], softmax of the logits as the model gives them.
        probabilities_after: float [N, C], softmax of the logits over the temperature; None where there is none.
        labels: int [N].
    Returns:
        The path.
    """
    panels = [("as answered", BLUE, probabilities_before)]
    if probabilities_after is not None:
        panels = [
            ("before temperature scaling", ORANGE, probabilities_before),
            ("after temperature scaling", BLUE, probabilities_after),
        ]
    figure = new_figure(4.8 * len(panels), 6.0)
    grid = figure.add_gridspec(2, len(panels), height_ratios=[3.4, 1], hspace=0.04)
    first: tuple[Axes, Axes] | None = None
    for column, (name, colour, probabilities) in enumerate(panels):
        bins = calibration_bins(probabilities, labels)
        upper = figure.add_subplot(grid[0, column], sharey=first[0] if first else None)
        lower = figure.add_subplot(grid[1, column], sharex=upper, sharey=first[1] if first else None)
        first = first or (upper, lower)
        plain(upper, f"{name}\ncalibration error {percent(bins.calibration_error, 1)}")
        plain(lower)
        _reliability(upper, lower, bins, colour)
        # The top class of C never has less than 1 / C: start at the bin that holds it.
        start = bins.edges[max(0, np.searchsorted(bins.edges, 1 / np.shape(probabilities)[1]) - 1)]
        upper.set_xlim(start, 1.015)
    upper, lower = first or (upper, lower)
    upper.set_ylabel("right answers")
    lower.set_ylabel("rows")
    handles, names = upper.get_legend_handles_labels()
    columns = 2 * len(panels)
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK)
    return save(figure, path)


def _reliability(upper: Axes, lower: Axes, bins: Bins, colour: str) -> None:
    """One panel of the reliability diagram: accuracy above, rows below."""
    filled = bins.count > 0
    confidence, right, count = bins.confidence[filled], bins.accuracy[filled], bins.count[filled]
    intervals = np.array([wilson_interval(round(a * n), int(n)) for a, n in zip(right, count, strict=True)])
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), label="calibrated")
    upper.vlines(confidence, right, confidence, color=colour, alpha=0.25, linewidth=7, label="gap")
    upper.errorbar(
        confidence,
        right,
        yerr=np.abs(intervals.T - right),
        color=colour,
        linestyle="none",
        elinewidth=1.2,
        capsize=2.5,
        label="95 % interval",
    )
    # Not joined by a line: it would give a bin of two rows the weight of one with a thousand.
    sizes = 22 + 150 * count / count.sum()
    upper.scatter(confidence, right, s=sizes, color=colour, zorder=3, clip_on=False, label="model, larger: more rows")
    middles = (bins.edges[:-1] + bins.edges[1:]) / 2
    lower.bar(middles, bins.count / bins.count.sum(), width=0.9 / len(middles), color=colour, alpha=0.8)
    upper.set_ylim(-0.02, 1.02)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel("probability of the top class")
    for axes in (upper, lower):
        axes.yaxis.set_major_formatter(tick_percent)
        axes.xaxis.set_major_formatter(tick_percent)
        axes.grid(color=LIGHT, linewidth=0.8)


def learning_curves(history: Sequence[Epoch], path: str | Path, measures: Sequence[Measure]) -> Path:
    """Draw the loss, and a measure of dev, over the epochs, with a ring around the epoch that was kept.

    Args:
        history: the lines of history.jsonl. A row with a step is a training step: epoch, step (both from 0), loss.
            A row without is a finished epoch: epoch, loss and, where there are dev rows, dev_loss, a measure behind
            `dev_`, and best_epoch, the one that was kept so far.
        measures: the first that the epochs hold, beside the loss, is drawn beside it.
    Returns:
        The path.
    Raises:
        ValueError: no epoch is finished.
    """
    epochs = [row for row in history if "step" not in row]
    if not epochs:
        raise ValueError("the history holds no finished epoch: there is nothing to draw.")
    beside = [measure for measure in measures if measure != LOSS and f"dev_{measure.name}" in epochs[-1]][:1]
    figure = new_figure(5.4 + 4.2 * len(beside), 4.2)
    left, *others = figure.subplots(1, 1 + len(beside), squeeze=False)[0]
    steps = [row for row in history if "step" in row]
    _curve_of_steps(left, steps)
    _curve(left, epochs, "loss", GREY, "training, mean of the epoch")
    losses = _curve(left, epochs, "dev_loss", ORANGE, "dev")
    _finish_curve(left, losses, epochs, "loss", lambda value: f"{value:.3f} on dev", ORANGE)
    left.legend(fontsize=10, frameon=False, labelcolor=INK)
    for right, measure in zip(others, beside, strict=True):
        points = _curve(right, epochs, f"dev_{measure.name}", BLUE, "dev")
        _finish_curve(right, points, epochs, f"dev {measure.title}", measure.shown, BLUE)
        right.yaxis.set_major_formatter(tick_format(measure))
    for axes in figure.axes:
        axes.set_xlim(-0.1 if steps else 0.6, len(epochs) + 0.4)
    return save(figure, path)


def _curve_of_steps(axes: Axes, rows: Sequence[Epoch]) -> None:
    """The loss of training steps, averaged where they are too many to draw."""
    if not rows:
        return
    epoch, step, loss = np.array([(row["epoch"], row["step"], row["loss"]) for row in rows], np.float64).T
    moments = epoch + (step + 1) / (step.max() + 1)
    parts = [np.array_split(column, min(_MAX_POINTS, len(rows))) for column in (moments, loss)]
    means = ([part.mean() for part in column] for column in parts)
    axes.plot(*means, color="#C4C4C4", linewidth=1, label="training, by step")


def _finish_curve(
    axes: Axes,
    points: Mapping[int, float],
    epochs: Sequence[Epoch],
    name: str,
    shown: Callable[[float], str],
    colour: str,
) -> None:
    """Title and grid, and a ring around the epoch that was kept."""
    kept = epochs[-1].get("best_epoch")
    title = name
    if kept is not None and kept + 1 in points:
        value = points[kept + 1]
        ring: dict[str, Any] = {"markersize": 12, "markerfacecolor": "none", "markeredgewidth": 1.6}
        axes.plot(kept + 1, value, marker="o", color=colour, **ring)
        title = f"{name}: {shown(value)} in epoch {kept + 1}, kept"
    plain(axes, title)
    axes.set_xlabel("epoch")
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.margins(y=0.12)
    axes.grid(color=LIGHT, linewidth=0.8)


def _curve(axes: Axes, epochs: Sequence[Epoch], key: str, colour: str, label: str) -> dict[int, float]:
    """Draw one figure of the finished epochs; what was drawn, by the epoch counted from 1."""
    points = {row["epoch"] + 1: row[key] for row in epochs if row.get(key) is not None and math.isfinite(row[key])}
    if points:
        axes.plot(
            list(points), list(points.values()), color=colour, marker="o", markersize=4.5, linewidth=1.8, label=label
        )
    return points


def new_figure(width_inches: float, height_inches: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Axes, title: str = "") -> None:
    """No frame, grey ticks, a title at the left, labels of a readable size."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=10, parse_math=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=10, labelcolor=INK)
    axes.xaxis.label.set(fontsize=11, color=GREY)
    axes.yaxis.label.set(fontsize=11, color=GREY)
    axes.set_axisbelow(True)


def tick_percent(value: float, _position: float) -> str:
    return f"{value * 100:.4g} %"


def tick_format(measure: Measure) -> Callable[[float, float], str]:
    """How an axis of a measure's values names its ticks."""
    return lambda value, _position: f"{measure.scale * value:.4g} {measure.unit}".rstrip()


def _tick_names(classes: Sequence[str]) -> list[str]:
    """Class names on one short line each, or indices where the font cannot draw one of them."""
    names = [" ".join(name.split()) for name in classes]
    if any(drawable(name) != name for name in names):
        return [str(index) for index in range(len(classes))]
    return [name if len(name) <= _MAX_CHARACTERS else f"{name[: _MAX_CHARACTERS - 1]}…" for name in names]


def drawable(text: str) -> str:
    """The text with ? for what the font that comes with matplotlib lacks (it would warn and draw boxes)."""
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    font = FT2Font(findfont("DejaVu Sans"))
    return "".join(character if font.get_char_index(ord(character)) else "?" for character in text)


def save(figure: Figure, path: str | Path) -> Path:
    path = Path(path)
    with whole_file(path) as file:
        # Without the software's version in it, equal pictures are equal files.
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return path
