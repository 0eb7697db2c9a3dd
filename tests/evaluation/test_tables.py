from __future__ import annotations

import io

import pytest
from rich.console import Console

from seqpipe.evaluation.tables import Table, one_line

TABLE = Table(["run", "dev, %", ""], [["a|b", "1.50\n(1 to 2)", "[red]x"], ["c", "20.00", ""]], left=["run", ""])


def test_tables_markdown_escapes_what_would_end_a_cell():
    assert TABLE.markdown().splitlines() == [
        "| run | dev, % |  |",
        "|---|---:|---|",
        "| a\\|b | 1.50<br>(1 to 2) | [red]x |",
        "| c | 20.00 |  |",
    ]


def test_tables_grid_aligns_and_takes_no_cell_for_markup():
    out = Console(file=io.StringIO(), width=60)
    out.print(TABLE.grid())
    lines = [line.rstrip() for line in out.file.getvalue().splitlines()]
    assert lines == ["run    dev, %", "a|b      1.50  [red]x", "     (1 to 2)", "c       20.00"]


def test_tables_refuse_a_ragged_row():
    with pytest.raises(ValueError, match="a row of 1 cells in a table of 2 columns"):
        Table(["a", "b"], [["x", "y"], ["x"], ["x", "y", "z"]])


def test_tables_may_have_no_rows():
    assert Table(["a", "b"], left=["a"]).markdown() == "| a | b |\n|---|---:|"


def test_tables_one_line_joins_white_space():
    assert one_line(" two\n lines ") == "two lines"
