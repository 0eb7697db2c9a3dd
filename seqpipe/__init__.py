"""seqpipe: text, speech and series pipelines in Keras, exported as SavedModels that take raw strings or waveforms.

Importing seqpipe does not import TensorFlow; `seqpipe.layers`, `seqpipe.models` and `seqpipe.load` do when used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqpipe.serving.model import load

__version__ = "0.1.0"

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """`load` is imported when it is asked for: the command line begins without it."""
    if name != "load":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seqpipe.serving.model import load

    return load
