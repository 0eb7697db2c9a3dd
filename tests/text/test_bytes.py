"""Bytes: every text is read, and what the automaton allows is UTF-8 as Python knows it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from seqpipe.text.bytes import NOT_ALLOWED, Bytes, automaton
from seqpipe.text.characters import EDGE, FIRST, UNKNOWN
from seqpipe.text.graph_units import graph_of

BYTES, GRAPH = Bytes(), graph_of(Bytes())
TABLE = automaton()


def allowed(raw):
    """Whether the automaton takes bytes, and ends between characters."""
    state = 0
    for number in raw:
        state = TABLE[state, FIRST + number]
        if state == NOT_ALLOWED:
            return False
    return state == 0


def is_utf8(raw):
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@settings(max_examples=300)
@given(st.one_of(st.binary(min_size=1, max_size=6), st.text(min_size=1, max_size=4).map(lambda text: text.encode())))
def test_bytes_automaton_takes_what_is_utf8(raw):
    assert allowed(raw) == (is_utf8(raw) and b"\0" not in raw)


def test_bytes_automaton_takes_every_character_and_no_surrogate():
    assert all(allowed(chr(point).encode()) for point in [*range(1, 0xD800), *range(0xE000, 0x110000, 61), 0x10FFFF])
    assert not any(allowed(chr(point).encode("utf-8", "surrogatepass")) for point in range(0xD800, 0xE000))
    assert not allowed(b"\xf4\x90\x80\x80")
    assert not allowed(b"\xc0\x80"), "longer than it need be"
    assert (TABLE[:, UNKNOWN] == NOT_ALLOWED).all()
    assert TABLE[:, EDGE].tolist() == [0] + [NOT_ALLOWED] * 7


@settings(max_examples=30)
@given(st.lists(st.text(alphabet="ab\n春江é\U0001f600\0", max_size=8), min_size=1, max_size=4))
def test_bytes_graph_agrees_with_python(texts):
    found = GRAPH.encode(tf.constant(texts))
    for row, text in enumerate(texts):
        ids = found.ids[row, : int(found.lengths[row])].numpy()
        np.testing.assert_array_equal(ids, BYTES.encode(text))
        assert b"".join(GRAPH.decode(tf.constant(ids)).numpy()).decode() == BYTES.decode(ids) == text
    for text in texts:
        assert BYTES.begun[BYTES.encode(text)].sum() == len(text)


def test_bytes_that_are_no_utf8_are_the_replacement_character():
    found = GRAPH.encode(tf.constant([b"a\xffb"]))
    assert BYTES.decode(found.ids[0].numpy()) == "a\ufffdb"
    assert found.unknown.numpy().tolist() == [b""]
    assert BYTES.decode(BYTES.encode("a\ud800")) == "a\ufffd"
    assert BYTES.decode(BYTES.encode("é")[:1]) == "", "not whole"
