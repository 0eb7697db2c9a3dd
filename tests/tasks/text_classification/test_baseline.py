from __future__ import annotations

import functools
import gzip
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from seqpipe.tasks.text_classification.baseline import LabelSetBaseline, LinearBaseline, without_spaces

GOOD = ["a good film", "good and warm", "so good a film", "warm and good"]
BAD = ["a bad film", "bad and cold", "so bad a film", "cold and bad"]


def test_baselines_learn_words_and_answer_class_indices():
    baseline = LinearBaseline.fit(GOOD + BAD, [2] * 4 + [0] * 4, seed=1)
    answers = baseline.predict(["good", "bad bad", "never seen"])
    assert answers.dtype == np.int64
    assert answers[:2].tolist() == [2, 0]
    assert answers[2] in (0, 2)
    assert baseline.predict([]).tolist() == []


def test_baselines_describe_and_measure_themselves():
    baseline = LinearBaseline.fit(GOOD + BAD, [1] * 4 + [0] * 4, seed=1)
    terms = len(baseline.vectorizer.vocabulary_)
    assert baseline.describe() == (
        f"TF-IDF of words (1 to 2, {terms} terms found in at least 2 texts) and a linear SVM (C = 1)"
    )
    assert baseline.fit_time_s > 0
    # One float64 for the idf and one for the weight of each term at least, and less than the whole objects.
    assert 16 * terms < baseline.size_bytes < len(pickle.dumps((baseline.vectorizer, baseline.classifier)))


def test_baselines_say_when_every_term_stands_in_one_text_only():
    baseline = LinearBaseline.fit(["north wind", "south sea"], [0, 1], seed=1)
    assert baseline.describe().startswith(
        "TF-IDF of words (1 to 2, 6 terms found in any text, because no term stands in 2 texts)"
    )
    assert baseline.predict(["south", "north"]).tolist() == [1, 0]


def test_baselines_count_characters_where_there_are_no_words():
    baseline = LinearBaseline.fit(["!!!", "?!?", "...", "?.?"], [1, 1, 0, 0], seed=1)
    assert baseline.describe().startswith("TF-IDF of characters (1 to 3")
    assert baseline.predict(["!", "."]).tolist() == [1, 0]


def test_baselines_count_characters_of_chinese():
    baseline = LinearBaseline.fit(["房间很干净", "服务很好很干净", "房间太脏了", "又脏又吵"], [1, 1, 0, 0], seed=1)
    assert baseline.describe().startswith("TF-IDF of characters (1 to 3")
    assert baseline.predict(["干净", "脏"]).tolist() == [1, 0]


def test_baselines_say_when_the_solver_stopped_early(monkeypatch):
    from sklearn import svm

    monkeypatch.setattr(svm, "LinearSVC", functools.partial(svm.LinearSVC, max_iter=1))
    baseline = LinearBaseline.fit(GOOD + BAD, [1] * 4 + [0] * 4, seed=1)
    assert "stopped unconverged after 1 passes" in baseline.describe()


def test_baselines_refuse_one_class_and_empty_texts():
    with pytest.raises(ValueError, match="one class only"):
        LinearBaseline.fit(GOOD, [1] * 4, seed=1)
    with pytest.raises(ValueError, match="all empty"):
        LinearBaseline.fit(["", ""], [0, 1], seed=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("房间很干净", True),
        ("この映画はとても面白い", True),
        ("ห้องสะอาดมาก", True),
        ("酒店 wifi 很慢 breakfast 不错 房间干净", True),
        ("the room was clean", False),
        ("방이 아주 깨끗해요", False),
        ("the hotel 北京 was near the station", False),
        ("номер был чистый", False),
        ("", False),
    ],
)
def test_baselines_know_scripts_without_spaces(text, expected):
    assert without_spaces([text, text]) is expected


def _lines(path: str) -> list[str]:
    folder = os.environ.get("SEQPIPE_TEST_DATA")
    if not folder:
        pytest.skip("SEQPIPE_TEST_DATA is not set")
    return gzip.decompress((Path(folder) / path).read_bytes()).decode().rstrip("\n").split("\n")


def _pairs(path: str, separator: str) -> tuple[list[str], np.ndarray]:
    rows = [line.split(separator, 1) for line in _lines(path) if line[0].isdigit()]
    return [text for _, text in rows], np.array([int(label) for label, _ in rows])


@pytest.mark.slow
def test_baselines_reach_the_known_figure_on_sst2():
    texts, labels = _pairs("sst2/dev.txt.gz", " ")
    baseline = LinearBaseline.fit(*_pairs("sst2/train_phrases.txt.gz", " "), seed=1)
    assert np.mean(baseline.predict(texts) == labels) == pytest.approx(0.8349, abs=5e-5)


@pytest.mark.slow
def test_baselines_reach_the_known_figure_on_chnsenticorp():
    train = _pairs("chnsenticorp/train.tsv.gz", "\t")
    texts, labels = _pairs("chnsenticorp/dev.tsv.gz", "\t")
    correct = LinearBaseline.fit(*train, seed=1).predict(texts) == labels
    unseen = ~np.isin(texts, train[0])
    assert (correct.mean(), correct[unseen].mean()) == pytest.approx((0.9208, 0.8991), abs=5e-5)


@pytest.mark.slow
def test_baselines_reach_the_known_figure_on_imdb():
    rows = [json.loads(line) for line in _lines("imdb/train.jsonl.gz")]
    texts, labels = [row["text"] for row in rows], np.array([str(row["label"]) in ("1", "pos") for row in rows], int)
    dev = np.arange(len(rows)) % 10 == 0
    train_texts = [text for text, is_dev in zip(texts, dev, strict=True) if not is_dev]
    baseline = LinearBaseline.fit(train_texts, labels[~dev], seed=1)
    assert np.mean(baseline.predict(texts[::10]) == labels[dev]) == pytest.approx(0.9040, abs=5e-5)


def test_baselines_of_label_sets_are_a_machine_for_each_label():
    texts = [*GOOD, *BAD, "a table and a chair", "a chair"]
    labels = np.array([[1, 0, 1, 0]] * 4 + [[0, 1, 1, 0]] * 4 + [[0, 0, 1, 0]] * 2)
    baseline = LabelSetBaseline.fit(texts, labels, seed=1)
    scores = baseline.scores(["good", "bad bad", "a chair", "good and bad"])
    assert (scores[:2, :2] > 0).tolist() == [[True, False], [False, True]]
    assert (scores[:, 2] > 0).all(), "all have it"
    assert (scores[:, 3] < 0).all(), "none has it"
    alone = LinearBaseline.fit(texts, labels[:, 0], seed=1)
    np.testing.assert_array_equal(alone.predict(texts), baseline.scores(texts)[:, 0] > 0)
    assert baseline.scores([]).shape == (0, 4)
    assert baseline.describe().endswith("terms found in at least 2 texts) and a linear SVM for each label (C = 1)")
    assert baseline.size_bytes > 0
