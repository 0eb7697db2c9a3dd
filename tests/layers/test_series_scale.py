"""A window in its own units, and back."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqpipe.layers.series_scale import Restored, SeriesUnits, WindowScale

NAN = float("nan")
VALUES = np.array([[NAN, 1.0, 3.0, NAN, 2.0, 6.0], [5.0, 5.0, 4.0, 8.0, 7.0, NAN]], np.float32)
SERIES = np.array([1, 2], np.int32)


@pytest.mark.parametrize("normalisation", ["last", "changes", "mean"])
def test_scale_follows_any_unit_and_level(normalisation):
    layer = WindowScale(2, normalisation=normalisation)
    x, seen, *_ = layer(VALUES, SERIES)
    moved, seen_too, level, scale, _ = layer(VALUES * 40 - 300, SERIES)
    np.testing.assert_allclose(x, moved, atol=1e-5)
    np.testing.assert_array_equal(seen, seen_too)
    back = Restored()(moved[:, :, None], level, scale)[:, :, 0]
    there = np.isfinite(VALUES)
    np.testing.assert_allclose(back.numpy()[there], (VALUES * 40 - 300)[there], rtol=1e-5)


def test_scale_of_a_known_series_is_its_own_as_far_as_windows_resemble():
    layer = WindowScale(1, usual=True)
    window = np.array([[0.0, 2.0, 0.0, 2.0]], np.float32)  # its own scale is 1
    known, unknown = np.array([1], np.int32), np.array([0], np.int32)
    layer(window, known)
    layer.own_scale.assign([1.0, 3.0])
    for size, wanted in ((1.0, 3.0), (2.0, 3.0), (100.0, 25.0), (0.5, 2.0)):
        x, _, level, scale, _ = layer(window * size, known)
        np.testing.assert_allclose(scale, [[wanted]], rtol=1e-6)
        np.testing.assert_allclose(x * scale + level, window * size, rtol=1e-5)
        np.testing.assert_allclose(layer(window * size, unknown)[3], [[size]], rtol=1e-6)
    np.testing.assert_allclose(layer(window * NAN, known)[3], [[3.0]])


def test_scale_of_a_layer_saved_before_is_of_the_window():
    config = {name: value for name, value in WindowScale(1).get_config().items() if name != "usual"}
    layer = WindowScale.from_config(config)
    layer(VALUES[:1], SERIES[:1])
    layer.own_scale.assign([7.0, 7.0])
    np.testing.assert_allclose(layer(VALUES[:1], SERIES[:1])[3], [[(2 + 0 + 1 + 3) / 4]])


def test_scale_by_changes_without_neighbours_is_the_spread():
    walk = np.cumsum(np.random.default_rng(1).normal(size=(1, 20))).reshape(1, 20).astype(np.float32)
    walk[:, 1::2] = np.nan
    _, _, _, scale, _ = WindowScale(2, normalisation="changes")(walk, np.zeros(1, np.int32))
    seen = walk[0, ::2]
    np.testing.assert_allclose(scale, [[np.mean(np.abs(seen - seen.mean()))]], rtol=1e-5)


def test_scale_by_changes_counts_pairs_that_are_seen():
    _, _, level, scale, _ = WindowScale(2, normalisation="changes")(VALUES, SERIES)
    np.testing.assert_allclose(level[:, 0], [6.0, 7.0])
    np.testing.assert_allclose(scale[:, 0], [(2 + 4) / 2, (0 + 1 + 4 + 1) / 4])


def test_units_are_undone_and_leave_unknown_series_alone():
    layer = SeriesUnits(2)
    x = tf.constant(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    series = np.array([0, 1, 2], np.int32)
    layer(x, series)
    layer.log_factor.assign([0.7, 0.5, -1.0])
    layer.shift.assign([3.0, 1.0, 2.0])
    changed = layer(x, series)
    np.testing.assert_array_equal(changed[0], x[0])
    np.testing.assert_allclose(changed[1], x[1] * np.exp(0.5) + 1, rtol=1e-6)
    np.testing.assert_allclose(layer(changed, series, undo=True), x, atol=1e-6)
    assert keras.saving.get_registered_object("seqpipe>SeriesUnits") is SeriesUnits


@pytest.mark.parametrize(
    ("name", "allowed"), [("normalisation", "last, changes, mean, none"), ("transform", "none, log1p, log")]
)
def test_scale_refuses_what_it_does_not_know_when_it_is_made(name, allowed):
    with pytest.raises(ValueError, match=f'{name} = "las" is not one of {allowed}'):
        WindowScale(1, **{name: "las"})
