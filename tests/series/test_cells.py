"""Cells as numbers, and the warnings about what may be read wrongly."""

from __future__ import annotations

import numpy as np
import pytest

from seqpipe.config.series import SeriesTable
from seqpipe.series.cells import odd_times, read_numbers
from seqpipe.series.clock import Times, parse_times

NONE = np.nan


def odd(*texts):
    return [(one.severity, one.text) for one in odd_times(list(texts), parse_times(list(texts))[0])]


def numbers(*texts, **options):
    findings = []
    values = read_numbers(
        list(texts), "price", "train", lambda row: f"file:{row + 2}", SeriesTable(**options), findings
    )
    assert values.dtype == np.float64
    return values.tolist(), [(one.severity, one.text) for one in findings]


def read(*texts, **options):
    values, said = numbers(*texts, **options)
    assert said == []
    return values


def test_cells_with_slashes_are_odd_where_no_day_is_above_the_twelfth():
    text = "times such as 12/02/2016 are read as day/month/year, and no day is above the 12th. "
    text += "If the month stands first, write ISO dates (2016-07-01)."
    assert odd("1/02/2016", "12/02/2016") == [("warning", text)]
    assert odd("12/02/2016", "13/02/2016") == []
    assert odd("2016-02-01", "2016-02-02") == []


@pytest.mark.parametrize(
    ("first", "last", "is_odd"),
    [(25_000, 59_999, True), (24_999, 59_999, False), (25_000, 60_000, False), (1, 2, False)],
)
def test_cells_of_plain_numbers_are_odd_where_a_spreadsheet_may_mean_days(first, last, is_odd):
    text = f"times such as {last} are read as plain numbers, without a calendar. "
    text += "If they are a spreadsheet's days since 1900, write ISO dates (2016-07-01)."
    assert odd(str(last), str(first)) == ([("warning", text)] if is_odd else [])


def test_cells_of_real_times_and_of_no_times_are_no_days_of_a_spreadsheet():
    assert odd_times(["1970-01-01T08:20"], Times(np.array([30_000]), "seconds")) == []
    assert odd_times([], Times(np.zeros(0, np.int64), "count")) == []


@pytest.mark.parametrize(("mark", "other"), [(".", ","), (",", ".")])
def test_cells_are_odd_where_the_decimal_mark_may_stand_between_thousands(mark, other):
    values, said = numbers("985", f" -1{mark}012 ", f"123{mark}456", decimal=mark)
    assert values == [985, -1.012, 123.456]
    text = f"price:  -1{mark}012  is read as -1.012, and behind each {mark} are three digits. "
    assert said == [("warning", text + "If it stands between thousands, take it out of the data.")]
    for more in (f"0{mark}985", f"1{mark}01", f"1{mark}0122", f"1234{mark}567"):
        numbers_of_more, nothing = numbers("985", f"1{mark}012", more, decimal=mark)
        assert numbers_of_more[1:] == [1.012, float(more.replace(mark, "."))]
        assert nothing == []
    values, said = numbers(f"1{mark}012", "", f"2{mark}500", decimal=mark)  # no whole number beside: less probable
    assert (values[0], values[2]) == (1.012, 2.5)
    assert [severity for severity, _ in said] == ["info"]
    assert read("7", "8", decimal=mark) == [7, 8]


@pytest.mark.parametrize("other", ["950", "2.500"])
def test_cells_with_a_point_before_three_digits_are_no_numbers_where_the_decimal_mark_is_a_comma(other):
    _, said = numbers(other, "1.227", decimal=",")
    assert {severity for severity, _ in said} == {"error"}
    assert 'file:3: price = "1.227" is no number: numbers have no thousands separators' in said[0][1]


def test_cells_with_a_point_are_numbers_where_no_other_has_a_decimal_comma():
    assert read("1,5", "2", "1e3", decimal=",") == [1.5, 2, 1000]
    assert read("1.5", "2", decimal=",") == [1.5, 2]
    ((severity, text),) = numbers("1,5", "2.5", decimal=",")[1]
    assert severity == "error"
    assert 'file:3: price = "2.5" is no number: numbers have no thousands separators' in text


def test_cells_that_are_empty_or_say_so_are_missing_and_truths_are_one_or_nothing():
    missing = read("1", "", " NA ", "nan", "n/a", "NULL", "None", "?")
    np.testing.assert_array_equal(missing, [1, *[NONE] * 7])
    assert read("TRUE", "false", " Yes ", "no", "-2.5", "1e2") == [1, 0, 1, 0, -2.5, 100]
    assert read() == []


def test_cells_that_are_infinite_are_an_error_at_the_first():
    text = "file:3: price is infinite, in 2 rows. A missing value is an empty field."
    assert numbers("1", "inf", "-inf") == ([1, np.inf, -np.inf], [("error", text)])
    assert numbers("1", "inf")[1] == [("error", text.replace("2 rows", "1 row"))]


def test_cells_that_are_no_numbers_are_told_by_place_and_passed_over_where_that_is_allowed():
    values, said = numbers("1", "x" * 40, "", "soon", max_bad_fraction=0.5)
    np.testing.assert_array_equal(values, [1, NONE, NONE, NONE])
    bad = f'file:3: price = "{"x" * 30}" is no number; file:5: price = "soon" is no number'
    assert said == [("warning", f"train, price: 2 of 4 values (50.0 %) cannot be used and count as missing: {bad}.")]
    (severity, text), *rest = numbers("1", "x", "", "soon", max_bad_fraction=0.49)[1]
    assert (severity, rest) == ("error", [])
    assert "data.max_bad_fraction = 0.49 allows no more" in text


@pytest.mark.parametrize(
    ("decimal", "text"),
    [
        (".", "1,234.5"),
        (".", "1 234"),
        (".", "1'234"),
        (",", "1,234,5"),
        (",", "1.234,5"),
        (".", "1.2.3"),
        (".", " x "),
        (".", "12h"),
    ],
)
def test_cells_with_signs_between_thousands_get_a_hint(decimal, text):
    (_, told), *_ = numbers("1", text, decimal=decimal)[1]
    hint = f": numbers have no thousands separators, and the decimal mark {decimal} (data.decimal)"
    hinted = any(sign in text.strip() for sign in ",. '")
    assert f'file:3: price = "{text}" is no number{hint if hinted else ""}' in told
    assert ("thousands" in told) == hinted
