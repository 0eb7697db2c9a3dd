"""Cells of Parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqpipe.data.formats import check_columns
from seqpipe.errors import DataError


def _parquet(path: Path) -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise DataError(f"{path}: Parquet files need pip install 'seqpipe[forecasting]'.") from None
    try:
        return parquet.ParquetFile(path)
    except Exception as error:  # pyarrow has many
        raise DataError(f"{path} is no Parquet file: {' '.join(str(error).split()).rstrip('.')}.") from None


def parquet_names(path: Path) -> list[str]:
    """What its columns are called."""
    return list(_parquet(path).schema_arrow.names)


def read_parquet(paths: list[Path], columns: Mapping[str, str]) -> tuple[dict[str, list[str]], list[tuple[str, int]]]:
    """Our name -> cells as texts, empty where there is none; and file and row of each.

    Raises:
        DataError: a file cannot be read, or lacks a column.
    """
    found: dict[str, list[str]] = {name: [] for name in columns}
    places: list[tuple[str, int]] = []
    for path in paths:
        file = _parquet(path)
        check_columns(str(path), columns, file.schema_arrow.names)
        table = file.read(columns=list(dict.fromkeys(columns.values())))
        for ours, theirs in columns.items():
            values = table.column(theirs).to_pylist()
            found[ours] += ["" if value is None else str(value) for value in values]
        places += [(str(path), line) for line in range(1, table.num_rows + 1)]
    return found, places
