"""seqpipe: text, speech and series pipelines in Keras, exported as SavedModels that take raw strings or waveforms.

Importing seqpipe does not import TensorFlow; `seqpipe.layers`, `seqpipe.models` and `seqpipe.load` do when used.
"""

from __future__ import annotations

from seqpipe.serving.model import load

__version__ = "0.1.0"

__all__ = ["__version__", "load"]
