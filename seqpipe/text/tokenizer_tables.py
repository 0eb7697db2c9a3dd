"""A fitted vocabulary as the flat tables the graph looks things up in.

Every character gets a class: OTHER (in no piece), SPACE, one class for each character of the pieces, and beyond these
one for each character whose normal form is longer than one character or in no piece. A is the number of the former.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from seqpipe.text.pieces import TextFeatures
from seqpipe.text.trie import DoubleArray, double_array
from seqpipe.text.vocabulary import FIRST_PIECE, SCORE_UNITS, SPACE_MARK, UNKNOWN, UNKNOWN_PENALTY

OTHER, SPACE = 0, 1
PAGE_BITS = 7  # code points share a page of the class table by 128
MOST_PAIRS = 1 << 16  # beyond, pairs of classes share places: a false "joined" costs time, never an answer
RANK_BITS = 17  # a Viterbi score is score << RANK_BITS | rank of the last piece
NO_PIECE = -(1 << 60)


class Tables(NamedTuple):
    """All the graph needs to know of a vocabulary."""

    characters: int  # A
    page: np.ndarray  # int32 [pages]: code point c has class class_of[page[c >> PAGE_BITS] + c]
    class_of: np.ndarray  # int32
    form_start: np.ndarray  # int32 [classes + 1]: class k becomes form[form_start[k] : form_start[k + 1]]
    form: np.ndarray  # int32: classes below A
    form_code: np.ndarray  # int32: their code points, -1 for OTHER
    joined: np.ndarray  # bool: a piece holds class a before b, at a * (A + 1) + b modulo its size, a power of two
    trie: DoubleArray  # over classes; value = score << RANK_BITS | rank
    length: np.ndarray  # int32 [ranks]: characters of a piece; a longer piece has a higher rank
    piece: np.ndarray  # int32 [ranks]: its id
    surface: list[bytes]  # [V]
    marked: np.ndarray  # bool [V]: the piece starts with a word boundary


def tables(features: TextFeatures) -> Tables:
    """Derives the tables from a fitted vocabulary."""
    pieces = [(piece.replace(SPACE_MARK, " "), score) for piece, score in features.scored_pieces]
    characters = ["", " ", *sorted({c for piece, _ in pieces for c in piece} - {" "})]
    class_of = {c: k for k, c in enumerate(characters)}

    rules = {code: "".join(map(chr, form)) for code, form in features.rules.items()}
    simple = {code: class_of[form] for code, form in rules.items() if form in class_of}
    others = [code for code in rules if code not in simple]
    page, classes = _two_stage(
        {ord(c): k for c, k in class_of.items() if c and ord(c) not in rules}
        | simple
        | {code: k for k, code in enumerate(others, len(characters))}
    )
    other_forms = [[class_of.get(c, OTHER) for c in rules[code]] for code in others]
    forms = [[k] for k in range(len(characters))] + other_forms
    form_code = [-1, ord(SPACE_MARK), *map(ord, characters[2:])] + [ord(c) for code in others for c in rules[code]]

    unknown_score = min(score for _, score in pieces) - round(UNKNOWN_PENALTY * SCORE_UNITS)
    ranked: dict[tuple[int, ...], tuple[int, int]] = {(k,): (unknown_score, UNKNOWN) for k in range(len(characters))}
    ranked |= {tuple(class_of[c] for c in piece): (score, i) for i, (piece, score) in enumerate(pieces, FIRST_PIECE)}
    keys = sorted(ranked, key=len)
    trie = double_array(
        {key: (ranked[key][0] << RANK_BITS) + rank for rank, key in enumerate(keys)},
        symbols=len(characters),
        no_value=NO_PIECE,
    )
    return Tables(
        characters=len(characters),
        page=page,
        class_of=classes,
        form_start=np.cumsum([0, *map(len, forms)], dtype=np.int32),
        form=np.asarray(list(itertools.chain(*forms)), np.int32),
        form_code=np.asarray(form_code, np.int32),
        joined=_joined(keys, other_forms, len(characters)),
        trie=trie,
        length=np.asarray([len(key) for key in keys], np.int32),
        piece=np.asarray([ranked[key][1] for key in keys], np.int32),
        surface=features.piece_bytes,
        marked=np.asarray([i >= FIRST_PIECE and s.startswith(b" ") for i, s in enumerate(features.piece_bytes)]),
    )


def _two_stage(codes: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A sparse table over all code points as a page for each block of them; equal pages are kept once."""
    full = np.zeros(0x110000, np.int32)
    full[list(codes)] = list(codes.values())
    blocks, inverse = np.unique(full.reshape(-1, 1 << PAGE_BITS), axis=0, return_inverse=True)
    first_codes = np.arange(0, len(full), 1 << PAGE_BITS)
    return ((inverse.reshape(-1) << PAGE_BITS) - first_codes).astype(np.int32), blocks.reshape(-1)


def _joined(pieces: list[tuple[int, ...]], other_forms: list[list[int]], characters: int) -> np.ndarray:
    """Which classes some piece holds side by side. Class A stands for all beyond: it is joined if any of them is."""
    firsts, lasts = {form[0] for form in other_forms}, {form[-1] for form in other_forms}
    joined = np.zeros(min(1 << ((characters + 1) ** 2 - 1).bit_length(), MOST_PAIRS), bool)
    for a, b in {pair for piece in pieces for pair in itertools.pairwise(piece)}:
        left = [a, characters] if a in lasts else [a]
        right = [b, characters] if b in firsts else [b]
        for x, y in itertools.product(left, right):
            joined[(x * (characters + 1) + y) % len(joined)] = True
    return joined
