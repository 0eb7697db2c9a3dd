"""What is often wrong with texts: copies, contradictions, rows of one split in another, odd characters."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from seqpipe.data.findings import Finding, counted, listed

ODDITIES = {
    "control characters U+0001 to U+007F": re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]"),
    "control characters U+0080 to U+009F, as of windows-1252 read as latin-1": re.compile("[\x80-\x9f]"),
    "tabs": re.compile("\t"),
    "no-break spaces": re.compile("[\u00a0\u2007\u202f]"),
    "zero-width spaces": re.compile("[\u200b\u2060\ufeff]"),
    "soft hyphens or signs that turn the direction": re.compile("[\u00ad\u202a-\u202e\u2066-\u2069]"),
    "U+FFFD, left by a wrong encoding": re.compile("\ufffd"),
    "signs of UTF-8 read as windows-1252, such as â€™ or Ã©": re.compile("â€.|[ÃÂ][\u0080-\u00bf]"),
    "HTML tags": re.compile(r"</?[A-Za-z][A-Za-z0-9]*( [^<>]*)?/?>"),
    "quotes around them": re.compile(r'^\s*"(?:[^"]|"")*"\s*$'),
    "a separator before them, as of another column": re.compile(r"^\s*[,;|]"),
    "escapes of other tools, such as &apos; or @-@": re.compile(
        r"&(?:[A-Za-z]{2,8}[0-9]{0,2}|#[0-9]+|#x[0-9A-Fa-f]+);|@-@|@@( |$)|[\u2581\u0120\uffed]|(?:^| )##\w|</w>"
        r"|\\u[0-9A-Fa-f]{4}|\\n(?![a-z])"
    ),
}

# What stands in a table for a label that is missing, and how folders of texts without one are called.
NO_CLASS = ("nan", "NaN", "None", "null", "NULL", "NA", "N/A", "#N/A", "<NA>", "?", "unsup", "unlabeled", "unlabelled")
NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{0,15})?")


@dataclass(frozen=True)
class Nouns:
    """What to call a row, the text by which rows are compared, and what is learned of it."""

    row: str
    text: str
    answer: str


@dataclass(frozen=True)
class Checked:
    """Rows as far as they are compared.

    Attributes:
        texts: of the rows; white space around them does not count.
        answers: what is learned of each.
        places: for messages.
        answered: places with the answers, for messages about contradictions.
    """

    texts: Sequence[str]
    answers: Sequence[Hashable]
    places: Sequence[str]
    answered: Sequence[str]


def repeats(role: str, rows: Checked, nouns: Nouns, *, whole: bool) -> list[Finding]:
    """Copies inside a source, and texts with several answers.

    Args:
        whole: only a row with the same answer too is a copy.
    """
    first: dict[Hashable, int] = {}
    answers: dict[str, dict[Hashable, int]] = defaultdict(dict)
    copies = []
    for row, (text, answer) in enumerate(zip(map(str.strip, rows.texts), rows.answers, strict=True)):
        original = first.setdefault((text, answer) if whole else text, row)
        if original != row:
            copies.append((row, original))
        answers[text].setdefault(answer, row)
    findings = []
    if copies:
        shown = listed([f"{rows.places[row]} repeats {rows.places[original]}" for row, original in copies])
        verb = "repeats" if len(copies) == 1 else "repeat"
        of = "one" if whole else nouns.text
        text = f"{role}: {counted(len(copies), nouns.row)} {verb} an earlier {of}, such as: {shown}."
        findings.append(Finding("warning", text))
    many = [list(found.values())[:2] for found in answers.values() if len(found) > 1]
    if many:
        shown = listed([f"{rows.answered[one]} and {rows.answered[other]}" for one, other in many])
        text = f"{role}: {counted(len(many), nouns.text)} with several {nouns.answer}s, such as: {shown}."
        findings.append(Finding("warning", text))
    return findings


def leaks(splits: Mapping[str, Checked], nouns: Nouns) -> list[Finding]:
    """Rows of one split whose text stands in an earlier one, and how many of them with another answer."""
    findings = []
    for (first, earlier), (second, later) in itertools.combinations(splits.items(), 2):
        origin: dict[str, int] = {}
        answers: dict[str, set[Hashable]] = defaultdict(set)
        for row, (text, answer) in enumerate(zip(map(str.strip, earlier.texts), earlier.answers, strict=True)):
            origin.setdefault(text, row)
            answers[text].add(answer)
        seen = [(row, text) for row, text in enumerate(map(str.strip, later.texts)) if text in origin]
        if not seen:
            continue
        contrary = sum(later.answers[row] not in answers[text] for row, text in seen)
        other = f", {contrary:,} of them with another {nouns.answer}" if contrary else ""
        shown = listed([f"{later.places[row]} is {earlier.places[origin[text]]}" for row, text in seen])
        count = f"{len(seen):,} of {counted(len(later.texts), nouns.text)}"
        findings.append(Finding("warning", f"{second}: {count} also stand in {first}{other}, such as: {shown}."))
    return findings


def oddities(role: str, noun: str, texts: Sequence[str], places: Sequence[str]) -> list[Finding]:
    """Characters and marks that often mean a mistake on the way."""
    findings = []
    for name, pattern in ODDITIES.items():
        rows = [row for row, text in enumerate(texts) if pattern.search(text)]
        if rows:
            part = f"{len(rows):,} of {counted(len(texts), noun)}"
            findings.append(Finding("info", f"{role}: {part} have {name}, such as {places[rows[0]]}."))
    return findings


def alike(role: str, names: Iterable[str], advice: str, noun: str = "classes") -> list[Finding]:
    """What has names that differ only by case, blanks, the form of their characters or how a number is written.

    Args:
        advice: what to do if they are one.
        noun: what they are.
    """
    same = defaultdict(list)
    for name in names:
        same[_essence(name)].append(name)
    groups = [" and ".join(f'"{name}"' for name in found) for found in same.values() if len(found) > 1]
    if not groups:
        return []
    told = [name.strip() for found in same.values() if len(found) > 1 for name in found]
    how = "how a number is written" if any(map(NUMBER.fullmatch, told)) else "case or blanks"
    return [Finding("warning", f"{role}: {noun} differ by {how} only: {listed(groups)}. {advice}")]


def odd_names(role: str, names: Sequence[str], column: str | int) -> list[Finding]:
    """Names of classes that are none: what stands for a missing label or in a header; quotes or signs around all;
    several names in one.

    Args:
        column: where they stand.
    """
    findings = []
    none = [name for name in names if name in NO_CLASS or name == column]
    if none:
        text = f"{role}: {' and '.join(none)} {'is read as a class' if len(none) == 1 else 'are read as classes'}. "
        findings.append(Finding("warning", f"{text}If it means that a label is missing, take those rows out."))
    for sign in ('"', "'", ":", ","):
        around = sign in "\"'"
        ends = [len(name) > 1 and name.endswith(sign) and (not around or name.startswith(sign)) for name in names]
        if names and all(ends):
            where = "stand in quotes" if around else f"end in {sign}"
            advice = "Take them out of the data; a TSV with quotes is read by data.separator = tab."
            text = f"{role}: all classes {where}, such as {names[0]}, and have them in their names."
            findings.append(Finding("warning", f"{text} {advice}" if around else text))
    known = set(names)
    for sign in "|;,":
        several = [name for name in names if sign in name and not known.isdisjoint(map(str.strip, name.split(sign)))]
        if several:
            text = f"{role}: each is read as one class: {listed(several)}. If they are several labels, name"
            findings.append(Finding("warning", f'{text} what stands between them: data.label_separator = "{sign}".'))
    return findings


def _essence(name: str) -> str:
    """What is left of a name without case, blanks and characters that show nothing; of a number, its value."""
    plain = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    plain = "".join(sign for sign in plain if unicodedata.category(sign) != "Cf")
    return repr(float(plain)) if NUMBER.fullmatch(plain) else plain
