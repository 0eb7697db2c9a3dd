"""Train, dev and test by their names."""

from __future__ import annotations

from typing import TypeVar

from seqpipe.errors import DataError, not_allowed

T = TypeVar("T")


def named_split(name: str, *, train: T, dev: T, test: T | None) -> T:
    """The split called train, dev or test.

    Raises:
        DataError: the pipeline has no such split.
    """
    splits = {"train": train, "dev": dev} | ({"test": test} if test is not None else {})
    if name not in splits:
        raise DataError(not_allowed(name, "split of this pipeline", splits))
    return splits[name]
