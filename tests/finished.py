"""What several test files start from, made once, whichever process asks first: a finished run of each tiny pipeline."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import fresh
import pytest
import yaml

from pipelines import PHRASES, SHOPS, TINY, TONES, VERSES

PIPELINES = {
    "text_classification": TINY,
    "speech_commands": TONES,
    "translation": PHRASES,
    "forecasting": SHOPS,
    "writing": VERSES,
}


def finished(task: str, factory: pytest.TempPathFactory) -> Path:
    """A copy of a working directory after `seqpipe run tiny.yaml`: tiny.yaml, runs/tiny, saved_models/tiny/1.

    said.txt holds what the run printed.
    """

    def make(directory: Path) -> None:
        (directory / "tiny.yaml").write_text(yaml.safe_dump(PIPELINES[task], sort_keys=False))
        (directory / "said.txt").write_text(
            _by_command(directory) if task == "text_classification" else _here(directory)
        )

    return made_once(task, make, factory)


def made_once(name: str, make: Callable[[Path], None], factory: pytest.TempPathFactory) -> Path:
    """A copy of a directory that `make` fills, for the first who asks of all test files and processes."""
    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # which workers share
    made = root / f"finished-{name}"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            part = root / f"part-{name}"
            shutil.rmtree(part, ignore_errors=True)  # of one that failed
            part.mkdir()
            make(part)
            part.rename(made)
    return Path(shutil.copytree(made, factory.mktemp(name) / "home"))


def _by_command(directory: Path) -> str:
    done = fresh.run("seqpipe", "run", "tiny.yaml", cwd=directory, COLUMNS="160")
    assert done.returncode == 0, done.stderr
    return done.stdout


def _here(directory: Path) -> str:
    """In this process, which has imported everything already."""
    import keras

    from seqpipe.runs.run import open_run
    from seqpipe.tasks import load_pipeline

    keras.backend.clear_session()  # layers get the names they would have in a process of their own
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch, quick_proof():
        patch.chdir(directory)
        with open_run(load_pipeline("tiny.yaml").config, say=said.append) as run:
            run.all()
    return "\n".join(said)


@contextlib.contextmanager
def quick_proof() -> Iterator[None]:
    """Proofs in a process without the seconds of importing TensorFlow; what it may import is the same."""
    from seqpipe.export import proof

    def run(command: list[str], *, cwd: str, **_: object) -> object:
        script, *arguments = command[2:]
        return fresh.run(script, *arguments, cwd=cwd)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "subprocess", types.SimpleNamespace(run=run))
        yield
