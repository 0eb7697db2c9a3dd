"""Lines of bytes as text: where they end, what their encoding is, and what is said of those that are faulty."""

from __future__ import annotations

import codecs
import gzip
import io
from dataclasses import FrozenInstanceError

import pytest

from seqpipe.data.lines import BadRow, Lines, Row, cut, encoding_of, line_end, not_decoded
from seqpipe.errors import DataError


def lines_of(content, encoding="utf-8"):
    return Lines(io.BufferedReader(io.BytesIO(content)), "a.txt", encoding, "my.encoding")


def read(content, encoding="utf-8"):
    """(text, fault) of each line."""
    lines = lines_of(content, encoding)
    return [(line, lines.take_fault()) for line in lines]


@pytest.mark.parametrize(
    ("begin", "encoding", "expected"),
    [
        (codecs.BOM_UTF32_LE, "utf-8", "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-8", "utf-32"),
        (codecs.BOM_UTF16_LE, "latin-1", "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-8", "utf-16"),
        (b"\0\0\xff", "utf8", "utf-8"),
        (codecs.BOM_UTF8, "utf_8_sig", "utf-8"),
        (b"", "latin-1", "iso8859-1"),
    ],
)
def test_lines_encoding_is_of_the_mark_or_the_given_one(begin, encoding, expected):
    assert encoding_of(begin, encoding) == expected


@pytest.mark.parametrize("kind", [str, str.encode])
def test_lines_end_at_a_return_where_there_are_several_and_nothing_else(kind):
    ends = {"": "\n", "a\rb": "\n", "a\rb\r": "\r", "\r\r\r": "\r", "a\rb\rc\n": "\n", "a\r\nb\r\n": "\n", "é\n": "\n"}
    assert {text: line_end(kind(text)) for text in ends} == ends


def test_lines_byte_that_is_not_decoded_is_counted_in_the_file():
    with pytest.raises(UnicodeDecodeError) as caught:
        b"abc\xe9".decode("ascii")
    assert not_decoded(caught.value, "ascii", "a.b") == "byte 3 (0xe9) is not ascii: name the encoding with a.b"
    assert not_decoded(caught.value, "ascii", "a.b", offset=40).startswith("byte 43 (0xe9)")


def test_lines_end_at_a_line_feed_alone():
    assert read(b"one\r\nt\rw\x0co\n\xc2\x85\n\nlast") == [
        ("one\r\n", None),
        ("t\rw\x0co\n", None),
        ("\x85\n", None),
        ("\n", None),
        ("last", None),
    ]
    assert [cut(line) for line in ("a\r\n", "a\n", "a\r", "a\n\r\n", "a", "")] == ["a", "a", "a", "a\n", "a", ""]


def test_lines_of_an_old_mac_are_put_together_over_parts():
    long = b"a" * 65_530
    assert read(b"x\ry\r" + long + b"\rc\xff") == [
        ("x\n", None),
        ("y\n", None),
        (long.decode() + "\n", None),
        ("c\ufffd", "byte 65536 (0xff) is not utf-8: name the encoding with my.encoding"),
    ]
    assert read(b"x\r\ry\r") == [("x\n", None), ("\n", None), ("y\n", None)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-32-be"])
def test_lines_lose_the_mark_of_the_first_alone(encoding):
    text = "\ufeffone\n\ufefftwo\n"
    assert read(text.encode(encoding), encoding) == [("one\n", None), ("\ufefftwo\n", None)]


def test_lines_faults_are_named_by_their_byte_and_reading_goes_on():
    name = "name the encoding with my.encoding"
    wide = ": is it UTF-16? Name the encoding with my.encoding"
    assert read(b"\xc3\xa9\nb\xffc\nd\0\n\0e\0\nf") == [
        ("é\n", None),
        ("b\ufffdc\n", f"byte 4 (0xff) is not utf-8: {name}"),
        ("d\0\n", "byte 8 is NUL"),
        ("\0e\0\n", f"byte 10 is NUL{wide}"),
        ("f", None),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_lines_of_wide_characters_end_where_a_character_does(encoding):
    assert read("ਊ\r\nb\0\nc\rd".encode(encoding)) == [("ਊ\r\n", None), ("b\0\n", "a character is NUL"), ("c\rd", None)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\nb".encode("utf-16") + b"c", "a.txt:2: not utf-16 from here: truncated data."),
        ("a\nb".encode("utf-16-le"), "a.txt:1: not utf-16: it has no byte order mark."),
    ],
)
def test_lines_stop_where_wide_characters_cannot_be_decoded(content, message):
    with pytest.raises(DataError) as caught:
        list(lines_of(content, "utf-16"))
    assert str(caught.value) == f"{message} Another is named with my.encoding."


def test_lines_stop_where_a_packed_file_is_damaged():
    packed = gzip.compress(b"".join(b"%d\n" % number for number in range(100_000)))
    with gzip.open(io.BytesIO(packed[: len(packed) // 2])) as stream:
        lines = Lines(io.BufferedReader(stream), "a.gz", "utf-8")
        with pytest.raises(DataError) as caught:
            list(lines)
    assert lines.number > 1000
    assert str(caught.value).startswith(f"a.gz:{lines.number + 1}: cannot be read from here: Compressed file ended")


def test_lines_rows_have_the_line_they_start_in_or_end_in():
    lines = lines_of(b"a\nb\nc\n")
    given = iter(lines)
    next(given), next(given)
    assert lines.number == 2
    assert lines.row({"text": "b"}) == Row({"text": "b"}, "a.txt", 2)
    assert lines.row({}, start=1) == Row({}, "a.txt", 1)
    assert lines.row({}, start=0).line == 0
    assert lines.row("no label", start=1) == BadRow("a.txt", 1, "no label")


def test_lines_rows_are_bad_for_the_first_fault_since_the_last():
    lines = lines_of(b"a\xff\n\0\nc\n\0")
    given = iter(lines)
    next(given), next(given)
    assert lines.row("no label") == BadRow("a.txt", 2, "byte 1 (0xff) is not utf-8: name the encoding with my.encoding")
    next(given)
    assert lines.row({"text": "c"}) == Row({"text": "c"}, "a.txt", 3)
    next(given)
    assert lines.row({"text": ""}) == BadRow("a.txt", 4, "byte 7 is NUL")


@pytest.mark.parametrize("row", [Row({}, "a.txt", 7), BadRow("a.txt", 7, "no label")])
def test_lines_rows_have_a_place_and_do_not_change(row):
    assert row.place == "a.txt:7"
    assert not hasattr(row, "__dict__")
    with pytest.raises(FrozenInstanceError):
        row.line = 8
