"""How generated data sets draw: the same records from the same seed, on every machine."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def pick(random: Random, choices: Sequence[T]) -> T:
    """By random() alone: what random.choice draws is not promised to stay the same between versions of Python."""
    return choices[int(random.random() * len(choices))]


def records(make: Callable[[Random], dict[str, str]], split: str, rows: int, seed: int) -> Iterator[dict[str, str]]:
    """So many records of a split, no two of the same text; splits share none, whatever their seeds and sizes.

    Args:
        make: draws a record; its first value is its text, which itself says its split.
    """
    random, texts = Random(seed), set[str]()
    while len(texts) < rows:
        record = make(random)
        text = next(iter(record.values()))
        own = ("dev", "test", "train", "train", "train", "train")[zlib.crc32(text.encode()) % 6]
        if text not in texts and own == split:
            texts.add(text)
            yield record
