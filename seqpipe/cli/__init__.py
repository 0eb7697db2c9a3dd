"""The command line: a user's mistake ends with one block and code 2."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys
from collections.abc import Iterator

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
# Errors of a write, in words.
FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EIO: os.strerror(errno.EIO)}
for command in COMMANDS:
    app.command(command.__name__.rstrip("_"))(command)


def main() -> None:
    """Entry point of the `seqpipe` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what a terminal cannot show
    try:
        with _flushed():
            app()
    except Interrupted as stop:
        err.print(str(stop))
        sys.exit(128 + stop.number)
    except KeyboardInterrupt:  # before typer looks for it
        sys.exit(130)
    except SeqpipeError as error:
        err.print("\n".join([f"error: {error}", *getattr(error, "__notes__", [])]))
        sys.exit(2)
    except OSError as error:
        if not _is_of_output(error):
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # or what is held back fails once more at the end
        if said := FULL.get(error.errno or 0):
            err.print(f"error: standard output cannot be written: {said}.")
            sys.exit(2)
        sys.exit(1)  # nobody reads any more


@contextlib.contextmanager
def _flushed() -> Iterator[None]:
    """What waits in standard output is written while a failure can still be told, not at the interpreter's end."""
    try:
        yield
    finally:
        if sys.stdout is not None:  # closed before the start
            sys.stdout.flush()


def _is_of_output(error: OSError) -> bool:
    """Whether a write to standard output failed; one to a file would be told with its name, or by `storage`."""
    if error.errno not in (*FULL, errno.EPIPE) or error.filename is not None or sys.stdout is None:
        return False
    mode = os.fstat(1).st_mode
    return stat.S_ISREG(mode) or stat.S_ISCHR(mode) or error.errno == errno.EPIPE
