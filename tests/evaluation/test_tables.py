from __future__ import annotations

import io

import pytest
from rich.console import Console

from seqpipe.evaluation.tables import Table, one_line

TABLE = Table(["run", "dev, %", ""], [["a|b", "1.50\n(1 to 2)", "[red]x"], ["c", "20.00", ""]], "lrl")


def test_tables_markdown_escapes_what_would_end_a_cell():
    assert TABLE.to_markdown().splitlines() == [
        "| run | dev, % |  |",
        "|---|---:|---|",
        "| a\\|b | 1.50<br>(1 to 2) | [red]x |",
        "| c | 20.00 |  |",
    ]


def test_tables_terminal_aligns_and_takes_no_cell_for_markup():
    out = Console(file=io.StringIO(), width=60)
    out.print(TABLE.to_rich())
    lines = [line.rstrip() for line in out.file.getvalue().splitlines()]
    assert lines == ["run    dev, %", "a|b      1.50  [red]x", "     (1 to 2)", "c       20.00"]


def test_tables_columns_take_their_alignment_along():
    assert TABLE.columns([2, 1]) == Table(["", "dev, %"], [["[red]x", "1.50\n(1 to 2)"], ["", "20.00"]], "lr")


@pytest.mark.parametrize(
    ("rows", "alignment", "found"), [([["x"]], "lr", r"\[1\]"), ([["x", "y"]], "l", r"'l'"), ([["x", "y"]], "lc", "lc")]
)
def test_tables_refuse_a_ragged_table(rows, alignment, found):
    with pytest.raises(ValueError, match=f"a table of 2 columns has .*{found}.*Allowed: l or r for each column"):
        Table(["a", "b"], rows, alignment)


def test_tables_one_line_joins_white_space():
    assert one_line(" two\n lines ") == "two lines"
