"""Parts that the models of several tasks are made of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seqpipe.config.pipeline import Fraction, Section


class TextFeatures(Section):
    """SentencePiece unigram with byte fallback, trained on the training split."""

    vocabulary_size: int = Field(
        8000, ge=300, le=64000, description="Pieces, 256 byte pieces included; an upper bound."
    )
    lowercase: bool = Field(False, description="Lower-case before cutting into pieces.")
    character_coverage: Fraction = Field(
        0.9995, gt=0, le=1, description="Share of characters that get pieces of their own."
    )
    max_pieces: int = Field(400, ge=1, le=100_000, description="A longer text is cut to so many pieces.")


class Embedding(Section):
    units: int = Field(64, ge=1, description="Size of a piece's vector.")
    dropout: Fraction = Field(0.1, ge=0, lt=1)
    locked_dropout: Fraction = Field(0.0, ge=0, lt=1, description="Share of a row's channels dropped at every step.")
    adversarial: float = Field(
        0.0, ge=0, description="Norm of adversarial noise over that of a row's embeddings; doubles a step's time."
    )


class Convolution(Section):
    """One convolution block: pad, convolve, normalise, activate, drop, add, pool."""

    filters: int = Field(ge=1)
    kernel_size: int = Field(3, ge=1, description="Steps a filter sees.")
    dilation: int = Field(1, ge=1, description="Distance between the steps a filter sees.")
    stride: int = Field(1, ge=1, description="Output step i stands at input step i * stride.")
    pool: int = Field(1, ge=1, description="Steps pooled into one after the activation; 1 pools nothing.")
    pool_kind: Literal["max", "average"] = "max"
    padding: Literal["same", "causal"] = Field("same", description="causal: a step sees no later step.")
    normalisation: Literal["none", "layer", "batch"] = "none"
    activation: Literal["relu", "gelu", "silu", "tanh", "linear"] = "relu"
    residual: bool = Field(False, description="Add the block's input to its output before pooling.")
    dropout: Fraction = Field(0.0, ge=0, lt=1)


class Recurrent(Section):
    cell: Literal["lstm", "gru", "simple"] = "gru"
    units: int = Field(64, ge=1, description="Size of the state, in each direction.")
    layers: int = Field(1, ge=1)
    bidirectional: bool = True
    dropout: Fraction = Field(0.0, ge=0, lt=1, description="Dropout on the input of each layer.")
    recurrent_dropout: Fraction = Field(0.0, ge=0, lt=1, description="Dropout on the state, one mask a sequence.")
    weight_dropout: Fraction = Field(
        0.0, ge=0, lt=1, description="Share of the recurrent weights dropped in a step of training."
    )
    locked_dropout: Fraction = Field(
        0.0, ge=0, lt=1, description="Share of a row's output channels dropped at every step."
    )
