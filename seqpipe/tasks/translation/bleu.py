"""BLEU as sacreBLEU computes it, from sums over rows: so rows can be drawn again without scoring them again.

Axes: N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.data.examples import content_key
from seqpipe.errors import RunError
from seqpipe.evaluation.measures import Measure
from seqpipe.evaluation.rows import RowFigures

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU

COUNTS, OF_ROWS = "counts", "bleu_of_rows"


def metric(tokenize: str, *, effective_order: bool = False) -> BLEU:
    """Raises RunError: the package that the tokenisation needs is not installed."""
    from sacrebleu.metrics import BLEU

    try:
        return BLEU(tokenize=tokenize, effective_order=effective_order)
    except RuntimeError as error:
        language = tokenize.partition("-")[0]
        raise RunError(f"evaluation.tokenize = {tokenize} needs pip install 'sacrebleu[{language}]'.") from error


def bleu(answers: Sequence[str], references: Sequence[str], tokenize: str = "13a") -> float:
    """Corpus BLEU, cased, 0..100."""
    return metric(tokenize).corpus_score(list(answers), [list(references)]).score


def bleu_rows(answers: Sequence[str], references: Sequence[str], tokenize: str) -> RowFigures:
    """What the BLEU of a system's answers is computed from.

    Returns:
        The columns `counts` int64 [N, 10] (matches and n-grams of each order, and both lengths) and `bleu_of_rows`
        float64 [N] (of each row by itself); the key stands for references and tokenisation.
    """
    by_row = metric(tokenize, effective_order=True)
    parts = [by_row.sentence_score(a, [r]) for a, r in zip(answers, references, strict=True)]
    counts = np.array([[*part.counts, *part.totals, part.sys_len, part.ref_len] for part in parts], np.int64)
    columns = {COUNTS: counts, OF_ROWS: np.array([part.score for part in parts])}
    return RowFigures(content_key(tokenize, list(references)), columns)


class CorpusBleu(Measure):
    """BLEU of all rows together, 0..100, which is no mean over them."""

    is_mean = False

    def of(self, rows: RowFigures, times: np.ndarray) -> float:
        from sacrebleu.metrics import BLEU

        sums = [int(number) for number in times @ rows.columns[COUNTS]]
        return BLEU.compute_bleu(sums[:4], sums[4:8], sums[8], sums[9], smooth_method="exp").score


CORPUS_BLEU = CorpusBleu("bleu", "BLEU", note="by beam search")
