"""Which form of a recurrent loop computes what; docs/recurrent.md holds the measurements behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Literal, TypeVar

import tensorflow as tf

Runner = Literal["any", "xla_loops", "many_rows", "serving"]
Answer = TypeVar("Answer")

MANY_ROWS = 16  # from here the inputs of a turn fill a product
BIG_UNITS = 256  # from here one product busies two cores, better than XLA does; few rows share it gate by gate
FUSED_ROWS = 4  # up to here TensorFlow's fused LSTM wins, where its weights stay in a core's cache:
FUSED_WEIGHTS = 2**18


class Form(Enum):
    """What a loop does; the names of the rows in docs/recurrent.md."""

    GRADIENT_BY_HAND = "gradient written by hand, inputs of a turn in one product"
    GRADIENT_BY_HAND_XLA = "the same, the loops compiled by XLA"
    INPUTS_BY_TURN = "inputs of a turn in one product"
    INPUTS_FIRST = "all inputs in one product before the loop"
    INPUTS_FIRST_BY_GATE = "the same, and a product for each gate"
    FUSED = "BlockLSTMV2"


_runner: ContextVar[Runner] = ContextVar("runner", default="any")


@contextmanager
def traced_for(runner: Runner) -> Iterator[None]:
    """Layers called inside choose the form that is quickest where their graph will run.

    Args:
        runner: any: everywhere. xla_loops: where XLA may compile the loops of training, each for itself, again for each
            new batch and time. many_rows: where batches are large most of the time, as on dev: the graph holds one form
            whatever the rows, and is made as much sooner. serving: in TensorFlow Serving or a loaded SavedModel,
            without XLA, which cannot compile all of it.
    """
    token = _runner.set(runner)
    try:
        yield
    finally:
        _runner.reset(token)


def choose_form(rows: int, *, units: int, training: bool, by_hand: bool, fusable: bool) -> Form:
    """The form for a batch of so many rows, read as the table in docs/recurrent.md, from above.

    Args:
        rows: of the batch.
        units: of the layer.
        training: whether gradients will be asked for.
        by_hand: whether there is a gradient written by hand (tanh and sigmoid).
        fusable: whether TensorFlow's fused operation computes this layer, and well.
    """
    runner = _runner.get()
    if training and by_hand:
        return Form.GRADIENT_BY_HAND_XLA if runner == "xla_loops" and units < BIG_UNITS else Form.GRADIENT_BY_HAND
    if training or rows >= MANY_ROWS or runner == "many_rows":
        return Form.INPUTS_BY_TURN
    if rows <= FUSED_ROWS and runner == "serving" and fusable:
        return Form.FUSED
    return Form.INPUTS_FIRST if units < BIG_UNITS else Form.INPUTS_FIRST_BY_GATE


def by_rows(batch: tf.Tensor | int, choose: Callable[[int], Form], run: Callable[[Form], Answer]) -> Answer:
    """run(choose(rows)); where the rows are known only when the graph runs, it holds every form that may be chosen."""
    if isinstance(batch, int):
        return run(choose(batch))
    one, few, many = choose(1), choose(FUSED_ROWS + 1), choose(MANY_ROWS)

    def below_many():
        return run(few) if one is few else tf.cond(batch <= FUSED_ROWS, lambda: run(one), lambda: run(few))

    return run(many) if one is few is many else tf.cond(batch >= MANY_ROWS, lambda: run(many), below_many)
