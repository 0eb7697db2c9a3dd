"""What a writer learns from: files of plain text, tables and generated rows."""

from __future__ import annotations

import json

import pytest

from seqpipe.errors import DataError
from seqpipe.tasks.writing.config import WritingData
from seqpipe.tasks.writing.data import _read, read_splits, read_texts

TEXTS = [f"Poem number {number}, which is long enough to be one.\nIt has a second line." for number in range(4)]


def read(source, **options):
    return read_texts(WritingData(train="builtin:verses", **options), str(source), "none")[0]


def texts_of(name):
    return [text.replace("\n", " ") for text in TEXTS] if name.endswith("tsv") else TEXTS


def written(folder, name):
    path = folder / name
    if ".json" in name.lower():
        path.write_text("".join(json.dumps({"id": 7, "poem": {"body": text}}) + "\n" for text in TEXTS))
    else:
        sign = "\t" if name.endswith("tsv") else ","
        mark = '"' if sign == "," else ""  # which a .tsv does not know, nor line breaks in a field
        rows = [f"{number}{sign}{mark}{text}{mark}\n" for number, text in enumerate(texts_of(name))]
        path.write_text("".join([f"id{sign}poem.body\n", *rows]))
    return f"files:{path}"


@pytest.mark.parametrize("name", ["a.jsonl", "b.JSON", "c.csv", "d.tsv"])
def test_writing_reads_the_texts_of_a_table_and_none_of_its_marks(tmp_path, name):
    source = written(tmp_path, name)
    assert read(source, layout="lines", text_column="poem.body") == texts_of(name)
    assert read(source, text_column="poem.body") == ["\n\n".join(texts_of(name))]
    with pytest.raises(DataError, match='"text" is not a column'):
        read(source)


def test_writing_files_of_a_stream_do_not_run_into_each_other(tmp_path):
    ends = ["", "\n", "", "\n\n", ""]
    for number, end in enumerate(ends):
        (tmp_path / f"{number}.txt").write_text(f"The text of file {number}, long enough.{end}")
    stream = "".join(f"The text of file {number}, long enough.{end or chr(10)}" for number, end in enumerate(ends))
    assert read(f"files:{tmp_path}") == [stream.removesuffix("\n")]
    lines = read(f"files:{tmp_path}/*.txt", layout="lines")
    assert lines == [f"The text of file {number}, long enough." for number in range(5)]


def test_writing_a_split_that_is_all_copies_is_an_error(tmp_path):
    for name in "ab":
        lines = [f"The poem {name}{number}, of which there are many." for number in range(30)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))

    def split(train, dev, test):
        sources = {
            role: f"files:{tmp_path}/{name}.txt" for role, name in (("train", train), ("dev", dev), ("test", test))
        }
        return read_splits(WritingData(layout="lines", **sources), "none")

    with pytest.raises(DataError, match=r"dev: 0 of 30 texts are left, for the others stand in test too"):
        split("a", "b", "b")
    for sources in (("a", "a", "b"), ("a", "b", "a")):
        with pytest.raises(DataError, match=r"train: 0 of 30 texts are left, for the others stand in dev or test too"):
            split(*sources)


def test_writing_rows_and_files_of_one_stream_are_apart(tmp_path):
    (tmp_path / "a.txt").write_text("A line of a file that stands alone.\n")
    table = written(tmp_path, "a.csv")
    data = WritingData(train=[f"files:{tmp_path}/a.txt", table, f"files:{tmp_path}/a.txt"], text_column="poem.body")
    line = "A line of a file that stands alone.\n"
    assert _read(data, data.train, "train", "none") == [f"{line}\n\n" + "\n\n".join(TEXTS) + f"\n{line}"]
