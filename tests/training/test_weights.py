from __future__ import annotations

import keras
import numpy as np
import pytest

from seqpipe.errors import RunError
from seqpipe.training.weights import load_weights, save_weights


def model(*units):
    inputs = x = keras.Input((3,))
    for wide in units:
        x = keras.layers.Dense(wide)(x)
    return keras.Model(inputs, x)


def test_weights_are_loaded_as_they_were_saved(tmp_path):
    before, after = model(4, 2), model(4, 2)
    save_weights(before, tmp_path / "best.npz")
    load_weights(after, tmp_path / "best.npz")
    for wanted, found in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("units", [(4,), (4, 5), (4, 2, 2)])
def test_weights_of_another_model_are_an_error(tmp_path, units):
    save_weights(model(4, 2), tmp_path / "best.npz")
    with pytest.raises(RunError, match=r"best\.npz holds the weights of another model .* --fresh"):
        load_weights(model(*units), tmp_path / "best.npz")
