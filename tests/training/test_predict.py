from __future__ import annotations

import gc
import weakref

import keras
import numpy as np

from seqpipe.data.examples import Examples
from seqpipe.training.objective import Objective
from seqpipe.training.predict import predict

ROWS = Examples({"x": np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)})


class Scaled(Objective):
    def __init__(self, factor: float):
        self.factor, self.traces = factor, 0

    def forward(self, model, batch, training):
        self.traces += 1
        return self.factor * model(batch["x"], training=training)


def small() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


def test_predict_traces_a_model_once_for_an_objective_and_follows_its_weights():
    model, objective = small(), Scaled(1.0)
    for batch_size in (2, 256):
        np.testing.assert_allclose(
            predict(model, objective, ROWS, batch_size=batch_size), model(ROWS.columns["x"]), rtol=1e-5
        )
    model.set_weights([weights + 1 for weights in model.get_weights()])
    np.testing.assert_allclose(predict(model, objective, ROWS), model(ROWS.columns["x"]), rtol=1e-5)
    assert objective.traces == 1
    np.testing.assert_allclose(predict(model, Scaled(3.0), ROWS), 3 * model(ROWS.columns["x"]), rtol=1e-5)
    assert predict(small(), objective, ROWS).shape == (5, 2)
    assert objective.traces == 2


def test_predict_keeps_no_model_alive():
    model = small()
    predict(model, Scaled(1.0), ROWS)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
