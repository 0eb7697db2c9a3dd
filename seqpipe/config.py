"""The schema of a pipeline file: the only place where a default is written.

Each task joins the parts below to a `Pipeline` of its own; `pipeline_file.py` reads one. TensorFlow is never imported
here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from seqpipe.errors import nearest

Source = str
SCHEMES = ("files", "tfds", "builtin")
SEED_LIMIT = 2**31
SEARCHED = ("features", "model", "training")  # sections whose keys `seqpipe tune` may search
Fraction = float


class Section(BaseModel):
    """A part of a pipeline file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassificationData(Section):
    """Labelled text."""

    train: Source = Field(description="Where training rows come from: files:PATH, tfds:NAME or builtin:NAME.")
    dev: Source | None = Field(None, description="Rows to choose by; without it every dev_every-th training row.")
    test: Source | None = Field(None, description="Rows to report on at the end, never to choose by.")
    dev_every: int = Field(10, ge=2, description="Without dev: rows of train with index % dev_every == 0 are dev.")
    text_column: str = Field("text", description="Column, JSON key or TFDS feature that holds the text.")
    label_column: str = Field("label", description="Column, JSON key or TFDS feature that holds the label.")
    labels: dict[str, str] | None = Field(
        None, description="From a label in the data to a class name, in class order; other labels are errors."
    )
    format: Literal["auto", "csv", "tsv", "jsonl", "label_text"] = Field(
        "auto",
        description="auto: by the file's ending (.csv .tsv .jsonl; .txt is `label sentence`), .gz and .xz allowed.",
    )
    encoding: str = Field("utf-8", description="Encoding of files.")
    max_bad_fraction: Fraction = Field(0.0, ge=0, le=1, description="Stop when more than this share of rows is bad.")

    @field_validator("train", "dev", "test")
    @classmethod
    def _known_scheme(cls, value: str | None) -> str | None:
        if value is None:
            return None
        scheme, colon, rest = value.partition(":")
        if scheme not in SCHEMES or not colon or not rest:
            raise ValueError(
                f"is not a source. Allowed: files:PATH, tfds:NAME, builtin:NAME.{nearest(scheme, SCHEMES)}"
            )
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        import codecs

        try:
            codecs.lookup(value)
        except LookupError as error:
            raise ValueError("is not an encoding Python knows, such as utf-8, latin-1 or gb18030.") from error
        return value


class TextFeatures(Section):
    """SentencePiece unigram with byte fallback, trained on the training split."""

    vocabulary_size: int = Field(
        8000, ge=300, le=64000, description="Pieces, 256 byte pieces included; an upper bound."
    )
    lowercase: bool = Field(False, description="Lower-case before cutting into pieces.")
    character_coverage: Fraction = Field(
        0.9995, gt=0, le=1, description="Share of characters that get pieces of their own."
    )
    max_pieces: int = Field(400, ge=1, le=100_000, description="A longer text is cut to its first max_pieces pieces.")


class Embedding(Section):
    units: int = Field(64, ge=1, description="Size of a piece's vector.")
    dropout: Fraction = Field(0.1, ge=0, lt=1)


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


class Ngrams(Section):
    """A linear expert on n-grams of pieces beside the network, fitted before it trains."""

    longest: int = Field(3, ge=1, le=5, description="Pieces in the longest n-gram.")
    entries: int = Field(131_072, ge=1, le=4_000_000, description="N-grams kept: those in the most rows.")


class Classifier(Section):
    """Embedding -> convolutions -> recurrence -> pooling -> classes; or a model of the user's own."""

    builder: str | None = Field(None, description="module:function of your own that returns a keras.Model.")
    keras: str | None = Field(None, description="A saved .keras file of your own.")
    word_dropout: Fraction = Field(
        0.0, ge=0, lt=1, description="Share of pieces replaced by the unknown one in training."
    )
    embedding: Embedding = Embedding()
    convolution: list[Convolution] = [Convolution(filters=64)]
    recurrent: Recurrent | None = Recurrent()
    pooling: Literal["attention", "mean", "max"] = "attention"
    dropout: Fraction = Field(0.3, ge=0, lt=1, description="Dropout before the last layer.")
    ngrams: Ngrams | None = Field(None, description="Add a linear expert on n-grams to the network's scores.")

    @model_validator(mode="after")
    def _one_origin(self) -> Classifier:
        if self.builder is not None and self.keras is not None:
            raise ValueError("builder and keras exclude each other: name one.")
        if self.builder is not None and self.builder.count(":") != 1:
            raise ValueError(f'builder = "{self.builder}" is not module:function, such as mymodule:build.')
        return self


class Training(Section):
    epochs: int = Field(10, ge=1)
    batch_size: int = Field(64, ge=1, description="Rows a step, over all workers.")
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0, description="Decoupled decay; adamw only.")
    schedule: Literal["constant", "linear", "cosine"] = Field("constant", description="Course down to zero at the end.")
    warmup_steps: int = Field(0, ge=0, description="Steps of linear growth before the schedule.")
    clip_norm: float | None = Field(1.0, gt=0, description="Bound on the norm of all gradients together.")
    label_smoothing: Fraction = Field(0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] | dict[str, float] = Field(
        "none", description="balanced: each class weighs the same in the loss; or a weight for each class name."
    )
    average_decay: Fraction = Field(
        0.0,
        ge=0,
        lt=1,
        description="Moving average of the weights, used to evaluate and export; closer at first. 0 is off.",
    )
    patience: int | None = Field(None, ge=1, description="Stop after so many epochs without a better dev figure.")
    monitor: Literal["accuracy", "loss"] = Field("accuracy", description="Dev figure the best epoch is chosen by.")
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    xla: Literal["auto", "always", "never"] = Field(
        "auto", description="XLA for the recurrent loops; auto: in long runs, where it is faster on the first batches."
    )
    save_every_steps: int = Field(200, ge=1, description="The position is saved so often, and after each epoch.")
    tensorboard: bool = Field(False, description="Write summaries for TensorBoard to the run directory.")

    @model_validator(mode="after")
    def _decay_needs_adamw(self) -> Training:
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(f'weight_decay = {self.weight_decay} needs optimizer = "adamw", not "{self.optimizer}".')
        return self


class Evaluation(Section):
    baseline: bool = Field(True, description="Also train a TF-IDF linear SVM on the same rows.")
    bootstrap_samples: int = Field(2000, ge=100, description="Resamples behind the interval of a difference.")


class Export(Section):
    directory: str = Field("saved_models", description="The artefact is published as DIRECTORY/NAME/VERSION.")
    version: int | None = Field(None, ge=1, description="Without it the next free number.")


class Search(Section):
    """The values `seqpipe tune` tries for a key: a range, or choices."""

    low: int | float | None = Field(None, description="Lowest value tried.")
    high: int | float | None = Field(None, description="Highest value tried.")
    log: bool = Field(False, description="Even over orders of magnitude instead of over values.")
    choices: list[bool | int | float | str | None] | None = Field(None, description="The values tried, in no order.")

    @model_validator(mode="after")
    def _range_or_choices(self) -> Search:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("choices exclude low, high and log.")
            if len(self.choices) < 2 or any(self.choices.count(choice) > 1 for choice in self.choices):
                raise ValueError("choices must be two or more different values.")
            return self
        if self.low is None or self.high is None:
            raise ValueError("name low and high, or choices.")
        if self.low >= self.high:
            raise ValueError(f"low = {self.low} is not below high = {self.high}.")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs low above 0, not {self.low}.")
        return self


class Tune(Section):
    """What `seqpipe tune` searches; no other command uses it."""

    trials: int = Field(20, ge=1, description="Trainings of the search, pruned ones included; may grow later.")
    space: dict[str, Search] = Field(
        min_length=1, description="Dotted keys of features, model and training, each with low and high, or choices."
    )


class Pipeline(Section):
    """What every pipeline file has; a task's own adds data, features and model."""

    task: str
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Names the run directory and the artefact.")
    description: str = ""
    seed: int = Field(1, ge=0, lt=SEED_LIMIT)
    run_directory: str = Field("runs", description="The run lives in RUN_DIRECTORY/NAME.")
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    export: Export = Export()
    tune: Tune | None = Field(None, description="Search space of `seqpipe tune`.")

    @property
    def run_path(self) -> Path:
        return Path(self.run_directory) / self.name


class TextClassification(Pipeline):
    """A text in; one of several labels out."""

    task: Literal["text_classification"] = "text_classification"
    data: ClassificationData
    features: TextFeatures = TextFeatures()
    model: Classifier = Classifier()
