"""What every pipeline file has, whatever its task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from seqpipe.config.section import Section
from seqpipe.config.training import Training

SEED_LIMIT = 2**31
SEARCHED = ("features", "model", "training")  # sections whose keys `seqpipe tune` may search


class Evaluation(Section):
    """What every report holds."""

    baseline: bool = Field(True, description="Also measure something simple, which the model has to beat.")
    bootstrap_samples: int = Field(2000, ge=100, description="Resamples behind the interval of a difference.")


class Export(Section):
    """Where and how a model is published."""

    directory: str = Field("saved_models", description="The artefact is published as DIRECTORY/NAME/VERSION.")
    version: int | None = Field(None, ge=1, description="Without it the next free number.")
    weight_bits: int | None = Field(
        None,
        ge=6,
        le=24,
        description="Significant bits that weights keep, of 24; a model is smaller for it, and much so from 8 down.",
    )


class DeviceExport(Export):
    """Of a task whose models have a LiteRT form."""

    lite: bool = Field(False, description="Also write LiteRT files for devices; needs pip install 'seqpipe[lite]'.")


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


def _task_is_named(schema: dict[str, Any]) -> None:
    """A task's own `task` has a default in Python, but a file names it."""
    schema["required"] = ["task", *(key for key in schema["required"] if key != "task")]


class Pipeline(Section):
    """What every pipeline file has; a task's own adds data, features and model."""

    model_config = ConfigDict(json_schema_extra=_task_is_named)

    task: str = Field(description="What the pipeline learns.")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Names the run directory and the artefact.")
    description: str = Field("", description="Stands in the card.")
    seed: int = Field(1, ge=0, lt=SEED_LIMIT, description="Of weights, order of rows and everything drawn.")
    run_directory: str = Field("runs", description="The run lives in RUN_DIRECTORY/NAME.")
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    export: Export = Export()
    tune: Tune | None = Field(None, description="Search space of `seqpipe tune`.")

    @model_validator(mode="after")
    def _exports_elsewhere(self) -> Pipeline:
        run = self.run_path
        if Path(self.export.directory).resolve().is_relative_to(run.resolve()):
            raise ValueError(
                f"export.directory = {self.export.directory} lies in the run directory {run}, which is hidden while an "
                "export is proved. Name a place outside it."
            )
        return self

    def for_later_seed(self, first: Pipeline) -> Pipeline:
        """This configuration where a run with another seed has done already what one run does for all."""
        return self

    @property
    def run_path(self) -> Path:
        return Path(self.run_directory) / self.name
