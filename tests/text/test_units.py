"""Units of a text: pieces keep every character, and values of units become those of characters alike everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hostile_strings import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st

from seqpipe.text.bytes import NOT_ALLOWED, Bytes
from seqpipe.text.characters import EDGE, UNKNOWN, Characters
from seqpipe.text.graph_units import GraphUnits
from seqpipe.text.units import Pieces, by_character
from seqpipe.text.vocabulary import BOS, EOS, FIRST_BYTE, SPACE_MARK

TEXT = "The fox  sat\n\nby the sea,\nand the owl saw the fox.\n" * 40
PIECES = Pieces.fit([TEXT, "春江花月夜\n" * 20], vocabulary_size=320)
UNITS = {"characters": Characters(list("abT \nh春")), "bytes": Bytes(), "pieces": PIECES}
GRAPHS = {name: GraphUnits(units) for name, units in UNITS.items()}


def test_pieces_hold_breaks_of_lines_and_several_characters():
    assert "\n" in PIECES.known
    assert max(map(len, PIECES.known)) > 2
    assert len(PIECES.encode(TEXT)) < 0.8 * len(TEXT)


def test_pieces_join_to_the_very_text_and_graph_agrees_with_the_library():
    raw = [text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass") for text in HOSTILE]
    raw += [b"  two  spaces \n\n x \n", b" ", b"\n", b"", TEXT.encode()]
    found = GRAPHS["pieces"].encode(tf.constant(raw))
    shown = [text.decode() for text in tf.strings.unicode_transcode(raw, "UTF-8", "UTF-8", errors="replace").numpy()]
    for row, text in enumerate(shown):
        ids = found.ids[row, : int(found.lengths[row])].numpy()
        np.testing.assert_array_equal(ids, PIECES.encode(text))
        assert PIECES.decode(ids) == text.replace(SPACE_MARK, " ")
        assert b"".join(GRAPHS["pieces"].decode(tf.constant(ids)).numpy()).decode() == PIECES.decode(ids)
        assert PIECES.begun[ids].sum() == len(text)


def test_pieces_never_follow_a_character_that_is_not_whole():
    table = PIECES.automaton
    assert (table[:, [UNKNOWN, BOS, EOS]] == NOT_ALLOWED).all()
    assert table[0, EDGE] == table[0, -1] == 0
    begun = table[0, FIRST_BYTE + 0xE6]
    assert table[begun, EDGE] == table[begun, -1] == NOT_ALLOWED
    assert table[table[begun, FIRST_BYTE + 0x98], FIRST_BYTE + 0xA5] == 0


def test_pieces_are_the_same_when_loaded(tmp_path):
    PIECES.save(tmp_path)
    again = Pieces.load(tmp_path)
    assert again.features.exact
    assert (again.size, again.known) == (PIECES.size, PIECES.known)
    np.testing.assert_array_equal(again.encode(TEXT), PIECES.encode(TEXT))


@pytest.mark.parametrize("unit", UNITS)
@settings(max_examples=20)
@given(st.lists(st.text(alphabet="ab\n T春é\U0001f600", max_size=12).map(lambda text: text + "The fox"), max_size=3))
def test_values_of_units_become_those_of_characters(unit, texts):
    units, graph = UNITS[unit], GRAPHS[unit]
    found = graph.encode(tf.constant(["", *texts]))
    values = np.random.default_rng(0).random(found.ids.shape, np.float32)
    of_characters = graph.by_character(tf.constant(values), found.ids, found.lengths).numpy()
    for row, text in enumerate(["", *texts]):
        size = int(found.lengths[row])
        expected = by_character(values[row, :size], units.begun[found.ids[row, :size].numpy()])
        assert len(expected) == len(text)
        np.testing.assert_allclose(of_characters[row, : len(text)], expected, rtol=1e-5)
        assert not of_characters[row, len(text) :].any()
        assert expected.sum() == pytest.approx(values[row, :size].sum(), rel=1e-5)
