"""The commands of pipeline files and their runs: parse, call, print."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as Grid

from seqpipe.cli.console import out, start
from seqpipe.config.pipeline import Pipeline
from seqpipe.errors import DataError

if TYPE_CHECKING:
    import keras

    from seqpipe.config import file as pipeline_file
    from seqpipe.runs.run import Run
    from seqpipe.tasks.protocol import Callbacks

File = Annotated[Path, typer.Argument(metavar="FILE", help="A pipeline file (YAML).")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. training.epochs=3; repeatable."),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        metavar="N|SEED,SEED,...",
        help="Train so many seeds, from the pipeline's own on, or these; each is a run NAME-seedN.",
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget what the run directory holds and start over.")]


def run(file: File, set: Set = None, seeds: Seeds = None, fresh: Fresh = False) -> None:
    """Check, train, evaluate, export and prove; finished steps are not repeated. Of several seeds dev chooses one."""
    task = _load(file, set).config.task  # the file may be another one after training
    if seeds is None:
        with _run(file, set, fresh=fresh) as opened:
            path = opened.all()
    else:
        path = _run_seeds(file, set, seeds, fresh=fresh, publish=True)
    if path is not None:
        from seqpipe.tasks import task_class

        called = Path(sys.argv[0])  # as .venv/bin/seqpipe by make run, where there is no other
        program = called if called.name == "seqpipe" and not which("seqpipe") else "seqpipe"
        out.print(f"\nTry it:  {program} predict {path} {task_class(task).input.example}")


def check(file: File, set: Set = None) -> None:
    """Validate configuration and data, report receptive fields and padding; train nothing."""
    config = _load(file, set).config
    start()
    from seqpipe.runs.check import check_pipeline

    with _sources_of(file, set):
        check_pipeline(config, out)


def show(file: File, set: Set = None) -> None:
    """The effective configuration, and where each value came from."""
    from seqpipe.config import file as pipeline_file

    loaded = _load(file, set)
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for title in ("key", "value", "from"):
        grid.add_column(title, overflow="fold")
    for path, value in pipeline_file.flatten(loaded.config.model_dump(mode="json")).items():
        grid.add_row(path, json.dumps(value, ensure_ascii=False), loaded.origin.get(path, "default"))
    out.print(grid)


def schema_(task: Annotated[str | None, typer.Argument(help="Only this task's.")] = None) -> None:
    """The JSON schema of a pipeline file, for editors."""
    from seqpipe.tasks import json_schema

    print(json.dumps(json_schema(task), indent=2))


def train(file: File, set: Set = None, seeds: Seeds = None, fresh: Fresh = False) -> None:
    """Train in the run directory, from wherever the last process left it."""
    if seeds is not None:
        _run_seeds(file, set, seeds, fresh=fresh, publish=False)
        return
    with _run(file, set, fresh=fresh) as opened:
        if not opened.finished("train"):
            opened.say_findings()
        opened.train()


def evaluate(
    target: Annotated[str, typer.Argument(metavar="FILE|MODEL", help="A pipeline file, or with --data a model.")],
    data: Annotated[str | None, typer.Option(metavar="SOURCE", help="Labelled rows for an exported model.")] = None,
    set: Set = None,
    output: Annotated[Path | None, typer.Option(metavar="DIRECTORY", help="Where report and pictures go.")] = None,
) -> None:
    """Evaluate the run of a pipeline file, or an exported model on labelled data."""
    if data is None:
        if not target.endswith((".yaml", ".yml")):
            raise DataError(
                f"evaluate {target}: name labelled rows for a model with --data SOURCE, such as files:test.csv."
            )
        if output is not None:
            raise DataError(
                f"--output {output} is of a model and --data; the report of a pipeline file lies in its run's report/."
            )
        with _run(Path(target), set) as opened:
            opened.evaluate()
        return
    from seqpipe.serving.find import find_model

    find_model(target)
    start()
    from seqpipe.runs.evaluate import evaluate_artefact

    evaluate_artefact(target, data, overrides=set or [], directory=output, console=out)


def export(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE|RUN|MODEL",
            help="A pipeline file; with --lite also a finished run or a model; with --again a model.",
        ),
    ],
    lite: Annotated[
        bool, typer.Option("--lite", help="Also LiteRT (TFLite) files for devices, proved against the SavedModel.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="A new version of a model by what lies in it, in today's format, proved equal."),
    ] = False,
    weight_bits: Annotated[
        int | None,
        typer.Option(
            "--weight-bits", min=6, max=24, help="With --again: weights keep so many significant bits; a smaller model."
        ),
    ] = None,
    set: Set = None,
) -> None:
    """Export the trained model, prove the export, and publish it."""
    if weight_bits is not None and not again:
        raise DataError("--weight-bits goes with --again; a pipeline file has export.weight_bits.")
    if again:
        if lite or set:
            raise DataError("--again excludes --lite and --set: the new version is the old one in today's format.")
        from seqpipe.runs.again import export_again, find

        place = find(target)
        start()
        export_again(place, say=out.print, weight_bits=weight_bits)
        return
    from seqpipe.export.lite import require_interpreter
    from seqpipe.runs import lite as on_device

    if lite:
        require_interpreter("--lite")
    if target.endswith((".yaml", ".yml")):
        if lite:
            on_device.check_task(_load(Path(target), set).config)
        with _run(Path(target), set) as opened:
            opened.export()
            if lite:
                opened.lite()
        return
    if not lite:
        raise DataError(
            f"export {target}: name a pipeline file. Runs and models are exported; they take --lite, models --again."
        )
    place, config = on_device.find(target, set or [])
    start()
    on_device.add_lite(place, config, data_named=bool(set), say=out.print)


def tune(file: File, set: Set = None, fresh: Fresh = False) -> None:
    """Search the keys named under `tune` in the file; an interrupted search goes on, more trials may be asked for."""
    from seqpipe.runs import tune as tuning

    config = _load(file, set).config
    tuning.check_tune(config, file)
    start()
    with _sources_of(file, set):
        tuning.tune(config, file, overrides=set or [], fresh=fresh, out=out, callbacks=_callbacks)


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Run directories, or names in runs/.")],
    output: Annotated[Path | None, typer.Option(metavar="DIRECTORY", help="Where table and pictures go.")] = None,
) -> None:
    """Runs beside the first of them: what differs, figures, paired differences on the same rows, learning curves."""
    from seqpipe.runs.compare import compare

    compare(runs, output=output, out=out)


def _load(file: Path, overrides: list[str] | None) -> pipeline_file.Loaded:
    from seqpipe.tasks import load_pipeline

    return load_pipeline(file, overrides)


def _load_to_run(file: Path, overrides: list[str] | None) -> Pipeline:
    """The configuration, once what its last step needs is known to be there."""
    from seqpipe.export import lite

    config = _load(file, overrides).config
    if lite.wanted(config):
        lite.require_interpreter("export.lite = true")
    return config


@contextmanager
def _run(file: Path, overrides: list[str] | None, *, fresh: bool = False) -> Iterator[Run]:
    config = _load_to_run(file, overrides)
    start()
    from seqpipe.runs.run import open_run

    callbacks = _callbacks(config)
    with _sources_of(file, overrides), open_run(config, fresh=fresh, say=out.print, callbacks=callbacks) as run:
        yield run


@contextmanager
def _sources_of(file: Path, overrides: list[str] | None) -> Iterator[None]:
    """Where a source of the file is not there, say so if YAML has cut its path."""
    from seqpipe.config import file as pipeline_file

    try:
        yield
    except DataError as error:
        overridden = [override.partition("=")[0] for override in overrides or []]
        for cut in pipeline_file.cut_at_comments(file, overridden):
            error.add_note(cut)
        raise


def _run_seeds(file: Path, overrides: list[str] | None, seeds: str, *, fresh: bool, publish: bool) -> Path | None:
    from seqpipe.runs.seeds import parse_seeds, run_seeds

    config = _load_to_run(file, overrides)
    wanted = parse_seeds(seeds, config.seed)
    start()
    with _sources_of(file, overrides):
        return run_seeds(config, wanted, publish=publish, fresh=fresh, out=out, callbacks=_callbacks)


def _callbacks(config: Pipeline) -> Callbacks:
    from seqpipe.training.progress import TrainingProgress, tensorboard

    def make(epochs: int, steps_per_epoch: int) -> Sequence[keras.callbacks.Callback]:
        progress = TrainingProgress(out, epochs=epochs, steps_per_epoch=steps_per_epoch)
        return [progress, tensorboard()] if config.training.tensorboard else [progress]

    return make
