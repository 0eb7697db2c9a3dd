"""Tasks: a folder each, saying what is its own and nothing else; registering is a line in the dictionary below."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from seqpipe.config import file as pipeline_file
from seqpipe.config.pipeline import Pipeline
from seqpipe.errors import ConfigError, not_allowed

if TYPE_CHECKING:
    from seqpipe.tasks.protocol import Task

# The folder of a task is called as the task is: `config.py` in it has CLASSPipeline, `task.py` has CLASS.
TASKS = {
    "forecasting": "Forecasting",
    "speech_commands": "SpeechCommands",
    "text_classification": "TextClassification",
    "translation": "Translation",
    "writing": "Writing",
}


def schema_of(task: str) -> type[Pipeline]:
    """What a pipeline file of the task holds; TensorFlow is not needed."""
    return getattr(importlib.import_module(f"seqpipe.tasks.{task}.config"), f"{TASKS[task]}Pipeline")


def task_class(task: str) -> type[Task]:
    return getattr(importlib.import_module(f"seqpipe.tasks.{task}.task"), TASKS[task])


def make_task(config: Pipeline) -> Task:
    return task_class(config.task)(config)


def schemas() -> dict[str, type[Pipeline]]:
    return {name: schema_of(name) for name in TASKS}


def load_pipeline(file: str | Path, overrides: list[str] | None = None) -> pipeline_file.Loaded:
    """Read a pipeline file; see `seqpipe.config.file.load`."""
    return pipeline_file.load(file, overrides or [], schemas())


def json_schema(task: str | None = None) -> dict[str, object]:
    """The JSON schema of a pipeline file of one task, or of any.

    Raises:
        ConfigError: there is no such task.
    """
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    class AsWritten(GenerateJsonSchema):
        """A text may be written as a number or a truth value."""

        def str_schema(self, schema: Any) -> dict[str, Any]:
            return {**super().str_schema(schema), "type": ["string", "number", "boolean"]}

    if task is not None and task not in TASKS:
        raise ConfigError([not_allowed(task, "task", TASKS)])
    any_of: Any = Union[tuple(schema_of(name) for name in TASKS if task in (None, name))]  # noqa: UP007
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A seqpipe pipeline",
        **TypeAdapter(any_of).json_schema(schema_generator=AsWritten),
    }
