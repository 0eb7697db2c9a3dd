"""How sound becomes spectrograms, and how training clips are changed and synthesised."""

from __future__ import annotations

from pydantic import Field, model_validator

from seqpipe.config.section import Fraction, Section

UNKNOWN = "unknown"  # the class of words that are no command
SILENCE = "silence"  # the class of recordings in which nobody speaks


class Synthesis(Section):
    """Words said by a synthesiser, eSpeak NG, for training alone; needs pip install 'seqpipe[synthesis]'."""

    language: str = Field("en", description="Of the other words: the commonest ones of wordfreq's list.")
    voices: list[str] = Field(
        ["en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-029"],
        min_length=1,
        description="eSpeak NG's names; each speaks in about a hundred variants.",
    )
    of_each_command: int = Field(
        250, ge=0, le=10_000, description="Recordings of each command, which is said as its folder is called."
    )
    other_words: int = Field(4400, ge=0, le=100_000, description="Words that are no command, said once each.")


class AudioFeatures(Section):
    """Log-mel spectrogram of 16 kHz sound."""

    window_ms: float = Field(25.0, ge=1, le=32, description="Length of the Hann window.")
    hop_ms: float = Field(10.0, ge=1, le=32, description="Distance between two frames.")
    bands: int = Field(40, ge=8, le=128, description="Mel bands (Slaney's scale).")
    lowest_hz: float = Field(20.0, ge=0, lt=8000, description="Where the lowest band begins.")
    highest_hz: float = Field(7600.0, gt=0, le=8000, description="Where the highest band ends.")
    floor_db: float = Field(-60.0, ge=-100, le=0, description="Whatever is quieter counts as this.")
    clip_ms: float = Field(1000.0, ge=100, le=10_000, description="What the model sees at once.")

    @model_validator(mode="after")
    def _ordered(self) -> AudioFeatures:
        if self.lowest_hz >= self.highest_hz:
            raise ValueError(f"lowest_hz = {self.lowest_hz:g} is not below highest_hz = {self.highest_hz:g}.")
        if self.hop_ms > self.window_ms:
            raise ValueError(f"hop_ms = {self.hop_ms:g} is above window_ms = {self.window_ms:g}: sound would be lost.")
        return self


class Augmentation(Section):
    """Changes of training clips, each drawn from (seed, epoch, row); 0 switches one off."""

    shift_ms: float = Field(100.0, ge=0, description="Shift in time, up to so much either way.")
    noise_fraction: Fraction = Field(0.7, ge=0, le=1, description="Share of clips that noise is mixed into.")
    lowest_snr_db: float = Field(0.0, description="Lowest ratio of signal to noise, each the mean over mel bands.")
    highest_snr_db: float = Field(30.0, description="Highest ratio of signal to noise, likewise.")
    gain_db: float = Field(12.0, ge=0, description="Louder or softer by up to so much.")
    speed: Fraction = Field(0.15, ge=0, lt=0.5, description="Faster or slower by up to this share.")
    pitch: Fraction = Field(
        0.1,
        ge=0,
        lt=0.5,
        description="Mel bands higher or lower by up to this share: so much of frequencies below 1 kHz, three times as "
        "much of the highest.",
    )
    reverberation_fraction: Fraction = Field(0.3, ge=0, le=1, description="Share of clips that a room is put around.")
    longest_reverberation_ms: float = Field(600.0, gt=0, description="Longest time in which an echo falls by 60 dB.")
    time_masks: int = Field(2, ge=0, le=7, description="SpecAugment: stretches of time masked.")
    longest_time_mask_ms: float = Field(150.0, gt=0, description="The longest of them.")
    band_masks: int = Field(2, ge=0, le=7, description="SpecAugment: stretches of mel bands masked.")
    widest_band_mask: int = Field(6, ge=1, description="Mel bands in the widest of them.")

    @model_validator(mode="after")
    def _ordered(self) -> Augmentation:
        if self.lowest_snr_db > self.highest_snr_db:
            raise ValueError(
                f"lowest_snr_db = {self.lowest_snr_db:g} is above highest_snr_db = {self.highest_snr_db:g}."
            )
        return self
