"""The command `seqpipe`, also as `python -m seqpipe`."""

from __future__ import annotations

import signal


def main() -> None:
    """Import the command line, where Ctrl-C ends the process without a word, and run it."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # not ignored, as in a background job of a shell
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from seqpipe.cli import main as command

    signal.signal(signal.SIGINT, before)
    command()


if __name__ == "__main__":
    main()
