"""Pipeline files of text classification."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from seqpipe.config.data import Data, Encoding, Source
from seqpipe.config.parts import Convolution, Embedding, Recurrent, TextFeatures
from seqpipe.config.pipeline import Evaluation, Fraction, Pipeline, Section, Training


class LabelledText(Section):
    """How labelled text is read."""

    text_column: str = Field("text", description="Column, JSON key or TFDS feature that holds the text.")
    label_column: str = Field("label", description="Column, JSON key or TFDS feature that holds the label.")
    labels: dict[str, str] | None = Field(
        None, description="From a label in the data to a class name, in class order; other labels are errors."
    )
    format: Literal["auto", "csv", "tsv", "jsonl", "label_text"] = Field(
        "auto",
        description="auto: by the file's ending (.csv .tsv .jsonl; .txt is `label sentence`), .gz and .xz allowed.",
    )
    encoding: Encoding = Field("utf-8", description="Encoding of files.")
    max_bad_fraction: Fraction = Field(0.0, ge=0, le=1, description="Stop when more than this share of rows is bad.")


class ClassificationData(LabelledText, Data):
    """Labelled text to learn from, to choose by and to report on."""


class OtherDomain(LabelledText):
    """Labelled text of another kind than the training rows, with the same classes."""

    source: Source = Field(description="Where the rows come from: files:PATH, tfds:NAME or builtin:NAME.")


class TextEvaluation(Evaluation):
    """What the report on a text classifier holds."""

    other_domains: dict[str, OtherDomain] = Field(
        {}, description="Name -> labelled text of another kind, to see how far the model carries; never chosen by."
    )


class ClassifierFeatures(TextFeatures):
    """Pieces, and what is read of a long text."""

    long_texts: Literal["head", "tail", "head_and_tail", "windows"] = Field(
        "head",
        description="What is read of a longer text: its beginning, its end, a quarter from its beginning and the rest "
        "from its end; or windows of max_pieces, up to eight, whose scores are pooled.",
    )


class Ngrams(Section):
    """A linear expert on n-grams of pieces beside the network, fitted before it trains."""

    longest: int = Field(3, ge=1, le=5, description="Pieces in the longest n-gram.")
    entries: int = Field(131_072, ge=1, le=4_000_000, description="N-grams kept: those in the most rows.")


class PieceEmbedding(Embedding):
    """Embedding of pieces."""

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
    word_dropout: Fraction = Field(
        0.0, ge=0, lt=1, description="Share of pieces replaced by the unknown one in training."
    )
    embedding: PieceEmbedding = PieceEmbedding()
    convolution: list[Convolution] = Field([Convolution(filters=64)], description="Blocks, one after another.")
    recurrent: Recurrent | None = Recurrent()
    pooling: Literal["attention", "attention_max", "mean", "max"] = "attention"
    dropout: Fraction = Field(0.3, ge=0, lt=1, description="Dropout before the last layer.")
    ngrams: Ngrams | None = Field(None, description="Add a linear expert on n-grams to the network's scores.")

    @model_validator(mode="after")
    def _one_origin(self) -> Classifier:
        if self.builder is not None and self.keras is not None:
            raise ValueError("builder and keras exclude each other: name one.")
        if self.builder is not None and self.builder.count(":") != 1:
            raise ValueError(f'builder = "{self.builder}" is not module:function, such as mymodule:build.')
        return self


class Pretraining(Section):
    """The encoder as a language model, before it learns the task."""

    source: Source | None = Field(
        None, description="More text of the same kind, its labels unused; the training rows are read in any case."
    )
    skip_held_back: bool = Field(
        False, description="Leave out texts that also stand in dev or test, instead of refusing the source."
    )
    epochs: int = Field(5, ge=1)
    batch_size: int = Field(32, ge=1, description="Chunks a step.")
    chunk_pieces: int = Field(256, ge=16, description="Texts are cut into chunks of so many pieces.")
    window: int = Field(4, ge=1, description="Pieces that a step of the encoder guesses.")
    sampled_pieces: int = Field(1024, ge=1, description="Pieces that a guess is scored against in training.")
    learning_rate: float = Field(2e-3, gt=0)
    warmup_steps: int = Field(200, ge=0)
    dropout: Fraction = Field(0.1, ge=0, lt=1, description="Dropout on embeddings.")
    save_every_steps: int = Field(1000, ge=1, description="The position is saved so often, and after each epoch.")


class TextTraining(Training):
    """How a text classifier is trained."""

    pretrain: Pretraining | None = Field(
        None, description="Train the encoder as a language model first; a source alone may stand here."
    )

    r_drop: float = Field(
        0.0, ge=0, description="Weight of the divergence between two passes with different dropout; 0 makes one pass."
    )

    @field_validator("pretrain", mode="before")
    @classmethod
    def _source_alone(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value


class TextClassification(Pipeline):
    """A text in; one of several labels out."""

    task: Literal["text_classification"] = "text_classification"
    data: ClassificationData
    features: ClassifierFeatures = ClassifierFeatures()
    model: Classifier = Classifier()
    training: TextTraining = TextTraining()
    evaluation: TextEvaluation = TextEvaluation()

    @model_validator(mode="after")
    def _one_start(self) -> TextClassification:
        own = self.model.builder or self.model.keras
        if own and (self.training.pretrain or self.model.start_from):
            raise ValueError(f"training.pretrain and model.start_from need seqpipe's own encoder, not {own}.")
        if self.training.pretrain and self.model.start_from:
            raise ValueError("training.pretrain and model.start_from exclude each other: name one.")
        if self.model.embedding.vectors and (own or self.model.start_from):
            raise ValueError(
                "model.embedding.vectors fills a new embedding; model.start_from and own models bring theirs."
            )
        return self
