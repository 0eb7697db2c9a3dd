"""JSON to arrays and back, as TensorFlow Serving does it.

A request has rows (`instances`) or columns (`inputs`); so has the answer. Numbers are the shortest that read back as
the same float, whole floats with `.0`; NaN and Infinity are bare tokens, in and out. Bytes are {"b64": ...}.

Axes: B rows.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeGuard

import numpy as np

from seqpipe.serving.server.errors import RequestError

Arrays = dict[str, np.ndarray]
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
MOST_AXES = 32
_quoted = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps would make an encoder for each text


@dataclass(frozen=True)
class Spec:
    """An input or output of a signature.

    tensor: its name in the graph. dtype: TensorFlow's name of it, such as DT_STRING. shape: -1 for what varies; None
    for an unknown rank.
    """

    tensor: str
    dtype: str
    shape: tuple[int, ...] | None

    @property
    def numpy(self) -> np.dtype:
        name = self.dtype.removeprefix("DT_").lower()
        return np.dtype(object if name == "string" else {"float": "float32", "double": "float64"}.get(name, name))


def parsed(body: bytes) -> dict[str, Any]:
    """A request's JSON object.

    Raises:
        RequestError: it is none.
    """
    try:
        text = body.decode()
        value = json.loads(text)
        if SURROGATE.search(text):  # most often a pair, which is one character
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RequestError(
            400, "JSON Parse error: The surrogate pair in string is invalid: half of one, such as \\ud83d, is no text."
        ) from None
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"JSON Parse error: {error}") from None
    if not isinstance(value, dict):
        raise RequestError(400, f"JSON Value: {_short(value)} Is not object")
    return value


def decoded(request: Mapping[str, object], inputs: Mapping[str, Spec]) -> tuple[Arrays, bool]:
    """The arrays that a signature takes, and whether the request came in rows.

    Raises:
        RequestError: neither or both forms, a missing input, in rows an unknown one, or a value of other type or shape.
    """
    rows, columns = "instances" in request, "inputs" in request
    if rows and columns:
        raise RequestError(400, 'Request has both "instances" and "inputs": one of them is allowed.')
    if not rows and not columns:
        raise RequestError(400, "Missing 'inputs' or 'instances' key")
    if not inputs:
        raise RequestError(400, "Failed to get input map for signature: it has no inputs")
    if rows:
        return _from_rows(request["instances"], inputs), True
    given = request["inputs"]
    if not _names_inputs(given):
        if len(inputs) != 1:
            raise RequestError(400, f"inputs is a plain value/list, but expecting as an object: {', '.join(inputs)}")
        given = {next(iter(inputs)): given}
    missing = [name for name in inputs if name not in given]
    if missing:
        raise RequestError(400, f"Missing named inputs: {', '.join(missing)}. Allowed: {', '.join(inputs)}")
    return {name: array(name, given[name], spec) for name, spec in inputs.items()}, False


def _names_inputs(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict) and not _is_base64(value)


def _from_rows(instances: object, inputs: Mapping[str, Spec]) -> Arrays:
    if not isinstance(instances, list) or not instances:
        raise RequestError(400, '"instances" must be a list of one row or more')
    if not _names_inputs(instances[0]):
        if len(inputs) != 1:
            raise RequestError(400, f"instances are plain values, but expecting objects with: {', '.join(inputs)}")
        (name,) = inputs
        return {name: array(name, instances, inputs[name])}
    columns: dict[str, list[object]] = {name: [] for name in inputs}
    for number, row in enumerate(instances):
        if not _names_inputs(row) or set(row) != set(inputs):
            found = ", ".join(map(str, row)) if isinstance(row, dict) else _short(row)
            raise RequestError(400, f"instances[{number}] has {found}; it must have exactly {', '.join(inputs)}")
        for name in inputs:
            columns[name].append(row[name])
    return {name: array(name, values, inputs[name]) for name, values in columns.items()}


def array(name: str, value: Any, spec: Spec) -> np.ndarray:
    """A value of nested lists as an array of the input's type.

    Raises:
        RequestError: an element is of another type, rows are of unequal length, or the shape does not fit.
    """
    shape = _shape(name, value)
    check_shape(name, shape, spec)
    flat: list[object] = value if len(shape) == 1 else []
    if len(shape) != 1:
        _flatten(value, flat)
    kind = spec.numpy.kind
    values = [_element(name, element, kind) for element in flat]
    if kind == "O":
        result = np.empty(len(values), object)
        result[:] = values
    else:
        try:
            with np.errstate(over="raise"):
                result = np.array(values, spec.numpy)
        except (OverflowError, FloatingPointError):
            raise RequestError(400, f"{name}: a number is out of the range of {spec.dtype}") from None
    return result.reshape(shape)


def check_shape(name: str, shape: Sequence[int], spec: Spec) -> None:
    """Raises RequestError: the input has another number of axes, or another size where it does not vary."""
    if spec.shape is None:
        return
    if len(shape) != len(spec.shape) or any(a not in (-1, b) for a, b in zip(spec.shape, shape, strict=True)):
        wanted = ", ".join("?" if size < 0 else str(size) for size in spec.shape)
        raise RequestError(400, f"{name}: shape [{', '.join(map(str, shape))}] does not fit [{wanted}]")


def _shape(name: str, value: object, axis: int = 0) -> tuple[int, ...]:
    if not isinstance(value, list):
        return ()
    if axis == MOST_AXES:
        raise RequestError(400, f"{name}: lists are nested deeper than {MOST_AXES}, the most that is allowed")
    if not any(isinstance(item, list) for item in value):  # most often, and thousands of samples at once
        return (len(value),)
    inner = {_shape(name, item, axis + 1) for item in value}
    if len(inner) > 1:
        raise RequestError(400, f"{name}: rows of unequal shapes: {', '.join(str(list(s)) for s in sorted(inner))}")
    return (len(value), *(inner.pop() if inner else ()))


def _flatten(value: object, flat: list[object]) -> None:
    if isinstance(value, list):
        for item in value:
            _flatten(item, flat)
    else:
        flat.append(value)


def _is_base64(value: object) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"]


def _element(name: str, value: Any, kind: str) -> bytes | float:
    if kind == "O":
        if isinstance(value, str):
            return value.encode()
        if _is_base64(value):
            try:
                return base64.b64decode(value["b64"], validate=True)
            except (binascii.Error, TypeError, ValueError) as error:
                raise RequestError(400, f"{name}: b64 is not base64: {error}") from None
    elif kind == "b":
        if isinstance(value, bool):
            return value
    elif (isinstance(value, int) and not isinstance(value, bool)) or (kind == "f" and isinstance(value, float)):
        return value
    wanted = {"O": "string", "b": "bool", "f": "float"}.get(kind, "int")
    raise RequestError(
        400, f"{name}: JSON Value: {_short(value)} Type: {_type(value)} is not of expected type: {wanted}"
    )


def _type(value: object) -> str:
    names = {bool: "Boolean", int: "Number", float: "Number", str: "String", list: "Array", dict: "Object"}
    return names.get(type(value), "Null")


def _short(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:  # nested just so deep that it could be read
        return "..."
    return text if len(text) <= 60 else f"{text[:57]}..."


def encoded(outputs: Arrays, *, rows: bool, strict: bool) -> bytes:
    """The body of an answer.

    Args:
        rows: as the request came.
        strict: strings as TensorFlow Serving writes them: no JSON where bytes are no UTF-8, which else are b64.
    Raises:
        RequestError: rows are asked for, and an output has no rows or another number of them.
    """
    if not rows:
        texts = {name: _json(value, name, strict) for name, value in outputs.items()}
        body = next(iter(texts.values())) if len(texts) == 1 else _object(texts)
        return b'{"outputs": ' + body + b"}"
    sizes = {name: value.shape[0] if value.ndim else -1 for name, value in outputs.items()}
    if len(set(sizes.values())) != 1 or -1 in sizes.values():
        raise RequestError(400, f"outputs have no common first dimension: {sizes}. Ask by columns: inputs.")
    (count,) = set(sizes.values())
    lines = []
    for row in range(count):
        texts = {name: _json(value[row], name, strict) for name, value in outputs.items()}
        lines.append(next(iter(texts.values())) if len(texts) == 1 else _object(texts))
    return b'{"predictions": [' + b", ".join(lines) + b"]}"


def _object(texts: Mapping[str, bytes]) -> bytes:
    return b"{" + b", ".join(_key(name) + text for name, text in texts.items()) + b"}"


@cache
def _key(name: str) -> bytes:
    return json.dumps(name).encode() + b": "


def _json(value: object, name: str, strict: bool) -> bytes:
    if isinstance(value, np.ndarray) and value.ndim:
        return b"[" + b", ".join(_json(item, name, strict) for item in value) + b"]"
    if isinstance(value, np.ndarray):
        value = value[()]
    if isinstance(value, (bytes, str)):
        return _string(value if isinstance(value, bytes) else value.encode(), name, strict)
    if isinstance(value, (np.bool_, bool)):
        return b"true" if value else b"false"
    text = str(value)
    return {"nan": b"NaN", "inf": b"Infinity", "-inf": b"-Infinity"}.get(text) or text.encode()


def _string(value: bytes, name: str, strict: bool) -> bytes:
    if not name.endswith("_bytes"):
        try:
            return _quoted(value.decode("utf-8")).encode()
        except UnicodeDecodeError:
            if strict:
                return _quoted(value.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return b'{"b64": "' + base64.b64encode(value) + b'"}'
