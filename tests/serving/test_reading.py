"""Files of the kinds that people have, read for `predict`."""

from __future__ import annotations

import io
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from seqpipe.data.files import BadRow
from seqpipe.errors import DataError
from seqpipe.serving.inputs import NAMED, WAVEFORM
from seqpipe.serving.reading import read_objects, read_text, read_texts

TEXTS = ["a fine film", "awful, really"]


def csv_of(name):
    return 'id,text\n1,a fine film\n2,"awful, really"\n'.replace("text", name)


KINDS = {
    "a table by its ending": ("data.csv", csv_of("text"), None),
    "an ending in capitals": ("DATA.CSV", csv_of("text"), None),
    "a table under another ending": ("data.dat", csv_of("text"), None),
    "a table called .txt": ("data.txt", csv_of("text"), None),
    "another column": ("data.csv", csv_of("review"), "review"),
    "tabs": ("data.tsv", "id\ttext\n1\ta fine film\n2\tawful, really\n", None),
    "tabs under another ending": ("data", "id\ttext\n1\ta fine film\n2\tawful, really\n", None),
    "a column alone": ("data.txt", 'text\na fine film\n"awful, really"\n', None),
    "an array of objects": ("data.json", json.dumps([{"id": 1, "text": text} for text in TEXTS], indent=1), None),
    "an array of texts": ("data.json", json.dumps(TEXTS), None),
    "nested keys": ("data.json", json.dumps([{"body": {"en": text}} for text in TEXTS]), "body.en"),
    "lines of objects": ("data.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in TEXTS), None),
    "lines of objects called .json": ("data.json", "".join(json.dumps({"text": text}) + "\n" for text in TEXTS), None),
    "plain lines": ("captions.en", "a fine film\nawful, really\n", None),
    "plain lines that begin with a bracket": ("captions.en", "a fine film\nawful, really\n", None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_reading_takes_a_file_for_what_it_holds(kind, tmp_path):
    name, content, column = KINDS[kind]
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert list(read_texts(str(tmp_path / name), column=column)) == TEXTS


def test_reading_lines_that_begin_with_a_bracket_are_texts(tmp_path):
    (tmp_path / "said.txt").write_text("[laughs] a fine film\n{sighs\n")
    assert list(read_texts(str(tmp_path / "said.txt"), column=None)) == ["[laughs] a fine film", "{sighs"]


def test_reading_a_column_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "data.txt").write_text("a fine film\n")
    with pytest.raises(DataError, match=r'data\.txt: "review" is not a column. Allowed: a fine film\.'):
        list(read_texts(str(tmp_path / "data.txt"), column="review"))


def test_reading_another_encoding_by_its_name(tmp_path):
    (tmp_path / "data.csv").write_bytes("text\ncafé\n".encode("latin-1"))
    (bad,) = read_texts(str(tmp_path / "data.csv"), column=None)
    assert isinstance(bad, BadRow)
    assert "(0xe9) is not utf-8" in bad.reason
    assert list(read_texts(str(tmp_path / "data.csv"), column=None, encoding="latin-1")) == ["café"]
    with pytest.raises(DataError, match="--encoding klingon is not an encoding, such as utf-8"):
        list(read_texts(str(tmp_path / "data.csv"), column=None, encoding="klingon"))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_reading_standard_input_in_any_encoding(encoding, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("café\r\nnoir\n".encode(encoding))))
    assert list(read_texts("-", column=None, encoding=encoding)) == ["café", "noir"]


def test_reading_an_item_without_a_text_is_named(tmp_path):
    (tmp_path / "data.json").write_text('[{"text": "fine"}, {"text": null}, {"other": 1}, ["x"]]')
    first, *bad = read_texts(str(tmp_path / "data.json"), column=None)
    assert first == "fine"
    assert [each.reason for each in bad] == [
        "item 2: no text under text",
        "item 3: no text under text",
        "item 4: list, no text",
    ]


def test_reading_objects_names_lines_that_hold_none(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"values": [1, 2]}\n\n[1]\n{\n')
    first, array, broken = read_objects(str(tmp_path / "rows.jsonl"))
    assert first == {"values": [1, 2]}
    assert array.place.endswith("rows.jsonl:3")
    assert array.reason == "a list, no object"
    assert broken.reason.startswith("not JSON: ")


@pytest.mark.parametrize("sign", [",", "\t", ";", "|"])
@pytest.mark.parametrize("begin", ["", "sep={}\n", "\ufeff"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.dat"])
def test_reading_a_table_by_what_its_header_is_apart_by(tmp_path, name, begin, sign):
    (tmp_path / name).write_text(f"{begin.format(sign)}id{sign} text\n1{sign}one\n")
    assert list(read_texts(str(tmp_path / name), column=None)) == ["one"]


@pytest.mark.parametrize("sign", [",", "\t", ";", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
def test_reading_a_column_by_its_number_where_none_is_named(tmp_path, name, sign):
    (tmp_path / name).write_text(f"1{sign}one\n2{sign}two\n")
    assert list(read_texts(str(tmp_path / name), column="2")) == ["one", "two"]
    with pytest.raises(DataError, match=r'"review" is not a column'):
        list(read_texts(str(tmp_path / name), column="review"))


def test_reading_a_number_that_is_a_name_or_no_column(tmp_path):
    (tmp_path / "a.csv").write_text("1,2\nx,y\n")
    assert list(read_texts(str(tmp_path / "a.csv"), column="2")) == ["y"]
    (tmp_path / "a.txt").write_text("a fine film\n")
    with pytest.raises(DataError, match=r'"1" is not a column. Allowed: a fine film\.'):
        list(read_texts(str(tmp_path / "a.txt"), column="1"))


def test_reading_a_missing_column_lists_those_of_a_table_with_another_separator(tmp_path):
    (tmp_path / "a.csv").write_text("id;review\n1;one\n")
    with pytest.raises(DataError, match=r'"text" is not a column. Allowed: id, review\.$'):
        list(read_texts(str(tmp_path / "a.csv"), column=None))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("kind", KINDS)
def test_reading_what_a_byte_order_mark_names(kind, encoding, tmp_path):
    name, content, column = KINDS[kind]
    (tmp_path / name).write_text(content, encoding=encoding)
    assert list(read_texts(str(tmp_path / name), column=column)) == TEXTS


def test_reading_keys_of_an_array(tmp_path):
    (tmp_path / "a.json").write_text('[{"a.b": "one"}, {"a": {"b": "two"}}]')
    assert list(read_texts(str(tmp_path / "a.json"), column="a.b")) == ["one", "two"]
    with pytest.raises(DataError, match=r'a\.json: "text" is not a key. Allowed: a\.b\.'):
        list(read_texts(str(tmp_path / "a.json"), column=None))


def test_reading_standard_input_that_is_none(monkeypatch, tmp_path):
    directory = os.open(tmp_path, os.O_RDONLY)
    for stdin in (None, SimpleNamespace(fileno=lambda: directory)):
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(DataError, match="standard input is closed, or a directory"):
            list(read_texts("-", column=None))
    os.close(directory)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id;Message\n1;first\n2;second\n"),
        ("a.jsonl", '{"id": 1, "Message": "first"}\n{"id": 2, "Message": "second"}\n'),
        ("a.json", '[{"id": 1, "Message": "first"}, {"id": 2, "Message": "second"}]'),
        ("a.csv", "id,text\n1,first\n2,second\n"),
        ("a.jsonl", '{"text": "first"}\n{"text": "second"}\n'),
        ("a.txt", "first\nsecond\n"),
    ],
)
def test_reading_without_a_column_takes_the_usual_one_or_text(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert list(read_texts(str(tmp_path / name), column=None, usual="Message")) == ["first", "second"]


def test_reading_a_column_of_standard_input_is_refused():
    with pytest.raises(DataError, match="--column text: standard input is read as a text a line"):
        list(read_texts("-", column="text"))


def test_reading_numbers_that_are_none_are_bad_rows(tmp_path):
    (tmp_path / "a.json").write_text('[{"text": NaN}, {"text": 2.5}]')
    bad, good = read_texts(str(tmp_path / "a.json"), column=None)
    assert bad.reason == "item 1: no text under text"
    assert good == "2.5"


def test_reading_lines_that_end_as_on_an_old_mac(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"id,text\r1,one\r2,two\r")
    assert list(read_texts(str(tmp_path / "a.txt"), column=None)) == ["one", "two"]


def test_reading_a_recording_by_either_form_of_its_name(tmp_path):
    sound = np.zeros(1600, np.int16)
    soundfile.write(tmp_path / "cafe\u0301.wav", sound, 16_000)
    assert len(WAVEFORM.from_value(tmp_path / "caf\u00e9.wav")) == 1600


# What a fuzzer found


def test_reading_first_lines_that_are_no_csv_are_texts(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one, \rtwo\nthree\n")
    assert list(read_texts(str(tmp_path / "a.txt"), column=None))[-1] == "three"


def test_reading_thousands_of_brackets_are_an_error(tmp_path):
    (tmp_path / "a.json").write_text('["a", ' + "[" * 100_000)
    with pytest.raises(DataError, match="not JSON"):
        list(read_texts(str(tmp_path / "a.json"), column=None))
    (tmp_path / "b.jsonl").write_text("[" * 100_000 + "\n{}\n")
    bad, good = read_objects(str(tmp_path / "b.jsonl"))
    assert isinstance(bad, BadRow)
    assert good == {}


def test_reading_half_characters_are_bad_rows(tmp_path):
    (tmp_path / "a.json").write_text('["\\ud800", "whole"]')
    bad, good = read_texts(str(tmp_path / "a.json"), column=None)
    assert bad.reason == "item 1: half a surrogate pair, which is no character"
    assert good == "whole"


@pytest.mark.parametrize("encoding", ["rot13", "hex", "unicode_escape", "no such"])
def test_reading_encodings_that_decode_no_text(tmp_path, encoding):
    (tmp_path / "a.txt").write_text("one\n")
    with pytest.raises(DataError, match="is not an encoding"):
        list(read_texts(str(tmp_path / "a.txt"), column=None, encoding=encoding))


def test_reading_standard_input_of_another_encoding(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfea\x00\n\x00\x00\xd8"), "utf-8"))
    with pytest.raises(DataError, match="standard input is not utf-16"):
        list(read_texts("-", column=None, encoding="utf-16"))


def test_reading_a_folder_of_texts_is_a_text_in_each_file(tmp_path):
    for name, text in (("b.txt", "two\nlines"), ("a.txt", "one")):
        (tmp_path / name).write_text(text)
    assert list(read_texts(str(tmp_path), column=None)) == ["one", "two\nlines"]
    with pytest.raises(DataError, match="is a directory"):
        list(read_texts(str(tmp_path), column="text"))


def test_reading_packed_files_that_are_damaged(tmp_path):
    (tmp_path / "a.dat.gz").write_bytes(b"\x1f\x8b\x08aaaaa\r\n")
    with pytest.raises(DataError, match=r"a\.dat\.gz cannot be read: "):
        list(read_texts(str(tmp_path / "a.dat.gz"), column=None))


def test_reading_a_text_as_it_is_trained_with(tmp_path, monkeypatch):
    raw = b"\xef\xbb\xbfThe fox\r\nwent\r \xff\r\n"
    (tmp_path / "a.txt").write_bytes(raw)
    assert read_text(str(tmp_path / "a.txt")) == "The fox\nwent\r \ufffd\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw), "utf-8"))
    assert read_text("-") == "The fox\nwent\r \ufffd\n"
    (tmp_path / "b.txt").write_text("b")
    with pytest.raises(DataError, match=r"\*\.txt names 2 files\. Name one\."):
        read_text(str(tmp_path / "*.txt"))


@pytest.mark.parametrize("asked", [{"column": "a"}, {"keep": ["a"]}])
def test_reading_objects_takes_no_column(tmp_path, asked):
    (option,) = asked
    with pytest.raises(DataError, match=f"--{option} a: this model takes several inputs"):
        next(NAMED.from_file(str(tmp_path / "rows.jsonl"), **asked))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'id,text,when\n7,"good, it was",May\n,bad,\n'),
        ("a.tsv", "id\ttext\twhen\n7\tgood, it was\tMay\n\tbad\t\n"),
        ("a.jsonl", '{"id": 7, "text": "good, it was", "when": "May"}\n{"text": "bad", "when": null}\n'),
        ("a.json", '[{"id": 7, "text": "good, it was", "when": "May"}, {"text": "bad", "when": null}]'),
    ],
)
def test_reading_keeps_other_columns(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    rows = list(read_texts(str(tmp_path / name), column=None, keep=["id", "when"]))
    assert rows == ["good, it was", "bad"]
    assert [row.beside for row in rows] == [{"id": "7", "when": "May"}, {"id": "", "when": ""}]
    with pytest.raises(DataError, match="Allowed: id, text, when"):
        list(read_texts(str(tmp_path / name), column=None, keep=["idd"]))


def test_reading_keeps_columns_by_their_numbers_where_none_is_named(tmp_path):
    file = tmp_path / "a.tsv"
    file.write_text("7\tgood\n8\tbad\n")
    rows = list(read_texts(str(file), column="2", keep=["1"]))
    assert (rows, [row.beside for row in rows]) == (["good", "bad"], [{"1": "7"}, {"1": "8"}])
    with pytest.raises(DataError, match=r"--keep id: .*a\.tsv names no columns\. Allowed: their numbers, from 1"):
        list(read_texts(str(file), column="2", keep=["id"]))


def test_reading_keeps_no_columns_where_there_are_none(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("good")
    (tmp_path / "lines").write_text("good\n")
    for source, reason in (("-", "standard input is"), ("folder", ".*has no columns"), ("lines", ".* without columns")):
        place = source if source == "-" else str(tmp_path / source)
        with pytest.raises(DataError, match=f"--keep id: {reason}"):
            list(read_texts(place, column=None, keep=["id"]))


def test_reading_what_is_kept_holds_whole_characters(tmp_path):
    (tmp_path / "a.json").write_text('[{"text": "good", "id": "\\ud800"}]')
    (row,) = read_texts(str(tmp_path / "a.json"), column=None, keep=["id"])
    assert "half a surrogate pair" in row.reason
