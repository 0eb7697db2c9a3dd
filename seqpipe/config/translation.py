"""Pipeline files of translation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seqpipe.config.data import Data, Encoding
from seqpipe.config.parts import Convolution
from seqpipe.config.pipeline import Evaluation, Fraction, Pipeline, Section, Training


class TranslationData(Data):
    """Pairs of texts. Two parallel files stand in one source, separated by a comma: files:train.en,train.fr"""

    source_column: str | Annotated[int, Field(ge=1)] = Field(
        "source", description="Column, JSON key or TFDS feature; a number counts columns of files without a header."
    )
    target_column: str | Annotated[int, Field(ge=1)] = Field(
        "target", description="As source_column, for what it is translated into."
    )
    format: Literal["auto", "csv", "tsv", "jsonl"] = Field(
        "auto", description="Of a single file; auto: by its ending (.csv .tsv .jsonl), .gz and .xz allowed."
    )
    encoding: Encoding = Field("utf-8", description="Encoding of files.")
    max_length_ratio: float = Field(
        5.0, gt=1, description="Pairs whose sides differ more in length than so many times the usual are named."
    )

    @model_validator(mode="after")
    def _columns_of_one_kind(self) -> TranslationData:
        if isinstance(self.source_column, int) != isinstance(self.target_column, int):
            raise ValueError(
                f"source_column = {self.source_column!r} and target_column = {self.target_column!r}: "
                "both are names, or both are numbers."
            )
        return self


class TranslationFeatures(Section):
    """SentencePiece unigram with byte fallback, trained on the training split."""

    vocabulary_size: int = Field(
        4000, ge=300, le=64000, description="Pieces of each vocabulary, 256 byte pieces included; an upper bound."
    )
    lowercase: bool = Field(False, description="Lower-case both sides before cutting into pieces.")
    character_coverage: Fraction = Field(
        0.9995, gt=0, le=1, description="Share of characters that get pieces of their own."
    )
    max_pieces: int = Field(150, ge=1, le=100_000, description="Either side is cut to its first max_pieces pieces.")
    joint: bool = Field(True, description="One vocabulary for both languages instead of one for each.")
    split_fraction: Fraction = Field(
        0.0, ge=0, lt=1, description="Share of pieces cut in two at random, anew in each epoch of training."
    )


class PieceVectors(Section):
    units: int = Field(256, ge=1, description="Size of a piece's vector.")
    dropout: Fraction = Field(0.1, ge=0, lt=1)


class Encoder(Section):
    """Convolutions, then recurrent layers in both directions."""

    convolution: list[Convolution] = Field([], description="Blocks before the recurrence, without strides and pools.")
    cell: Literal["lstm", "gru"] = "gru"
    units: int = Field(128, ge=1, description="Size of the state in each direction.")
    layers: int = Field(1, ge=1)
    dropout: Fraction = Field(0.2, ge=0, lt=1, description="Dropout on the input of each layer, one mask a row.")
    recurrent_dropout: Fraction = Field(0.0, ge=0, lt=1, description="Dropout on the state, one mask a row.")
    weight_dropout: Fraction = Field(0.0, ge=0, lt=1, description="Share of the recurrent weights dropped.")

    @model_validator(mode="after")
    def _a_step_for_each_piece(self) -> Encoder:
        for block in self.convolution:
            if block.stride != 1 or block.pool != 1:
                raise ValueError(
                    f"convolution has stride = {block.stride}, pool = {block.pool}: alignments need a step for each "
                    "source piece. Allowed: stride 1, pool 1."
                )
        return self


class Decoder(Section):
    """Recurrent layers with attention above the first."""

    cell: Literal["lstm", "gru"] = "gru"
    units: int = Field(256, ge=1)
    layers: int = Field(1, ge=1)
    attention: Literal["luong", "bahdanau"] = "luong"
    input_feeding: bool = Field(False, description="Feed each step the output of the one before; slower to train.")
    dropout: Fraction = Field(0.2, ge=0, lt=1, description="Dropout on the input of each layer, one mask a row.")
    recurrent_dropout: Fraction = Field(0.0, ge=0, lt=1, description="Dropout on the state, one mask a row.")
    weight_dropout: Fraction = Field(0.0, ge=0, lt=1, description="Share of the recurrent weights dropped.")


class Seq2Seq(Section):
    """Embedding -> encoder -> decoder with attention -> pieces."""

    word_dropout: Fraction = Field(0.0, ge=0, lt=1, description="Share of pieces hidden in training, on both sides.")
    embedding: PieceVectors = PieceVectors()
    encoder: Encoder = Encoder()
    decoder: Decoder = Decoder()
    dropout: Fraction = Field(0.3, ge=0, lt=1, description="Dropout before the scores of the pieces.")
    tied: Literal["all", "target", "none"] = Field(
        "all", description="Which share one matrix: source, target and scores; target and scores; none."
    )
    max_ratio: float = Field(2.0, gt=0, description="A translation has at most max_ratio * source + max_extra pieces.")
    max_extra: int = Field(10, ge=1)


class TranslationTraining(Training):
    monitor: Literal["bleu", "loss"] = Field("bleu", description="Dev figure the best epoch is chosen by.")  # type: ignore[assignment]


class TranslationEvaluation(Evaluation):
    baseline: bool = Field(True, description="Also measure two baselines: copying, and the nearest training sentence.")
    bootstrap_samples: int = Field(1000, ge=100, description="Resamples behind each interval.")
    tokenize: Literal["13a", "zh", "ja-mecab", "ko-mecab", "char", "intl", "none"] = Field(
        "13a", description="sacreBLEU's tokenisation."
    )
    beam_width: int = Field(5, ge=1, le=512, description="Of the beam search reported beside greedy search.")
    length_penalty: float = Field(
        1.0, ge=0, le=10, description="Exponent of ((5 + pieces) / 6) that scores are divided by."
    )
    coverage_penalty: float = Field(0.0, ge=0, le=10, description="Weight of source pieces that were not looked at.")


class Translation(Pipeline):
    """A text in; its translation out."""

    task: Literal["translation"] = "translation"
    data: TranslationData
    features: TranslationFeatures = TranslationFeatures()
    model: Seq2Seq = Seq2Seq()
    training: TranslationTraining = TranslationTraining()
    evaluation: TranslationEvaluation = TranslationEvaluation()

    @model_validator(mode="after")
    def _tied_needs_joint(self) -> Translation:
        if self.model.tied == "all" and not self.features.joint:
            raise ValueError(
                "model.tied = all needs features.joint = true. Allowed with two vocabularies: target, none."
            )
        return self
