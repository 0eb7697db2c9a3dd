import importlib.util

import numpy as np
import pytest

from pipelines import TONES
from seqpipe.config.sound import Synthesis
from seqpipe.errors import DataError
from seqpipe.sound.augmentation import Kind
from seqpipe.sound.synthesis import check_synthesis, synthesise
from seqpipe.tasks.speech_commands.config import CommandsData, SpeechCommandsPipeline
from seqpipe.tasks.speech_commands.data import read_commands
from seqpipe.tasks.speech_commands.task import SpeechCommands

FEW = Synthesis(of_each_command=2, other_words=40)


def spoken(synthesis=FEW, seed=1, unheard=()):
    return synthesise(synthesis, commands=["right", "turn_on"], unheard=unheard, clip_samples=16_000, seed=seed)


def test_synthesis_says_commands_and_other_words():
    words = [one.word for one in spoken()]
    assert words[:4] == ["right", "turn_on"] * 2
    assert len(set(words[4:])) == 40
    for one in spoken():
        loud = np.abs(one.samples.astype(int))
        assert one.samples.dtype == np.int16
        assert len(one.samples) == 16_000
        assert loud.max() > 3000  # -20 dB of full scale, and not silent
        assert np.median(loud) < loud.max() / 5


def test_synthesis_says_the_same_for_the_same_seed_alone():
    first, again, other = (np.stack([one.samples for one in spoken(seed=seed)]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_synthesis_says_no_word_that_sounds_like_a_command_or_an_unheard_word():
    many = Synthesis(of_each_command=0, other_words=3000, voices=["en-us"])
    words = {one.word for one in spoken(many, unheard=["two"])}
    assert len(words) == 3000
    assert not words & {"right", "write", "two", "too", "to"}
    assert {"left", "white", "house"} <= words


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"voices": ["en-us", "klingon-north"]}, '"klingon-north" is not a voice'),
        ({"language": "tlh"}, '"tlh" is not a language with a word list. Allowed: '),
    ],
)
def test_synthesis_names_what_it_has_not(changes, message):
    with pytest.raises(DataError, match=message):
        check_synthesis(Synthesis(**changes))


def test_synthesis_names_a_word_of_which_nothing_is_heard():
    few = Synthesis(of_each_command=1, other_words=0)
    with pytest.raises(DataError, match='says nothing for "_"'):
        synthesise(few, commands=["_"], unheard=(), clip_samples=16_000, seed=1)


def test_synthesis_that_is_not_installed_stops_the_check(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "espeakng_loader" else find(name))
    data = CommandsData(**TONES["data"], synthesis=Synthesis())
    with pytest.raises(DataError, match=r"pip install 'seqpipe\[synthesis\]'"):
        read_commands(data)


def test_training_rows_are_recordings_copies_synthesised_and_made_words():
    data = TONES["data"] | {"words": ["ba", "di"], "unknown_copies": 3, "made_unknown_fraction": 0.5, "synthesis": FEW}
    task = SpeechCommands(SpeechCommandsPipeline(**TONES | {"data": data}))
    task.read()
    recordings = task.splits.train
    others = int(np.sum(recordings.labels == 2))
    rows = task.examples("train").columns
    kinds, labels = np.asarray(rows["kind"]), np.asarray(rows["label"])
    assert np.sum(kinds == Kind.CLIP) == len(recordings) + 2 * others + 2 * 2 + 40
    assert np.sum(kinds == Kind.MADE) == round(0.5 * len(recordings))
    assert np.sum(kinds == Kind.SILENCE) == round(0.1 * len(recordings))
    assert np.sum((kinds == Kind.CLIP) & (labels == 2)) == 3 * others + 40
    for command in (0, 1):
        assert np.sum(labels == command) == np.sum(recordings.labels == command) + 2
    assert len(task.examples("dev")) == len(task.splits.dev) + round(0.1 * len(task.splits.dev))
