"""The command `seqpipe`, also as `python -m seqpipe`."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Import the command line, where Ctrl-C ends the process without a word, and run it."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # not ignored, as in a background job of a shell
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from seqpipe.cli import main as command

    signal.signal(signal.SIGINT, before)
    signal.signal(signal.SIGTERM, _end)
    command()


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """As Ctrl-C does, so that what was begun is put away."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
