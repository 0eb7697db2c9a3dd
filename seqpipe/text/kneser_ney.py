"""An n-gram model of ids: modified Kneser-Ney, interpolated down to the uniform distribution.

Source: Chen and Goodman 1999, An Empirical Study of Smoothing Techniques for Language Modeling.

Axes: N ids of a text, G different n-grams of one order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNSEEN = -1
HELD_BACK = 0.05  # of the text, from its end, to choose the order by
ORDERS = (2, 3, 4, 5, 6, 7, 8)


@dataclass(frozen=True)
class Order:
    """The n-grams of one order.

    keys: int64 [G], sorted: the number of the first n - 1 ids among the n-grams of order n - 1, times the vocabulary,
        plus the last id. discounted: float64 [G], the share that an n-gram keeps of its context's counts.
    left_over: float64, for each n-gram of order n - 1 as a context, what is left for shorter ones.
    """

    keys: np.ndarray
    discounted: np.ndarray
    left_over: np.ndarray


@dataclass(frozen=True)
class KneserNey:
    """A fitted model; `fit` makes one."""

    vocabulary_size: int
    orders: Sequence[Order]

    @classmethod
    def fit(cls, ids: np.ndarray, *, order: int, vocabulary_size: int, edge: int | None = None) -> KneserNey:
        """
        Args:
            ids: int [N], one text, N at least `order`.
            order: ids in the longest n-gram; fewer where no text has so many.
            edge: the id that stands between texts, where these are several: no n-gram reaches over it.
        """
        ids = np.asarray(ids, np.int64)
        places = np.arange(len(ids))
        edges = np.maximum.accumulate(np.where(ids == edge, places, -len(ids) - order))
        since = places - np.concatenate([[-len(ids) - order], edges[:-1]])  # the last edge before each id
        numbers, contexts, keys = np.zeros(len(ids) + 1, np.int64), [], []  # of the empty n-gram before each id
        counts, suffixes, begins = [], [], []
        for n in range(1, order + 1):
            starts = places[n - 1 :][since[n - 1 :] >= n - 1]  # where such an n-gram ends
            if not len(starts):  # no text is so long
                break
            before = numbers[starts] if n == 1 else numbers[starts - 1]
            found, first, inverse, times = np.unique(
                before * vocabulary_size + ids[starts], return_index=True, return_inverse=True, return_counts=True
            )
            keys.append(found)
            contexts.append(found // vocabulary_size)
            counts.append(times)
            suffixes.append(numbers[starts[first]])
            begins.append((ids[starts[first] - n + 1] == edge) & (n > 1))
            numbers = np.full(len(ids) + 1, UNSEEN, np.int64)
            numbers[starts] = inverse
        # Below the highest order an n-gram counts as often as it has different ids before it; one that begins a text,
        # which has none before it, as often as it stands there.
        for n in range(len(keys) - 1):
            before = np.bincount(suffixes[n + 1], minlength=len(keys[n]))
            counts[n] = np.where(begins[n], counts[n], before)
        sizes = [1, *map(len, keys[:-1])]
        parts = zip(keys, contexts, counts, sizes, strict=True)
        orders = [_order(found, of, times, size) for found, of, times, size in parts]
        return cls(vocabulary_size, orders)

    def nats(self, ids: np.ndarray) -> np.ndarray:
        """float64 [N], the surprisal of each id after those before it."""
        ids = np.asarray(ids, np.int64)
        probability = np.full(len(ids), 1.0 / self.vocabulary_size)
        before = np.zeros(len(ids), np.int64)  # the number of the n-gram of n - 1 that ends before each id
        for order in self.orders:
            key = before * self.vocabulary_size + ids
            place = np.minimum(np.searchsorted(order.keys, key), len(order.keys) - 1)
            seen = (order.keys[place] == key) & (before != UNSEEN)
            rest = np.where(before == UNSEEN, 1.0, order.left_over[before])
            probability = probability * rest + np.where(seen, order.discounted[place], 0.0)
            number = np.where(seen, place, UNSEEN)
            before = np.concatenate([[UNSEEN], number[:-1]])
        return -np.log(probability)


def _order(keys: np.ndarray, contexts: np.ndarray, counts: np.ndarray, context_count: int) -> Order:
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    totals = np.bincount(contexts, weights=counts, minlength=context_count)
    removed = np.bincount(contexts, weights=discounts, minlength=context_count)
    totals_or_one = np.maximum(totals, 1e-300)
    left_over = np.where(totals > 0, removed / totals_or_one, 1.0)
    return Order(keys, (counts - discounts) / totals_or_one[contexts], left_over)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from counts of 0, 1, 2 and 3 or more; half, where a small text says nothing else."""
    ones, twos, threes, fours = (float((counts == k).sum()) for k in (1, 2, 3, 4))
    if not (ones and twos and threes and fours):
        return np.array([0.0, 0.5, 0.75, 0.9])
    share = ones / (ones + 2 * twos)
    raw = [0.0, 1 - 2 * share * twos / ones, 2 - 3 * share * threes / twos, 3 - 4 * share * fours / threes]
    return np.clip(raw, [0.0, 0.05, 0.05, 0.05], [0.0, 0.95, 1.95, 2.95])


def choose_order(ids: np.ndarray, *, vocabulary_size: int, edge: int | None = None) -> int:
    """The order that fits the end of a text best, after its beginning; edge: as `KneserNey.fit` takes it."""
    cut = max(1, int(len(ids) * (1 - HELD_BACK)))
    if len(ids) - cut < 1 or cut < max(ORDERS):
        return ORDERS[0]

    def loss(order: int) -> float:
        model = KneserNey.fit(ids[:cut], order=order, vocabulary_size=vocabulary_size, edge=edge)
        return float(model.nats(ids)[cut:].mean())

    return min(ORDERS, key=loss)


def unigram_nats(train: np.ndarray, ids: np.ndarray, *, vocabulary_size: int) -> np.ndarray:
    """float64 [N], the surprisal of each id by how often it stands in train, each once more than it does."""
    counts = np.bincount(train, minlength=vocabulary_size) + 1.0
    return -np.log(counts / counts.sum())[ids]
