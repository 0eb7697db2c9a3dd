"""Poems of Latin letters for tests: four lines of three or four, the second and the fourth rhyme."""

from __future__ import annotations

from random import Random

from seqpipe.text.characters import Characters
from seqpipe.text.forms import Form

RHYMES = ("abcdefghi", "jklmnopqr", "ABCDEFGHI")
REST = "stuvwxyzSTUVWXYZ"
MARKS = ",.,."
WANTED = {"lines": 4, "lengths": [3, 4], "marks": MARKS, "rhyme_lines": [2, 4]}


def poems(rows: int, *, seed: int) -> list[str]:
    random = Random(seed)
    found = []
    for _ in range(rows):
        length, ends = random.choice([3, 4]), random.sample(random.choice(RHYMES), 2)
        lines = ["".join(random.choices(REST, k=length)) for _ in range(4)]
        lines[1], lines[3] = lines[1][:-1] + ends[0], lines[3][:-1] + ends[1]
        found.append("".join(line + mark for line, mark in zip(lines, MARKS, strict=True)))
    return found


CHARACTERS = Characters.fit([*RHYMES, REST, MARKS, "\n?"], min_count=1)
FORM = Form.fit(poems(400, seed=1), CHARACTERS, groups=RHYMES, **WANTED)
