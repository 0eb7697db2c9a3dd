"""The order of batches, as a pure function of (seed, epoch)."""

from __future__ import annotations

import numpy as np

# Rows of this many batches are sorted by length together: little padding, and still a different mix each epoch.
BATCHES_SORTED_TOGETHER = 50


def plan_epoch(lengths: np.ndarray, *, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Batches of row numbers: shuffled, sorted by length in pools, cut, the batches shuffled.

    Args:
        lengths: int [N], the length of each row.
        batch_size: rows in a batch; the shortest batch may have fewer.
        seed, epoch: the order is the same for the same pair, whatever was drawn before.
    Returns:
        Arrays of row numbers; each row stands in exactly one.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    pool = batch_size * BATCHES_SORTED_TOGETHER
    batches: list[np.ndarray] = []
    for start in range(0, len(order), pool):
        rows = order[start : start + pool]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def plan_in_order_of_length(lengths: np.ndarray, *, batch_size: int) -> list[np.ndarray]:
    """Batches for evaluation: each row once, rows of like length together, the longest first."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def padding_fraction(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Share of steps in padded batches that is padding, 0..1."""
    padded = sum(int(lengths[rows].max(initial=0)) * len(rows) for rows in batches)
    return 1.0 - sum(int(lengths[rows].sum()) for rows in batches) / padded if padded else 0.0
