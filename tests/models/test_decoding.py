"""Searches against a table of probabilities, where every text can be listed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from seqpipe.models import decoding
from seqpipe.text.vocabulary import BOS, EOS, PAD

VOCABULARY = 7  # pad, unknown, begin, end and three pieces
PIECES = (4, 5, 6)


class Table:
    """A model whose logits depend on row, step, and the two pieces before: nothing in it is like anything else."""

    def __init__(self, rows, steps=8, seed=0, scale=2.0):
        size = (rows, steps, VOCABULARY, VOCABULARY, VOCABULARY)
        self.logits = np.random.default_rng(seed).normal(size=size, scale=scale).astype(np.float32)
        self.table = tf.constant(self.logits)
        self.state = {"step": tf.zeros([rows, 1], tf.int32), "before": tf.zeros([rows, 1, 1], tf.int32)}

    def take(self, rows):
        part = Table(len(rows))
        part.logits = self.logits[rows]
        part.table = tf.constant(part.logits)
        return part

    def step(self, tokens, state):
        row = tf.broadcast_to(tf.range(tf.shape(tokens)[0])[:, None], tf.shape(tokens))
        logits = tf.gather_nd(self.table, tf.stack([row, state["step"], state["before"][:, :, 0], tokens], axis=2))
        return logits, {"step": state["step"] + 1, "before": tokens[:, :, None]}

    def score(self, row, pieces, penalty):
        """What any text scores, one product after the other."""
        total, before, last = 0.0, 0, BOS
        for step, piece in enumerate([*pieces, EOS]):
            logits = self.logits[row, step, before, last].astype(np.float64)
            total += logits[piece] - np.log(np.exp(logits).sum())
            before, last = last, piece
        return total / ((5 + len(pieces) + 1) / 6) ** penalty


def texts(answers, row):
    ids, lengths = answers.ids.numpy()[row], answers.lengths.numpy()[row]
    return [tuple(i[:n]) for i, n in zip(ids, lengths, strict=True)]


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_decoding_wide_beam_finds_what_listing_all_texts_finds(penalty):
    model, bound = Table(3), 3
    bounds = tf.fill([3], bound)
    answers = decoding.beam(model.step, model.state, bounds, width=200, length_penalty=penalty)
    every = [text for length in range(bound + 1) for text in itertools.product(PIECES, repeat=length)]
    for row in range(3):
        ranked = sorted(every, key=lambda text, row=row: -model.score(row, text, penalty))
        assert texts(answers, row)[: len(every)] == ranked
        scores = answers.scores.numpy()[row]
        np.testing.assert_allclose(scores[: len(every)], [model.score(row, t, penalty) for t in ranked], atol=1e-4)
        assert (scores[len(every) :] == decoding.LOWEST).all()


def test_decoding_narrow_beam_scores_are_those_of_its_texts():
    model = Table(4)
    answers = decoding.beam(model.step, model.state, tf.fill([4], 6), width=3, length_penalty=0.7)
    for row in range(4):
        expected = [model.score(row, text, 0.7) for text in texts(answers, row)]
        np.testing.assert_allclose(answers.scores.numpy()[row], expected, atol=1e-4)
        assert sorted(expected, reverse=True) == expected


def test_decoding_beam_of_width_one_is_greedy():
    for seed in range(5):
        model = Table(6, seed=seed)
        bounds = tf.constant([0, 1, 2, 7, 7, 7])
        one = decoding.beam(model.step, model.state, bounds, width=1, length_penalty=1.0)
        greedy = decoding.greedy(model.step, model.state, bounds, length_penalty=1.0)
        np.testing.assert_array_equal(one.ids.numpy()[:, 0], greedy.ids.numpy())
        np.testing.assert_array_equal(one.lengths.numpy()[:, 0], greedy.lengths.numpy())
        np.testing.assert_array_equal(one.truncated.numpy()[:, 0], greedy.truncated.numpy())
        np.testing.assert_allclose(one.scores.numpy()[:, 0], greedy.scores.numpy(), atol=1e-5)


def test_decoding_greedy_takes_the_likeliest_allowed_piece():
    model = Table(5)
    answers = decoding.greedy(model.step, model.state, tf.fill([5], 6))
    for row, (ids, length) in enumerate(zip(answers.ids.numpy(), answers.lengths.numpy(), strict=True)):
        text, before, last = [], 0, BOS
        while len(text) < 6:
            logits = model.logits[row, len(text), before, last]
            piece = EOS + int(logits[EOS:].argmax())
            if piece == EOS:
                break
            text.append(piece)
            before, last = last, piece
        assert ids[:length].tolist() == text
        assert (ids[length:] == PAD).all()
        assert answers.truncated.numpy()[row] == (len(text) == 6)
        assert answers.scores.numpy()[row] == pytest.approx(model.score(row, text, 0.0), abs=1e-4)


def test_decoding_a_row_beside_others_is_the_row_alone():
    model, bounds = Table(5), tf.constant([7, 2, 0, 5, 7])
    searches = (
        lambda m, b: decoding.greedy(m.step, m.state, b),
        lambda m, b: decoding.beam(m.step, m.state, b, width=3, length_penalty=1.0),
    )
    for search in searches:
        together = search(model, bounds)
        for row in range(5):
            alone = search(model.take([row]), bounds[row : row + 1])
            width = alone.ids.shape[-1]
            np.testing.assert_array_equal(together.ids.numpy()[row][..., :width], alone.ids.numpy()[0])
            assert not together.ids.numpy()[row][..., width:].any()
            np.testing.assert_allclose(together.scores.numpy()[row], alone.scores.numpy()[0], atol=1e-5)


def test_decoding_always_ends_at_its_bounds():
    class Endless(Table):
        """Would never end by itself."""

        def step(self, tokens, state):
            logits, state = super().step(tokens, state)
            return logits - 1e4 * tf.one_hot(EOS, VOCABULARY), state

    model, bounds = Endless(4), tf.constant([0, 1, 5, 7])
    for answers in (decoding.greedy(model.step, model.state, bounds),):
        np.testing.assert_array_equal(answers.lengths.numpy(), bounds.numpy())
        np.testing.assert_array_equal(answers.truncated.numpy(), [False, True, True, True])
        assert np.isfinite(answers.scores.numpy()).all()
    beam = decoding.beam(model.step, model.state, bounds, width=2)
    np.testing.assert_array_equal(beam.lengths.numpy(), [[0, 0], [1, 1], [5, 5], [7, 7]])


def test_decoding_without_a_row_or_a_piece_to_find():
    model = Table(2)
    for search in (decoding.greedy, lambda *args: decoding.beam(*args, width=3)):
        answers = search(model.step, model.state, tf.zeros([2], tf.int32))
        assert not answers.lengths.numpy().any()
        assert not answers.truncated.numpy().any()
        assert answers.scores.numpy().reshape(2, -1)[:, 0].tolist() == [0.0, 0.0]


def test_decoding_of_no_rows_is_no_answers():
    model = Table(2).take([])
    for search in (decoding.greedy, lambda *args: decoding.beam(*args, width=3)):
        answers = search(model.step, model.state, tf.zeros([0], tf.int32))
        assert len(answers.ids) == len(answers.scores) == 0
