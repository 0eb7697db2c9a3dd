"""This process' place among the workers of TF_CONFIG, TensorFlow's own way of naming them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

from seqpipe.errors import RunError

WAIT_S = 1800.0
POLL_S = 0.2


def is_chief() -> bool:
    """Whether this process writes: the only one, the chief, or worker 0 where no chief is named.

    Raises:
        RunError: TF_CONFIG is not what TensorFlow expects.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        return True
    try:
        config = json.loads(text)
        kind, index, cluster = config["task"]["type"], int(config["task"]["index"]), config["cluster"]
        return kind == "chief" or (kind == "worker" and index == 0 and "chief" not in cluster)
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"TF_CONFIG is not usable ({error!r}). It looks like "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}.'
        ) from error


def join() -> None:
    """Meet the other workers, where there are any: TensorFlow wants that before it computes anything."""
    from seqpipe.training.devices import make_strategy

    make_strategy()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until the chief has done something.

    Raises:
        RunError: it did not within half an hour.
    """
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise RunError(
                f"Waited {WAIT_S:,.0f} s for the chief to {what}. Is it running, and is the run directory shared?"
            )
        time.sleep(POLL_S)
