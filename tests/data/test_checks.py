"""What is said of copies, contradictions, odd characters and names of classes, and of what nothing is said."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from seqpipe.data.checks import NO_CLASS, ODDITIES, Checked, Nouns, alike, leaks, odd_names, oddities, repeats
from seqpipe.data.findings import Finding

PAIR = Nouns("pair", "source", "target")


def checked(file, *rows):
    places = [f"{file}:{line}" for line in range(1, len(rows) + 1)]
    texts, answers = [text for text, _ in rows], [answer for _, answer in rows]
    answered = [f"{answer} in {place}" for answer, place in zip(answers, places, strict=True)]
    return Checked(texts, answers, places, answered)


def test_checks_a_row_of_each_text_repeats_nothing():
    assert repeats("train", checked("a", ("x", 1), ("y", 1), ("X", 2)), PAIR, whole=False) == []


def test_checks_copies_are_of_the_first_row_with_their_text():
    rows = checked("a", ("x", 1), (" x", 1), ("y", 1), ("x\n", 1))
    for whole, of in ((True, "one"), (False, "source")):
        text = f"train: 2 pairs repeat an earlier {of}, such as: a:2 repeats a:1; a:4 repeats a:1."
        assert repeats("train", rows, PAIR, whole=whole) == [Finding("warning", text)]


def test_checks_a_row_with_another_answer_contradicts():
    rows = checked("a", ("x", 1), ("y", 5), ("x ", 2), ("x", 3), ("z", 5), ("z", 5), ("y", 6))
    shown = "1 in a:1 and 2 in a:3; 5 in a:2 and 6 in a:7"
    several = Finding("warning", f"dev: 2 sources with several targets, such as: {shown}.")
    copy = Finding("warning", "dev: 1 pair repeats an earlier one, such as: a:6 repeats a:5.")
    assert repeats("dev", rows, PAIR, whole=True) == [copy, several]
    shown = "a:3 repeats a:1; a:4 repeats a:1; a:6 repeats a:5; and 1 more"
    copies = Finding("warning", f"dev: 4 pairs repeat an earlier source, such as: {shown}.")
    assert repeats("dev", rows, PAIR, whole=False) == [copies, several]


def test_checks_splits_without_a_common_text_leak_nothing():
    assert leaks({"train": checked("a", ("x", 1), ("x", 2)), "dev": checked("b", ("y", 1), ("y", 2))}, PAIR) == []


def test_checks_leaks_are_told_of_each_two_splits():
    splits = {
        "train": checked("a", (" x", 1), ("y", 1), ("x", 2)),
        "dev": checked("b", ("v", 1), ("w", 1)),
        "test": checked("c", ("x", 3), ("z", 1), ("x", 2), ("y", 1), (" w ", 1)),
    }
    shown = "c:1 is a:1; c:3 is a:1; c:4 is a:2"
    text = f"test: 3 of 5 sources also stand in train, 1 of them with another target, such as: {shown}."
    assert leaks(splits, PAIR) == [
        Finding("warning", text),
        Finding("warning", "test: 1 of 5 sources also stand in dev, such as: c:5 is b:2."),
    ]


def test_checks_texts_without_an_answer_each_are_no_rows():
    rows = Checked(["x", "y"], [1], ["a:1", "a:2"], ["1 in a:1"])
    with pytest.raises(ValueError, match="shorter"):
        repeats("train", rows, PAIR, whole=True)
    with pytest.raises(ValueError, match="shorter"):
        leaks({"train": rows, "dev": rows}, PAIR)


def test_checks_nouns_and_rows_do_not_change():
    with pytest.raises(FrozenInstanceError):
        PAIR.row = "row"
    with pytest.raises(FrozenInstanceError):
        checked("a").texts = ["x"]


@pytest.mark.parametrize(
    ("begin", "has", "has_not"),
    [
        ("control characters U+0001", "\x01 \x08 \x0b \x0c \x0e \x1f \x7f", "\0 \t \n \r ~"),
        ("control characters U+0080", "\x80 \x85 \x9f", "\x7f \xa0"),
        ("tabs", "a\tb", "a b"),
        ("no-break spaces", "\xa0 \u2007 \u202f", "\u2006 \u2003"),
        ("zero-width spaces", "\u200b \u2060 \ufeff", "\u200c \u200d"),
        ("soft hyphens", "\xad \u202a \u202e \u2066 \u2069", "- \u2029 \u202f \u2065 \u206a"),
        ("U+FFFD", "\ufffd", "?"),
        ("signs of UTF-8", "â€™ â€œ Ã© Â\xa0 Ã\x80 Â¿", "â € Ã ÃA ÂÀ é"),
        ("HTML tags", "<b> </b> <br/> <h1>", "< <1> <> </> a<b <é>"),
        ("escapes of other tools", "&apos; &frac12; &#39; &#x1F; @-@ th@@ ▁a Ġa ##ing </w> \\u00e9 \\n \\nA", ""),
        ("escapes of other tools", "", "& &; &a; &abcdefghi; &frac123; &#; &#xg; @@x a@b # a##b \\u12 \\new"),
    ],
)
def test_checks_odd_texts_by_their_signs(begin, has, has_not):
    (pattern,) = [pattern for name, pattern in ODDITIES.items() if name.startswith(begin)]
    assert [text for text in has.split(" ") if text and not pattern.search(text)] == []
    assert [text for text in has_not.split(" ") if text and pattern.search(text)] == []


def test_checks_quotes_and_separators_count_around_a_whole_text():
    quotes, separator = ODDITIES["quotes around them"], ODDITIES["a separator before them, as of another column"]
    assert all(map(quotes.search, ['"a b"', ' "a ""b"" c" ', '""']))
    assert not any(map(quotes.search, ['"a" b', 'a "b"', '"a" and "b"', '"', "'a'"]))
    assert all(map(separator.search, [",a", "  ; a", "| a"]))
    assert not any(map(separator.search, ["a, b", ": a", ". a"]))


def test_checks_tags_and_halves_of_words_inside_a_text():
    tags, escapes = ODDITIES["HTML tags"], ODDITIES["escapes of other tools, such as &apos; or @-@"]
    assert tags.search('see <a href="b">')
    assert not tags.search("a < b > c")
    assert escapes.search("th@@ ere")
    assert escapes.search("th ##ere")


def test_checks_odd_texts_are_counted_and_the_first_named():
    texts = ["plain", "a\tb", "c\td\x01", "é"]
    assert oddities("dev", "target", texts, ["p:1", "p:2", "p:3", "p:4"]) == [
        Finding("info", "dev: 1 of 4 targets have control characters U+0001 to U+007F, such as p:3."),
        Finding("info", "dev: 2 of 4 targets have tabs, such as p:2."),
    ]


def test_checks_names_that_differ_are_not_alike():
    assert alike("train", ["a", "b", "ab", "-1", "1", "1.5", "1.50001"], "Map them.") == []


@pytest.mark.parametrize("other", ["GOOD one", " good  one", "good\u00adone", "ｇood one", "good\u00a0one", "goodone"])
def test_checks_names_that_differ_by_form_are_alike(other):
    text = f'train: classes differ by case or blanks only: "good one" and "{other}". Map them.'
    assert alike("train", ["bad", "good one", other], "Map them.") == [Finding("warning", text)]


def test_checks_numbers_of_one_value_are_alike():
    text = 'train: classes differ by how a number is written only: "1" and "1.0" and "+01."; "-2" and "-2.00". Map.'
    assert alike("train", ["1", "-2", "x", "1.0", "+01.", "-2.00"], "Map.") == [Finding("warning", text)]


def test_checks_numbers_have_fifteen_digits_at_most():
    one, long = "1." + "0" * 15, "1." + "0" * 16
    assert len(alike("t", ["1", one], "")) == 1
    assert alike("t", ["1", long], "") == []
    assert len(alike("t", ["0" * 14 + "7", "7"], "")) == 1
    assert alike("t", ["0" * 15 + "7", "7"], "") == []


def test_checks_classes_that_stand_for_none():
    advice = "If it means that a label is missing, take those rows out."
    assert odd_names("train", ["a", "label", "b"], "label") == [
        Finding("warning", f"train: label is read as a class. {advice}")
    ]
    assert odd_names("train", ["nan", "a", "?"], 2) == [
        Finding("warning", f"train: nan and ? are read as classes. {advice}")
    ]
    assert len(odd_names("train", NO_CLASS, 2)) == 1
    assert odd_names("train", ["a", "Nan", "none", "label"], "labels") == []
    (several,) = odd_names("train", ["neg", "pos", "neg|x", "x | pos", "a|b", "salt, no pepper"], "label")
    assert several.severity == "warning"
    assert several.text == (
        "train: each is read as one class: neg|x; x | pos. If they are several labels, "
        'name what stands between them: data.label_separator = "|".'
    )
    assert odd_names("train", [], "label") == []


@pytest.mark.parametrize("sign", ['"', "'"])
def test_checks_quotes_around_all_classes(sign):
    names = [f"{sign}a{sign}", sign * 2]
    text = (
        f"dev: all classes stand in quotes, such as {names[0]}, and have them in their names. Take them out of the "
        "data; a TSV with quotes is read by data.separator = tab."
    )
    assert odd_names("dev", names, "label") == [Finding("warning", text)]
    for other in ("a", sign, f"{sign}a", f"a{sign}"):
        assert odd_names("dev", [*names, other], "label") == []


@pytest.mark.parametrize("sign", [":", ","])
def test_checks_signs_behind_all_classes(sign):
    names = [f"a{sign}", f"b{sign}"]
    text = f"dev: all classes end in {sign}, such as a{sign}, and have them in their names."
    assert odd_names("dev", names, "label") == [Finding("warning", text)]
    assert odd_names("dev", [*names, sign], "label") == []
