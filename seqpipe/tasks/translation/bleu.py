"""BLEU as sacreBLEU computes it, from sums over rows: so rows can be drawn again without scoring them again.

Axes: N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqpipe.data.examples import content_key
from seqpipe.evaluation.metrics import CONFIDENCE
from seqpipe.storage import writing

FILE = "bleu_counts.npz"


def metric(tokenize: str, *, effective_order: bool = False) -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize=tokenize, effective_order=effective_order)


def bleu(answers: Sequence[str], references: Sequence[str], tokenize: str = "13a") -> float:
    """Corpus BLEU, cased, 0..100."""
    return metric(tokenize).corpus_score(list(answers), [list(references)]).score


@dataclass(frozen=True)
class BleuCounts:
    """What the BLEU of a system's answers is computed from, kept so that runs can be compared row by row.

    counts: int64 [N, 10]: matches and n-grams of each order, and both lengths.
    of_rows: float64 [N], BLEU of each row by itself.
    rows_key: a hash of references and tokenisation; equal keys are the same rows.
    """

    counts: np.ndarray
    of_rows: np.ndarray
    rows_key: str

    @classmethod
    def of(cls, answers: Sequence[str], references: Sequence[str], tokenize: str) -> BleuCounts:
        by_row = metric(tokenize, effective_order=True)
        parts = [by_row.sentence_score(a, [r]) for a, r in zip(answers, references, strict=True)]
        counts = np.array([[*part.counts, *part.totals, part.sys_len, part.ref_len] for part in parts], np.int64)
        return cls(counts, np.array([part.score for part in parts]), content_key(tokenize, list(references)))

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def figure(self) -> float:
        """Corpus BLEU, 0..1 as other figures that runs are compared by."""
        return self.score_of(np.ones(len(self), np.int64)) / 100

    def score_of(self, times: np.ndarray) -> float:
        """Corpus BLEU, 0..100, where row i stands times[i] times."""
        from sacrebleu.metrics import BLEU

        sums = [int(number) for number in times @ self.counts]
        return BLEU.compute_bleu(sums[:4], sums[4:8], sums[8], sums[9], smooth_method="exp").score

    def write(self, directory: Path) -> None:
        with writing(directory / FILE) as file:
            np.savez(file, counts=self.counts, of_rows=self.of_rows, rows_key=np.array(self.rows_key))

    @classmethod
    def read(cls, directory: Path) -> BleuCounts | None:
        """What `write` wrote; None where nothing was written."""
        file = directory / FILE
        if not file.is_file():
            return None
        with np.load(file) as saved:
            return cls(saved["counts"], saved["of_rows"], str(saved["rows_key"]))


def with_interval(
    ours: Sequence[BleuCounts], less: Sequence[BleuCounts] = (), *, samples: int, seed: int
) -> dict[str, float]:
    """The mean BLEU of systems, less that of others, with a percentile interval over resampled rows (Koehn 2004).

    All systems are resampled alike, so the interval of a difference is that of a paired bootstrap.
    """

    def figure(times: np.ndarray) -> float:
        means = [np.mean([system.score_of(times) for system in systems]) for systems in (ours, less) if systems]
        return float(means[0] - sum(means[1:]))

    rows = len(ours[0])
    generator = np.random.default_rng(seed)
    scores = [figure(generator.multinomial(rows, np.full(rows, 1 / rows))) for _ in range(samples)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(scores, [tail, 1 - tail])
    return {"value": figure(np.ones(rows, np.int64)), "low": float(low), "high": float(high)}
