from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from seqpipe.config.networks import Classifier
from seqpipe.errors import ModelError, RunError
from seqpipe.models import classifier
from seqpipe.models.user_model import own_model

SIZES = {"vocabulary_size": 20, "classes": 3}
OWN = {**SIZES, "known": Path("known.json")}
MODULE = """
import keras
from seqpipe.models import classifier

def build(config, *, vocabulary_size, classes):
    return classifier(config, vocabulary_size=vocabulary_size, classes=classes, name="built")

def other(config, *, vocabulary_size, classes):
    return "not a model"

def single(config, *, vocabulary_size, classes):
    x = keras.Input((4,))
    return keras.Model(x, keras.layers.Dense(classes)(x))

class Subclass(keras.Model):
    def call(self, inputs):
        return inputs

def subclassed(config, *, vocabulary_size, classes):
    return Subclass()

def by_step(config, *, vocabulary_size, classes):
    ids, lengths = keras.Input((None,), dtype="int32"), keras.Input((), dtype="int32")
    return keras.Model([ids, lengths], keras.layers.Embedding(vocabulary_size, classes)(ids))

def leaky(config, *, vocabulary_size, classes):
    ids, lengths = keras.Input((None,), dtype="int32"), keras.Input((), dtype="int32")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(vocabulary_size, 8)(ids))
    return keras.Model([ids, lengths], keras.layers.Dense(classes)(x))

def probable(config, *, vocabulary_size, classes):
    own = classifier(config, vocabulary_size=vocabulary_size, classes=classes)
    return keras.Model(own.inputs, keras.layers.Softmax()(own.output))

def small(config, *, vocabulary_size, classes):
    return classifier(config, vocabulary_size=vocabulary_size - 1, classes=classes)

def broken(config, *, vocabulary_size, classes):
    return 1 / 0
"""


def of_no_file(wanted, said):
    return keras.ops.mean(said)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    (tmp_path / "my_builders.py").write_text(MODULE)
    monkeypatch.delitem(__import__("sys").modules, "my_builders", raising=False)
    return tmp_path


def test_own_model_from_a_function(here):
    assert own_model(Classifier(builder="my_builders:build"), **OWN).name == "built"


def test_own_model_from_a_file(here):
    model = classifier(Classifier(), **SIZES)
    model.compile("adam", of_no_file)
    model.save(here / "mine.keras")
    assert own_model(Classifier(keras="mine.keras"), **OWN).count_params() == model.count_params()


NETWORK = """
import keras
from seqpipe import layers

def build(config, *, vocabulary_size, classes):
    ids, lengths = keras.Input((None,), dtype="int32"), keras.Input((), dtype="int32")
    x, _ = layers.AttentionPooling(8)(keras.layers.Embedding(vocabulary_size, 8)(ids), lengths)
    x = keras.layers.BatchNormalization()(keras.layers.Dense(8, activation="relu")(x))
    return keras.Model([ids, lengths], keras.layers.Dense(classes)(x))
"""


@pytest.mark.parametrize("edit", ['activation="tanh"', "activation=lambda v: -v", 'activation="relu", use_bias=False'])
def test_own_model_is_the_network_that_the_run_began_with(here, monkeypatch, edit):
    def build(text):
        monkeypatch.delitem(__import__("sys").modules, "my_network", raising=False)
        monkeypatch.setattr("sys.dont_write_bytecode", True)
        (here / "my_network.py").write_text(text)
        return own_model(Classifier(builder="my_network:build"), **OWN)

    weights = build(NETWORK).get_weights()
    assert all(np.abs(weight).max() <= 1 for weight in weights), "they are as the builder left them"
    build(f"# a remark\n{NETWORK}")  # random weights again, and the same network
    with pytest.raises(RunError, match=r"my_network:build: is another network than the one that this run began with"):
        build(NETWORK.replace('activation="relu"', edit))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"builder": "no_such_module:build"}, "no_such_module cannot be imported: No module named"),
        ({"builder": "my_builders:biuld"}, "my_builders has no biuld. Did you mean build?"),
        ({"builder": "my_builders:other"}, "gives a str, not a keras.Model."),
        ({"builder": "my_builders:broken"}, r"failed at .*my_builders.py:39: ZeroDivisionError: division by zero"),
        ({"builder": "my_builders:single"}, r"takes 1 inputs; it must take two: ids \[B, T\] and lengths \[B\]."),
        ({"builder": "my_builders:subclassed"}, r"without inputs; it must be made as keras.Model\(inputs, outputs\)."),
        ({"builder": "my_builders:by_step"}, r"returns \(None, None, 3\); it must return logits of shape \(None, 3\)"),
        ({"builder": "my_builders:leaky"}, "the answer to a row depends on how far it is padded."),
        ({"builder": "my_builders:probable"}, "gives probabilities; it must give logits, from before softmax."),
        ({"builder": "my_builders:small"}, "small: must take ids from 0 to 19 in rows of any length; it fails with "),
        ({"keras": "none.keras"}, "there is no such file."),
        ({"keras": "my_builders.py"}, "Keras cannot load it: "),
    ],
)
def test_own_model_message(here, config, expected):
    with pytest.raises(ModelError, match=expected):
        own_model(Classifier.model_validate(config), **OWN)


def test_own_model_with_other_classes(here):
    classifier(Classifier(), vocabulary_size=20, classes=4).save(here / "mine.keras")
    with pytest.raises(ModelError, match=r"returns \(None, 4\); it must return logits of shape \(None, 3\)"):
        own_model(Classifier(keras="mine.keras"), **OWN)


def test_own_model_file_stays_in_safe_mode(here):
    x = keras.Input((None,))
    n = keras.Input(())
    keras.Model([x, n], keras.layers.Lambda(lambda y: y[:, :3])(x)).save(here / "lambda.keras")
    with pytest.raises(ModelError, match=r"safe_mode|unsafe"):
        own_model(Classifier(keras="lambda.keras"), **OWN)


@pytest.mark.parametrize(("text", "fault"), [("def build(:\n", "SyntaxError"), ("1 / 0\n", "ZeroDivisionError")])
def test_own_model_of_a_module_that_fails_names_it(here, text, fault):
    (here / f"my_{fault}.py").write_text(text)
    with pytest.raises(ModelError, match=f"model.builder = my_{fault}:build: my_{fault} fails: {fault}: "):
        own_model(Classifier(builder=f"my_{fault}:build"), **OWN)
