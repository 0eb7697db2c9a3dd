"""A table as Markdown and on a terminal, from one value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table as RichTable

_RULES = {"l": "---", "r": "---:"}


@dataclass(frozen=True)
class Table:
    """
    header: K titles; of a column that needs none, "".
    rows: K cells each; a line break in a cell is kept.
    alignment: a letter a column, l (text) or r (numbers).

    >>> print(Table(["run", "rows"], [["a|b", "1,000"]], "lr").to_markdown())
    | run | rows |
    |---|---:|
    | a\\|b | 1,000 |

    Raises:
        ValueError: a row or the alignment has not one entry a column.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    alignment: str

    def __post_init__(self) -> None:
        widths = {len(self.header), len(self.alignment), *map(len, self.rows)}
        if len(widths) > 1 or not set(self.alignment) <= set(_RULES):
            raise ValueError(
                f"a table of {len(self.header)} columns has the alignment {self.alignment!r} and rows of "
                f"{sorted(set(map(len, self.rows)))} cells. Allowed: l or r for each column, and a cell for each."
            )

    def to_markdown(self) -> str:
        """Without a line break at the end."""
        rule = f"|{'|'.join(_RULES[letter] for letter in self.alignment)}|"
        return "\n".join([_markdown_row(self.header), rule, *map(_markdown_row, self.rows)])

    def to_rich(self) -> RichTable:
        """For a rich console; what stands in cells is not read as markup."""
        from rich.table import Table as RichTable
        from rich.text import Text

        grid = RichTable(box=None, pad_edge=False, header_style="bold")
        for title, letter in zip(self.header, self.alignment, strict=True):
            grid.add_column(Text(title), justify="right" if letter == "r" else "left", overflow="fold")
        for row in self.rows:
            grid.add_row(*map(Text, row))
        return grid

    def columns(self, places: Iterable[int]) -> Table:
        """Some of the columns."""
        places = list(places)
        header, *rows = ([row[place] for place in places] for row in (self.header, *self.rows))
        return Table(header, rows, "".join(self.alignment[place] for place in places))


def one_line(text: str) -> str:
    """Text of a stranger, such as the name of a class, without line breaks."""
    return " ".join(text.split())


def _markdown_row(cells: Sequence[str]) -> str:
    shown = (cell.replace("|", "\\|").replace("\n", "<br>") for cell in cells)
    return f"| {' | '.join(shown)} |"
