from __future__ import annotations

import gzip
import json
import lzma
import subprocess
import sys
import tracemalloc

import pytest
from read_sources import TEXT, message, read, values

from seqpipe.data.sources import BadRow, read_rows, source_options
from seqpipe.errors import DataError


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name: str, content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    opener = {"gz": gzip.open, "xz": lzma.open}.get(name.rpartition(".")[2], open)
    with opener(name, "wb") as file:
        file.write(data)
    return f"files:{name}"


# Formats


def test_sources_csv_names_the_line_a_row_starts_in():
    source = write("a.csv", 'label,text\n1,"two\nlines, ""quoted"""\n\n0,plain\n')
    assert read(source) == [("a.csv:2", values('two\nlines, "quoted"', "1")), ("a.csv:5", values("plain", "0"))]


def test_sources_csv_goes_on_after_a_bad_row():
    source = write("a.csv", 'text,label\na,1,2\nb\n"c"d,1\ne,1\n"never,1\nclosed,0\n')
    assert read(source) == [
        ("a.csv:2", "3 fields, the header names 2"),
        ("a.csv:3", "1 fields, the header names 2"),
        ("a.csv:4", "not CSV: ',' expected after '\"'"),
        ("a.csv:5", values("e", "1")),
        ("a.csv:6", "a quote opens here and is never closed"),
    ]


def test_sources_csv_quote_that_swallows_much_ends_within_bounds():
    rows = read(write("a.csv", "text,label\n" + '"open,1\n' + "x,1\n" * 40_000))
    limit = "a field is longer than 131,072 characters (JSON lines have no limit), or its quote is never closed"
    assert rows[0] == ("a.csv:2", limit)
    assert rows[-1] == ("a.csv:40002", values("x", "1"))


def test_sources_tsv_takes_quotes_as_they_are():
    source = write("a.tsv", 'label\ttext_a\n1\t"Hello," she said\n0\t"half open\n')
    assert read(source, {"text": "text_a", "label": "label"}) == [
        ("a.tsv:2", values('"Hello," she said', "1")),
        ("a.tsv:3", values('"half open', "0")),
    ]


def test_sources_jsonl_takes_numbers_and_truth_values():
    lines = ['{"text": "a", "label": 1}', "", '{"label": true, "text": "b", "x": []}', '{"text": "c", "label": 0.5}']
    assert read(write("a.jsonl", "\n".join(lines))) == [
        ("a.jsonl:1", values("a", "1")),
        ("a.jsonl:3", values("b", "true")),
        ("a.jsonl:4", values("c", "0.5")),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a"', "not JSON: Expecting ',' delimiter at column 13"),
        ('["a", 1]', "a JSON list, not an object"),
        ('{"text": "a"}', "no key label"),
        ('{"text": null, "label": 1}', "text is null, not a string"),
        ('{"text": ["a"], "label": 1}', "text is a list, not a string; its first is text.0"),
        ('{"text": {"a": 1}, "label": 1}', "text is an object, not a string; inside it: text.a"),
        ('{"text": "\\ud83d", "label": 1}', "text holds half a surrogate pair, which is no character"),
        ('{"text": "a\\u0000b", "label": 1}', "text holds NUL"),
        ("[" * 100_000, None),
    ],
)
def test_sources_jsonl_bad_row(line, reason):
    rows = read(write("a.jsonl", f'{{"text": "a", "label": 1}}\n{line}\n{{"text": "b", "label": 1}}\n'))
    assert [place for place, _ in rows] == ["a.jsonl:1", "a.jsonl:2", "a.jsonl:3"]
    assert rows[1][1] == reason or (reason is None and rows[1][1].startswith("not JSON: "))


def test_sources_label_text_is_split_once():
    source = write("a.txt", "1 a  b c\n0 d\nlone\n\n2 \n")
    assert read(source) == [
        ("a.txt:1", values("a  b c", "1")),
        ("a.txt:2", values("d", "0")),
        ("a.txt:3", "no space between label and sentence"),
        ("a.txt:5", values("", "2")),
    ]
    assert read(source, TEXT, format="label_text")[0] == ("a.txt:1", {"text": "a  b c"})


def test_sources_plain_lines_keep_blank_lines():
    assert read(write("a.txt", "one\n\n two \n"), TEXT) == [
        ("a.txt:1", {"text": "one"}),
        ("a.txt:2", {"text": ""}),
        ("a.txt:3", {"text": " two "}),
    ]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "txt", "csv.gz", "jsonl.xz", "txt.gz", "tsv.xz"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_sources_line_ends_byte_order_mark_and_packing(ending, line_end, mark, last):
    texts = ["good\u0085 \u2028\x0cfilm", "schlecht 很 差"]
    kind = ending.partition(".")[0]
    lines = {
        "csv": ["text,label", *(f"{text},{i}" for i, text in enumerate(texts))],
        "tsv": ["text\tlabel", *(f"{text}\t{i}" for i, text in enumerate(texts))],
        "jsonl": [json.dumps(values(text, str(i)), ensure_ascii=False) for i, text in enumerate(texts)],
        "txt": [f"{i} {text}" for i, text in enumerate(texts)],
    }[kind]
    source = write(f"a.{ending}", mark + line_end.join(lines) + (line_end if last else ""))
    assert [row for _, row in read(source)] == [values(text, str(i)) for i, text in enumerate(texts)]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-8-sig", "shift_jis"])
def test_sources_other_encodings(encoding):
    source = write("a.csv", "label,text\r\n1,大好\r\n".encode(encoding))
    assert read(source, encoding=encoding) == [("a.csv:2", values("大好", "1"))]


@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        ("a.csv", b'text,label\n\xc3\xa9,1\n"b\xff\n",1\nc\0,0\nd,1\n', ["a.csv:3", "a.csv:5"]),
        ("a.tsv", b"text\tlabel\na\t1\nbb\xff\t1\nc\0\t0\nd\t1\n", ["a.tsv:3", "a.tsv:4"]),
        ("a.txt.gz", b"1 aaaaaaaaaaaaa\n0 \xff\n11 a\0a\n1 b\n", ["a.txt.gz:2", "a.txt.gz:3"]),
        ("a.jsonl", b'{"text":"","label":1}\n\xff\n\0\n{"text":"","label":1}', ["a.jsonl:2", "a.jsonl:3"]),
    ],
)
def test_sources_bad_bytes_are_named_by_line_and_offset(name, content, places):
    rows = read(write(name, content))
    bad = [
        f"byte {content.index(0xFF)} (0xff) is not utf-8: name the encoding with data.encoding",
        f"byte {content.index(0)} is NUL",
    ]
    assert [row for row in rows if isinstance(row[1], str)] == list(zip(places, bad, strict=True))
    assert isinstance(rows[-1][1], dict)


def test_sources_glob_reads_files_in_order():
    for name in ("b2.txt", "b1.txt.gz", "c.txt"):
        write(name, f"0 {name}\n")
    assert [place for place, _ in read("files:b*")] == ["b1.txt.gz:1", "b2.txt:1"]
    write("odd[1].txt", "0 a")
    assert read("files:odd[1].txt") == [("odd[1].txt:1", values("a", "0"))]


def test_sources_reading_is_streamed():
    write("a.txt.gz", f"1 {'a' * 500}\n" * 100_000)
    tracemalloc.start()
    try:
        rows = sum(1 for _ in read_rows("files:a.txt.gz", columns={"text": "text"}, role="train"))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == 100_000
    assert most < 8e6, "50 MB of text are never held at once"


def test_sources_import_neither_tensorflow_nor_pandas():
    code = (
        "import sys, seqpipe.tasks.text_classification.data; "
        "print({'tensorflow', 'tensorflow_datasets', 'pandas', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# Mistakes with files


def test_sources_missing_file(tmp_path):
    write("train.csv", "text,label\n")
    assert message("files:trian.csv") == f"trian.csv does not exist (looked in {tmp_path}). Did you mean train.csv?"
    assert message("files:data/train.csv") == (
        f"data/train.csv does not exist: there is no folder data (looked in {tmp_path})."
    )
    assert message("files:*.tsv") == f"no file is named like *.tsv (looked in {tmp_path})."


def test_sources_folder_of_texts_where_no_label_is_asked_for(tmp_path):
    (tmp_path / "texts" / "more").mkdir(parents=True)
    for name, text in {
        "b.txt": "two",
        "a.txt": "one\nand more",
        ".hidden.txt": "no",
        "c.csv": "no",
        "more/d.txt": "3",
    }.items():
        (tmp_path / "texts" / name).write_text(text)
    found = read("files:texts", {"text": "text"})
    assert found == [("texts/more/d.txt:1", {"text": "3"})], "where there are folders of texts, others say other things"
    (tmp_path / "texts" / "more" / "d.txt").unlink()
    assert read("files:texts", {"text": "text"}) == [
        ("texts/a.txt:1", {"text": "one\nand more"}),
        ("texts/b.txt:1", {"text": "two"}),
    ]
    assert message("files:texts") == (
        "texts is a directory of texts without classes, and labels are asked for. Allowed: a folder in it for each "
        "class, or a file that holds texts and labels."
    )


def test_sources_directory(tmp_path):
    (tmp_path / "data").mkdir()
    write("data/a.csv", "")
    assert message("files:data") == (
        "data is a directory. Name a file, or a pattern such as data/*.csv. It holds a.csv."
    )


def test_sources_unknown_ending():
    allowed = "Allowed endings: .csv, .tsv, .jsonl, .ndjson, .txt, .json, each also with .gz or .xz; or name the format"
    for name in ("a.dat", "a.gz", "a"):
        write(name, "1 b\n")
        assert message(f"files:{name}") == (
            f"{name} does not say its format. {allowed} (csv, tsv, jsonl, label_text, folders)."
        )
    assert read("files:a.dat", format="label_text") == [("a.dat:1", values("b", "1"))]


def test_sources_unknown_column():
    write("a.csv", "txt,label\n")
    assert message("files:a.csv") == 'a.csv:1: "text" is not a column. Allowed: txt, label. Did you mean txt?'
    write("a.jsonl", '\n{"txt": "a", "label": 1}\n')
    assert message("files:a.jsonl") == 'a.jsonl:2: "text" is not a column. Allowed: txt, label. Did you mean txt?'
    write("b.csv", "text;label\na;b\n")
    assert message("files:b.csv") == (
        'b.csv:1: "text" is not a column. Allowed: text;label. Did you mean text;label? '
        "Is it separated by ';'? Name that in data.separator."
    )
    write("c.csv", "text,text,label\n")
    assert message("files:c.csv") == "c.csv:1: the column text stands 2 times. Name each once."
    write("d.csv", f"{'x' * 50},1\n")
    assert message("files:d.csv") == f'd.csv:1: "text" is not a column. Allowed: {"x" * 37}..., 1.'


def test_sources_wrong_packing(tmp_path):
    packed = gzip.compress(b"text,label\n" + bytes(range(256)).replace(b"\n", b"") * 50)
    (tmp_path / "a.csv").write_bytes(packed)
    allowed = "Allowed: plain, .gz and .xz."
    assert message("files:a.csv") == f"a.csv is named as plain and holds gzip data. {allowed}"
    (tmp_path / "a.csv.gz").write_bytes(b"text,label\n")
    assert message("files:a.csv.gz") == f"a.csv.gz is named as gzip and holds no gzip data. {allowed}"
    (tmp_path / "a.csv.xz").write_bytes(packed)
    assert message("files:a.csv.xz") == f"a.csv.xz is named as xz and holds gzip data. {allowed}"
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"1 a\n" * 9)[:-9])
    assert message("files:b.txt.gz") == (
        "b.txt.gz:1: cannot be read from here: Compressed file ended before the end-of-stream marker was reached."
    )


def test_sources_empty_file():
    assert message(write("a.csv", "")) == "a.csv is empty."
    assert message(write("a.txt.gz", "")) == "a.txt.gz is empty."


def test_sources_wrong_encoding_of_wide_characters():
    write("a.csv", "text,label\nab,1\n".encode("utf-16") + b"a")
    assert (
        message("files:a.csv", encoding="utf-16")
        == "a.csv:3: not utf-16 from here: truncated data. Another is named with data.encoding."
    )


def test_sources_header_that_cannot_be_read():
    assert (
        message(write("a.csv", b"te\xffxt,label\n"))
        == "a.csv:1: byte 2 (0xff) is not utf-8: name the encoding with data.encoding."
    )
    assert message(write("b.csv", "text,la\rbel\na,1\n")) == (
        "b.csv:1: a lone carriage return outside quotes: lines end at LF or CRLF."
    )


def test_sources_json_array():
    assert read(write("a.json", '[\n{"text": "a", "label": 1},\n{"text": "b"}, 3\n]')) == [
        ("a.json:1", values("a", "1")),
        ("a.json:2", "no key label"),
        ("a.json:3", "a JSON int, not an object"),
    ]
    assert message(write("b.json", '[{"text": "a"}]')) == 'b.json, item 1: "label" is not a column. Allowed: text.'
    assert message(write("c.json", '[{"text": "a"}')).startswith("c.json: not JSON: Expecting ',' delimiter")
    assert message(write("d.json", "[]")) == "d.json is an empty array."


def test_sources_unknown_format_and_scheme():
    write("a.csv", "text,label\n")
    assert message("files:a.csv", format="cvs") == (
        'a.csv: "cvs" is not a format. Allowed: csv, tsv, jsonl, label_text, folders, lines. Did you mean csv?'
    )
    for source in ("file:a.csv", "zip:a.csv", "C:/a.csv"):
        assert message(source) == f"{source} is not a source. Allowed: files:PATH, tfds:NAME, builtin:NAME."


def test_sources_options_keep_the_signs_of_a_split():
    rest = "a/b:1.0?split=train[:90%]+test"
    assert source_options(f"tfds:{rest}", rest, ("split",)) == ("a/b:1.0", {"split": "train[:90%]+test"})
    assert source_options("tfds:a", "a", ("split",)) == ("a", {})


def test_sources_options_of_builtin_data_have_bounds():
    assert len(read("builtin:messages?rows=1&seed=0")) == 1
    assert read("builtin:messages?rows=3") == read("builtin:messages?rows=3&seed=1")
    read_rows("builtin:messages?rows=100000&seed=2147483647", columns={"text": "text"}, role="train")
    rows, seeds = "whole numbers from 1 to 100000.", "whole numbers from 0 to 2147483647."
    for option, allowed in (("rows=0", rows), ("rows=100001", rows), ("seed=2147483648", seeds), ("seed=²", seeds)):
        assert message(f"builtin:messages?{option}").endswith(f"is not allowed. Allowed: {allowed}")


def test_sources_plain_lines_hold_one_column():
    assert message(write("a.txt", "a\n"), format="lines") == (
        "a.txt: plain lines hold one column, not text, label. Are its columns apart by tabs? "
        "Then name data.format = tsv, and the columns by number if no header names them."
    )


def test_sources_bad_row_has_a_place():
    assert BadRow("a.csv", 3, "why").place == "a.csv:3"


def test_sources_columns_of_files_without_a_header_are_given_by_position(tmp_path):
    (tmp_path / "pairs.tsv").write_text("a\tb\tc\n\nd\te\n\tf\n")
    (tmp_path / "pairs.csv").write_text('"a, 1",b\nc\n')
    rows = list(read_rows(f"files:{tmp_path}/pairs.tsv", columns={"source": 1, "target": 2}, role="train"))
    assert [row.values for row in rows] == [
        {"source": "a", "target": "b"},
        {"source": "d", "target": "e"},
        {"source": "", "target": "f"},
    ]
    assert [row.line for row in rows] == [1, 3, 4]
    first, second = read_rows(f"files:{tmp_path}/pairs.csv", columns={"source": 1, "target": 2}, role="train")
    assert first.values == {"source": "a, 1", "target": "b"}
    assert (second.line, second.reason) == (2, "1 fields, column 2 is asked for")


def test_sources_with_names_take_no_positions(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"en": "a", "fr": "b"}\n')
    with pytest.raises(DataError, match=r"columns have names here, not numbers such as 1\. Allowed: en, fr\."):
        list(read_rows(f"files:{tmp_path}/rows.jsonl", columns={"source": 1, "target": 2}, role="train"))
