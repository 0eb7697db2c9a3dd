"""Pipeline files of text classification."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from seqpipe.config.data import Column, Data, Source, TextFiles, columns_of_one_kind
from seqpipe.config.networks import Classifier
from seqpipe.config.pipeline import Evaluation, Pipeline
from seqpipe.config.section import Fraction
from seqpipe.config.text import TextFeatures
from seqpipe.config.training import LabelTraining, Pretraining


class LabelledText(TextFiles):
    """How labelled text is read."""

    text_column: Column = Field(
        "text",
        description="Column, JSON key (a.b is b inside a) or TFDS feature that holds the text; a number counts columns "
        "of files without a header.",
    )
    label_column: Column = Field("label", description="As text_column, for the label.")
    labels: dict[str, str] | None = Field(
        None, description="From a label in the data to a class name, in class order; other labels are errors."
    )
    format: Literal["auto", "csv", "tsv", "jsonl", "label_text", "folders"] = Field(  # type: ignore[assignment]
        "auto",
        description="auto: by the file's ending (.csv .tsv .jsonl; .txt is `label sentence`), .gz and .xz allowed. "
        "folders: a text in each .txt file, its label the folder's name.",
    )
    max_bad_fraction: Fraction = Field(0.0, ge=0, le=1, description="Stop when more than this share of rows is bad.")

    @model_validator(mode="after")
    def _columns_of_one_kind(self) -> LabelledText:
        columns_of_one_kind({"text_column": self.text_column, "label_column": self.label_column})
        return self


class ClassificationData(LabelledText, Data):
    """Labelled text to learn from, to choose by and to report on."""


class OtherDomain(LabelledText):
    """Labelled text of another kind than the training rows, with the same classes."""

    source: Source = Field(description="Where the rows come from: files:PATH, tfds:NAME or builtin:NAME.")


class TextEvaluation(Evaluation):
    """What the report on a text classifier holds."""

    baseline: bool = Field(True, description="Also train a linear SVM on TF-IDF of the same rows.")
    other_domains: dict[str, OtherDomain] = Field(
        {}, description="Name -> labelled text of another kind, to see how far the model carries; never chosen by."
    )


class ClassifierFeatures(TextFeatures):
    """Pieces, and what is read of a long text."""

    long_texts: Literal["head", "tail", "head_and_tail"] = Field(
        "head",
        description="What is read of a longer text: its beginning, its end, or a quarter from its beginning and the "
        "rest from its end.",
    )


class TextTraining(LabelTraining):
    """How a text classifier is trained."""

    pretrain: Pretraining | None = Field(
        None, description="Train the encoder as a language model first; a source alone may stand here."
    )

    @field_validator("pretrain", mode="before")
    @classmethod
    def _source_alone(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value


class TextClassificationPipeline(Pipeline):
    """A text in; one of several labels out."""

    task: Literal["text_classification"] = "text_classification"
    data: ClassificationData
    features: ClassifierFeatures = ClassifierFeatures()
    model: Classifier = Classifier()
    training: TextTraining = TextTraining()
    evaluation: TextEvaluation = TextEvaluation()

    def for_later_seed(self, first: Pipeline) -> TextClassificationPipeline:
        if self.training.pretrain is None:
            return self
        once = {
            "training": self.training.model_copy(update={"pretrain": None}),
            "model": self.model.model_copy(update={"start_from": str(first.run_path / "pretrain")}),
        }
        return self.model_copy(update=once, deep=True)

    @model_validator(mode="after")
    def _one_start(self) -> TextClassificationPipeline:
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
