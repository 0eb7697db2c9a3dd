"""The command line: a user's mistake ends with one block and code 2."""

from __future__ import annotations

import io
import sys

import typer

from seqpipe.cli import models, runs, writer
from seqpipe.cli.console import err
from seqpipe.errors import Interrupted, SeqpipeError

app = typer.Typer(
    help="Text, speech and series pipelines in Keras: check, train, evaluate, export, prove, predict.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS = (
    *(runs.run, runs.check, runs.show, runs.schema_, runs.train, runs.evaluate, runs.export, runs.tune, runs.compare),
    *(
        models.predict,
        models.listen,
        models.serve,
        models.page,
        writer.write,
        writer.score,
        models.list_,
        models.info,
    ),
)
for command in COMMANDS:
    app.command(command.__name__.rstrip("_"))(command)


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
