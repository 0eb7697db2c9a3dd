"""`python -m seqpipe` is the command `seqpipe`."""

from seqpipe.cli import main

main()
