"""JSON and arrays, as TensorFlow Serving takes and gives them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seqpipe.serving.server.errors import RequestError
from seqpipe.serving.server.tensors import Spec, array, decoded, encoded, parsed

TEXT = {"text": Spec("t:0", "DT_STRING", (-1,))}
BEAM = {**TEXT, "beam_width": Spec("w:0", "DT_INT32", ()), "length_penalty": Spec("p:0", "DT_FLOAT", ())}
WAVE = {"waveform": Spec("w:0", "DT_FLOAT", (-1, -1))}


def test_tensors_rows_and_columns_give_the_same_arrays():
    for request, in_rows in (
        ({"instances": ["a", {"b64": "/w=="}]}, True),
        ({"instances": [{"text": "a"}, {"text": {"b64": "/w=="}}]}, True),
        ({"inputs": ["a", {"b64": "/w=="}]}, False),
        ({"inputs": {"text": ["a", {"b64": "/w=="}]}}, False),
    ):
        found, rows = decoded(request, TEXT)
        assert found["text"].tolist() == [b"a", b"\xff"]
        assert rows is in_rows


def test_tensors_scalars_stand_in_columns():
    found, _ = decoded({"inputs": {"text": ["a"], "beam_width": 4, "length_penalty": 1, "unknown": 1}}, BEAM)
    assert found["beam_width"].dtype == np.int32
    assert found["beam_width"].shape == ()
    assert found["length_penalty"] == np.float32(1)


REFUSED = [
    ({"instances": ["a"], "inputs": ["a"]}, TEXT, "both"),
    ({}, TEXT, "Missing 'inputs' or 'instances' key"),
    ({"instances": []}, TEXT, "one row or more"),
    ({"instances": [1]}, TEXT, "Type: Number is not of expected type: string"),
    ({"instances": [None]}, TEXT, "Type: Null"),
    ({"instances": [{"text": "a", "more": 1}]}, TEXT, r"instances\[0\] has text, more; it must have exactly text"),
    ({"instances": ["a", ["b"]]}, TEXT, "rows of unequal shapes"),
    ({"instances": [[1.0, 2.0], [1.0]]}, WAVE, "rows of unequal shapes"),
    ({"instances": [[1.0, 1e39]]}, WAVE, "waveform: a number is out of the range of DT_FLOAT"),
    ({"instances": [1.0]}, WAVE, r"shape \[1\] does not fit \[\?, \?\]"),
    ({"instances": [{"b64": "?"}]}, TEXT, "b64 is not base64"),
    ({"inputs": {"text": ["a"]}}, BEAM, "Missing named inputs: beam_width, length_penalty"),
    ({"inputs": {"text": ["a"], "beam_width": 1.0, "length_penalty": 1}}, BEAM, "not of expected type: int"),
    ({"inputs": {"text": ["a"], "beam_width": 2**40, "length_penalty": 1}}, BEAM, "out of the range of DT_INT32"),
    ({"inputs": {"text": ["a"], "beam_width": True, "length_penalty": 1}}, BEAM, "Type: Boolean"),
    ({"inputs": []}, {}, "it has no inputs"),
]


@pytest.mark.parametrize(("request_", "specs", "message"), REFUSED)
def test_tensors_refuse_what_does_not_fit(request_, specs, message):
    with pytest.raises(RequestError, match=message) as caught:
        decoded(request_, specs)
    assert caught.value.status == 400


@pytest.mark.parametrize("body", [b"", b"x", b"[1]", b'"text"', b"\xff", b"[" * 100_000])
def test_tensors_refuse_a_body_that_is_no_object(body):
    with pytest.raises(RequestError, match="JSON"):
        parsed(body)


def test_tensors_numbers_are_the_shortest_that_read_back():
    outputs = {"x": np.array([0.1, 1.0, np.nan, np.inf, -np.inf, 1e-20], np.float32)}
    assert encoded(outputs, rows=False, strict=False) == b'{"outputs": [0.1, 1.0, NaN, Infinity, -Infinity, 1e-20]}'
    assert encoded({"n": np.array([3], np.int64)}, rows=True, strict=False) == b'{"predictions": [3]}'
    both = {"b": np.array([True]), "s": np.array(["é".encode()], object)}
    assert encoded(both, rows=True, strict=False) == '{"predictions": [{"b": true, "s": "é"}]}'.encode()


def test_tensors_bytes_that_are_no_utf8_are_base64():
    outputs = {"s": np.array([b"\xc3"], object), "s_bytes": np.array([b"a"], object)}
    assert json.loads(encoded(outputs, rows=True, strict=False)) == {
        "predictions": [{"s": {"b64": "ww=="}, "s_bytes": {"b64": "YQ=="}}]
    }
    assert b'"s": "\xc3"' in encoded(outputs, rows=True, strict=True)


def test_tensors_outputs_without_common_rows_cannot_be_asked_by_rows():
    with pytest.raises(RequestError, match="no common first dimension"):
        encoded({"a": np.zeros(2), "b": np.zeros(3)}, rows=True, strict=False)


@settings(max_examples=60)
@given(arrays.arrays(np.float32, arrays.array_shapes(max_dims=3, max_side=4), elements=st.floats(width=32)))
def test_tensors_floats_survive_a_round_trip(value):
    spec = Spec("x:0", "DT_FLOAT", (-1,) * value.ndim)
    text = encoded({"x": value}, rows=False, strict=False)
    again = array("x", json.loads(text)["outputs"], spec)
    np.testing.assert_array_equal(again, value)


@settings(max_examples=60)
@given(st.lists(st.text(), min_size=1, max_size=5))
def test_tensors_texts_survive_a_round_trip(texts):
    value = array("text", texts, TEXT["text"])
    assert json.loads(encoded({"text": value}, rows=False, strict=False))["outputs"] == texts
