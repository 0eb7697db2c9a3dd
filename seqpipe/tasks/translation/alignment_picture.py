"""A picture of where a translation looked: target pieces against source pieces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqpipe.evaluation.pictures import drawable, new_figure, save

INCHES_A_PIECE = 0.28


def alignment_picture(source: Sequence[str], target: Sequence[str], weights: np.ndarray, path: Path) -> Path:
    """Draw an alignment; the darker a cell, the more the target piece (row) looked at the source piece (column).

    Args:
        source, target: pieces.
        weights: float [target, source], 0..1.
    Returns:
        The path.
    """
    if weights.shape != (len(target), len(source)):
        raise ValueError(f"weights {weights.shape} must be [target, source] = [{len(target)}, {len(source)}].")
    figure = new_figure(2.2 + INCHES_A_PIECE * len(source), 1.8 + INCHES_A_PIECE * len(target))
    axes = figure.subplots()
    axes.imshow(weights, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    axes.set_xticks(range(len(source)), [_shown(piece) for piece in source], rotation=90)
    axes.set_yticks(range(len(target)), [_shown(piece) for piece in target])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    return save(figure, path)


def _shown(piece: str) -> str:
    """A piece with its word boundary visible; dollar signs would start a formula."""
    return drawable(piece.replace(" ", "_")).replace("$", r"\$")
