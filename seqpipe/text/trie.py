"""A trie as three flat arrays, walked by looking up (Aoe 1989, double array).

The child of state s by symbol c stands at t = base[s] + c, and it is there if owner[t] == s: two look-ups and a
comparison, exact, whatever is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

DEAD, ROOT = 0, 1
CHUNK = 512  # free places looked at together


class DoubleArray(NamedTuple):
    """States; DEAD has no child, ROOT is the empty key."""

    base: np.ndarray  # int32 [states]
    owner: np.ndarray  # int32 [states]: the parent, or -1
    value: np.ndarray  # int64 [states]: a key's value, or the one for no key


def double_array(keys: Mapping[tuple[int, ...], int], *, symbols: int, no_value: int) -> DoubleArray:
    """Builds the trie of keys.

    Args:
        keys: from a sequence of symbols to its value.
        symbols: symbols are 0..symbols-1.
        no_value: the value of a prefix that is no key.
    """
    children: dict[tuple[int, ...], set[int]] = {(): set()}
    for key in keys:
        for end in range(len(key), 0, -1):
            siblings = children.setdefault(key[: end - 1], set())
            if key[end - 1] in siblings:
                break
            siblings.add(key[end - 1])
    rows = sorted(((sorted(row), prefix) for prefix, row in children.items()), key=lambda row: (-len(row[0]), row[1]))
    bases = dict(zip((prefix for _, prefix in rows), _placed([row for row, _ in rows], symbols), strict=True))

    size = max(bases.values()) + symbols
    base, owner = np.full(size, DEAD, np.int32), np.full(size, -1, np.int32)
    value = np.full(size, no_value, np.int64)
    states: dict[tuple[int, ...], int] = {(): ROOT}
    for _, prefix in sorted(rows, key=lambda row: len(row[1])):  # parents first
        base[states[prefix]] = bases[prefix]
        for symbol in children[prefix]:
            state = bases[prefix] + symbol
            owner[state] = states[prefix]
            states[(*prefix, symbol)] = state
    for key, key_value in keys.items():
        value[states[key]] = key_value
    return DoubleArray(base, owner, value)


def _placed(rows: list[list[int]], symbols: int) -> list[int]:
    """A base for each row of symbols so that no two children meet: the first that fits. Widest rows come first."""
    lowest = symbols + ROOT + 1  # no base is negative, no child stands on DEAD or ROOT
    taken = np.zeros(lowest + sum(map(len, rows)) + 2 * symbols, bool)
    taken[:lowest] = True
    wide = [row for row in rows if len(row) > 1]
    bases = []
    for count, row in enumerate(wide):
        if count % 64 == 0:
            free = np.flatnonzero(~taken)
        offsets = np.asarray(row) - row[0]
        first = _first_fit(taken, free, offsets)
        if first + offsets[-1] >= len(taken):
            taken = np.concatenate([taken, np.zeros(first + offsets[-1] + 1 - len(taken) + symbols, bool)])
        taken[first + offsets] = True
        bases.append(first - row[0])
    single = rows[len(wide) :]
    taken = np.concatenate([taken, np.zeros(len(single), bool)])
    return bases + [int(slot) - row[0] for slot, row in zip(np.flatnonzero(~taken), single, strict=False)]


def _first_fit(taken: np.ndarray, free: np.ndarray, offsets: np.ndarray) -> int:
    """The first of the free slots from which all offsets are free; the end of the array if there is none."""
    free = free[: np.searchsorted(free, len(taken) - offsets[-1])]
    for start in range(0, len(free), CHUNK):
        slots = free[start : start + CHUNK]
        fits = ~taken[slots[:, None] + offsets].any(axis=1)
        if fits.any():
            return int(slots[fits.argmax()])
    return len(taken)
