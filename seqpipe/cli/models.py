"""The commands of models, released or one's own: parse, call, print."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from seqpipe.cli.console import ModelName, err, out, start
from seqpipe.errors import DataError, ModelError, require_extra

MOST_BODY_MB = 2047  # gRPC counts bytes in 31 bits

Rows = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TEXT|FILE]...", help="Texts, or recordings for a model that hears; - is stdin."),
]
InputFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="Text, CSV, TSV, JSON or JSON lines; - is standard input.")
]
InputColumn = Annotated[
    str | None, typer.Option(help="Column, by name or number, or JSON key; else that of the training data, or `text`.")
]
KeptColumns = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="Write this column of --input too, such as an id; may be given again."),
]
OutputFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write here instead of printing (.csv, .jsonl or .txt).")
]
OutputFormat = Annotated[
    Literal["auto", "table", "jsonl", "csv", "lines"],
    typer.Option(help="auto: by --output's ending, else a table; lines: nothing but the answer."),
]
HtmlFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the explained texts as one page instead of printing.")
]


def predict(
    model: ModelName,
    texts: Rows = None,
    input: InputFile = None,
    column: InputColumn = None,
    encoding: Annotated[str, typer.Option(help="Of --input, such as latin-1; of series the pipeline's own.")] = "utf-8",
    keep: KeptColumns = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Write what was wrong with a row in place of its answer, and go on.")
    ] = False,
    output: OutputFile = None,
    format: OutputFormat = "auto",
    explain: Annotated[bool, typer.Option("--explain", help="Show what each piece weighs in the answer.")] = False,
    html: HtmlFile = None,
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
        Path | None,
        typer.Option(metavar="FILE", help="Of a model that forecasts: also draw the fans of up to 12 series."),
    ] = None,
    beam: Annotated[
        bool, typer.Option("--beam", help="By Apache Beam, to JSON lines in no order; its own flags stand behind --.")
    ] = False,
) -> None:
    """Answer texts, or a file of any length in constant memory; answers keep the order of the input."""
    if texts == ["-"] and input is None:
        texts, input = None, "-"
    _check_rows(texts, input, beam, of_a_file={"--column": column, "--keep": keep, "--encoding": encoding != "utf-8"})
    from seqpipe.runs import predict as predicting
    from seqpipe.serving.find import find_model

    target = None if output is None else Path(output)
    wanted = predicting.Wanted(
        format=predicting.output_format(format, target, html=html, explain=explain),
        output=target,
        html=html,
        explain=explain,
        options=predicting.beam_options(beam_width, length_penalty),
        keep_going=keep_going,
        horizon=horizon,
        plot=plot,
        keep=keep or (),
    )
    find_model(model)
    start()
    if beam:
        logging.disable(logging.WARNING)  # Beam misses packages of clouds when it is imported
        from seqpipe.runs.bulk import predict_by_beam

        predict_by_beam(model, str(input), output, texts or [], column=column, encoding=encoding, wanted=wanted)
        return
    predicting.predict(model, texts, input, column=column, encoding=encoding, wanted=wanted, out=out, err=err)


def _check_rows(texts: list[str] | None, input: str | None, beam: bool, *, of_a_file: Mapping[str, object]) -> None:
    """
    Args:
        of_a_file: options that say how a file is read, each with whether it is given.
    Raises:
        DataError: no rows, rows from two places, or an option of a file without one.
    """
    if beam:
        require_extra("beam", "apache_beam", needs="predict --beam needs Apache Beam")
        if not input or input == "-":
            raise DataError("--beam answers files: --input 'reviews-*.csv'.")
        return
    if bool(texts) == bool(input):
        raise DataError("predict takes texts or --input FILE, one of them.")
    for option, given in of_a_file.items() if texts else ():
        if given:
            raise DataError(f"{option} is of the rows of --input FILE or of standard input, not of texts named here.")


def listen(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Recordings of any length.")] = None,
    model: Annotated[str, typer.Option(metavar="MODEL", help="A model that streams.")] = "commands_streaming",
    microphone: Annotated[bool, typer.Option("--microphone", help="Listen to the microphone instead.")] = False,
    format: Annotated[Literal["text", "jsonl"], typer.Option(help="Lines to read, or JSON lines.")] = "text",
    threshold: Annotated[float, typer.Option(help="Smoothed probability from which a command is heard.")] = 0.8,
    smoothing_ms: Annotated[float, typer.Option(help="Probabilities are averaged over so long.")] = 200.0,
    refractory_ms: Annotated[float, typer.Option(help="No command is found so soon after the end of another.")] = 500.0,
) -> None:
    """Hear commands in recordings of any length, in constant memory, or in what the microphone hears."""
    if bool(files) == microphone:
        raise DataError("listen takes recordings or --microphone, one of them.")
    from seqpipe.serving import listening
    from seqpipe.serving.find import find_model
    from seqpipe.serving.model import load

    detector = listening.Detector(threshold, smoothing_ms, refractory_ms)
    for file in files or []:
        listening.recording_at(file)
    find_model(model)
    start()
    loaded = load(model)
    err.print(f"{loaded.name} hears {', '.join(loaded.labels)}", markup=False)
    sources = [(str(file), listening.read_blocks(file)) for file in files or []]
    for name, blocks in sources or [("microphone", listening.microphone())]:
        if format == "text" and len(sources) > 1:
            out.print(name)
        for heard in listening.listen(loaded, blocks, detector):
            out.print(listening.as_line(heard, name, format))


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DIRECTORY|NAME]...", help="Models, or directories of models; else all at hand."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 is any of this machine.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Of REST, the page and WebSockets; 0 is any free one.")
    ] = 8501,
    grpc_port: Annotated[int, typer.Option(min=0, max=65_535, help="Of gRPC; 0 is any free one.")] = 8500,
    token: Annotated[str | None, typer.Option(help="That clients must name: Authorization: Bearer TOKEN.")] = None,
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="For TLS, with --key (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="For TLS, with --certificate (PEM).")] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="That a browser may ask from; * for any; repeatable.")
    ] = None,
    max_queue_rows: Annotated[int, typer.Option(min=1, help="Rows that may wait; more are refused with 429.")] = 1024,
    max_body_mb: Annotated[float, typer.Option(help="Of a request; larger ones are refused with 413.")] = 16.0,
    timeout_s: Annotated[float, typer.Option(min=0.01, help="Until a request is answered with 504.")] = 30.0,
    strict: Annotated[bool, typer.Option("--strict", help="Nothing that TensorFlow Serving does not do.")] = False,
) -> None:
    """Serve models with TensorFlow Serving's own REST and gRPC interfaces, and a page to try them."""
    require_extra("serve", "starlette", "uvicorn", "uvloop", "websockets", "prometheus_client", "grpc_health")
    if (certificate is None) != (key is None):
        raise DataError("--certificate and --key belong together: name both.")
    if not 0.001 <= max_body_mb <= MOST_BODY_MB:  # nor NaN
        raise DataError(f"--max-body-mb {max_body_mb:g} is not allowed. Allowed: 0.001 to {MOST_BODY_MB}.")
    if token == "":
        raise DataError("--token is empty: anybody could name it. Allowed: 1 character or more.")
    from seqpipe.serving.server.rest import Settings
    from seqpipe.serving.server.run import Options, check_certificate, directories
    from seqpipe.serving.server.run import serve as serve_models

    if certificate is not None and key is not None:
        check_certificate(certificate, key)

    served = directories(models or [])
    start()
    settings = Settings(max_body_mb, timeout_s, token, tuple(allow_origin or ()), strict)
    serve_models(served, Options(host, port, grpc_port, certificate, key, max_queue_rows, settings), out.print)


def page(
    model: ModelName,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Write the page here.")] = Path(
        "page.html"
    ),
    int8: Annotated[
        bool, typer.Option("--int8", help="Weights in eight bits: a smaller file, answers differ.")
    ] = False,
) -> None:
    """Write one HTML file that hears a model's words on the device it is opened on, offline."""
    from seqpipe.serving.device_page.make import make
    from seqpipe.serving.find import find_model
    from seqpipe.storage import write_text

    made = make(find_model(model), int8=int8)
    write_text(output, made)
    out.print(f"{output}: {len(made.encode()) / 1e6:.1f} MB. Open it in a browser; it needs no network and no server.")


def list_() -> None:
    """Released and local models."""
    from seqpipe.serving.find import list_models, model_directories, read_card

    for path in list_models():
        try:
            facts = read_card(path)
        except ModelError as error:
            err.print(f"warning: {error}")
            facts = {}
        out.print(f"{path.parent.name}  version {path.name}  {facts.get('task', 'no task named')}  {path}")
        units = {"figure": "", "size_mb": " MB", "date": ""}
        shown = [f"{facts[name]}{unit}" for name, unit in units.items() if name in facts]
        if shown:
            out.print(f"    {'; '.join(shown)}")
    if not list_models():
        places = ", ".join(str(path) for path in model_directories()) or "saved_models (there is no such directory)"
        out.print(f"No models in {places}.")


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
    out.print(card.read_text(encoding="utf-8", errors="replace") if card.is_file() else "It has no card.md.")
