"""A published writer: the commands, texts in steps and whole, another text to evaluate, the same model again."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest
from composer_model import save
from finished import finished
from poems import FORM

import seqpipe
from seqpipe import cli
from seqpipe.errors import DataError, ModelError
from seqpipe.serving.writer import Wishes, scored, streamed, written


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return finished("writing", tmp_path_factory)


@pytest.fixture(scope="module")
def model(home):
    return seqpipe.load(home / "saved_models" / "tiny" / "1")


@pytest.fixture(scope="module")
def composer(tmp_path_factory):
    """A directory with saved_models/poems/1, untrained, of the signatures that composing needs."""
    home = tmp_path_factory.mktemp("composer")
    save(home / "saved_models" / "poems" / "1", "score")
    return home


def run(monkeypatch, capsys, home, *words):
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "argv", ["seqpipe", *words])
    code = 0
    try:
        cli.main()
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    return code, said.out, said.err


def test_served_text_in_parts_is_the_whole_text(model):
    wishes = Wishes(length=50, temperature=1.0)
    for stop in ([], ["e"], ["the", "\n"]):
        (whole,) = written(model, "The fox", wishes, stop=stop, seeds=[4])
        assert "".join(streamed(model, "The fox", wishes, stop=stop, seed=4)) == whole["text"]


def test_served_write_prints_text_and_seed(home, monkeypatch, capsys):
    code, out, err = run(monkeypatch, capsys, home, "write", "tiny", "The fox", "--length", "20", "--seed", "3")
    assert code in (0, None)
    assert out.startswith("The fox")
    assert len(out) == 28
    assert err.endswith("seed 3\n")


@pytest.mark.parametrize("prompt", ["", "nul \0 in it", "\udcff\udce9", "\ud83d", "a" * 100_000])
def test_served_hostile_prompts_are_answered_whole_and_in_parts(model, prompt):
    (answer,) = written(model, prompt, Wishes(length=5), seeds=[-1])
    assert answer["text"] == "".join(streamed(model, prompt, Wishes(length=5), seed=-1))
    assert answer["unknown"] == "".join(c if c == "\0" else "\ufffd" for c in prompt if not c.isascii() or c == "\0")


def test_served_write_reads_standard_input_that_is_no_utf8(home, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"The \xff\0"), "utf-8"))
    code, out, err = run(monkeypatch, capsys, home, "write", "tiny", "-", "--length", "3", "--seed", "1")
    assert code in (0, None)
    assert out.startswith("The \ufffd\0")
    assert "warning: 2 characters of the prompt are unknown to this model" in err


def test_served_write_refuses_a_length_whole_and_in_parts(model):
    for refused in (
        lambda: written(model, "The", Wishes(length=100_001), seeds=[1]),
        lambda: next(streamed(model, "The", Wishes(length=100_001), seed=1)),
    ):
        with pytest.raises(DataError, match=r"length must be 1 to 100,000 characters, not 100,?001"):
            refused()


def test_served_write_refuses_a_seed_beyond_64_bits(model):
    with pytest.raises(DataError, match=r"^seeds are whole numbers of 64 bits, not 9223372036854775808\.$"):
        written(model, "", Wishes(), seeds=[2**63])
    with pytest.raises(DataError, match="seeds are whole numbers"):
        next(streamed(model, "", Wishes(), seed=2**63))


def test_served_write_refuses_numbers_that_32_bits_do_not_hold_and_takes_any_top_k(model):
    with pytest.raises(DataError, match=r"^write takes length int32, .* not .*4294967301"):
        written(model, "The", Wishes(length=2**32 + 5), seeds=[1])
    whole, all_of_it = (written(model, "The", Wishes(length=20, top_k=k), seeds=[1]) for k in (0, 2**32 + 1))
    assert whole == all_of_it


def test_served_score_of_hostile_files(home, model, monkeypatch, capsys):
    read, bits, _ = scored(model, b"a\0\xff\xe2\x82 b".decode("utf-8", "replace") + "\n" * 9_000)
    assert read.startswith("a\0\ufffd\ufffd b\n")
    assert len(bits) == len(read) == 9_006
    (home / "empty.txt").write_bytes(b"")
    code, _, err = run(monkeypatch, capsys, home, "score", "tiny", "empty.txt")
    assert code == 2
    assert "there is no text to score: the file is empty." in err


def test_served_score_names_what_is_unknown(home, monkeypatch, capsys):
    (home / "strange.txt").write_text("The fox ☃ went\u200b by ☃.\n", encoding="utf-8")
    code, out, err = run(monkeypatch, capsys, home, "score", "tiny", "strange.txt")
    assert code in (0, None)
    assert "warning: characters that are unknown to this model: ☃ U+200B\n" in err
    assert out.splitlines()[-1].endswith(f"; {len('The fox ☃ went. by ☃.') + 1} characters")


def test_served_score_reads_each_line_as_a_text_where_texts_end(composer, monkeypatch, capsys):
    poem, other = "abc,", "tuv."
    (composer / "poems.txt").write_text(f"{poem}\n\n{other}\n", encoding="utf-8")
    code, out, err = run(monkeypatch, capsys, composer, "score", "poems", "poems.txt")
    assert (code in (0, None), err) == (True, "")
    rows = seqpipe.load("poems").score([poem, other])
    assert [row["end_nats"] > 0 for row in rows] == [True, True]
    bits = [(row["nats"] + row["end_nats"]) / np.log(2) for row in rows]
    assert [line.split()[0] for line in out.splitlines()[:2]] == [f"{of_text / 5:.2f}" for of_text in bits]
    assert out.splitlines()[2] == f"{sum(bits) / 10:.3f} bits a character, {sum(bits) / 10:.3f} a byte; 10 characters"


def test_served_score_is_a_row_for_each_text(model):
    likely, unlikely = model.score(["The fox went", "xoF ehT qqqq"])
    assert likely["nats"] < unlikely["nats"]
    assert len(likely["surprisal"]) == len(likely["pieces"]) == likely["characters"] == 12


def test_served_evaluation_is_that_of_the_text(home, model, monkeypatch, capsys):
    text = "The fox went by the sea,\nand nobody was free.\n" * 20 + "é"
    (home / "other.txt").write_text(text, encoding="utf-8")
    code, out, _ = run(monkeypatch, capsys, home, "evaluate", "tiny", "--data", "files:other.txt", "--output", "there")
    assert code in (0, None)
    assert f"{len(text)} characters, 1 of them unknown; perplexity" in out
    (scored,) = model.score([text])
    assert f"| {scored['nats'] / len(text):.4f} (95 % interval" in out
    assert len(np.load(home / "there" / "rows.npz")["nats"]) == 5, "blocks of 200 characters"


def test_served_compose_takes_acrostics_and_seeds(composer, monkeypatch):
    monkeypatch.chdir(composer)
    model = seqpipe.load("poems")
    texts = model.compose(["stuv", ""], seed=[1, 2], no_repeats=True, line_length=3)
    assert [len(FORM.split(text)[0]) for text in texts] == [3, 3]
    assert [line[0] for line in FORM.split(texts[0])] == list("stuv")
    assert model.compose("stuv", seed=1, no_repeats=True, line_length=3) == texts[:1]
    assert len({*model.compose(seed=range(4))}) == 4
    with pytest.raises(DataError, match=r"2 acrostics and 3 seeds\. Allowed: as many"):
        model.compose(["", ""], seed=[1, 2, 3])
    with pytest.raises(DataError, match=r"^acrostic must be of characters that the model knows, not 春江$"):
        model.compose("st春江")
    with pytest.raises(DataError, match="compose takes numbers, and true or false"):
        model.compose(line_length="long")
    with pytest.raises(DataError, match=r"compose takes numbers[^\n]*\[1\.0, 2\.0\] has the shape \[2\]"):
        model.compose(temperature=[1.0, 2.0])
    with pytest.raises(DataError, match="an acrostic is a text, not 5"):
        model.compose(["stuv", 5])


def test_served_write_composes(composer, monkeypatch, capsys):
    words = ["--acrostic", "stuv", "--form", "3", "--no-repeats", "--samples", "2", "--seed", "5", "--format", "jsonl"]
    code, out, err = run(monkeypatch, capsys, composer, "write", "poems", *words)
    assert code in (0, None)
    found = [json.loads(line) for line in out.splitlines()]
    assert [[line[0] for line in FORM.split(row["text"])] for row in found] == [list("stuv")] * 2
    assert [row["seed"] for row in found] == [5, 6]
    assert err.endswith("seeds 5 to 6\n")


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--no-rhyme"], "--no-rhyme needs --form or --acrostic"),
        (["--no-repeats", "--rhyme"], "--rhyme, --no-repeats needs --form or --acrostic"),
        (["once", "--form", "3", "--top-k", "4"], "--form and --acrostic exclude a prompt, --top-k: the form decides."),
        (["--form", "3", "--stream", "--stop", "x"], "exclude --stop, --stream: the form decides."),
        (["--form", "6"], "poems composes 4 lines of 3 or 4 characters each, not of 6."),
        (["--acrostic", "stu"], "acrostic must have no character, or 4: one for each line, not 3"),
    ],
)
def test_served_write_names_wishes_that_cannot_be(composer, monkeypatch, capsys, words, rule):
    code, _, err = run(monkeypatch, capsys, composer, "write", "poems", *words)
    assert code == 2
    assert rule in err


def test_served_model_without_a_form_composes_nothing(model):
    with pytest.raises(ModelError, match="composes nothing: its pipeline has no form"):
        model.compose()
