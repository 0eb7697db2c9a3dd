"""Quatrains of two couplets, each of which rhymes with a word and not with itself."""

from __future__ import annotations

import hashlib
import re

import pytest

from seqpipe.data import verses as module
from seqpipe.data.drawing import records
from seqpipe.data.verses import DOES, RHYMES, SAYS, THEN, WHERE, WHO, quatrain


def either(words):
    return f"({'|'.join(words)})"


COUPLET = re.compile(f"{either(WHO)} {either(DOES)} {either(WHERE)} (\\w+),\n{either(THEN)} {either(SAYS)} (\\w+)\\.")


def texts_of(split, rows, seed):
    return [row["text"] for row in records(quatrain, split, rows, seed)]


def couplets(text):
    lines = text.split("\n")
    return [COUPLET.fullmatch("\n".join(pair)).groups() for pair in (lines[:2], lines[2:])]


def test_verses_of_a_seed_are_these():
    assert texts_of("train", 2, 3) == [
        "The miller went without a alone,\nuntil nobody was throne.\n"
        "The old king waited with a door,\nso the birds were roar.",
        "The wind went to the tune,\nbut the birds were spoon.\n"
        "A sailor came near the crow,\nwhile her eyes were slow.",
    ]
    written = "\n".join(texts_of("train", 200, 5))
    assert hashlib.sha256(written.encode()).hexdigest()[:16] == "8b0245ed2dd7b3ca"


def test_verses_rhyme_in_pairs_of_two_sounds_and_words():
    sound = {word: number for number, rhyme in enumerate(RHYMES) for word in rhyme}
    for text in texts_of("train", 500, 1):
        ends = [(one, other) for *_, one, _, _, other in couplets(text)]
        assert all(one != other and sound[one] == sound[other] for one, other in ends), text
        assert sound[ends[0][0]] != sound[ends[1][0]], text


def test_verses_use_every_word_in_both_couplets():
    found = [set(words) for words in zip(*map(couplets, texts_of("train", 1000, 1)), strict=True)]
    said = [{word for couplet in half for word in couplet} for half in found]
    assert said[0] == said[1] == {word for words in (WHO, DOES, WHERE, THEN, SAYS, *RHYMES) for word in words}


@pytest.mark.parametrize("rows", [0, 1, 90])
def test_verses_are_as_many_as_asked_for_and_differ(rows, monkeypatch):
    for name in ("WHO", "DOES", "WHERE", "THEN", "SAYS"):
        monkeypatch.setattr(module, name, getattr(module, name)[:1])
    monkeypatch.setattr(module, "RHYMES", RHYMES[:2])  # 2 x 20 x 20 quatrains are left, a sixth of them dev
    texts = texts_of("dev", rows, 1)
    assert len(texts) == len(set(texts)) == rows


def test_verses_splits_share_no_quatrain_whatever_their_seeds(monkeypatch):
    for name in ("WHO", "DOES", "WHERE", "THEN", "SAYS"):
        monkeypatch.setattr(module, name, getattr(module, name)[:1])
    dev, test, train = (set(texts_of(split, 90, 1)) for split in ("dev", "test", "train"))
    other = set(texts_of("train", 2000, 2))
    assert not (train | other) & (dev | test)
    assert not dev & test
    assert train != other
