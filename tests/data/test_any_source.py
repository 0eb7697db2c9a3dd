"""Whatever stands in a file or a folder: rows, findings, or a message, and never a traceback.

Short and the same each time by default. SEQPIPE_FUZZ_EXAMPLES=20000 looks longer, and elsewhere each time.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqpipe.config.file import cut_at_comments, to_yaml
from seqpipe.errors import SeqpipeError
from seqpipe.serving.reading import read_objects, read_texts
from seqpipe.tasks import load_pipeline
from seqpipe.tasks.forecasting.config import SeriesData
from seqpipe.tasks.forecasting.data import read_panel
from seqpipe.tasks.speech_commands.config import CommandsData
from seqpipe.tasks.speech_commands.data import read_commands
from seqpipe.tasks.text_classification.config import ClassificationData
from seqpipe.tasks.text_classification.data import read_splits, read_unlabelled
from seqpipe.tasks.translation.config import TranslationData
from seqpipe.tasks.translation.data import read_pair_splits
from seqpipe.tasks.writing.config import WritingData
from seqpipe.tasks.writing.data import read_splits as read_writing

WANTED = int(os.environ.get("SEQPIPE_FUZZ_EXAMPLES", "0"))


def fuzz(few):
    """So many examples, the same ones each time, unless more are wanted."""
    return settings(
        max_examples=WANTED or few,
        derandomize=not WANTED,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


# What files are made of

WORDS = [
    *"ab 1",
    "text",
    "label",
    "good",
    "bad",
    "é",
    "e\u0301",
    "\u2028",
    "\0",
    "\ufeff",
    "[]",
    "null",
    "nan",
    "-1e999",
    "0x",
]
SIGNS = [",", ";", "|", "\t", "\n", "\r\n", "\r", '"', "'", "{", "}", "[", "]", ":", "\\", "#", "__label__"]
JSON = [
    '{"text": "a", "label": ["b"]}',
    '"text"',
    '"label": []',
    '["a", 1, null]',
    '{"text": {"a": 1}}',
    "\\ud800",
    "1e400",
]
RAW = [b"\xff", b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b\x08", b"PK\x03\x04", b"\xef\xbb\xbf", b"\x80"]
ANYTHING = st.lists(
    st.sampled_from([*(word.encode() for word in (*WORDS, *SIGNS, *JSON)), *RAW]) | st.binary(max_size=3), max_size=40
).map(b"".join)


def lines_of(header, cell, separator):
    """A table that is nearly right, so that what lies behind the parser is reached."""
    row = st.lists(st.sampled_from(cell), min_size=len(header), max_size=len(header)).map(separator.join)
    whole = st.lists(row, max_size=30).map(lambda rows: "\n".join([separator.join(header), *rows]).encode())
    spoilt = st.tuples(whole, st.integers(0, 200), ANYTHING).map(
        lambda part: part[0][: part[1]] + part[2] + part[0][part[1] :]
    )
    return whole | spoilt


CELLS = ["a", "b", "a|b", '"a,b"', "", "[]", '"[""a"", ""b""]"', "one text", "another  text", "<br>", "é", "1", "NaN"]
TABLES = lines_of(["text", "label"], CELLS, ",") | lines_of(["text", "label"], CELLS, "\t") | ANYTHING
ENDINGS = st.sampled_from(["csv", "tsv", "jsonl", "json", "txt", "txt.gz", "csv.xz", "CSV", "", "dat"])
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "gb18030", "latin-1", "shift_jis", "utf-32"])


def written(directory, name, content):
    path = Path(directory) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") and len(content) % 2 else content)
    return path


def fresh(tmp_path):
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
    return tmp_path / "data"


def findings_are_whole(findings):
    for finding in findings:
        finding.text.encode()  # printable anywhere: no half characters


# Tasks of text


@fuzz(60)
@given(
    content=TABLES,
    ending=ENDINGS,
    encoding=ENCODINGS,
    by_number=st.booleans(),
    options=st.fixed_dictionaries(
        {
            "separator": st.sampled_from([None, ";", "\t"]),
            "label_separator": st.sampled_from([None, "|", ",", " ", "a"]),
            "format": st.sampled_from(["auto", "csv", "tsv", "jsonl", "label_text", "folders"]),
            "labels": st.sampled_from([None, {"a": "x", "b": "y"}]),
            "max_rows": st.sampled_from([None, 3]),
        }
    ),
)
def test_any_source_of_labelled_text(tmp_path, content, ending, encoding, by_number, options):
    source = f"files:{written(fresh(tmp_path), f'a.{ending}', content)}"
    columns = {"text_column": 1, "label_column": 2} if by_number else {}
    with contextlib.suppress(SeqpipeError):
        data = ClassificationData(
            train=source, encoding=encoding, max_bad_fraction=1.0, dev_every=2, **columns, **options
        )
        splits = read_splits(data)
        findings_are_whole(splits.findings)
        assert len(splits.train)
        assert len(splits.train.labels) == len(splits.train.texts)
        with contextlib.suppress(SeqpipeError):
            read_unlabelled(source, data, splits, skip_held_back=True)


NAMES = st.sampled_from(["a", "b", "B", ".hidden", "c d", "é", "#1", "x.txt", "noise"])
FILES = st.sampled_from(["1.txt", "2.TXT", "3", "4.csv", ".5.txt", "6.txt.gz", "7.wav", "deep/8.txt"])


@fuzz(40)
@given(
    tree=st.dictionaries(st.tuples(NAMES, FILES), ANYTHING, max_size=8),
    beside=st.dictionaries(FILES, ANYTHING, max_size=2),
    links=st.booleans(),
    glob=st.sampled_from(["", "/*", "/*/*", "/*/*.txt", "/[", "/**"]),
    several=st.sampled_from([None, "|"]),
)
def test_any_source_of_folders(tmp_path, tree, beside, links, glob, several):
    root = fresh(tmp_path)
    root.mkdir()
    with contextlib.suppress(OSError):  # a name that is a file already
        for (folder, name), content in tree.items():
            written(root, f"{folder}/{name}", content)
        for name, content in beside.items():
            written(root, name, content)
        if links:
            (root / "link.txt").symlink_to(root / "nowhere")
            (root / "round").symlink_to(root)
    source = f"files:{root}{glob}"
    with contextlib.suppress(SeqpipeError):
        read_splits(ClassificationData(train=source, label_separator=several, max_bad_fraction=1.0))
    with contextlib.suppress(SeqpipeError):
        read_commands(CommandsData(train=source, max_bad_fraction=1.0))
    with contextlib.suppress(SeqpipeError):
        read_writing(WritingData(train=source), "none")
    with contextlib.suppress(SeqpipeError):
        list(read_texts(source.removeprefix("files:"), column=None))


@fuzz(60)
@given(
    content=lines_of(["source", "target"], CELLS, ",") | lines_of(["source", "target"], CELLS, "\t") | ANYTHING,
    other=ANYTHING,
    ending=ENDINGS,
    encoding=ENCODINGS,
    parallel=st.booleans(),
    by_number=st.booleans(),
)
def test_any_source_of_pairs(tmp_path, content, other, ending, encoding, parallel, by_number):
    root = fresh(tmp_path)
    source = f"files:{written(root, f'a.{ending}', content)}"
    if parallel:
        source = f"{source},{written(root, f'b.{ending}', other)}"
    columns = {"source_column": 1, "target_column": 2} if by_number else {}
    with contextlib.suppress(SeqpipeError):
        data = TranslationData(train=source, encoding=encoding, max_bad_fraction=1.0, dev_every=2, **columns)
        findings_are_whole(read_pair_splits(data).findings)


@fuzz(40)
@given(
    content=ANYTHING | ANYTHING.map(lambda text: 50 * text),
    ending=ENDINGS,
    encoding=ENCODINGS,
    layout=st.sampled_from(["stream", "lines"]),
    form=st.sampled_from(["none", "NFC", "NFKC"]),
)
def test_any_source_of_writing(tmp_path, content, ending, encoding, layout, form):
    source = f"files:{written(fresh(tmp_path), f'a.{ending}', content)}"
    with contextlib.suppress(SeqpipeError):
        findings_are_whole(read_writing(WritingData(train=source, encoding=encoding, layout=layout), form).findings)


@fuzz(60)
@given(content=TABLES, ending=ENDINGS, encoding=ENCODINGS, column=st.sampled_from([None, "text", "a.b", ""]))
def test_any_source_to_be_answered(tmp_path, content, ending, encoding, column):
    path = written(fresh(tmp_path), f"a.{ending}", content)
    with contextlib.suppress(SeqpipeError):
        for row in read_texts(str(path), column=column, encoding=encoding):
            if isinstance(row, str):
                row.encode()
    with contextlib.suppress(SeqpipeError):
        list(read_objects(str(path), encoding=encoding))


# Pipeline files

KEYS = [
    "task",
    "name",
    "data",
    "train",
    "dev",
    "features",
    "model",
    "training",
    "labels",
    "seed",
    "text_column",
    "words",
]
VALUES_OF_KEYS = [
    *("text_classification", "speech_commands", "translation", "forecasting", "writing", "{}", "[]", "null", "~", "-1"),
    *(
        "files:a #1.csv",
        "files:a.csv",
        "[files:a.csv, files:b.csv]",
        "1e999",
        ".nan",
        "2024-01-01",
        "no",
        "&a [*a]",
        "*a",
    ),
    *(
        "!!python/object:os.system x",
        "!!binary x",
        "{a: 1, a: 2}",
        "? a",
        '"\\ud800"',
        "|\n    a",
        "0o17",
        "1_000",
        "{1: a}",
    ),
]
YAML = st.lists(
    st.tuples(st.sampled_from(["", "  ", "    ", "- ", "\t"]), st.sampled_from(KEYS), st.sampled_from(VALUES_OF_KEYS)),
    max_size=10,
).map(lambda lines: "\n".join(f"{blank}{key}: {value}" for blank, key, value in lines).encode())


@fuzz(60)
@given(content=YAML | YAML.map(lambda text: b"task: text_classification\nname: a\ndata:\n" + text) | ANYTHING)
def test_any_source_of_a_pipeline_file(tmp_path, content):
    file = written(fresh(tmp_path), "a.yaml", content)
    with contextlib.suppress(SeqpipeError):
        to_yaml(load_pipeline(file).config).encode()
        cut_at_comments(file)


# Series

TIMES = ["2024-01-01", "2024-01-02", "2024-01-01 12:00", "2024-03-31T02:30", "01.02.2024", "0", "99999999999", "", "x"]
VALUES = ["1", "2.5", "-3", "", "nan", "inf", "1e308", "1e999", "1,5", "x", "0"]
SERIES = st.one_of(
    *(
        st.lists(
            st.tuples(st.sampled_from(["a", "b", "", "é"]), st.sampled_from(TIMES), *[st.sampled_from(VALUES)] * 2),
            max_size=12,
        ).map(lambda rows, head=head: "\n".join([head, *(",".join(row) for row in rows)]).encode())
        for head in (
            "series,time,value,extra",
            "series,time,value,value",
            "time,series,value,extra",
            '"series",time,value,\0',
        )
    ),
    st.integers(20, 120).map(
        lambda rows: "\n".join(
            [
                "series,time,value,extra",
                *(f"a,2024-{1 + i // 28 % 12:02}-{1 + i % 28:02},{i % 7},{i}" for i in range(rows)),
            ]
        ).encode()
    ),
    ANYTHING,
)


@fuzz(60)
@given(
    content=SERIES,
    ending=st.sampled_from(["csv", "tsv", "jsonl", "parquet", "txt"]),
    options=st.fixed_dictionaries(
        {
            "step": st.sampled_from(["auto", "rows", "1D", "1h", "1MS", "30min"]),
            "time_zone": st.sampled_from([None, "Europe/Paris"]),
            "decimal": st.sampled_from([".", ","]),
            "known": st.sampled_from([[], ["extra"]]),
            "encoding": ENCODINGS,
            "separator": st.sampled_from([None, ";"]),
        }
    ),
    cell=st.sampled_from(VALUES),
)
def test_any_source_of_series(tmp_path, content, ending, options, cell):
    content = content.replace(b",3,", f",{cell},".encode(), 1)
    source = f"files:{written(fresh(tmp_path), f'a.{ending}', content)}"
    with contextlib.suppress(SeqpipeError):
        _, findings = read_panel(SeriesData(train=source, max_bad_fraction=1.0, **options), 3)
        findings_are_whole(findings)


# Recordings


def wav(code, bits, channels, rate_hz, body, riff, data):
    block = channels * bits // 8 % 2**16
    head = struct.pack(
        "<4sI4s4sIHHIIHH",
        b"RIFF",
        riff,
        b"WAVE",
        b"fmt ",
        16,
        code,
        channels,
        rate_hz,
        rate_hz * block % 2**32,
        block,
        bits,
    )
    return head + struct.pack("<4sI", b"data", data) + body


SIZES = st.sampled_from([0, 1, 36, 100, 0x7FFFFFFF, 0xFFFFFFFF])
SOUNDS = st.builds(
    wav,
    st.sampled_from([1, 3, 0, 2, 0xFFFE]),
    st.sampled_from([8, 16, 24, 32, 64, 0, 12]),
    st.sampled_from([1, 2, 0, 3, 65535]),
    st.sampled_from([16_000, 44_100, 0, 1, 192_000, 4_000, 2**31]),
    st.binary(max_size=60) | st.integers(0, 400).map(lambda n: (np.sin(np.arange(n)) * 9000).astype("<i2").tobytes()),
    SIZES,
    SIZES,
)
SPOILT = st.tuples(SOUNDS, st.integers(0, 60), st.binary(max_size=4)).map(
    lambda part: part[0][: part[1]] + part[2] + part[0][part[1] + len(part[2]) :]
)


@fuzz(40)
@given(
    sounds=st.lists(SOUNDS | SPOILT | ANYTHING, min_size=1, max_size=5),
    ending=st.sampled_from(["wav", "WAV", "flac", "ogg", "mp3", "m4a"]),
    packed=st.booleans(),
    link=st.sampled_from([None, "0.wav", "l.wav", "../b/1.wav", "/etc/passwd", ".."]),
)
def test_any_source_of_recordings(tmp_path, sounds, ending, packed, link):
    root = fresh(tmp_path)
    if link:
        (root / "a").mkdir(parents=True)
        (root / "a" / "l.wav").symlink_to(link)
    for number, sound in enumerate(sounds):
        written(root, f"{'ab'[number % 2]}/{number}.{ending}", sound)
    source = f"files:{root}"
    if packed:
        source = f"files:{shutil.make_archive(str(tmp_path / 'packed'), 'tar', root)}"
    with contextlib.suppress(SeqpipeError):
        findings_are_whole(read_commands(CommandsData(train=source, max_bad_fraction=1.0, dev_every=2)).findings)


@fuzz(60)
@given(sound=SOUNDS | SPOILT | ANYTHING)
def test_any_source_of_a_wav_signature(in_the_graph, sound):
    samples, error = (found.numpy() for found in in_the_graph(sound))
    assert (error == b"") == bool(len(samples))
    assert np.isfinite(samples).all()


@pytest.fixture(scope="module")
def in_the_graph():
    import tensorflow as tf

    from seqpipe.sound.wav import decode_wav

    return tf.function(decode_wav, input_signature=[tf.TensorSpec([], tf.string)])
