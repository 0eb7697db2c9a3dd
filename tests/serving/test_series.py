"""Rows of series, and how their times are shown."""

import pytest

from seqpipe.errors import DataError
from seqpipe.serving.series import SeriesInput, shown_time

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


def test_series_of_another_encoding_and_no_column_by_hand(tmp_path):
    file = tmp_path / "history.csv"
    file.write_bytes("series,time,value\ncafé,1,2\ncafé,2,3\n".encode("latin-1"))
    reads = SeriesInput(["values", "series"])
    (row,) = reads.from_file(str(file), encoding="latin-1")
    assert reads.shown(row) == "café"
    with pytest.raises(DataError, match=r"^--column load: .* that its pipeline names: series, time, value\.$"):
        next(reads.from_file(str(file), column="load"))
    with pytest.raises(DataError, match="--encoding latin-0 is not an encoding"):
        next(reads.from_file(str(file), encoding="latin-0"))
