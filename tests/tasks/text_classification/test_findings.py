"""What is said about labelled rows that can be read: warnings and information."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tasks.text_classification.labelled_rows import findings, message, read, rows_of, warnings_of_train, write

from seqpipe.tasks.text_classification.config import ClassificationData
from seqpipe.tasks.text_classification.data import read_splits, seen_rows


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


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
