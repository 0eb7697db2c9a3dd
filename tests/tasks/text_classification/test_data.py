from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tasks.text_classification.labelled_rows import findings, message, read, rows_of, write

from seqpipe.errors import DataError
from seqpipe.tasks.text_classification.config import ClassificationData, OtherDomain
from seqpipe.tasks.text_classification.data import (
    read_domains,
    read_splits,
    read_table,
    read_unlabelled,
    seen_rows,
)


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# Splits, classes and places


def test_classification_dev_is_every_nth_row_where_that_is_fair():
    splits = read(rows_of(count=25), dev_every=5)
    assert splits.dev.texts == ["text 0", "text 5", "text 10", "text 15", "text 20"]
    assert len(splits.train) == 20
    assert splits.dev.places[1] == "train.jsonl:6"
    assert splits.train.places[9] == "train.jsonl:13"
    assert splits.test is None


def test_classification_dev_holds_each_class_where_every_nth_row_is_of_one():
    splits = read(rows_of(count=40), dev_every=10)
    assert splits.dev.texts == ["text 0", "text 1", "text 20", "text 21"]
    assert np.bincount(splits.dev.labels).tolist() == [2, 2]


def test_classification_label_that_stands_once_stays_in_train():
    splits = read([("rare", "text"), *rows_of(count=30)])
    assert splits.classes == ["a", "b", "rare"]
    assert np.bincount(splits.train.labels, minlength=3).tolist() == [13, 13, 1]
    assert np.bincount(splits.dev.labels, minlength=3).tolist() == [2, 2, 0]


def test_classification_dev_of_no_rows_is_an_error():
    said = message([(f"label {i}", f"text {i}") for i in range(20)])
    assert said.startswith("dev: no rows: no label stands twice in train. Is data.label_column the column of the lab")


def test_classification_dev_counts_good_rows_only():
    train = rows_of(count=12)
    train.insert(1, ("a", " "))
    splits = read(train, dev_every=5, max_bad_fraction=0.5)
    assert splits.dev.texts == ["text 0", "text 5", "text 10"]
    assert splits.dev.places[1] == "train.jsonl:7"


def test_classification_labels_are_indices_of_classes():
    splits = read(rows_of("ba", 8), dev=write("dev.jsonl", rows_of("ab", 4, "dev")))
    assert splits.classes == ["a", "b"]
    assert splits.train.labels.dtype == np.int32
    assert splits.train.labels.tolist() == [1, 0] * 4
    assert splits.dev.labels.tolist() == [0, 1] * 2


def test_classification_classes_are_sorted_as_numbers_if_they_are():
    train = [(str(i), f"text {i} {j}") for i in (10, 9, -1, 2) for j in range(5)]
    assert read(train).classes == ["-1", "2", "9", "10"]
    assert read([*train, ("x", "y"), ("x", "z")]).classes == ["-1", "10", "2", "9", "x"]


def test_classification_map_names_classes_in_its_order():
    labels = {"b": "positive", "a": "negative", "c": "positive"}
    splits = read(rows_of("abc", 9), labels=labels, dev=write("dev.jsonl", rows_of("abc", 3, "dev")))
    assert splits.classes == ["positive", "negative"]
    assert splits.train.labels.tolist() == [1, 0, 0] * 3


def test_classification_label_is_read_without_white_space_and_text_as_it_is():
    splits = read([(" a ", " one\n"), *rows_of()], dev=write("dev.jsonl", rows_of(name="dev")))
    assert splits.train.texts[0] == " one\n"
    assert splits.classes == ["a", "b"]


def test_classification_get_names_a_split():
    splits = read(rows_of())
    assert splits.get("dev") is splits.dev
    with pytest.raises(DataError) as caught:
        splits.get("test")
    assert str(caught.value) == '"test" is not a split of this pipeline. Allowed: train, dev.'


def test_classification_several_files_keep_their_places():
    write("a1.jsonl", rows_of(name="one"))
    write("a2.jsonl", rows_of(name="two"))
    splits = read_splits(ClassificationData(train="files:a*.jsonl", dev=write("dev.jsonl", rows_of(name="dev"))))
    assert [splits.train.places[row] for row in (0, 19, 20, 39)] == [
        "a1.jsonl:1", "a1.jsonl:20", "a2.jsonl:1", "a2.jsonl:20",
    ]  # fmt: skip


def test_classification_reads_builtin_reviews_without_a_warning():
    source = "builtin:reviews"
    splits = read_splits(ClassificationData(train=source, dev=source, test=source))
    assert splits.classes == ["negative", "positive"]
    assert [len(splits.get(name)) for name in ("train", "dev", "test")] == [2000, 400, 400]
    assert findings(splits, "warning") == []


# Errors


def test_classification_bad_rows_stop_by_default():
    train = [*rows_of(), ("a", " \t"), ("", "x"), ("c", "y"), ("a", "")]
    labels = {"a": "apple", "b": "bean"}
    assert message(train, labels=labels) == (
        "train: 4 of 24 rows (16.7 %) cannot be used, data.max_bad_fraction = 0 allows no more: "
        "train.jsonl:21: the text is empty; train.jsonl:22: the label is empty; "
        'train.jsonl:23: "c" is not a label. Allowed: a, b; and 1 more.'
    )


def test_classification_bad_rows_within_bounds_are_skipped_and_named():
    splits = read([*rows_of(count=19), ("a", "")], max_bad_fraction=0.05, dev_every=3)
    assert findings(splits, "warning") == [
        "train: 1 of 20 rows (5.0 %) cannot be used and are skipped: train.jsonl:20: the text is empty."
    ]


def test_classification_rows_that_cannot_be_read_are_bad_rows():
    write("train.jsonl", rows_of(count=19))
    with open("train.jsonl", "ab") as file:
        file.write(b'{"text": "\xff", "label": "a"}\n')
    data = ClassificationData(train="files:train.jsonl", max_bad_fraction=0.05)
    assert "train.jsonl:20: byte " in findings(read_splits(data), "warning")[0]


def test_classification_unknown_label_in_dev_is_a_bad_row():
    dev = write("dev.jsonl", [("negatve", "a"), ("positive", "b")])
    train = [(label, f"{label} {i}") for i in range(5) for label in ("negative", "positive")]
    assert message(train, dev=dev) == (
        "dev: 1 of 2 rows (50.0 %) cannot be used, data.max_bad_fraction = 0 allows no more: "
        'dev.jsonl:1: "negatve" is not a label. Allowed: negative, positive. Did you mean negative?'
    )


def test_classification_one_class_only():
    assert message(rows_of("a")) == "train: all 18 rows have the label a. There must be two classes."


def test_classification_dev_of_one_class_is_a_warning():
    splits = read(rows_of(), dev=write("dev.jsonl", [("a", "x"), ("a", "y")]))
    assert findings(splits, "warning") == ["dev: all 2 rows have the label a."]


def test_classification_no_row_is_left():
    bad = "train: 2 of 2 rows (100.0 %) cannot be used, none is left: train.jsonl:1: the text is empty; "
    assert message([("a", ""), ("b", "")], max_bad_fraction=1.0) == f"{bad}train.jsonl:2: the text is empty."
    Path("train.csv").write_text("text,label\n")
    with pytest.raises(DataError) as caught:
        read_splits(ClassificationData(train="files:train.csv"))
    assert str(caught.value) == "train: no rows."
    assert message([("a", "x")]) == "train: the only row has the label a. There must be two classes."


def test_classification_all_errors_at_once(tmp_path):
    text = message([("a", "x"), ("a", "")], dev="files:dve.csv", test=write("test.jsonl", [("a", "")]))
    assert text.split("\n") == [
        "train: 1 of 2 rows (50.0 %) cannot be used, data.max_bad_fraction = 0 allows no more: "
        "train.jsonl:2: the text is empty.",
        f"dev: dve.csv does not exist (looked in {tmp_path}).",
        "test: 1 of 1 row (100.0 %) cannot be used, none is left: test.jsonl:1: the text is empty.",
        "train: the only row has the label a. There must be two classes.",
    ]


@pytest.mark.parametrize("label", [["a", "b"], "['a', 'b']", "['a']"])
def test_classification_several_labels_are_an_error(label):
    assert "label is a list: a text has one label here, not several" in message([(label, "text"), *rows_of()])


@pytest.mark.parametrize("options", [{}, {"label_separator": "|"}])
def test_classification_label_of_fasttext_without_a_name_is_a_bad_row(options):
    Path("a.txt").write_text("".join(f"__label__{name} {text}\n" for name, text in [*rows_of(), ("", "text")]))
    data = ClassificationData(train="files:a.txt", max_bad_fraction=0.1, **options)
    splits = read_splits(data)
    assert splits.classes == ["__label__a", "__label__b"]
    assert "a.txt:21: the label is empty: nothing follows __label__." in findings(splits, "warning")[0]


@pytest.mark.parametrize(
    ("labels", "said"),
    [({}, "is empty. Name a class for each label"), ({"a": " "}, "holds ' '"), ({"a ": "b"}, "holds 'a ': labels and")],
)
def test_classification_labels_without_a_name(labels, said):
    with pytest.raises(ValueError, match=said):
        ClassificationData(train="files:a.csv", labels=labels)


def test_classification_columns_are_both_names_or_both_numbers():
    with pytest.raises(ValueError, match="text_column = 2 and label_column = 'label': both are names, or both are num"):
        ClassificationData(train="files:a.csv", text_column=2)
    with pytest.raises(ValueError, match=r"is not a column: its name, or its number counted from 1"):
        ClassificationData(train="files:a.csv", text_column=0, label_column=1)


# Several sources, parts


def test_classification_several_sources_are_one_split():
    sources = [write("one.jsonl", rows_of(name="one")), write("two.jsonl", rows_of("bc", name="two"))]
    splits = read_splits(ClassificationData(train=sources, dev=[write("dev.jsonl", rows_of("abc", name="dev"))]))
    assert splits.classes == ["a", "b", "c"]
    assert [splits.train.places[row] for row in (19, 20)] == ["one.jsonl:20", "two.jsonl:1"]
    with pytest.raises(DataError, match=r"train: no\.jsonl does not exist .*\ntrain: none\.jsonl does not exist"):
        read_splits(ClassificationData(train=["files:no.jsonl", sources[0], "files:none.jsonl"]))


def test_classification_max_rows_keeps_each_class_and_says_so():
    train = [*(("a", f"text {i}") for i in range(90)), *(("b", f"more {i}") for i in range(9)), ("c", "last")]
    splits = read(train, max_rows=12, dev=write("dev.jsonl", rows_of("abc", 12, "dev")))
    assert splits.classes == ["a", "b", "c"]
    assert np.bincount(splits.train.labels).tolist() == [10, 1, 1]
    assert splits.train.texts[-3:] == ["text 87", "more 0", "last"]
    assert "train: 12 of 100 rows are used (data.max_rows)." in findings(splits, "warning")


# Other rows for a trained model


def test_classification_read_table_takes_the_order_of_the_model():
    data = ClassificationData(train="files:unused.csv")
    table, found = read_table(write("new.jsonl", rows_of("ab", 4)), data, ["b", "a"])
    assert table.labels.tolist() == [1, 0, 1, 0]
    assert [finding.text for finding in found][-1] == "test: 4 rows: b 2 (50.0 %), a 2 (50.0 %)."


def test_classification_counts_of_classes_that_are_numbers_stand_beside_names_in_quotes():
    data = ClassificationData(train="files:unused.csv")
    _, found = read_table(write("stars.jsonl", rows_of("15", 4)), data, ["1", "5"])
    assert found[-1].text == 'test: 4 rows: "1" 2 (50.0 %), "5" 2 (50.0 %).'


def test_classification_read_table_uses_the_map_of_the_pipeline():
    data = ClassificationData(train="files:unused.csv", labels={"0": "negative", "1": "positive"})
    table, _ = read_table(write("new.jsonl", rows_of("01", 4)), data, ["negative", "positive"])
    assert table.labels.tolist() == [0, 1, 0, 1]


def test_classification_read_table_refuses_unknown_labels():
    data = ClassificationData(train="files:unused.csv")
    source = write("new.jsonl", [("goood", "x"), ("bad", "y")])
    with pytest.raises(DataError) as caught:
        read_table(source, data, ["bad", "good"])
    assert str(caught.value) == (
        "test: 1 of 2 rows (50.0 %) cannot be used, data.max_bad_fraction = 0 allows no more: "
        'new.jsonl:1: "goood" is not a label. Allowed: bad, good. Did you mean good?'
    )


def test_classification_seen_rows():
    splits = read(rows_of(), dev=write("dev.jsonl", [("a", " text 3"), ("b", "text"), ("a", "text 19\n")]))
    assert seen_rows(splits.dev, splits.train).tolist() == [True, False, True]


# More text


def test_classification_more_text_counts_its_bad_rows():
    lines = [f'{{"text": "more {i}"}}' for i in range(40)]
    Path("more.jsonl").write_text("\n".join([*lines[:2], "{broken", *lines[2:]]))
    splits = read(rows_of())
    data = ClassificationData(train="files:train.jsonl", max_bad_fraction=0.1)
    texts, found = read_unlabelled("files:more.jsonl", data, splits, skip_held_back=False)
    assert texts == [f"more {i}" for i in range(40)]
    (warning,) = [finding.text for finding in found if finding.severity == "warning"]
    assert warning.startswith("unlabelled: 1 of 41 rows (2.4 %) cannot be used and are skipped: more.jsonl:3: ")
    strict = data.model_copy(update={"max_bad_fraction": 0.01})
    with pytest.raises(DataError, match=r"unlabelled: 1 of 41 rows .* data\.max_bad_fraction = 0\.01 allows no more"):
        read_unlabelled("files:more.jsonl", strict, splits, skip_held_back=False)


def test_classification_more_text_may_have_empty_lines():
    Path("more.txt").write_text("one\n\n\ntwo\n")
    splits = read(rows_of())
    data = ClassificationData(train="files:train.jsonl", max_bad_fraction=0.0)
    assert read_unlabelled("files:more.txt", data, splits, skip_held_back=False)[0] == ["one", "two"]
    Path("empty.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"empty\.txt"):
        read_unlabelled("files:empty.txt", data, splits, skip_held_back=False)


def test_classification_more_text_may_be_a_table_as_train_is():
    header, rows = (
        "text,label\n",
        [f"text number {i} is {('bad', 'good')[i % 2]},{('neg', 'pos')[i % 2]}" for i in range(40)],
    )
    for name, lines in (("train", rows[:20]), ("dev", rows[20:30]), ("more", rows[20:])):
        Path(f"{name}.txt").write_text(header + "\n".join(lines) + "\n")
    data = ClassificationData(train="files:train.txt", dev="files:dev.txt", format="csv")
    splits = read_splits(data)
    with pytest.raises(DataError, match=r"10 of 10 dev texts stand in it, such as \"text number 20 is bad\""):
        read_unlabelled("files:more.txt", data, splits, skip_held_back=False)
    texts, _ = read_unlabelled("files:more.txt", data, splits, skip_held_back=True)
    assert texts == [row.rpartition(",")[0] for row in rows[30:]]


def test_classification_more_text_holds_no_rows_of_other_domains():
    splits = read(rows_of())
    Path("shop.csv").write_text(
        "text,label\n" + "".join(f"shop text {i},{'ab'[i % 2]}\n" for i in range(10)) + "broken,\n"
    )
    domain = OtherDomain(source="files:shop.csv", max_bad_fraction=0.5)
    domains, findings = read_domains({"shop": domain}, splits.classes, labels={"a": "a", "b": "b"}, separator=None)
    (warning,) = [finding.text for finding in findings]
    assert warning.startswith(
        "evaluation.other_domains.shop: test: 1 of 11 rows (9.1 %) cannot be used and are skipped"
    )
    data = ClassificationData(train="files:train.jsonl")
    with pytest.raises(DataError, match="10 of 10 shop texts stand in it"):
        read_unlabelled("files:shop.csv", data, splits, domains=domains, skip_held_back=False)
    with pytest.raises(DataError, match=r"of [0-9]+ dev texts stand in it"):  # whatever a domain is called
        read_unlabelled(
            "files:train.jsonl",
            data,
            replace(splits, dev=splits.train),
            domains={"dev": domains["shop"]},
            skip_held_back=False,
        )
    strict = domain.model_copy(update={"max_bad_fraction": 0.0})
    with pytest.raises(DataError, match=r"evaluation\.other_domains\.shop\.max_bad_fraction = 0 allows no more"):
        read_domains({"shop": strict}, splits.classes, labels={"a": "a", "b": "b"}, separator=None)
