"""A picture of where a recogniser of commands listened: spectrograms with the weight of each moment below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.evaluation.pictures import BLUE, GREY, LIGHT, ORANGE, drawable, new_figure, plain, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLIPS_A_ROW = 4
FREQUENCIES_HZ = (500, 1000, 2000, 4000)  # named at the side of a spectrogram


@dataclass(frozen=True)
class Heard:
    """A clip and what the model made of it.

    spectrogram: decibels, float [T, F].
    weights: what each frame counts for in the answer, float [T]; 1 on average.
    said: the label, and the word where that is another.
    taken_for: the model's answer.
    probability: of that answer.
    right: whether it is the label.
    """

    spectrogram: np.ndarray
    weights: np.ndarray
    said: str
    taken_for: str
    probability: float
    right: bool


def attention_picture(
    rows: Sequence[tuple[str, Sequence[Heard]]], path: Path, *, hop_ms: float, centres_hz: np.ndarray
) -> Path:
    """Draw clips in rows, each row with a heading; of a clip the spectrogram and, below it, the weights of its frames.

    Args:
        rows: heading and clips, up to CLIPS_A_ROW of them; a row without clips is left out.
        hop_ms: from one frame to the next.
        centres_hz: of the mel bands, ascending, float [F].
    Returns:
        The path.
    """
    rows = [(heading, clips) for heading, clips in rows if clips]
    figure = new_figure(3.0 * CLIPS_A_ROW, 3.4 * len(rows))
    everything = [clip for _, clips in rows for clip in clips]
    lowest_db = min(clip.spectrogram.min() for clip in everything)
    highest_db = max(clip.spectrogram.max() for clip in everything)
    highest = max(clip.weights.max() for clip in everything)
    for part, (heading, clips) in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
        part.suptitle(heading, x=0.01, ha="left", fontsize=12, color=GREY)
        grid = part.subplots(2, CLIPS_A_ROW, height_ratios=[2.2, 1], sharex="col", squeeze=False)
        for column in range(CLIPS_A_ROW):
            upper, lower = grid[:, column]
            if column >= len(clips):
                upper.set_axis_off()
                lower.set_axis_off()
                continue
            clip = clips[column]
            seconds = len(clip.spectrogram) * hop_ms / 1000
            title = f"{clip.said} \N{RIGHTWARDS ARROW} {clip.taken_for}  {100 * clip.probability:.0f} %"
            plain(upper, drawable(title))
            plain(lower)
            _spectrogram(upper, clip.spectrogram, seconds, centres_hz, (lowest_db, highest_db))
            _weights(lower, clip, seconds, highest)
            if column:
                upper.set_yticklabels([])
                lower.set_yticklabels([])
            else:
                upper.set_ylabel("mel bands, kHz")
                lower.set_ylabel("attention")
    return save(figure, path)


def _spectrogram(
    axes: Axes, decibels: np.ndarray, seconds: float, centres_hz: np.ndarray, limits_db: tuple[float, float]
) -> None:
    bands = decibels.shape[1]
    axes.imshow(
        decibels.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=limits_db[0],
        vmax=limits_db[1],
        extent=(0, seconds, -0.5, bands - 0.5),
        interpolation="nearest",
    )
    named = [hz for hz in FREQUENCIES_HZ if centres_hz[0] <= hz <= centres_hz[-1]]
    axes.set_yticks(np.interp(named, centres_hz, np.arange(bands)), [f"{hz / 1000:g}" for hz in named])


def _weights(axes: Axes, clip: Heard, seconds: float, highest: float) -> None:
    edges = np.linspace(0, seconds, len(clip.weights) + 1)
    colour = BLUE if clip.right else ORANGE
    axes.stairs(clip.weights, edges, fill=True, color=colour, alpha=0.25)
    axes.stairs(clip.weights, edges, color=colour, linewidth=1.6, baseline=None)
    axes.axhline(1, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_ylim(0, 1.08 * highest)
    axes.set_yticks([1], ["even"])
    axes.set_xlim(0, seconds)
    axes.set_xlabel("seconds")
    axes.grid(axis="x", color=LIGHT, linewidth=0.8)
