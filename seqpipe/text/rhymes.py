"""Which characters rhyme: groups learned from what closes the lines of poems, or read from a file.

Axes: none; groups are strings of characters.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from seqpipe.errors import DataError

ROUNDS = 30
FEWEST = 8  # characters of a learned group
LINKS = 4  # pairs within its group that a character stands in, or it has none
LINKS_FRACTION = 0.8  # of all its pairs that are pairs within its group

Links = Mapping[str, Counter[str]]


def learn_groups(closings: Iterable[Sequence[str]], *, fewest: int = FEWEST, links: int = LINKS) -> list[str]:
    """Groups of characters that rhyme, the largest first.

    Characters that close rhyming lines of one poem are linked; each takes the label that most of its links have, again
    and again. A character stays in a group only where most of its links do.

    Args:
        closings: of each poem, the characters that close its rhyming lines.
        fewest: characters of a group.
        links: that a character has in its group.
    Source: Raghavan et al. 2007, Near linear time algorithm to detect community structures (label propagation).
    """
    linked = _links(closings)
    degree = {character: sum(others.values()) for character, others in linked.items()}
    order = sorted(linked, key=lambda character: (-degree[character], character))
    label = {character: character for character in linked}
    for _ in range(ROUNDS):
        if not sum(_relabel(character, label, linked, degree) for character in order):
            break
    groups: dict[str, list[str]] = defaultdict(list)
    for character in order:
        inside = sum(times for other, times in linked[character].items() if label[other] == label[character])
        if inside >= links and inside >= LINKS_FRACTION * degree[character]:
            groups[label[character]].append(character)
    found = ("".join(group) for group in groups.values() if len(group) >= fewest)
    return sorted(found, key=lambda group: (-len(group), group))


def _links(closings: Iterable[Sequence[str]]) -> Links:
    linked: dict[str, Counter[str]] = defaultdict(Counter)
    for characters in closings:
        for place, one in enumerate(characters):
            for other in characters[place + 1 :]:
                if one != other:
                    linked[one][other] += 1
                    linked[other][one] += 1
    return linked


def _relabel(character: str, label: dict[str, str], linked: Links, degree: Mapping[str, int]) -> bool:
    """Take the label of most links, of several the most frequent one's; whether that is another."""
    votes: Counter[str] = Counter()
    for other, times in linked[character].items():
        votes[label[other]] += times
    most = max(votes.values())
    if votes[label[character]] == most:
        return False
    label[character] = min((name for name in votes if votes[name] == most), key=lambda name: (-degree[name], name))
    return True


def read_groups(file: Path) -> list[str]:
    """Groups from a UTF-8 file: a group a line, its characters with or without spaces; `#` begins a remark.

    Raises:
        DataError: it cannot be read, or holds no group of two characters.
    """
    if not file.is_file():
        raise DataError(f"form.rhyme = {file} is no file. Allowed: learned, FILE.")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"form.rhyme = {file} cannot be read as a UTF-8 file ({error}). Allowed: learned, FILE."
        ) from None
    lines = ("".join(line.partition("#")[0].split()) for line in text.split("\n"))
    groups = ["".join(dict.fromkeys(line)) for line in lines]
    found = [group for group in groups if len(group) > 1]
    if not found:
        raise DataError(f"form.rhyme = {file} holds no group: a line of two or more characters that rhyme.")
    return found


def rhyme(characters: Sequence[str], groups: Sequence[str]) -> bool | None:
    """Whether characters rhyme with each other and none stands twice; None where one is in no group."""
    if not all(any(character in group for group in groups) for character in characters):
        return None
    together = any(all(character in group for character in characters) for group in groups)
    return together and len(set(characters)) == len(characters)
