"""`predict --beam` answers as `predict` does, from many files and into many."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from finished import finished

from seqpipe import cli
from seqpipe.errors import DataError
from seqpipe.runs.bulk import _in_one_file
from seqpipe.serving.inputs import TEXT
from seqpipe.serving.series import SeriesInput

TEXTS = [["a fine film", "bad", "", "naïve 🎉"], ["what a day", "the worst"]]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    place = finished("text_classification", tmp_path_factory)
    for number, texts in enumerate(TEXTS):
        lines = [json.dumps({"text": text, "id": place}) for place, text in enumerate(texts)]
        (place / f"rows-{number}.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return place


@pytest.fixture
def seqpipe(home, monkeypatch, capsys):
    monkeypatch.chdir(home)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["seqpipe", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, " ".join(capsys.readouterr().err.split())

    yield run
    logging.disable(logging.NOTSET)


def lines_of(*files):
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("output", ["answers.jsonl", "answers-*.jsonl"])
def test_beam_answers_as_without_it(home, seqpipe, output):
    words = ("--keep", "id", "--output")
    assert seqpipe("predict", "tiny", "--input", "rows-*.jsonl", *words, output, "--beam") == (0, "")
    found = {(line.pop("source"), line.pop("row")): line for line in lines_of(*home.glob(output))}
    for number, texts in enumerate(TEXTS):
        name = f"rows-{number}.jsonl"
        assert seqpipe("predict", "tiny", "--input", name, *words, "alone.jsonl")[0] == 0
        for row, wanted in enumerate(lines_of(home / "alone.jsonl"), start=1):
            answer = found.pop((name, row))
            assert (answer["text"], answer["id"]) == (texts[row - 1], str(row - 1))
            assert answer.keys() == wanted.keys()
            assert answer["label"] == wanted["label"]
            assert answer["probability"] == pytest.approx(wanted["probability"], abs=1e-5)
    assert not found


def test_beam_stops_at_a_bad_row_or_goes_on(home, seqpipe):
    (home / "bad.jsonl").write_text('{"text": "good"}\n{"tex": 1}\n')
    code, said = seqpipe("predict", "tiny", "--input", "bad.jsonl", "--output", "some.jsonl", "--beam")
    assert code == 2
    assert said == "error: bad.jsonl:2: no key text. --keep-going answers the other rows."
    assert not (home / "some.jsonl").exists()
    assert (
        seqpipe("predict", "tiny", "--input", "bad.jsonl", "--output", "some.jsonl", "--beam", "--keep-going")[0] == 0
    )
    good, bad = sorted(lines_of(home / "some.jsonl"), key=lambda line: line["row"])
    assert good["text"] == "good"
    assert (bad["text"], bad["error"]) == ("bad.jsonl:2", "bad.jsonl:2: no key text")
    assert not list(home.glob("beam-temp-*"))


def test_beam_writes_where_a_link_leads_and_beside_no_parts_of_an_earlier_run(home, seqpipe):
    words = ("predict", "tiny", "--beam", "--input", "rows-0.jsonl", "--output")
    (home / "link.jsonl").symlink_to(home / "there.jsonl")
    assert seqpipe(*words, "link.jsonl") == (0, "")
    assert (home / "link.jsonl").is_symlink()
    assert len(lines_of(home / "there.jsonl")) == 4
    (home / "again.jsonl").symlink_to(home / "rows-0.jsonl")
    for alias in ("rows-0.jsonl", "./rows-0.jsonl", "again.jsonl"):
        code, said = seqpipe(*words, alias)
        assert (code, said.partition(".jsonl is ")[2]) == (
            2,
            "the file that is read. Name another, so that its rows stay.",
        )
    assert len(lines_of(home / "rows-0.jsonl")) == 4, "as it was"
    (home / "part-00001-of-00004.jsonl").write_text("{}\n")
    code, said = seqpipe(*words, "part-*.jsonl")
    assert code == 2
    assert "files of an earlier run, 1 such as" in said


def test_beam_refuses_a_series_in_two_files(tmp_path):
    file = tmp_path / "history.csv"
    file.write_text("series,time,value\nshop,1,1\nshop,2,2\n")
    (row,) = SeriesInput(["values", "series"]).from_file(str(file))
    assert SeriesInput(["values", "series"]).part_of(row) == "series shop"
    assert TEXT.part_of("a text") is None
    _in_one_file("series shop", ["a.csv", "a.csv"])
    with pytest.raises(DataError, match=r"series shop stands in a\.csv and b\.csv, and --beam reads each file alone"):
        _in_one_file("series shop", ["b.csv", "a.csv"])


def test_beam_knows_flags_by_the_names_that_are_written():
    from seqpipe.runs.bulk import _options

    flags = ["--worker_machine_type=n1", "--experiment=a", "--no_auth", "--temp_location=gs://mine/tmp"]
    assert _options(flags).get_all_options()["machine_type"] == "n1"


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--input", "rows-0.jsonl"], "--beam writes JSON lines alone"),
        (["--input", "rows-0.jsonl", "--output", "a.csv"], "--beam writes JSON lines alone"),
        (["--output", "a.jsonl"], "--beam answers files"),
        (["--input", "none-*.jsonl", "--output", "a.jsonl"], "no file is named like none-*.jsonl"),
        (["--input", "rows-9.jsonl", "--output", "a.jsonl"], "rows-9.jsonl does not exist"),
        (["--input", "rows-0.jsonl", "--output", "a.jsonl", "a word"], "behind -- stand Beam's own flags"),
        (
            ["--input", "rows-0.jsonl", "--output", "a.jsonl", "--", "--runer=FlinkRunner"],
            "--runer is no flag of Beam. Did you mean runner?",
        ),
        (
            ["--input", "rows-0.jsonl", "--output", "folder", "--format", "jsonl"],
            "--output folder is a directory. Name",
        ),
        (["--input", "rows-0.jsonl", "--output", "a[1].jsonl"], "--output a[1].jsonl: [ is of a pattern"),
        (["--input", "rows-0.jsonl", "--output", "*-*.jsonl"], "--output *-*.jsonl: * is of a pattern"),
        (["--input", "rows-0.jsonl", "--output", "rows-0.jsonl/a.jsonl"], "error: Beam: "),
        (["--input", "rows-0.jsonl", "--output", "a.jsonl", "--horizon", "3"], "has no signature longer"),
        (["--input", "s3x://mine/a.csv", "--output", "a.jsonl"], "--input s3x://mine/a.csv: "),
        (["--input", "rows-0.jsonl", "--output", "s3x://mine/*.jsonl"], "--output s3x://mine/"),
    ],
)
def test_beam_refuses(home, seqpipe, words, rule):
    (home / "folder").mkdir(exist_ok=True)
    code, said = seqpipe("predict", "tiny", "--beam", *words)
    assert code == 2
    assert rule in said
    assert (home / "folder").is_dir()
