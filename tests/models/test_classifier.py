from __future__ import annotations

import keras
import numpy as np
import pytest

from seqpipe.config.networks import Classifier
from seqpipe.models import classifier
from seqpipe.training.devices import precision

IDS = np.array([[5, 6, 7, 8, 9, 2], [3, 4, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], np.int32)
LENGTHS = np.array([6, 2, 0], np.int32)


def build(**settings):
    return classifier(Classifier.model_validate(settings), vocabulary_size=20, classes=3)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"recurrent": {"cell": "lstm", "layers": 2, "bidirectional": False, "dropout": 0.1}, "pooling": "max"},
        {"recurrent": {"cell": "simple"}, "convolution": [], "pooling": "mean"},
        {"recurrent": None, "convolution": [{"filters": 8, "stride": 2}, {"filters": 8, "pool": 2, "residual": True}]},
    ],
)
def test_classifier_answers_alone_as_beside_longer_rows(settings):
    model = build(**settings)
    together = np.asarray(model([IDS, LENGTHS]))
    for row, length in enumerate(LENGTHS):
        alone = np.asarray(model([IDS[row : row + 1, : max(1, length)], LENGTHS[row : row + 1]]))
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


def test_classifier_is_a_plain_keras_model(tmp_path, capsys):
    model = build()
    model.summary()
    assert "recurrent_1" in capsys.readouterr().out
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = np.array([0, 1, 2])
    before = model.evaluate([IDS, LENGTHS], labels, verbose=0)
    model.fit([IDS, LENGTHS], labels, epochs=20, verbose=0)
    assert model.evaluate([IDS, LENGTHS], labels, verbose=0) < before
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(again([IDS, LENGTHS])), np.asarray(model([IDS, LENGTHS])))


def test_classifier_with_ngrams_answers_in_float32_whatever_the_precision():
    with precision("mixed_bfloat16"):
        model = build(ngrams={"longest": 2, "entries": 5})
    assert {model([IDS, LENGTHS], training=training).dtype.name for training in (True, False)} == {"float32"}
