"""Explanations of what strangers wrote: shown as it is meant, never obeyed."""

from __future__ import annotations

import io
from html.parser import HTMLParser

import pytest
from hostile_strings import HOSTILE
from rich.console import Console

from seqpipe.data.files import BadRow
from seqpipe.errors import ModelError
from seqpipe.serving.explain import (
    Explanation,
    Piece,
    alignments,
    as_line,
    bracketed,
    coloured,
    explain,
    visible,
    write_page,
)


def explanation(*pieces, truncated=False, label="positive"):
    return Explanation(label, 0.75, [Piece(text, weight) for text, weight in pieces], truncated)


FILM = explanation((" a", 0.05), (" superb", 0.5), (" fil", 0.2), ("m", 0.2), (" here", 0.05))
ATTACK = '</span><script>alert("1")</script>&lt;<!-- \' onclick="x"'


def test_visible_is_printable_whatever_a_stranger_wrote():
    for raw in HOSTILE:
        shown = visible(raw[:300].decode("utf-8", "replace"))
        assert shown.replace("\u200c", "").replace("\u200d", "").isprintable()


def test_visible_disarms_what_moves_the_cursor_or_the_direction():
    assert visible("\x1b[31m\x9b\u202e\x00\r") == "<1B>[31m<9B><202E><00><0D>"


def test_bracketed_marks_the_three_heaviest_pieces():
    assert bracketed(FILM) == " a [superb] [fil][m] here"
    assert bracketed(explanation()) == ""


def test_coloured_is_the_stronger_the_heavier():
    text = coloured(FILM)
    assert text.plain == " a superb film here"
    styles = {text.plain[span.start : span.end]: str(span.style) for span in text.spans}
    assert styles[" superb"] == "black on rgb(240,130,30)"
    assert styles[" fil"] == "black on rgb(249,205,165)"
    assert " a" not in styles


def test_as_line_says_label_probability_and_where_the_model_stopped():
    assert as_line(FILM, colour=False).plain == "positive  0.750  a [superb] [fil][m] here"
    cut = explanation((" a", 1.0), truncated=True, label="\x1b[2J")
    assert as_line(cut, colour=False).plain == "<1B>[2J  0.750  [a] … (the model read no further)"


def test_as_line_prints_colours_and_nothing_else_that_a_terminal_obeys():
    out = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", soft_wrap=True)
    out.print(as_line(explanation((visible("\x1b]0;title\x07"), 1.0)), colour=True))
    assert out.file.getvalue().count("\x1b") == out.file.getvalue().count("\x1b[") == 2  # on and off
    assert "\x07" not in out.file.getvalue()


class Page(HTMLParser):
    """What a browser would make of a page: its elements, their attributes, the text of each article."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.articles = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "article":
            self.articles.append("")

    def handle_data(self, data):
        if self.articles:
            self.articles[-1] += data

    def handle_comment(self, data):
        self.tags.append("comment")


def test_write_page_escapes_everything(tmp_path):
    hostile = explanation((ATTACK, 0.6), ("<FF>", 0.4), label=ATTACK)
    count = write_page(tmp_path / "page.html", [FILM, hostile], title=ATTACK)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert count == 2
    assert set(page.tags) == {"html", "meta", "title", "style", "main", "h1", "p", "span", "article", "b"}
    assert page.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class", "style", "title", "dir"}
    assert " a superb film here" in page.articles[0]
    assert page.articles[1].split() == f"{ATTACK} 0.750 {ATTACK}<FF>".split()
    assert "http" not in text.replace("http-equiv", "")  # nothing is loaded from anywhere


def test_write_page_appears_whole_or_not_at_all(tmp_path):
    def fails():
        yield FILM
        raise KeyboardInterrupt

    (tmp_path / "page.html").write_text("before")
    with pytest.raises(KeyboardInterrupt):
        write_page(tmp_path / "page.html", fails(), title="")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_text() == "before"


def test_explain_keeps_order_and_asks_batch_by_batch():
    class Loaded:
        asked: list[int] = []  # noqa: RUF012

        def __call__(self, rows, *, signature):
            assert signature == "explain"
            self.asked.append(len(rows))
            rest = {"label": "yes", "probability": 0.5, "weights": [1.0], "truncated": False}
            return [{"pieces": [row], **rest} for row in rows]

    found = list(explain(Loaded(), (f"t{i}" for i in range(150))))
    assert [each.pieces[0].text for each in found] == [f"t{i}" for i in range(150)]
    assert [len(each.pieces) for each in found] == [1] * 150
    assert max(Loaded.asked) <= 64


class Echo:
    """A model that explains what it can read."""

    def __call__(self, rows, *, signature):
        sides = {f"{side}_pieces": ["a"] for side in ("source", "target")}
        rest = {"label": "yes", "probability": 0.5, "weights": [1.0], "truncated": False, "alignment": [[1.0]], **sides}
        return [{"text": row, "pieces": [row], **rest} for row in rows]


def test_explain_shows_a_row_that_cannot_be_read_in_its_place(tmp_path):
    bad = BadRow("a<b>.csv", 2, "byte 3 is not utf-8")
    rows = ["one", bad, "two"]
    found = list(explain(Echo(), rows))
    assert found[1] is bad
    assert [each.pieces[0].text for each in (found[0], found[2])] == ["one", "two"]
    assert as_line(bad, colour=True).plain == "error: a<b>.csv:2: byte 3 is not utf-8"
    assert write_page(tmp_path / "page.html", found, title="t") == 2
    assert "error: a&lt;b&gt;.csv:2: byte 3 is not utf-8" in (tmp_path / "page.html").read_text()
    assert [lines[0] for lines in alignments(Echo(), rows)] == ["one", as_line(bad, colour=False).plain, "two"]
    assert list(explain(Echo(), [bad])) == [bad]


def test_explain_a_model_without_weights_is_refused():
    from seqpipe.serving.model import Model

    class Signature:
        structured_input_signature = ((), {"text": None})

    class Loaded:
        signatures = {"serving_default": Signature(), "labels": Signature()}  # noqa: RUF012

    with pytest.raises(ModelError, match=r"has no signature explain\. It has: labels, serving_default"):
        next(explain(Model("place", Loaded()), ["a"]))
