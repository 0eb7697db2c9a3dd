"""Rows by split: the order of sources, bad rows, remarks, and how many are used."""

from __future__ import annotations

import numpy as np
import pytest

from seqpipe.config.data import Data
from seqpipe.data.findings import Bad, Finding
from seqpipe.data.reading import read_role, read_roles, with_dev
from seqpipe.errors import DataError

SOURCES = {
    "files:good": ["a", "b", "c", "d"],
    "files:odd": ["x", Bad("odd:2 is bad"), Finding("info", "odd rows"), "y", Bad("odd:5 is bad")],
    "files:empty": [],
}


def rows_of(source, role):
    """Rows of a source; of one that there is not, none but an error after the first."""
    yield from SOURCES.get(source, [f"{role} begun"])
    if source not in SOURCES:
        raise DataError(f"there is no {source}.")


class Numbers(list):
    def take(self, rows):
        return Numbers(self[row] for row in rows)


def test_reading_splits_come_in_their_order_each_with_its_rows():
    data = Data(test="files:good", train=["files:odd", "files:good"], dev="files:empty", max_bad_fraction=0.25)
    rows, findings = read_roles(data, rows_of, noun="word")
    assert list(rows.items()) == [
        ("train", ["x", "y", "a", "b", "c", "d"]),
        ("dev", []),
        ("test", ["a", "b", "c", "d"]),
    ]
    assert findings == [
        Finding("info", "train: odd rows"),
        Finding(
            "warning",
            "train: 2 of 8 words (25.0 %) cannot be used and are skipped: odd:2 is bad; odd:5 is bad.",
        ),
        Finding("error", "dev: no words."),
    ]


def test_reading_a_split_without_a_source_is_left_out():
    assert read_roles(Data(train="files:good"), rows_of, noun="word") == ({"train": SOURCES["files:good"]}, [])
    rows, _ = read_roles(Data(train="files:good", test="files:good"), rows_of, noun="word")
    assert list(rows) == ["train", "test"]


def test_reading_sources_that_cannot_be_read_are_all_told():
    data = Data(train=["files:one", "files:odd", "files:two"], dev="files:good", test="files:three")
    rows, findings = read_roles(data, rows_of, noun="word")
    assert rows == {"dev": ["a", "b", "c", "d"]}
    assert findings == [
        Finding("error", "train: there is no files:one."),
        Finding("info", "train: odd rows"),
        Finding("error", "train: there is no files:two."),
        Finding("error", "test: there is no files:three."),
    ]


def test_reading_too_many_bad_rows_are_an_error():
    for fraction, severity in ((0.5, "warning"), (0.49, "error")):
        rows, findings = read_role("files:odd", "dev", rows_of, noun="word", max_bad_fraction=fraction)
        assert rows == ["x", "y"]
        assert [finding.severity for finding in findings] == ["info", severity]


@pytest.mark.parametrize(("most", "used"), [(None, "abcd"), (5, "abcd"), (4, "abcd"), (3, "abc"), (2, "ab"), (1, "a")])
def test_reading_uses_so_many_rows_at_most(most, used):
    rows, findings = read_role("files:good", "train", rows_of, noun="word", max_bad_fraction=0.0, most=most)
    assert rows == list(used)
    text = f"train: {most} of 4 words are used (data.max_rows)."
    assert findings == ([] if used == "abcd" else [Finding("warning", text)])


def test_reading_rows_that_are_used_are_of_every_group():
    data = Data(train="files:good", max_rows=2)
    rows, _ = read_roles(data, rows_of, noun="word", group=lambda row: row == "d")
    assert rows == {"train": ["a", "d"]}


def test_reading_dev_is_cut_out_of_train():
    splits = {"train": Numbers(range(7)), "test": Numbers([9])}
    found = with_dev(splits, np.zeros(7, int), 3)
    assert found == {"train": [1, 2, 4, 5], "dev": [0, 3, 6], "test": [9]}
    assert splits == {"train": list(range(7)), "test": [9]}
