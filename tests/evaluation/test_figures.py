"""Numbers, shares and intervals as they are written."""

from __future__ import annotations

import pytest

from seqpipe.evaluation.figures import (
    interval,
    number,
    percent,
    percent_interval,
    points_interval,
    size,
)


@pytest.mark.parametrize(
    ("value", "how", "text"),
    [
        (0.8, {}, "0.80"),
        (1234567.891, {"decimals": 1}, "1,234,567.9"),
        (0.25, {"scale": 4, "unit": "s"}, "1.00 s"),
        (0.012, {"signed": True}, "+0.01"),
        (-0.012, {"signed": True}, "-0.01"),
        (-0.012, {}, "-0.01"),
        (-0.004, {}, "0.00"),
        (-0.00004, {"decimals": 4}, "0.0000"),
        (-0.004, {"signed": True}, "0.00"),
        (0.004, {"signed": True}, "0.00"),
        (0.0049, {"scale": 100, "decimals": 0, "signed": True}, "0"),
        (0.0051, {"scale": 100, "decimals": 0, "signed": True, "unit": "points"}, "+1 points"),
    ],
)
def test_figures_number_has_its_unit_and_no_sign_where_it_rounds_to_zero(value, how, text):
    assert number(value, **how) == text


def test_figures_percent_is_a_share_times_100():
    assert [percent(0.87216), percent(1, 0), percent(0.12345, 1)] == ["87.22 %", "100 %", "12.3 %"]


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({}, "24.30 (95 % interval 24.0 to 25.0)"),
        ({"decimals": 1}, "24.3 (95 % interval 24 to 25)"),
        ({"decimals": 0}, "24 (95 % interval 24 to 25)"),
        ({"unit": "ms"}, "24.30 ms (95 % interval 24.0 to 25.0 ms)"),
        ({"scale": 10}, "243.01 (95 % interval 239.6 to 249.6)"),
        ({"signed": True}, "+24.30 (95 % interval +23.96 to +24.96)"),
        ({"signed": True, "decimals": 0, "scale": 10, "unit": "p"}, "+243 p (95 % interval +240 to +250 p)"),
    ],
)
def test_figures_interval_has_bounds_of_a_decimal_less_unless_it_is_a_difference(how, text):
    assert interval({"value": 24.301, "low": 23.96, "high": 24.96}, **how) == text


def test_figures_intervals_of_shares_and_of_their_differences():
    assert percent_interval({"value": 0.8, "low": 0.4902, "high": 0.9433}) == "80.00 % (95 % interval 49.0 to 94.3 %)"
    difference = {"value": 0.012, "low": -0.0004, "high": 0.0235}
    assert points_interval(difference) == "+1.20 points (95 % interval -0.04 to +2.35 points)"


def test_figures_size_is_in_megabytes_from_a_million():
    assert [size(n) for n in (0, 1_500, 999_999, 1_000_000, 1_234_551_000)] == [
        "0.0 kB",
        "1.5 kB",
        "1000.0 kB",
        "1.0 MB",
        "1234.6 MB",
    ]
