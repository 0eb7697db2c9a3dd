from __future__ import annotations

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from seqpipe.evaluation.paired import with_interval
from seqpipe.evaluation.rows import RowFigures
from seqpipe.tasks.translation.bleu import CORPUS_BLEU, COUNTS, OF_ROWS, bleu, bleu_rows

WORDS = ["a", "dog", "sleeps", "in", "the", "garden", "today", "."]


def sentences(seed, references=None):
    """Random sentences, or such with a word of each changed."""
    rng = np.random.default_rng(seed)
    if references is None:
        return [" ".join(rng.choice(WORDS, rng.integers(4, 9))) for _ in range(40)]
    changed = []
    for line in references:
        words = line.split()
        words[rng.integers(len(words))] = "cat"
        changed.append(" ".join(words))
    return changed


REFERENCES = sentences(1)
GOOD, BETTER = sentences(2, REFERENCES), [*sentences(3, REFERENCES)[:20], *REFERENCES[20:]]


def sacrebleu_of(answers, times):
    rows = np.repeat(np.arange(len(answers)), times)
    return BLEU().corpus_score([answers[i] for i in rows], [[REFERENCES[i] for i in rows]]).score


def test_bleu_counts_give_what_sacrebleu_gives(tmp_path):
    rows = bleu_rows(GOOD, REFERENCES, "13a")
    assert CORPUS_BLEU.of(rows, np.ones(len(rows), int)) == pytest.approx(sacrebleu_of(GOOD, 1))
    alone = BLEU(effective_order=True).sentence_score(GOOD[3], [REFERENCES[3]]).score
    assert rows.columns[OF_ROWS][3] == pytest.approx(alone)
    rows.write(tmp_path)
    again = RowFigures.read(tmp_path)
    assert again is not None
    np.testing.assert_array_equal(again.columns[COUNTS], rows.columns[COUNTS])
    assert again.rows_key == rows.rows_key != bleu_rows(GOOD, REFERENCES, "char").rows_key
    assert RowFigures.read(tmp_path / "nothing") is None
    assert bleu(["一只狗在花园里睡觉"], ["一只猫在花园里睡觉"], "zh") > bleu(
        ["一只狗在花园里睡觉"], ["一只猫在花园里睡觉"]
    )


def test_bleu_difference_is_a_paired_bootstrap():
    ours, theirs = (bleu_rows(answers, REFERENCES, "13a") for answers in (BETTER, GOOD))
    found = with_interval(CORPUS_BLEU, [ours], [theirs], samples=25, seed=4)
    rng = np.random.default_rng(4)
    drawn = [rng.multinomial(40, np.full(40, 1 / 40)) for _ in range(25)]
    expected = [sacrebleu_of(BETTER, times) - sacrebleu_of(GOOD, times) for times in drawn]
    assert found["value"] == pytest.approx(sacrebleu_of(BETTER, 1) - sacrebleu_of(GOOD, 1))
    assert found["low"] == pytest.approx(np.quantile(expected, 0.025))
    assert found["high"] == pytest.approx(np.quantile(expected, 0.975))
    both = with_interval(CORPUS_BLEU, [ours, theirs], samples=25, seed=4)
    assert both["value"] == pytest.approx((sacrebleu_of(BETTER, 1) + sacrebleu_of(GOOD, 1)) / 2)
