"""Rows of series, and how their times are shown."""

import numpy as np
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


def test_series_have_the_step_of_the_model_and_not_of_their_table(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("data: {train: builtin:series}\nmodel: {horizon_steps: 2}\n")
    (tmp_path / "parity.json").write_text('{"facts": {"facts": {"step": ["seconds", 86400], "look_back": 9000}}}')
    reads = SeriesInput(["values"], tmp_path)
    file = tmp_path / "history.csv"
    days = np.arange("2000-01-01", "2024-01-01", 2, dtype="datetime64[D]")
    file.write_text("time,value\n" + "".join(f"{day},{number}\n" for number, day in enumerate(days)))
    (row,) = reads.from_file(str(file))
    assert len(row["values"]) == 2 * len(days) - 1, "as far back as the model looks"
    assert np.isnan(row["values"][1])
    file.write_text("time,value\n2024-01-01T00:00,1\n2024-01-01T05:00,2\n")
    with pytest.raises(DataError, match="off its grid of 1D"):
        next(reads.from_file(str(file)))


def test_series_in_other_units_or_of_an_unknown_kind_are_remarked_on(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("data: {train: builtin:series}\nmodel: {horizon_steps: 2}\n")
    facts = (
        '{"step": ["seconds", 86400], "look_back": 3, "names": ["Graz", "Wien"], '
        '"static": [["hill", "plain"]], "mean": [-4.0, 0.0], "std": [1.0, 0.0]}'
    )
    (tmp_path / "parity.json").write_text(f'{{"facts": {{"facts": {facts}}}}}')
    reads = SeriesInput(["values", "series", "static"], tmp_path)

    def remark(name, values, static="hill"):
        return reads.remark(reads.from_value({"series": name, "values": values, "static": static}))

    nan = float("nan")
    for usual in ([-99.0, 99.0, 4.0], [0.26, 0.26, nan], [0.0] * 3, [nan] * 2 + [4.0], [9000.0] + [4.0] * 3):
        assert "units" not in remark("Graz", usual), usual
    units = "where it had 5 in training, perhaps in other units"
    assert remark("Graz", [-4000.0, 5000.0, nan]) == f"series Graz has values of about 4500 {units}"
    assert remark("Graz", [0.004] * 3) == f"series Graz has values of about 0.004 {units}"
    assert remark("Wien", [4000.0] * 3) == "", "what stood still at 0 has no units"
    assert remark("Graz", [4.0] * 3, "sea") == "series Graz has what training did not have (sea)"


def test_series_that_are_new_or_short_are_remarked_on(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("data: {train: builtin:series}\nmodel: {horizon_steps: 2}\n")
    facts = '{"step": ["seconds", 86400], "look_back": 10, "names": ["Graz", "Wien"]}'
    (tmp_path / "parity.json").write_text(f'{{"facts": {{"facts": {facts}}}}}')
    reads = SeriesInput(["values", "series"], tmp_path)

    def remark(name, values):
        return reads.remark(reads.from_value({"series": name, "values": values}))

    assert remark("Graz", [1.0] * 10) == ""
    assert remark("Graz", [1.0] * 5) == ""
    assert remark("GRAZ", [1.0] * 10) == (
        "series GRAZ is none of those in training (Graz; Wien), and is forecast as any other"
    )
    short = "has 4 of the 10 values that the model looks back on, so that its intervals may be too narrow"
    assert remark("Wien", [1.0] * 4) == f"series Wien {short}"
    assert remark("Linz", [1.0] * 4 + [float("nan")] * 5).endswith(f"as any other and {short}")


@pytest.mark.parametrize(
    ("name", "item", "allowed"),
    [
        ("values", ["a"], "a list of numbers"),
        ("values", [1, [2]], "a list of numbers"),
        ("values", None, "a list of numbers"),
        ("past", [1, 2], "a list of numbers for each step"),
        ("time", None, "a time as a table has it"),
        ("time", [1, 2], "a time as a table has it"),
        ("time", "tomorrow", "a time as a table has it"),
        ("time", "1.5", "a time as a table has it"),
        ("series", [], "a text"),
        ("static", [None], "a text or several"),
    ],
)
def test_series_a_value_that_is_none_is_named(name, item, allowed):
    with pytest.raises(DataError, match=f"^{name}: .* does not fit. Allowed: {allowed}"):
        SeriesInput([name]).from_value({name: item})


def test_series_values_in_python_are_arrays():
    given = {"values": [1, 2], "past": [[1], [2]], "time": "2024-03-04", "series": "é", "static": ["a", b"b"]}
    row = SeriesInput(list(given)).from_value(given)
    assert (row["time"], row["series"].item(), row["static"].tolist()) == (MIDNIGHT, "é".encode(), [b"a", b"b"])
    assert (row["values"].tolist(), row["past"].shape) == ([1, 2], (2, 1))
    assert SeriesInput(["time"]).from_value({"time": np.int64(12)}) == {"time": 12}


def test_series_times_with_a_zone_are_read_by_the_clocks_of_the_model(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("data: {train: builtin:series, time_zone: Australia/Melbourne}\n")
    reads = SeriesInput(["values", "time"], tmp_path)
    wanted = int(np.datetime64("2014-07-01T22:00", "s").astype(np.int64))
    for text in ("2014-07-01T12:00Z", "2014-07-01T22:00+10:00", "2014-07-01T22:00"):
        assert reads.from_value({"values": [1.0], "time": text})["time"] == wanted


def test_series_without_any_value_begin_at_their_first_row(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("data: {train: builtin:series}\nmodel: {horizon_steps: 2}\n")
    (tmp_path / "parity.json").write_text('{"facts": {"facts": {"step": ["seconds", 3600], "look_back": 4}}}')
    (tmp_path / "history.csv").write_text("time,value\n2024-01-01T05:00,\n2024-01-01T06:00,\n")
    (row,) = SeriesInput(["values", "time"], tmp_path).from_file(str(tmp_path / "history.csv"))
    assert shown_time(int(row["time"]) + 3600, "1h") == "2024-01-01T05:00"
