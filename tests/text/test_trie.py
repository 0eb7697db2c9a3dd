from __future__ import annotations

import random

import pytest

from seqpipe.text.trie import DEAD, ROOT, DoubleArray, double_array

NO_VALUE = -7


def _walk(trie: DoubleArray, key: tuple[int, ...]) -> int:
    state = ROOT
    for symbol in key:
        child = trie.base[state] + symbol
        state = child if trie.owner[child] == state else DEAD
    return trie.value[state]


def _random_keys(*, symbols: int, count: int, longest: int) -> dict[tuple[int, ...], int]:
    draw = random.Random(symbols)
    keys = {tuple(draw.choices(range(symbols), k=draw.randint(1, longest))) for _ in range(count)}
    return {key: value for value, key in enumerate(sorted(keys))}


@pytest.mark.parametrize(("symbols", "count", "longest"), [(1, 3, 5), (3, 200, 8), (40, 2000, 6), (900, 1500, 3)])
def test_trie_finds_its_keys_and_nothing_else(symbols: int, count: int, longest: int) -> None:
    keys = _random_keys(symbols=symbols, count=count, longest=longest)
    trie = double_array(keys, symbols=symbols, no_value=NO_VALUE)
    draw = random.Random(1)
    asked = [tuple(draw.choices(range(symbols), k=draw.randint(1, longest + 1))) for _ in range(2000)]
    asked += [key[:-1] for key in keys if len(key) > 1] + [
        (*key, symbol) for key in keys for symbol in range(3) if symbol < symbols
    ]
    assert all(_walk(trie, key) == value for key, value in keys.items())
    assert all(_walk(trie, key) == keys.get(key, NO_VALUE) for key in asked)


def test_trie_any_state_takes_any_symbol() -> None:
    trie = double_array(_random_keys(symbols=40, count=500, longest=4), symbols=40, no_value=NO_VALUE)
    assert trie.base.min() >= 0
    assert trie.base.max() + 39 < len(trie.owner)
    assert not (trie.owner == DEAD).any()


def test_trie_is_compact() -> None:
    keys = _random_keys(symbols=40, count=4000, longest=5)
    states = len({key[:end] for key in keys for end in range(len(key) + 1)})
    assert len(double_array(keys, symbols=40, no_value=NO_VALUE).base) < states + 4 * 40
