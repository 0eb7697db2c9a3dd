from __future__ import annotations

import hashlib

import pytest

from seqpipe.data.sources import Row, read_rows
from seqpipe.errors import DataError

COLUMNS = {"text": "text", "label": "label"}


def reviews(source: str = "builtin:reviews", role: str = "train") -> list[tuple[str, str]]:
    rows = list(read_rows(source, columns=COLUMNS, role=role))
    assert all(isinstance(row, Row) for row in rows)
    return [(row.values["label"], row.values["text"]) for row in rows]


def test_builtin_reviews_are_the_same_on_every_machine():
    written = "\n".join(f"{label} {text}" for label, text in reviews())
    assert hashlib.sha256(written.encode()).hexdigest()[:16] == "4abb8a9f6ee127d3"


def test_builtin_splits_have_their_sizes_and_share_no_text():
    texts = {role: [text for _, text in reviews(role=role)] for role in ("train", "dev", "test")}
    assert {role: len(rows) for role, rows in texts.items()} == {"train": 2000, "dev": 400, "test": 400}
    everything = [text for rows in texts.values() for text in rows]
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize(
    ("name", "column", "sizes"), [("phrases", "source", [3000, 300, 300]), ("verses", "text", [2000, 200, 200])]
)
def test_builtin_sets_of_other_tasks_have_their_sizes(name, column, sizes):
    rows = [read_rows(f"builtin:{name}", columns={"text": column}, role=role) for role in ("train", "dev", "test")]
    assert [len(list(split)) for split in rows] == sizes


def test_builtin_splits_share_no_text_whatever_their_seeds_and_sizes():
    train = {text for _, text in reviews("builtin:reviews?rows=5000&seed=7")}
    assert not train & {text for _, text in reviews("builtin:reviews?split=dev&rows=3000&seed=8")}


def test_builtin_options_choose_split_rows_and_seed():
    assert reviews("builtin:reviews?split=dev&rows=5") == reviews(role="dev")[:5]
    assert reviews("builtin:reviews?seed=2&rows=5") != reviews("builtin:reviews?rows=5")


def test_builtin_reviews_are_balanced_and_well_formed():
    rows = reviews()
    assert 0.45 < sum(label == "positive" for label, _ in rows) / len(rows) < 0.55
    for _, text in rows:
        assert text[0].isupper()
        assert text.endswith(".")
        assert "  " not in text
        assert 1 <= text.count(". ") + 1 <= 5
        assert "{" not in text


def test_builtin_reviews_need_the_order_of_words():
    """Words alone decide most rows; pairs of words a few more; negations and turns keep the rest from them."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    labels, texts = zip(*reviews(), strict=True)
    dev_labels, dev_texts = zip(*(reviews(role="dev") + reviews(role="test")), strict=True)
    bag_of_words = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)).fit(texts, labels)
    assert 0.8 < bag_of_words.score(dev_texts, dev_labels) < 0.93


def test_builtin_places_are_rows_of_the_split():
    first = next(iter(read_rows("builtin:reviews?split=test", columns=COLUMNS, role="train")))
    assert first.place == "builtin:reviews/test:1"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "builtin:review",
            'builtin:review: "review" is not a builtin data set. '
            "Allowed: reviews, messages, phrases, verses. Did you mean reviews?",
        ),
        (
            "builtin:reviews?split=tets",
            'builtin:reviews?split=tets: "tets" is not a split. Allowed: train, dev, test. Did you mean test?',
        ),
        (
            "builtin:reviews?row=3",
            'builtin:reviews?row=3: "row" is not a key. Allowed: split, rows, seed. Did you mean rows?',
        ),
        (
            "builtin:reviews?rows=0",
            'builtin:reviews?rows=0: rows = "0" is not allowed. Allowed: whole numbers from 1 to 100000.',
        ),
        (
            "builtin:reviews?seed=-1",
            'builtin:reviews?seed=-1: seed = "-1" is not allowed. Allowed: whole numbers from 0 to 2147483647.',
        ),
    ],
)
def test_builtin_mistakes_are_named(source, message):
    with pytest.raises(DataError) as caught:
        read_rows(source, columns=COLUMNS, role="train")
    assert str(caught.value) == message


def test_builtin_unknown_column():
    with pytest.raises(DataError) as caught:
        read_rows("builtin:reviews", columns={"text": "texts"}, role="train")
    assert str(caught.value) == 'builtin:reviews: "texts" is not a column. Allowed: text, label. Did you mean text?'


def test_builtin_messages_have_any_number_of_labels_and_share_no_text():
    found = {role: reviews("builtin:messages", role) for role in ("train", "dev", "test")}
    assert {role: len(rows) for role, rows in found.items()} == {"train": 2000, "dev": 400, "test": 400}
    texts = [text for rows in found.values() for _, text in rows]
    assert len(set(texts)) == len(texts)
    counts = [len(label.split("|")) if label else 0 for label, _ in found["train"]]
    assert all(counts.count(number) > 10 for number in range(5))
    written = "\n".join(f"{label} {text}" for label, text in found["train"])
    assert hashlib.sha256(written.encode()).hexdigest()[:16] == "8e82bfbc96de7b64"
