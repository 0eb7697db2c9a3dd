"""Texts with the weight of their pieces: coloured on a terminal, in brackets where there is no colour, or as a page;
and translations with where they looked.

What a model returns is bytes that a stranger wrote: nothing of it is printed or put into a page as it stands.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from seqpipe.data.files import BadRow
from seqpipe.serving.answers import Answer
from seqpipe.serving.model import BATCH_ROWS, Model
from seqpipe.serving.rows import in_windows
from seqpipe.storage import whole_file

MARKED = 3  # pieces in brackets, where colours cannot be shown
_JOINERS = "\u200c\u200d"  # invisible, and part of words and of emoji
_FAINT = 0.12  # of the heaviest weight; what is below keeps its background


@dataclass(frozen=True)
class Piece:
    """
    text: to be shown: letters as they are, control characters as <07>.
    weight: its share in the answer; the pieces of a text together have 1.
    """

    text: str
    weight: float


@dataclass(frozen=True)
class Explanation:
    """truncated: whether the model did not read the text to its end."""

    label: str
    probability: float
    pieces: list[Piece]
    truncated: bool

    @property
    def strengths(self) -> list[float]:
        """Of each piece its weight, where that of the heaviest is 1."""
        heaviest = max((piece.weight for piece in self.pieces), default=0.0) or 1.0
        return [piece.weight / heaviest for piece in self.pieces]


def explain(model: Model, texts: Iterable[str | BadRow]) -> Iterator[Explanation | BadRow]:
    """An explanation of each text, in input order, holding a batch of rows at a time; a BadRow comes out as it is.

    Raises:
        ModelError: the model has no weights to explain with.
    """
    for answer in _explained(model, texts):
        if isinstance(answer, BadRow):
            yield answer
            continue
        pieces = map(Piece, map(visible, answer["pieces"]), answer["weights"])
        yield Explanation(answer["label"], answer["probability"], list(pieces), answer["truncated"])


def alignments(model: Model, texts: Iterable[str | BadRow]) -> Iterator[list[str]]:
    """Lines for each text: its translation, then each target piece with the source piece it looked at most.

    Raises:
        ModelError: the model does not translate.
    """
    for answer in _explained(model, texts):
        if isinstance(answer, BadRow):
            yield [_fault(answer)]
            continue
        source, target = (list(map(visible, answer[f"{side}_pieces"])) for side in ("source", "target"))
        width = max(map(len, target), default=0)
        lines = [visible(answer["text"])]
        for piece, weights in zip(target, answer["alignment"], strict=True):
            most = max(range(len(weights)), key=lambda place: weights[place])
            lines.append(f"  {piece:<{width}}  {source[most]}  {weights[most]:.2f}")
        yield lines


def _explained(model: Model, texts: Iterable[str | BadRow]) -> Iterator[Answer | BadRow]:
    for rows in in_windows(texts, BATCH_ROWS):
        answers = iter(model([row for row in rows if not isinstance(row, BadRow)], signature="explain"))
        yield from (row if isinstance(row, BadRow) else next(answers) for row in rows)


def _fault(row: BadRow) -> str:
    return visible(f"error: {row.place}: {row.reason}")


def visible(text: str) -> str:
    """A text with <CODE> for each character that is invisible or moves the cursor or the direction of writing."""
    plain = text.isprintable()
    return text if plain else "".join(c if c.isprintable() or c in _JOINERS else f"<{ord(c):02X}>" for c in text)


def coloured(explanation: Explanation) -> Text:
    """The text with a background the stronger, the heavier a piece is."""
    line = Text()
    for piece, strength in zip(explanation.pieces, explanation.strengths, strict=True):
        red, green, blue = (round(255 + strength * (end - 255)) for end in (240, 130, 30))
        line.append(piece.text, style=f"black on rgb({red},{green},{blue})" if strength >= _FAINT else "")
    return line


def bracketed(explanation: Explanation) -> str:
    """The text with its heaviest pieces in brackets."""
    order = sorted(range(len(explanation.pieces)), key=lambda i: -explanation.pieces[i].weight)
    marked = set(order[:MARKED])
    parts = []
    for i, piece in enumerate(explanation.pieces):
        space = " " if piece.text.startswith(" ") else ""
        parts.append(f"{space}[{piece.text.removeprefix(' ')}]" if i in marked else piece.text)
    return "".join(parts)


def as_line(explanation: Explanation | BadRow, *, colour: bool) -> Text:
    """Label, probability and text, for a terminal."""
    if isinstance(explanation, BadRow):
        return Text(_fault(explanation))
    line = Text(f"{visible(explanation.label)}  {explanation.probability:.3f} ")
    line.append(coloured(explanation) if colour else bracketed(explanation))
    if explanation.truncated:
        line.append(" … (the model read no further)")
    return line


def write_page(path: Path, explanations: Iterable[Explanation | BadRow], *, title: str) -> int:
    """Write one HTML page that needs nothing beside it; it appears when it is whole.

    Args:
        title: as plain text.
    Returns:
        How many texts it shows.
    """
    count = 0
    with whole_file(path, "w") as file:
        file.write(_HEAD.replace("TITLE", html.escape(title)))
        for explanation in explanations:
            file.write(_article(explanation))
            count += not isinstance(explanation, BadRow)
        file.write("</main>\n</html>\n")
    return count


def _article(explanation: Explanation | BadRow) -> str:
    if isinstance(explanation, BadRow):
        return f'<article><p class="answer">{html.escape(_fault(explanation))}</p></article>\n'
    spans = []
    for piece, strength in zip(explanation.pieces, explanation.strengths, strict=True):
        text = html.escape(piece.text)
        spans.append(f'<span style="--w:{strength:.3f}" title="{piece.weight:.4f}">{text}</span>')
    label = html.escape(visible(explanation.label))
    more = '<span class="cut" title="the model read no further">…</span>' if explanation.truncated else ""
    return (
        f'<article><p class="answer"><b>{label}</b> {explanation.probability:.3f}</p>\n'
        f'<p dir="auto">{"".join(spans)}{more}</p></article>\n'
    )


_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>TITLE</title>
<style>
body { font: 17px/1.7 system-ui, sans-serif; color: #222; background: #fff; margin: 0 auto; padding: 2rem 1rem;
  max-width: 46rem; }
h1 { font-size: 1.3rem; }
article { border-top: 1px solid #ddd; padding: .6rem 0; overflow-wrap: anywhere; }
article p { margin: .2rem 0; white-space: pre-wrap; }
.answer, .key { color: #666; font-size: .85rem; }
.answer b { color: #222; }
span { background: rgb(240 130 30 / calc(var(--w, 0) * .85)); border-radius: .2em; padding: .1em 0; }
@media (prefers-color-scheme: dark) {
  body { color: #eee; background: #181818; }
  article { border-color: #444; }
  .answer, .key { color: #aaa; }
  .answer b { color: #eee; }
}
</style>
<main>
<h1>TITLE</h1>
<p class="key">The stronger the colour, the more a piece weighs in the answer:
<span style="--w:0.15">little</span> <span style="--w:0.5">some</span> <span style="--w:1">most of this text</span>.
The weight itself shows when the pointer rests on a piece.</p>
"""
