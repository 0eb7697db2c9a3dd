from __future__ import annotations

import keras
import numpy as np
import pytest

from seqpipe.layers import WordDropout
from seqpipe.text.vocabulary import UNKNOWN


def test_word_dropout_replaces_its_share_in_training_only():
    ids = np.full((100, 100), 7, np.int32)
    layer = WordDropout(0.3, seed=1)
    np.testing.assert_array_equal(layer(ids), ids)
    first, second = layer(ids, training=True).numpy(), layer(ids, training=True).numpy()
    assert set(np.unique(first)) == {UNKNOWN, 7}
    assert abs((first == UNKNOWN).mean() - 0.3) < 0.02
    assert (first != second).any()


def test_word_dropout_keeps_its_config_and_its_place_in_the_draws():
    layer = WordDropout(0.3, seed=1)
    again = WordDropout.from_config(layer.get_config())
    ids = np.full((4, 9), 7, np.int32)
    layer(ids, training=True)
    again(ids, training=True)
    np.testing.assert_array_equal(layer(ids, training=True), again(ids, training=True))
    assert any("seed_generator" in v.path for v in keras.Sequential([layer]).variables)


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_word_dropout_refuses_what_is_no_share(rate):
    with pytest.raises(ValueError, match=r"rate = .* is not a share\. Allowed: 0\.\.1\."):
        WordDropout(rate)
