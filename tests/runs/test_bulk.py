"""`predict --beam` answers as `predict` does, from many files and into many."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from finished import finished

from seqpipe import cli

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
    assert bad["error"].startswith("bad.jsonl:2: ")


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
    ],
)
def test_beam_refuses(seqpipe, words, rule):
    code, said = seqpipe("predict", "tiny", "--beam", *words)
    assert code == 2
    assert rule in said
