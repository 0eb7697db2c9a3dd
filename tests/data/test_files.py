"""Files by a path or a pattern, in the format and packing they have; what is said of those that are not read."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from seqpipe.data.files import (
    Row,
    as_on_disk,
    column_names,
    find_files,
    first_lines,
    folder_of_texts,
    format_by_ending,
    open_unpacked,
    read_files,
    read_unpacked,
    unread_in_folders,
)
from seqpipe.errors import DataError

BOTH = {"text": "text", "label": "label"}
BY_NUMBER = {"label": 1, "text": 2}


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, content=b""):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(pattern, columns=BOTH, **options):
    rows = read_files(str(pattern), columns=columns, **options)
    return [row.values if isinstance(row, Row) else row.reason for row in rows]


def message(call, *values, **options):
    with pytest.raises(DataError) as caught:
        call(*values, **options)
    return str(caught.value)


def test_files_of_a_pattern_are_in_order():
    for name in ("b.csv", "a.csv", "deep/er/c.csv", "a.tsv", "d.csv/e"):
        write(name)
    assert find_files("*.csv") == [Path("a.csv"), Path("b.csv")]
    assert find_files("**/*.csv") == [Path("a.csv"), Path("b.csv"), Path("deep/er/c.csv")]
    assert find_files("a.tsv") == [Path("a.tsv")]


@pytest.mark.parametrize(
    ("names", "holds"),
    [
        ("", ""),
        ("b", " It holds b."),
        ("c b a", " It holds a, b, c."),
        ("d c b a", " It holds a, b, c ...."),
    ],
)
def test_files_of_a_folder_are_named(names, holds):
    write("texts/inner/x")
    for name in names.split():
        write(f"texts/{name}")
    expected = f"texts is a directory. Name a file, or a pattern such as texts/*.csv.{holds}"
    assert message(find_files, "texts") == expected


def test_files_that_are_not_there_are_no_list_unless_each_is():
    write("a.csv")
    assert message(find_files, "a.csv,b.csv").startswith("a.csv,b.csv does not exist (looked in ")
    assert message(find_files, "a.csv, a.csv, ./a.csv").startswith("a.csv, a.csv, ./a.csv names 3 files.")


def test_files_have_the_form_of_unicode_of_their_names():
    write("e\u0301.csv")
    assert str(as_on_disk("\u00e9.csv")) == "e\u0301.csv"
    assert str(as_on_disk("\u00e9.tsv")) == "\u00e9.tsv"
    assert message(as_on_disk, "a\0b") == "'a\\x00b' cannot be looked up: it holds NUL."


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "csv"),
        ("a.b.TSV", "tsv"),
        ("a.ndjson.gz", "jsonl"),
        ("a.jsonl.XZ", "jsonl"),
        ("a.txt", "label_text"),
        ("a.csv.txt", "label_text"),
        ("a.csv.md", None),
        ("a.csv.gz.xz", None),
        ("a.gz", None),
        ("csv", None),
    ],
)
def test_files_formats_are_of_their_last_ending(name, expected):
    assert format_by_ending(Path(name)) == expected


def test_files_texts_are_named_as_such():
    for name in ("b.txt", "a", "c.12", "d.TXT.gz", ".e.txt", "f.md", "g.1a", "h.txt/x"):
        write(f"texts/{name}")
    assert [path.name for path in folder_of_texts(Path("texts"))] == ["a", "b.txt", "c.12", "d.TXT.gz"]
    write(".corpus/a.txt")
    assert folder_of_texts(Path(".corpus")) == [Path(".corpus/a.txt")], "a folder is hidden to who does not name it"
    write(".corpus/.a/b.txt")
    write(".corpus/c/d.txt")
    assert read(".corpus") == [{"text": "", "label": "c"}]


def test_files_of_other_formats_beside_texts_are_counted():
    for name in ("b/1.txt", "b/2.md", "a/3.md", "a/4.html", "a/.5.rtf", ".c/6.rtf", "7.rtf", "a/d.rtf/8"):
        write(f"texts/{name}")
    assert unread_in_folders("texts") == "files of other formats are not read: 2 .md, 1 .html, such as texts/a/3.md."
    Path("texts/b/1.txt").unlink()
    assert unread_in_folders("texts") == ""
    write("all/a/1.txt")
    assert [unread_in_folders(name) for name in ("all", "none", "all/a/1.txt")] == ["", "", ""]


def test_files_texts_in_folders_have_their_folders_as_labels():
    write("t/b/2.txt", "\ufefftwo\r\n")
    write("t/a/1.txt", "one\n\n")
    write("t/a/3.txt", b"\xff\xfe" + "three".encode("utf-16-le"))
    write("t/a/4.txt", b"PAR1")
    write("t/a/5.txt.gz", gzip.compress(b"five, and more of it")[:-6])
    found = read("t")
    assert found[:2] == [{"text": "one\n", "label": "a"}, {"text": "three", "label": "a"}]
    assert found[2] == "t/a/4.txt holds Parquet. Allowed: text, such as CSV, TSV, JSON lines or plain lines"
    assert found[3].startswith("cannot be read: Compressed file ended")
    assert found[4] == {"text": "two", "label": "b"}
    assert {row.line for row in read_files("t", columns=BOTH)} == {1}
    assert read("t/b", {"text": "text"}) == [{"text": "two"}]
    assert message(read, "t/b").startswith("t/b is a directory of texts without classes")
    assert message(read, "t", {"source": "en", "target": "fr"}).startswith("t is a directory. Name a file")


def test_files_of_a_glob_over_folders_are_texts_where_all_are():
    write("t/a/1.txt", "x one")
    write("t/b/2.txt", "y two")
    assert read("t/*/*") == [{"text": "x one", "label": "a"}, {"text": "y two", "label": "b"}]
    assert read("t/a/*") == [{"label": "x", "text": "one"}]
    assert read("t/*/1.txt") == [{"label": "x", "text": "one"}]
    write("t/b/3.csv", "text,label\nthree,z\n")
    assert [row["label"] for row in read("t/*/*")] == ["x", "y", "z"]
    assert [row["label"] for row in read("t/*/*", format="folders")] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "columns", "expected"),
    [
        ('{"text": "one", "label": "a"}\n\n', BOTH, {"text": "one", "label": "a"}),
        ("text\tlabel\none\ta\n", BOTH, {"text": "one", "label": "a"}),
        ('"label","text"\na,one\n', BOTH, {"text": "one", "label": "a"}),
        ("a\tone, two\n\n", BY_NUMBER, {"text": "one, two", "label": "a"}),
        ("a,one\ttwo\nb,c\n", BY_NUMBER, {"text": "one\ttwo", "label": "a"}),
        ("a one\n", BOTH, {"text": "one", "label": "a"}),
        ("a one\n", {"text": 1}, {"text": "a one"}),
        ("text,x\n", {"text": "text"}, {"text": "text,x"}),
        ("text, and more of it\nand more\n", {"text": "text"}, {"text": "text, and more of it"}),
        ('"label","text"\na,one\n', {"text": "text"}, {"text": "one"}),
        ("x\ttext\n1\tone\n", {"text": "text"}, {"text": "one"}),
        ("a\tone, two\nb\tc\n", {"text": 2}, {"text": "one, two"}),
    ],
)
def test_files_of_text_are_what_their_first_lines_say(content, columns, expected):
    assert read(write("a.txt", content), columns)[0] == expected


def test_files_with_a_separator_are_csv_but_for_json():
    assert read(write("a.dat", "text;label\none;a\n"), separator=";") == [{"text": "one", "label": "a"}]
    assert read(write("a.jsonl", '{"text": "o;e", "label": "a"}\n'), separator=";") == [{"text": "o;e", "label": "a"}]
    assert column_names(write("a.ndjson", '{"a;b": 1}\n'), separator=";") == ["a;b"]


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        ("a.csv", '\n "a",b\n1,2\n', [' "a"', "b"]),
        ("a.csv", "sep=;\na,b;c\n", ["a,b", "c"]),
        ("a.tsv", 'a\t"b\r\n', ["a", '"b']),
        ("a.jsonl", '{"a": 1, "b": {"c": 2}}\n', ["a", "b"]),
    ],
)
def test_files_columns_are_named_by_their_first_line(name, content, names):
    path = write(name, content)
    assert column_names(path) == names
    assert column_names(path.rename("a.dat"), format=name[2:]) == names


def test_files_without_names_of_columns_are_told():
    rest = "names no columns. Allowed: CSV and TSV with a header, and JSON lines."
    for name, content in (("a.txt", "a b\n"), ("a.jsonl", "[1]\n"), ("b.jsonl", "{\n"), ("c.jsonl", "[" * 99_999)):
        assert message(column_names, write(name, content)) == f"{name} {rest}"
    assert message(column_names, write("a.csv", "\n \n")) == "a.csv is empty."
    assert column_names(write("b.csv", "a;b\n"), separator=";") == ["a", "b"]


def test_files_first_lines_are_whole_and_a_hundred_at_most():
    assert first_lines(write("a.txt", "\ufeffone\r\ntwo\n\nlast"), "utf-8") == ["one", "two", "", "last"]
    assert first_lines(write("a.txt", "x\ry\r"), "utf-8") == ["x", "y", ""]
    assert first_lines(write("a.txt", b"a\xff\nb"), "utf-8") == ["a\ufffd", "b"]
    assert first_lines(write("a.txt", "a\n" * 101), "utf-8") == ["a"] * 100
    long = "b" * 65_533
    assert first_lines(write("a.txt", f"a\n{long}"), "utf-8") == ["a", long]
    assert first_lines(write("a.txt", f"a\n{long}bb"), "utf-8") == ["a"]
    assert first_lines(write("a.txt", "b" * 70_000), "utf-8") == ["b" * 65_536]
    assert first_lines(write("a.txt.gz", gzip.compress(b"a" * 99)[:-9]), "utf-8") == []


@pytest.mark.parametrize(("ending", "pack"), [("", bytes), (".gz", gzip.compress), (".XZ", lzma.compress)])
def test_files_are_unpacked_as_they_are_named(ending, pack):
    path = write(f"a.txt{ending}", pack(b"one\ntwo"))
    assert read_unpacked(path) == b"one\ntwo"
    assert read_unpacked(path, 5) == b"one\nt"
    with open_unpacked(path) as stream:
        assert list(stream) == [b"one\n", b"two"]


def test_files_that_cannot_be_unpacked_are_told():
    damaged = write("a.gz", gzip.compress(b"one and two")[:-4])
    assert message(read_unpacked, damaged).startswith("a.gz cannot be read: Compressed file ended before")
    assert message(open_unpacked, Path("gone")) == "gone cannot be read: No such file or directory."
    rest = "data. Allowed: plain, .gz and .xz."
    assert message(open_unpacked, write("b.gz", "text")) == f"b.gz is named as gzip and holds no gzip {rest}"
    assert message(open_unpacked, write("c.xz", gzip.compress(b""))) == f"c.xz is named as xz and holds gzip {rest}"
    assert message(open_unpacked, write("d.txt", "PK\x03\x04")) == f"d.txt is named as plain and holds zip {rest}"
    assert read_unpacked(write("e.gz")) == b""


def test_files_without_a_line_are_empty():
    for name in ("a.csv", "a.txt", "a.gz"):
        options = {"format": "lines"} if name == "a.gz" else {}
        assert message(read, write(name), {"text": "text"}, **options) == f"{name} is empty."
