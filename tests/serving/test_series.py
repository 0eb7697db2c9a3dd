"""Rows of series, and how their times are shown."""

import pytest

from seqpipe.serving.series import shown_time

MIDNIGHT = 1_709_510_400  # 2024-03-04, UTC


@pytest.mark.parametrize(
    ("time", "step", "shown"),
    [
        (MIDNIGHT, "1h", "2024-03-04T00:00"),
        (MIDNIGHT + 3600, "1h", "2024-03-04T01:00"),
        (MIDNIGHT, "15min", "2024-03-04T00:00"),
        (MIDNIGHT + 30, "15min", "2024-03-04T00:00:30"),
        (MIDNIGHT, "30s", "2024-03-04T00:00:00"),
        (MIDNIGHT, "1D", "2024-03-04"),
        (MIDNIGHT + 36_000, "1D", "2024-03-04T10:00"),
        (MIDNIGHT, "2W", "2024-03-04"),
        (MIDNIGHT, "1MS", "2024-03-04"),
        (12, "5", "12"),
        (12, "rows", "12"),
    ],
)
def test_series_times_of_one_step_look_alike(time, step, shown):
    assert shown_time(time, step) == shown
