"""What `seqpipe predict` does around a model."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf
from rich.console import Console

from seqpipe.data.files import BadRow
from seqpipe.errors import DataError, ModelError
from seqpipe.runs import predict
from seqpipe.serving.answers import LabelPresentation
from seqpipe.serving.inputs import TEXT


def test_predict_optimizes_graphs_for_many_rows_alone(monkeypatch):
    seen = []
    reads = SimpleNamespace(from_word=str, from_file=lambda path, **_: [path])

    def look(*_, **__):
        seen.append(tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False))
        return SimpleNamespace(input=reads)

    def answer(words, source):
        wanted = predict.Wanted("table")
        predict.predict("m", words, source, column=None, encoding="utf-8", wanted=wanted, out=None, err=None)

    monkeypatch.setattr(predict, "load", look)
    monkeypatch.setattr(predict, "_show", look)
    answer(["a text"], None)
    answer(None, "rows.txt")
    assert seen == [True, True, False, False]
    monkeypatch.undo()
    with pytest.raises(ModelError):
        answer(["a text"], None)  # of no model
    look()
    assert not seen[-1]


def explains(*outputs):
    return lambda name: SimpleNamespace(structured_outputs=dict.fromkeys(outputs))


ANSWER = {"label": "good", "probability": 0.5, "probabilities": {}}


def test_predict_prints_no_character_that_a_terminal_obeys(monkeypatch):
    monkeypatch.setattr(predict, "presentation", lambda model: LabelPresentation())
    out = io.StringIO()
    answers = [
        ("a\x1b[31mb\x07 :heart: [b]", ANSWER),
        ("x", {"error": "\x1b]0;t.csv:1: is bad"}),
        ("\u202eevil", ANSWER),
    ]
    console = Console(file=out, soft_wrap=True, highlight=False, markup=False, emoji=False)
    predict.print_answers(SimpleNamespace(input=TEXT), iter(answers), console)
    assert out.getvalue().splitlines() == [
        "good  0.500  a<1B>[31mb<07> :heart: [b]",
        "error: <1B>]0;t.csv:1: is bad",
        "good  0.500  <202E>evil",
    ]


@pytest.mark.parametrize("wanted", [{"explain": True}, {"html": Path("page.html")}, {}])
def test_predict_stops_at_a_bad_row_however_it_is_shown(monkeypatch, tmp_path, wanted):
    monkeypatch.chdir(tmp_path)
    model = SimpleNamespace(signature=explains("label", "pieces", "weights"), input=TEXT, name="m", path=tmp_path)
    monkeypatch.setattr(predict, "presentation", lambda model: LabelPresentation())
    wanted = predict.Wanted("table", **wanted)
    with pytest.raises(DataError, match=r"^a\.csv:2: is bad\. --keep-going answers the other rows\.$"):
        predict._show(model, [BadRow("a.csv", 2, "is bad")], wanted, Console(file=io.StringIO()), None)


def test_predict_draws_what_was_answered(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(
        predict, "presentation", lambda model: SimpleNamespace(plot=lambda good, file: drawn.extend(good))
    )
    model = SimpleNamespace(input=TEXT)
    predict.plot_answers(model, [("x", ANSWER), (BadRow("a.csv", 2, ""), {"error": "is bad"})], tmp_path / "a.png")
    assert drawn == [("x", "x", ANSWER)]
    with pytest.raises(DataError, match="--plot: there is no answer to draw"):
        predict.plot_answers(model, [], tmp_path / "a.png")


@pytest.mark.parametrize("wanted", [{"explain": True}, {"html": Path("page.html")}])
def test_predict_names_what_an_explanation_without_pieces_has(wanted):
    model = SimpleNamespace(signature=explains("median", "label", "weights"), input=TEXT, path="m/1")
    wanted = predict.Wanted("table", **wanted)
    with pytest.raises(
        DataError, match=r"^m/1 has neither an alignment nor .* its explain has label, median, weights\."
    ):
        predict._show(model, ["x"], wanted, Console(file=io.StringIO()), None)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"explain": True, "options": {"beam_width": 3}}, "--explain and --beam-width exclude each other"),
        ({"html": Path("a.html"), "options": {"beam_width": 3}}, "--html and --beam-width exclude each other"),
        ({"horizon": 3, "options": {"beam_width": 3}}, "--beam-width and --horizon exclude each other"),
        ({"horizon": 3, "explain": True}, "--explain and --horizon exclude each other"),
        ({"plot": Path("a.png"), "explain": True}, "--plot and --explain exclude each other"),
    ],
)
def test_predict_refuses_two_ways_of_one_answer(wanted, message):
    with pytest.raises(DataError, match=message):
        predict.Wanted("table", **wanted)


@pytest.mark.parametrize("format", ["table", "csv"])
def test_predict_answers_once_what_is_drawn(monkeypatch, tmp_path, format):
    asked, drawn = [], []

    class Drawn(LabelPresentation):
        def plot(self, answers, file):
            drawn.extend(answers)

    def answer(rows, **_):
        asked.extend(rows)
        return [ANSWER] * len(rows)

    monkeypatch.setattr(predict, "presentation", lambda model: Drawn())
    answer.input, out = TEXT, Console(file=io.StringIO())
    wanted = predict.Wanted(format, tmp_path / "a.csv", plot=tmp_path / "a.png")
    predict._show(answer, ["x", "y"], wanted, out, Console(file=io.StringIO()))
    assert asked == ["x", "y"]
    assert len(drawn) == 2
    printed = out.file.getvalue() if format == "table" else (tmp_path / "a.csv").read_text()
    assert printed.count("good") == 2


def test_predict_says_what_is_strange_of_ten_rows_and_counts_the_others():
    strange = SimpleNamespace(input=SimpleNamespace(remark=lambda row: "" if row % 2 else f"row {row} is even"))
    err = Console(file=io.StringIO(), width=200)
    rows = [*range(30), BadRow("a.csv", 31, "no row at all")]
    assert list(predict._remarked(strange, rows, err)) == rows
    said = err.file.getvalue().splitlines()
    assert said[:-1] == [f"warning: row {row} is even." for row in range(0, 20, 2)]
    assert said[-1] == "warning: so have 5 more rows something strange."
