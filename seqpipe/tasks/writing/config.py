"""Pipeline files of writing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from seqpipe.config.data import Column, Encoding, Source
from seqpipe.config.networks import Writer
from seqpipe.config.pipeline import Evaluation, Pipeline
from seqpipe.config.section import Fraction, Section
from seqpipe.config.training import Training
from seqpipe.text.characters import normalised


class WritingData(Section):
    """Plain text, .gz and .xz too."""

    train: Source | list[Source] = Field(description="files:PATH or builtin:NAME, or a list of them.")
    dev: Source | list[Source] | None = Field(None, description="Text to choose by; without it a part of train.")
    test: Source | list[Source] | None = Field(None, description="Text to report on at the end, never to choose by.")
    layout: Literal["stream", "lines"] = Field("stream", description="One long text, or a text on each line.")
    dev_fraction: Fraction = Field(
        0.1, gt=0, lt=1, description="Without dev: its share of train, the end of a stream or whole texts."
    )
    text_column: Column = Field(
        "text",
        description="Column or key (a.b is b inside a) that holds the texts of a table (.csv, .tsv, .jsonl, .json) or "
        "the TFDS feature; a number counts columns of files without a header.",
    )
    encoding: Encoding = Field("utf-8", description="Encoding of files.")


class WritingFeatures(Section):
    """What a text is read and written in."""

    units: Literal["characters", "pieces", "bytes"] = Field(
        "characters",
        description="characters; or SentencePiece pieces, or bytes of UTF-8: then none is unknown. Lengths count them.",
    )
    vocabulary_size: int = Field(
        1000, ge=300, le=64000, description="Of pieces, 256 byte pieces included; an upper bound."
    )
    min_count: int = Field(1, ge=1, description="Of characters: one that stands less often in train is unknown.")
    normalise: Literal["none", "NFC", "NFKC"] = Field(
        "none", description="Unicode form of the data; prompts are read as they come."
    )

    @model_validator(mode="after")
    def _of_units(self) -> WritingFeatures:
        for key, units in {"vocabulary_size": "pieces", "min_count": "characters"}.items():
            if self.units != units and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} is for units = {units}, not {self.units}. Leave it out.")
        return self


class Distillation(Section):
    """Writers that are trained first, like this one but of the next seeds; it learns their guesses beside the text."""

    teachers: int = Field(1, ge=1, le=16, description="How many; it learns the mean of what they guess.")
    fraction: Fraction = Field(
        0.5, gt=0, le=1, description="Share of each target that is the teachers' guess, the rest the text."
    )


class WritingTraining(Training):
    """How a writer is trained; batch_size is the number of streams read side by side."""

    batch_size: int = Field(32, ge=1, description="Streams side by side, or texts a step.")
    chunk_characters: int = Field(64, ge=2, description="Of a stream: units a step, through which gradients go.")
    epochs: int = Field(10, ge=1, description="Passes over the text, at most; see patience.")
    monitor: Literal["loss"] = Field("loss", description="Dev figure the best epoch is chosen by.")
    distillation: Distillation | None = Field(
        None, description="Teachers that are trained first, so that a run takes at least twice as long; null is none."
    )

    measured_by: ClassVar[Mapping[str, tuple[str, ...]]] = {"loss": ("features",)}


class Sampling(Section):
    """How `serving_default` writes, and what `seqpipe write` does unasked."""

    length: int = Field(400, ge=1, le=100_000, description="Most units: characters, pieces or bytes.")
    temperature: float = Field(
        0.8, ge=0, le=10, description="Below 1 the likely is likelier still; 0 always takes the likeliest."
    )
    top_k: int = Field(0, ge=0, description="Draw among so many likeliest; 0 is all.")
    top_p: Fraction = Field(0.95, gt=0, le=1, description="Draw among the likeliest that have this share; 1 is all.")
    min_p: Fraction = Field(
        0.0, ge=0, le=1, description="Draw none that is less likely than this share of the likeliest; 0 is all."
    )
    repetition_penalty: float = Field(1.0, ge=1, le=10, description="Against what stands there; 1 is none.")


class WritingEvaluation(Evaluation):
    """What the report on a writer holds."""

    window: int = Field(256, ge=2, description="Units of a cold window, whose reading begins with nothing before.")
    samples: int = Field(6, ge=1, description="Texts written for the report, from seeds 1, 2, 3 ...")
    block: int = Field(1000, ge=1, description="Of a stream: characters that are resampled together.")
    poems: int = Field(200, ge=1, description="With a form: texts of each length composed for the report.")


class Form(Section):
    """The form of texts that stand one on a line, such as poems; without it there is no `compose`."""

    lines: int = Field(4, ge=1, le=64, description="Lines of a text.")
    lengths: list[int] = Field(
        [5, 7], min_length=1, description="Characters that the lines of a text may have, all the same number."
    )
    marks: str = Field("，。，。", description="What closes each line: as many characters as lines.")
    rhyme_lines: list[int] = Field([], description="Which lines rhyme with each other, counted from 1.")
    rhyme: str = Field(
        "learned", description="What rhymes: learned from train, or a file with a group of characters on each line."
    )
    told_units: int = Field(32, ge=1, description="Size of each vector by which the network is told the form.")
    hidden_fraction: Fraction = Field(
        0.5, ge=0, le=1, description="Share of training texts of which the network is told nothing."
    )

    @model_validator(mode="after")
    def _lines_agree(self) -> Form:
        if len(self.marks) != self.lines:
            raise ValueError(
                f'marks = "{self.marks}" are {len(self.marks)}. Allowed: one for each of {self.lines} lines.'
            )
        wrong = [length for length in self.lengths if not 2 <= length <= 64]
        if wrong or len(set(self.lengths)) < len(self.lengths):
            raise ValueError(f"lengths = {self.lengths}. Allowed: different numbers of characters from 2 to 64.")
        numbers = self.rhyme_lines
        if numbers and (len(set(numbers)) < 2 or len(set(numbers)) < len(numbers)):
            raise ValueError(f"rhyme_lines = {numbers}. Allowed: two or more different lines, or none.")
        if any(not 1 <= number <= self.lines for number in numbers):
            raise ValueError(f"rhyme_lines = {numbers}. Allowed: lines from 1 to {self.lines}.")
        return self


class WritingPipeline(Pipeline):
    """A beginning in; what follows it out."""

    task: Literal["writing"] = "writing"
    data: WritingData
    features: WritingFeatures = WritingFeatures()
    model: Writer = Writer()
    training: WritingTraining = WritingTraining()
    form: Form | None = Field(None, description="The form of its texts; null is none.")
    sampling: Sampling = Sampling()
    evaluation: WritingEvaluation = WritingEvaluation()

    @model_validator(mode="after")
    def _whole_batches(self) -> WritingPipeline:
        if self.training.xla == "always":
            raise ValueError("training.xla = always is not for writing. Allowed: auto, never.")
        if self.form is not None and self.data.layout != "lines":
            raise ValueError("form needs data.layout = lines: a text on each line.")
        if self.form is not None and self.features.units != "characters":
            raise ValueError("form needs features.units = characters: it counts them.")
        if self.form is not None and (read := normalised(self.form.marks, self.features.normalise)) != self.form.marks:
            was = f"features.normalise = {self.features.normalise}"
            raise ValueError(f'form.marks = "{self.form.marks}" are "{read}" under {was}. Name those, or another.')
        return self
