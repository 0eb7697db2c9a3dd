"""English quatrains that rhyme in pairs, generated from a seed: a text that a small model learns in minutes.

A task with a point: the last word of a line is decided a line earlier, by the word it rhymes with.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from seqpipe.data.drawing import pick

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


def quatrain(random: Random) -> dict[str, str]:
    """A `text` of four lines, of two different rhymes."""
    first = pick(random, RHYMES)
    second = pick(random, [rhyme for rhyme in RHYMES if rhyme != first])
    return {"text": f"{_couplet(random, first)}\n{_couplet(random, second)}"}


def _couplet(random: Random, rhyme: Sequence[str]) -> str:
    one = pick(random, rhyme)
    other = pick(random, [word for word in rhyme if word != one])
    who, does, where = pick(random, WHO), pick(random, DOES), pick(random, WHERE)
    return f"{who} {does} {where} {one},\n{pick(random, THEN)} {pick(random, SAYS)} {other}."
