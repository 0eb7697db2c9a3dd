from __future__ import annotations

import numpy as np
import pytest

from seqpipe.tasks.text_classification.deletion import DRAWS, deletion_test, to_markdown

NEGATIVE, POSITIVE, FILLER = 1, 2, 3


def counted(rows):
    """Probabilities [N, 2] of a model that counts two ids and nothing else."""
    logits = np.array([[np.sum(row == NEGATIVE), np.sum(row == POSITIVE)] for row in rows], np.float64)
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def rows_and_weights(*, pointing: bool):
    """Twenty pieces a row, two of which decide; the weights point at those, or away from them."""
    rng = np.random.default_rng(3)
    ids, weights = [], []
    for _ in range(60):
        row = np.full(20, FILLER)
        places = rng.choice(20, 2, replace=False)
        row[places] = rng.choice([NEGATIVE, POSITIVE])
        weight = rng.random(20) * 0.01
        weight[places] += 1.0 if pointing else -1.0
        ids.append(row)
        weights.append(weight)
    return ids, weights


def test_deletion_of_what_decides_moves_the_answer():
    ids, weights = rows_and_weights(pointing=True)
    result = deletion_test(ids, weights, counted, samples=500, seed=1)
    whole = np.exp(2) / (np.exp(2) + 1)
    assert result["heaviest"] == pytest.approx(whole - 0.5)
    # Of two random pieces out of twenty both decide in 1 of 190 rows, one in 36 of 190.
    half = whole - np.exp(1) / (np.exp(1) + 1)
    assert result["random"] == pytest.approx((whole - 0.5) / 190 + half * 36 / 190, abs=0.015)
    assert result["difference"]["low"] > 0.3
    assert "The weights point at what the answer rests on." in to_markdown(result)


def test_deletion_sees_weights_that_point_away():
    ids, weights = rows_and_weights(pointing=False)
    result = deletion_test(ids, weights, counted, samples=500, seed=1)
    assert result["heaviest"] == 0
    assert result["difference"]["high"] < 0
    assert "do not read them as reasons" in to_markdown(result)


def test_deletion_of_answers_that_do_not_move_tells_nothing():
    ids = [np.full(10, FILLER)] * 30
    result = deletion_test(ids, [np.full(10, 0.1)] * 30, counted, samples=200, seed=1)
    assert result["difference"] == {"value": 0, "low": 0, "high": 0, "n": 30, "sign_p": 1}
    assert "The answers do not move" in to_markdown(result)
    tiny = {**result["difference"], "value": -9e-13, "low": -2e-12, "high": -2e-16, "sign_p": 0.002}
    assert "The answers do not move" in to_markdown({**result, "random": 9e-13, "difference": tiny})


def test_deletion_that_moves_answers_as_random_ones_do_has_no_evidence():
    ids = [np.full(10, FILLER)] * 30
    result = deletion_test(ids, [np.full(10, 0.1)] * 30, counted, samples=200, seed=1)
    assert "no evidence" in to_markdown({**result, "heaviest": 0.1, "random": 0.1})


def test_deletion_of_a_row_or_two_is_no_evidence():
    ids, weights = rows_and_weights(pointing=True)
    result = deletion_test(ids[:2], weights[:2], counted, samples=500, seed=1)
    assert result["difference"]["low"] > 0
    assert "Too few rows to tell whether the weights mean something." in to_markdown(result)


def test_deletion_takes_a_tenth_of_each_row_and_at_least_one_piece():
    seen = []

    def lengths_of(rows):
        seen.extend(len(row) for row in rows)
        return counted(rows)

    ids = [np.full(3, FILLER), np.full(40, FILLER), np.full(1, FILLER), np.zeros(0, int)]
    result = deletion_test(ids, [np.ones(len(row)) for row in ids], lengths_of, samples=100, seed=1)
    assert result["rows"] == 2  # of the others nothing would stay
    assert seen == [3, 40] + [2, 36] * (1 + DRAWS)


def test_deletion_without_rows_of_two_pieces_says_nothing():
    assert deletion_test([np.ones(1, int)], [np.ones(1)], counted, samples=100, seed=1) is None
