"""How a model is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from seqpipe.config.data import Source
from seqpipe.config.section import Section, Share


class Training(Section):
    """The loop that all tasks share."""

    epochs: int = Field(10, ge=1, description="Passes over the training rows, at most; see patience.")
    batch_size: int = Field(64, ge=1, description="Rows a step, over all workers.")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="How a gradient changes the weights.")
    learning_rate: float = Field(1e-3, gt=0, description="Its highest, once warmed up.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled decay; adamw only.")
    schedule: Literal["constant", "linear", "cosine"] = Field("constant", description="Course down to zero at the end.")
    warmup_steps: int = Field(0, ge=0, description="Steps of linear growth before the schedule.")
    clip_norm: float | None = Field(1.0, gt=0, description="Bound on the norm of all gradients together.")
    average_decay: Share = Field(
        0.0, description="Moving average of the weights, used to evaluate and export; closer at first. 0 is off."
    )
    patience: int | None = Field(None, ge=1, description="Stop after so many epochs without a better dev figure.")
    monitor: str = Field("loss", description="Dev figure the best epoch is chosen by.")
    precision: Literal["float32", "mixed_bfloat16"] = Field("float32", description="Of the arithmetic in training.")
    xla: Literal["auto", "always", "never"] = Field(
        "auto", description="XLA for the recurrent loops; auto: in long runs, where it is faster on the first batches."
    )
    save_every_steps: int = Field(200, ge=1, description="The position is saved so often, and after each epoch.")
    tensorboard: bool = Field(False, description="Write summaries for TensorBoard to the run directory.")

    measured_by: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """By dev figure: keys and sections that change what it measures, so that it cannot compare trials of `tune`."""

    @model_validator(mode="after")
    def _decay_needs_adamw(self) -> Training:
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(f'weight_decay = {self.weight_decay} needs optimizer = "adamw", not "{self.optimizer}".')
        return self

    def cannot_compare(self, key: str) -> str:
        """What is wrong with a search over a key that changes what the monitored figure measures; else nothing."""
        moved = {
            figure for figure, keys in self.measured_by.items() if any(f"{key}.".startswith(f"{k}.") for k in keys)
        }
        if self.monitor not in moved:
            return ""
        figures = get_args(type(self).model_fields["monitor"].annotation)
        other = next((f", or set training.monitor={figure}" for figure in figures if figure not in moved), "")
        return f"changes what the dev {self.monitor} measures, by which trials are compared. Leave it out{other}."


class SmoothedTraining(Training):
    """Training towards classes or pieces."""

    label_smoothing: Share = Field(0.0, description="Share of each target spread over all classes.")

    measured_by: ClassVar[Mapping[str, tuple[str, ...]]] = {"loss": ("training.label_smoothing",)}


class LabelTraining(SmoothedTraining):
    """Training towards one label a row."""

    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]] = Field(
        "none", description="balanced: each class weighs the same in the loss; or a weight for each class name."
    )
    monitor: Literal["accuracy", "loss"] = Field("accuracy", description="Dev figure the best epoch is chosen by.")

    measured_by: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "loss": ("training.label_smoothing", "training.class_weights"),
    }


class Pretraining(Section):
    """The encoder as a language model, before it learns the task."""

    source: Source | None = Field(
        None, description="More text of the same kind, its labels unused; the training rows are read in any case."
    )
    skip_held_back: bool = Field(
        False, description="Leave out texts that also stand in dev or test, instead of refusing the source."
    )
    epochs: int = Field(5, ge=1, description="Passes over the text.")
    batch_size: int = Field(32, ge=1, description="Chunks a step.")
    chunk_pieces: int = Field(256, ge=16, description="Texts are cut into chunks of so many pieces.")
    window: int = Field(4, ge=1, description="Pieces that a step of the encoder guesses.")
    sampled_pieces: int = Field(1024, ge=1, description="Pieces that a guess is scored against in training.")
    learning_rate: float = Field(2e-3, gt=0, description="Its highest, once warmed up.")
    warmup_steps: int = Field(200, ge=0, description="Steps of linear growth of the learning rate.")
    dropout: Share = Field(0.1, description="Dropout on embeddings.")
    save_every_steps: int = Field(1000, ge=1, description="The position is saved so often, and after each epoch.")
