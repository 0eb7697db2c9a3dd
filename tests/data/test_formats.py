"""Text files as other tools and people write them."""

from __future__ import annotations

import contextlib
import json
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from seqpipe.data.formats import ONE_LABEL, check_columns
from seqpipe.data.sources import Row, read_rows
from seqpipe.errors import DataError, SeqpipeError

BOTH = {"text": "text", "label": "label"}
TEXTS = ["a lovely, quiet room", "they ignored us", "clean and bright", "cold soup", "we came back", "never again"]
LABELS = ["good", "bad", "good", "bad", "good", "bad"]


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, content, encoding="utf-8"):
    with open(name, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode(encoding))
    return f"files:{name}"


def read(source, columns=BOTH, **options):
    """(label, text) of each row, or why it is bad."""
    rows = read_rows(source, columns=columns, role="train", **options)
    return [
        tuple(row.values[key] for key in sorted(row.values)) if isinstance(row, Row) else row.reason for row in rows
    ]


def message(source, columns=BOTH, **options):
    with pytest.raises(DataError) as caught:
        read(source, columns, **options)
    return str(caught.value)


PAIRS = list(zip(LABELS, TEXTS, strict=True))


# Several labels


@pytest.mark.parametrize(
    "line", ["__label__soup __label__hot ti du", "__label__soup,__label__hot ti du", "ti du __label__a __label__b"]
)
def test_formats_several_labels_on_a_line(line):
    assert read(write("a.txt", f"__label__soup one\n{line}\n")) == [
        ("__label__soup", "one"),
        f"several labels in a line (2 times __label__): {ONE_LABEL}",
    ]


def test_formats_label_behind_its_sentence():
    reason = "the label stands behind its sentence: __label__ must begin the line"
    assert read(write("a.txt", "__label__a one\ntwo three __label__a\n")) == [("__label__a", "one"), reason]


def test_formats_list_of_labels_in_json():
    rows = read(write("a.jsonl", '{"text": "one", "label": ["a", "b"]}\n'))
    assert rows == [f"label is a list: {ONE_LABEL}"]


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000", "\u2003"])
def test_formats_label_before_a_blank_of_another_kind(blank):
    (row,) = read(write("a.txt", f"__label__a{blank}one two\n"))
    assert row.startswith(f"{blank!r} in the label ")


@pytest.mark.parametrize(("length", "shown"), [(40, "a" * 39 + ","), (41, "a" * 37 + "...")])
def test_formats_long_labels_are_shown_by_their_beginning(length, shown):
    (row,) = read(write("a.txt", "a" * (length - 1) + ", one\n"))
    assert row.startswith(f"',' in the label {shown!r}: ")


def test_formats_blanks_before_a_label_of_fasttext():
    assert read(write("a.txt", "  __label__a one two\n __label__b three\n")) == [
        ("__label__a", "one two"),
        ("__label__b", "three"),
    ]


# Label and text apart by tab or comma, in both orders


@pytest.mark.parametrize("texts", [TEXTS, ["很好", "不好吃", "干净明亮", "冷汤", "回来", "再也不"]])
def test_formats_label_tab_text(texts):
    content = "".join(f"{label}\t{text}\n" for label, text in zip(LABELS, texts, strict=True))
    assert read(write("a.txt", content)) == list(zip(LABELS, texts, strict=True))
    turned = "".join(f"{text}\t{label}\n" for label, text in zip(LABELS, texts, strict=True))
    assert message(write("a.txt", turned)) == (
        "a.txt: a tab in each line, and the label is not clearly what stands before it. Name data.format = tsv, "
        "and data.label_column and data.text_column by number."
    )
    assert read("files:a.txt", {"text": 1, "label": 2}) == list(zip(LABELS, texts, strict=True))


def test_formats_one_line_is_no_table():
    assert read(write("a.txt", "a\tb\tc d")) == [("a", "b\tc d")]
    assert read(write("b.txt", "a one,b")) == [("a", "one,b")]


def test_formats_ends_of_lines_are_labels_where_each_comes_twice():
    assert "as if the label stood behind" in message(write("a.txt", "very good,a\nvery bad,a\nno,b\nyes,b\n"))
    assert read(write("b.txt", "very good,a\nvery bad,a\nso so,b\n")) == [
        ("very", "good,a"),
        ("very", "bad,a"),
        ("so", "so,b"),
    ]


def test_formats_labels_of_several_words_before_a_tab_are_refused():
    content = "".join(f"very {label}\t{text}\n" for label, text in PAIRS)
    assert "the label is not clearly what stands before it" in message(write("a.txt", content))


def test_formats_a_tab_in_some_lines():
    assert read(write("a.txt", "a one\ttwo\nb three\na\tfour five\nb\n")) == [
        ("a", "one\ttwo"),
        ("b", "three"),
        "'\\t' in the label 'a\\tfour': a space stands between label and sentence, and there is one label. "
        "Is it CSV or TSV? Name data.format and the columns",
        "no space between label and sentence",
    ]
    assert read(write("b.txt", "a\tone two\nb\tthree four\na\tfive six\n" * 40 + "b seven")) == [
        *[("a", "one two"), ("b", "three four"), ("a", "five six")] * 40,
        "no tab between label and sentence",
    ]


@pytest.mark.parametrize("line", ["{number}\t{label}\t{text}", "{label}\t{text}\t5", "{label}\t\t{text}"])
def test_formats_more_columns_than_two_are_a_table(line):
    lines = [line.format(number=number, label=label, text=text) for number, (label, text) in enumerate(PAIRS)]
    assert message(write("a.txt", "\n".join(lines))) == (
        "a.txt: 2 tabs in each line. Is it a table? Name data.format = tsv, and data.label_column and "
        "data.text_column by number."
    )


@pytest.mark.parametrize("sign", [",", ";", "|"])
@pytest.mark.parametrize("blank", ["", " "])
def test_formats_label_and_text_apart_by_a_comma(sign, blank):
    texts = [text.replace(",", "") for text in TEXTS]
    content = "".join(f"{label}{sign}{blank}{text}\n" for label, text in zip(LABELS, texts, strict=True))
    rows = read(write("a.txt", content))
    assert all(
        f"{sign!r} in the label 'good{sign}" in row or f"{sign!r} in the label 'bad{sign}" in row for row in rows
    )
    turned = "".join(f"{text}{sign}{blank}{label}\n" for label, text in zip(LABELS, texts, strict=True))
    assert message(write("b.txt", turned)) == (
        "b.txt: each line ends in a separator and one of a few words, such as 'good', as if the label stood "
        "behind its sentence. Name data.format = csv or tsv, and data.label_column and data.text_column by number."
    )


@pytest.mark.parametrize("sign", [",", "\t"])
def test_formats_table_in_a_txt_file_is_known_by_its_header(sign):
    texts = [text.replace(",", "") for text in TEXTS]
    rows = "".join(f"{text}{sign}{label}\n" for label, text in zip(LABELS, texts, strict=True))
    assert read(write("a.txt", f"text{sign}label\n{rows}")) == list(zip(LABELS, texts, strict=True))


# Folders of texts


@pytest.fixture
def folders(tmp_path):
    for label, text in PAIRS:
        folder = tmp_path / "train" / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{len(list(folder.iterdir()))}.TXT").write_text(f"{text}\nmore\n")
    (tmp_path / "train" / "bad" / "._0.txt").write_text("hidden")
    (tmp_path / "train" / "urls.txt").write_text("http://localhost")
    return tmp_path


@pytest.mark.parametrize("source", ["files:train", "files:train/*/*.TXT", "files:train/[bg]*/*", "files:./train/"])
def test_formats_a_folder_of_texts_for_each_class(folders, source):
    expected = sorted((label, f"{text}\nmore") for label, text in PAIRS)
    assert sorted(read(source)) == expected
    assert sorted(read(source, {"text": "text"})) == sorted((text,) for _, text in expected)


def test_formats_folders_of_texts_by_name(folders):
    assert read("files:train/bad/*", format="folders")[0] == ("bad", "they ignored us\nmore")
    assert message("files:.") == (
        ". holds folders of folders of texts, such as train/bad/0.TXT. Name the one whose folders are the classes."
    )
    assert message("files:train/bad", format="folders") == (
        "train/bad holds no folders of .txt files, one for each class."
    )


def test_formats_folders_of_files_that_are_no_texts(tmp_path):
    (tmp_path / "pages" / "good").mkdir(parents=True)
    (tmp_path / "pages" / "good" / "1.html").touch()
    expected = "pages holds no folders of .txt files, one for each class. pages/good/1.html is none."
    assert message("files:pages") == expected
    assert message("files:pages", format="folders") == expected


def test_formats_text_of_a_folder_that_is_no_text(folders):
    (folders / "train" / "bad" / "8.txt").write_bytes(b"ab\xff")
    (folders / "train" / "bad" / "9.txt").write_bytes(b"a\0")
    assert [row for row in read("files:train") if isinstance(row, str)] == [
        "byte 2 (0xff) is not utf-8: name the encoding with data.encoding",
        "character 1 is NUL",
    ]


# Names of files


@pytest.mark.parametrize("name", ["a.CSV", "b #2.csv", "c d.Csv", "é.csv", "e\u0301x.csv", "100%.csv", "[1].csv"])
def test_formats_names_of_files(name):
    assert read(write(name, "text,label\none,a\n")) == [("a", "one")]


def test_formats_name_in_another_form_of_unicode():
    write("e\u0301.csv", "text,label\none,a\n")
    assert read("files:\u00e9.csv") == [("a", "one")]


def test_formats_glob_below_a_folder_with_brackets(tmp_path):
    (tmp_path / "set [1]").mkdir()
    write("set [1]/a.csv", "text,label\none,a\n")
    assert read("files:set [1]/*.csv") == [("a", "one")]


@pytest.mark.parametrize("name", ["a\0b.csv", "x" * 300 + ".csv", "~nobody_of_this_name/a.csv"])
def test_formats_name_that_no_file_can_have(name):
    assert "cannot be looked up: " in message(f"files:{name}")


def test_formats_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    rest = "is a pipe or a device. Save what comes out of it to a file, and name that."
    assert message("files:a.csv") == f"a.csv {rest}"
    assert message("files:/dev/null") == f"/dev/null {rest}"


def test_formats_several_files_apart_by_commas():
    write("a.csv", "text,label\none,a\n")
    assert message("files:a.csv, a.csv") == (
        "a.csv, a.csv names 2 files. Several sources are a list: [files:A, files:B]."
    )
    assert read(write("a,a.csv", "text,label\none,a\n")) == [("a", "one")]


def test_formats_link_that_leads_nowhere(tmp_path):
    (tmp_path / "b.csv").symlink_to("gone.csv")
    assert message("files:*.csv") == "b.csv is a link that leads nowhere."


# Columns, separators and encodings


def test_formats_columns_by_number():
    assert read(write("a.csv", '1,"one, two"\n2,three\n'), {"label": 1, "text": 2}) == [
        ("1", "one, two"),
        ("2", "three"),
    ]
    assert read(write("a.txt", "one,a\ntwo,b\n"), {"label": 2, "text": 1}) == [("a", "one"), ("b", "two")]


@pytest.mark.parametrize("sign", [";", "|", "\t", "·"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.dat"])
def test_formats_separator(name, sign):
    source = write(name, f'text{sign}label\n"one{sign} two"{sign}a\n{sign}\n')
    assert read(source, separator=sign) == [("a", f"one{sign} two")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.json"])
def test_formats_byte_order_mark_names_the_encoding(name, encoding):
    content = {"a.csv": "text,label\n好,a\n", "a.txt": "a 好\n", "a.json": '[{"text": "好", "label": "a"}]'}[name]
    assert read(write(name, content, encoding)) == [("a", "好")]


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
def test_formats_marks_of_both_orders(encoding):
    assert read(write("a.csv", "\ufefftext,label\n好,a\n", encoding)) == [("a", "好")]


def test_formats_two_marks():
    assert read(write("a.csv", "\ufeff\ufefftext,label\none,a\n")) == [("a", "one")]


def test_formats_utf_16_without_its_mark_is_guessed():
    text = message(write("a.csv", "text,label\nb,a\n", "utf-16-le"))
    assert text == "a.csv:1: byte 1 is NUL: is it UTF-16? Name the encoding with data.encoding."


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.txt", "a.tsv"])
def test_formats_another_encoding_names_the_key(name):
    content = {
        "a.csv": "text,label\ncafé,a\n", "a.tsv": "text\tlabel\ncafé\ta\n", "a.txt": "a café\n",
        "a.json": '[{"text": "café", "label": "a"}]',
    }[name]  # fmt: skip
    source = write(name, content, "latin-1")
    try:
        reason = read(source)[0]
    except DataError as error:
        reason = str(error)
    assert "(0xe9) is not utf-8: name the encoding with data.encoding" in reason
    assert read(source, encoding="latin-1") == [("a", "café")]


def test_formats_keys_inside_keys():
    write("a.jsonl", '{"review": {"body": "one"}, "label": 1, "a.b": "whole"}\n{"review": "two", "label": 2}\n')
    assert read("files:a.jsonl", {"text": "review.body", "label": "label"}) == [("1", "one"), "no key review.body"]
    assert read("files:a.jsonl", {"text": "a.b", "label": "label"})[0] == ("1", "whole")
    assert message("files:a.jsonl", {"text": "review.bdy", "label": "label"}) == (
        'a.jsonl:1: "review.bdy" is not a column. Allowed: review, label, a.b, review.body. Did you mean review.body?'
    )


def test_formats_keys_inside_lists():
    write("a.jsonl", '{"said": [{"by": "a"}, {"text": "two"}], "label": 1}\n{"said": [{}], "label": 2}\n')
    assert read("files:a.jsonl", {"text": "said.1.text", "label": "label"}) == [("1", "two"), "no key said.1.text"]


def test_formats_json_values_that_are_no_text():
    inside = "label.a, label.b, label.c, label.d, label.e"
    values = {
        '{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}': f"label is an object, not a string; inside it: {inside}",
        "{}": "label is an object, not a string",
        "null": "label is null, not a string",
        '"\\ud800"': "label holds half a surrogate pair, which is no character",
        '"a\\u0000"': "label holds NUL",
        "true": ("true", "one"),
        "-2": ("-2", "one"),
    }
    content = "\n\n".join(f'{{"text": "one", "label": {value}}}' for value in values)
    assert read(write("a.jsonl", content)) == list(values.values())
    assert read(write("b.jsonl", '{"text": ["one"], "label": 1}')) == [
        "text is a list, not a string; its first is text.0"
    ]


def test_formats_json_array_is_counted_by_item():
    source = write("a.json", '[{"text": "one", "label": "a"}, 5, {"text": "two", "label": ""}]')
    rows = list(read_rows(source, columns=BOTH, role="train"))
    assert [row.line for row in rows] == [1, 2, 3]
    assert rows[1].reason == "a JSON int, not an object"
    assert message(write("b.json", "[]")) == "b.json is an empty array."


def test_formats_columns_that_are_not_there_are_told_with_the_first_twenty_that_are():
    names = ["x" * 40, "y" * 41, *(f"column {number}" for number in range(3, 22))]
    with pytest.raises(DataError) as caught:
        check_columns("a.csv:1", {"text": 2}, names)
    rest = ", ".join(["x" * 40, "y" * 37 + "...", *names[2:20]])
    assert str(caught.value) == f"a.csv:1: columns have names here, not numbers such as 2. Allowed: {rest}."


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_formats_a_header_of_one_column_may_have_another_separator(sign):
    hint = f" Is it separated by {sign!r}? Name that in data.separator."
    assert message(write("a.csv", f"text{sign}label\none{sign}a\n")).endswith(hint)
    assert "Is it separated" not in message(write("b.csv", f"text{sign}label,c\none,a\n"))


def test_formats_a_tsv_whose_cells_stand_in_quotes_says_how_it_is_read():
    source = write("a.tsv", '"text"\t"label"\n"one\ttwo"\t"a"\n')
    assert "its cells stand in quotes" in message(source)
    assert read(source, format="csv", separator="\t") == [("a", "one\ttwo")]


@pytest.mark.parametrize("sign", [",", "\t"])
def test_formats_rows_of_another_width_are_bad(sign):
    name = {",": "a.csv", "\t": "a.tsv"}[sign]
    source = write(name, f"text{sign}label\none{sign}a{sign}b\n\ntwo\nthree{sign}c\n")
    assert read(source) == ["3 fields, the header names 2", "1 fields, the header names 2", ("c", "three")]
    assert read(source, {"text": 1, "label": 3})[1] == ("b", "one")
    assert read(source, {"text": 1, "label": 4})[1] == "3 fields, column 4 is asked for"


def test_formats_csv_that_cannot_be_read_is_named_by_its_line():
    rows = list(read_rows(write("a.csv", 'text,label\no\rne,a\ntwo,b\n"three,c\n'), columns=BOTH, role="train"))
    assert [row.line for row in rows] == [2, 3, 4]
    assert rows[0].reason == "a lone carriage return outside quotes: lines end at LF or CRLF"
    assert rows[2].reason == "a quote opens here and is never closed"
    assert message(write("b.csv", '"text,label\n')) == "b.csv:1: a quote opens here and is never closed."


def test_formats_blank_rows_of_a_spreadsheet():
    assert read(write("a.csv", "text,label\n,\none,a\n,,,\n\n")) == [("a", "one")]


@pytest.mark.parametrize("sign", [";", "\t", ","])
@pytest.mark.parametrize("line", ["sep={}", '"sep={}"', "\ufeffsep={}\r"])
def test_formats_separator_that_a_spreadsheet_names(sign, line):
    source = write("a.csv", line.format(sign) + f'\ntext{sign}label\n"one{sign}"{sign}a\n{sign}\ntwo{sign}\n'[:-1])
    assert read(source) == [("a", f"one{sign}"), ("", "two")]
    assert read(source, separator=sign) == [("a", f"one{sign}"), ("", "two")]
    assert [row.line for row in read_rows(source, columns=BOTH, role="train")] == [3, 5]
    assert read(write("b.csv", "text,label\nsep=;,a\n")) == [("a", "sep=;")]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.jsonl"])
def test_formats_lines_that_end_as_on_an_old_mac(name):
    content = {
        "a.csv": 'text,label\r"one\rmore",a\rtwo,b\r', "a.tsv": "text\tlabel\rone\ta\rtwo\tb",
        "a.txt": "a one\rb two\r\r", "a.jsonl": '{"text": "one", "label": "a"}\r{"text": "two", "label": "b"}\r',
    }[name]  # fmt: skip
    (label, text), last = read(write(name, content))
    assert (label, text.split()[0], last) == ("a", "one", ("b", "two"))


def test_formats_blanks_around_names_of_columns():
    assert read(write("a.csv", "text , \u00a0label\none,a\n")) == [("a", "one")]
    assert read(write("a.tsv", " text\tlabel \none\ta\n")) == [("a", "one")]
    assert read("files:a.tsv", {"text": " text", "label": "label "}) == [("a", "one")]
    assert "stands 2 times" in message(write("b.csv", "text,text ,label\n1,2,3\n"))


def test_formats_json_number_that_is_none_is_a_missing_value():
    write("a.jsonl", '{"text": NaN, "label": 1}\n{"text": "one", "label": Infinity}\n{"text": 2.5, "label": 1}\n')
    assert read("files:a.jsonl") == ["text is NaN, not a string", "label is Infinity, not a string", ("1", "2.5")]


def test_formats_json_object_that_holds_the_rows_is_refused():
    rows = [{"text": "one", "label": "a"}]
    allowed = "save that list alone"
    assert f"Are the rows in data? Then {allowed}" in message(write("a.json", json.dumps({"data": rows, "n": 1})))
    assert allowed in message(write("b.json", json.dumps({"n": 1, "data": rows}, indent=1)))


def test_formats_json_lines_in_a_txt_file():
    lines = '{"text": "one two", "label": "a"}\n{"text": "three", "label": "b"}\n'
    assert read(write("a.txt", lines)) == [("a", "one two"), ("b", "three")]
    assert read("files:a.txt", {"text": "text"})[0] == (lines.split("\n")[0],)


@pytest.mark.parametrize(
    ("begin", "what"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a spreadsheet of Excel"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b'<?xml version="1.0"?>\n<tmx>', "XML"),
        (b"%PDF-1.4\n", "PDF"),
    ],
)
def test_formats_of_other_tools_are_named(begin, what):
    assert f"a.csv holds {what}" in message(write("a.csv", begin + b"\0" * 40))


# Anything at all: never a traceback

PIECES = st.sampled_from(
    [
        *(sign.encode() for sign in ("text", "label", "__label__", '{"text": "a", "label": "b"}', "é", "1", " ")),
        *(sign.encode() for sign in (",", ";", ":", "\t", "\n", "\r", '"', "{", "}", "[", "]", "\0", "\ufeff")),
        *(b"\xff", b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b"),
    ]
)
ENDINGS = st.sampled_from(["csv", "tsv", "jsonl", "json", "txt", "txt.gz", "csv.xz", "CSV"])
FUZZ = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMED = st.sampled_from([BOTH, {"text": 1, "label": 2}, {"text": "text"}, {"source": "text", "target": "label"}])


@FUZZ
@given(
    content=st.lists(PIECES | st.binary(max_size=4), max_size=30).map(b"".join),
    ending=ENDINGS,
    columns=NAMED,
    encoding=st.sampled_from(["utf-8", "utf-16", "gb18030", "latin-1", "shift_jis"]),
    separator=st.sampled_from([None, ";"]),
)
@example(b"[" * 100_000, "json", BOTH, "utf-8", None)
@example(json.dumps([{"text": "a", "label": {"b": []}}]).encode(), "json", BOTH, "utf-8", None)
def test_formats_any_bytes_are_rows_or_an_error(content, ending, columns, encoding, separator):
    source = write(f"fuzz.{ending}", content)
    with contextlib.suppress(SeqpipeError):
        for row in read_rows(source, columns=columns, role="train", encoding=encoding, separator=separator):
            assert not isinstance(row, Row) or "\0" not in "".join(row.values.values())


@FUZZ
@given(name=st.text(max_size=40) | st.lists(st.sampled_from("~/*?[]{}#,% é\0\ud800"), max_size=12).map("".join))
def test_formats_any_name_is_rows_or_an_error(name):
    with contextlib.suppress(SeqpipeError):
        list(read_rows(f"files:in/{name}", columns=BOTH, role="train"))


def test_formats_a_faulty_array_is_named_by_its_line():
    content = '\n\n[\n{"text": "one", "label": "a"},\n{"text": "two", "label": "b"},\n{"text" "three"}\n]\n'
    assert "line 6 column" in message(write("a.json", content))
