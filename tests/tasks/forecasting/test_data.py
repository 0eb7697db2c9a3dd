"""What is said of series before anything is learned from them."""

from __future__ import annotations

import numpy as np
import pytest

from seqpipe.config.series import SeriesData
from seqpipe.tasks.forecasting.data import read_panel


def findings_of(tmp_path, values, extra) -> str:
    file = tmp_path / "series.csv"
    days = np.arange("2024-01-01", len(values), dtype="datetime64[D]")
    rows = zip(days, values, extra, strict=True)
    file.write_text("time,value,extra\n" + "\n".join(f"{day},{value},{other}" for day, value, other in rows))
    _, findings = read_panel(SeriesData(train=f"files:{file}", known=["extra"]), horizon=2)
    return "\n".join(finding.text for finding in findings)


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_a_column_that_equals_the_value_to_come_is_a_leak_whatever_its_size(tmp_path, size):
    values = np.random.default_rng(1).normal(size=60)
    assert "a leak" in findings_of(tmp_path, values, 2 * size * values)
    assert "a leak" not in findings_of(tmp_path, values, size * values[::-1])


def test_one_huge_value_is_no_overflow(tmp_path):
    values = [str(day % 7) for day in range(60)]
    values[5] = "1e308"
    assert "a leak" not in findings_of(tmp_path, values, range(60))
