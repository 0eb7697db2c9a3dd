"""What is said of the mistakes in a pipeline file: where each is, what stands there, what is allowed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from seqpipe.errors import nearest, not_allowed

OTHERWISE = {"int": "a whole number", "float": "a number", "list[int]": "a list of whole numbers"}
BRANCHES = ("literal[", "dict[", "list[", "function-")  # what pydantic calls the branches of a choice
WHOLE = {"model_type": "a section of keys", "dict_type": "a section of keys", "list_type": "a list"}
DATA = "--data "  # what the origin of a key begins with that the option gave


def messages(errors: list[ErrorDetails], schema: type[BaseModel], file: Path, origin: dict[str, str]) -> list[str]:
    """One for each key: of one that has a choice, pydantic tells twice what is wrong."""
    choices = [item["loc"][:-1] for item in errors if item["loc"][-1:] == ("literal['auto']",)]
    told = []
    for item in errors:
        key = next((place for place in choices if item["loc"][: len(place)] == place), None)
        if key is None:
            place = place_of(item)
            others = [other for other in errors if place_of(other) == place and other is not item]
            if item["type"] in WHOLE and any(other["type"] not in WHOLE for other in others):
                continue  # told by the other branch
            if item["type"] == "literal_error" and any(place_of(other)[:-1] == place for other in errors):
                continue  # it is of the other branch, which tells what is wrong inside
            also = [WHOLE[other["type"]] for other in others if other["type"] in WHOLE]
            told.append(_message(item, schema, file, origin, also))
        elif (kind := OTHERWISE.get(str(item["loc"][len(key)]))) is not None:
            path = ".".join(map(str, key))
            told.append(f"{where(file, origin, path)}: {path} = {_shown(item['input'])}. Allowed: auto, or {kind}.")
    return told


def where(file: Path, origin: dict[str, str], path: str) -> str:
    """The place of a path, of what is written below it, or of the nearest parent that is written down."""
    below = (place for written, place in origin.items() if written.startswith(f"{path}."))
    if path not in origin and (place := next(below, "")):  # a section that options alone name
        return place
    while path:
        if path in origin:
            return origin[path]
        path = path.rpartition(".")[0]
    return str(file)


def place_of(error: ErrorDetails) -> tuple[int | str, ...]:
    """Where an error is, without the names of branches."""
    return tuple(key for key in error["loc"] if isinstance(key, int) or not key.startswith(BRANCHES))


def in_the_way(schema: type[BaseModel], path: str) -> str:
    """The first key that a dotted path leads through, though it holds a single value; "" where there is none."""
    current: type[BaseModel] | None = schema
    keys = path.split(".")
    for count, key in enumerate(keys[:-1], start=1):
        if key.isdecimal():
            continue
        field = current.model_fields.get(key) if current is not None else None
        if field is None:
            return ""
        current = _section_of(field.annotation)
        if current is None:
            return "" if _holds_more(field.annotation) else ".".join(keys[:count])
    return ""


def _section_at(schema: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The section in which the last key of a location stands."""
    current: type[BaseModel] | None = schema
    for key in location[:-1]:
        if isinstance(key, int) or current is None:
            continue
        field = current.model_fields.get(key)
        if field is None:
            continue
        current = _section_of(field.annotation)
    return current


def _section_of(annotation: object) -> type[BaseModel] | None:
    return next((part for part in _parts(annotation) if issubclass(part, BaseModel)), None)


def _parts(annotation: object) -> list[type]:
    """The classes inside an annotation such as `list[Convolution] | None`."""
    arguments = getattr(annotation, "__args__", None)
    if arguments:
        return [part for argument in arguments for part in _parts(argument)]
    return [annotation] if isinstance(annotation, type) else []


def _holds_more(annotation: object) -> bool:
    """Whether a value of an annotation may be a list or a dictionary."""
    arguments = getattr(annotation, "__args__", ())
    return getattr(annotation, "__origin__", annotation) in (list, dict, Any) or any(map(_holds_more, arguments))


def _shown(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    return f'"{value}"' if isinstance(value, str) else str(value) if not isinstance(value, dict) else "{...}"


def _message(error: ErrorDetails, schema: type[BaseModel], file: Path, origin: dict[str, str], also: list[str]) -> str:
    """
    Args:
        also: what else the key may be.
    """
    location = place_of(error)
    path = ".".join(str(key) for key in location)
    place = where(file, origin, path)
    kind = error["type"]
    section = _section_at(schema, location)
    if kind == "extra_forbidden":
        allowed = list(section.model_fields) if section else []
        return f"{place}: {path} is not a key. Allowed: {', '.join(allowed)}.{nearest(location[-1], allowed)}"
    field = section.model_fields.get(str(location[-1])) if section and location else None
    if kind == "missing":
        return f"{place}: the key {path} is missing. {(field.description if field else '') or ''}".rstrip()
    value, shown = error["input"], _shown(error["input"])
    if value is None:
        fill = "name a key below it" if kind in ("model_type", "dict_type") else "give it a value"
        return f"{place}: {path} is empty: {fill}{'' if field and field.is_required() else ', or remove it'}."
    if kind in WHOLE:
        return f"{place}: {path} is {WHOLE[kind]}, not {shown}."
    if kind == "literal_error":
        allowed = re.findall(r"'(.*?)'(?=, | or |$)", error["ctx"]["expected"])
        return f"{place}: {path} = {not_allowed(value, str(location[-1]), [*allowed, *also])}"
    if kind == "value_error":
        text = str(error["ctx"]["error"])
        if not path:
            return f"{place}: {text}"
        if place.startswith(DATA):
            return f"{place} {text}"
        return f"{place}: {path} = {shown} {text}" if not isinstance(value, dict) else f"{place}: {path}: {text}"
    return f"{place}: {path} = {shown}: {error['msg'][0].lower()}{error['msg'][1:]}."
