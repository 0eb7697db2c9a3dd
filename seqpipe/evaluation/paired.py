"""A measure of one pipeline less that of another on the same rows, with the interval of a paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqpipe.evaluation.forecasts import block_interval
from seqpipe.evaluation.measures import Measure
from seqpipe.evaluation.metrics import CONFIDENCE
from seqpipe.evaluation.rows import RowFigures

MEAN_SAMPLES = 5000  # resamples behind the interval of a mean, which take no time
SAMPLES = 1000


def difference(
    measure: Measure, ours: Sequence[RowFigures], theirs: Sequence[RowFigures], *, seed: int = 1
) -> dict[str, float]:
    """{value, low, high} of our figure less theirs; of several seeds, of their means.

    All are resampled alike; rows that overlap in time, in blocks.
    """
    if measure.is_mean:
        rows = [np.mean([part.columns[measure.name] for part in parts], axis=0) for parts in (ours, theirs)]
        layout = measure.layout(ours[0])
        if layout is not None:
            return block_interval(rows[0] - rows[1], layout, samples=MEAN_SAMPLES, seed=seed)
        value, low, high = mean_with_interval(rows[0] - rows[1], samples=MEAN_SAMPLES, seed=seed)
        return {"value": value, "low": low, "high": high}
    return with_interval(measure, ours, theirs, samples=SAMPLES, seed=seed)


def with_interval(
    measure: Measure, ours: Sequence[RowFigures], less: Sequence[RowFigures] = (), *, samples: int, seed: int
) -> dict[str, float]:
    """The mean figure of systems, less that of others, with a percentile interval over resampled rows (Koehn 2004)."""

    def figure(times: np.ndarray) -> float:
        means = [np.mean([measure.of(system, times) for system in systems]) for systems in (ours, less) if systems]
        return float(means[0] - sum(means[1:]))

    rows = len(ours[0])
    generator = np.random.default_rng(seed)
    drawn = [figure(generator.multinomial(rows, np.full(rows, 1 / rows))) for _ in range(samples)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return {"value": figure(np.ones(rows, np.int64)), "low": float(low), "high": float(high)}


def mean_with_interval(values: np.ndarray, *, samples: int, seed: int) -> tuple[float, float, float]:
    """Mean of values [N] with the percentile interval of a bootstrap over them.

    Equal values are drawn together, one multinomial a sample, so what few kinds of values need stays small.
    """
    kinds, counts = np.unique(values, return_counts=True)
    rng = np.random.default_rng(seed)
    means = rng.multinomial(len(values), counts / len(values), size=samples) @ kinds / len(values)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(np.mean(values)), float(low), float(high)
