"""One table, as Markdown for a card and as a grid for a terminal; and how shares are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table as Grid


@dataclass(frozen=True)
class Table:
    """Cells as text. A cell of several lines is one in Markdown too.

    left: titles of the columns of words; the others hold numbers and stand at the right.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    left: Sequence[str] = ()

    def markdown(self) -> str:
        """Lines without a line's end behind the last.

        >>> print(Table(["class", "rows"], [["a|b", "2"]], left=["class"]).markdown())
        | class | rows |
        |---|---:|
        | a\\\\|b | 2 |
        """
        marks = "".join("---|" if title in self.left else "---:|" for title in self.header)
        lines = [f"| {' | '.join(self.header)} |", f"|{marks}"]
        for row in self.rows:
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), '<br>') for cell in row)} |")
        return "\n".join(lines)

    def grid(self) -> Grid:
        """For a rich console."""
        from rich.table import Table as Grid

        grid = Grid(box=None, pad_edge=False, header_style="bold")
        for title in self.header:
            grid.add_column(title, justify="left" if title in self.left else "right", overflow="fold")
        for row in self.rows:
            grid.add_row(*row)
        return grid


def percent(share: float, decimals: int = 2) -> str:
    """
    >>> percent(0.12345)
    '12.35 %'
    """
    return f"{100 * share:.{decimals}f} %"


def interval(figure: Mapping[str, float], how: str = "") -> str:
    """A share {value, low, high} with its 95 % interval.

    >>> interval({"value": 0.5, "low": 0.4, "high": 0.6})
    '50.00 % (95 % interval 40.0 to 60.0 %)'
    """
    low, high = (f"{100 * figure[bound]:.1f}" for bound in ("low", "high"))
    return f"{percent(figure['value'])} (95 % interval {low} to {high} %{how})"
