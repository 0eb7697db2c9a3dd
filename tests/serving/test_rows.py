"""Rows in, answers out, with rows among them that cannot be answered."""

from __future__ import annotations

import io

import pytest

from seqpipe.data.files import BadRow
from seqpipe.errors import DataError
from seqpipe.serving.answers import LabelPresentation
from seqpipe.serving.inputs import TEXT
from seqpipe.serving.rows import answers_to, predict_rows


class Echo:
    """A model whose answer is the length of a text; it refuses a batch that holds "no"."""

    input = TEXT

    def __call__(self, rows, *, signature, options):
        if "no" in rows:
            raise DataError("no is not allowed")
        return [{"label": "long" if len(row) > 3 else "short", "probability": 1.0, "probabilities": {}} for row in rows]


ROWS = ["good one", BadRow("f.csv", 3, "byte 2 (0xe9) is not utf-8"), "no", "bad"]


def test_predict_rows_stops_at_a_row_that_cannot_be_read():
    with pytest.raises(DataError, match=r"f\.csv:3: byte 2 .* is not utf-8\. --keep-going answers"):
        list(predict_rows(Echo(), ROWS))


def test_predict_rows_goes_on_past_rows_that_cannot_be_answered():
    answers = [answer for _, answer in predict_rows(Echo(), ROWS, keep_going=True)]
    assert [answer.get("label") for answer in answers] == ["long", None, None, "short"]
    assert answers[1] == {"error": "f.csv:3: byte 2 (0xe9) is not utf-8"}
    assert answers[2] == {"error": "no is not allowed"}


def written(format, answers, *, errors):
    out = io.StringIO()
    with answers_to(None, format, out, presentation=LabelPresentation(), column="text", errors=errors) as write:
        for row, answer in answers:
            write(row, answer)
    return out.getvalue().splitlines()


GOOD = {"label": "pos", "probability": 0.5, "probabilities": {"pos": 0.5}}


def test_answers_in_a_table_have_a_column_for_what_was_wrong():
    lines = written("csv", [("x", {"error": "why"}), ("y", GOOD)], errors=True)
    assert lines == ["text,label,probability,pos,error", "x,,,,why", "y,pos,0.500000,0.500000,"]
    assert written("csv", [("y", GOOD)], errors=False) == ["text,label,probability,pos", "y,pos,0.500000,0.500000"]
    assert written("csv", [("x", {"error": "why"})], errors=True) == ["text,error", "x,why"]


def test_answers_as_lines_and_json_keep_a_place_for_each_row():
    rows = [("x", {"error": "why"}), ("y", GOOD)]
    assert written("lines", rows, errors=True) == ["", "pos"]
    assert written("jsonl", rows, errors=True)[0] == '{"text": "x", "error": "why"}'
