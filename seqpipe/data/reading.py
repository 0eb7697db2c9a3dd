"""The one loop over the sources of a pipeline: rows by split, bad ones counted, every error collected."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Protocol, Self, TypeVar

import numpy as np

from seqpipe.config.data import Data
from seqpipe.data.findings import Bad, BadRows, Finding, counted
from seqpipe.data.sources import Role
from seqpipe.data.splits import dev_rows, part_of
from seqpipe.errors import DataError

R = TypeVar("R")
RowsOf = Callable[[str, Role], Iterable[R | Bad | Finding]]


class Taken(Protocol):
    """Rows of which some can be taken."""

    def take(self, rows: np.ndarray) -> Self: ...


S = TypeVar("S", bound=Taken)


def read_roles(
    data: Data, rows_of: RowsOf[R], *, noun: str, group: Callable[[R], Hashable] = lambda row: None
) -> tuple[dict[Role, list[R]], list[Finding]]:
    """The rows of each split that has a source, train first; a split whose source cannot be read is left out.

    Args:
        rows_of: (source, role) -> its rows, bad ones as Bad, remarks as a Finding.
        noun: what a row is called.
        group: of a row, over which data.max_rows is spread.
    """
    rows: dict[Role, list[R]] = {}
    findings: list[Finding] = []
    named: dict[Role, str | list[str] | None] = {"train": data.train, "dev": data.dev, "test": data.test}
    for role, sources in named.items():
        if sources is None:
            continue
        read, found = read_role(
            sources, role, rows_of, noun=noun, group=group, most=data.max_rows, max_bad_fraction=data.max_bad_fraction
        )
        findings += found
        if read is not None:
            rows[role] = read
    return rows, findings


def read_role(
    sources: str | list[str],
    role: Role,
    rows_of: RowsOf[R],
    *,
    noun: str,
    max_bad_fraction: float,
    most: int | None = None,
    group: Callable[[R], Hashable] = lambda row: None,
) -> tuple[list[R] | None, list[Finding]]:
    """The rows of one split, one source after the other, and what was noticed; None where a source cannot be read.

    Args:
        most: rows that are used, spread over what is there; None for all.
    """
    rows: list[R] = []
    bad = BadRows(noun)
    findings: list[Finding] = []
    whole = True
    for source in [sources] if isinstance(sources, str) else sources:
        try:
            for row in rows_of(source, role):
                if isinstance(row, Bad):
                    bad.add(row.text)
                elif isinstance(row, Finding):
                    findings.append(Finding(row.severity, f"{role}: {row.text}"))
                else:
                    rows.append(row)
        except DataError as error:
            findings.append(Finding("error", f"{role}: {error}"))
            whole = False
    if not whole:
        return None, findings
    findings += bad.check(role, good=len(rows), max_bad_fraction=max_bad_fraction)
    if most is not None and len(rows) > most:
        findings.append(Finding("warning", f"{role}: {most:,} of {counted(len(rows), noun)} are used (data.max_rows)."))
        rows = [rows[row] for row in part_of([group(row) for row in rows], most)]
    return rows, findings


def with_dev(splits: dict[Role, S], labels: np.ndarray, every: int) -> dict[Role, S]:
    """The splits with dev cut out of train, by `dev_rows`.

    Args:
        labels: int [rows of train]
    """
    is_dev = dev_rows(labels, every)
    train = splits["train"]
    dev, rest = train.take(np.flatnonzero(is_dev)), train.take(np.flatnonzero(~is_dev))
    return {**splits, "train": rest, "dev": dev}
