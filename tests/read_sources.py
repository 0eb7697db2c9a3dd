"""Rows of a source, and what is said of one that cannot be read."""

from __future__ import annotations

import pytest

from seqpipe.data.sources import Row, read_rows
from seqpipe.errors import DataError

BOTH = {"text": "text", "label": "label"}
TEXT = {"text": "text"}


def read(source: str, columns: dict[str, str] = BOTH, **options) -> list[tuple]:
    """(place, values or reason) of each row."""
    rows = read_rows(source, columns=columns, role="train", **options)
    return [(row.place, row.values if isinstance(row, Row) else row.reason) for row in rows]


def message(source: str, columns: dict[str, str] = BOTH, **options) -> str:
    with pytest.raises(DataError) as caught:
        read(source, columns, **options)
    return str(caught.value)


def values(text: str, label: str) -> dict[str, str]:
    return {"text": text, "label": label}
