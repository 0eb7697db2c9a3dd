"""What a listener gets for a threshold: commands heard, and commands heard where none is said.

Three streams of dev recordings: commands, each in its clip; other words, one after another; noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from seqpipe.evaluation.figures import percent
from seqpipe.evaluation.pictures import BLUE, GREY, ORANGE, new_figure, plain, save, tick_percent
from seqpipe.evaluation.tables import Table
from seqpipe.serving.listening import Detector
from seqpipe.sound.recordings import RATE_HZ
from seqpipe.tasks.protocol import Report

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
GAP_S = 0.5  # of quiet after each clip

Probabilities = Callable[[np.ndarray], list[np.ndarray]]  # of a stream, one every piece


def trade_off(
    probabilities: Probabilities,
    labels: list[str],
    *,
    commands: Sequence[tuple[str, np.ndarray]],
    others: Sequence[np.ndarray],
    noise: Sequence[np.ndarray],
) -> dict[str, object]:
    """Commands heard and false accepts an hour, for each threshold.

    Args:
        probabilities: what the model answers to a stream, float32 [S] -> float [C] after each piece.
        labels: C names.
        commands: word and clip.
        others: clips of other words.
        noise: recordings in which nobody speaks.
    Returns:
        {"rows": [{threshold, heard, unknown_per_hour, noise_per_hour}], "commands", "unknown_s", "noise_s"}; hours are
        of the clips, without the quiet between them.
    """
    spoken = [probabilities(_spaced([clip])) for _, clip in commands]
    streams = {"unknown": _spaced(others), "noise": np.concatenate([np.zeros(0, np.float32), *noise])}
    seconds = {name: sum(map(len, clips)) / RATE_HZ for name, clips in (("unknown", others), ("noise", noise))}
    answers = {name: probabilities(stream) for name, stream in streams.items()}
    rows = []
    for threshold in THRESHOLDS:
        detector = Detector(threshold)
        heard = [
            any(found.label == word for found in detector.commands(answer, labels))
            for (word, _), answer in zip(commands, spoken, strict=True)
        ]
        false = {name: len(list(detector.commands(answer, labels))) for name, answer in answers.items()}
        per_hour = {f"{name}_per_hour": 3600 * false[name] / s if s else None for name, s in seconds.items()}
        rows.append({"threshold": threshold, "heard": float(np.mean(heard)), **per_hour})
    return {"rows": rows, "commands": len(commands), "unknown_s": seconds["unknown"], "noise_s": seconds["noise"]}


def _spaced(clips: Sequence[np.ndarray]) -> np.ndarray:
    gap = np.zeros(round(GAP_S * RATE_HZ), np.float32)
    return np.concatenate([gap, *(part for clip in clips for part in (clip, gap))]) if clips else gap[:0]


def to_markdown(found: Report) -> str:
    """The table of thresholds."""
    cells = []
    for row in found["rows"]:
        rates = [row["unknown_per_hour"], row["noise_per_hour"]]
        shown = ["–" if rate is None else f"{rate:,.0f}" for rate in rates]
        cells.append([f"{row['threshold']:g}", percent(row["heard"], 1), *shown])
    header = ["threshold", "commands heard", "false accepts per hour of other words", "per hour of noise"]
    return (
        f"`seqpipe listen` on streams of dev recordings: {found['commands']:,} clips of commands with quiet around, "
        f"{found['unknown_s']:,.0f} s of other words (the quiet between them does not count), "
        f"{found['noise_s']:,.0f} s of noise. So short streams tell a rate per hour roughly.\n\n"
        f"{Table(header, cells).markdown()}\n"
    )


def picture(found: Report, path: Path) -> Path:
    """Commands heard against false accepts an hour, a point a threshold."""
    figure = new_figure(7.2, 4.4)
    axes = figure.subplots()
    heard = [row["heard"] for row in found["rows"]]
    for key, colour, name in (("unknown_per_hour", ORANGE, "other words"), ("noise_per_hour", BLUE, "noise")):
        if found["rows"][0][key] is not None:
            axes.plot([row[key] for row in found["rows"]], heard, color=colour, marker="o", markersize=4.5, label=name)
    for row in found["rows"]:
        if row["unknown_per_hour"] is not None:
            place = (row["unknown_per_hour"], row["heard"])
            axes.annotate(f"{row['threshold']:g}", place, (4, -12), textcoords="offset points", color=GREY, fontsize=9)
    plain(axes, "Commands heard against false accepts, by threshold")
    axes.set_xlabel("false accepts per hour")
    axes.set_ylabel("commands heard")
    axes.set_xlim(left=0)
    axes.yaxis.set_major_formatter(tick_percent)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    return save(figure, path)
