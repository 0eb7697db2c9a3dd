"""Each layer of a forecaster against what it says, computed by hand."""

import datetime

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqpipe.layers.series import (
    Calendar,
    Covariates,
    FilledBySeason,
    HiddenValues,
    MixedExperts,
    SeasonProfile,
    SegmentRecurrence,
    SpreadQuantiles,
)

RNG = np.random.default_rng(0)
NONE = np.nan


def seconds(*when):
    return int(datetime.datetime(*when, tzinfo=datetime.UTC).timestamp())


def test_hidden_values_are_a_share_of_the_past_but_never_the_last():
    x = tf.constant(RNG.normal(size=(400, 50)).astype(np.float32))
    layer = HiddenValues.from_config(HiddenValues(0.2).get_config())
    np.testing.assert_array_equal(layer(x), x)
    hidden = layer(x, training=True).numpy()
    missing = np.isnan(hidden)
    np.testing.assert_array_equal(hidden[~missing], x.numpy()[~missing])
    assert not missing[:, -1].any()
    assert 0.17 < missing[:, :-1].mean() < 0.23
    shares = missing[:, :-1].mean(axis=1)
    assert shares.min() < 0.05, "some windows lose few"
    assert shares.max() > 0.3, "and some many"


def turn(share):
    return [np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)]


def test_calendar_of_hours_tells_hour_and_day_of_the_year():
    layer = Calendar(kind="seconds", size=3600, seasons=[24, 3], yearly=True, look_back=3, horizon=2)
    noon = seconds(2024, 3, 5, 12)
    features, phases = layer(tf.constant([noon, noon + 1800], tf.int64))
    assert features.shape == (2, 5, 4 + 2 + 4)
    assert layer.compute_output_spec(tf.zeros([2], tf.int64))[0].shape == features.shape
    np.testing.assert_array_equal(phases[0, :, 0], [10, 11, 12, 13, 14])
    np.testing.assert_array_equal(phases[1], phases[0])
    hours = noon // 3600 + np.arange(-2, 3)
    np.testing.assert_array_equal(phases[0, :, 1], hours % 3)
    for place, hour in enumerate(hours):
        year = (noon + 3600 * (place - 2)) % 31_556_952 / 31_556_952
        expected = [
            *turn(hour % 24 / 24),
            *turn(2 * (hour % 24) / 24),
            *turn(hour % 3 / 3),
            *turn(year),
            *turn(2 * year),
        ]
        np.testing.assert_allclose(features[0, place], expected, atol=1e-5)


def test_calendar_of_quarters_tells_the_month():
    layer = Calendar(kind="months", size=3, seasons=[], yearly=True, look_back=2, horizon=3)
    features, phases = layer(tf.constant([seconds(2024, 7, 1)], tf.int64))
    for place, month in enumerate((3, 6, 9, 0, 3)):  # months since January; the third quarter begins in July
        np.testing.assert_allclose(features[0, place, :2], turn(month / 12), atol=1e-5)
    np.testing.assert_array_equal(phases, np.zeros((1, 5, 1)))


def test_season_profile_is_each_series_own_and_counts_from_the_last_value():
    layer = SeasonProfile(2, [3, 2])
    phases = np.stack([np.arange(5) % 3, np.arange(5) % 2], axis=1)[None].repeat(3, axis=0).astype(np.int32)
    series, last = np.array([0, 1, 2], np.int32), np.array([1, 1, 3], np.int32)
    assert not layer(series, phases, last).numpy().any(), "nothing is learned yet"
    for table in layer.tables:
        table.assign(RNG.normal(size=table.shape))
    three, two = (table.numpy().reshape(3, -1) for table in layer.tables)
    answer = layer(series, phases, last).numpy()
    assert not answer[0].any(), "an unknown series has no season"
    for row in (1, 2):
        profile = three[row][np.arange(5) % 3] + two[row][np.arange(5) % 2]
        np.testing.assert_allclose(answer[row], profile - profile[last[row]], atol=1e-6)


def test_covariates_are_in_their_spread_and_a_missing_one_is_the_mean():
    layer = Covariates()
    layer.build((None, None, 2))
    layer.mean.assign([10.0, 0.0])
    layer.spread.assign([2.0, 0.5])
    answer = layer(np.array([[[12.0, NONE], [np.inf, -1.0], [1e9, -1e9]]], np.float32))
    np.testing.assert_allclose(answer, [[[1, 0], [0, -2], [20, -20]]])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_segments_of_the_future_all_follow_the_last_state(cell):
    layer = SegmentRecurrence(cell, 4)
    past, queries = (RNG.normal(size=(2, n, 3)).astype(np.float32) for n in (5, 6))
    answer = layer(past, queries)
    symbolic = layer.compute_output_spec(keras.KerasTensor(past.shape), keras.KerasTensor(queries.shape))
    assert answer.shape == symbolic.shape == (2, 6, 4)
    for place in range(6):
        path = np.concatenate([past, queries[:, place : place + 1]], axis=1)
        np.testing.assert_allclose(answer[:, place], layer.recurrence(path)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("season", "x", "filled"),
    [
        (3, [NONE, 2, 3, 4, 5, 6, NONE, NONE, NONE], [4, 2, 3, 4, 5, 6, 4, 5, 6]),  # a season before, or after it
        (2, [1, 2, NONE, NONE, NONE, NONE], [1, 2, 1, 2, 1, 2]),  # two before
        (1, [1, NONE, NONE, NONE, 5, NONE], [1, 1, 1, 1, 5, 5]),  # one before, or three
        (2, [NONE, NONE, NONE, 4], [0, 4, 0, 4]),  # nothing to fill from
        (9, [1, NONE, 3], [1, 0, 3]),  # a season longer than the window
    ],
)
def test_missing_values_are_filled_from_a_season_before(season, x, filled):
    x = np.array([x], np.float32)
    seen = np.isfinite(x).astype(np.float32)
    np.testing.assert_array_equal(FilledBySeason(season)(np.nan_to_num(x), seen), [filled])


@pytest.mark.parametrize(
    ("season", "x", "filled"),
    [
        (2, [NONE, NONE, NONE, NONE, NONE, 5, 6], [6, 5, 6, 5, 6, 5, 6]),  # a short history repeats itself
        (2, [1, 2, NONE, NONE, NONE, NONE, NONE, NONE, NONE], [1, 2, 1, 2, 1, 2, 1, 2, 1]),
        (3, [NONE, NONE, NONE, NONE, NONE, NONE, NONE, 8, 9], [0, 8, 9, 0, 8, 9, 0, 8, 9]),  # one of three is unknown
        (1, [NONE, NONE, 3, NONE, 5], [3, 3, 3, 3, 5]),
        (9, [1, NONE, 3], [1, 0, 3]),
    ],
)
def test_missing_values_are_filled_from_as_many_seasons_away_as_it_takes(season, x, filled):
    x = np.array([x], np.float32)
    seen = np.isfinite(x).astype(np.float32)
    layer = FilledBySeason(season, repeated=True)
    np.testing.assert_array_equal(layer(np.nan_to_num(x), seen), [filled])
    assert layer.get_config()["repeated"] is True


def test_mixed_experts_move_all_quantiles_by_share_and_widen_them():
    network = np.sort(RNG.normal(size=(2, 3, 5)), axis=2).astype(np.float32)
    ridge = RNG.normal(size=(2, 3)).astype(np.float32)
    layer = MixedExperts(2)
    np.testing.assert_allclose(layer(network, ridge), network, atol=1e-6)  # until something is fitted
    layer.share.assign([1.0, 0.25, 0.0])
    widths = np.array([-2, -1, 0, 1, 2], np.float32) * np.array([[0.0], [0.1], [0.2]], np.float32)
    layer.widths.assign(widths)
    middle = network[:, :, 2:3]
    share = np.array([1, 0.25, 0])[:, None]
    expected = network - middle + share * middle + (1 - share) * ridge[:, :, None] + widths
    np.testing.assert_allclose(layer(network, ridge), expected, atol=1e-5)


def test_mixed_experts_never_cross_whatever_the_widths():
    network = np.sort(RNG.normal(size=(2, 3, 5)), axis=2).astype(np.float32)
    layer = MixedExperts(1)
    layer(network, network[:, :, 1])
    layer.widths.assign(RNG.normal(size=(3, 5)) * [[3, 0, 3, 3, 3]])
    answer = layer(network, network[:, :, 1]).numpy()
    assert (np.diff(answer, axis=2) >= 0).all()
    np.testing.assert_allclose(answer[:, :, 1], network[:, :, 1], atol=1e-6)


@pytest.mark.parametrize(("quantiles", "median"), [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1)])
def test_mixed_experts_learn_however_many_quantiles_lie_on_a_side(quantiles, median):
    network = tf.Variable(np.sort(RNG.normal(size=(2, 3, quantiles)), axis=2).astype(np.float32))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(MixedExperts(median)(network, network[:, :, median]))
    np.testing.assert_allclose(tape.gradient(total, network), np.ones([2, 3, quantiles]), atol=1e-6)


def test_quantiles_are_sorted_around_a_median_that_is_as_given():
    x = tf.constant(RNG.normal(size=(3, 4, 5)).astype(np.float32))
    for median in range(5):
        layer = SpreadQuantiles.from_config(SpreadQuantiles(median).get_config())
        answer = layer(x).numpy()
        assert (np.diff(answer, axis=2) > 0).all()
        np.testing.assert_array_equal(answer[:, :, median], x[:, :, median])
    np.testing.assert_allclose(answer[:, :, 0], x[:, :, 4] - np.log1p(np.exp(x[:, :, :4])).sum(axis=2), rtol=1e-5)


def test_quantiles_teach_the_median_nothing():
    x = tf.Variable(tf.ones([1, 2, 3]))
    with tf.GradientTape(persistent=True) as tape:
        outer, middle = tf.split(SpreadQuantiles(1)(x), [1, 2], axis=2)
        middle = middle[:, :, :1]
    np.testing.assert_array_equal(tape.gradient(outer, x)[:, :, 1], np.zeros([1, 2]))
    np.testing.assert_array_equal(tape.gradient(middle, x)[:, :, 1], np.ones([1, 2]))


CALENDAR = {"kind": "seconds", "size": 60, "seasons": [24], "yearly": False, "look_back": 2, "horizon": 1}


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (
            lambda: Calendar(**{**CALENDAR, "kind": "hours"}),
            'kind = "hours" is not one of seconds, months, count, rows',
        ),
        (lambda: Calendar(**{**CALENDAR, "seasons": []}), "there is nothing to tell"),
        (lambda: HiddenValues(5.0), r"fraction = 5\.0 is not a share"),
        (lambda: SegmentRecurrence("rnn", 3), 'cell = "rnn" is not one of lstm, gru'),
    ],
)
def test_layers_of_series_refuse_what_they_do_not_know(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()
