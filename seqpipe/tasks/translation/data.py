"""Pairs of texts, read and checked before anything is trained on them."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np

from seqpipe.data.files import read_files
from seqpipe.data.findings import BadRows, Finding, counted, listed, raise_errors
from seqpipe.data.sources import BadRow, Role, Row, read_rows
from seqpipe.data.splits import named_split
from seqpipe.errors import DataError
from seqpipe.tasks.text_classification.data import ODDITIES
from seqpipe.tasks.translation.config import TranslationData

_pairs = partial(counted, noun="pair")
SHORT_CHARACTERS = 10  # a difference of lengths up to here is no outlier, whatever the ratio
FEW_LETTERS = 3  # a text of fewer has no script


@dataclass(frozen=True)
class Pairs:
    """Texts with their translations and places.

    Attributes:
        sources, targets: as they stand in the data, white space around them aside.
        places: file and line of each, such as train.en:17.
    """

    sources: list[str]
    targets: list[str]
    places: list[str]

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: Iterable[int]) -> Pairs:
        """Some of the pairs, by index."""
        chosen = list(rows)
        return Pairs(*([column[row] for row in chosen] for column in (self.sources, self.targets, self.places)))


@dataclass(frozen=True)
class PairSplits:
    """The pairs of each split, and what was noticed."""

    train: Pairs
    dev: Pairs
    test: Pairs | None
    findings: list[Finding]

    def get(self, name: str) -> Pairs:
        """The split called train, dev or test.

        Raises:
            DataError: the pipeline has no such split.
        """
        return named_split(name, train=self.train, dev=self.dev, test=self.test)


@dataclass
class _Reading:
    role: Role
    pairs: Pairs = field(default_factory=lambda: Pairs([], [], []))
    bad: BadRows = field(default_factory=lambda: BadRows("pair"))

    def check_bad(self, max_bad_fraction: float) -> list[Finding]:
        return self.bad.check(self.role, good=len(self.pairs), max_bad_fraction=max_bad_fraction)


def read_pair_splits(data: TranslationData) -> PairSplits:
    """Read and check the training, dev and test pairs of a pipeline.

    Without a dev source, every dev_every-th good pair of the training source is a dev pair, the first one included.

    Raises:
        DataError: with every error in the data at once.
    """
    findings: list[Finding] = []
    splits: dict[Role, Pairs] = {}
    sources: list[tuple[Role, str | None]] = [("train", data.train), ("dev", data.dev), ("test", data.test)]
    for role, source in sources:
        if source is None:
            continue
        try:
            reading = _read(source, role, data)
        except DataError as error:
            findings.append(Finding("error", f"{role}: {error}"))
            continue
        splits[role] = reading.pairs
        findings += [*reading.check_bad(data.max_bad_fraction), *check_pairs(role, reading.pairs, data)]
    if "train" in splits and data.dev is None:
        pairs = splits["train"]
        splits["dev"] = pairs.take(range(0, len(pairs), data.dev_every))
        splits["train"] = pairs.take(row for row in range(len(pairs)) if row % data.dev_every)
    present = [role for role, _ in sources if role in splits]
    for first, second in itertools.combinations(present, 2):
        findings += _check_between(first, splits[first], second, splits[second])
    for role in present:
        if not splits[role] and not any(f.severity == "error" for f in findings):
            findings.append(Finding("error", f"{role}: no pairs left."))
    raise_errors(findings)
    return PairSplits(splits["train"], splits["dev"], splits.get("test"), findings)


def read_pairs(source: str, data: TranslationData, role: Role = "test") -> tuple[Pairs, list[Finding]]:
    """Read and check other pairs; columns, format and encoding are those of data.

    Raises:
        DataError: the source cannot be read, holds no good pair, or more bad ones than data.max_bad_fraction.
    """
    reading = _read(source, role, data)
    findings = [*reading.check_bad(data.max_bad_fraction), *check_pairs(role, reading.pairs, data)]
    raise_errors(findings)
    return reading.pairs, findings


def check_pairs(role: str, pairs: Pairs, data: TranslationData) -> list[Finding]:
    """What is odd about the pairs of one split, named by line."""
    if not len(pairs):
        return []
    return [
        *_check_lengths(role, pairs, data.max_length_ratio),
        *_check_copied(role, pairs),
        *_check_scripts(role, pairs),
        *_check_repeats(role, pairs),
        *_check_oddities(role, pairs),
    ]


def _read(source: str, role: Role, data: TranslationData) -> _Reading:
    reading = _Reading(role)
    for row in _rows_of(source, role, data):
        if isinstance(row, BadRow):
            reading.bad.add(f"{row.place}: {row.reason}")
            continue
        texts = {side: row.values[side].strip() for side in ("source", "target")}
        empty = [side for side, text in texts.items() if not text]
        if empty:
            reason = "both sides are empty" if len(empty) == 2 else f"the {empty[0]} is empty"
            reading.bad.add(f"{row.place}: {reason}")
            continue
        reading.pairs.sources.append(texts["source"])
        reading.pairs.targets.append(texts["target"])
        reading.pairs.places.append(row.place)
    return reading


def _rows_of(source: str, role: Role, data: TranslationData) -> Iterator[Row | BadRow]:
    scheme, _, rest = source.partition(":")
    if scheme == "files" and "," in rest:
        yield from _parallel(rest, data.encoding)
        return
    columns = {"source": data.source_column, "target": data.target_column}
    yield from read_rows(source, columns=columns, role=role, format=data.format, encoding=data.encoding)


def _parallel(files: str, encoding: str) -> Iterator[Row | BadRow]:
    """Line by line of two files, named as A,B."""
    names = [name.strip() for name in files.split(",")]
    if len(names) != 2 or not all(names):
        raise DataError(
            f"files:{files} names {len(names)} files. Parallel texts are two: files:A,B with a line a pair."
        )
    sides = [read_files(name, columns={"text": 1}, format="lines", encoding=encoding) for name in names]
    counts = [0, 0]
    for rows in itertools.zip_longest(*sides):
        counts = [count + (row is not None) for count, row in zip(counts, rows, strict=True)]
        if None in rows:
            continue
        source, target = rows
        if isinstance(source, Row) and isinstance(target, Row):
            yield Row({"source": source.values["text"], "target": target.values["text"]}, source.file, source.line)
        else:
            yield source if isinstance(source, BadRow) else target
    if counts[0] != counts[1]:
        raise DataError(
            f"{names[0]} has {counts[0]:,} lines and {names[1]} has {counts[1]:,}. Line n of one must be the "
            "translation of line n of the other: both need the same number of lines."
        )


def _check_lengths(role: str, pairs: Pairs, max_ratio: float) -> list[Finding]:
    """Usual lengths, and pairs whose sides differ much more in length than usual."""
    lengths = np.array([[len(text) for text in side] for side in (pairs.sources, pairs.targets)])  # [2, N]
    ratios = lengths[1] / lengths[0]
    usual = float(np.median(ratios))
    longest = int(lengths.max(axis=0).argmax())
    findings = [
        Finding(
            "info",
            f"{role}: {_pairs(len(pairs))} of {np.median(lengths[0]):,.0f} and {np.median(lengths[1]):,.0f} characters "
            f"(median), the longest {lengths[:, longest].max():,} in {pairs.places[longest]}.",
        )
    ]
    outlying = np.abs(np.log(ratios / usual)) > np.log(max_ratio)
    outlying &= np.abs(lengths[1] - usual * lengths[0]) > SHORT_CHARACTERS
    rows = np.flatnonzero(outlying)
    if len(rows):
        places = [f"{pairs.places[row]} ({lengths[0, row]:,} and {lengths[1, row]:,} characters)" for row in rows]
        findings.append(
            Finding(
                "warning",
                f"{role}: {_pairs(len(rows))} with sides of outlying lengths, more than {max_ratio:g} times the usual "
                f"ratio of {usual:.2f}: {listed(places)}.",
            )
        )
    return findings


def _check_copied(role: str, pairs: Pairs) -> list[Finding]:
    copied = [
        place
        for source, target, place in zip(pairs.sources, pairs.targets, pairs.places, strict=True)
        if source == target
    ]
    if not copied:
        return []
    return [
        Finding(
            "warning",
            f"{role}: {_pairs(len(copied))} with the source copied into the target: {listed(copied)}.",
        )
    ]


@cache
def _script_of(character: str) -> str | None:
    """The script of a letter by its Unicode name, such as LATIN or CJK; None for what is no letter."""
    return unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else None


def _script(text: str) -> str | None:
    """The script of most letters; None for a text of few letters."""
    counts = Counter(filter(None, map(_script_of, text)))
    return max(counts, key=lambda name: counts[name]) if counts.total() >= FEW_LETTERS else None


def _check_scripts(role: str, pairs: Pairs) -> list[Finding]:
    """Texts in another script than nearly all of their side."""
    findings = []
    for side, texts in (("source", pairs.sources), ("target", pairs.targets)):
        scripts = [_script(text) for text in texts]
        counts = Counter(script for script in scripts if script is not None)
        if not counts:
            continue
        usual, most = counts.most_common(1)[0]
        if most < 0.9 * counts.total():  # a side of several scripts, such as Japanese
            continue
        other = [
            f"{place} ({script})"
            for place, script in zip(pairs.places, scripts, strict=True)
            if script not in (None, usual)
        ]
        if other:
            findings.append(
                Finding(
                    "warning",
                    f"{role}: {counted(len(other), side)} in another script than {usual}: {listed(other)}.",
                )
            )
    return findings


def _check_repeats(role: str, pairs: Pairs) -> list[Finding]:
    """Copies of a whole pair, and sources with several translations."""
    first: dict[tuple[str, str], int] = {}
    targets: dict[str, list[int]] = {}
    copies = []
    for row, pair in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
        if first.setdefault(pair, row) != row:
            copies.append(f"{pairs.places[row]} repeats {pairs.places[first[pair]]}")
        else:
            targets.setdefault(pair[0], []).append(row)
    many = [" and ".join(pairs.places[row] for row in rows[:2]) for rows in targets.values() if len(rows) > 1]
    findings = []
    if copies:
        verb = "repeats" if len(copies) == 1 else "repeat"
        text = f"{role}: {_pairs(len(copies))} {verb} an earlier one: {listed(copies)}."
        findings.append(Finding("warning", text))
    if many:
        findings.append(
            Finding("warning", f"{role}: {counted(len(many), 'source')} with several targets: {listed(many)}.")
        )
    return findings


def _check_oddities(role: str, pairs: Pairs) -> list[Finding]:
    """Characters that often mean a mistake on the way."""
    findings = []
    for side, texts in (("source", pairs.sources), ("target", pairs.targets)):
        for name, pattern in ODDITIES.items():
            places = [place for text, place in zip(texts, pairs.places, strict=True) if pattern.search(text)]
            if places:
                findings.append(
                    Finding("info", f"{role}: {counted(len(places), side)} with {name}, such as {places[0]}.")
                )
    return findings


def _check_between(first: str, earlier: Pairs, second: str, later: Pairs) -> list[Finding]:
    """Sources of the later split that stand in the earlier one."""
    origin = dict(zip(earlier.sources, earlier.places, strict=True))
    seen = [
        f"{place} is {origin[source]}"
        for source, place in zip(later.sources, later.places, strict=True)
        if source in origin
    ]
    if not seen:
        return []
    return [
        Finding(
            "warning",
            f"{second}: {len(seen):,} of {_pairs(len(later))} have a source of {first}: {listed(seen)}.",
        )
    ]
