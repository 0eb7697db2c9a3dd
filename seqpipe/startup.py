"""Importing TensorFlow without its greetings."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import platform
import sys
import tempfile
from collections.abc import Iterator


def machine() -> str:
    """What this process computes on, in words: the cores that it may use, the GPUs that TensorFlow has found."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpus = sys.modules["tensorflow"].config.list_physical_devices("GPU") if "tensorflow" in sys.modules else []
    parts = [(cores, "core"), *([(len(gpus), "GPU")] if gpus else [])]
    counted = " and ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in parts)
    return f"{counted} ({platform.machine()}, Python {platform.python_version()})"


def import_tensorflow() -> None:
    """Import TensorFlow and let it look for devices; what it prints is shown only if it fails.

    Since 2.19 its native code writes to standard error before any log level is read (tensorflow/tensorflow#100442).
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its errors reach Python as exceptions
    atexit.register(gc.freeze)  # at the end nothing is looked through for cycles: the memory goes back as a whole
    with quietly(), uncollected():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles, which would look through a growing library again and again, then or later."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if before:
            gc.enable()


@contextlib.contextmanager
def quietly(*, shown_on_failure: bool = True) -> Iterator[None]:
    """What native code writes to standard error is kept back: the descriptor points elsewhere meanwhile."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.memfd_create("log"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except Exception:
            log.seek(0)
            if shown_on_failure:
                os.write(kept, log.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
