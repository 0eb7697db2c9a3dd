"""Tasks: one file each, saying what is its own and nothing else; registering is a line in the dictionary below."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Union, runtime_checkable

from seqpipe.config import file as pipeline_file
from seqpipe.config.pipeline import Pipeline
from seqpipe.errors import ConfigError, not_allowed
from seqpipe.tasks.speech_commands.config import SpeechCommandsPipeline
from seqpipe.tasks.text_classification.config import TextClassificationPipeline
from seqpipe.tasks.translation.config import TranslationPipeline

if TYPE_CHECKING:
    import keras

    from seqpipe.data.examples import Examples
    from seqpipe.data.findings import Finding
    from seqpipe.export.lite import LiteFiles
    from seqpipe.export.publish import Artefact


class Task(Protocol):
    """What a pipeline needs from a task; `seqpipe.training.loop.Objective` names the three methods that training calls.

    A task is made from its configuration, then filled: `read` first, then `fit_features` or `load_features`.
    """

    name: ClassVar[str]  # permanent: it stands in pipeline files and artefacts

    def __init__(self, config: Any): ...

    def read(self) -> list[Finding]:
        """Read and validate all splits; raise DataError with every error at once, return what else was found."""

    def data_key(self) -> str:
        """A hash of what was read."""

    def fit_features(self, directory: Path) -> None:
        """Fit features on the training split and save them."""

    def load_features(self, directory: Path) -> None:
        """Take up what `fit_features` saved."""

    def examples(self, split: str) -> Examples:
        """What the model eats; computed once and cached by the caller."""

    def build(self) -> keras.Model: ...

    def forward(self, model: Any, batch: dict[str, Any], training: bool) -> Any: ...

    def loss(self, batch: dict[str, Any], outputs: Any) -> Any: ...

    def metrics(self, batch: dict[str, Any], outputs: Any) -> dict[str, Any]: ...

    def evaluate(self, model: Any, examples: dict[str, Examples], directory: Path) -> dict[str, Any]:
        """Write report.json, report.md and pictures to the directory; return the report."""

    def headline(self, report: dict[str, Any]) -> str:
        """The report's main figure in one line, with interval."""

    def describe(self, report: dict[str, Any]) -> str:
        """The report as Markdown sections of level three, for the card."""

    def limits(self) -> list[str]:
        """What the model is not for, one sentence each, for the card."""

    def artefact(self, model: Any, report: dict[str, Any], version: int) -> Artefact:
        """Signatures, probes and reference answers for export and proof."""


@runtime_checkable
class Pretrained(Protocol):
    """What a task has beyond `Task` if its encoder can be trained without labels first, or kept for other pipelines."""

    def pretrain(
        self, directory: Path, *, say: Callable[[str], None], callbacks: Callable[[int, int], Sequence[Any]]
    ) -> str | None:
        """Train from wherever the last process left it; say what was reached, or None where nothing is asked for."""

    def load_pretrained(self, directory: Path) -> None:
        """Take up what `pretrain` left, so that `build` starts from it."""

    def keep_encoder(self, model: Any, directory: Path) -> None:
        """Save the encoder of a trained model for other pipelines."""


@runtime_checkable
class OnDevice(Protocol):
    """What a task has beyond `Task` if its artefacts have a LiteRT form."""

    def lite(self, artefact: Path, *, at_hand: bool) -> LiteFiles:
        """LiteRT files of an exported model, proved against it on dev if the data is at hand, else on probes."""


@dataclass(frozen=True)
class Registered:
    """A task by its two halves: what a pipeline file of it holds, and where its class is (imported when it is used)."""

    pipeline: type[Pipeline]
    place: str

    def make(self, config: Pipeline) -> Task:
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(module), name)(config)


TASKS = {
    "speech_commands": Registered(SpeechCommandsPipeline, "seqpipe.tasks.speech_commands.task:SpeechCommands"),
    "text_classification": Registered(
        TextClassificationPipeline, "seqpipe.tasks.text_classification.task:TextClassification"
    ),
    "translation": Registered(TranslationPipeline, "seqpipe.tasks.translation.task:Translation"),
}


def make_task(config: Pipeline) -> Task:
    return TASKS[config.task].make(config)


def load_pipeline(file: str | Path, overrides: list[str] | None = None) -> pipeline_file.Loaded:
    """Read a pipeline file; see `seqpipe.config.load`."""
    return pipeline_file.load(file, overrides or [], schemas())


def schemas() -> dict[str, type[Pipeline]]:
    return {name: task.pipeline for name, task in TASKS.items()}


def json_schema(task: str | None = None) -> dict[str, Any]:
    """The JSON schema of a pipeline file of one task, or of any.

    Raises:
        ConfigError: there is no such task.
    """
    from pydantic import TypeAdapter

    if task is not None and task not in TASKS:
        raise ConfigError([not_allowed(task, "task", TASKS)])
    any_of: Any = Union[tuple(each.pipeline for name, each in TASKS.items() if task in (None, name))]  # noqa: UP007
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A seqpipe pipeline",
        **TypeAdapter(any_of).json_schema(),
    }
