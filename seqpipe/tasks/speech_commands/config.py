"""Pipeline files of spoken commands."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from seqpipe.config.data import Data
from seqpipe.config.networks import RecogniserModel
from seqpipe.config.pipeline import DeviceExport, Evaluation, Pipeline
from seqpipe.config.section import Fraction
from seqpipe.config.sound import AudioFeatures, Augmentation, Synthesis
from seqpipe.config.training import LabelTraining


def _pattern(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}.") from error
    if groups != 1:
        raise ValueError(f"has {groups} groups; it must have one, which is the speaker, such as '^(.*)_nohash_'.")
    return value


def _composed(value: str) -> str:
    return unicodedata.normalize("NFC", value)


def _once(value: list[str] | None) -> list[str] | None:
    twice = next((word for place, word in enumerate(value or []) if word in (value or [])[:place]), None)
    if twice is not None:
        raise ValueError(f"names {twice} twice.")
    return value


Word = Annotated[str, AfterValidator(_composed)]  # é as one character, as folders are read
Pattern = Annotated[str, AfterValidator(_pattern)]


class CommandsData(Data):
    """Recordings of words, a folder for each word; of several commands, other words and noise."""

    words: Annotated[list[Word] | None, AfterValidator(_once)] = Field(
        None, min_length=2, description="The commands, in class order; without it every word that is not unknown."
    )
    unknown: list[Word] | None = Field(
        None, description="Words that are no command; without it every word that `words` does not name."
    )
    leave_out: list[Word] = Field([], description="Words that are not trained on, to measure words never heard.")
    speaker: Pattern | None = Field(
        None, description="Regular expression on a file's name; its group is the speaker. No speaker is in two splits."
    )
    noise_folder: Word = Field("_background_noise_", description="Folder of noise: silence, and what is mixed in.")
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


class CommandTraining(LabelTraining):
    """Training with augmentation."""

    augmentation: Augmentation = Augmentation()
    lead_in_ms: float | None = Field(
        None, gt=0, description="Ends of other clips before the clips of every other batch, as a stream has them."
    )
    logit_adjustment: Fraction = Field(
        0.0,
        ge=0,
        le=1,
        description="Taken off each class's score once trained: so much of the log of its share of the training rows. "
        "With 1 a common class is as likely as a rare one; rows of unknown words are many.",
    )
    distance_weight: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Commands' scores fall where a clip lies far from all of them: so many times the log of how many "
        "times farther than usual. Rejects words never heard.",
    )
    teachers: list[str] = Field(
        [],
        description="Published recognisers, by name or directory, whose answers (their mean) are learned too. A run "
        "keeps to the versions that it began with; for several seeds name them, such as saved_models/commands/6.",
    )
    teacher_fraction: Fraction = Field(
        0.7, gt=0, le=1, description="Share of each target that is the teachers' answer, the rest the label."
    )


class CommandEvaluation(Evaluation):
    """What the report on a recogniser holds."""

    baseline: bool = Field(True, description="Also train a linear SVM on coarse spectrograms of the same rows.")


class SpeechCommandsPipeline(Pipeline):
    """A recording in; one of several words, unknown or silence out."""

    task: Literal["speech_commands"] = "speech_commands"
    data: CommandsData
    features: AudioFeatures = AudioFeatures()
    model: RecogniserModel = RecogniserModel()
    training: CommandTraining = CommandTraining()
    evaluation: CommandEvaluation = CommandEvaluation()
    export: DeviceExport = DeviceExport()
