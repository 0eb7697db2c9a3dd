"""Fresh processes that need not import TensorFlow anew: forked from a server that has imported it and nothing of ours.

Only the standard library here: what this module imports, every such process has.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PRELOADED = ["tensorflow", "keras"]


def start(script: str | Path, *arguments: str, cwd: str | Path = ".", **environment: str) -> Started:
    """Run a Python file, or "seqpipe" for the command line, as `python SCRIPT ARGUMENTS` would."""
    return Started(str(script), arguments, str(cwd), environment)


def run(
    script: str | Path, *arguments: str, cwd: str | Path = ".", **environment: str
) -> subprocess.CompletedProcess[str]:
    return start(script, *arguments, cwd=cwd, **environment).wait()


class Started:
    """A running process.

    pid: to send signals to.
    """

    def __init__(self, script: str, arguments: tuple[str, ...], cwd: str, environment: dict[str, str]):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.directory = tempfile.TemporaryDirectory()
        self.streams = [Path(self.directory.name) / name for name in ("stdout", "stderr")]
        self.arguments = [script, *arguments]
        request = json.dumps([script, arguments, cwd, environment, [str(path) for path in self.streams]])
        self.process: Any = context.Process(target=_child, args=(request,))
        self.process.start()
        self.pid: int = self.process.pid

    def wait(self, timeout_s: float = 900) -> subprocess.CompletedProcess[str]:
        self.process.join(timeout_s)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"{self.arguments} still ran after {timeout_s} s")
        out, err = (path.read_text(encoding="utf-8", errors="replace") for path in self.streams)
        self.directory.cleanup()
        return subprocess.CompletedProcess(self.arguments, self.process.exitcode, out, err)


def _child(request: str) -> None:
    script, arguments, cwd, environment, streams = json.loads(request)
    for path, number in zip(streams, (1, 2), strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  as long as the process lives
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which background jobs of a shell ignore
    os.chdir(cwd)
    os.environ.update(environment)
    sys.argv = [script, *arguments]
    if script == "seqpipe":
        from seqpipe.cli import main

        main()
    else:
        sys.path.insert(0, str(Path(script).parent))
        runpy.run_path(script, run_name="__main__")
