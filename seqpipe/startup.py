"""Importing TensorFlow without its greetings."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


def import_tensorflow() -> None:
    """Import TensorFlow and let it look for devices; what it prints is shown only if it fails.

    Since 2.19 its native code writes to standard error before any log level is read (tensorflow/tensorflow#100442).
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its errors reach Python as exceptions
    with quietly():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def quietly(*, shown_on_failure: bool = True) -> Iterator[None]:
    """What native code writes to standard error is kept back: the descriptor points elsewhere meanwhile."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            log.seek(0)
            if shown_on_failure:
                os.write(kept, log.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
