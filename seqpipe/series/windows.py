"""Windows of series, split by time: no value of a split is seen by an earlier one.

Each series ends with its test steps, before them validation. A window is known by its origin, the place of its last
past value; its targets are the horizon behind it, which lies in one split as a whole. Series stand one after another in
flat arrays, with L missing steps before and H behind each, so that a window never reaches into another series.

Axes: S series, N windows, L look-back, H horizon.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqpipe.series.table import Series

EVALUATED = 4000  # windows of a split that are looked at, where every_steps is auto
TENTH = 0.1


@dataclass(frozen=True)
class Cut:
    """Where a series is cut: [0, train) to learn, [train, dev) to choose, [dev, end) to test."""

    train: int
    dev: int
    end: int


def cut_series(ends: Sequence[int], *, horizon: int, validation: int | str, test: int | str) -> list[Cut]:
    """Cut series of so many steps; of a series too short for a window of a split, an earlier split has all.

    Args:
        ends: steps of each series.
        validation, test: horizons held back; auto: a tenth of the median series, at least one.
    """
    median = float(np.median(ends)) if len(ends) else 0.0
    auto = max(1, round(TENTH * median / horizon))
    wanted = [auto if given == "auto" else int(given) for given in (validation, test)]
    cuts = []
    for end in ends:
        test_windows = min(wanted[1], max(1 if end >= 3 * horizon + 2 else 0, end // (5 * horizon)))
        dev = end - horizon * test_windows
        dev_windows = min(wanted[0], max(1 if dev >= 2 * horizon + 1 else 0, dev // (4 * horizon)))
        cuts.append(Cut(dev - horizon * dev_windows, dev, end))
    return cuts


def training_origins(end: int, *, look_back: int, horizon: int) -> np.ndarray:
    """Places whose horizon ends before `end`; with a full look-back, or half of what a short series has."""
    last = end - horizon - 1
    first = min(look_back, max(1, (end - horizon) // 2)) - 1
    return np.arange(first, last + 1)


def held_back_origins(start: int, end: int, *, horizon: int) -> np.ndarray:
    """Places whose horizon lies in [start, end)."""
    return np.arange(start - 1, end - horizon)


def stride(total: int, most: int, seasons: Sequence[int]) -> int:
    """Steps between windows so that about `most` of `total` are left, and every phase of a season comes up."""
    every = max(1, total // most)
    while any(season > 1 and math.gcd(every, season) > 1 for season in seasons) and every > 1:
        every += 1
    return every


@dataclass(frozen=True)
class Store:
    """All series in flat arrays.

    values float32 [total], NaN where missing; known float32 [total, K]; past float32 [total, P]; clock int64 [total].
    offsets: int64 [S], where the first step of each series stands.
    """

    values: np.ndarray
    known: np.ndarray
    past: np.ndarray
    clock: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, series: Sequence[Series], *, look_back: int, horizon: int) -> Store:
        def flat(columns: list[np.ndarray], fill: float, kind: type) -> np.ndarray:
            rest = columns[0].shape[1:]
            before, behind = np.full((look_back, *rest), fill, kind), np.full((horizon, *rest), fill, kind)
            return np.concatenate([part.astype(kind) for column in columns for part in (before, column, behind)])

        lengths = np.array([len(one) for one in series], np.int64) + look_back + horizon
        offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]]) + look_back
        with np.errstate(over="ignore"):
            return cls(
                flat([one.values for one in series], np.nan, np.float32),
                flat([one.known for one in series], np.nan, np.float32),
                flat([one.past for one in series], np.nan, np.float32),
                flat([one.clock for one in series], 0, np.int64),
                offsets,
            )

    def targets(self, places: np.ndarray, horizon: int) -> np.ndarray:
        """float32 [N, H], what came behind each place."""
        return self.values[places[:, None] + np.arange(1, horizon + 1)]
