"""Times against numpy's calendar and Python's time zones."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from seqpipe.errors import DataError
from seqpipe.series.clock import (
    Step,
    infer_step,
    local_offsets,
    months_of,
    parse_step,
    parse_times,
    seconds_of_month,
    to_utc,
)


def test_clock_months_agree_with_numpy():
    days = np.arange(-30_000, 60_000, 17)
    seconds = days * 86_400 + 3_601
    expected = days.astype("datetime64[D]").astype("datetime64[M]").astype(int)
    np.testing.assert_array_equal(months_of(seconds), expected)
    months = np.arange(-500, 2_000)
    expected = months.astype("datetime64[M]").astype("datetime64[s]").astype(int)
    np.testing.assert_array_equal(seconds_of_month(months), expected)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2016-07-01", "2016-07-01T00:00:00"),
        ("2016-07-01 13:30:00", "2016-07-01T13:30:00"),
        ("2016-07-01T13:30:00Z", "2016-07-01T13:30:00"),
        ("2016-07-01T13:30:00+02:00", "2016-07-01T11:30:00"),
        ("2016-03", "2016-03-01T00:00:00"),
        ("201603", "2016-03-01T00:00:00"),
        ("20160302", "2016-03-02T00:00:00"),
        ("2016Q2", "2016-04-01T00:00:00"),
        ("31/12/2016", "2016-12-31T00:00:00"),
        ("31/12/2016 23:00", "2016-12-31T23:00:00"),
        ("31.12.2016 23:00:30", "2016-12-31T23:00:30"),
        ("2016/12/31 23:00", "2016-12-31T23:00:00"),
        ("1467379800", "2016-07-01T13:30:00"),
        ("1467379800000", "2016-07-01T13:30:00"),
        ("1467379800000000", "2016-07-01T13:30:00"),
    ],
)
def test_clock_reads_times_of_many_kinds(text, iso):
    times, bad = parse_times([text])
    assert bad is None
    assert times.kind == "seconds"
    assert np.datetime64(int(times.clock[0]), "s") == np.datetime64(iso)


def test_clock_counts_what_is_no_month_or_where_steps_are_counted():
    for texts in (["201612", "201613"], ["201600"], ["210001"], ["170001"]):
        assert parse_times(texts)[0].kind == "count", texts
    for text in ("201612", "20161231", "1467379800"):
        times, bad = parse_times([text], counted=True)
        assert (times.kind, times.clock.tolist(), bad) == ("count", [int(text)], None)
    assert parse_times(["2016-12"], counted=True)[0].kind == "seconds"
    assert parse_times([], counted=True)[1] is None


def test_clock_counts_plain_numbers_and_names_the_first_bad_time():
    assert parse_times(["1", "2"])[0].kind == "count"
    assert parse_times(["2016-07-01", "yesterday"])[1] == 1
    assert parse_times(["1", "x"])[1] == 1


@pytest.mark.parametrize("zoned", ["2016-07-01T01:00Z", "2016-07-01T01:00+02:00"])
def test_clock_of_times_with_and_without_a_zone_is_none(zoned):
    for texts in ([zoned, "2016-07-01T02:00"], ["2016-07-01T02:00", zoned]):
        assert parse_times(texts)[1] == 1
    assert parse_times([zoned, "2016-07-01T02:00Z"])[1] is None, "several zones are one clock"


@pytest.mark.parametrize(
    "text", ["NaT", "today", "now", "12345-01-01", "-0044-03-15", "0000Q1", "0001-01-01", "292277020000-01-01"]
)
def test_a_time_that_no_clock_shows_is_none(text):
    assert parse_times([text])[1] == 0


@pytest.mark.parametrize("text", ["0001-01-02", "1000-01-01", "9999-12-31"])
@pytest.mark.parametrize("name", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_the_first_and_last_times_are_of_any_zone(text, name):
    times, bad = parse_times([text])
    assert bad is None
    utc = to_utc(times.clock, name)
    np.testing.assert_array_equal(utc + local_offsets(utc, name), times.clock)


@pytest.mark.parametrize(
    ("times", "step"),
    [
        (["2020-01-01", "2020-01-02", "2020-01-04"], "1D"),
        (["2020-01-01 00:00", "2020-01-01 00:30", "2020-01-01 01:00"], "30min"),
        (["2020-01-01", "2020-02-01", "2020-03-01", "2020-04-01"], "1MS"),
        (["2020Q1", "2020Q2", "2020Q3"], "3MS"),
        (["2020-01", "2020-02", "2020-03", "2020-05", "2020-07", "2020-10", "2021-01"], "1MS"),
        (["2020-01-06", "2020-01-13", "2020-01-20"], "1W"),
        (["3", "5", "7"], "2"),
    ],
)
def test_clock_infers_the_step(times, step):
    found, _ = parse_times(times)
    assert str(infer_step([found.clock], found.kind)) == step


def test_clock_steps_are_parsed_or_named():
    assert parse_step("auto") is None
    assert parse_step("30min") == Step("seconds", 1800)
    assert parse_step("3MS") == Step("months", 3)
    assert parse_step("rows") == Step("rows")
    with pytest.raises(DataError, match=r'data.step = "fortnight" is no step. Allowed: auto, rows'):
        parse_step("fortnight")


def test_clock_local_time_follows_daylight_saving_both_ways():
    zone = "Australia/Melbourne"
    utc = np.arange(1_396_000_000 // 1800 * 1800, 1_396_900_000, 1800)  # April 2014: an hour comes twice
    local = utc + local_offsets(utc, zone)
    for at in (0, 100, len(utc) - 1):
        expected = datetime.datetime.fromtimestamp(int(utc[at]), ZoneInfo(zone)).replace(tzinfo=datetime.UTC)
        assert local[at] == int(expected.timestamp())
    assert (np.diff(local) <= 0).any()
    np.testing.assert_array_equal(to_utc(local, zone), utc)
    np.testing.assert_array_equal(to_utc(local[::-1], zone), utc[::-1])
    for cut in (2, len(local) - 2):  # two files, the newest first
        files = [slice(cut, None), slice(None, cut)]
        turned, wanted = (np.concatenate([each[part] for part in files]) for each in (local, utc))
        np.testing.assert_array_equal(to_utc(turned, zone), wanted)
    with pytest.raises(DataError, match="is no time zone"):
        local_offsets(utc, "Mars/Olympus")
