"""Rows in, answers out, with rows among them that cannot be answered."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from seqpipe.data.files import BadRow
from seqpipe.errors import DataError
from seqpipe.serving.answers import LabelPresentation, Presentation
from seqpipe.serving.inputs import NAMED, TEXT, WaveformInput
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


def test_predict_rows_hold_few_recordings_at_once():
    class Deaf(Echo):
        input = WaveformInput()

    asked = []
    rows = (asked.append(row) or row for row in ["a.wav"] * 200)
    next(predict_rows(Deaf(), rows))
    assert len(asked) == 64


def written(format, answers, *, errors, presentation=None):
    out, presentation = io.StringIO(), presentation or LabelPresentation()
    with answers_to(None, format, out, presentation=presentation, errors=errors) as write:
        for row, answer in answers:
            write({"text": row} if isinstance(row, str) else row, answer)
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


def test_answers_stand_behind_what_is_kept_of_a_row():
    rows = [({"text": "f.csv:3"}, {"error": "why"}), ({"text": "y", "id": "7", "label": "neg"}, GOOD)]
    header, *lines = written("csv", rows, errors=True)
    assert header == "text,id,label (input),label,probability,pos,error"
    assert lines == ["f.csv:3,,,,,,why", "y,7,neg,pos,0.500000,0.500000,"]
    kept = {"text": "y", "id": "7", "label (input)": "neg"}
    assert json.loads(written("jsonl", rows, errors=True)[1]) == {**kept, **GOOD}
    assert written("csv", [({"text": "x", "id": "7"}, {"error": "why"})], errors=True) == ["text,id,error", "x,7,why"]


def test_answers_in_a_table_keep_the_digits_of_numbers():
    answer = {
        "small": float(np.float32(3e-8)),
        "float32": float(np.float32(0.1)),
        "float64": 0.123456789,
        "large": 1e39,
    }
    lines = written("csv", [("x", answer)], errors=False, presentation=Presentation())
    assert lines[1] == "x,3e-08,0.1,0.123456789,1e+39"


def test_answers_in_a_table_have_a_column_of_its_own_for_each_class():
    shares = {"text": 0.25, "error": 0.5, "probability": 0.25}
    answer = {"label": "error", "probability": 0.5, "probabilities": shares}
    header, line = written("csv", [("x", answer)], errors=True)
    assert header == "text,label,probability,probability of text,probability of error,probability of probability,error"
    assert line == "x,error,0.500000,0.250000,0.500000,0.250000,"


@pytest.mark.parametrize("item", [[1, [2]], None, [1, None]])
def test_inputs_a_value_that_is_no_array_is_named(item):
    assert NAMED.from_value({"a": ["x", "y"], "b": 1})["a"].tolist() == ["x", "y"]
    with pytest.raises(DataError, match=r"^b: .* is no array\. Allowed: numbers or texts, in lists of equal length\."):
        NAMED.from_value({"a": 1, "b": item})
