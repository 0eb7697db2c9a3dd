"""The command line: parse, call runner or predict, print with rich. A user's mistake ends with one block and code 2."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table as Grid

from seqpipe import cli_writing
from seqpipe.config.pipeline import Pipeline
from seqpipe.errors import DataError, Interrupted, SeqpipeError, require_extra

if TYPE_CHECKING:
    from seqpipe.config import file as pipeline_file
    from seqpipe.runs.run import Run

app = typer.Typer(
    help="Text, speech and series pipelines in Keras: check, train, evaluate, export, prove, predict.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)

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
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A model directory, or a name in saved_models/.")]


def main() -> None:
    """Entry point of the `seqpipe` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what a terminal cannot show
    try:
        app()
    except Interrupted as stop:
        err.print(str(stop))
        sys.exit(130)
    except SeqpipeError as error:
        err.print(f"error: {error}")
        sys.exit(2)


def start() -> None:
    """Import TensorFlow, which takes seconds; called once a command knows that its input is in order."""
    from seqpipe.startup import import_tensorflow

    with err.status("Starting TensorFlow"):
        import_tensorflow()


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

    with open_run(config, fresh=fresh, say=out.print, callbacks=_callbacks(config)) as run:
        yield run


def _run_seeds(file: Path, overrides: list[str] | None, seeds: str, *, fresh: bool, publish: bool) -> Path | None:
    from seqpipe.runs.seeds import parse_seeds, run_seeds

    config = _load_to_run(file, overrides)
    wanted = parse_seeds(seeds, config.seed)
    start()
    return run_seeds(config, wanted, publish=publish, fresh=fresh, out=out, callbacks=_callbacks)


def _callbacks(config: Pipeline) -> Callable[[int, int], Sequence[Any]]:
    def make(epochs: int, steps_per_epoch: int) -> Sequence[Any]:
        from seqpipe.training.progress import TrainingProgress

        callbacks: list[Any] = [TrainingProgress(out, epochs=epochs, steps_per_epoch=steps_per_epoch)]
        if config.training.tensorboard:
            from seqpipe.training.progress import tensorboard

            callbacks.append(tensorboard(config.run_path / "tensorboard"))
        return callbacks

    return make


@app.command()
def run(file: File, set: Set = None, seeds: Seeds = None, fresh: Fresh = False) -> None:
    """Check, train, evaluate, export and prove; finished steps are not repeated. Of several seeds dev chooses one."""
    if seeds is None:
        with _run(file, set, fresh=fresh) as opened:
            path = opened.all()
    else:
        path = _run_seeds(file, set, seeds, fresh=fresh, publish=True)
    if path is not None:
        from seqpipe.tasks import task_class

        example = task_class(_load(file, set).config.task).input.example
        out.print(f"\nTry it:  seqpipe predict {path} {example}")


@app.command()
def check(file: File, set: Set = None) -> None:
    """Validate configuration and data, report receptive fields and padding; train nothing."""
    config = _load(file, set).config
    start()
    from seqpipe.runs.check import check_pipeline

    check_pipeline(config, out)


@app.command()
def show(file: File, set: Set = None) -> None:
    """The effective configuration, and where each value came from."""
    from seqpipe.config import file as pipeline_file

    loaded = _load(file, set)
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for title in ("key", "value", "from"):
        grid.add_column(title, overflow="fold")
    for path, value in pipeline_file.flatten(loaded.config.model_dump(mode="json")).items():
        grid.add_row(path, json.dumps(value, ensure_ascii=False), pipeline_file.origin_of(loaded, path))
    out.print(grid)


@app.command("schema")
def schema_(task: Annotated[str | None, typer.Argument(help="Only this task's.")] = None) -> None:
    """The JSON schema of a pipeline file, for editors."""
    from seqpipe.tasks import json_schema

    print(json.dumps(json_schema(task), indent=2))


@app.command()
def train(file: File, set: Set = None, seeds: Seeds = None, fresh: Fresh = False) -> None:
    """Train in the run directory, from wherever the last process left it."""
    if seeds is not None:
        _run_seeds(file, set, seeds, fresh=fresh, publish=False)
        return
    with _run(file, set, fresh=fresh) as opened:
        opened.train()


@app.command()
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
        with _run(Path(target), set) as opened:
            opened.evaluate()
        return
    from seqpipe.serving.find import find_model

    find_model(target)
    start()
    from seqpipe.runs.evaluate import evaluate_artefact

    evaluate_artefact(target, data, overrides=set or [], directory=output, console=out)


@app.command()
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
    set: Set = None,
) -> None:
    """Export the trained model, prove the export, and publish it."""
    if again:
        if lite or set:
            raise DataError("--again excludes --lite and --set: the new version is the old one in today's format.")
        from seqpipe.runs.again import export_again, find

        place = find(target)
        start()
        export_again(place, say=out.print)
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


@app.command()
def tune(file: File, set: Set = None, fresh: Fresh = False) -> None:
    """Search the keys named under `tune` in the file; an interrupted search goes on, more trials may be asked for."""
    from seqpipe.runs import tune as tuning

    config = _load(file, set).config
    tuning.check_tune(config, file)
    start()
    tuning.tune(config, file, fresh=fresh, out=out, callbacks=_callbacks)


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Run directories, or names in runs/.")],
    output: Annotated[Path | None, typer.Option(metavar="DIRECTORY", help="Where table and pictures go.")] = None,
) -> None:
    """Runs beside the first of them: what differs, figures, paired differences on the same rows, learning curves."""
    from seqpipe.runs.compare import compare

    compare(runs, output=output, out=out)


@app.command()
def predict(
    model: ModelName,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT|FILE]...", help="Texts, or recordings for a model that hears; - is stdin."),
    ] = None,
    input: Annotated[
        str | None, typer.Option(metavar="FILE", help="Text, CSV, TSV, JSON or JSON lines; - is standard input.")
    ] = None,
    column: Annotated[str | None, typer.Option(help="Column or JSON key that holds the row; else `text`.")] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of --input, such as latin-1 or gb18030.")] = "utf-8",
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Write what was wrong with a row in place of its answer, and go on.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here instead of printing (.csv, .jsonl or .txt).")
    ] = None,
    format: Annotated[
        Literal["auto", "table", "jsonl", "csv", "lines"],
        typer.Option(help="auto: by --output's ending, else a table; lines: nothing but the answer."),
    ] = "auto",
    explain: Annotated[bool, typer.Option("--explain", help="Show what each piece weighs in the answer.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the explained texts as one page instead of printing.")
    ] = None,
    beam_width: Annotated[
        int | None, typer.Option(help="Of a model with a beam: search with so many hypotheses; jsonl has them all.")
    ] = None,
    length_penalty: Annotated[
        float | None, typer.Option(help="With --beam-width: 0 to 10, the higher the longer; else 1.")
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="Of a model that forecasts: so many steps, also beyond its own."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of a model that forecasts: also draw the fan of each series.")
    ] = None,
) -> None:
    """Answer texts, or a file of any length in constant memory; answers keep the order of the input."""
    if texts == ["-"]:
        texts, input = None, "-"
    if bool(texts) == bool(input):
        raise DataError("predict takes texts or --input FILE, one of them.")
    from seqpipe.runs import predict as predicting
    from seqpipe.serving.find import find_model

    wanted = predicting.Wanted(
        format=predicting.output_format(format, output, html=html, explain=explain),
        output=output,
        html=html,
        explain=explain,
        options=predicting.beam_options(beam_width, length_penalty, explain=explain),
        keep_going=keep_going,
        horizon=horizon,
        plot=plot,
    )
    find_model(model)
    start()
    predicting.predict(model, texts, input, column=column, encoding=encoding, wanted=wanted, out=out, err=err)


@app.command()
def listen(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Recordings of any length.")] = None,
    model: Annotated[str, typer.Option(metavar="MODEL", help="A model that streams.")] = "commands_streaming",
    microphone: Annotated[bool, typer.Option("--microphone", help="Listen to the microphone instead.")] = False,
    format: Annotated[Literal["text", "jsonl"], typer.Option(help="Lines to read, or JSON lines.")] = "text",
    threshold: Annotated[float, typer.Option(help="Smoothed probability from which a command is heard.")] = 0.8,
    smoothing_ms: Annotated[float, typer.Option(help="Probabilities are averaged over so long.")] = 200.0,
    refractory_ms: Annotated[float, typer.Option(help="No command begins so soon after another.")] = 500.0,
) -> None:
    """Hear commands in recordings of any length, in constant memory, or in what the microphone hears."""
    if bool(files) == microphone:
        raise DataError("listen takes recordings or --microphone, one of them.")
    from seqpipe.serving import listening
    from seqpipe.serving.find import find_model
    from seqpipe.serving.model import load

    detector = listening.Detector(threshold, smoothing_ms, refractory_ms)
    find_model(model)
    start()
    loaded = load(model)
    sources = [(str(file), listening.read_blocks(file)) for file in files or []]
    for name, blocks in sources or [("microphone", listening.microphone())]:
        if format == "text" and len(sources) > 1:
            out.print(name)
        for heard in listening.listen(loaded, blocks, detector):
            out.print(listening.as_line(heard, name, format))


@app.command()
def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DIRECTORY|NAME]...", help="Models, or directories of models; else all at hand."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 is any of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Of REST, the page and WebSockets; 0 is any free one.")] = 8501,
    grpc_port: Annotated[int, typer.Option(help="Of gRPC; 0 is any free one.")] = 8500,
    token: Annotated[str | None, typer.Option(help="That clients must name: Authorization: Bearer TOKEN.")] = None,
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="For TLS, with --key (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="For TLS, with --certificate (PEM).")] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="That a browser may ask from; * for any; repeatable.")
    ] = None,
    max_queue_rows: Annotated[int, typer.Option(min=1, help="Rows that may wait; more are refused with 429.")] = 1024,
    max_body_mb: Annotated[
        float, typer.Option(min=0.001, help="Of a request; larger ones are refused with 413.")
    ] = 16.0,
    timeout_s: Annotated[float, typer.Option(min=0.01, help="Until a request is answered with 504.")] = 30.0,
    strict: Annotated[bool, typer.Option("--strict", help="Nothing that TensorFlow Serving does not do.")] = False,
) -> None:
    """Serve models with TensorFlow Serving's own REST and gRPC interfaces, and a page to try them."""
    require_extra("serve", "starlette", "uvicorn", "websockets", "prometheus_client", "grpc_health")
    if (certificate is None) != (key is None):
        raise DataError("--certificate and --key belong together: name both.")
    from seqpipe.serving.server.rest import Settings
    from seqpipe.serving.server.run import Options, directories
    from seqpipe.serving.server.run import serve as serve_models

    served = directories(models or [])
    start()
    settings = Settings(max_body_mb, timeout_s, token, tuple(allow_origin or ()), strict)
    serve_models(served, Options(host, port, grpc_port, certificate, key, max_queue_rows, settings), out.print)


app.command()(cli_writing.write)
app.command()(cli_writing.score)


@app.command("list")
def list_() -> None:
    """Released and local models."""
    from seqpipe.serving.find import list_models, model_directories, read_card

    for path in list_models():
        facts = read_card(path)
        out.print(f"{path.parent.name}  version {path.name}  {facts.get('task', 'no card')}  {path}")
        if facts:
            out.print(f"    {facts['figure']}; {facts['size_mb']} MB; {facts['date']}")
    if not list_models():
        places = ", ".join(str(path) for path in model_directories()) or "saved_models (there is no such directory)"
        out.print(f"No models in {places}.")


@app.command()
def info(model: ModelName) -> None:
    """A model's card, its signatures with shapes, where it came from, and its proof."""
    from seqpipe.serving.find import describe_signatures, find_model

    path = find_model(model)
    start()
    out.print(f"{path}\n")
    for line in describe_signatures(path):
        out.print(line)
    card = path / "card.md"
    out.print()
    out.print(card.read_text(encoding="utf-8") if card.is_file() else "It has no card.md.")


if __name__ == "__main__":
    main()
