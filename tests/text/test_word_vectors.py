from __future__ import annotations

import gzip

import numpy as np
import pytest

from seqpipe.errors import DataError
from seqpipe.text.pieces import TextFeatures
from seqpipe.text.vocabulary import FIRST_PIECE
from seqpipe.text.word_vectors import PieceVectors, spread_vectors


@pytest.fixture(scope="module")
def features():
    return TextFeatures.fit(
        ["good film", "good films", "bad film", "goodness me"] * 50,
        vocabulary_size=300,
        lowercase=True,
        character_coverage=1.0,
    )


def test_vectors_spread_as_the_plain_rule_says(features, tmp_path):
    rng = np.random.default_rng(0)
    words = {word: rng.normal(size=3).round(4) for word in ("good", "film", "films", "goodness", "unheard")}
    file = tmp_path / "vectors.txt"
    file.write_text("".join(f"{word} {' '.join(map(str, vector))}\n" for word, vector in words.items()))
    found = spread_vectors(str(file), features, units=3)
    assert found.words == 5
    for piece in range(FIRST_PIECE, features.vocabulary_size):
        own = [vector for word, vector in words.items() if features.encode([word])[0].tolist() == [piece]]
        inside = [
            vector for word, vector in words.items() if len(ids := features.encode([word])[0]) > 1 and piece in ids
        ]
        parts = [np.mean(vectors, axis=0) for vectors in (own, inside) if vectors]
        assert found.known[piece] == bool(parts)
        np.testing.assert_allclose(found.vectors[piece], np.mean(parts, axis=0) if parts else np.zeros(3), atol=1e-6)
    assert found.known.any()


def test_vectors_read_word2vec_header_gz_and_words_with_spaces(features, tmp_path):
    file = tmp_path / "vectors.txt.gz"
    file.write_bytes(gzip.compress(b"3 2\ngood 1 2\n1999 0.5 0.25 \nnew york 3 4\n"))
    assert spread_vectors(str(file), features, units=2).words == 3


def test_vectors_of_a_word_in_several_cases_are_those_of_the_first(features, tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("good 1 2\nGood 30 40\nGOOD 500 600\n")
    found = spread_vectors(str(file), features, units=2)
    (piece,) = features.encode(["good"])[0]
    np.testing.assert_array_equal(found.vectors[piece], [1, 2])


@pytest.mark.parametrize("apart", [" ", "\t", "  "])
def test_vectors_stand_apart_by_blanks_and_lines_may_be_empty(features, tmp_path, apart):
    file = tmp_path / "vectors.txt"
    file.write_text("\n".join(["windows 95 1 2", "", "good 1 2", "film 3 4", ""]).replace(" ", apart))
    assert spread_vectors(str(file), features, units=2).words == 3


def test_vectors_leave_out_lines_that_are_no_utf8(features, tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_bytes(b"caf\xe9 1 2\ngood 3 4\n")
    found = spread_vectors(str(file), features, units=2)
    assert (found.words, found.skipped) == (1, 1)
    assert found.coverage(np.ones(features.vocabulary_size, int)).endswith("; 1 of their lines are no UTF-8")
    found.save(tmp_path / "vectors.npz")
    assert PieceVectors.load(tmp_path / "vectors.npz").skipped == 1
    file.write_bytes(b"3 2\ngood \x00\x80\xff\x3f\n")
    with pytest.raises(DataError, match=r"no vector in it\. .*txt:2: .* Allowed: the text form, not a binary one"):
        spread_vectors(str(file), features, units=2)


def test_vectors_of_a_phrase_may_stand_behind_a_number(features, tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("good 1 2\nwindows 95 3 4\nfilm 5 6\n")
    assert spread_vectors(str(file), features, units=2).words == 3


def test_vectors_keep_what_is_not_known_and_take_the_tables_size(features, tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("good 100 -50\nfilm 30 20\nbad -80 10\n")
    found = spread_vectors(str(file), features, units=2)
    table = np.random.default_rng(0).normal(scale=0.05, size=(features.vocabulary_size, 2)).astype(np.float32)
    filled = found.onto(table)
    np.testing.assert_array_equal(filled[~found.known], table[~found.known])
    assert np.sqrt(np.mean(filled[found.known] ** 2)) == pytest.approx(np.sqrt(np.mean(table**2)), rel=1e-4)
    counts = np.ones(features.vocabulary_size, int)
    assert found.coverage(counts).startswith("3 word vectors reach ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("good 1 2\nbad 1\n", r"vectors\.txt:2: a vector of 1 numbers; model\.embedding\.units is 2"),
        ("good 1 2 3\n", r"vectors\.txt:1: a vector of 3 numbers"),
        ("good\n", r"vectors\.txt:1: a vector of 0 numbers"),
        ("good 1 nan\n", r"vectors\.txt:1: a number that is not finite"),
        ("3 2\n", "no vector in it"),
        ("good,1,2\n", r"a vector of 0 numbers.* A word and its numbers stand apart by spaces or tabs"),
        ("good 1 2\nfilm 1 1\nbad 9e9 1\n", r'txt:3: the vector of "bad" is 4\.02e\+09 times as long as the usual one'),
        ("good 1 2\nfilm 1 1\nbad 1e38 1e38\n", r"txt:3: .* times as long"),
    ],
)
def test_vectors_faulty_files_are_named_by_line(features, tmp_path, text, message):
    file = tmp_path / "vectors.txt"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        spread_vectors(str(file), features, units=2)
