"""The variables a SavedModel holds: where two bytes a number are enough they lie in it so, float32 once loaded."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf

SMALLEST = 1024  # numbers; fewer are not worth an initialiser


def holder(functions: Iterable[tf.types.experimental.ConcreteFunction]) -> tf.Module:
    """What to save beside functions: each variable they use, in as few bytes as hold its value exactly."""
    used = {v.ref(): v for function in functions for v in function.variables}
    held = tf.Module()
    held.plain, held.stored, held.expanded = [], [], []
    for variable in used.values():
        if _fits(variable):
            stored = tf.Variable(tf.cast(variable, tf.bfloat16), trainable=False, name="stored")
            held.stored.append(stored)  # which a resource does not track
            held.expanded.append(_Expanded(variable, stored, f"expanded_{len(held.expanded)}"))
        else:
            held.plain.append(variable)
    return held


def _fits(variable: tf.Variable) -> bool:
    """Whether bfloat16, float32 of eight significant bits, holds the value; weights rounded to as many do."""
    if variable.dtype != tf.float32 or variable.shape.num_elements() < SMALLEST:
        return False
    same = tf.cast(tf.cast(variable, tf.bfloat16), tf.float32) == variable
    return bool(tf.reduce_all(same))


class _Expanded(tf.saved_model.experimental.TrackableResource):
    """In this process a variable itself; in a SavedModel one that is filled from `stored` when the model is loaded.

    Nothing destroys it before the process or session ends, since `tf.saved_model.load(path).signatures["score"]` keeps
    the function but not what was loaded.
    """

    def __init__(self, variable: tf.Variable, stored: tf.Variable, name: str):
        super().__init__()
        self.variable, self.stored, self.shared_name = variable, stored, name
        self._resource_handle = variable.handle  # which the functions captured

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.VarHandleOp(
            dtype=self.variable.dtype, shape=self.variable.shape, shared_name=self.shared_name
        )

    def _initialize(self) -> None:
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=tf.cast(self.stored, self.variable.dtype))
