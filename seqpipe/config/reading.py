"""The YAML of a pipeline file: its tree, the same as it was written, and the line of each key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from seqpipe.config.overrides import MERGE, NOT_YAML, Loader, Written
from seqpipe.errors import ConfigError, nearest

SEEN = {type(None): "empty", list: "a list", str: "a text"}


def read_yaml(file: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """(the tree, the same with every value as it was written, file and line of each key)."""
    text = _text_of(file)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        origin: dict[str, str] = {}
        if node is not None:
            if problems := list(_wrong_keys(node, "", file)):
                raise ConfigError(problems)
            _locate(node, "", file, origin)
        tree, written = yaml.load(text, Loader=Loader), yaml.load(text, Loader=Written)
    except NOT_YAML as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        raise ConfigError([f"{place}: not YAML: {getattr(error, 'problem', None) or error}."]) from None
    if not isinstance(tree, dict):
        seen = SEEN.get(type(tree), "a single value")
        raise ConfigError([f"{file}: a pipeline file is a mapping of keys, this is {seen}."])
    return tree, written, origin


def _text_of(file: Path) -> str:
    if file.is_dir():
        raise ConfigError([f"{file} is a directory. A pipeline file is a YAML file."])
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        beside = sorted(str(path) for path in file.parent.glob("*.yaml")) if file.parent.is_dir() else []
        raise ConfigError(
            [f"{file} does not exist (looked in {file.parent.resolve()}).{nearest(file, beside)}"]
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            [f"{file}:{line}: byte {error.start} is not UTF-8 (0x{error.object[error.start]:02x})."]
        ) from None
    except OSError as error:
        raise ConfigError([f"{file} cannot be read: {error.strerror}."]) from None


def _wrong_keys(node: yaml.Node, path: str, file: Path) -> Iterator[str]:
    """What is wrong with keys: one that stands twice, one that is no text."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            place = f"{file}:{key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):
                yield f"{place}: a key is a text, not a list or a mapping."
                continue
            child = _below(path, key)
            if key.value in seen:
                yield f"{place}: the key {child} stands twice."
            seen.add(key.value)
            yield from _wrong_keys(value, child, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _wrong_keys(value, f"{path}.{index}", file)


def _locate(node: yaml.Node, path: str, file: Path, origin: dict[str, str]) -> None:
    """Fill origin with file:line of each key."""
    if isinstance(node, yaml.MappingNode):
        located: set[str] = set()
        for key, value in _with_merged(node):
            if key.value not in located:
                located.add(key.value)
                child = _below(path, key)
                origin[child] = f"{file}:{key.start_mark.line + 1}"
                _locate(value, child, file, origin)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            child = f"{path}.{index}"
            origin[child] = f"{file}:{value.start_mark.line + 1}"
            _locate(value, child, file, origin)


def _with_merged(node: yaml.Node) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Keys and values of a mapping, its own before those that it merges: of one name the first counts."""
    if isinstance(node, yaml.MappingNode):
        yield from (pair for pair in node.value if pair[0].tag != MERGE)
        for merged in (value for key, value in node.value if key.tag == MERGE):
            for part in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
                yield from _with_merged(part)


def _below(path: str, key: yaml.ScalarNode) -> str:
    return f"{path}.{key.value}" if path else str(key.value)
