"""Unigram segmentation in core TensorFlow ops, equal to the SentencePiece library's.

Axis letters: B texts, T pieces, N code points of all texts, S segments, U unique segments, M characters of the unique
segments after normalisation, A characters that occur in pieces.

 1. Decode to code points; look up the class of each, which is the character it becomes.
 2. Cut wherever no piece holds the two neighbours side by side, and before each space: no piece crosses such a cut, so
    each segment is segmented alone, and equal ones once.
 3. Viterbi from left to right over all unique segments at once. A window of trie states, one for each start of a
    piece, advances by one character a step. Segments are sorted by length, so the work is linear in characters.
 4. Walk back from the ends by pointer doubling, spell unknown characters as bytes, hand the pieces back to the texts.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from seqpipe.features import text as t
from seqpipe.features.trie import ROOT, DoubleArray, double_array

RAW = tf.raw_ops
PAGE_BITS = 7
OTHER, SPACE = 0, 1  # classes: a character in no piece, a space; then the characters of pieces, then normalised ones
MOST_PAIRS = 1 << 17  # beyond, pairs share a place by hash: a pair wrongly held joined costs time, never an answer
RANK_BITS = 17  # a Viterbi score is score << RANK_BITS | rank of the last piece
NO_PIECE = -(1 << 60)


class Tables(NamedTuple):
    """All the graph needs to know of a vocabulary."""

    page: np.ndarray  # int32 [pages]: code point c has class class_of[page[c >> PAGE_BITS] + c]
    class_of: np.ndarray  # int32
    form_start: np.ndarray  # int32 [classes + 1]: class k becomes form[form_start[k] : form_start[k + 1]]
    form: np.ndarray  # int32: classes below A
    form_code: np.ndarray  # int32: their code points, -1 for OTHER
    joined: np.ndarray  # bool: whether a piece holds class a before class b, at a * (A + 1) + b modulo its size
    trie: DoubleArray  # over classes; value = score << RANK_BITS | rank
    length: np.ndarray  # int32 [ranks]: characters of a piece; a longer piece has a higher rank
    piece: np.ndarray  # int32 [ranks]: its id
    surface: list[bytes]  # [V]
    marked: np.ndarray  # bool [V]: the piece starts with a word boundary


def tables(features: t.TextFeatures) -> Tables:
    """Derives the tables from a fitted vocabulary."""
    pieces = [(piece.replace(t.SPACE_MARK, " "), score) for piece, score in features.scored_pieces]
    characters = ["", " ", *sorted({c for piece, _ in pieces for c in piece} - {" "})]
    class_of = {c: k for k, c in enumerate(characters)}

    forms = {code: "".join(map(chr, form)) for code, form in features.rules.items()}
    simple = {code: class_of[form] for code, form in forms.items() if form in class_of}
    others = {code: len(characters) + k for k, code in enumerate(forms.keys() - simple.keys())}
    codes = {ord(c): k for c, k in class_of.items() if c and ord(c) not in forms} | simple | others
    page, compact = _two_stage(codes)

    form = [[k] for k in range(len(characters))] + [[class_of.get(c, OTHER) for c in forms[code]] for code in others]
    form_code = [-1, ord(t.SPACE_MARK), *map(ord, characters[2:])] + [ord(c) for code in others for c in forms[code]]

    unknown_score = min(score for _, score in pieces) - round(t.UNKNOWN_PENALTY * t.SCORE_UNITS)
    ranked = {(k,): (unknown_score, t.UNKNOWN) for k in range(len(characters))}
    ranked |= {
        tuple(class_of[c] for c in piece): (score, i) for i, (piece, score) in enumerate(pieces, t.FIRST_BYTE + 256)
    }
    keys = sorted(ranked, key=len)
    trie = double_array(
        {key: (ranked[key][0] << RANK_BITS) + rank for rank, key in enumerate(keys)},
        symbols=len(characters),
        no_value=NO_PIECE,
    )
    return Tables(
        page=page,
        class_of=compact,
        form_start=np.cumsum([0, *map(len, form)], dtype=np.int32),
        form=np.asarray(list(itertools.chain(*form)), np.int32),
        form_code=np.asarray(form_code, np.int32),
        joined=_joined(keys, firsts={f[0] for f in form[len(characters) :]}, lasts={f[-1] for f in form[len(characters) :]}, size=len(characters)),
        trie=trie,
        length=np.asarray([len(key) for key in keys], np.int32),
        piece=np.asarray([ranked[key][1] for key in keys], np.int32),
        surface=features.piece_bytes,
        marked=np.asarray([i >= t.FIRST_BYTE + 256 and s.startswith(b" ") for i, s in enumerate(features.piece_bytes)]),
    )


def _two_stage(codes: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A sparse table over all code points as a page for each block of them; equal pages are kept once."""
    full = np.zeros(0x110000, np.int32)
    full[list(codes)] = list(codes.values())
    blocks, inverse = np.unique(full.reshape(-1, 1 << PAGE_BITS), axis=0, return_inverse=True)
    first_codes = np.arange(0, len(full), 1 << PAGE_BITS)
    return ((inverse.reshape(-1) << PAGE_BITS) - first_codes).astype(np.int32), blocks.reshape(-1)


def _joined(keys: list[tuple[int, ...]], *, firsts: set[int], lasts: set[int], size: int) -> np.ndarray:
    """Which classes stand side by side in a piece. Class `size` is any normalised character: those in firsts and lasts
    are where its form starts and ends."""
    pairs = {pair for key in keys for pair in itertools.pairwise(key)}
    pairs |= {(a, size) for a, b in pairs if b in firsts} | {(size, b) for a, b in pairs if a in lasts}
    if any(a in lasts and b in firsts for a, b in pairs):
        pairs.add((size, size))
    joined = np.zeros(min((size + 1) ** 2, MOST_PAIRS), bool)
    for a, b in pairs:
        joined[(a * (size + 1) + b) % len(joined)] = True
    return joined


class TextTokenizer(tf.Module):
    """Raw strings to piece ids and back, in the graph.

    Equal to `TextFeatures.encode` and `decode` on any bytes. Time is linear in characters.
    """

    def __init__(self, features: t.TextFeatures):
        super().__init__(name="text_tokenizer")
        known = tables(features)
        self._characters = known.trie_symbols if False else int(known.form_code.tolist().index(-1)) and 0
