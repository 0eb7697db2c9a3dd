"""Pipeline files of spoken commands."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from seqpipe.config.data import Data
from seqpipe.config.parts import Recurrent
from seqpipe.config.pipeline import DeviceExport, Fraction, Pipeline, Section, Training

UNKNOWN = "unknown"
SILENCE = "silence"


def _pattern(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}.") from error
    if groups != 1:
        raise ValueError(f"has {groups} groups; it must have one, which is the speaker, such as '^(.*)_nohash_'.")
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]


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


class CommandsData(Data):
    """Recordings of words, a folder for each word; of several commands, other words and noise."""

    words: list[str] | None = Field(
        None, min_length=2, description="The commands, in class order; without it every word that is not unknown."
    )
    unknown: list[str] | None = Field(
        None, description="Words that are no command; without it every word that `words` does not name."
    )
    leave_out: list[str] = Field([], description="Words that are not trained on, to measure words never heard.")
    speaker: Pattern | None = Field(
        None, description="Regular expression on a file's name; its group is the speaker. No speaker is in two splits."
    )
    noise_folder: str = Field("_background_noise_", description="Folder of noise: silence, and what is mixed in.")
    silence_fraction: Fraction = Field(0.1, gt=0, lt=1, description="Rows of silence, as a share of all recordings.")
    made_unknown_fraction: Fraction = Field(
        0.3, ge=0, le=2, description="Training rows of unknown words made of other clips, as a share of all recordings."
    )
    unknown_copies: int = Field(
        1,
        ge=1,
        le=100,
        description="How often each recording of an unknown word is trained on, changed anew each time.",
    )
    synthesis: Synthesis | None = Field(None, description="Synthesised words beside the recordings of train.")


class AudioFeatures(Section):
    """Log-mel spectrogram of 16 kHz sound."""

    window_ms: float = Field(25.0, gt=0, le=32, description="Length of the Hann window.")
    hop_ms: float = Field(10.0, gt=0, le=32, description="Distance between two frames.")
    bands: int = Field(40, ge=8, le=128, description="Mel bands (Slaney's scale).")
    lowest_hz: float = Field(20.0, ge=0, lt=8000)
    highest_hz: float = Field(7600.0, gt=0, le=8000)
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
    lowest_snr_db: float = Field(0.0, description="Lowest ratio of signal to noise.")
    highest_snr_db: float = Field(30.0, description="Highest ratio of signal to noise.")
    gain_db: float = Field(12.0, ge=0, description="Louder or softer by up to so much.")
    speed: Fraction = Field(0.15, ge=0, lt=0.5, description="Faster or slower by up to this share.")
    pitch: Fraction = Field(0.1, ge=0, lt=0.5, description="Frequencies higher or lower by up to this share.")
    reverberation_fraction: Fraction = Field(0.3, ge=0, le=1, description="Share of clips that a room is put around.")
    longest_reverberation_ms: float = Field(600.0, gt=0, description="Longest time in which an echo falls by 60 dB.")
    time_masks: int = Field(2, ge=0, description="SpecAugment: stretches of time masked.")
    longest_time_mask_ms: float = Field(150.0, gt=0)
    band_masks: int = Field(2, ge=0, description="SpecAugment: stretches of mel bands masked.")
    widest_band_mask: int = Field(6, ge=1, description="Mel bands in the widest of them.")

    @model_validator(mode="after")
    def _ordered(self) -> Augmentation:
        if self.lowest_snr_db > self.highest_snr_db:
            raise ValueError(
                f"lowest_snr_db = {self.lowest_snr_db:g} is above highest_snr_db = {self.highest_snr_db:g}."
            )
        return self


class CommandTraining(Training):
    """Training with augmentation."""

    augmentation: Augmentation = Augmentation()
    lead_in_ms: float | None = Field(
        None, gt=0, description="Ends of other clips before the clips of every other batch, as a stream has them."
    )


class SpectrogramConvolution(Section):
    """One convolution over time and mel bands, with batch normalisation and ReLU."""

    filters: int = Field(ge=1)
    kernel_frames: int = Field(3, ge=1)
    kernel_bands: int = Field(3, ge=1)
    stride_frames: int = Field(1, ge=1)
    stride_bands: int = Field(2, ge=1)

    @model_validator(mode="after")
    def _sees_every_frame(self) -> SpectrogramConvolution:
        if self.stride_frames > self.kernel_frames:
            raise ValueError(
                f"stride_frames = {self.stride_frames} is above kernel_frames = {self.kernel_frames}: sound is lost."
            )
        return self


class CommandModel(Section):
    """Convolutions over the spectrogram -> projection -> recurrence -> attention -> classes."""

    streaming: bool = Field(False, description="Causal convolutions and a forward recurrence, and a stream signature.")
    convolution: list[SpectrogramConvolution] = Field(
        [
            SpectrogramConvolution(filters=24, kernel_frames=5, kernel_bands=5, stride_frames=2),
            SpectrogramConvolution(filters=40),
            SpectrogramConvolution(filters=56),
        ],
        min_length=1,
    )
    projection: int = Field(80, ge=1, description="Channels after the convolutions.")
    recurrent: Recurrent = Recurrent(units=56)
    pooling: Literal["attention", "mean", "max"] = "attention"
    dropout: Fraction = Field(0.3, ge=0, lt=1, description="Dropout before recurrence and last layer.")

    @model_validator(mode="after")
    def _streams_forwards(self) -> CommandModel:
        if self.streaming and self.recurrent.bidirectional:
            raise ValueError("streaming = true needs recurrent.bidirectional = false: a stream has no end.")
        if self.streaming and self.pooling == "max":
            raise ValueError('streaming = true needs pooling = "attention" or "mean".')
        if self.streaming and any(block.stride_frames > 1 for block in self.convolution[1:]):
            raise ValueError("streaming = true allows stride_frames in the first convolution only.")
        return self


class SpeechCommands(Pipeline):
    """A recording in; one of several words, unknown or silence out."""

    task: Literal["speech_commands"] = "speech_commands"
    data: CommandsData
    features: AudioFeatures = AudioFeatures()
    model: CommandModel = CommandModel()
    training: CommandTraining = CommandTraining()
    export: DeviceExport = DeviceExport()
