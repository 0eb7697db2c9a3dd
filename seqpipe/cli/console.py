"""What every command prints to, and the start of TensorFlow."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A model directory, or a name in saved_models/.")]


def start() -> None:
    """Import TensorFlow, which takes seconds; called once a command knows that its input is in order."""
    from seqpipe.startup import import_tensorflow

    with err.status("Starting TensorFlow"):
        import_tensorflow()
