"""The graph in a SavedModel's file: which ops it is made of, and what need not lie in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import function_pb2
from tensorflow.core.protobuf import saved_model_pb2

from seqpipe.errors import ProofError
from seqpipe.export.artefact import SAVED_MODEL

# Registered by TensorFlow itself, but not to be run by every server on every device.
FORBIDDEN_OPS = ("PyFunc", "EagerPyFunc", "PyFuncStateless", "Cudnn", "Xla", "ReadFile", "PrintV2", "Print")


def read(directory: Path) -> saved_model_pb2.SavedModel:
    """The message in a SavedModel's file."""
    return saved_model_pb2.SavedModel.FromString((directory / SAVED_MODEL).read_bytes())


def drop_notes(directory: Path) -> None:
    """Take out of a SavedModel's functions what nobody needs who loads it: inferred shapes, and long names of nodes."""
    saved = read(directory)
    for meta_graph in saved.meta_graphs:
        renamed = {}
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                node.attr.pop("_output_shapes", None)
                node.ClearField("experimental_debug_info")
            renamed[function.signature.name] = _shorten_names(function)
        for held in meta_graph.object_graph_def.nodes:
            if held.WhichOneof("kind") == "captured_tensor":
                tensor = held.captured_tensor
                tensor.name = renamed[tensor.concrete_function](tensor.name)
    (directory / SAVED_MODEL).write_bytes(saved.SerializeToString(deterministic=True))


def _shorten_names(function: function_pb2.FunctionDef) -> Callable[[str], str]:
    """Number the nodes of a function, and say so wherever it names one: in inputs, results and placements.

    Returns:
        From a reference to a node or one of its outputs to the new one.
    """
    arguments = {arg.name for arg in function.signature.input_arg}
    numbered = (f"n{number}" for number in itertools.count())
    free = (name for name in numbered if name not in arguments)
    names = {node.name: next(free) for node in function.node_def}

    def renamed(reference: str) -> str:
        mark, name = ("^", reference[1:]) if reference.startswith("^") else ("", reference)
        name, colon, rest = name.partition(":")
        return mark + names.get(name, name) + colon + rest

    for node in function.node_def:
        node.name = names[node.name]
        node.input[:] = [renamed(reference) for reference in node.input]
        if "_class" in node.attr:
            places = node.attr["_class"].list.s
            prefix = b"loc:@"
            places[:] = [prefix + renamed(place.removeprefix(prefix).decode()).encode() for place in places]
    for result in (function.ret, function.control_ret):
        for key in list(result):
            result[key] = renamed(result[key])
    return renamed


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
    """Raises ProofError: an op is none of TensorFlow's own, or not run by every server."""
    core = set(dir(tf.raw_ops))
    foreign = sorted(op for op in ops if op not in core or op.startswith(FORBIDDEN_OPS))
    if foreign:
        raise ProofError(
            f"The graph uses ops that stock TensorFlow Serving does not run everywhere: {', '.join(foreign)}. "
            "Allowed: core TensorFlow ops without Python, cuDNN, file reading or functions that XLA must compile."
        )
