"""What a look at data finds, as lines for a person: the same form for every task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from seqpipe.errors import DataError

EXAMPLES = 3  # places named in a finding


@dataclass(frozen=True)
class Finding:
    """One line about the data. An error stops, a warning is printed and reported, info is reported."""

    severity: Literal["error", "warning", "info"]
    text: str


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that cannot be used: its place and what is wrong with it, in one text."""

    text: str


@dataclass
class BadRows:
    """Rows that cannot be used: how many, and the first of them.

    noun: what a row is called. then: what becomes of them where the others are used.
    """

    noun: str
    then: str = "are skipped"
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """One more; example: its place and what is wrong with it."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)

    def check(self, role: str, *, good: int, max_bad_fraction: float) -> list[Finding]:
        """Nothing, a warning that they are skipped, or an error: more than max_bad_fraction, or none is good."""
        total = self.count + good
        if total == 0:
            return [Finding("error", f"{role}: no {self.noun}s.")]
        if self.count == 0:
            return []
        shown = listed(self.examples, self.count)
        shown += "" if shown.endswith("?") else "."
        of_all = f"{self.count:,} of {counted(total, self.noun)} ({share(self.count, total)})"
        count = f"{role}: {of_all} cannot be used"
        if not good:
            return [Finding("error", f"{count}, none is left: {shown}")]
        if self.count / total > max_bad_fraction:
            limit = f"data.max_bad_fraction = {max_bad_fraction:g} allows no more"
            return [Finding("error", f"{count}, {limit}: {shown}")]
        return [Finding("warning", f"{count} and {self.then}: {shown}")]


def raise_errors(findings: Iterable[Finding]) -> None:
    """Raise one DataError with every error; the warnings are its notes, since one of them may be why."""
    findings = list(findings)
    errors = [finding.text for finding in findings if finding.severity == "error"]
    if errors:
        error = DataError("\n".join(errors))
        for finding in findings:
            if finding.severity == "warning":
                error.add_note(f"warning: {finding.text}")
        raise error


def listed(items: Sequence[str], count: int | None = None) -> str:
    """The first few, and how many more there are.

    >>> listed(["a", "b", "c", "d", "e"])
    'a; b; c; and 2 more'
    """
    more = (len(items) if count is None else count) - EXAMPLES
    return "; ".join(items[:EXAMPLES]) + (f"; and {more:,} more" if more > 0 else "")


def counted(number: int, noun: str) -> str:
    """
    >>> counted(1, "row"), counted(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"
