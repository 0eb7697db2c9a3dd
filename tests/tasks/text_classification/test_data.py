from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from seqpipe.errors import DataError
from seqpipe.tasks.text_classification.config import ClassificationData
from seqpipe.tasks.text_classification.data import LabelledSplits, read_splits, read_table, seen_rows


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name: str, rows: list[tuple[str, str]]) -> str:
    """A file of JSON lines with (label, text) in each."""
    lines = [json.dumps({"text": text, "label": label}) for label, text in rows]
    Path(name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return f"files:{name}"


def rows_of(classes: str = "ab", count: int = 20, name: str = "text") -> list[tuple[str, str]]:
    """Rows without a fault, each text different, the classes in turn."""
    return [(classes[i % len(classes)], f"{name} {i}") for i in range(count)]


def read(train: list[tuple[str, str]], **options) -> LabelledSplits:
    return read_splits(ClassificationData(train=write("train.jsonl", train), **options))


def findings(splits: LabelledSplits, severity: str) -> list[str]:
    return [finding.text for finding in splits.findings if finding.severity == severity]


def warnings_of_train(train: list[tuple[str, str]]) -> list[str]:
    return [text for text in findings(read(train), "warning") if text.startswith("train: ")]


def message(train: list[tuple[str, str]], **options) -> str:
    with pytest.raises(DataError) as caught:
        read(train, **options)
    return str(caught.value)


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
    assert message([("a", "x")]) == "train: no rows left."


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


# Warnings and information


def test_classification_classes_that_look_alike():
    splits = read([*rows_of(), *(("A", f"upper {i}") for i in range(5)), *(("very  good", f"v {i}") for i in range(5)),
                   *(("Very good", f"w {i}") for i in range(5))])  # fmt: skip
    assert findings(splits, "warning")[-1] == (
        'train: classes differ by case or blanks only: "A" and "a"; "Very good" and "very  good". '
        "If they are one, map both to one name in data.labels."
    )


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [("1", "1.0", "how a number is written"), ("a", "a\u200b", "case or blanks"), ("007", "7", "how a number is")],
)
def test_classification_classes_that_are_one_value(one, other, how):
    rows = [*rows_of("bc"), *((name, f"{name} {i}") for name in (one, other) for i in range(9))]
    (said,) = warnings_of_train(rows)
    assert f"train: classes differ by {how}" in said


def test_classification_numbers_that_are_two_values():
    assert warnings_of_train([(f"1234567.{i % 2}", f"n {i}") for i in range(20)]) == []


def test_classification_without_any_class_is_an_error():
    assert message([("", f"text {i}") for i in range(9)], label_separator="|").startswith("train: no row has a label")


@pytest.mark.parametrize("name", ["nan", "unsup", "label"])
def test_classification_classes_that_are_none(name):
    assert warnings_of_train([*rows_of(), *((name, f"none {i}") for i in range(9))]) == [
        f"train: {name} is read as a class. If it means that a label is missing, take those rows out."
    ]


@pytest.mark.parametrize(
    ("form", "said"), [('"{}"', "stand in quotes"), ("'{}'", "stand in quotes"), ("{}:", "end in :")]
)
def test_classification_classes_with_signs_around_them(form, said):
    rows = [(form.format(name * 2), text) for name, text in rows_of()]
    assert f"train: all classes {said}, such as {form.format('aa')}" in warnings_of_train(rows)[-1]
    assert warnings_of_train([*(("good", f"more {i}") for i in range(9)), *rows]) == []


def test_classification_files_of_other_formats_in_folders_of_classes():
    for number, (name, text) in enumerate(rows_of()):
        Path("texts", name).mkdir(parents=True, exist_ok=True)
        Path("texts", name, f"{number}.{'md' if number < 4 else 'txt'}").write_text(text)
    Path("texts/a/.hidden").touch()
    said = findings(read_splits(ClassificationData(train="files:texts")), "warning")
    assert said[0] == "train: files of other formats are not read: 4 .md, such as texts/a/0.md."


def test_classification_signs_of_a_wrong_encoding():
    wrong = [("a", "it’s".encode().decode("cp1252")), ("b", "café".encode().decode("latin-1")), ("a", "Ã la carte")]
    (found,) = [text for text in findings(read([*rows_of(), *wrong]), "info") if "windows-1252, such" in text]
    assert found.startswith("train: 2 of 23 rows have signs of UTF-8 read as windows-1252")


def test_classification_separator_before_all_texts():
    Path("a.txt").write_text("".join(f"__label__{name} , {text}\n" for name, text in rows_of()))
    splits = read_splits(ClassificationData(train="files:a.txt"))
    assert any("20 of 20 rows have a separator before them" in text for text in findings(splits, "info"))


def test_classification_as_many_classes_as_rows():
    warnings = findings(read([(f"text {i % 29}", "ab"[i % 2]) for i in range(30)]), "warning")
    assert any(
        "train: 29 classes in 29 rows. Is data.label_column the column of the labels?" in said for said in warnings
    )


def test_classification_copies_inside_a_split():
    train = [*rows_of(), ("a", " text 0 "), ("a", "text 2"), ("a", "text 2")]
    assert findings(read(train, dev=write("dev.jsonl", rows_of(name="dev"))), "warning") == [
        "train: 3 rows repeat an earlier text, such as: train.jsonl:21 repeats train.jsonl:1; "
        "train.jsonl:22 repeats train.jsonl:3; train.jsonl:23 repeats train.jsonl:3."
    ]


def test_classification_texts_with_different_labels():
    train = [*rows_of(), ("b", "text 0"), ("b", "text 0"), ("b", "text 2")]
    assert findings(read(train, dev=write("dev.jsonl", rows_of(name="dev"))), "warning") == [
        "train: 3 rows repeat an earlier text, such as: train.jsonl:21 repeats train.jsonl:1; "
        "train.jsonl:22 repeats train.jsonl:1; train.jsonl:23 repeats train.jsonl:3.",
        "train: 2 texts with several labels, such as: a in train.jsonl:1 and b in train.jsonl:21; "
        "a in train.jsonl:3 and b in train.jsonl:23.",
    ]


def test_classification_copies_between_splits():
    dev = write("dev.jsonl", [("a", "new"), ("a", "x"), ("b", "text 1 "), ("b", "text 0")])
    test = write("test.jsonl", [("a", "new"), ("a", "old"), ("b", "newer"), ("b", "newest")])
    assert findings(read(rows_of(), dev=dev, test=test), "warning") == [
        "dev: 2 of 4 texts also stand in train, 1 of them with another label, such as: dev.jsonl:3 is train.jsonl:2; "
        "dev.jsonl:4 is train.jsonl:1.",
        "test: 1 of 4 texts also stand in dev, such as: test.jsonl:1 is dev.jsonl:1.",
    ]


def test_classification_copies_between_train_and_the_dev_rows_taken_from_it():
    warnings = findings(read([*rows_of(count=11), ("a", "text 0")]), "warning")
    assert "dev: 1 of 2 texts also stand in train, such as: train.jsonl:1 is train.jsonl:12." in warnings


def test_classification_balance_and_rare_classes():
    train = [("a", f"text {i}") for i in range(150)] + [("b", f"more {i}") for i in range(149)] + [("c", "c")]
    dev = write("dev.jsonl", rows_of("abc")[:8])
    splits = read(train, dev=dev)
    assert "train: 300 rows: a 150 (50.0 %), b 149 (49.7 %), c 1 (0.3 %)." in findings(splits, "info")
    assert findings(splits, "warning")[0] == "train: hardly any rows of some classes: c 1 row."
    assert message(train, labels={"a": "a", "b": "b", "c": "c", "d": "d"}, dev=dev) == (
        "train: no row of d. A class is learned from rows: take it out of data.labels."
    )


def test_classification_many_classes_are_not_all_listed_and_not_all_rare():
    train = [(f"c{i:03}", f"text {i} {j}") for j in range(20) for i in range(200)]
    splits = read(train, dev=write("dev.jsonl", train[:400]))
    balance = "train: 4,000 rows: c000 20 (0.5 %), c001 20 (0.5 %), c002 20 (0.5 %), ..., c197 20 (0.5 %), "
    assert any(text.startswith(balance) for text in findings(splits, "info"))
    assert not any("hardly" in text for text in findings(splits, "warning"))


def test_classification_odd_characters_and_the_longest_text():
    odd = [
        "\u0085",
        "a\x0cb",
        "c\td",
        "e\u00a0f",
        "g\u200bh",
        "i\ufffdj",
        "k<br />l &quot;",
        '"say ""m"""',
        "n < o > p, \x1b",
    ]
    train = [*rows_of(count=20), *(("a", text) for text in [*odd[1:], f"q{odd[0]}r", "x" * 1200])]
    infos = findings(read(train, dev=write("dev.jsonl", rows_of(name="dev"))), "info")
    assert infos[:8] == [
        "train: texts of 6 characters (median), the longest 1,200 in train.jsonl:30.",
        "train: 2 of 30 rows have control characters U+0001 to U+007F, such as train.jsonl:21.",
        "train: 1 of 30 rows have control characters U+0080 to U+009F, as of windows-1252 read as latin-1, such as "
        "train.jsonl:29.",
        "train: 1 of 30 rows have tabs, such as train.jsonl:22.",
        "train: 1 of 30 rows have no-break spaces, such as train.jsonl:23.",
        "train: 1 of 30 rows have zero-width spaces, such as train.jsonl:24.",
        "train: 1 of 30 rows have U+FFFD, left by a wrong encoding, such as train.jsonl:25.",
        "train: 1 of 30 rows have HTML tags, such as train.jsonl:26.",
    ]
    assert infos[8] == "train: 1 of 30 rows have quotes around them, such as train.jsonl:27."
    escapes = "escapes of other tools, such as &apos; or @-@"
    assert infos[9] == f"train: 1 of 30 rows have {escapes}, such as train.jsonl:26."


@pytest.mark.parametrize(
    "text",
    ["caf&eacute;", "&frac12; cup", "ho ##use", "hou</w> se", "\u0120house", "a\uffed b", "x\\u00e9", "one\\nTwo"],
)
def test_classification_escapes_of_other_tools(text):
    infos = findings(read([*rows_of(), ("a", text)]), "info")
    assert any("1 of 21 rows have escapes" in info for info in infos)


def test_classification_what_is_no_escape():
    plain = [("a", text) for text in ("AT&T; and so on", "item #1 ##", "C:\\new\\users", "R&D;")]
    assert not any("escapes" in info for info in findings(read([*rows_of(), *plain]), "info"))
    soft = findings(read([*rows_of(), ("a", "ho\u00aduse"), ("b", "\u202bx")]), "info")
    assert any("2 of 22 rows have soft hyphens or signs that turn the direction" in info for info in soft)


# Other rows for a trained model


def test_classification_read_table_takes_the_order_of_the_model():
    data = ClassificationData(train="files:unused.csv")
    table, found = read_table(write("new.jsonl", rows_of("ab", 4)), data, ["b", "a"])
    assert table.labels.tolist() == [1, 0, 1, 0]
    assert [finding.text for finding in found][-1] == "test: 4 rows: b 2 (50.0 %), a 2 (50.0 %)."


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


# Real data: what is known to be wrong with them is found


@pytest.fixture(scope="module")
def real() -> Path:
    folder = os.environ.get("SEQPIPE_TEST_DATA")
    if not folder:
        pytest.skip("SEQPIPE_TEST_DATA names no folder")
    return Path(folder)


def test_classification_finds_the_faults_of_imdb(real):
    splits = read_splits(ClassificationData(train=f"files:{real}/imdb/train.jsonl.gz"))
    assert (len(splits.train), len(splits.dev)) == (22_500, 2_500)
    text = "\n".join(finding.text for finding in splits.findings)
    assert "train: 96 rows repeat an earlier text" in text
    assert "train: 811 of 25,000 rows have control characters U+0080 to U+009F" in text
    assert "train: 12 of 25,000 rows have tabs" in text
    assert "train: 14,666 of 25,000 rows have HTML tags" in text


def test_classification_finds_the_faults_of_chnsenticorp(real):
    train, dev = (f"files:{real}/chnsenticorp/{name}.tsv.gz" for name in ("train", "dev"))
    splits = read_splits(ClassificationData(train=train, dev=dev, text_column="text_a"))
    assert (len(splits.train), len(splits.dev)) == (9_600, 1_200)
    text = "\n".join(finding.text for finding in splits.findings)
    assert "train: 1,351 rows repeat an earlier text" in text
    assert "train: 24 texts with several labels" in text
    assert "dev: 338 of 1,200 texts also stand in train, 8 of them with another label" in text
    assert seen_rows(splits.dev, splits.train).sum() == 338


def test_classification_finds_the_faults_of_sst2(real):
    train, dev = (f"files:{real}/sst2/{name}.txt.gz" for name in ("train_phrases", "dev"))
    splits = read_splits(ClassificationData(train=train, dev=dev, labels={"0": "negative", "1": "positive"}))
    assert (len(splits.train), len(splits.dev)) == (76_961, 872)
    assert any("train: 13 of 76,961 rows have no-break spaces" in finding.text for finding in splits.findings)
