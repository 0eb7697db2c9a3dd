from __future__ import annotations

import numpy as np
import pytest

from seqpipe.data.splits import dev_rows, part_of


def counts(labels, chosen):
    return np.bincount(np.asarray(labels)[chosen], minlength=max(labels) + 1).tolist()


def test_splits_dev_rows_are_every_nth_where_that_is_fair():
    labels = np.random.default_rng(1).integers(0, 3, 300)
    assert np.flatnonzero(dev_rows(labels, 10)).tolist() == list(range(0, 300, 10))
    assert np.flatnonzero(dev_rows(np.zeros(25), 10)).tolist() == [0, 10, 20]
    assert np.flatnonzero(dev_rows(np.array([0] * 5 + [1] + [0] * 14), 10)).tolist() == [0, 10]


def test_splits_dev_rows_in_turn_are_fair_up_to_twice_the_share():
    labels = np.zeros(100, int)
    labels[[0, 10, 20, *range(1, 13)]] = 1  # 3 of 14 or, with a row more, of 15
    assert counts(labels, dev_rows(labels, 10)) == [9, 2]
    labels[99] = 1
    assert np.flatnonzero(dev_rows(labels, 10)).tolist() == list(range(0, 100, 10))


@pytest.mark.parametrize("every", [2, 3, 10, 1000])
@pytest.mark.parametrize(
    "labels",
    [
        [0, 1] * 30,  # in turn
        [0] * 100 + [1] * 3,  # sorted
        [0, 1, 1] * 9 + [2],
        [2] + [0, 1] * 20,  # a label that stands once, where every nth row would put it into dev
        [0, 0, 1, 1, 2, 2, 3],
    ],
)
def test_splits_every_class_is_in_train_and_in_dev_where_that_can_be(labels, every):
    chosen = dev_rows(np.array(labels), every)
    rows = np.bincount(labels)
    dev = np.array(counts(labels, chosen))
    assert (dev < rows).all()
    assert (dev[rows > 1] > 0).all()
    assert (np.abs(dev - rows / every) <= np.maximum(1, rows / every)).all()


def test_splits_a_single_row_is_in_train():
    assert dev_rows(np.array([0]), 10).tolist() == [False]
    assert dev_rows(np.array([0, 0]), 10).tolist() == [True, False]


def test_splits_part_is_spread_over_rows_and_groups():
    assert part_of(["a"] * 10, 5).tolist() == [0, 1, 3, 5, 7]
    assert part_of("ab", 5).tolist() == [0, 1]
    assert part_of("aaaaaabbbc", 5).tolist() == [0, 1, 4, 6, 9]
    assert part_of("abcd", 2).tolist() == [0, 1]
