"""What is said of series before anything is learned from them."""

from __future__ import annotations

import numpy as np
import pytest

from seqpipe.config.series import SeriesData
from seqpipe.errors import DataError
from seqpipe.series.clock import local_offsets
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


def test_values_too_large_for_their_changes_are_told(tmp_path):
    waves = 20 * np.sin(np.arange(60))
    assert "values too large for their changes" in findings_of(tmp_path, 1.7e9 + waves, range(60))
    assert "too large" not in findings_of(tmp_path, 1.7e5 + waves, range(60))


@pytest.mark.parametrize("begin", ["2024-01-01", "2024-08-01"])  # clocks are put back in April, forward in October
def test_a_test_set_goes_on_across_a_change_of_clocks(tmp_path, begin):
    zone = "Australia/Melbourne"
    utc = np.datetime64(begin).astype("datetime64[s]").astype(np.int64) + 3600 * np.arange(24 * 120)
    local = (utc + local_offsets(utc, zone)).astype("datetime64[s]")
    halves = {"train": slice(0, 24 * 100), "test": slice(24 * 100, None)}
    for name, rows in halves.items():
        lines = [f"{time},{number}" for number, time in enumerate(local)][rows]
        (tmp_path / f"{name}.csv").write_text("\n".join(["time,value", *lines, ""]))
    data = SeriesData(train=f"files:{tmp_path}/train.csv", test=f"files:{tmp_path}/test.csv", time_zone=zone)
    panel, _ = read_panel(data, horizon=24)
    np.testing.assert_array_equal(panel.series[0].values, np.arange(24 * 120))
    np.testing.assert_array_equal(panel.series[0].clock, local.astype(np.int64))


def test_a_test_set_that_training_holds_is_an_error_where_rows_are_counted(tmp_path):
    days = np.arange("2020-01-01", 600, dtype="datetime64[D]")
    for name, rows in {"train": slice(0, 500), "over": slice(300, 600), "behind": slice(500, 600)}.items():
        lines = [f"{day},{number % 7}" for number, day in enumerate(days)][rows]
        (tmp_path / f"{name}.csv").write_text("\n".join(["time,value", *lines, ""]))

    def read(test):
        data = SeriesData(train=f"files:{tmp_path}/train.csv", test=f"files:{tmp_path}/{test}.csv", step="rows")
        return read_panel(data, horizon=24)[0]

    assert len(read("behind").series[0]) == 600
    for test in ("over", "train"):
        with pytest.raises(DataError, match=r"data\.test begins before data\.train ends"):
            read(test)


def test_nothing_to_validate_on_is_an_error(tmp_path):
    days = np.arange("2020-01-01", 400, dtype="datetime64[D]")

    def read(empty):
        lines = [f"{day},{'' if number in empty else number % 7}" for number, day in enumerate(days)]
        (tmp_path / "days.csv").write_text("\n".join(["time,value", *lines, ""]))
        data = SeriesData(train=f"files:{tmp_path}/days.csv", validation_windows=1, test_windows=1)
        return read_panel(data, horizon=20)[0]

    with pytest.raises(DataError, match="none of the 20 steps held back for validation has a value"):
        read(range(300, 380))
    panel = read(range(300, 379))
    one, cut = panel.series[0], panel.cuts[0]
    assert one.comes_after(np.array([cut.train - 1, 359, 300, 278, 279, 398, 399]), 20).tolist() == [
        True,
        True,
        False,
        True,
        True,
        True,
        False,
    ]


def test_a_past_column_is_told_once_where_the_horizon_is_a_step(tmp_path):
    values = np.random.default_rng(1).normal(size=61)
    rows = zip(np.arange("2024-01-01", 60, dtype="datetime64[D]"), values[:-1], values[1:], strict=True)
    (tmp_path / "series.csv").write_text("\n".join(["time,value,extra", *(f"{d},{v},{e}" for d, v, e in rows), ""]))
    _, findings = read_panel(SeriesData(train=f"files:{tmp_path}/series.csv", past=["extra"]), horizon=1)
    assert sum("a leak" in finding.text for finding in findings) == 1


def test_a_test_set_shorter_than_the_horizon_is_told(tmp_path):
    days = np.arange("2024-01-01", 60, dtype="datetime64[D]")
    for name, rows in {"train": slice(0, 57), "test": slice(57, None)}.items():
        lines = [f"{day},{number % 7}" for number, day in enumerate(days)][rows]
        (tmp_path / f"{name}.csv").write_text("\n".join(["time,value", *lines, ""]))
    data = SeriesData(train=f"files:{tmp_path}/train.csv", test=f"files:{tmp_path}/test.csv")
    told = [finding.text for finding in read_panel(data, horizon=4)[1]]
    assert any("1 of 1 series go on for less than model.horizon_steps = 4" in text for text in told)
    assert not any("go on for less" in finding.text for finding in read_panel(data, horizon=3)[1])


def write_hours(file, shops, start, hours, minute=0):
    lines = [
        f"{shop},{np.datetime64(start) + np.timedelta64(60 * hour + minute, 'm')},{hour % 5}"
        for shop in shops
        for hour in range(hours)
    ]
    file.write_text("\n".join(["series,time,value", *lines, ""]))


def test_series_that_only_the_test_set_has_are_named(tmp_path):
    write_hours(tmp_path / "train.csv", ["north"], "2024-01-01T00", 72)
    write_hours(tmp_path / "test.csv", ["north", "south"], "2024-01-04T00", 24)
    data = SeriesData(train=f"files:{tmp_path}/train.csv", test=f"files:{tmp_path}/test.csv")
    panel, found = read_panel(data, horizon=4)
    assert [one.name for one in panel.series] == ["north"]
    assert any("1 of 2 series are not in" in one.text and "south. They are not tested" in one.text for one in found)


def test_several_sources_are_read_as_one(tmp_path):
    write_hours(tmp_path / "north.csv", ["north"], "2024-01-01T00", 72)
    write_hours(tmp_path / "south.csv", ["south", "west"], "2024-01-01T00", 72)
    (tmp_path / "alone.csv").write_text("time,value\n2024-01-01,1\n2024-01-02,1\n")
    sources = [f"files:{tmp_path}/{name}.csv" for name in ("north", "south", "alone")]
    panel, _ = read_panel(SeriesData(train=sources[:2]), horizon=4)
    assert [one.name for one in panel.series] == ["north", "south", "west"]
    with pytest.raises(DataError, match=r"alone\.csv: has a column that tells series apart, or none, other than"):
        read_panel(SeriesData(train=sources), horizon=4)


def test_a_table_of_another_separator_is_told_so_whichever_column_is_missed(tmp_path):
    (tmp_path / "a.csv").write_text("shop;time;value\nnorth;2024-01-01;1\n")
    with pytest.raises(DataError, match="Is it separated by ';'"):
        read_panel(SeriesData(train=f"files:{tmp_path}/a.csv", series_column="shop"), horizon=4)


def test_a_test_set_half_a_step_off_is_an_error(tmp_path):
    write_hours(tmp_path / "train.csv", ["north"], "2024-01-01T00", 72)
    write_hours(tmp_path / "test.csv", ["north"], "2024-01-04T00", 24, minute=30)
    data = SeriesData(train=f"files:{tmp_path}/train.csv", test=f"files:{tmp_path}/test.csv")
    with pytest.raises(DataError, match=r"series north: the times of data\.test lie beside the grid of 1h"):
        read_panel(data, horizon=4)


def test_a_test_set_and_windows_held_back_exclude_each_other():
    with pytest.raises(ValueError, match="test and test_windows exclude each other"):
        SeriesData(train="files:a.csv", test="files:b.csv", test_windows=3)


def findings(**options):
    _, found = read_panel(SeriesData.model_validate(options), horizon=24)
    return [finding.text for finding in found if finding.severity == "warning"]


def test_series_without_a_test_are_not_tested_on_what_others_learn():
    assert not any(
        "end at different times" in text for text in findings(train="builtin:series?rows=300", test_windows=0)
    )


def test_windows_that_do_not_fit_are_said():
    said = findings(train="builtin:series?rows=600&series=1", validation_windows=10, test_windows=10)
    assert [text.split(" fit into")[0] for text in said if "_windows" in text] == [
        "data.validation_windows = 10: 5 of 24 steps",
        "data.test_windows = 10: 5 of 24 steps",
    ]
    assert not any("_windows" in text for text in findings(train="builtin:series?rows=2000&series=1", test_windows=2))


def test_a_past_column_beside_a_short_series_is_no_fault(tmp_path):
    rows = [f"{name},{day},{day % 7},{day % 5}" for name, days in (("a", 400), ("b", 20)) for day in range(days)]
    (tmp_path / "s.csv").write_text("series,time,value,rain\n" + "\n".join(rows) + "\n")
    said = findings(train=f"files:{tmp_path / 's.csv'}", past=["rain"])
    assert any("too short" in text for text in said)
