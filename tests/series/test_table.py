"""Tables of series: what is read, what is sorted and filled, what is refused and how."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seqpipe.config.series import SeriesTable
from seqpipe.errors import DataError
from seqpipe.series.table import read_series


def read(tmp_path, text, name="series.csv", **options):
    file = tmp_path / name
    file.write_text(text)
    return read_series(f"files:{file}", SeriesTable(**options))


def test_table_of_two_series_with_a_gap(tmp_path):
    found = read(
        tmp_path, "series,time,value\na,2020-01-02,2\na,2020-01-01,1\na,2020-01-04,4\nb,2020-01-01,\nb,2020-01-02,7\n"
    )
    assert [one.name for one in found.series] == ["a", "b"]
    np.testing.assert_array_equal(found.series[0].values, [1, 2, np.nan, 4])
    np.testing.assert_array_equal(found.series[1].values, [np.nan, 7])
    said = " ".join(finding.text for finding in found.findings)
    assert "series a: rows do not stand in the order of time; they were sorted." in said
    assert "step 1D" in said
    assert (
        "1 of 2 series have steps without a row, which count as missing, most of them a: 1 step of 4 (25.0 %)." in said
    )


def test_table_of_one_series_says_its_gaps(tmp_path):
    found = read(tmp_path, "time,value\n2020-01-01,1\n2020-01-02,2\n2020-01-04,4\n")
    assert "the series: 1 step of 4 (25.0 %) have no row and count as missing." in [f.text for f in found.findings]


def test_table_hour_that_comes_twice_does_so_in_each_series(tmp_path):
    hours = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00"]
    text = "".join(f"{name},{hour},{number}\n" for number, hour in enumerate(hours) for name in "ab")
    found = read(tmp_path, "series,time,value\n" + text, time_zone="Europe/Paris")
    assert str(found.step) == "1h"
    for one in found.series:
        np.testing.assert_array_equal(one.values, [0, 1, 2, 3])
        np.testing.assert_array_equal(np.diff(one.clock), [3600, 0, 3600])


@pytest.mark.parametrize("suffix", ["", "T00:00:00{offset}"])
def test_table_days_are_those_of_the_zone(tmp_path, suffix):
    days = np.arange("2024-03-25", "2024-04-05", dtype="datetime64[D]")
    offset = ["+02:00" if day >= np.datetime64("2024-04-01") else "+01:00" for day in days]  # put forward on the 31st
    text = "".join(
        f"{day}{suffix.format(offset=o)},{number}\n" for number, (day, o) in enumerate(zip(days, offset, strict=True))
    )
    found = read(tmp_path, "time,value\n" + text, time_zone="Europe/Paris")
    assert str(found.step) == "1D"
    np.testing.assert_array_equal(found.series[0].clock, days.astype("datetime64[s]").astype(int))
    np.testing.assert_array_equal(found.series[0].values, np.arange(len(days)))


@pytest.mark.parametrize("step", ["auto", "1MS"])
def test_table_months_are_those_of_the_zone(tmp_path, step):
    months = np.arange("2024-01", "2024-06", dtype="datetime64[M]")
    text = "".join(f"{month}-01,{number}\n" for number, month in enumerate(months))
    found = read(tmp_path, "time,value\n" + text, time_zone="Europe/Paris", step=step)
    assert str(found.step) == "1MS"
    np.testing.assert_array_equal(found.series[0].clock, months.astype("datetime64[s]").astype(int))


def test_table_wide_with_covariates_is_a_series_a_column(tmp_path):
    found = read(tmp_path, "time,a,b,k\n1,1,5,TRUE\n2,2,6,false\n", values=["a", "b"], known=["k"])
    assert [(one.name, one.values.tolist()) for one in found.series] == [("a", [1, 2]), ("b", [5, 6])]
    np.testing.assert_array_equal(found.series[1].known, [[1], [0]])


def test_table_formats_say_the_same(tmp_path):
    rows = [{"time": f"2020-01-0{day}", "value": float(day)} for day in range(1, 5)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    from_json = read(tmp_path, lines, "series.jsonl").series[0]
    tsv = "time\tvalue\n" + "".join(f"{row['time']}\t{row['value']}\n" for row in rows)
    from_tsv = read(tmp_path, tsv, "series.tsv").series[0]
    np.testing.assert_array_equal(from_json.values, from_tsv.values)
    np.testing.assert_array_equal(from_json.clock, from_tsv.clock)
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "series.parquet")
    packed = read_series(f"files:{tmp_path / 'series.parquet'}", SeriesTable()).series[0]
    np.testing.assert_array_equal(packed.values, from_json.values)


def test_table_of_a_spreadsheet_with_semicolons(tmp_path):
    rows = "2020-01-01;1,5\n2020-01-02;2,5\n"
    for text, options in ((f"sep=;\ntime; value\n{rows}", {}), (f"time;value\n{rows}", {"separator": ";"})):
        assert read(tmp_path, text, decimal=",", **options).series[0].values.tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("rows", "warning"),
    [
        ("01/02/2016,1\n02/02/2016,2\n", "times such as 02/02/2016 are read as day/month/year"),
        ("42370,1\n42371,2\n", "spreadsheet's days since 1900"),
        ("1,985\n2,1.012\n", "value: 1.012 is read as 1.012"),
        ("13/02/2016,1\n14/02/2016,2\n", ""),
        ("1,0.985\n2,1.012\n3,\n", ""),
        ("1,985\n2,1.01\n", ""),
    ],
)
def test_table_cells_that_may_mean_something_else_are_a_warning(tmp_path, rows, warning):
    said = [one.text for one in read(tmp_path, f"time,value\n{rows}").findings if one.severity == "warning"]
    assert len(said) == bool(warning)
    assert warning in " ".join(said)


def test_table_days_without_signs_between_are_dates(tmp_path):
    found = read(tmp_path, "time,value\n20160131,1\n20160201,2\n")
    assert (str(found.step), len(found.series[0])) == ("1D", 2)
    assert str(read(tmp_path, "time,value\n20160131,1\n20160132,2\n").step) == "1"


def test_table_month_before_day_is_refused(tmp_path):
    with pytest.raises(DataError, match="Days stand before months here"):
        read(tmp_path, "time,value\n01/12/2016,1\n01/13/2016,2\n")


def test_table_header_that_is_no_csv_names_no_columns(tmp_path):
    with pytest.raises(DataError, match="names no columns"):
        read(tmp_path, "ti\rme,value\n1,2\n")


def test_table_rows_alone_count_where_asked(tmp_path):
    found = read(tmp_path, "time,value\n2020-01-03,1\n2020-01-06,2\n2020-01-07,3\n", step="rows")
    assert found.series[0].values.tolist() == [1, 2, 3]
    assert str(found.step) == "rows"


def test_table_files_of_both_kinds_are_refused(tmp_path):
    for name in ("a.csv", "b.parquet"):
        (tmp_path / name).write_text("time,value\n1,1\n")
    with pytest.raises(DataError, match=r"a.csv and .*b.parquet: Allowed: Parquet files alone, or none"):
        read_series(f"files:{tmp_path}/*", SeriesTable())


def test_table_decimal_comma(tmp_path):
    found = read(tmp_path, "time\tvalue\n1\t1,5\n2\t2,5\n", "series.tsv", decimal=",")
    assert found.series[0].values.tolist() == [1.5, 2.5]


def test_table_names_of_series_that_are_nearly_one_are_a_warning(tmp_path):
    rows = [f"{name},{day},{day}" for name in ("a", "A", "b", "a ") for day in (1, 2)]
    found = read(tmp_path, "\n".join(["series,time,value", *rows, ""]))
    said = [one.text for one in found.findings if one.severity == "warning"]
    assert said == [
        'train: series differ by case or blanks only: "a" and "A" and "a ". If they are one series, write one name.'
    ]
    assert len(read(tmp_path, "series,time,value\n,1,1\n,2,2\n").series) == 1, "a column without names is no column"


def test_table_reads_months_written_as_numbers_and_doubts_weeks(tmp_path):
    months = [100 * year + month for year in (2019, 2020) for month in range(1, 13)]
    found = read(tmp_path, "\n".join(["time,value", *(f"{month},1" for month in months), ""]))
    assert (str(found.step), len(found.series[0])) == ("1MS", 24)
    counted = read(tmp_path, "time,value\n201912,1\n202001,2\n", step="1")
    assert counted.step.kind == "count"
    weeks = [*range(201950, 201953), *range(202001, 202004)]
    doubted = read(tmp_path, "\n".join(["time,value", *(f"{week},1" for week in weeks), ""]))
    said = [one.text for one in doubted.findings if one.severity == "warning"]
    assert said[0] == (
        "times such as 201950 are read as plain numbers, without a calendar. "
        "If they are weeks of a year, write ISO weeks (2016-W27)."
    )
    one_year = read(tmp_path, "time,value\n201950,1\n201951,2\n")
    assert not [one for one in one_year.findings if "weeks" in one.text]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("time,value\n", {}, "train: no rows."),
        ("time,value\n1,1_0\n2,3\n", {}, r'series.csv:2: value = "1_0" is no number'),
        (
            "time,value\n2023-03-26 01:00,1\n2023-03-26 02:00,2\n2023-03-26 03:00,3\n",
            {"time_zone": "Europe/Berlin"},
            r"series.csv:4: the series has 2023-03-26 02:00 and 2023-03-26 03:00, which are one time, with",
        ),
        ("time,value\n1,1\n1,2\n", {}, r"series.csv:3: the series has the time 1 twice, with other values"),
        ('time,value\n1,"1,234.5"\n', {}, r'series.csv:2: value = "1,234.5" is no number: numbers have no thousands'),
        (
            "time\tvalue\n1\t987,5\n2\t1.234\n",
            {"decimal": ",", "separator": "\t"},
            r'series.csv:3: value = "1.234" is no number: numbers have no',
        ),
        ("time,value\n2020-01-01,1\ntoday,2\n", {}, 'series.csv:3: the time "today" is none'),
        (
            "time,value\n2020-01-01T00:00Z,1\n2020-01-01T01:00,2\n",
            {},
            'series.csv:3: the time "2020-01-01T01:00" is none',
        ),
        (
            "time,value\n2020-01-01T00:00:00.000,1\n2020-01-01T00:00:00.100,1\n2020-01-01T00:00:01,1\n",
            {},
            "series.csv:3: the series has 2020-01-01T00:00:00.000 and 2020-01-01T00:00:00.100: times are read in whole",
        ),
        ("time,value\n1,inf\n2,3\n", {}, "series.csv:2: value is infinite, in 1 row"),
        ("time,value\n2020-01-01,1\nsoon,2\n", {}, r'series.csv:3: the time "soon" is none. Allowed: ISO dates'),
        (
            "time,value\n2020-01-01 00:00,1\n2020-01-01 01:00,1\n2020-01-01 02:00,1\n2020-01-01 02:20,1\n",
            {},
            "series.csv:5: the series has a time off its grid of 1h",
        ),
        (
            "series,time,value\na,1,1\n,2,2\nb,1,2\n",
            {},
            "series.csv:3: no series is named, in 1 row. Fill data.series_col",
        ),
        (
            "time,value\n01/02/2016,1\n02/02/2016,1\n12/09/3016,1\n",
            {},
            r"steps of 1D[^\0]*read as day/month/year, and no day is above the 12th",
        ),
        ("time,valeu\n1,1\n", {}, "Did you mean valeu?"),
        ("series,time,value,s\na,1,1,x\na,2,1,y\n", {"static": ["s"]}, "series a: the static column s changes: x; y."),
    ],
)
def test_table_refuses_by_row_and_rule(tmp_path, text, options, message):
    with pytest.raises(DataError, match=message.replace("?", r"\?").replace("(", r"\(")):
        read(tmp_path, text, **options)


def test_table_of_json_lines_has_missing_values_as_pandas_writes_them(tmp_path):
    rows = [{"value": 1, "offer": 0}, {"value": None, "offer": 1}, {"value": float("nan"), "offer": 0}, {"offer": 1}]
    lines = [json.dumps({"time": f"2020-01-0{day}", **row}) for day, row in enumerate(rows, start=1)]
    for name, text in (("a.jsonl", "\n".join(lines)), ("b.json", f"[{','.join(lines)}]")):
        (one,) = read(tmp_path, text, name, known=["offer"]).series
        np.testing.assert_array_equal(one.values, [1, np.nan, np.nan, np.nan])
        assert one.known[:, 0].tolist() == [0, 1, 0, 1]
        assert one.end == 1


def test_table_behind_an_empty_line_of_a_spreadsheet_has_its_series(tmp_path):
    text = ",,\nseries,time,value\na,1,1\na,2,2\nb,1,3\nb,2,4\n"
    assert [one.name for one in read(tmp_path, text).series] == ["a", "b"]
    with pytest.raises(DataError, match=r"series\.dat does not say its format"):
        read(tmp_path, text, "series.dat")


def test_table_of_columns_that_are_series_has_no_column_of_series(tmp_path):
    with pytest.raises(DataError, match=r"data.values = \['a', 'b'\] makes a series of each column.*set one of them"):
        read(tmp_path, "time,shop,a,b\n1,x,1,2\n2,x,1,2\n", values=["a", "b"], series_column="shop")


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Africa/Cairo"])
def test_table_days_of_a_zone_where_clocks_change_at_midnight(tmp_path, zone):
    days = np.arange("2017-04-01", "2018-04-01", dtype="datetime64[D]")
    rows = "\n".join(f"{day},{number}" for number, day in enumerate(days))
    (one,) = read(tmp_path, f"time,value\n{rows}\n", time_zone=zone).series
    assert one.values.tolist() == list(range(365))


def test_table_days_within_months_are_told(tmp_path):
    days = np.arange("2020-01", "2022-01", dtype="datetime64[M]").astype("datetime64[D]") + 14
    found = read(tmp_path, "time,value\n" + "".join(f"{day},{number}\n" for number, day in enumerate(days)))
    assert str(found.step) == "1MS"
    assert "train: days within months, each of which stands for its month: answers name its first day." in [
        each.text for each in found.findings
    ]


def test_table_last_days_of_months_are_months(tmp_path):
    ends = np.arange("2020-02", "2022-02", dtype="datetime64[M]").astype("datetime64[D]") - 1
    found = read(tmp_path, "time,value\n" + "".join(f"{day},{number}\n" for number, day in enumerate(ends)))
    assert str(found.step) == "1MS"
    assert found.series[0].values.tolist() == list(range(24))
    assert "train: last days of months, each of which stands for its month." in [each.text for each in found.findings]
    text, one_day = "time,value\n2020-01-31,1\n", np.datetime64("2020-01-31", "s").astype(int)
    assert read(tmp_path, text).series[0].clock.tolist() == [one_day], "a single day is a day"
    assert read(tmp_path, text, step="1D").series[0].clock.tolist() == [one_day]
    assert read(tmp_path, text, step="1MS").series[0].clock.tolist() == [one_day - 30 * 86_400]
    mixed = read(tmp_path, "time,value\n2020-01-30,1\n2020-01-31,2\n2020-02-01,3\n")
    assert str(mixed.step) == "1D"


def test_table_static_texts_that_are_missing_are_no_change(tmp_path):
    (one,) = read(tmp_path, "series,time,value,s\na,1,1,x\na,2,,\n", static=["s"]).series
    assert list(one.static) == ["x"]
