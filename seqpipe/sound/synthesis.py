"""Words said by a synthesiser, eSpeak NG: commands in other voices, and very many words that are no command.

Recordings of words that are no command are few, and a recogniser takes what it never heard for what it knows. A
synthesiser says any word. Its voices are no people, so that it says commands too: what tells the two apart must not be
who speaks (Lin et al., 2020, arXiv:2002.01322, train on synthesised speech alone).
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqpipe.config.sound import Synthesis
from seqpipe.errors import DataError, not_allowed
from seqpipe.sound.recordings import INT16, resampled

NEEDED = ("espeakng_loader", "wordfreq")
WORDS_A_MINUTE = (110, 190)
PITCH = (25, 75)  # of 0 to 100; 50 is the voice's own
LEVEL_DB = (-20.0, -1.0)  # of the loudest sample
NOISE_DB = (-80.0, -46.0)  # of the recording's own noise
HEARD = 0.02  # of the loudest sample: what is softer, at either end, is cut off


@dataclass(frozen=True, slots=True)
class Spoken:
    """A synthesised word.

    samples: int16 [clip_samples], 16 kHz.
    """

    word: str
    samples: np.ndarray


def check_synthesis(synthesis: Synthesis) -> None:
    """Raises DataError: the extra is not installed, or it has no such voice or word list."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise DataError(
            f"data.synthesis needs eSpeak NG and a word list: pip install 'seqpipe[synthesis]' ({missing[0]})."
        )
    _common_words(synthesis.language, 1)
    espeak = Espeak()
    for voice in synthesis.voices:
        espeak.choose(voice)


def synthesise(
    synthesis: Synthesis, *, commands: Sequence[str], unheard: Iterable[str], clip_samples: int, seed: int
) -> list[Spoken]:
    """Recordings of each command, and one of each of many other words; the same for the same arguments.

    Args:
        commands: said as they are spelt, `_` as a space.
        unheard: words that must not be said, nor any word that sounds like one of them.
        clip_samples: of a recording.
    Raises:
        DataError: there is no such voice or word list, or a word of which nothing can be heard.
    """
    espeak, rng = Espeak(), np.random.default_rng([seed, 5])
    words = [*commands] * synthesis.of_each_command + _other_words(espeak, synthesis, {*commands, *unheard})
    return [Spoken(word, _recording(espeak, rng, synthesis.voices, word, clip_samples)) for word in words]


def _other_words(espeak: Espeak, synthesis: Synthesis, unwanted: set[str]) -> list[str]:
    """The commonest words first, without any that sounds like an unwanted one in any of the voices."""
    # Some of the list are numbers, single letters, or sound like an unwanted word.
    common = _common_words(synthesis.language, 2 * synthesis.other_words + 1000)
    words = [word for word in common if word.isalpha() and len(word) > 1]
    for voice in synthesis.voices:
        sounds = set(espeak.pronunciations(voice, sorted(unwanted)))
        pronounced = zip(words, espeak.pronunciations(voice, words), strict=True)
        words = [word for word, sound in pronounced if sound not in sounds]
    return words[: synthesis.other_words]


def _recording(espeak: Espeak, rng: np.random.Generator, voices: list[str], word: str, clip_samples: int) -> np.ndarray:
    """int16 [clip_samples]: the word somewhere in it, at some level, in some noise."""
    voice, variant = rng.choice(voices), rng.choice(espeak.variants)
    rate, pitch = int(rng.integers(*WORDS_A_MINUTE)), int(rng.integers(*PITCH))
    said = espeak.say(word.replace("_", " "), f"{voice}+{variant}", words_a_minute=rate, pitch=pitch)
    said = resampled(said, espeak.rate_hz)
    loud = np.flatnonzero(np.abs(said) > HEARD * np.abs(said).max(initial=0.0))
    if not len(loud):
        raise DataError(f'data.synthesis: eSpeak NG says nothing for "{word}" in the voice {voice}+{variant}.')
    said = said[loud[0] : loud[-1] + 1][:clip_samples]
    clip = rng.standard_normal(clip_samples) * 10 ** (rng.uniform(*NOISE_DB) / 20)
    start = int(rng.uniform(0.2, 0.8) * (clip_samples - len(said)))
    clip[start : start + len(said)] += said / np.abs(said).max() * 10 ** (rng.uniform(*LEVEL_DB) / 20)
    return np.clip(np.round(clip * INT16), -INT16, INT16 - 1).astype(np.int16)


def _common_words(language: str, count: int) -> list[str]:
    import wordfreq

    known = wordfreq.available_languages()
    if language not in known:
        raise DataError(f"data.synthesis.language: {not_allowed(language, 'language with a word list', sorted(known))}")
    return wordfreq.top_n_list(language, count)


class Espeak:
    """eSpeak NG's library, as if the process had just begun.

    Its voices waver by numbers that one word leaves to the next, and that no call sets back. So a copy of the library
    is loaded, which has variables of its own: the same words in the same order sound the same.
    """

    SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: to the callback, before the call returns
    DO_NOT_EXIT = 0x8000  # else it ends the process where its data are missing
    UTF_8 = 1
    IPA = 0x02
    RATE, PITCH = 1, 3  # espeak_PARAMETER
    CHARACTERS = 1  # espeak_POSITION_TYPE

    def __init__(self) -> None:
        import espeakng_loader

        library = Path(espeakng_loader.get_library_path())
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:  # Windows keeps what is loaded
            self.library = ctypes.CDLL(shutil.copy(library, directory))
        data = Path(espeakng_loader.get_data_path())
        # A voice that breathes sounds another way each time: eSpeak NG filters its noise by what was in memory before.
        voices = sorted((data / "voices" / "!v").iterdir())
        self.variants = [path.name for path in voices if b"breath" not in path.read_bytes()]
        self.rate_hz = self.library.espeak_Initialize(self.SYNCHRONOUS, 0, str(data).encode(), self.DO_NOT_EXIT)
        if self.rate_hz <= 0:
            raise DataError(f"data.synthesis: eSpeak NG does not start with its data in {data}.")
        if hasattr(self.library, "srand"):  # C's own, where it can be reached through the library: not on Windows
            self.library.srand(1)
        self._pieces: list[np.ndarray] = []
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._callback = callback(self._take)  # kept, since C holds no reference
        self.library.espeak_SetSynthCallback(self._callback)
        self.library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        number, pointer = ctypes.c_uint, ctypes.c_void_p
        self.library.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, number, ctypes.c_int, number, number, pointer, pointer
        ]  # fmt: skip

    def _take(self, samples: object, count: int, events: int | None) -> int:
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0  # go on

    def choose(self, voice: str) -> None:
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise DataError(
                f'data.synthesis.voices: "{voice}" is not a voice of eSpeak NG, such as en-us, en, de or fr.'
            )

    def say(self, text: str, voice: str, *, words_a_minute: int, pitch: int) -> np.ndarray:
        """float32 [samples], rate_hz."""
        self.choose(voice)
        self.library.espeak_SetParameter(self.RATE, words_a_minute, 0)
        self.library.espeak_SetParameter(self.PITCH, pitch, 0)
        self._pieces.clear()
        encoded = text.encode() + b"\0"
        self.library.espeak_Synth(encoded, len(encoded), 0, self.CHARACTERS, 0, self.UTF_8, None, None)
        self.library.espeak_Synchronize()
        return np.concatenate([np.zeros(0, np.int16), *self._pieces]).astype(np.float32) / INT16

    def pronunciations(self, voice: str, texts: Iterable[str]) -> list[str]:
        """In the International Phonetic Alphabet, without stress."""
        self.choose(voice)
        return [self._pronunciation(text) for text in texts]

    def _pronunciation(self, text: str) -> str:
        rest = ctypes.c_char_p(text.replace("_", " ").encode())
        said = self.library.espeak_TextToPhonemes(ctypes.byref(rest), self.UTF_8, self.IPA).decode()
        return said.translate({ord(mark): None for mark in "ˈˌ "})
