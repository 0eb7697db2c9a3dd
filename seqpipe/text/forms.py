"""The form of a poem: how many lines, how long, what closes them, which rhyme; and what a network is told of it.

Axes: T characters of a text and its end, G rhyme groups, V vocabulary.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqpipe.errors import DataError
from seqpipe.storage import write_json
from seqpipe.text.characters import UNKNOWN
from seqpipe.text.rhymes import learn_groups
from seqpipe.text.units import Units

FILE = "form.json"


class Plan(NamedTuple):
    """Of each character of a text and of its end, int32 [T]: its line and its place there, from 0; the code of both;
    0 where no rhyme is to come, 1 where one is, 2 where it is now; the line that opens next, or now."""

    line: np.ndarray
    at: np.ndarray
    code: np.ndarray
    rhyme: np.ndarray
    opening: np.ndarray


@dataclass(frozen=True)
class Form:
    """A form with what was learned about it.

    lines: of a poem. lengths: characters that all of its lines may have. marks: what closes each line.
    rhyme_lines: numbers of the lines that rhyme with each other, counted from 1.
    groups: characters that rhyme, a string a group. weights: poems of train that rhyme in each group.
    content: what may stand in lines, the most frequent first.
    """

    lines: int
    lengths: Sequence[int]
    marks: str
    rhyme_lines: Sequence[int]
    groups: Sequence[str]
    weights: Sequence[int]
    content: str

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        characters: Units,
        *,
        lines: int,
        lengths: Sequence[int],
        marks: str,
        rhyme_lines: Sequence[int],
        groups: Sequence[str] | None,
    ) -> Form:
        """
        Args:
            groups: characters that rhyme; None learns them from the texts.
        Raises:
            DataError: no text has the form, or nothing rhymes.
        """
        bare = cls(lines, tuple(lengths), marks, tuple(rhyme_lines), (), (), "")
        poems = [poem for poem in map(bare.split, texts) if poem]
        if not poems:
            raise DataError(
                f"No text of train has the form: {lines} lines of {' or '.join(map(str, lengths))} characters, closed "
                f"by {' '.join(marks)}. Correct form, or leave it out."
            )
        counts = Counter(character for poem in poems for line in poem for character in line)
        content = [character for character in characters.known if counts[character] and character not in marks]
        closings = [bare.closings(poem) for poem in poems]
        if rhyme_lines and groups is None:
            groups = learn_groups(closings)
        allowed = set(content)
        kept = ["".join(c for c in group if c in allowed) for group in groups or () if rhyme_lines]
        kept = [group for group in kept if len(group) >= len(rhyme_lines)]
        if rhyme_lines and not kept:
            raise DataError(
                f"No {len(rhyme_lines)} characters that close lines {', '.join(map(str, rhyme_lines))} of train are "
                "known to rhyme. Name the lines that rhyme in form.rhyme_lines, a file of groups in form.rhyme, or "
                "leave form.rhyme_lines out."
            )
        weights = [sum(all(c in group for c in closing) for closing in closings) for group in kept]
        return cls(lines, tuple(lengths), marks, tuple(rhyme_lines), tuple(kept), tuple(weights), "".join(content))

    @property
    def longest(self) -> int:
        return max(self.lengths)

    @property
    def places(self) -> int:
        """Codes of places: not told, each character and mark of each line, the end."""
        return 2 + self.lines * (self.longest + 1)

    @property
    def rhymes(self) -> int:
        """Codes of what a network is told of rhyme: not told, each group to come, each group now."""
        return 1 + 2 * len(self.groups)

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        inside = "[^" + re.escape(self.marks) + "\n]"
        return [
            re.compile("".join(f"({inside}{{{length}}}){re.escape(mark)}" for mark in self.marks))
            for length in self.lengths
        ]

    def split(self, text: str) -> list[str] | None:
        """The lines of a text without their marks; None where it has not the form."""
        for pattern in self._patterns:
            if found := pattern.fullmatch(text):
                return list(found.groups())
        return None

    def closings(self, poem: Sequence[str]) -> list[str]:
        """The characters that close its rhyming lines."""
        return [poem[line - 1][-1] for line in self.rhyme_lines]

    def plan(self, length: int) -> Plan:
        """What stands where in a text whose lines have so many characters."""
        number = np.arange(self.lines * (length + 1) + 1)
        line, at = number // (length + 1), number % (length + 1)
        code = 1 + line * (self.longest + 1) + length - at
        code[-1] = self.places - 1
        last = max(self.rhyme_lines, default=0) - 1
        coming = (line < last) | ((line == last) & (at < length))
        now = np.isin(line + 1, self.rhyme_lines) & (at == length - 1)
        return Plan(*(part.astype(np.int32) for part in (line, at, code, 1 * coming + now, line + (at > 0))))

    def group(self, characters: Sequence[str]) -> int | None:
        """The number of a group in which all characters are."""
        numbers = [n for n, group in enumerate(self.groups) if all(c in group for c in characters)]
        return max(numbers, key=lambda n: self.weights[n], default=None) if characters else None

    def told(self, text: str, characters: Units) -> np.ndarray:
        """int32 [T, 3]: place, rhyme and opening of each character of a text and of its end, as `compose` tells them.

        Rhyme is the group that a line still to come must close in, and another code where that is now. Opening is the
        id of the next character that opens a line, this one included. 0 is not told; so is all of a text of no form.
        """
        codes = np.zeros((len(text) + 1, 3), np.int32)
        poem = self.split(text)
        if poem is None:
            return codes
        plan = self.plan(len(poem[0]))
        codes[:, 0] = plan.code
        group = self.group(self.closings(poem))
        if group is not None:
            codes[:, 1] = np.where(plan.rhyme > 0, 1 + group + len(self.groups) * (plan.rhyme > 1), 0)
        openings = characters.encode("".join(line[0] for line in poem))
        codes[:, 2] = np.append(np.where(openings == UNKNOWN, 0, openings), 0)[plan.opening]
        return codes

    def kept(self, text: str) -> np.ndarray:
        """int32 [T], what is to be kept in mind at the edge before a text and at each of its characters: 1 + the group
        of what closed the last rhyming line so far; before there is one, of what closed the last line of any kind. 0
        where that is in no group, after the last rhyming line, and all along a text of no form."""
        codes = np.zeros(len(text) + 1, np.int32)
        poem = self.split(text)
        if poem is None:
            return codes
        after, rhymed = 0, False
        for number, line in enumerate(poem, start=1):
            after += len(line) + 1
            rhymes = number in self.rhyme_lines
            if rhymes or not rhymed:
                group = self.group(line[-1])
                codes[after:] = 0 if group is None or number >= max(self.rhyme_lines, default=0) else 1 + group
            rhymed = rhymed or rhymes
        return codes

    def members(self, characters: Units) -> np.ndarray:
        """bool [G, V]."""
        found = np.zeros((len(self.groups), characters.size), bool)
        for number, group in enumerate(self.groups):
            found[number, characters.encode(group)] = True
        return found

    def save(self, directory: Path) -> None:
        write_json(directory / FILE, asdict(self))

    @classmethod
    def load(cls, directory: Path) -> Form:
        values: dict[str, Any] = json.loads((directory / FILE).read_text(encoding="utf-8"))
        for name in ("lengths", "rhyme_lines", "groups", "weights"):
            values[name] = tuple(values[name])
        return cls(**values)
