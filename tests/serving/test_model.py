"""What a loaded model may be called with, without TensorFlow."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import seqpipe
from seqpipe.errors import ModelError
from seqpipe.serving.inputs import TEXT
from seqpipe.serving.model import Model, assertion


class Echo(Model):
    """Answers the bytes of each text."""

    def __init__(self):
        self.input = TEXT

    def run(self, rows, *, signature, options):
        return {"bytes": np.array([len(row) for row in rows])}


@pytest.mark.parametrize(
    ("rows", "seen"),
    [
        ("a", "one text: write model([text])"),
        (b"a", "one text: write model([text])"),
        (None, "one value: write model([row])"),
        (3, "one value"),
        (np.array(3.0), "one value"),
        (SimpleNamespace(numpy=lambda: b"a"), "one text"),
        ({"text": ["a"]}, "a dict: write model([row])"),
        ({"a"}, "a set"),
        (SimpleNamespace(columns=["text"], __iter__=lambda: iter(["text"])), "a SimpleNamespace"),
    ],
)
def test_model_takes_several_rows_in_an_order(rows, seen):
    with pytest.raises(ModelError) as caught:
        Echo()(rows)
    assert seen in str(caught.value)


@pytest.mark.parametrize(
    "rows",
    [
        ["ab", "c"],
        ("ab", b"c"),
        np.array(["ab", "c"]),
        iter(["ab", "c"]),
        {"ab": 1, "c": 2}.keys(),
        SimpleNamespace(numpy=lambda: np.array([b"ab", b"c"], object)),  # a tensor of texts
    ],
)
def test_model_answers_rows_however_they_are_listed(rows):
    assert [answer["bytes"] for answer in Echo()(rows)] == [2, 1]


@pytest.mark.parametrize("model", [None, 3, "", b"sentiment_en"])
def test_model_is_loaded_by_directory_or_name(model):
    with pytest.raises(ModelError, match=r"is no model\. Allowed: its directory, or its name, such as sentiment_en\."):
        seqpipe.load(model)


def test_model_says_what_a_graph_refused_without_its_surroundings():
    said = "Graph execution error:\n\nDetected at node n5:\n{} : Tensor had NaN values\n\t [[node n5]]"
    assert assertion(said.format("waveform holds NaN")) == "waveform holds NaN"
    assert assertion("assertion failed: [too long:] [70]\n\t [[node n5]]") == "too long: 70"
    assert assertion("shapes differ") == "shapes differ"
