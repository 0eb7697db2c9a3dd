from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines import write_tiny
from seqpipe.config.networks import Classifier
from seqpipe.config.training import Pretraining
from seqpipe.data.examples import Ragged
from seqpipe.errors import ConfigError, DataError, ModelError, RunError
from seqpipe.export.card import before_training
from seqpipe.runs.run import open_run
from seqpipe.tasks import load_pipeline
from seqpipe.text.word_vectors import PieceVectors
from seqpipe.training.loop import Trainer
from seqpipe.training.pretraining import chunks, find_encoder, load_encoder, pretrain

MODEL = Classifier.model_validate(
    {"embedding": {"units": 6}, "convolution": [{"filters": 6, "pool": 2}], "recurrent": {"units": 4}}
)
OPTIONS = Pretraining.model_validate(
    {
        "epochs": 8,
        "batch_size": 8,
        "chunk_pieces": 16,
        "sampled_pieces": 8,
        "learning_rate": 0.03,
        "warmup_steps": 5,
        "save_every_steps": 1,
    }
)


def sentences(count):
    """Each piece tells the next one: i, i + 1, i + 2 ..."""
    rng = np.random.default_rng(0)
    return Ragged.from_rows([(rng.integers(0, 20) + np.arange(40)) % 20 + 4 for _ in range(count)])


def run(directory, *callbacks):
    return pretrain(
        MODEL,
        OPTIONS,
        sentences(60),
        vocabulary_size=24,
        seed=1,
        directory=directory,
        say=lambda line: None,
        callbacks=lambda epochs, steps: callbacks,
    )


class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 9:
            raise KeyboardInterrupt


def test_pretraining_learns_and_resumes_bit_for_bit(tmp_path):
    summary = run(tmp_path / "whole")
    assert summary.startswith("The encoder was trained as a language model first: 8 epochs in")
    assert float(summary.split()[-2]) < 0.8 * np.log(20)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", Stop())
    assert run(tmp_path / "stopped").split("best")[1] == summary.split("best")[1]
    whole, stopped = (load_encoder(tmp_path / name / "encoder.npz") for name in ("whole", "stopped"))
    assert list(whole) == list(stopped)
    for name, value in whole.items():
        np.testing.assert_array_equal(value, stopped[name])


def test_pretraining_starts_from_word_vectors_and_takes_the_xla_it_is_told(tmp_path, monkeypatch):
    vectors = PieceVectors(np.ones((24, 6), np.float32), np.arange(24) >= 4, words=20)
    began, told = [], []

    def choose(trainer):
        began.append(trainer.model.embedding.embeddings.numpy())
        told.append(trainer.config.xla)
        return False

    monkeypatch.setattr(Trainer, "_choose_xla", choose)
    options = OPTIONS.model_copy(update={"epochs": 1})
    pretrain(
        MODEL,
        options,
        sentences(20),
        vocabulary_size=24,
        vectors=vectors,
        xla="never",
        seed=1,
        directory=tmp_path,
        say=lambda line: None,
    )
    assert told == ["never"]
    assert len(np.unique(began[0][4:])) == 1


def test_pretraining_that_diverges_names_its_own_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "_choose_xla", lambda trainer: False)
    monkeypatch.setattr(Trainer, "_train_step", lambda trainer, batch: tf.constant(np.inf))
    with pytest.raises(RunError, match=r"Lower training\.pretrain\.learning_rate \(now 0\.03\)\."):
        run(tmp_path)


def test_pretraining_chunks_hold_every_piece_once():
    rows = Ragged.from_rows([np.arange(100), np.arange(5), np.arange(33)])
    train, dev = chunks(rows, 32)
    kept = sorted([*train.values.tolist(), *dev.values.tolist()])
    assert kept == sorted([*range(96), *range(32)])  # rests of 4 and 1 pieces and the text of 5 are too short


def test_pretraining_too_little_text_is_said():
    with pytest.raises(DataError, match="cut into 1 chunks of 12 to 32 pieces, too few"):
        chunks(Ragged.from_rows([np.arange(20)]), 32)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(file):
    with open_run(load_pipeline(file).config, say=lambda line: None) as opened:
        opened.train()
        return opened.best_model


def test_pretraining_in_a_pipeline_and_its_encoder_in_another(here):
    (here / "more.txt").write_text("a fine film with a fine end\n" * 20)
    train(
        write_tiny(here, name="first", training__epochs=1, training__pretrain={"source": "files:more.txt", "epochs": 1})
    )
    assert {path.name for path in (here / "runs/first/pretrain").glob("*.npz")} == {
        "best.npz",
        "encoder.npz",
        "position.npz",
    }
    with open_run(load_pipeline(here / "tiny.yaml").config, say=lambda line: None) as opened:
        said = before_training(opened.config, opened.state["steps"])
    assert said.startswith("\nThe encoder was trained as a language model first: 1 epoch in")
    kept = load_encoder(here / "runs/first/encoder.npz")
    pretrained = load_encoder(here / "runs/first/pretrain/encoder.npz")
    assert any((kept[name] != pretrained[name]).any() for name in kept)  # the task went on from there

    second = write_tiny(
        here, name="second", model__start_from="runs/first", training__epochs=1, training__learning_rate=1e-9
    )
    model = train(second)
    np.testing.assert_allclose(model.get_layer("embedding").get_weights()[0], kept["embedding.0"], atol=1e-6)
    with open_run(load_pipeline(second).config, say=lambda line: None) as opened:
        said = before_training(opened.config, opened.state["steps"])
    assert said == "\nIt started from the encoder in `runs/first`."
    begun_anew = {"config": {}, "steps": {}}
    (here / "runs/third/pretrain").mkdir(parents=True)
    (here / "runs/third/state.json").write_text(json.dumps(begun_anew))
    third = load_pipeline(second, ["model.start_from=runs/third/pretrain"]).config
    assert before_training(third, {}) == "\nIt started from the encoder in `runs/third/pretrain`."
    same = [(here / name / "features/sentencepiece.model").read_bytes() for name in ("runs/first", "runs/second")]
    assert same[0] == same[1]
    assert find_encoder("runs/first/pretrain")[1] == here.joinpath("runs/first/features").relative_to(here)


def test_pretraining_text_that_holds_dev_rows_is_refused(here):
    config = load_pipeline(write_tiny(here)).config
    with open_run(config, say=lambda line: None) as opened:
        _ = opened.findings
        dev = opened.task.splits.dev.texts
    (here / "more.txt").write_text("\n".join(["quite new", dev[3], dev[5]]))
    file = write_tiny(here, name="other", training__pretrain="files:more.txt")
    with pytest.raises(DataError, match=r"files:more\.txt: 2 of 64 dev texts stand in it, such as"):
        train(file)
    skipping = {"source": "files:more.txt", "skip_held_back": True}
    with open_run(
        load_pipeline(write_tiny(here, name="third", training__pretrain=skipping)).config, say=lambda line: None
    ) as opened:
        assert any("2 of 64 dev texts" in finding.text for finding in opened.findings)
        assert opened.task.unlabelled == ["quite new"]


def test_pretraining_start_from_what_keeps_no_encoder_is_said(here):
    file = write_tiny(here, model__start_from="runs/none")
    with pytest.raises(
        ModelError, match=r"start_from = runs/none keeps no encoder: there is no runs/none/encoder\.npz"
    ):
        train(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__start_from": "runs/x", "training__pretrain": {}}, "exclude each other"),
        ({"model__keras": "mine.keras", "training__pretrain": {}}, "need seqpipe's own encoder, not mine.keras"),
    ],
)
def test_pretraining_contradictions_are_named(here, changes, message):
    with pytest.raises(ConfigError, match=message):
        load_pipeline(write_tiny(here, **changes))
