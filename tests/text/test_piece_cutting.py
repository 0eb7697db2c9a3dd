from __future__ import annotations

import numpy as np
import pytest

from seqpipe.data.builtin import BUILTINS
from seqpipe.data.examples import Ragged
from seqpipe.text.piece_cutting import PieceSplitter
from seqpipe.text.pieces import TextFeatures

TEXTS = [record["text"] for record in BUILTINS["reviews"].generate("train", 500, 1)]


@pytest.fixture(scope="module")
def features():
    return TextFeatures.fit(TEXTS, vocabulary_size=900, lowercase=False, character_coverage=1.0)


def test_splitting_keeps_texts_and_makes_more_pieces(features):
    rows = Ragged.from_rows([*features.encode(TEXTS), np.zeros(0, np.int32)])
    split = PieceSplitter(features)(rows, 0.5, np.random.default_rng(0))
    assert len(split) == len(rows)
    for row in range(len(rows)):
        assert features.decode(split.row(row)) == features.decode(rows.row(row))
    assert (split.lengths >= rows.lengths).all()
    assert split.lengths.sum() > rows.lengths.sum()
    assert split.lengths[-1] == 0


def test_splitting_is_a_function_of_its_generator(features):
    rows, splitter = Ragged.from_rows(features.encode(TEXTS)), PieceSplitter(features)
    once, again, other = (splitter(rows, 0.3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once.values, again.values)
    assert once.values.tolist() != other.values.tolist()
    np.testing.assert_array_equal(splitter(rows, 0.0, np.random.default_rng(1)).values, rows.values)


def test_splitting_cuts_the_share_asked_for_and_likelier_ways_more_often(features):
    splitter = PieceSplitter(features)
    pieces = [n for n in range(features.vocabulary_size) if splitter._ways[n] > 1]
    assert pieces
    rows = Ragged.from_rows([np.full(20_000, pieces[0], np.int32)])
    split = splitter(rows, 0.25, np.random.default_rng(0))
    cuts = len(split.values) - 20_000
    assert cuts == pytest.approx(5000, abs=300)
    firsts = [int(left) for left, _ in splitter._parts[pieces[0], : splitter._ways[pieces[0]]]]
    counts = [int((split.values == first).sum()) for first in firsts]
    assert sum(counts) >= cuts
    assert counts[0] == max(counts)
