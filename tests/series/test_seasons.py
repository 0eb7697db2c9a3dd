from __future__ import annotations

import numpy as np
import pytest

from seqpipe.series.clock import DAY_S, Step
from seqpipe.series.seasons import candidates, find_seasons


def waves(steps, seasons, *, noise=0.3, seed=1):
    """Float [steps]: a smooth walk, and for each season a profile of its own."""
    rng = np.random.default_rng(seed)
    found = np.convolve(rng.normal(size=steps + 8), np.ones(8) / 8, "same")[:steps]
    for season in seasons:
        profile = np.convolve(rng.normal(size=season), np.ones(3) / 3, "same")
        found = found + 3 * profile[np.arange(steps) % season]
    return found + noise * rng.normal(size=steps)


@pytest.mark.parametrize(
    ("minutes", "seasons"),
    [(30, [48, 336]), (60, [24, 168]), (15, [96, 672]), (10, [144, 1008]), (5, [12, 288]), (12 * 60, [2, 14])],
)
def test_seasons_are_days_and_weeks_whatever_the_step(minutes, seasons):
    series = waves(8 * seasons[-1], seasons)
    assert find_seasons([series], Step("seconds", 60 * minutes)) == seasons


@pytest.mark.parametrize(
    ("step", "season", "count"),
    [
        (Step("seconds", 3600), 24, 1440),
        (Step("seconds", 900), 96, 2000),
        (Step("seconds", 7 * DAY_S), 52, 260),
        (Step("months", 3), 4, 60),
    ],
)
def test_seasons_that_are_smooth_are_found_beneath_noise(step, season, count):
    noise = np.random.default_rng(3).normal(size=count)
    wave = np.sin(2 * np.pi * np.arange(count) / season)
    assert find_seasons([wave + 0.5 * noise], step)[:1] == [season]  # a week of equal days resembles too
    assert find_seasons([noise], step) == []
    assert find_seasons([np.cumsum(noise)], step) == []
    counts = np.random.default_rng(4).poisson(20 + 15 * wave).astype(float)
    assert find_seasons([counts], step)[:1] == [season]


def test_seasons_two_half_hours_that_resemble_are_no_season():
    rng = np.random.default_rng(2)
    walk = np.cumsum(np.convolve(rng.normal(size=3000), np.ones(10) / 10, "same"))  # changes resemble for ten steps
    assert np.corrcoef(np.diff(walk)[2:], np.diff(walk)[:-2])[0, 1] > 0.7
    assert find_seasons([walk], Step("seconds", 1800)) == []


def test_seasons_leave_the_hour_out_where_day_and_week_are_found():
    series = waves(8 * 672, [4, 96, 672])
    assert find_seasons([series], Step("seconds", 900)) == [96, 672]


def test_seasons_that_a_step_suggests():
    assert candidates(Step("seconds", DAY_S)) == [7]
    assert candidates(Step("months", 3)) == [4]
    assert candidates(Step("rows", 1)) == []
