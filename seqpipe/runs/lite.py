"""LiteRT files for what was exported already: `seqpipe export --lite` of a finished run or a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from seqpipe.config import file as pipeline_file
from seqpipe.config.data import train_source
from seqpipe.config.pipeline import DeviceExport, Pipeline
from seqpipe.errors import ConfigError, DataError, ModelError, not_allowed
from seqpipe.export import lite
from seqpipe.export.artefact import CARD, KERAS_MODEL, PIPELINE
from seqpipe.runs.outcome import RUNS
from seqpipe.runs.run import open_run
from seqpipe.runs.state import STATE
from seqpipe.serving.find import find_model, named
from seqpipe.tasks import load_pipeline, make_task, schemas

NEEDED = (KERAS_MODEL, PIPELINE, CARD)


def check_task(config: Pipeline) -> None:
    """Raises ConfigError: models of this task have no LiteRT form."""
    if not isinstance(config.export, DeviceExport):
        able = [name for name, each in schemas().items() if each.model_fields["export"].annotation is DeviceExport]
        raise ConfigError([f"export --lite: {not_allowed(config.task, 'task with a LiteRT form', able)}"])


def find(target: str, overrides: list[str]) -> tuple[Path, Pipeline]:
    """The directory of a run, or else of a model, by path or name, and its pipeline; TensorFlow is not needed yet.

    Raises:
        ModelError: there is neither, or the model's directory is not whole.
        ConfigError: an override is not allowed, or models of this task have no LiteRT form.
    """
    for run in (named(target), RUNS / target):
        if (run / STATE).is_file():
            place, file = run, run / "pipeline.yaml"
            config = load_pipeline(file, [*overrides, f"run_directory={run.parent}", f"name={run.name}"]).config
            break
    else:
        place = find_model(target)
        for name in NEEDED:
            if not (place / name).is_file():
                raise ModelError(f"{place} has no {name}, which its LiteRT files are made with.")
        config = pipeline_file.load_again(place / "pipeline.yaml", {}, overrides, schemas())
    check_task(config)
    return place, config


def add_lite(place: Path, config: Pipeline, *, data_named: bool, say: Callable[[str], None]) -> Path:
    """Make, prove and add LiteRT files to what `find` found.

    Args:
        data_named: whether the user named the data, which then must be there; a model's own may be gone.
    """
    if (place / STATE).is_file():
        with open_run(config, say=say) as run:
            return run.lite()
    added = lite.add(place, lambda artefact: of_model(artefact, config, data_named, say))
    say(f"Published: {added}")
    return added


def of_model(artefact: Path, config: Pipeline, data_named: bool, say: Callable[[str], None]) -> lite.LiteFiles:
    task = make_task(config)
    try:
        say(f"Reading {train_source(config)}")
        task.read()
        at_hand = True
    except DataError as error:
        if data_named:
            raise
        at_hand = False
        reason = str(error).split("\n")[0]
        say(f"Its data is not at hand, so the files are compared on probes; --set data.train=... names it. {reason}")
    say("Making LiteRT files, and comparing them with the SavedModel")
    return task.lite(artefact, at_hand=at_hand)
