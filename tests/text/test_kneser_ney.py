"""Modified Kneser-Ney: distributions, and the definition written out for a small text."""

from __future__ import annotations

import numpy as np
import pytest

from seqpipe.text.kneser_ney import KneserNey, choose_order, unigram_nats

TEXT = np.array([0, 1, 2, 0, 1, 1, 2, 0, 1, 2, 2, 0, 3, 0, 1])


@pytest.mark.parametrize("before", [[0], [0, 1], [1, 2], [3, 3], [2, 1], [0, 1, 2]])
def test_kneser_ney_probabilities_sum_to_one(before):
    model = KneserNey.fit(TEXT, order=3, vocabulary_size=5)
    total = sum(np.exp(-model.nats(np.array([*before, last]))[-1]) for last in range(5))
    assert total == pytest.approx(1.0)


def test_kneser_ney_of_one_character_is_the_discounted_unigram():
    # counts 5, 5, 4, 1 and no count of 2 or 3, so the fixed discounts hold: 0.9, 0.9, 0.9, 0.5
    model = KneserNey.fit(TEXT, order=1, vocabulary_size=5)
    left_over = (3 * 0.9 + 0.5) / 15
    wanted = [(5 - 0.9) / 15, (5 - 0.9) / 15, (4 - 0.9) / 15, (1 - 0.5) / 15, 0.0]
    for last, share in enumerate(wanted):
        assert np.exp(-model.nats(np.array([last]))[0]) == pytest.approx(share + left_over / 5)


def test_kneser_ney_of_two_characters_counts_what_stands_before():
    model = KneserNey.fit(TEXT, order=2, vocabulary_size=5)
    # pairs: 01 x4, 12 x3, 20 x3, and once each 11, 22, 03, 30; before 0: 2, 3; 1: 0, 1; 2: 1, 2; 3: 0
    discount = {1: 0.5, 2: 0.75, 3: 0.9, 4: 0.9}
    shorter = (2 - 0.75) / 7 + (3 * 0.75 + 0.5) / 7 / 5
    wanted = (4 - discount[4]) / 5 + (discount[4] + discount[1]) / 5 * shorter
    assert np.exp(-model.nats(np.array([0, 1]))[1]) == pytest.approx(wanted)


def test_kneser_ney_beats_the_unigram_where_order_matters_and_finds_the_order():
    rng = np.random.default_rng(1)
    words = [[0, 1, 2, 3], [0, 2, 1, 3]]
    text = np.concatenate([words[i] for i in rng.integers(2, size=4000)])
    train, held = text[:12_000], text[12_000:]
    order = choose_order(train, vocabulary_size=4)
    assert order >= 3
    ngrams = KneserNey.fit(train, order=order, vocabulary_size=4).nats(held).mean()
    assert ngrams == pytest.approx(np.log(2) / 4, abs=0.01), "one choice in four characters"
    assert unigram_nats(train, held, vocabulary_size=4).mean() == pytest.approx(np.log(4), abs=0.01)


def joined(texts):
    return np.concatenate([[0], *([*text, 0] for text in texts)])


def test_kneser_ney_of_several_texts_knows_nothing_of_their_order():
    texts = [[1, 2, 3], [2, 2], [1, 2, 1, 3], [3], [1, 3, 2, 2]]
    one, other = (KneserNey.fit(joined(part), order=4, vocabulary_size=5, edge=0) for part in (texts, texts[::-1]))
    held = joined([[1, 2, 2], [3, 1]])
    np.testing.assert_allclose(one.nats(held), other.nats(held))
    np.testing.assert_allclose(one.nats(held)[5:], one.nats(joined([[3, 1]]))[1:])  # the text before says nothing
    for before in ([0], [0, 1], [2, 0], [0, 1, 2], [1, 2]):
        total = sum(np.exp(-one.nats(np.array([*before, last]))[-1]) for last in range(5))
        assert total == pytest.approx(1.0)


def test_kneser_ney_of_several_texts_counts_how_often_one_begins_so():
    model = KneserNey.fit(joined([[1, 2], [1, 3], [1, 2], [2, 3]]), order=3, vocabulary_size=5, edge=0)
    # Behind an edge 1 stands three times and 2 once. Alone, of seven different pairs one ends in 1, and two each in
    # the others: 1 - 0.5 is kept of the one, 2 - 0.75 of the two.
    alone = (1 - 0.5) / 7 + (0.5 + 3 * 0.75) / 7 / 5
    assert np.exp(-model.nats(np.array([0, 1]))[1]) == pytest.approx((3 - 0.9) / 4 + (0.9 + 0.5) / 4 * alone)


def test_kneser_ney_of_texts_shorter_than_the_longest_order_has_the_orders_that_there_are():
    ids = np.array([0, 2, 3, 4] * 300 + [0])
    model = KneserNey.fit(ids, order=8, vocabulary_size=5, edge=0)
    assert len(model.orders) == 5, "an edge, three ids and the edge behind them"
    assert choose_order(ids, vocabulary_size=5, edge=0) in (2, 3, 4, 5)
    np.testing.assert_allclose(model.nats(ids), KneserNey.fit(ids, order=5, vocabulary_size=5, edge=0).nats(ids))
