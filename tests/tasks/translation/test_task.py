from __future__ import annotations

import copy
import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import sacrebleu
import tensorflow as tf
import yaml
from finished import finished

import seqpipe
from pipelines import PHRASES
from seqpipe.errors import ConfigError, DataError, ModelError, RunError
from seqpipe.evaluation.measures import headline
from seqpipe.export.artefact import Artefact
from seqpipe.models.searches import Searches
from seqpipe.runs.predict import beam_options
from seqpipe.runs.run import open_run
from seqpipe.serving.answers import TextPresentation
from seqpipe.serving.rows import answers_to, predict_rows
from seqpipe.tasks import load_pipeline, make_task, schemas
from seqpipe.tasks.translation.config import TranslationEvaluation
from seqpipe.tasks.translation.data import Pairs
from seqpipe.tasks.translation.report import _by_length, baselines, evaluate_translation, write_report
from seqpipe.tasks.translation.signatures import merged
from seqpipe.text.byte_pieces import WholePieces
from seqpipe.text.vocabulary import EOS

HOSTILE = [
    "",
    "  \t ",
    "x" * 10_000,
    "👩‍👩‍👧 👍🏽",
    "مرحبا",
    "这部电影",
    b"\xff\xfe \xc3( \xed\xa0\x80",
    b"nul \x00 in",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run of the tiny pipeline, with its task prepared, and its report."""
    directory = finished("translation", tmp_path_factory)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        with open_run(load_pipeline("tiny.yaml").config, say=lambda line: None) as run:
            run.prepare()
            yield directory, run, run.evaluate()


@pytest.fixture(scope="module")
def model(trained):
    return seqpipe.load(trained[0] / "saved_models" / "tiny" / "1")


def test_translation_reports_systems_side_by_side(trained):
    directory, run, report = trained
    part = report["splits"]["test"]
    assert set(part["systems"]) == {"greedy", "beam", "copy", "nearest"}
    for figures in part["systems"].values():
        assert figures["bleu"]["low"] <= figures["bleu"]["value"] <= figures["bleu"]["high"]
    assert part["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a")
    assert sum(row["rows"] for row in part["by_length"]) == part["rows"] == 48
    folder = directory / run.directory / "report" / "test"
    assert {path.name for path in folder.iterdir()} >= {"report.md", "translations.html", "alignment_1.png"}
    assert headline(report, run.task.measures[0]).startswith(
        f"test BLEU {part['systems']['beam']['bleu']['value']:.2f} by beam search"
    )
    page = (folder / "translations.html").read_text()
    assert page.count("<tr>") == 48


def test_translation_chooses_the_epoch_by_bleu(trained):
    directory, run, *_ = trained
    lines = [json.loads(line) for line in (directory / run.directory / "history.jsonl").read_text().splitlines()]
    figures = [line["dev_bleu"] for line in lines if "dev_bleu" in line]
    assert lines[-1]["best_epoch"] == int(np.argmax(figures))


def test_translation_greedy_beam_and_explain_agree(model):
    texts = ["The dog sleeps.", "A small bird sings in the garden today."]
    plain, explained = model(texts), model(texts, signature="explain")
    one = model(texts, signature="beam", options={"beam_width": 1, "length_penalty": 1.0})
    five = model(texts, signature="beam", options={"beam_width": 5, "length_penalty": 1.0})
    for text, a, b, c, d in zip(texts, plain, explained, one, five, strict=True):
        assert a["text"] == b["text"] == c["texts"][0]
        assert a["score"] == pytest.approx(b["score"], abs=1e-5)
        assert len(d["texts"]) == 5
        assert d["scores"] == sorted(d["scores"], reverse=True)
        assert "".join(b["source_pieces"]).strip() == text
        assert "".join(b["target_pieces"]).strip() == a["text"]
        alignment = np.array(b["alignment"])
        assert alignment.shape == (len(b["target_pieces"]), len(b["source_pieces"]))
        np.testing.assert_allclose(alignment.sum(axis=1), 1.0, atol=1e-5)


def test_translation_explains_by_whole_characters(model):
    text = "A 犬 👍🏽"
    answer, _ = model([text, "A dog."], signature="explain")
    assert "".join(answer["source_pieces"]).strip() == text
    assert {"犬", "👍", "🏽"} <= set(answer["source_pieces"])
    alignment = np.array(answer["alignment"])
    assert alignment.shape == (len(answer["target_pieces"]), len(answer["source_pieces"]))
    np.testing.assert_allclose(alignment.sum(axis=1), 1.0, atol=1e-5)


def test_merged_alignment_adds_columns_and_averages_rows():
    source = WholePieces(tf.constant([["a", "é"]]), tf.constant([2]), tf.constant([[0, 1, 1]]))
    target = WholePieces(tf.constant([["ü", ""]]), tf.constant([1]), tf.constant([[0, 0, 2]]))
    alignment = tf.constant([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.0, 0.0, 0.0]]])
    np.testing.assert_allclose(merged(alignment, source, target), [[[0.3, 0.7], [0.0, 0.0]]])


def test_translation_answers_whatever_comes(model):
    together = model(HOSTILE)
    for row, text in enumerate(HOSTILE):
        (alone,) = model([text])
        assert alone["text"] == together[row]["text"]
        assert alone["score"] == pytest.approx(together[row]["score"], abs=1e-4)
        assert alone["truncated"] == together[row]["truncated"]
    assert [together[0], together[1]] == [{"text": "", "score": 0.0, "truncated": False}] * 2
    assert together[2]["truncated"]
    beams = model.run(HOSTILE, signature="beam", options={"beam_width": 2, "length_penalty": 0.5})
    for texts in beams["texts"]:
        for text in texts:
            text.decode("utf-8")
    assert beams["texts"][0].tolist() == [b"", b""]
    assert np.isfinite(beams["scores"]).all()
    assert model([]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_width": 0, "length_penalty": 1.0}, "beam_width must be 1 to 512, it is 0"),
        ({"beam_width": -3, "length_penalty": 1.0}, "beam_width must be 1 to 512, it is -3"),
        ({"beam_width": 1000, "length_penalty": 1.0}, "beam_width must be 1 to 512, it is 1000"),
        ({"beam_width": 5, "length_penalty": float("nan")}, "length_penalty must be 0 to 10, it is nan"),
        ({"beam_width": 5, "length_penalty": -1.0}, "length_penalty must be 0 to 10, it is -1"),
    ],
)
def test_translation_refuses_a_senseless_beam_by_rule(model, options, message):
    with pytest.raises(DataError, match=message):
        model(["The dog sleeps."], signature="beam", options=options)
    with pytest.raises(ModelError, match=message.partition(", it")[0]):
        beam_options(options["beam_width"], options["length_penalty"])


def test_translation_beams_wider_than_the_vocabulary_are_clipped(model, trained):
    _, run, *_ = trained
    vocabulary = run.task.target.vocabulary_size
    assert vocabulary < 512
    outputs = model.run(["A dog."], signature="beam", options={"beam_width": 512, "length_penalty": 1.0})
    assert outputs["texts"].shape == (1, vocabulary)


def test_translation_signatures_name_what_they_take(model):
    with pytest.raises(ModelError, match=r"beam takes beam_width, length_penalty, text, not beam_width, text\."):
        model(["a"], signature="beam", options={"beam_width": 2})
    with pytest.raises(ModelError, match=r"beam takes beam_width int32, length_penalty float32, not .*2\.5"):
        model(["a"], signature="beam", options={"beam_width": 2.5, "length_penalty": 1.0})
    with pytest.raises(DataError, match=r"^5 is not a text\. Allowed: str, or UTF-8 in bytes"):
        model(["a", 5])
    with pytest.raises(ModelError, match=r"--length-penalty 2: it belongs to a beam search"):
        beam_options(None, 2.0)


def test_translation_writes_answers_in_input_order(model, tmp_path):
    texts = ["The dog sleeps.", "", "A bird sings in the garden.", "The cat."]
    expected = [answer["text"] for answer in model(texts)]
    for format in ("jsonl", "csv", "lines"):
        with answers_to(tmp_path / format, format, None, presentation=TextPresentation("translation")) as write:
            for text, answer in predict_rows(model, texts):
                write({"text": text}, answer)
    assert (tmp_path / "lines").read_text().split("\n")[:-1] == expected
    rows = [json.loads(line) for line in (tmp_path / "jsonl").read_text().splitlines()]
    assert [(row["text"], row["translation"]) for row in rows] == list(zip(texts, expected, strict=True))
    assert (tmp_path / "csv").read_text().startswith("text,translation,score,truncated\nThe dog sleeps.,")


def test_translation_batches_depend_on_seed_and_epoch_alone(trained):
    _, run, *_ = trained
    train, task, rows = run.prepare()["train"], run.task, np.arange(64)
    first, again, other = (task.training_batch(train, rows, epoch) for epoch in (0, 0, 1))
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    assert any(first[name].shape != other[name].shape or (first[name] != other[name]).any() for name in first)
    plain = train.batch(rows)
    for row in rows:
        ids = (
            first["source"][row, : first["source_lengths"][row]],
            plain["source"][row, : plain["source_lengths"][row]],
        )
        assert task.source.decode(ids[0]) == task.source.decode(ids[1])


def test_translation_with_separate_pieces_and_other_parts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = yaml.safe_load(yaml.safe_dump(PHRASES))
    tree["features"] |= {"joint": False, "vocabulary_size": 400}
    tree["model"] |= {"tied": "none", "word_dropout": 0.1}
    tree["model"]["encoder"] |= {"cell": "lstm", "layers": 2, "convolution": [{"filters": 8}]}
    tree["model"]["decoder"] |= {"cell": "lstm", "layers": 2, "attention": "bahdanau"}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    task = make_task(load_pipeline("tiny.yaml").config)
    task.read()
    task.fit_features(tmp_path / "features")
    assert task.source.key != task.target.key
    model = task.build()
    artefact = task.artefact(model, {}, 1)
    assert isinstance(artefact, Artefact)
    rows = [{"text": np.array(text, object)} for text in (b"The dog sleeps.", b"")]
    found = artefact.signatures["serving_default"](text=tf.constant([row["text"].item() for row in rows]))
    for row, expected in enumerate(artefact.reference["serving_default"](rows)):
        assert found["text"][row].numpy() == expected["text"]
        assert found["score"][row].numpy() == pytest.approx(expected["score"], abs=1e-4)
    dev = task.splits.dev
    answers = artefact.signatures["serving_default"](text=tf.constant(dev.sources))["text"].numpy()
    expected = sacrebleu.corpus_bleu([text.decode() for text in answers], [dev.targets]).score
    assert task.dev_figures(model)["bleu"] == pytest.approx(expected)


def test_translation_reference_is_bounded_as_the_graph_is(trained):
    task = copy.copy(trained[1].task)
    model = task.config.model.model_copy(update={"max_ratio": 1.1})
    features = task.config.features.model_copy(update={"max_pieces": 100})
    task.config = task.config.model_copy(update={"model": model, "features": features})
    bound = int(Searches.bounds(SimpleNamespace(_max_ratio=1.1, _max_extra=model.max_extra), tf.constant([100]))[0])
    assert bound == 110 + model.max_extra, "1.1 * 100 is above 110 in float64"
    scores = np.where(np.arange(task.target.vocabulary_size) == EOS + 1, 0.0, -9.0)  # never EOS by itself
    lengths = []

    def last(source, source_lengths, target, target_lengths):
        lengths.append(int(target_lengths[0]))
        return tf.constant(scores)

    assert task._greedily(last, b"dog " * 200)["truncated"]
    assert lengths[-1] == 1 + bound


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": {"joint": False}}, "model.tied = all needs features.joint = true"),
        ({"data": {"source_column": 1}}, "both are names, or both are numbers"),
        (
            {"model": {"encoder": {"convolution": [{"filters": 4, "stride": 2}]}}},
            "model.encoder.convolution.0.stride is not a key",
        ),
        (
            {"model": {"decoder": {"input_feeding": True, "weight_dropout": 0.1}}},
            "input_feeding = true needs recurrent_dropout = 0 and weight_dropout = 0.",
        ),
        ({"training": {"monitor": "accuracy"}}, "monitor"),
    ],
)
def test_translation_contradictions_in_a_pipeline_file(tmp_path, changes, message):
    tree = yaml.safe_load(yaml.safe_dump(PHRASES))
    for section, values in changes.items():
        tree[section] = {**tree.get(section, {}), **values}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=message):
        load_pipeline(tmp_path / "tiny.yaml")


def test_translation_an_artefact_is_evaluated_as_it_is_served(trained, model, tmp_path, monkeypatch):
    from rich.console import Console

    from seqpipe.runs.evaluate import evaluate_artefact

    *_, report = trained
    source = PHRASES["data"]["test"]
    with open(tmp_path / "said.txt", "w") as said:
        found = evaluate_artefact(
            str(model.path), source, overrides=[], directory=tmp_path / "out", console=Console(file=said, width=200)
        )
    for system in ("greedy", "beam"):
        expected = report["splits"]["test"]["systems"][system]
        served = found["splits"]["test"]["systems"][system]
        assert served["bleu"]["value"] == pytest.approx(expected["bleu"]["value"], abs=1e-6)
    assert (tmp_path / "out" / "translations.html").exists()
    assert (tmp_path / "out" / "alignment_1.png").exists()
    assert "| greedy search |" in (tmp_path / "said.txt").read_text()


def test_translation_sources_of_any_ending_are_lines(tmp_path):
    import gzip

    from seqpipe.serving.reading import read_texts

    with gzip.open(tmp_path / "captions.en.gz", "wt") as file:
        file.write('A dog.\n\nA cat, a "bird".\n')
    assert list(read_texts(str(tmp_path / "captions.en.gz"), column=None)) == ["A dog.", "", 'A cat, a "bird".']


def test_translation_explained_piece_by_piece(model):
    from seqpipe.serving.explain import alignments

    shown, empty = alignments(model, ["The dog sleeps.", ""])
    (answer,) = model(["The dog sleeps."], signature="explain")
    assert shown[0] == answer["text"]
    for line, piece, weights in zip(shown[1:], answer["target_pieces"], answer["alignment"], strict=True):
        best = int(np.argmax(weights))
        assert line.startswith(f"  {piece}")
        assert line.endswith(f"  {answer['source_pieces'][best]}  {weights[best]:.2f}")
    assert empty == [""]


def test_translation_a_single_word_is_one_where_others_are_spaced():
    spaced = Pairs(["Congratulations!", "a red house", "it is so"], ["x", "y", "z"], ["1", "2", "3"])
    assert _by_length(spaced, ["x", "y", "z"], "13a")[0]["rows"] == 3
    together = Pairs(["恭喜你们所有的人"], ["x"], ["1"])
    assert _by_length(together, ["x"], "13a")[0]["words"] == "6 to 10"


def test_translation_nearest_sentence_of_a_language_without_blanks():
    train = Pairs(
        ["我喜欢红色的苹果。", "他在家里睡觉。", "天气很好。"], ["apples", "sleep", "weather"], ["1", "2", "3"]
    )
    assert baselines(train)["nearest"](["今天天气好。", "她睡觉。"]) == ["weather", "sleep"]


def test_translation_table_of_answers_keeps_tabs_and_line_breaks_in_their_cells(tmp_path):
    pairs = Pairs(["a\tb", "c\nd"], ["x", "y"], ["1", "2"])
    report = evaluate_translation(pairs, {"greedy": ["x", "y"], "beam": ["x", "y"]}, TranslationEvaluation(), seed=1)
    write_report(report, pairs, ["x", "y"], tmp_path, tokenize="13a", align=lambda source: ([], [], np.zeros((0, 0))))
    with (tmp_path / "translations.tsv").open(newline="") as file:
        assert list(csv.reader(file, delimiter="\t"))[1:] == [["a\tb", "x", "x"], ["c\nd", "y", "y"]]
    assert "| characters of the source |" in (tmp_path / "report.md").read_text()


def test_translation_tokenisation_without_its_package_is_said_before_anything_is_trained(monkeypatch):
    def missing(**_):
        raise RuntimeError("pip install sacrebleu[ja]")

    monkeypatch.setattr("sacrebleu.metrics.BLEU", missing)
    tree = {**PHRASES, "evaluation": {"tokenize": "ja-mecab"}}
    task = make_task(schemas()["translation"].model_validate(tree))
    with pytest.raises(RunError, match=r"evaluation\.tokenize = ja-mecab needs pip install 'sacrebleu\[ja\]'\."):
        task.read()
