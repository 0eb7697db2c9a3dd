"""Copied spans, known words and variety, counted by hand."""

from __future__ import annotations

import string

import pytest

from seqpipe.text.copying import Source, distinct_fraction

LETTERS = string.ascii_lowercase  # 26, so 7 spans of 20


@pytest.mark.parametrize(("length", "spans"), [(26, 7), (20, 1), (19, 0), (0, 0)])
def test_copying_spans_are_all_of_twenty_characters(length, spans):
    assert len(Source(LETTERS[:length]).spans) == spans


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (LETTERS, 1.0),
        (LETTERS[6:], 1.0),
        (LETTERS[6:] + "!", 0.5),
        ("!" + LETTERS[:21], 2 / 3),
        (LETTERS[:10] + "!" + LETTERS[10:], 0.0),
        (LETTERS[:19], 0.0),
        ("", 0.0),
    ],
)
def test_copying_share_is_of_the_spans_of_a_text(text, share):
    assert Source(LETTERS).copied_fraction(text) == pytest.approx(share)


@pytest.mark.parametrize(
    ("source", "text", "longest"),
    [
        ("ab cd", "ab-cd", "ab"),  # the first of two
        ("ab cde", "ab-cde", "cde"),
        ("abcdef", "xbcdey", "bcde"),
        ("abcdef", "abcdef", "abcdef"),
        ("abcdef", "defabcd", "abcd"),
        ("aab", "ab", "ab"),
        ("ab cd", "ab-cd!", "ab"),
        ("ab", "xa-y", "a"),
        ("a-bc", "abc", "bc"),
        ("ab", "b-a", "b"),
        ("abc", "c", "c"),
        ("abc", "a", "a"),
        ("abc", "xyz", ""),
        ("abc", "", ""),
        ("", "abc", ""),
    ],
)
def test_copying_longest_span_stands_in_both(source, text, longest):
    assert Source(source).longest_copy(text) == longest


def test_copying_words_are_letters_whatever_their_case():
    source = Source("Der Fuchs_geht 3mal, ÜBER den Bach")
    assert source.words == {"der", "fuchs", "geht", "mal", "über", "den", "bach"}
    assert source.known_words_fraction("DER fuchs flog über_alles 99") == pytest.approx(3 / 5)
    assert source.known_words_fraction("12 _ ?") == 1.0


@pytest.mark.parametrize(
    ("texts", "size", "share"),
    [
        (["abab"], 1, 0.5),
        (["abab"], 2, 2 / 3),
        (["ab", "ab", "ba"], 2, 2 / 3),  # nothing goes from one text into the next
        (["ab", "cd"], 3, 0.0),
        ([], 1, 0.0),
    ],
)
def test_copying_distinct_share_is_of_the_ngrams_within_texts(texts, size, share):
    assert distinct_fraction(texts, size) == pytest.approx(share)
