"""Pipeline files of text classification."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from seqpipe.config.data import Column, Data, Separator, Source, TextFiles, columns_of_one_kind
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
    label_separator: Separator | None = Field(
        None,
        description="One character between the labels of a text, which may then have several, one or none; JSON lists "
        "of labels are taken too. null: each text has one label.",
    )
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

    @field_validator("labels")
    @classmethod
    def _labels_have_names(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        if value is not None and not value:
            raise ValueError("is empty. Name a class for each label, or leave the key out.")
        for name in [text for pair in (value or {}).items() for text in pair]:
            if not name.strip() or name != name.strip():
                raise ValueError(f"holds {name!r}: labels and classes are not empty, and have no blanks around them.")
        return value

    @model_validator(mode="after")
    def _names_without_separator(self) -> LabelledText:
        sign = self.label_separator
        names = [name for name in (self.labels or {}).values() if sign is not None and sign in name]
        if names:
            raise ValueError(
                f"labels names a class {names[0]!r}, which holds label_separator = {sign!r}: name another."
            )
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

    monitor: Literal["accuracy", "micro_f1", "macro_f1", "loss"] = Field(  # type: ignore[assignment]
        "accuracy",
        description="Dev figure the best epoch is chosen by. With data.label_separator accuracy is the share of texts "
        "with all labels right, and micro_f1, which is only there then, is what is taken where none is named.",
    )
    pretrain: Pretraining | None = Field(
        None, description="Train the encoder as a language model first; a source alone may stand here."
    )

    @field_validator("pretrain", mode="before")
    @classmethod
    def _source_alone(cls, value: object) -> object:
        return {"source": value} if isinstance(value, str) else value


class TextClassificationPipeline(Pipeline):
    """A text in; one of several labels out, or with data.label_separator any number of them."""

    task: Literal["text_classification"] = "text_classification"
    data: ClassificationData
    features: ClassifierFeatures = ClassifierFeatures()
    model: Classifier = Classifier()
    training: TextTraining = TextTraining()
    evaluation: TextEvaluation = TextEvaluation()

    @property
    def several(self) -> bool:
        """Whether a text may have several labels, or none."""
        return self.data.label_separator is not None

    @model_validator(mode="before")
    @classmethod
    def _watched(cls, tree: Any) -> object:
        """Where texts have several labels and nothing is named to choose epochs by, micro F1."""
        data, training = (tree.get(key) for key in ("data", "training")) if isinstance(tree, dict) else (None, None)
        separator = data.get("label_separator") if isinstance(data, dict) else getattr(data, "label_separator", None)
        if separator is None or not isinstance(training, dict | None) or "monitor" in (training or {}):
            return tree
        return {**tree, "training": {**(training or {}), "monitor": "micro_f1"}}

    @model_validator(mode="after")
    def _one_label_or_several(self) -> TextClassificationPipeline:
        if self.several:
            return self
        if self.training.monitor in ("micro_f1", "macro_f1"):
            raise ValueError(f"training.monitor = {self.training.monitor} needs data.label_separator.")
        for name, domain in self.evaluation.other_domains.items():
            if domain.label_separator is not None:
                raise ValueError(
                    f"evaluation.other_domains.{name}.label_separator needs data.label_separator: the model answers "
                    "one label."
                )
        return self

    def for_later_seed(self, first: Pipeline) -> TextClassificationPipeline:
        if self.training.pretrain is None:
            return self
        embedding = self.model.embedding.model_copy(update={"vectors": None})  # it comes with the encoder
        started = {"start_from": str(first.run_path / "pretrain"), "embedding": embedding}
        once = {
            "training": self.training.model_copy(update={"pretrain": None}),
            "model": self.model.model_copy(update=started, deep=True),
        }
        return self.model_copy(update=once, deep=True)

    @model_validator(mode="after")
    def _one_start(self) -> TextClassificationPipeline:
        own = self.model.builder or self.model.keras
        if own and (self.training.pretrain or self.model.start_from):
            raise ValueError(f"training.pretrain and model.start_from need seqpipe's own encoder, not {own}.")
        if own and self.model.ngrams:
            raise ValueError(f"model.ngrams stands beside seqpipe's own network, not {own}: set it to null.")
        if self.training.pretrain and self.model.start_from:
            raise ValueError("training.pretrain and model.start_from exclude each other: name one.")
        if self.model.embedding.vectors and (own or self.model.start_from):
            raise ValueError(
                "model.embedding.vectors fills a new embedding; model.start_from and own models bring theirs."
            )
        return self
