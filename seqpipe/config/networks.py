"""What models are made of."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from seqpipe.config.data import Source
from seqpipe.config.section import Section, Share


class StepwiseConvolution(Section):
    """One convolution block with an output for each step: pad, convolve, normalise, activate, drop, add."""

    filters: int = Field(ge=1, description="Channels that come out.")
    kernel_size: int = Field(3, ge=1, description="Steps a filter sees.")
    dilation: int = Field(1, ge=1, description="Distance between the steps a filter sees.")
    padding: Literal["same", "causal"] = Field("same", description="causal: a step sees no later step.")
    normalisation: Literal["none", "layer", "batch"] = Field("none", description="After the convolution.")
    activation: Literal["relu", "gelu", "silu", "tanh", "linear"] = Field(
        "relu", description="After the normalisation."
    )
    residual: bool = Field(False, description="Add the block's input to its output before pooling.")
    dropout: Share = Field(0.0, description="Dropout after the activation.")


class Convolution(StepwiseConvolution):
    """One convolution block: pad, convolve, normalise, activate, drop, add, pool."""

    stride: int = Field(1, ge=1, description="Output step i stands at input step i * stride.")
    pool: int = Field(1, ge=1, description="Steps pooled into one after the activation; 1 pools nothing.")
    pool_kind: Literal["max", "average"] = Field("max", description="What pooled steps become.")

    @model_validator(mode="after")
    def _strided_or_dilated(self) -> Convolution:
        if self.stride > 1 and self.dilation > 1:
            raise ValueError(
                f"stride = {self.stride} and dilation = {self.dilation} exclude each other: one must be 1."
            )
        return self


class Recurrent(Section):
    """Recurrent layers, one above the other."""

    cell: Literal["lstm", "gru", "simple"] = Field("gru", description="simple: a plain recurrence without gates.")
    units: int = Field(64, ge=1, description="Size of the state, in each direction.")
    layers: int = Field(1, ge=1, description="One above the other.")
    bidirectional: bool = Field(True, description="One from each end, side by side.")
    dropout: Share = Field(0.0, description="Dropout on the input of each layer.")
    recurrent_dropout: Share = Field(0.0, description="Dropout on the state, one mask a sequence.")
    weight_dropout: Share = Field(0.0, description="Share of the recurrent weights dropped in a step of training.")


class Ngrams(Section):
    """A linear expert on n-grams of pieces beside the network, fitted before it trains."""

    longest: int = Field(3, ge=1, le=5, description="Pieces in the longest n-gram.")
    entries: int = Field(131_072, ge=1, le=4_000_000, description="N-grams kept: those that tell most of the labels.")


class PieceEmbedding(Section):
    """Embedding of pieces."""

    units: int = Field(64, ge=1, description="Size of a piece's vector.")
    dropout: Share = Field(0.1, description="Dropout on the vectors.")
    vectors: Source | None = Field(
        None, description="Word vectors to start from, files:PATH in word2vec's or GloVe's text form, .gz or .xz."
    )

    @field_validator("vectors")
    @classmethod
    def _vectors_are_files(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("files:"):
            raise ValueError(f'= "{value}" is no file. Allowed: files:PATH; nothing is downloaded.')
        return value


class Classifier(Section):
    """Embedding -> convolutions -> recurrence -> pooling -> classes; or a model of the user's own."""

    builder: str | None = Field(None, description="module:function of your own that returns a keras.Model.")
    keras: str | None = Field(None, description="A saved .keras file of your own.")
    start_from: str | None = Field(
        None,
        description="A run directory, or its pretrain directory: start from the encoder kept there, with its pieces; "
        "of features only max_pieces and long_texts count then.",
    )
    word_dropout: Share = Field(0.0, description="Share of pieces replaced by the unknown one in training.")
    embedding: PieceEmbedding = PieceEmbedding()
    convolution: list[Convolution] = Field([Convolution(filters=64)], description="Blocks, one after another.")
    recurrent: Recurrent | None = Recurrent()
    pooling: Literal["attention", "attention_max", "mean", "max"] = Field(
        "attention", description="How a row of steps becomes one vector."
    )
    dropout: Share = Field(0.3, description="Dropout before the last layer.")
    ngrams: Ngrams | None = Field(None, description="Add a linear expert on n-grams to the network's scores.")

    @model_validator(mode="after")
    def _one_origin(self) -> Classifier:
        if self.builder is not None and self.keras is not None:
            raise ValueError("builder and keras exclude each other: name one.")
        if self.builder is not None and not re.fullmatch(r"[^:]+:[^:]+", self.builder):
            raise ValueError(f'builder = "{self.builder}" is not module:function, such as mymodule:build.')
        return self


class SpectrogramConvolution(Section):
    """One convolution over time and mel bands, with batch normalisation and ReLU."""

    filters: int = Field(ge=1, description="Channels that come out.")
    kernel_frames: int = Field(3, ge=1, description="Frames a filter sees.")
    kernel_bands: int = Field(3, ge=1, description="Bands a filter sees.")
    stride_frames: int = Field(1, ge=1, description="Frames from one output to the next.")
    stride_bands: int = Field(2, ge=1, description="Bands from one output to the next.")

    @model_validator(mode="after")
    def _sees_every_frame(self) -> SpectrogramConvolution:
        if self.stride_frames > self.kernel_frames:
            raise ValueError(
                f"stride_frames = {self.stride_frames} is above kernel_frames = {self.kernel_frames}: sound is lost."
            )
        return self


class RecogniserRecurrent(Recurrent):
    """Recurrent layers over sound."""

    units: int = Field(56, ge=1, description="Size of the state, in each direction.")
    dropout: Share = Field(0.3, description="Dropout on the input of each layer.")


class RecogniserModel(Section):
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
    recurrent: RecogniserRecurrent = RecogniserRecurrent()
    pooling: Literal["attention", "mean", "max"] = Field(
        "attention", description="How a row of steps becomes one vector."
    )
    dropout: Share = Field(0.3, description="Dropout before the last layer.")

    @model_validator(mode="after")
    def _streams_forwards(self) -> RecogniserModel:
        if self.streaming and self.recurrent.bidirectional:
            raise ValueError("streaming = true needs recurrent.bidirectional = false: a stream has no end.")
        if self.streaming and self.pooling == "max":
            raise ValueError('streaming = true needs pooling = "attention" or "mean".')
        if self.streaming and any(block.stride_frames > 1 for block in self.convolution[1:]):
            raise ValueError("streaming = true allows stride_frames in the first convolution only.")
        return self


class PieceVectors(Section):
    """Vectors of pieces, on both sides."""

    units: int = Field(256, ge=1, description="Size of a piece's vector.")
    dropout: Share = Field(0.1, description="Dropout on the vectors.")


class Encoder(Section):
    """Convolutions, then recurrent layers in both directions."""

    convolution: list[StepwiseConvolution] = Field([], description="Blocks before the recurrence.")
    cell: Literal["lstm", "gru"] = Field("gru", description="Of each layer.")
    units: int = Field(128, ge=1, description="Size of the state in each direction.")
    layers: int = Field(1, ge=1, description="One above the other.")
    dropout: Share = Field(0.2, description="Dropout on the input of each layer, one mask a row.")
    recurrent_dropout: Share = Field(0.0, description="Dropout on the state, one mask a row.")
    weight_dropout: Share = Field(0.0, description="Share of the recurrent weights dropped.")


class Decoder(Section):
    """Recurrent layers with attention above the first."""

    cell: Literal["lstm", "gru"] = Field("gru", description="Of each layer.")
    units: int = Field(256, ge=1, description="Size of the state.")
    layers: int = Field(1, ge=1, description="One above the other.")
    attention: Literal["luong", "bahdanau"] = Field(
        "luong", description="luong: a product of state and source; bahdanau: a small network of both."
    )
    input_feeding: bool = Field(False, description="Feed each step the output of the one before; slower to train.")
    dropout: Share = Field(
        0.2,
        description="Dropout on the input of each layer, one mask a row; of the first one alone with input_feeding.",
    )
    recurrent_dropout: Share = Field(0.0, description="Dropout on the state, one mask a row.")
    weight_dropout: Share = Field(0.0, description="Share of the recurrent weights dropped.")

    @model_validator(mode="after")
    def _fed_without_dropout(self) -> Decoder:
        if self.input_feeding and (self.recurrent_dropout or self.weight_dropout):
            raise ValueError("input_feeding = true needs recurrent_dropout = 0 and weight_dropout = 0.")
        return self


class Seq2Seq(Section):
    """Embedding -> encoder -> decoder with attention -> pieces."""

    word_dropout: Share = Field(0.0, description="Share of pieces hidden in training, on both sides.")
    embedding: PieceVectors = PieceVectors()
    encoder: Encoder = Encoder()
    decoder: Decoder = Decoder()
    dropout: Share = Field(0.3, description="Dropout before the scores of the pieces.")
    tied: Literal["all", "target", "none"] = Field(
        "all", description="Which share one matrix: source, target and scores; target and scores; none."
    )
    max_ratio: float = Field(2.0, gt=0, description="A translation has at most max_ratio * source + max_extra pieces.")
    max_extra: int = Field(10, ge=1, description="See max_ratio.")


class WriterEmbedding(Section):
    """Vectors of characters."""

    units: int = Field(64, ge=1, description="Size of a character's vector.")
    dropout: Share = Field(0.0, description="Share of its channels dropped, the same at every step.")


class WriterRecurrent(Section):
    """Recurrent layers that carry their state from chunk to chunk."""

    cell: Literal["lstm", "gru"] = Field("lstm", description="Of each layer.")
    units: int = Field(512, ge=1, description="Size of the state.")
    layers: int = Field(1, ge=1, le=8, description="One above the other.")
    dropout: Share = Field(0.0, description="Share of channels dropped between layers, at every step.")
    weight_dropout: Share = Field(0.0, description="Share of the recurrent weights dropped.")


class Writer(Section):
    """Embedding -> recurrent layers that carry their state -> scores of the next character."""

    embedding: WriterEmbedding = WriterEmbedding()
    recurrent: WriterRecurrent = WriterRecurrent()
    dropout: Share = Field(0.3, description="Share of channels dropped before the scores.")
    tied: bool = Field(False, description="Characters have one vector for reading and for scores.")
