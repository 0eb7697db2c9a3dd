from __future__ import annotations

import numpy as np
import pytest

from seqpipe.config.sound import Augmentation
from seqpipe.sound.augmentation import Augmenter, Kind, _stretch

OFF = {
    "shift_ms": 0,
    "noise_fraction": 0,
    "gain_db": 0,
    "speed": 0,
    "pitch": 0,
    "reverberation_fraction": 0,
    "time_masks": 0,
    "band_masks": 0,
}
KINDS = np.array([Kind.CLIP] * 12 + [Kind.SILENCE] * 2 + [Kind.MADE] * 6)
ROWS = np.arange(len(KINDS))
CLIPS = np.flatnonzero(KINDS == Kind.CLIP)


def power():
    """A burst in the middle of each clip, in bands of its own."""
    power = np.full((len(KINDS), 50, 20), 1e-6, np.float32)
    for row in CLIPS:
        power[row, 20:30, row : row + 4] = 1.0
    return power


def augmenter(seed=1, silence=-1, **changes):
    rng = np.random.default_rng(0)
    return Augmenter(
        Augmentation.model_validate({**OFF, **changes}),
        power=power(),
        kinds=KINDS,
        labels=np.arange(len(KINDS)) % 4,
        silence=silence,
        noise=rng.random((200, 20)).astype(np.float32),
        hop_ms=10,
        floor=1e-6,
        seed=seed,
    )


def decibels():
    return 10 * np.log10(power()[CLIPS])


def test_augmentation_switched_off_changes_no_clip():
    np.testing.assert_allclose(augmenter().batch(CLIPS, 0), decibels(), atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"shift_ms": 100},
        {"noise_fraction": 1},
        {"gain_db": 10},
        {"speed": 0.3},
        {"pitch": 0.3},
        {"reverberation_fraction": 1},
        {"time_masks": 2},
        {"band_masks": 2},
    ],
)
def test_augmentation_each_key_changes_clips(change):
    assert np.abs(augmenter(**change).batch(CLIPS, 0) - decibels()).max() > 1


def test_augmentation_is_a_function_of_seed_epoch_and_row():
    everything = Augmentation().model_dump()
    whole = augmenter(**everything).batch(ROWS, 3)
    other = augmenter(**everything)
    other.batch(ROWS[:5], 0)
    np.testing.assert_array_equal(other.batch(ROWS[::-1], 3)[::-1], whole)
    np.testing.assert_array_equal(other.batch(ROWS[7:9], 3), whole[7:9])
    assert np.abs(other.batch(ROWS, 4) - whole).max() > 1
    assert np.abs(augmenter(seed=2, **everything).batch(ROWS, 3) - whole).max() > 1


def test_augmentation_noise_stands_at_its_ratio():
    noisy = augmenter(noise_fraction=1, lowest_snr_db=10, highest_snr_db=10).batch(CLIPS, 0)
    before = 10 ** (noisy[:, :15] / 10)  # nothing but noise
    assert 10 * np.log10(4 / 20 / before.mean()) == pytest.approx(10, abs=0.5)


def test_augmentation_gain_is_bounded():
    change = augmenter(gain_db=6).batch(CLIPS, 0)[:, 25].max(axis=1)
    assert np.abs(change).max() <= 6.001
    assert len(set(change.round(3))) > 5


def test_augmentation_shift_moves_the_burst():
    moved = augmenter(shift_ms=100).batch(CLIPS, 0).max(axis=2) > -3
    starts = moved.argmax(axis=1)
    assert starts.min() >= 9
    assert starts.max() <= 31
    assert len(set(starts)) > 3


def test_augmentation_shifts_go_either_way_and_equally_often():
    one, shifts = augmenter(shift_ms=100), []
    for epoch in range(30):
        clips = one.batch(CLIPS, epoch)
        loud = clips.max(axis=2) > -10
        shifts += [row.nonzero()[0].mean() - 24.5 for row in loud]
    assert max(shifts) > 8
    assert min(shifts) < -8
    assert abs(np.mean(shifts)) < 1.5, "of at most 10 frames"


def test_augmentation_noise_is_a_stretch_of_the_bank_as_it_stands():
    one = augmenter(noise_fraction=1, lowest_snr_db=-40, highest_snr_db=-40)
    one.noise = np.repeat(np.arange(1, len(one.noise) + 1, dtype=np.float32)[:, None], 20, axis=1)
    power = 10 ** (one.batch(CLIPS, 0) / 10)
    steps = np.diff(power[:, :20, 19], axis=1)  # outside of the burst
    np.testing.assert_allclose(steps / steps[:, :1], 1.0, atol=0.02)
    begun = power[:, 0, 19] / steps[:, 0]
    assert len(set(np.round(begun).astype(int))) > 5


def test_augmentation_reverberation_only_adds_behind():
    heard = augmenter(reverberation_fraction=1).batch(CLIPS, 0)
    np.testing.assert_allclose(heard[:, :20], decibels()[:, :20], atol=4)  # the faint floor echoes too
    assert (heard[:, 31].max(axis=1) > -55).all()
    assert (heard[:, 31].max(axis=1) > heard[:, 45].max(axis=1)).all()


def test_augmentation_silence_is_noise_and_made_words_are_made_anew():
    made = augmenter()
    first, second = made.batch(ROWS, 0), made.batch(ROWS, 1)
    assert np.isfinite(first).all()
    for kind in (Kind.SILENCE, Kind.MADE):
        rows = np.flatnonzero(kind == KINDS)
        assert (np.abs(first[rows] - second[rows]).max(axis=(1, 2)) > 1).any()
        assert (first[rows].max(axis=(1, 2)) > -59).any()


@pytest.mark.parametrize(
    ("way", "first", "second"),
    [
        (0.44, range(21, 25), range(25, 29)),  # the beginning of one word, cut at 0.4, and the end of the other
        (0.69, range(25, 33), range(17, 25)),  # an end before a beginning, no more than 8 frames of each
        (0.84, range(20, 30), range(0)),  # reversed
        (0.92, range(20, 30), range(20, 30)),  # both at once
    ],
)
def test_augmentation_made_words_are_spliced_in_the_middle(way, first, second):
    made = augmenter()
    rows = (np.array([row]) for row in (0, 1, 6))
    (word,) = made._made_words(*rows, np.array([way]), np.array([0.4]))
    for band, frames in ((0, first), (4, second), (9, range(0))):  # bands of one clip alone
        assert np.flatnonzero(word[:, band] > 0.1).tolist() == list(frames)


def test_augmentation_made_words_of_three_clips_and_never_of_one_label_spliced():
    made = augmenter()
    (word,) = made._made_words(*(np.array([row]) for row in (0, 1, 6)), np.array([0.93]), np.array([0.4]))
    assert np.flatnonzero(word[:, 9] > 0.1).tolist() == list(range(20, 30))
    (same,) = made._made_words(*(np.array([row]) for row in (0, 4, 6)), np.array([0.1]), np.array([0.4]))
    (ended,) = made._made_words(*(np.array([row]) for row in (0, 4, 6)), np.array([0.55]), np.array([0.4]))
    np.testing.assert_array_equal(same, ended)  # which of two words of one label is no word either
    (both,) = made._made_words(*(np.array([row]) for row in (0, 4, 6)), np.array([0.95]), np.array([0.4]))
    assert np.flatnonzero(both[:, 0] > 0.1).tolist() == list(range(20, 30))
    assert both[:, 4].max() < 0.1  # one of them reversed, not both at once, which is that word again


def test_augmentation_makes_no_word_of_silence():
    assert {row % 4 for row in augmenter(silence=3).clips} == {0, 1, 2}


def test_augmentation_masks_begin_and_end_where_they_should():
    mask = _stretch(10, 3, np.array([0.999, 0.999, 0.5, 0.25, 0.2]), np.array([0.0, 0.999, 0.5, 0.999, 0.5]))
    assert [np.flatnonzero(row).tolist() for row in mask] == [[0, 1, 2], [7, 8, 9], [4, 5], [9], []]


def test_augmentation_masks_have_each_length_as_often_and_lie_anywhere():
    rng = np.random.default_rng(1)
    mask = _stretch(20, 6, rng.random(70_000), rng.random(70_000))
    lengths = np.bincount(mask.sum(axis=1), minlength=7)
    np.testing.assert_allclose(lengths, 10_000, atol=400)
    assert mask.any(axis=0).all()
    assert _stretch(4, 6, np.array([0.999]), np.array([0.5])).all()  # wider than what there is


def test_augmentation_ratios_must_be_ordered():
    with pytest.raises(ValueError, match="lowest_snr_db = 9 is above highest_snr_db = 3"):
        Augmentation(lowest_snr_db=9, highest_snr_db=3)


def test_augmentation_speed_stretches_about_the_middle():
    loud = augmenter(speed=0.3).batch(CLIPS, 0).max(axis=2) > -10
    places = [np.flatnonzero(row) for row in loud]
    assert len({len(row) for row in places}) > 2
    assert all(abs(row.mean() - 24.5) <= 0.5 for row in places)  # where the burst was


def test_augmentation_made_words_are_of_clips_equally_loud():
    made = augmenter()
    made.power = made.power.copy()
    made.power[1] *= 0.3
    made.power[6] *= 100
    rows = (np.array([row]) for row in (0, 1, 6))
    (word,) = made._made_words(*rows, np.array([0.95]), np.array([0.4]))
    np.testing.assert_allclose(word[25, [0, 4, 9]], 1.0, rtol=1e-3)  # bands of one clip alone


def test_augmentation_has_numbers_for_as_many_masks_as_are_allowed():
    most = augmenter(time_masks=7, band_masks=7, speed=0.1, noise_fraction=1)
    assert np.isfinite(most.batch(ROWS, 0)).all()
    with pytest.raises(ValueError, match="less than or equal to 7"):
        Augmentation(time_masks=8)


def test_augmentation_reverberation_may_be_short():
    short, longer = (
        augmenter(reverberation_fraction=1, longest_reverberation_ms=ms).batch(CLIPS, 0) for ms in (20, 100)
    )
    behind = (slice(None), 40)
    assert (short[behind] <= longer[behind]).all()
    assert (short[behind] < longer[behind]).any()
