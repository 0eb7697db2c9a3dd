"""Byte pieces against Python's own UTF-8 decoder."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from seqpipe.text.byte_pieces import byte_roles, whole_pieces
from seqpipe.text.vocabulary import FIRST_BYTE, FIRST_PIECE

LETTERS = [" the", "ab", "é", "\U0001f600"]  # learnt pieces
SURFACE = [b"", b"?", b"", b"", *(bytes([b]) for b in range(256)), *(piece.encode() for piece in LETTERS)]


def merge(rows):
    """whole_pieces of rows of ids, padded with padding."""
    steps = max([1, *map(len, rows)])
    ids = np.zeros((len(rows), steps), np.int32)
    for row, values in enumerate(rows):
        ids[row, : len(values)] = values
    real = tf.sequence_mask([len(row) for row in rows], steps)
    return whole_pieces(tf.constant(SURFACE), tf.constant(ids), real)


def of_bytes(raw):
    return [FIRST_BYTE + byte for byte in raw]


def by_hand(ids):
    """The pieces of one row and how many ids each is made of, byte by byte."""
    found, place = [], 0
    while place < len(ids):
        for count in (1, 2, 3, 4):
            part = ids[place : place + count]
            inside = all(FIRST_BYTE <= i < FIRST_PIECE for i in part) or count == 1
            try:
                text = b"".join(SURFACE[i] for i in part).decode() if inside and len(part) == count else None
            except UnicodeDecodeError:
                text = None
            if text is not None:
                break
        else:
            count, text = 1, "\ufffd"
        found.append((text, count))
        place += count
    return found


@settings(max_examples=100)
@given(
    st.lists(
        st.lists(
            st.one_of(
                st.integers(FIRST_BYTE, FIRST_PIECE + len(LETTERS) - 1).map(lambda i: [i]),
                st.text(max_size=2).filter(lambda text: text.isprintable()).map(lambda text: of_bytes(text.encode())),
                st.binary(max_size=3).map(of_bytes),
            ),
            max_size=6,
        ).map(lambda parts: [i for part in parts for i in part]),
        min_size=1,
        max_size=3,
    )
)
def test_byte_pieces_are_merged_as_python_decodes_them(rows):
    merged = merge(rows)
    ones = np.zeros(merged.place.shape, np.float32)
    for row, values in enumerate(rows):
        ones[row, : len(values)] = 1
    counts = merged.summed(tf.constant(ones)).numpy()
    for row, values in enumerate(rows):
        expected = by_hand(values)
        assert merged.lengths[row] == len(expected)
        texts = merged.pieces[row].numpy().tolist()
        assert [text.decode() for text in texts[: len(expected)]] == [text for text, _ in expected]
        assert not any(texts[len(expected) :])
        assert counts[row].tolist() == [count for _, count in expected] + [0] * (len(texts) - len(expected))


@pytest.mark.parametrize(
    ("raw", "stray"),
    [
        (b"\xc0\x80", [1, 1]),  # overlong
        (b"\xed\xa0\x80", [1, 1, 1]),  # a surrogate
        (b"\xf4\x90\x80\x80", [1, 1, 1, 1]),  # beyond U+10FFFF
        (b"\xf0\x9f\x98", [1, 1, 1]),  # cut
        (b"\xf0\x9f\x98\x80\x80", [0, 0, 0, 0, 1]),
        (b"a\xe2\x82\xac", [0, 0, 0, 0]),
    ],
)
def test_byte_pieces_outside_utf8_are_stray(raw, stray):
    assert byte_roles(tf.constant([of_bytes(raw)])).stray.numpy()[0].tolist() == [bool(s) for s in stray]


def test_byte_pieces_of_a_batch_of_nothing():
    merged = merge([[], []])
    assert merged.pieces.numpy().tolist() == [[b""], [b""]]
    assert merged.lengths.numpy().tolist() == [0, 0]
    assert merge([of_bytes("é".encode()), []]).pieces.numpy().tolist() == [["é".encode()], [b""]]
