"""Values given beside a pipeline file, as `dotted.key=value`, and the YAML that they and the file are written in."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """Keys are texts as they are written, 0 and yes too; and 010 is ten, as in YAML 1.2."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        self.flatten_mapping(node)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        return int(node.value) if node.value.lstrip("+-").isdecimal() else super().construct_yaml_int(node)


Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)


class Written(Loader):
    """Values are texts as they are written, too."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        return node.value if isinstance(node, yaml.ScalarNode) else super().construct_object(node, deep)


MERGE = "tag:yaml.org,2002:merge"
NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)  # a thirteenth month, thousands of brackets


def apply_overrides(
    tree: dict[str, object], written: object, origin: dict[str, str], overrides: list[str]
) -> list[str]:
    """Put each value into the tree, and as it was written into `written`; returns what is wrong with them."""
    problems = []
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path:
            problems.append(f"--set {override}: write it as key=value, such as --set training.epochs=3.")
            continue
        try:
            value, as_written = _value_of(text.strip() or text)
        except NOT_YAML as error:
            problems.append(f"--set {override}: the value is not YAML: {getattr(error, 'problem', error)}.")
            continue
        changed = _set(tree, path, value)
        if changed is None:
            problems.append(f"--set {override}: {path} leads nowhere in this file.")
            continue
        _set(written, path, as_written)
        forget(origin, path)
        origin |= dict.fromkeys([*changed, path, *flatten(value, path)], f"--set {override}")
    return problems


def forget(origin: dict[str, str], path: str) -> None:
    """Drop the origins of what stands below a path."""
    for key in [key for key in origin if key.startswith(f"{path}.")]:
        del origin[key]


def _value_of(text: str) -> tuple[object, object]:
    """(value, the same as it was written): a list, a dict or what is quoted as YAML, anything else one value.

    What YAML would cut at ` #`, or take apart at `: `, stays whole.
    """
    if not text.startswith(("[", "{", '"', "'")):
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError:
            return text, text
        if node is None and text:  # blanks, or what begins as a comment does
            return text, text
        if node is not None and not (isinstance(node, yaml.ScalarNode) and node.value == text):
            return text, text
    return yaml.load(text, Loader=Loader), yaml.load(text, Loader=Written)


def _set(tree: object, path: str, value: object) -> list[str] | None:
    """Put a value at a dotted path.

    Returns:
        The parents that this changes as a whole: lists, and what was no section; None where the path leads nowhere.
    """
    keys = path.split(".")
    changed = []
    branch: object = tree
    for count, parent in enumerate(keys[:-1], start=1):
        if isinstance(branch, list) and parent.isdecimal() and int(parent) < len(branch):
            branch = branch[int(parent)]
        elif isinstance(branch, dict):
            if not isinstance(branch.get(parent), (dict, list)):
                if parent in branch:
                    changed.append(".".join(keys[:count]))
                branch[parent] = {}
            branch = branch[parent]
        else:
            return None
        if isinstance(branch, list):
            changed.append(".".join(keys[:count]))
    leaf = keys[-1]
    if isinstance(branch, dict):
        branch[leaf] = value
    elif isinstance(branch, list) and leaf.isdecimal() and int(leaf) < len(branch):
        branch[int(leaf)] = value
    else:
        return None
    return changed


def flatten(tree: Any, prefix: str = "", *, lists: bool = False) -> dict[str, Any]:
    """Dotted path -> leaf of nested dicts; a list is a leaf, but with `lists` sections in one go by their number."""
    numbered = lists and isinstance(tree, list) and tree and isinstance(tree[0], dict)
    inside = dict(enumerate(tree)) if numbered else tree
    if not isinstance(inside, dict) or not inside:
        return {prefix: tree}
    leaves: dict[str, object] = {}
    for key, value in inside.items():
        leaves |= flatten(value, f"{prefix}.{key}" if prefix else str(key), lists=lists)
    return leaves
