"""A table as Markdown for a card and as a grid for a terminal, from one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table as Grid


@dataclass(frozen=True)
class Table:
    """Cells as text; a line break in a cell is kept.

    left: titles of the columns of words; the others hold numbers and stand at the right.

    >>> print(Table(["class", "rows"], [["a|b", "2"]], left=["class"]).markdown())
    | class | rows |
    |---|---:|
    | a\\|b | 2 |

    Raises:
        ValueError: a row has not one cell a column.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    left: Sequence[str] = ()

    def __post_init__(self) -> None:
        wrong = sorted({len(row) for row in self.rows} - {len(self.header)})
        if wrong:
            raise ValueError(f"a row of {wrong[0]} cells in a table of {len(self.header)} columns.")

    def markdown(self) -> str:
        """Without a line break behind the last line."""
        rule = "".join("---|" if title in self.left else "---:|" for title in self.header)
        return "\n".join([_markdown_row(self.header), f"|{rule}", *map(_markdown_row, self.rows)])

    def grid(self) -> Grid:
        """For a rich console; what stands in cells is not read as markup."""
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(box=None, pad_edge=False, header_style="bold")
        for title in self.header:
            grid.add_column(Text(title), justify="left" if title in self.left else "right", overflow="fold")
        for row in self.rows:
            grid.add_row(*map(Text, row))
        return grid


def one_line(text: str) -> str:
    """Text of a stranger, such as the name of a class, without line breaks."""
    return " ".join(text.split())


def _markdown_row(cells: Sequence[str]) -> str:
    shown = (cell.replace("|", "\\|").replace("\n", "<br>") for cell in cells)
    return f"| {' | '.join(shown)} |"
