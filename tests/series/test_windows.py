"""Splits by time: whole horizons, nothing shared."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqpipe.series.windows import cut_series, held_back_origins, stride, training_origins


@given(st.integers(2, 400), st.integers(1, 30), st.integers(1, 60), st.sampled_from(["auto", 1, 4]))
def test_windows_of_splits_share_no_target(end, horizon, look_back, wanted):
    (cut,) = cut_series([end], horizon=horizon, validation=wanted, test=wanted)
    assert 0 <= cut.train <= cut.dev <= cut.end == end
    targets = {
        "train": training_origins(cut.train, look_back=look_back, horizon=horizon),
        "dev": held_back_origins(cut.train, cut.dev, horizon=horizon),
        "test": held_back_origins(cut.dev, cut.end, horizon=horizon),
    }
    bounds = {"train": (0, cut.train), "dev": (cut.train, cut.dev), "test": (cut.dev, cut.end)}
    for split, origins in targets.items():
        low, high = bounds[split]
        if len(origins):
            assert origins.min() + 1 >= low
            assert origins.max() + horizon < high
        if split != "train" and high - low >= horizon:
            assert len(origins) == high - low - horizon + 1


def test_windows_that_are_passed_over_leave_every_phase():
    every = stride(9600, 400, [24])
    assert every >= 24
    assert len(set(np.arange(0, 9600, every) % 24)) == 24
