from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from seqpipe.config.series import Forecaster, SeriesFeatures
from seqpipe.models.forecaster import Frame, forecaster
from seqpipe.series.clock import Step
from seqpipe.training.devices import precision

LOOK_BACK, HORIZON = 24, 6


def design(features=None):
    """What the ridge of a model of hours sees of 400 windows without values, their times, and their known column."""
    frame = Frame(Step("seconds", 3600), LOOK_BACK, 12, seasons=(24, 168), known=1)
    config = Forecaster(horizon_steps=HORIZON, recurrent={"units": 4})
    model = forecaster(config, features or SeriesFeatures(), frame=frame)
    rng = np.random.default_rng(1)
    given = {
        "values": np.zeros((400, LOOK_BACK), np.float32),
        "series": np.ones(400, np.int32),
        "time": rng.integers(400_000, 500_000, 400) * 3600,
        "known": rng.normal(size=(400, LOOK_BACK + HORIZON, 1)).astype(np.float32),
    }
    seen = keras.Model(model.inputs, model.get_layer("design").output)(given).numpy()
    return model, seen, given["time"] // 3600, given["known"][:, :, 0]


def left(seen, wanted):
    """Root mean square of what no line through the design explains, as a share of what there is."""
    kernel = np.linalg.lstsq(seen.astype(np.float64), wanted, rcond=None)[0]
    return np.std(wanted - seen @ kernel) / np.std(wanted)


def waves(hours, season):
    turn = 2 * np.pi * hours / season
    return np.sin(turn), np.cos(turn)


def test_forecaster_ridge_knows_an_hour_of_a_weekday():
    _, seen, hours, _ = design()
    (day, _), (_, week) = waves(hours, 24), waves(hours, 168)
    assert left(seen, day * week) < 1e-3
    assert left(seen, np.sin(7 * np.pi * hours / 24) * day) > 0.5  # no wave of the calendar


def test_forecaster_ridge_knows_what_a_covariate_does_at_an_hour():
    _, seen, hours, known = design()
    ahead = known[:, LOOK_BACK + 2]
    for wanted in (ahead, ahead**2):
        for wave in waves(hours + 3, 24):
            assert left(seen, wanted * wave) < 1e-3
    assert left(seen, ahead**3 * waves(hours, 24)[0]) > 0.1


def test_forecaster_without_a_calendar_knows_no_hour():
    model, seen, hours, _ = design(SeriesFeatures(calendar=False))
    assert "calendar" not in [layer.name for layer in model.layers]
    assert left(seen, waves(hours, 24)[0]) > 0.5


def test_forecaster_in_mixed_precision_learns_and_keeps_the_units_of_its_series():
    frame = Frame(Step("seconds", 3600), LOOK_BACK, 12, seasons=(24,), series=2, known=1, past=1, static=(3,))
    config = Forecaster(
        horizon_steps=HORIZON, recurrent={"units": 4, "cell": "lstm"}, normalisation="revin", mask_fraction=0.1
    )
    given = {
        "values": np.full((2, LOOK_BACK), 1234.5, np.float32),
        "series": np.array([1, 0], np.int32),
        "time": np.array([400_000, 400_007]) * 3600,
        "known": np.ones((2, LOOK_BACK + HORIZON, 1), np.float32),
        "past": np.ones((2, LOOK_BACK, 1), np.float32),
        "static": np.ones((2, 1), np.int32),
    }
    with precision("mixed_bfloat16"):
        model = forecaster(config, SeriesFeatures(), frame=frame)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(given, training=True))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients)
    np.testing.assert_allclose(model(given)[:, :, 1], 1234.5, rtol=1e-6)  # bfloat16 would say 1232
    assert model.get_layer("recurrent").recurrence.compute_dtype == "bfloat16"
