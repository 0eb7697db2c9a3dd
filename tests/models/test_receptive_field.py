from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from seqpipe.config.networks import Classifier, RecogniserModel
from seqpipe.models import classifier, commands_model, receptive_field_report
from seqpipe.models.receptive_field import total_stride

STACKS = {
    "one": [{"filters": 4, "kernel_size": 3}],
    "even": [{"filters": 4, "kernel_size": 4}],
    "stride then dilation": [
        {"filters": 4, "kernel_size": 3, "stride": 2},
        {"filters": 4, "kernel_size": 3, "dilation": 4},
    ],
    "pool then kernel": [{"filters": 4, "kernel_size": 3, "pool": 3}, {"filters": 4, "kernel_size": 5}],
    "causal": [
        {"filters": 4, "kernel_size": 5, "padding": "causal"},
        {"filters": 4, "kernel_size": 2, "padding": "causal"},
    ],
}


def build(convolution, recurrent=None):
    config = Classifier.model_validate(
        {"convolution": convolution, "recurrent": recurrent, "pooling": "mean", "embedding": {"units": 3}}
    )
    return classifier(config, vocabulary_size=50, classes=2)


@pytest.mark.parametrize("convolution", STACKS.values(), ids=STACKS.keys())
def test_receptive_field_is_what_moves_an_output(convolution):
    convolution = [{"activation": "linear", "pool_kind": "average", **block} for block in convolution]
    model = build(convolution)
    steps = 60
    x = tf.random.normal([1, steps, 3])
    lengths = tf.constant([steps])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, after = x, lengths
        for number in range(1, len(convolution) + 1):
            y, after = model.get_layer(f"convolution_{number}")(y, after)
        middle = tf.reduce_sum(y[:, y.shape[1] // 2])
    moved = np.flatnonzero(np.abs(tape.gradient(middle, x).numpy()[0]).sum(-1))
    report = [row for row in receptive_field_report(model, typical_steps=steps) if row.name.startswith("convolution")]
    assert report[-1].receptive_field == moved[-1] - moved[0] + 1
    assert -(-steps // report[-1].stride) == y.shape[1]
    assert report[-1].stride == total_stride(model)


def test_receptive_field_of_a_recurrence_is_the_whole_sequence():
    rows = receptive_field_report(build([{"filters": 4}], {"units": 3}), typical_steps=20)
    fields = {row.name: row.receptive_field for row in rows}
    assert fields == {"embedding": 1, "convolution_1": 3, "recurrent_1": None, "pooling": None, "logits": None}


def test_receptive_field_report_counts_parameters_and_sharing():
    model = build([{"filters": 4, "kernel_size": 3, "stride": 2}])
    row = receptive_field_report(model, typical_steps=20)[1]
    assert row.parameters == 3 * 3 * 4 + 4
    assert row.times_shared == 10
    assert row.dense_parameters == 20 * 3 * 10 * 4


def test_receptive_field_report_counts_the_bands_of_a_spectrogram():
    config = RecogniserModel.model_validate({"convolution": [{"filters": 3, "stride_frames": 2}, {"filters": 4}]})
    band = np.ones(40, np.float32)
    model = commands_model(config, bands=40, clip_frames=98, classes=4, mean=band, deviation=band)
    rows = receptive_field_report(model, typical_steps=98)
    dense = [row.dense_parameters for row in rows if row.name.startswith("convolution")]
    assert dense == [98 * 40 * 49 * 20 * 3, 49 * 20 * 3 * 49 * 10 * 4]
