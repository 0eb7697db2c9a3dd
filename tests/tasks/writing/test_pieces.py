"""A writer of pieces, from text to artefact and once more: lines are broken, and parts join to the whole text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from finished import quick_proof
from pydantic import ValidationError

import seqpipe
from pipelines import VERSES
from seqpipe.runs.again import export_again
from seqpipe.runs.run import open_run
from seqpipe.serving.writer import Wishes, scored, streamed, written
from seqpipe.tasks import schemas

LESS = {
    "name": "tiny",
    "features": {"units": "pieces", "vocabulary_size": 360},
    "training": {**VERSES["training"], "epochs": 3, "chunk_characters": 20, "learning_rate": 0.03},
    "sampling": {"length": 10},
}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, quick_proof():
        patch.chdir(tmp_path_factory.mktemp("pieces"))
        with open_run(schemas()["writing"].model_validate({**VERSES, **LESS}), say=lambda line: None) as run:
            return (Path.cwd() / run.all()).resolve()


def test_pieces_write_lines_and_parts_join_to_the_whole_text(published):
    model = seqpipe.load(published)
    wishes = Wishes(length=60, temperature=1.0)
    for stop in ([], ["e"], ["ea", "\nth", "the"]):
        answers = written(model, "The fox", wishes, stop=stop, seeds=[4, 5])
        for answer, seed in zip(answers, (4, 5), strict=True):
            parts = list(streamed(model, "The fox", wishes, stop=stop, seed=seed))
            assert "".join(parts) == answer["text"]
            assert stop or "\n" in answer["text"]
            assert stop or len(max(parts, key=len)) > 1


def test_pieces_are_measured_in_characters_beside_ngrams(published):
    model = seqpipe.load(published)
    text = "The fox  went\n\nby the sea, é春.\n"
    shown, bits, _ = scored(model, text)
    assert shown == text
    assert len(bits) == len(text)
    (row,) = model.score([text])
    assert bits.sum() == pytest.approx(row["nats"] / np.log(2), rel=1e-4)
    assert row["bits_per_byte"] == pytest.approx(bits.sum() / len(text.encode()), rel=1e-4)
    card = (published / "card.md").read_text()
    assert "| Kneser-Ney of " in card
    assert " pieces | " in card
    assert " blocks)" in card
    run = published.parents[2] / "runs" / "tiny"
    dev = json.loads((run / "report" / "report.json").read_text())["splits"]["dev"]
    assert dev["bits_per_byte"] == pytest.approx(dev["measures"]["nats"]["value"] / np.log(2)), "verses are ASCII"
    assert dev["baselines"]["kneser_ney"] < dev["baselines"]["unigram"] < 4


def test_pieces_are_exported_again_with_the_same_answers(published):
    with quick_proof():
        again = export_again(published, say=lambda line: None)
    assert again.name == "2"
    assert seqpipe.load(again)(["The fox", ""]) == seqpipe.load(published)(["The fox", ""])


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"features": {"units": "pieces", "min_count": 2}}, "min_count is for units = characters, not pieces"),
        ({"features": {"vocabulary_size": 900}}, "vocabulary_size is for units = pieces, not characters"),
        (
            {"features": {"units": "pieces"}, "data": {**VERSES["data"], "layout": "lines"}, "form": {}},
            "form needs features.units = characters: it counts them",
        ),
    ],
)
def test_pieces_refuse_what_is_for_other_units(changes, rule):
    with pytest.raises(ValidationError, match=rule):
        schemas()["writing"].model_validate({**VERSES, **changes})
