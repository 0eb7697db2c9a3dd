from __future__ import annotations

import numpy as np
import pytest
from testing import is_picture

from seqpipe.serving.listening import PIECE_MS
from seqpipe.tasks.speech_commands import attention_picture as pictures
from seqpipe.tasks.speech_commands.attention_picture import Heard, attention_picture
from seqpipe.tasks.speech_commands.baseline import SpectrogramBaseline, coarse
from seqpipe.tasks.speech_commands.false_accepts import picture, to_markdown, trade_off
from seqpipe.tasks.speech_commands.report import telling_rows
from seqpipe.tasks.speech_commands.scores import adjustments

LABELS = ["yes", "no", "unknown", "silence"]


def by_level(waveform):
    """What hears "yes" in a level of 1, "no" in 0.5 and silence in 0."""
    size = 16 * PIECE_MS
    levels = [waveform[start : start + size].max() for start in range(0, len(waveform), size)]
    rows = {1.0: [0.9, 0, 0.1, 0], 0.5: [0, 0.65, 0.35, 0], 0.0: [0, 0, 0, 1]}
    return [np.array(rows[float(level)]) for level in levels]


def test_trade_off_counts_what_is_heard_and_what_is_not_said():
    clip = np.ones(16_000, np.float32)
    found = trade_off(
        by_level,
        LABELS,
        commands=[("yes", clip), ("no", 0.5 * clip), ("no", clip)],
        others=[0.5 * clip, 0 * clip],
        noise=[np.zeros(32_000, np.float32)],
    )
    rows = {row["threshold"]: row for row in found["rows"]}
    assert rows[0.5]["heard"] == pytest.approx(2 / 3)
    assert rows[0.7]["heard"] == pytest.approx(1 / 3)
    assert rows[0.5]["unknown_per_hour"] == pytest.approx(3600 / 2)  # of the clips, without the quiet around
    assert rows[0.7]["unknown_per_hour"] == rows[0.5]["noise_per_hour"] == 0
    assert "| 0.5 | 66.7 % | 1,800 | 0 |" in to_markdown(found)


def test_trade_off_without_other_words(tmp_path):
    found = trade_off(by_level, LABELS, commands=[("yes", np.ones(16_000, np.float32))], others=[], noise=[])
    assert found["rows"][0]["noise_per_hour"] is found["rows"][0]["unknown_per_hour"] is None
    assert "–" in to_markdown(found)
    assert is_picture(picture(found, tmp_path / "a.png"))


def test_spectrogram_baseline_learns_where_the_energy_is():
    rng = np.random.default_rng(0)
    decibels, labels = rng.normal(size=(90, 50, 40)).astype(np.float32), np.arange(90) % 3
    for row, label in enumerate(labels):
        decibels[row, 10 * label : 10 * label + 10] += 2
    baseline = SpectrogramBaseline.fit(decibels[:60], labels[:60], seed=1)
    assert (baseline.predict(decibels[60:]) == labels[60:]).mean() > 0.95
    assert baseline.size_bytes > 4 * baseline.features
    assert coarse(decibels[:, :5]).shape == (90, 5 * 20)


def test_telling_rows_are_the_surest_right_of_each_class_and_the_surest_wrong():
    probabilities = np.array([[0.9, 0.1], [0.95, 0.05], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8], [0.01, 0.99]])
    assert telling_rows(probabilities, np.array([0, 0, 1, 0, 0, 0])) == ([1, 2], [5, 4, 3])


def test_attention_picture_has_seconds_bands_and_titles(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    weights = np.repeat([0.0, 3.0, 1.0, 0.0], 5)
    clips = [
        Heard(rng.normal(size=(20, 16)), weights, "unknown (bed)", "go", 0.974, right=False),
        Heard(rng.normal(size=(20, 16)), weights, "$yes$", "yes", 0.5, right=False),
    ]
    centres_hz = np.geomspace(100, 7000, 16)
    rows = [("Right", []), ("Wrong", clips)]
    path = attention_picture(rows, tmp_path / "a.png", hop_ms=10.0, centres_hz=centres_hz)
    assert is_picture(path)
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: drawn.append(figure))
    attention_picture(rows, tmp_path / "a.png", hop_ms=10.0, centres_hz=centres_hz)
    (part,) = drawn[0].subfigs
    upper, lower = part.axes[0], part.axes[pictures.CLIPS_A_ROW]
    assert upper.get_title(loc="left") == "unknown (bed) → go  97 %"
    assert part.axes[1].get_title(loc="left") == "$yes$ → yes  50 %"
    assert upper.images[0].get_extent() == [0, 0.2, -0.5, 15.5]
    ticks = dict(zip((each.get_text() for each in upper.get_yticklabels()), upper.get_yticks(), strict=True))
    assert ticks["1"] == pytest.approx(np.interp(1000, centres_hz, np.arange(16)))
    values, edges, _ = lower.patches[0].get_data()
    assert (list(values), edges[-1], lower.get_xlim()) == (list(weights), pytest.approx(0.2), (0, 0.2))


def test_adjustments_leave_a_class_without_rows_as_it_is():
    np.testing.assert_allclose(adjustments(1.0, np.array([3, 1, 0])), [np.log(4 / 3), np.log(4), 0])
    np.testing.assert_array_equal(adjustments(0.0, np.array([3, 1, 0])), [0, 0, 0])
