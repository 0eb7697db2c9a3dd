"""What a user may see go wrong.

A message names the rule that was broken, what came in, where (file and line, YAML path), what is allowed,
and the nearest guess. The command line prints it in one block, its notes below it, and exits with 2.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable, Sequence


class SeqpipeError(Exception):
    """A mistake in what the user gave; its text is the whole message."""


class ConfigError(SeqpipeError):
    """One or more mistakes in a pipeline file, all of them at once.

    Args:
        problems: one line a mistake.
    """

    def __init__(self, problems: Sequence[str]):
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class DataError(SeqpipeError):
    """A source cannot be read, or what was read cannot be trained on."""


class ModelError(SeqpipeError):
    """A model directory, a model file or a builder cannot be used."""


class RunError(SeqpipeError):
    """A run directory is busy, contradicts the configuration, or cannot be written."""


class Diverged(RunError):  # noqa: N818  as Interrupted
    """The loss is no number any more."""


class ProofError(SeqpipeError):
    """An exported model failed its proof; nothing was published."""


class Interrupted(SeqpipeError):  # noqa: N818  it is no error
    """Training stopped on a signal, SIGTERM or Ctrl-C; the position is saved."""

    def __init__(self, text: str, number: int):
        super().__init__(text)
        self.number = number


def nearest(name: object, allowed: Iterable[str]) -> str:
    """' Did you mean X?' for the closest allowed name, or ''."""
    close = difflib.get_close_matches(str(name), list(allowed), n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else ""


def not_allowed(name: object, kind: str, allowed: Iterable[str]) -> str:
    """'"grru" is not a cell. Allowed: lstm, gru, simple. Did you mean gru?'"""
    allowed = list(allowed)
    return f'"{name}" is not a {kind}. Allowed: {", ".join(allowed) or "none"}.{nearest(name, allowed)}'


def require_extra(extra: str, *modules: str, needs: str = "") -> None:
    """Raises RunError: a module of the extra is not installed; `needs` says what wants it, in place of its name."""
    for name in modules:
        if importlib.util.find_spec(name) is None:
            raise RunError(f"{needs or f'{name} is not installed'}: pip install 'seqpipe[{extra}]'.")
