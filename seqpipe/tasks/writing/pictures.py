"""The pictures of a report on a writer: loss by what was read before, and how surprising each place of a passage is.

Axes: N characters.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from seqpipe.evaluation.pictures import BLUE, LIGHT, ORANGE, drawable, new_figure, plain, save

LINE = 60  # characters of a passage side by side
LINES = 4
SURPRISING = 8.0  # bits from which a place is drawn in another colour


def loss_by_place(nats: np.ndarray, file: Path) -> None:
    """Of windows that begin with nothing, float [N], the mean nats of each place."""
    figure = new_figure(7, 4)
    axes = figure.subplots()
    axes.plot(np.arange(1, len(nats) + 1), nats, linewidth=1, color=BLUE)
    plain(axes, "Nats a character by what was read before")
    axes.set(xscale="log", xlabel="characters read since the window began")
    axes.grid(color=LIGHT, linewidth=0.8)
    save(figure, file)


def passage(text: str, nats: np.ndarray, file: Path) -> None:
    """Bits of each character of a text, float [N] nats, as bars above it; as much of it as LINES hold."""
    bits = nats[: LINE * LINES] / math.log(2)
    lines = max(1, math.ceil(len(bits) / LINE))
    shown = drawable(text[: len(bits)].replace("\n", "¶"))
    figure = new_figure(11, 0.5 + 1.3 * lines)
    for number, axes in enumerate(np.atleast_1d(figure.subplots(lines))):
        part = bits[number * LINE : (number + 1) * LINE]
        axes.bar(np.arange(len(part)), part, color=[ORANGE if bit >= SURPRISING else BLUE for bit in part])
        plain(axes, "Bits a character" if number == 0 else "")
        axes.set_xticks(range(len(part)), list(shown[number * LINE :][: len(part)]), parse_math=False)
        axes.set(xlim=(-1, LINE), ylim=(0, max(10.0, float(bits.max(initial=0)))))
    save(figure, file)
