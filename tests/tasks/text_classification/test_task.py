from __future__ import annotations

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from finished import quick_proof

from pipelines import write_tiny
from seqpipe.errors import ConfigError, DataError, ModelError, ProofError
from seqpipe.runs.run import open_run
from seqpipe.tasks import load_pipeline, make_task
from seqpipe.tasks.text_classification.signatures import spread
from seqpipe.training.weights import rounded

BUILDERS = '''
import keras
from seqpipe import layers
from seqpipe.models import classifier

def honest(config, *, vocabulary_size, classes):
    """A pooling of seqpipe's under a name of its own."""
    ids = keras.Input((None,), dtype="int32")
    lengths = keras.Input((), dtype="int32")
    x = keras.layers.Embedding(vocabulary_size, 8)(ids)
    x, _ = layers.MeanPooling()(x, lengths)
    return keras.Model([ids, lengths], keras.layers.Dense(classes)(x))

def leaky(config, *, vocabulary_size, classes):
    """Stock layers that forget the lengths at the convolution."""
    ids = keras.Input((None,), dtype="int32")
    lengths = keras.Input((), dtype="int32")
    x = keras.layers.Embedding(vocabulary_size, 8)(ids)
    x = keras.layers.Conv1D(8, 3, padding="same")(x)
    x = keras.layers.GlobalMaxPooling1D()(x)
    return keras.Model([ids, lengths], keras.layers.Dense(classes)(x))
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_builders.py").write_text(BUILDERS)
    monkeypatch.delitem(__import__("sys").modules, "own_builders", raising=False)
    return tmp_path


def run_pipeline(file):
    with quick_proof(), open_run(load_pipeline(file).config, say=lambda line: None) as run:
        return run.all()


def test_text_classification_with_a_builder_of_the_users_own(here):
    path = run_pipeline(write_tiny(here, model={"builder": "own_builders:honest"}, training__epochs=1))
    signatures = tf.saved_model.load(str(path)).signatures
    assert sorted(signatures) == ["explain", "labels", "scores", "serving_default"]
    kept = keras.saving.load_model(path / "model.keras").get_weights()
    with np.load("runs/tiny/best.npz") as best:
        for number, weights in enumerate(kept):
            np.testing.assert_array_equal(weights, best[f"w{number}"])
        assert len(best.files) == len(kept) > 0


def test_text_classification_with_weights_of_fewer_bits(here):
    file = write_tiny(here, model={"builder": "own_builders:honest"}, export__weight_bits=8, training__epochs=1)
    path = run_pipeline(file)
    kept = keras.saving.load_model(path / "model.keras").get_weights()
    with np.load("runs/tiny/best.npz") as best:
        exact = [best[f"w{number}"] for number in range(len(best.files))]
    for few, all_bits in zip(kept, exact, strict=True):
        np.testing.assert_array_equal(few, rounded(all_bits, 8))
    assert any((few != all_bits).any() for few, all_bits in zip(kept, exact, strict=True))
    assert yaml.safe_load((path / "pipeline.yaml").read_text())["export"]["weight_bits"] == 8
    with zipfile.ZipFile(path / "model.keras") as archive:
        packed = archive.getinfo("model.weights.h5")
    assert packed.compress_size < 0.7 * packed.file_size
    served = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    names = [name for name, shape in served.get_variable_to_shape_map().items() if len(shape) > 1]
    assert names
    for value in map(served.get_tensor, names):
        np.testing.assert_array_equal(value, rounded(value, 8))


@pytest.mark.slow
def test_text_classification_with_a_keras_file_of_the_users_own(here):
    made = make_task(load_pipeline(write_tiny(here)).config)
    made.read()
    made.fit_features(here / "features")
    made.build().save(here / "mine.keras")
    path = run_pipeline(write_tiny(here, model={"keras": "mine.keras"}, training__epochs=1))
    assert "explain" in tf.saved_model.load(str(path)).signatures


def test_text_classification_refuses_a_model_that_forgets_lengths(here):
    file = write_tiny(here, model={"builder": "own_builders:leaky"}, training__epochs=1)
    with pytest.raises(ProofError, match=r"depends on the rows beside it .* must not change its answer"):
        run_pipeline(file)
    assert not (here / "saved_models" / "tiny").exists()


@pytest.fixture
def task(tmp_path):
    def make(**changes):
        made = make_task(load_pipeline(write_tiny(tmp_path, **changes)).config)
        made.read()
        made.fit_features(tmp_path / "features")
        return made

    return make


def test_text_classification_balanced_class_weights(task):
    made = task(training__class_weights="balanced")
    labels = made.splits.train.labels
    weights = made.class_weights[labels]
    assert weights.mean() == pytest.approx(1.0)
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum(), rel=1e-5)


def test_text_classification_class_weights_must_name_every_class(task):
    with pytest.raises(ModelError, match="names positive; it must give one weight to each class: negative, positive"):
        task(training__class_weights={"positive": 2.0})


def test_text_classification_loss_is_weighted_smoothed_cross_entropy(task):
    made = task(training__class_weights={"positive": 2.0, "negative": 1.0}, training__label_smoothing=0.1)
    logits = np.array([[1.0, -0.5], [0.3, 0.2]], np.float32)
    loss = made.loss({"label": np.array([0, 1], np.int32)}, tf.constant(logits)).numpy()
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    targets = np.array([[0.95, 0.05], [0.05, 0.95]])
    np.testing.assert_allclose(loss, [-(targets[0] * log_p[0]).sum(), -2 * (targets[1] * log_p[1]).sum()], rtol=1e-5)


def test_text_classification_explains_by_whole_characters(task):
    made = task()
    artefact = made.artefact(made.build(), {"temperature": 1.0}, 1)
    texts = ["the naïve 👍🏽 film", "写", b"bad \xff film", ""]
    answer = {name: value.numpy() for name, value in artefact.signatures["explain"](tf.constant(texts)).items()}
    pieces = [[piece.decode() for piece in row if piece] for row in answer["pieces"]]
    assert ["".join(row).strip() for row in pieces] == ["the naïve 👍🏽 film", "写", "bad \ufffd film", ""]
    assert {"ï", "👍", "🏽"} <= set(pieces[0])
    ids = made.features.encode(["写"])[0]
    assert len(ids) > len(pieces[1])
    np.testing.assert_allclose(answer["weights"].sum(axis=1)[:3], 1.0, atol=1e-5)
    for row, weights in zip(pieces, answer["weights"], strict=True):
        assert not weights[max(1, len(row)) :].any()


@pytest.mark.parametrize(("pieces", "allowed"), [(60, 1e-5), (1024, 2.0**-14)])
def test_text_classification_is_proved_up_to_what_rounding_adds_up_in_a_row(task, pieces, allowed):
    made = task(features__max_pieces=pieces)
    assert made.artefact(made.build(), {"temperature": 1.0}, 1).tolerance == allowed


def test_text_classification_card_of_a_pipeline_with_everything(here):
    (here / "vectors.txt").write_text("film 1 2 3 4 5 6 7 8\nplot 8 7 6 5 4 3 2 1\n")
    (here / "shop.tsv").write_text("words\tstars\nthe kettle is fine\tgood\nit broke\tbad\nit broke twice\tbad\n")
    shop = {
        "source": "files:shop.tsv",
        "text_column": "words",
        "label_column": "stars",
        "labels": {"good": "positive", "bad": "negative"},
    }
    file = write_tiny(
        here,
        training__epochs=1,
        model__embedding__vectors="files:vectors.txt",
        model__ngrams={"longest": 2, "entries": 500},
        model__recurrent=None,
        evaluation__other_domains={"kettles": shop},
        features__long_texts="head_and_tail",
    )
    with quick_proof(), open_run(load_pipeline(file).config, say=lambda line: None) as run:
        run.train()
        report = run.evaluate()
        path = run.export()
    loaded = keras.saving.load_model(path / "model.keras")
    assert float(loaded.get_layer("ngrams").network_scale.numpy()) == pytest.approx(report["network_scale"])
    card = (path / "card.md").read_text()
    assert f"The network's scores count {report['network_scale']:.2f} times" in card
    assert "| kettles | 3 | " in card
    assert "2 word vectors reach" in card
    assert "a quarter from its beginning, the rest from its end" in card


def test_spread_shares_a_step_among_its_pieces():
    weights = tf.constant([[0.75, 0.25], [1.0, 0.0]])
    pieces = spread(weights, tf.constant([4, 2]), 4, 3).numpy()
    np.testing.assert_allclose(pieces, [[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0]])


@pytest.mark.parametrize("stride", [1, 3])
def test_spread_gives_no_weight_to_pieces_whose_steps_a_model_has_lost(stride):
    pieces = spread(tf.constant([[0.75, 0.25]]), tf.constant([7]), 7, stride).numpy()
    assert pieces.shape == (1, 7)
    assert pieces.sum() == pytest.approx(1.0)
    assert pieces[0, 6] == 0


@pytest.mark.parametrize(
    ("labels", "source", "message"),
    [
        ({"good": "positive", "bad": "negative"}, "files:none.tsv", "none.tsv"),
        ({"good": "positive", "bad": "negativ"}, "files:shop.tsv", '"negativ" is not a class of this model. Allowed: '),
    ],
)
def test_text_classification_reads_other_domains_before_it_trains(here, labels, source, message):
    (here / "shop.tsv").write_text("text\tlabel\nthe kettle is fine\tgood\nit broke\tbad\n")
    file = write_tiny(here, evaluation__other_domains={"kettles": {"source": source, "labels": labels}})
    with pytest.raises(DataError, match=rf"^evaluation\.other_domains\.kettles: .*{message}"):
        make_task(load_pipeline(file).config).read()


def test_text_classification_reads_labels_of_other_files_as_those_of_its_own(here):
    rows = [*["text,label", "fine,1", "good,1", "fine too,2", "bad,2", "awful,3", "bad too,3"]]
    (here / "stars.csv").write_text("\n".join(rows))
    file = write_tiny(
        here,
        data={"train": "files:stars.csv", "dev": "files:stars.csv", "labels": {"1": "0", "2": "1", "3": "2"}},
        evaluation__other_domains={"again": {"source": "files:stars.csv"}},
    )
    task = make_task(load_pipeline(file).config)
    task.read()
    assert task.domains["again"].labels.tolist() == task.splits.dev.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert task._labels_of(["0", "1", "2"]) == {"0": "0", "1": "0", "2": "1", "3": "2"}


def test_text_classification_knows_word_vectors_by_their_content(here):
    keys = []
    for vectors in ("film 1 2 3 4 5 6 7 8\n", "film 1 2 3 4 5 6 7 9\n"):
        (here / "vectors.txt").write_text(vectors)
        task = make_task(load_pipeline(write_tiny(here, model__embedding__vectors="files:vectors.txt")).config)
        task.read()
        keys.append(task.data_key())
    assert keys[0] != keys[1]


def test_text_classification_refuses_ngrams_beside_a_model_that_is_not_its_own(here):
    with pytest.raises(ConfigError, match=r"model\.ngrams stands beside seqpipe's own network, not mine:build"):
        load_pipeline(write_tiny(here, model__builder="mine:build", model__ngrams={"longest": 2}))


def test_text_classification_later_seeds_are_configurations_that_can_be_read(here):
    file = write_tiny(here, model__embedding__vectors="files:vectors.txt", training__pretrain={"epochs": 1})
    first = load_pipeline(file).config
    later = first.for_later_seed(first)
    assert later.model.start_from == str(first.run_path / "pretrain")
    assert type(later).model_validate(later.model_dump()) == later
