"""Drawing characters: repeatable in numpy, by row, and as each setting says."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from seqpipe.models.sampling import FEW, NEVER, Settings, draw, draw_numpy, is_settled, uniform, uniform_numpy

PLAIN = Settings(1.0, 0, 1.0, 0.0, 1.0)


def drawn(logits, uniforms, settings, seen=None):
    rows = np.tile(np.asarray(logits, np.float32), (len(uniforms), 1))
    known = np.zeros(rows.shape, bool) if seen is None else np.tile(seen, (len(uniforms), 1))
    return draw(rows, np.asarray(uniforms, np.float32), Settings(*map(tf.constant, settings)), known).numpy()


def test_sampling_uniform_is_the_same_in_numpy_and_even():
    seeds = np.array([0, 1, 2, 2**40 + 1, -5], np.int64)
    for step in (0, 1, 77, 100_000):
        found = uniform(tf.constant(seeds), tf.constant(step)).numpy()
        assert found.tolist() == [uniform_numpy(int(seed), step) for seed in seeds]
    many = uniform(tf.range(20_000, dtype=tf.int64), tf.constant(3)).numpy()
    assert stats.kstest(many, "uniform").pvalue > 0.01
    of_one = np.array([uniform_numpy(7, step) for step in range(5_000)])
    assert stats.kstest(of_one, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(of_one[:-1], of_one[1:])[0, 1]) < 0.05


def test_sampling_draws_by_probability():
    logits = np.log([0.5, 0.3, 0.2])
    found = drawn(logits, (np.arange(1000) + 0.5) / 1000, PLAIN)
    assert np.bincount(found).tolist() == [500, 300, 200]


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({"top_k": 2}, {1, 3}),
        ({"top_p": 0.6}, {1, 3}),
        ({"top_p": 0.39}, {1}),
        ({"min_p": 0.6}, {1, 3}),
        ({"temperature": 0.0}, {1}),
        ({"temperature": 5.0}, {0, 1, 2, 3}),
        ({"top_k": 99}, {0, 1, 2, 3}),
    ],
)
def test_sampling_settings_leave_what_they_should(change, allowed):
    logits = np.log([0.1, 0.4, 0.2, 0.3])
    settings = PLAIN._replace(**change)
    uniforms = np.linspace(0, 0.999, 300)
    found = drawn(logits, uniforms, settings)
    assert set(found.tolist()) == allowed
    none = np.zeros(4, bool)
    assert found.tolist() == [draw_numpy(np.float32(logits), np.float32(u), settings, none) for u in uniforms]


@pytest.mark.parametrize("scale", [0.5, 3.0])
@pytest.mark.parametrize(
    "change",
    [{}, {"top_p": 0.9}, {"top_p": 0.3}, {"top_k": 40}, {"top_k": 400}, {"min_p": 0.01}, {"temperature": 0.0}],
)
def test_sampling_among_thousands_draws_as_if_all_were_sorted(scale, change):
    rng = np.random.default_rng(1)
    logits = rng.normal(0, scale, 3 * FEW).astype(np.float32)
    logits[::7] = NEVER
    settings, seen, uniforms = PLAIN._replace(**change), rng.random(3 * FEW) < 0.2, rng.random(60).astype(np.float32)
    found = drawn(logits, uniforms, settings, seen)
    wanted = [draw_numpy(logits, u, settings, seen) for u in uniforms]
    settled = [is_settled(id, logits, u, settings, seen) for id, u in zip(wanted, uniforms, strict=True)]
    assert sum(settled) > 50
    assert [i for i, sure in zip(found, settled, strict=True) if sure] == [
        i for i, sure in zip(wanted, settled, strict=True) if sure
    ]


def test_sampling_never_draws_what_is_forbidden_and_penalises_what_was_seen():
    logits = np.array([NEVER, 1.0, 1.0], np.float32)
    assert set(drawn(logits, np.linspace(0, 0.9999, 99), PLAIN._replace(temperature=10.0)).tolist()) == {1, 2}
    seen = np.array([False, True, False])
    share = (drawn(logits, np.linspace(0, 0.999, 1000), PLAIN._replace(repetition_penalty=10.0), seen) == 1).mean()
    assert share == pytest.approx(np.exp(0.1) / (np.exp(0.1) + np.e), abs=0.005)


def test_sampling_knows_which_draws_rounding_decides():
    settings, none = Settings(1.0, 0, 1.0, 0.0, 1.0), np.zeros(3, bool)
    logits = np.float32([np.log(0.5), np.log(0.3), np.log(0.2)])
    for u, sure in ((0.25, True), (0.5, False), (0.65, True), (0.8, False), (0.9, True)):
        assert is_settled(draw_numpy(logits, u, settings, none), logits, u, settings, none) is sure
    tied = np.float32([1.0, 1.0, -9.0])
    assert not is_settled(draw_numpy(tied, 0.25, settings, none), tied, 0.25, settings, none)
