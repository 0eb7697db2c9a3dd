from __future__ import annotations

import numpy as np

from seqpipe.data.batches import padding_fraction, plan_epoch, plan_in_order_of_length

LENGTHS = np.random.default_rng(0).integers(0, 400, size=5003)


def flat(plan):
    return np.concatenate(plan)


def test_plan_epoch_holds_each_row_once():
    plan = plan_epoch(LENGTHS, batch_size=64, seed=1, epoch=0)
    assert sorted(flat(plan)) == list(range(len(LENGTHS)))
    assert max(len(batch) for batch in plan) == 64


def test_plan_epoch_depends_on_seed_and_epoch_alone():
    first = flat(plan_epoch(LENGTHS, batch_size=64, seed=1, epoch=3))
    assert (first == flat(plan_epoch(LENGTHS, batch_size=64, seed=1, epoch=3))).all()
    assert (first != flat(plan_epoch(LENGTHS, batch_size=64, seed=1, epoch=4))).any()
    assert (first != flat(plan_epoch(LENGTHS, batch_size=64, seed=2, epoch=3))).any()


def test_plan_epoch_has_other_batches_each_epoch():
    lengths = np.arange(5003)  # no two rows are of one length
    plans = [plan_epoch(lengths, batch_size=64, seed=1, epoch=epoch) for epoch in (0, 1)]
    first, second = ({frozenset(batch.tolist()) for batch in plan} for plan in plans)
    assert not first & second


def test_plan_epoch_pads_little_and_mixes_lengths_between_batches():
    plan = plan_epoch(LENGTHS, batch_size=64, seed=1, epoch=0)
    unsorted = np.array_split(np.arange(len(LENGTHS)), len(plan))
    assert padding_fraction(LENGTHS, plan) < 0.05 < padding_fraction(LENGTHS, unsorted)
    longest = [LENGTHS[batch].max() for batch in plan]
    assert abs(np.corrcoef(longest, np.arange(len(plan)))[0, 1]) < 0.5  # the batches are not in order of length


def test_plan_in_order_of_length_is_a_permutation_longest_first():
    plan = plan_in_order_of_length(LENGTHS, batch_size=100)
    assert sorted(flat(plan)) == list(range(len(LENGTHS)))
    assert (np.diff(LENGTHS[flat(plan)]) <= 0).all()


def test_padding_fraction_counts():
    assert padding_fraction(np.array([4, 2]), [np.array([0, 1])]) == 0.25
    assert padding_fraction(np.array([0]), [np.array([0])]) == 0.0
    assert padding_fraction(np.array([4, 4, 4]), [np.array([0, 1])]) == 0.0, "a row that this epoch leaves out"
