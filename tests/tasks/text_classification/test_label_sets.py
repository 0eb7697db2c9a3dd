"""Several labels a text: read, checked, split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seqpipe.errors import ConfigError, DataError
from seqpipe.tasks import load_pipeline
from seqpipe.tasks.text_classification.config import ClassificationData
from seqpipe.tasks.text_classification.data import read_splits, read_table
from seqpipe.tasks.text_classification.label_sets import as_matrix, check_labels, split_labels, strata


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, content):
    Path(name).write_text(content, encoding="utf-8")
    return f"files:{name}"


def json_lines(rows, name="train.jsonl"):
    return write(name, "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))


def rows_of(sets, count=20, name="text"):
    return [(f"{name} {i}", sets[i % len(sets)]) for i in range(count)]


def read(source, **options):
    return read_splits(ClassificationData(train=source, **{"label_separator": "|", **options}))


def findings(splits, severity):
    return [finding.text for finding in splits.findings if finding.severity == severity]


def sets_of(splits, table):
    return [[splits.classes[i] for i in np.flatnonzero(row)] for row in table.labels]


# A cell


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("a", ["a"]),
        (" a |b c| ", ["a", "b c"]),
        ("b|a|b", ["b", "a"]),
        ("", []),
        ("|", []),
        ("[]", []),
        ('["b", " a ", ""]', ["b", "a"]),
        ("[1, true, 2.5]", ["1", "true", "2.5"]),
        ('["a", "a"]', ["a"]),
        ("['a', 'b\\d', 1]", ["a", "b\\d", "1"]),
    ],
)
def test_label_sets_cell(cell, labels):
    assert split_labels(cell, "|") == labels


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("[a, b]", 'the labels are in brackets and no list, such as ["a", "b"]'),
        ("[b'a']", "a label is an object"),
        ("[" * 100_000 + "]" * 100_000, 'the labels are in brackets and no list, such as ["a", "b"]'),
        ('["a", null]', "a label is null"),
        ('["a", ["b"]]', "a label is a list"),
        ('[{"a": 1}]', "a label is an object"),
        ('["a|b"]', "the label 'a|b' holds '|', which is data.label_separator: name another"),
        ('["\\ud800"]', "a label holds NUL or half a surrogate pair"),
    ],
)
def test_label_sets_cell_that_is_wrong(cell, reason):
    assert split_labels(cell, "|") == reason


# Splits


def test_label_sets_are_read_from_lists_texts_and_nothing():
    rows = [("one", ["b", "a"]), ("two", []), ("three", None), ("four", "a | b"), ("five", "a"), ("six", 7)]
    splits = read(json_lines(rows), dev=json_lines(rows_of([["a"], []], 4, "dev"), "dev.jsonl"))
    assert splits.classes == ["7", "a", "b"]
    assert splits.train.labels.dtype == np.int8
    assert sets_of(splits, splits.train) == [["a", "b"], [], [], ["a", "b"], ["a"], ["7"]]
    assert sets_of(splits, splits.dev) == [["a"], [], ["a"], []]


def test_label_sets_are_read_from_csv_and_tsv():
    source = write("a.csv", 'text,label\none,a;b\ntwo,\nthree,"[""b""]"\nfour,b\n')
    splits = read(source, label_separator=";", dev=write("b.tsv", "text\tlabel\nfive\tb;a\nsix\t\n"))
    assert sets_of(splits, splits.train) == [["a", "b"], [], ["b"], ["b"]]
    assert sets_of(splits, splits.dev) == [["a", "b"], []]


def test_label_sets_are_read_from_lines_as_fasttext_writes_them():
    lines = ["__label__a __label__b one __two", "__label__b three", "four five", "__label__a\tsix"]
    splits = read(write("a.txt", "\n".join(lines)), dev=write("b.txt", "__label__a __label__b seven\n"))
    assert splits.train.texts == ["one __two", "three", "four five", "six"]
    names = ["__label__a", "__label__b"]
    assert sets_of(splits, splits.train) == [names, names[1:], [], names[:1]]
    with pytest.raises(DataError, match="__label__ stands behind the sentence, or twice in a label"):
        read(write("a.txt", "__label__a one\n__label__a two __label__b\n"))


def test_label_sets_are_read_from_labelled_lines():
    source = write("a.txt", "a|b one two\nb three\na four\n")
    splits = read(source, dev=json_lines([("five", "a")], "dev.jsonl"))
    assert sets_of(splits, splits.train) == [["a", "b"], ["b"], ["a"]]
    assert splits.train.texts == ["one two", "three", "four"]


def test_label_sets_by_a_map():
    labels = {"1": "good", "2": "bad", "3": "bad"}
    splits = read(
        json_lines(rows_of([[1, 2], [2, 3], []], 12)), labels=labels, dev=json_lines(rows_of([[1]], 3), "d.jsonl")
    )
    assert splits.classes == ["good", "bad"]
    assert sets_of(splits, splits.train)[:3] == [["good", "bad"], ["bad"], []]
    with pytest.raises(DataError, match=r'train.jsonl:2: "4" is not a label. Allowed: 1, 2, 3'):
        read(json_lines([("one", [1]), ("two", [2, 4])]), labels=labels)
    with pytest.raises(ValueError, match=r"names a class 'a\|b', which holds label_separator = '\|': name another"):
        ClassificationData(train="files:a.csv", label_separator="|", labels={"1": "a|b"})


def test_label_sets_dev_has_its_share_of_each_label():
    rows = rows_of([["a"], ["a", "b"], []], 60)
    rows[7], rows[30] = ("odd", ["a", "seldom"]), ("even", ["seldom"])
    splits = read(json_lines(rows), dev_every=10)
    train, dev = splits.train.labels.sum(0), splits.dev.labels.sum(0)
    assert splits.classes == ["a", "b", "seldom"]
    assert dev.tolist()[2] == 1
    assert train.tolist()[2] == 1
    assert (dev > 0).all()
    assert 5 <= len(splits.dev) <= 8
    assert (~splits.dev.labels.any(axis=1)).sum() >= 2


def test_label_sets_strata_are_the_rarest_labels():
    labels = as_matrix([["a"], ["a", "b"], [], ["a"], ["b", "c"]], ["a", "b", "c"])
    assert strata(labels).tolist() == [0, 1, 3, 0, 2]


def test_label_sets_max_rows_keeps_each_set():
    rows = [*rows_of([["a"]], 50), ("x", ["a", "b"]), ("y", [])]
    splits = read(json_lines(rows), max_rows=5, dev=json_lines(rows_of([["a"]], 2), "dev.jsonl"))
    assert splits.train.texts[-2:] == ["x", "y"]
    assert len(splits.train) == 5


def test_label_sets_read_table_takes_the_order_of_the_model():
    data = ClassificationData(train="files:unused.csv", label_separator="|")
    table, found = read_table(json_lines([("one", "b|a"), ("two", "")]), data, ["b", "a"])
    assert table.labels.tolist() == [[1, 1], [0, 0]]
    assert (
        found[-2].text
        == "test: 2 rows, 1.00 labels each on average, 1 (50.0 %) without one: b 1 (50.0 %), a 1 (50.0 %)."
    )


# Without the key


@pytest.mark.parametrize("label", [["a", "b"], '["a", "b"]'])
def test_label_sets_need_their_key(label):
    with pytest.raises(DataError, match=r"label is a list: a text has one label here, .* Name data\.label_separator"):
        read(json_lines([("one", label)]), label_separator=None)


def test_label_sets_in_lines_need_their_key():
    with pytest.raises(DataError, match=r"several labels in a line .* Name data\.label_separator"):
        read(write("a.txt", "__label__a __label__b one\n"), label_separator=None)


# Findings


def test_label_sets_balance_and_what_is_odd():
    rows = [*rows_of([["a", "b"], ["a"], []], 30), ("text 0", ["a"])]
    splits = read(json_lines(rows), dev=json_lines(rows_of([["a"]], 3, "dev"), "dev.jsonl"))
    expected = "train: 31 rows, 1.00 labels each on average, 10 (32.3 %) without one: a 21 (67.7 %), b 10 (32.3 %)."
    assert expected in findings(splits, "info")
    contrary = "train: 1 text with several label sets, such as: a, b in train.jsonl:1 and a in train.jsonl:31."
    assert contrary in findings(splits, "warning")
    assert "dev: hardly any rows of some labels: b 0 rows." in findings(splits, "warning")


def test_label_sets_that_hold_one_label_each():
    splits = read(json_lines(rows_of(["a,b", "b", "a"])), dev=json_lines(rows_of(["a,b"], 3, "dev"), "dev.jsonl"))
    text = "train: no row has more than one label. Does data.label_separator stand between them?"
    assert text in findings(splits, "warning")


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (rows_of([[]]), None, "train: no row has a label. Is data.label_column the column of the labels?"),
        (rows_of([["a", "b"]]), None, "train: every row has the same labels (a, b): there is nothing to tell apart."),
        (
            rows_of([["a"], []]),
            {"a": "a", "c": "c"},
            "train: no row of c. A label is learned from rows: take it out of data.labels.",
        ),
    ],
)
def test_label_sets_that_cannot_be_learned(rows, labels, message):
    dev = json_lines(rows_of([["a"]], 2, "dev") if labels or rows[0][1] else rows_of([[]], 2, "dev"), "dev.jsonl")
    with pytest.raises(DataError) as caught:
        read(json_lines(rows), labels=labels, dev=dev)
    assert str(caught.value) == message


def test_label_sets_with_a_label_everywhere():
    labels = as_matrix([["a"], ["a", "b"], ["a"], ["a", "b"]], ["a", "b"])
    texts = [finding.text for finding in check_labels("train", labels, ["a", "b"])]
    assert texts[1] == "train: every row has the label a: it will be answered to every text."


# Keys


def pipeline(**changes):
    tree = {"task": "text_classification", "name": "m", "data": {"train": "files:a.csv", "label_separator": "|"}}
    write("m.yaml", json.dumps(tree))
    return load_pipeline("m.yaml", [f"{key}={value}" for key, value in changes.items()]).config


def test_label_sets_are_watched_by_micro_f1():
    assert pipeline().training.monitor == "micro_f1"
    assert pipeline(**{"training.epochs": 3}).training.monitor == "micro_f1"
    assert pipeline(**{"training.monitor": "loss"}).training.monitor == "loss"
    assert pipeline(**{"data.label_separator": "null"}).training.monitor == "accuracy"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data.label_separator": "null", "training.monitor": "macro_f1"},
            "m.yaml: training.monitor = macro_f1 needs data.label_separator.",
        ),
        (
            {
                "data.label_separator": "null",
                "evaluation.other_domains": "{shop: {source: 'files:b.csv', label_separator: ;}}",
            },
            "m.yaml: evaluation.other_domains.shop.label_separator needs data.label_separator: "
            "the model answers one label.",
        ),
    ],
)
def test_label_sets_keys_that_do_not_go_together(changes, message):
    with pytest.raises(ConfigError) as caught:
        pipeline(**changes)
    assert str(caught.value) == message
