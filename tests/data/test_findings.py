"""Findings about rows: how many are bad, which are named, what stops."""

from __future__ import annotations

import pytest

from seqpipe.data.findings import Bad, BadRows, Finding, counted, listed, raise_errors, share
from seqpipe.errors import DataError


def bad(count, noun="row"):
    rows = BadRows(noun)
    for number in range(count):
        rows.add(f"place {number + 1}")
    return rows


def test_findings_bad_rows_are_counted_and_the_first_three_kept():
    rows = bad(5)
    assert rows.count == 5
    assert rows.examples == ["place 1", "place 2", "place 3"]
    assert BadRows("row").examples == []


def test_findings_of_no_rows_is_an_error():
    assert bad(0, "pair").check("dev", good=0, max_bad_fraction=1.0) == [Finding("error", "dev: no pairs.")]


def test_findings_of_good_rows_alone_are_none():
    assert bad(0).check("train", good=1, max_bad_fraction=0.0) == []


def test_findings_bad_rows_up_to_the_fraction_are_skipped():
    (found,) = bad(1).check("train", good=3, max_bad_fraction=0.25)
    text = "train: 1 of 4 rows (25.0 %) cannot be used and are skipped: place 1."
    assert found == Finding("warning", text)


def test_findings_more_bad_rows_than_the_fraction_are_an_error():
    (found,) = bad(1001).check("train", good=2002, max_bad_fraction=0.33)
    text = (
        "train: 1,001 of 3,003 rows (33.3 %) cannot be used, data.max_bad_fraction = 0.33 allows no more: "
        "place 1; place 2; place 3; and 998 more."
    )
    assert found == Finding("error", text)


def test_findings_no_good_row_is_an_error_whatever_the_fraction():
    (found,) = bad(1).check("test", good=0, max_bad_fraction=1.0)
    assert found == Finding("error", "test: 1 of 1 row (100.0 %) cannot be used, none is left: place 1.")


def test_findings_a_question_at_the_end_has_no_period_behind_it():
    rows = BadRows("row")
    rows.add("a.csv:2: is it UTF-16?")
    (found,) = rows.check("train", good=9, max_bad_fraction=0.5)
    assert found.text == "train: 1 of 10 rows (10.0 %) cannot be used and are skipped: a.csv:2: is it UTF-16?"


def test_findings_every_error_is_raised_at_once_and_nothing_else():
    raise_errors([Finding("warning", "odd"), Finding("info", "fine")])
    findings = [Finding("error", "one."), Finding("warning", "odd"), Finding("error", "two."), Finding("info", "fine")]
    with pytest.raises(DataError) as caught:
        raise_errors(findings)
    assert str(caught.value) == "one.\ntwo."
    assert caught.value.__notes__ == ["warning: odd"]


@pytest.mark.parametrize(
    ("items", "count", "text"),
    [
        ([], None, ""),
        (["a"], None, "a"),
        (["a", "b", "c"], None, "a; b; c"),
        (["a", "b", "c", "d"], None, "a; b; c; and 1 more"),
        (["a", "b", "c"], 3, "a; b; c"),
        (["a", "b", "c"], 1234, "a; b; c; and 1,231 more"),
    ],
)
def test_findings_lists_name_three_and_count_the_rest(items, count, text):
    assert listed(items, count) == text


def test_findings_numbers_have_their_nouns_and_shares():
    assert [counted(number, "row") for number in (0, 1, 2, 1000)] == ["0 rows", "1 row", "2 rows", "1,000 rows"]
    assert [share(1, 8), share(2, 3), share(0, 7)] == ["12.5 %", "66.7 %", "0.0 %"]


def test_findings_that_say_the_same_are_one():
    assert len({Finding("info", "a"), Finding("info", "a"), Finding("warning", "a")}) == 2
    assert len({Bad("a"), Bad("a"), Bad("b")}) == 2


def test_findings_bad_rows_are_small():
    assert not hasattr(Bad("a.csv:1: no label"), "__dict__")
