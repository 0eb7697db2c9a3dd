"""Pipeline files of translation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from seqpipe.config.data import Column, Data, TextFiles, columns_of_one_kind
from seqpipe.config.networks import Seq2Seq
from seqpipe.config.pipeline import Evaluation, Pipeline
from seqpipe.config.section import Fraction
from seqpipe.config.text import TextFeatures
from seqpipe.config.training import SmoothedTraining


class TranslationData(TextFiles, Data):
    """Pairs of texts. Two parallel files stand in one source, separated by a comma: files:train.en,train.fr"""

    source_column: Column = Field(
        "source",
        description="Column, JSON key (a.b is b inside a) or TFDS feature; a number counts columns of files without a "
        "header.",
    )
    target_column: Column = Field("target", description="As source_column, for what it is translated into.")
    max_length_ratio: float = Field(
        5.0, gt=1, description="Pairs whose sides differ more in length than so many times the usual are named."
    )

    @model_validator(mode="after")
    def _columns_of_one_kind(self) -> TranslationData:
        columns_of_one_kind({"source_column": self.source_column, "target_column": self.target_column})
        return self


class TranslationFeatures(TextFeatures):
    """Pieces of both sides."""

    vocabulary_size: int = Field(
        4000, ge=300, le=64000, description="Pieces of each vocabulary, 256 byte pieces included; an upper bound."
    )
    lowercase: bool = Field(False, description="Lower-case both sides before cutting into pieces.")
    max_pieces: int = Field(150, ge=1, le=100_000, description="Either side is cut to its first max_pieces pieces.")
    joint: bool = Field(True, description="One vocabulary for both languages instead of one for each.")
    split_fraction: Fraction = Field(
        0.0, ge=0, lt=1, description="Share of pieces cut in two at random, anew in each epoch of training."
    )


class TranslationTraining(SmoothedTraining):
    """How a translator is trained."""

    monitor: Literal["bleu", "loss"] = Field("bleu", description="Dev figure the best epoch is chosen by.")

    measured_by: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "loss": (
            "training.label_smoothing",
            *(
                f"features.{key}"
                for key in ("vocabulary_size", "character_coverage", "lowercase", "max_pieces", "joint")
            ),
        )
    }


class TranslationEvaluation(Evaluation):
    """What the report on a translator holds."""

    baseline: bool = Field(True, description="Also measure two baselines: copying, and the nearest training sentence.")
    bootstrap_samples: int = Field(1000, ge=100, description="Resamples behind each interval.")
    tokenize: Literal["13a", "zh", "ja-mecab", "ko-mecab", "char", "intl", "none"] = Field(
        "13a", description="sacreBLEU's tokenisation."
    )
    beam_width: int = Field(5, ge=1, le=512, description="Of the beam search reported beside greedy search.")
    length_penalty: float = Field(
        1.0, ge=0, le=10, description="Exponent of ((5 + pieces) / 6) that scores are divided by."
    )


class TranslationPipeline(Pipeline):
    """A text in; its translation out."""

    task: Literal["translation"] = "translation"
    data: TranslationData
    features: TranslationFeatures = TranslationFeatures()
    model: Seq2Seq = Seq2Seq()
    training: TranslationTraining = TranslationTraining()
    evaluation: TranslationEvaluation = TranslationEvaluation()

    @model_validator(mode="after")
    def _tied_needs_joint(self) -> TranslationPipeline:
        if self.model.tied == "all" and not self.features.joint:
            raise ValueError(
                "model.tied = all needs features.joint = true. Allowed with two vocabularies: target, none."
            )
        return self
