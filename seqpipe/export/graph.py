"""The graph in a SavedModel's file: which ops it is made of, and what need not lie in it."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from seqpipe.errors import ProofError
from seqpipe.export.artefact import SAVED_MODEL

# Registered by TensorFlow itself, but not to be run by every server on every device.
FORBIDDEN_OPS = ("PyFunc", "EagerPyFunc", "PyFuncStateless", "Cudnn", "Xla", "ReadFile", "PrintV2", "Print")


def read(directory: Path) -> saved_model_pb2.SavedModel:
    """The message in a SavedModel's file."""
    return saved_model_pb2.SavedModel.FromString((directory / SAVED_MODEL).read_bytes())


def drop_notes(directory: Path) -> None:
    """Take the inferred shapes out of a SavedModel's nodes: a sixth of it, inferred anew by whoever loads it."""
    saved = read(directory)
    for meta_graph in saved.meta_graphs:
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                node.attr.pop("_output_shapes", None)
    (directory / SAVED_MODEL).write_bytes(saved.SerializeToString(deterministic=True))


def used_ops(directory: Path) -> set[str]:
    """Names of all ops in a SavedModel's graphs and functions."""
    ops: set[str] = set()
    for meta_graph in read(directory).meta_graphs:
        ops |= {node.op for node in meta_graph.graph_def.node}
        for function in meta_graph.graph_def.library.function:
            ops |= {node.op for node in function.node_def}
            if function.attr["_XlaMustCompile"].b:
                ops.add("XlaMustCompile")
        ops -= {function.signature.name for function in meta_graph.graph_def.library.function}
    return ops


def forbid_foreign(ops: set[str]) -> None:
    """
    Raises:
        ProofError: an op is none of TensorFlow's own, or not run by every server.
    """
    core = set(dir(tf.raw_ops))
    foreign = sorted(op for op in ops if op not in core or op.startswith(FORBIDDEN_OPS))
    if foreign:
        raise ProofError(
            f"The graph uses ops that stock TensorFlow Serving does not run everywhere: {', '.join(foreign)}. "
            "Allowed: core TensorFlow ops without Python, cuDNN, file reading or functions that XLA must compile."
        )
