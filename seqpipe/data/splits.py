"""Train, dev and test, and which rows of a source are in which: a function of the rows alone."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from seqpipe.data.findings import Finding
from seqpipe.errors import DataError, not_allowed

T = TypeVar("T")


@dataclass(frozen=True)
class Splits(Generic[T]):
    """The rows of each split, and what was noticed about them."""

    train: T
    dev: T
    test: T | None
    findings: list[Finding]

    def get(self, name: str) -> T:
        """The split called train, dev or test.

        Raises:
            DataError: the pipeline has no such split.
        """
        splits = {"train": self.train, "dev": self.dev} | ({"test": self.test} if self.test is not None else {})
        if name not in splits:
            raise DataError(not_allowed(name, "split of this pipeline", splits))
        return splits[name]


def dev_rows(labels: np.ndarray, every: int) -> np.ndarray:
    """Which rows of a training source are kept for dev, bool [rows]: about one of `every`, and of each class its share.

    Every `every`-th row, the first one included, where that gives each class about its share; else every `every`-th
    row of each class. Of a class with two rows or more dev has at least one, and train always has one.

    Args:
        labels: int [rows]; all the same where there are no classes.
    """
    in_turn = np.arange(len(labels)) % every == 0
    _, labels, rows = np.unique(labels, return_inverse=True, return_counts=True)
    fair = np.maximum(rows / every, 1)
    there = np.bincount(labels[in_turn], minlength=len(rows))
    kept = np.where(rows == 1, there == 0, (there >= fair / 2) & (there <= 2 * fair) & (there < rows))
    if kept.all():
        return in_turn
    chosen = np.zeros(len(labels), bool)
    for label in np.flatnonzero(rows > 1):
        chosen[np.flatnonzero(labels == label)[::every]] = True
    return chosen


def part_of(groups: Sequence[Hashable], most: int) -> np.ndarray:
    """At most so many rows, spread evenly over the data and over its groups; each group has one if that can be.

    Args:
        groups: the group of each row, such as its label.
    Returns:
        Row numbers, ascending.
    """
    if len(groups) <= most:
        return np.arange(len(groups))
    number: dict[Hashable, int] = {}
    index = np.array([number.setdefault(group, len(number)) for group in groups])
    by_group = np.argsort(index, kind="stable")
    firsts = np.unique(index, return_index=True)[1]
    if len(firsts) >= most:
        return np.sort(firsts[:most])
    others = by_group[~np.isin(by_group, firsts)]
    left = most - len(firsts)
    return np.sort(np.concatenate([firsts, others[np.arange(left) * len(others) // left]]))
