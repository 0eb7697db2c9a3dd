"""Characters: the same numbers in Python and in the graph."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from seqpipe.errors import DataError
from seqpipe.text.characters import UNKNOWN, Characters
from seqpipe.text.copying import Source, distinct_fraction
from seqpipe.text.graph_units import GraphCharacters

KNOWN = Characters.fit(["abba\n春江, \U0001f600"], min_count=1)
GRAPH = GraphCharacters(KNOWN)


def test_characters_are_ordered_by_how_often_they_stand():
    assert KNOWN.known[:2] == ["a", "b"]
    assert Characters.fit(["aab"], min_count=1).encode("abc").tolist() == [2, 3, UNKNOWN]


@settings(max_examples=30)
@given(st.lists(st.text(alphabet="ab\n春江xé\0", max_size=8), min_size=1, max_size=4))
def test_characters_graph_agrees_with_python(texts):
    found = GRAPH.encode(tf.constant(texts))
    for row, text in enumerate(texts):
        length = int(found.lengths[row])
        ids = found.ids[row, :length].numpy()
        np.testing.assert_array_equal(ids, KNOWN.encode(text))
        assert b"".join(GRAPH.decode(tf.constant(ids)).numpy()).decode() == KNOWN.decode(ids)
        assert found.unknown[row].numpy().decode() == "".join(c for c in text if c not in KNOWN.known)


def test_characters_broken_utf8_is_the_replacement_character():
    found = GRAPH.encode(tf.constant([b"a\xffb"]))
    assert found.ids.numpy().tolist() == [[2, UNKNOWN, 3]]
    assert found.unknown.numpy()[0].decode() == "\ufffd"


def test_characters_of_one_character_are_refused():
    with pytest.raises(DataError, match="The training text has 1 different characters"):
        Characters.fit(["aaaa"], min_count=1)


def test_characters_survive_saving(tmp_path):
    KNOWN.save(tmp_path)
    assert Characters.load(tmp_path) == KNOWN


def test_copying_finds_the_longest_span():
    source = Source("the fox went by the door and slept under the tree at night")
    assert source.longest_copy("a fox went by the sea") == " fox went by the "
    assert source.longest_copy("QZJ") == ""
    assert source.copied_fraction("by the door and slept under it") == pytest.approx(9 / 11)
    assert source.known_words_fraction("The fox flew") == pytest.approx(2 / 3)
    assert distinct_fraction(["abc", "abc"], 2) == 0.5
