"""English quatrains that rhyme in pairs, generated from a seed: a text that a small model learns in minutes.

A task with a point: the last word of a line is decided a line earlier, by the word it rhymes with.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

RHYMES = (
    ("day", "way", "bay", "hay", "grey"),
    ("night", "light", "sight", "bright", "white"),
    ("sea", "tree", "bee", "free", "key"),
    ("moon", "June", "tune", "noon", "spoon"),
    ("rain", "lane", "train", "grain", "plain"),
    ("stone", "bone", "alone", "throne", "own"),
    ("snow", "below", "crow", "slow", "glow"),
    ("door", "shore", "floor", "more", "roar"),
)
WHO = ("The fox", "My friend", "A sailor", "The old king", "A child", "The miller", "Her cat", "The wind")
DOES = ("went", "ran", "looked", "sang", "came", "waited", "walked", "slept")
WHERE = ("by the", "to the", "under the", "near the", "for the", "past the", "without a", "with a")
THEN = ("and", "but", "while", "until", "so", "and still")
SAYS = ("all the world was", "nobody was", "the hills were", "her eyes were", "the water was", "the birds were")


def verses(split: str, rows: int, seed: int) -> Iterator[dict[str, str]]:
    """Records with `text`, a quatrain each, no two alike; no quatrain stands in two splits, whatever the seeds."""
    random = Random(seed)
    texts: set[str] = set()
    while len(texts) < rows:
        text = _quatrain(random)
        if text not in texts and _split_of(text) == split:
            texts.add(text)
            yield {"text": text}


def _quatrain(random: Random) -> str:
    sounds = list(RHYMES)
    first = sounds.pop(int(random.random() * len(sounds)))
    return "\n".join(_couplet(random, rhyme) for rhyme in (first, _pick(random, sounds)))


def _couplet(random: Random, rhyme: Sequence[str]) -> str:
    words = list(rhyme)
    one = words.pop(int(random.random() * len(words)))
    other = _pick(random, words)
    who, does, where = _pick(random, WHO), _pick(random, DOES), _pick(random, WHERE)
    return f"{who} {does} {where} {one},\n{_pick(random, THEN)} {_pick(random, SAYS)} {other}."


def _pick(random: Random, choices: Sequence[T]) -> T:
    """By random() alone, which stays the same between versions of Python."""
    return choices[int(random.random() * len(choices))]


def _split_of(text: str) -> str:
    return ("dev", "test", "train", "train", "train", "train")[zlib.crc32(text.encode()) % 6]
