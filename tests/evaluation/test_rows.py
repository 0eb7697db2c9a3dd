"""Answers row by row, written and read again."""

from __future__ import annotations

import numpy as np

from seqpipe.evaluation.rows import RowFigures


def test_rows_are_read_as_they_were_written(tmp_path):
    columns = {"accuracy": np.array([1.0, 0.5, 0.0]), "words": np.arange(6, dtype=np.int16).reshape(3, 2)}
    RowFigures("kéy", columns).write(tmp_path / "report" / "test")
    again = RowFigures.read(tmp_path / "report" / "test")
    assert again.rows_key == "kéy"
    assert list(again.columns) == ["accuracy", "words"]
    for name, column in columns.items():
        np.testing.assert_array_equal(again.columns[name], column)
        assert again.columns[name].dtype == column.dtype


def test_rows_lie_in_one_file_with_their_key(tmp_path):
    RowFigures("k", {"loss": np.zeros(2)}).write(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["rows.npz"]
    with np.load(tmp_path / "rows.npz") as saved:
        assert sorted(saved.files) == ["loss", "rows_key"]
        assert saved["rows_key"].item() == "k"


def test_rows_written_again_replace_the_earlier_ones(tmp_path):
    RowFigures("old", {"loss": np.zeros(2), "accuracy": np.ones(2)}).write(tmp_path)
    RowFigures("new", {"loss": np.ones(5)}).write(tmp_path)
    again = RowFigures.read(tmp_path)
    assert (again.rows_key, list(again.columns), len(again)) == ("new", ["loss"], 5)


def test_rows_where_nothing_was_written_are_none(tmp_path):
    assert RowFigures.read(tmp_path) is None
    assert RowFigures.read(tmp_path / "nowhere") is None
    (tmp_path / "rows.npz").mkdir()
    assert RowFigures.read(tmp_path) is None


def test_rows_are_counted_by_their_first_column():
    assert len(RowFigures("k", {"a": np.zeros((4, 7)), "b": np.zeros(4)})) == 4
