"""Pairs of texts, read and checked before anything is trained on them."""

from __future__ import annotations

import itertools
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from seqpipe.data.checks import Checked, Nouns, leaks, oddities, repeats
from seqpipe.data.files import read_files
from seqpipe.data.findings import Bad, Finding, counted, listed, raise_errors
from seqpipe.data.reading import read_role, read_roles, with_dev
from seqpipe.data.sources import BadRow, Role, Row, read_rows
from seqpipe.data.splits import Splits
from seqpipe.errors import DataError
from seqpipe.tasks.translation.config import TranslationData

_pairs = partial(counted, noun="pair")
NOUNS = Nouns("pair", "source", "target")
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

    def take(self, rows: np.ndarray) -> Pairs:
        """Some of the pairs, by index."""
        return Pairs(*([column[row] for row in rows] for column in (self.sources, self.targets, self.places)))

    def checked(self) -> Checked:
        return Checked(self.sources, self.targets, self.places, self.places)


def read_pair_splits(data: TranslationData) -> Splits[Pairs]:
    """Read and check the training, dev and test pairs of a pipeline; without a dev source dev is cut out of train.

    Raises:
        DataError: with every error in the data at once.
    """
    rows, findings = read_roles(data, partial(_rows, data), noun="pair")
    splits = {role: _together(read) for role, read in rows.items()}
    if "train" in splits and data.dev is None:
        splits = with_dev(splits, np.zeros(len(splits["train"])), data.dev_every)
    for role, pairs in splits.items():
        findings += check_pairs(role, pairs, data)
    findings += leaks({role: pairs.checked() for role, pairs in splits.items()}, NOUNS)
    for role, pairs in splits.items():
        if not pairs and not any(finding.severity == "error" for finding in findings):
            findings.append(Finding("error", f"{role}: no pairs left."))
    raise_errors(findings)
    return Splits(splits["train"], splits["dev"], splits.get("test"), findings)


def read_pairs(source: str, data: TranslationData) -> tuple[Pairs, list[Finding]]:
    """Read and check other pairs; columns, format and encoding are those of data.

    Raises:
        DataError: the source cannot be read, holds no good pair, or more bad ones than data.max_bad_fraction.
    """
    rows, findings = read_role(
        source, "test", partial(_rows, data), noun="pair", most=data.max_rows, max_bad_fraction=data.max_bad_fraction
    )
    raise_errors(findings)
    pairs = _together(rows or [])
    return pairs, [*findings, *check_pairs("test", pairs, data)]


def check_pairs(role: str, pairs: Pairs, data: TranslationData) -> list[Finding]:
    """What is odd about the pairs of one split, named by line."""
    if not len(pairs):
        return []
    return [
        *_check_lengths(role, pairs, data.max_length_ratio),
        *_check_copied(role, pairs),
        *_check_scripts(role, pairs),
        *repeats(role, pairs.checked(), NOUNS, whole=True),
        *oddities(role, "source", pairs.sources, pairs.places),
        *oddities(role, "target", pairs.targets, pairs.places),
    ]


def _together(rows: list[tuple[str, str, str]]) -> Pairs:
    sources, targets, places = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return Pairs(sources, targets, places)


def _rows(data: TranslationData, source: str, role: Role) -> Iterator[tuple[str, str, str] | Bad]:
    """(source, target, place) of each pair."""
    for row in _rows_of(source, role, data):
        if isinstance(row, BadRow):
            yield Bad(f"{row.place}: {row.reason}")
            continue
        texts = {side: row.values[side].strip() for side in ("source", "target")}
        empty = [side for side, text in texts.items() if not text]
        if empty:
            yield Bad(f"{row.place}: {'both sides are' if len(empty) == 2 else f'the {empty[0]} is'} empty")
        else:
            yield texts["source"], texts["target"], row.place


def _rows_of(source: str, role: Role, data: TranslationData) -> Iterator[Row | BadRow]:
    scheme, _, rest = source.partition(":")
    if scheme == "files" and "," in rest and not os.path.isfile(os.path.expanduser(rest)):
        yield from _parallel(rest, data.encoding)
        return
    columns = {"source": data.source_column, "target": data.target_column}
    yield from read_rows(
        source, columns=columns, role=role, format=data.format, encoding=data.encoding, separator=data.separator
    )


def _parallel(files: str, encoding: str) -> Iterator[Row | BadRow]:
    """Line by line of two files, named as A,B; lines that are blank in both, or blank to the end, are passed over."""
    names = [name.strip() for name in files.split(",")]
    if len(names) != 2 or not all(names):
        raise DataError(
            f"files:{files} names {len(names)} files. Parallel texts are two: files:A,B with a line a pair."
        )
    sides = [read_files(name, columns={"text": 1}, format="lines", encoding=encoding) for name in names]
    lines, last = [0, 0], [0, 0]  # how many each has, and the last that is not blank
    for number, rows in enumerate(itertools.zip_longest(*sides), start=1):
        blank = [row is None or (isinstance(row, Row) and not row.values["text"].strip()) for row in rows]
        lines = [count + (row is not None) for count, row in zip(lines, rows, strict=True)]
        last = [line if empty else number for line, empty in zip(last, blank, strict=True)]
        if None in rows or all(blank):
            continue
        source, target = rows
        if isinstance(source, Row) and isinstance(target, Row) and any(blank):
            side, row = ("source", source) if blank[0] else ("target", target)
            yield BadRow(row.file, row.line, f"the {side} is empty")
        elif isinstance(source, Row) and isinstance(target, Row):
            yield Row({"source": source.values["text"], "target": target.values["text"]}, source.file, source.line)
        else:
            yield source if isinstance(source, BadRow) else target
    if max(last) > min(lines):
        raise DataError(
            f"{names[0]} has {lines[0]:,} lines and {names[1]} has {lines[1]:,}. Line n of one must be the "
            "translation of line n of the other: both need the same number of lines."
        )


def _check_lengths(role: str, pairs: Pairs, max_ratio: float) -> Iterator[Finding]:
    """Usual lengths, and pairs whose sides differ much more in length than usual."""
    lengths = np.array([[len(text) for text in side] for side in (pairs.sources, pairs.targets)])  # [2, N]
    ratios = lengths[1] / lengths[0]
    usual = float(np.median(ratios))
    longest = int(lengths.max(axis=0).argmax())
    yield Finding(
        "info",
        f"{role}: {_pairs(len(pairs))} of {np.median(lengths[0]):,.0f} and {np.median(lengths[1]):,.0f} characters "
        f"(median), the longest {lengths[:, longest].max():,} in {pairs.places[longest]}.",
    )
    outlying = np.abs(np.log(ratios / usual)) > np.log(max_ratio)
    outlying &= np.abs(lengths[1] - usual * lengths[0]) > SHORT_CHARACTERS
    rows = np.flatnonzero(outlying)
    if len(rows):
        places = [f"{pairs.places[row]} ({lengths[0, row]:,} and {lengths[1, row]:,} characters)" for row in rows]
        yield Finding(
            "warning",
            f"{role}: {_pairs(len(rows))} with sides of outlying lengths, more than {max_ratio:g} times the usual "
            f"ratio of {usual:.2f}: {listed(places)}.",
        )


def _check_copied(role: str, pairs: Pairs) -> Iterator[Finding]:
    sides = zip(pairs.sources, pairs.targets, pairs.places, strict=True)
    copied = [place for source, target, place in sides if source == target]
    if copied:
        text = f"{role}: {_pairs(len(copied))} with the source copied into the target: {listed(copied)}."
        yield Finding("warning", text)


@cache
def _script_of(character: str) -> str | None:
    """The script of a letter by its Unicode name, such as LATIN or CJK; None for what is no letter."""
    return unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else None


def _script(text: str) -> str | None:
    """The script of most letters; None for a text of few letters."""
    counts = Counter(filter(None, map(_script_of, text)))
    return max(counts, key=lambda name: counts[name]) if counts.total() >= FEW_LETTERS else None


def _check_scripts(role: str, pairs: Pairs) -> Iterator[Finding]:
    """Texts in another script than nearly all of their side."""
    for side, texts in (("source", pairs.sources), ("target", pairs.targets)):
        scripts = [_script(text) for text in texts]
        counts = Counter(script for script in scripts if script is not None)
        if not counts:
            continue
        usual, most = counts.most_common(1)[0]
        if most < 0.9 * counts.total():  # a side of several scripts, such as Japanese
            continue
        both = zip(pairs.places, scripts, strict=True)
        other = [f"{place} ({script})" for place, script in both if script not in (None, usual)]
        if other:
            text = f"{role}: {counted(len(other), side)} in another script than {usual}: {listed(other)}."
            yield Finding("warning", text)
