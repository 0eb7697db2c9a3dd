"""Reading a pipeline file: overrides, every mistake at once, and where each value came from.

TensorFlow is never imported here.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from seqpipe.config.messages import DATA, in_the_way, messages, place_of, where
from seqpipe.config.overrides import apply_overrides, flatten, forget
from seqpipe.config.pipeline import SEARCHED, Pipeline
from seqpipe.config.reading import read_yaml
from seqpipe.config.section import Section
from seqpipe.errors import ConfigError, nearest, not_allowed

P = TypeVar("P", bound=Pipeline)


@dataclass(frozen=True)
class Loaded:
    """A checked configuration, and for each dotted path that was given the place of its value: FILE:LINE, or --set."""

    config: Pipeline
    origin: dict[str, str]


def load(file: str | Path, overrides: list[str], schemas: Mapping[str, type[Pipeline]]) -> Loaded:
    """Read, override and check a pipeline file.

    Args:
        file: a YAML file.
        overrides: `dotted.key=value`, a value as in YAML, or a text as it stands.
        schemas: the Pipeline of each task by its name.
    Raises:
        ConfigError: with every mistake in file and overrides at once.
    """
    file = Path(file)
    tree, written, origin = read_yaml(file)
    problems = apply_overrides(tree, written, origin, overrides)
    _put_back(tree, written, ("task",))
    task = str(tree.get("task") or "")
    if not task:
        problems.append(f"{file}: the key task is missing. Allowed: {', '.join(schemas)}.")
    elif task not in schemas:
        problems.append(f"{where(file, origin, 'task')}: task = {not_allowed(task, 'task', schemas)}")
    else:
        problems += _led_through_values(schemas[task], overrides)
    if problems:
        raise ConfigError(problems)
    config = _validated(schemas[task], tree, written, file, origin)
    problems = [f"{where(file, origin, f'tune.space.{key}')}: {text}" for key, text in _search_problems(config)]
    if problems:
        raise ConfigError(problems)
    return Loaded(config, origin)


def load_again(
    file: Path, changes: Mapping[str, object], overrides: list[str], schemas: Mapping[str, type[Pipeline]]
) -> Pipeline:
    """The configuration kept beside a model, with other data; keys that this version does not know are passed over.

    Args:
        file: pipeline.yaml of an artefact.
        changes: keys of `data` that differ.
        overrides: as in `load`.
    Raises:
        ConfigError: as in `load`.
    """
    tree, written, origin = read_yaml(file)
    schema = schemas[tree["task"]]
    _pass_over_unknown(schema, tree)
    tree["data"].pop("max_rows", None)  # of what it was trained on
    tree["data"] |= changes
    for key, value in changes.items():
        forget(origin, f"data.{key}")
        origin[f"data.{key}"] = f"{DATA}{value}"
    problems = apply_overrides(tree, written, origin, overrides) + _led_through_values(schema, overrides)
    if problems:
        raise ConfigError(problems)
    return _validated(schema, tree, written, file, origin)


def _led_through_values(schema: type[Pipeline], overrides: list[str]) -> list[str]:
    """What is wrong with overrides whose key stands below one that has none below it."""
    ways = {override: in_the_way(schema, override.partition("=")[0]) for override in overrides}
    return [f"--set {override}: {way} is no section." for override, way in ways.items() if way]


def _pass_over_unknown(schema: type[Pipeline], tree: dict[str, object]) -> None:
    """Take out of a configuration that another version wrote the keys that this one does not know."""
    try:
        schema.model_validate(tree)
    except ValidationError as error:
        for item in error.errors():
            if item["type"] != "extra_forbidden":
                continue
            *parents, leaf = item["loc"]
            branch: Any = tree
            for parent in parents:
                if isinstance(parent, int) or parent in branch:  # a section of a choice is named in between
                    branch = branch[parent]
            branch.pop(leaf)


def with_values(config: P, values: Mapping[str, object]) -> P:
    """The configuration with other values at dotted keys, checked like a file.

    Raises:
        ConfigError: a value is not allowed.
    """
    tree, origin, written = config.model_dump(mode="json"), dict[str, str](), dict[str, object]()
    overrides = [as_override(key, value) for key, value in values.items()]
    problems = apply_overrides(tree, written, origin, overrides)
    if problems:
        raise ConfigError(problems)
    return _validated(type(config), tree, written, Path("the configuration"), origin)


def as_override(key: str, value: object) -> str:
    """`dotted.key=value` as `--set` takes it."""
    return f"{key}={yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix('...' + chr(10)).strip()}"


def _search_problems(config: Pipeline) -> list[tuple[str, str]]:
    """(key of the search space, what is wrong with it): no key of the pipeline, or a value that it does not take."""
    if config.tune is None:
        return []
    tree = config.model_dump(mode="json", include=set(SEARCHED))
    known = [key for key in flatten(tree, lists=True) if key != "training.monitor"]
    problems = []
    for key, search in config.tune.space.items():
        if key not in known:
            text = f"tune.space.{key} is not a key to search: it must be one of features, model or training."
            if key == "training.monitor":
                text = "tune.space.training.monitor: the figure that trials are compared by cannot be searched."
            problems.append((key, f"{text}{nearest(key, known)}"))
            continue
        if moved := config.training.cannot_compare(key):
            problems.append((key, f"tune.space.{key} {moved}"))
            continue
        for value in search.choices if search.choices is not None else (search.low, search.high):
            try:
                with_values(config, {key: value})
            except ConfigError as error:
                text = error.problems[0].partition(": ")[2]
                # A value that another key forbids is no mistake yet: that key may be searched too.
                if text.startswith(f"{key} "):
                    problems.append((key, f"tune.space.{key}: {text}"))
    return problems


def _validated(schema: type[P], tree: dict[str, object], written: object, file: Path, origin: dict[str, str]) -> P:
    """The configuration; where it wants a text and YAML saw a number, a date or a truth value, what was written."""
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        texts = [place_of(item) for item in error.errors() if _may_be_text(item)]
        if any(_put_back(tree, written, location) for location in texts):
            return _validated(schema, tree, written, file, origin)
        raise ConfigError(messages(error.errors(), schema, file, origin)) from None


def _may_be_text(error: ErrorDetails) -> bool:
    """Whether a value is wrong because YAML made something else of a text, such as a truth value of no."""
    return error["type"] == "string_type" or (
        error["type"] == "literal_error" and isinstance(error["input"], (bool, date))
    )


def _put_back(tree: Any, written: Any, location: tuple[int | str, ...]) -> bool:
    """Put a value as it was written into its place; False where there is none, as for an empty value."""
    *parents, leaf = location
    try:
        for key in parents:
            tree, written = tree[key], written[key]
        if tree[leaf] is None or isinstance(tree[leaf], str) or not isinstance(written[leaf], str):
            return False
        tree[leaf] = written[leaf]
    except (KeyError, IndexError, TypeError):
        return False
    return True


def changed_keys(before: Mapping[str, object], config: Pipeline) -> list[str]:
    """The dotted keys of a configuration whose value is not what it was.

    A key that was not there before, because seqpipe did not know it yet, has not changed where it is at its default.

    Args:
        before: the leaves of the earlier configuration, as `flatten` gives them.
    """
    now = flatten(config.model_dump(mode="json"))
    return [
        key
        for key in {**before, **now}
        if (before[key] != now[key] if key in before and key in now else key in before or not _is_default(config, key))
    ]


def _is_default(config: Pipeline, key: str) -> bool:
    """Whether a dotted key has the value that its section gives it by default."""
    *parents, leaf = key.split(".")
    section: object = config
    for name in parents:
        section = section.get(name) if isinstance(section, dict) else getattr(section, name, None)
    if not isinstance(section, Section):
        return False  # an entry of a dictionary has no default
    field = type(section).model_fields[leaf]
    return not field.is_required() and getattr(section, leaf) == field.get_default(call_default_factory=True)


def to_yaml(config: Pipeline) -> str:
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)


def cut_at_comments(file: Path, overridden: Collection[str] = ()) -> list[str]:
    """Sources that are followed by ` #`, where YAML ends a path, and are not there, or are there with what follows.

    Args:
        file: a pipeline file that was read.
        overridden: keys whose value in the file does not count.
    Returns:
        A line for each.
    """
    text = file.read_text(encoding="utf-8")
    found = []
    for scalar, key in _plain_values(yaml.compose(text, Loader=yaml.SafeLoader), ""):
        scheme, _, path = scalar.value.partition(":")
        rest = text[scalar.end_mark.index :].partition("\n")[0].rstrip()
        comment = rest[:1] in (" ", "\t") and rest.lstrip(" \t").startswith("#")
        if scheme != "files" or not comment or any(f"{key}.".startswith(f"{other}.") for other in overridden):
            continue
        if not _is_there(path) or all(map(_is_there, f"{path}{rest}".split(","))):
            found.append(
                f'{file}:{scalar.end_mark.line + 1}: in YAML " #" begins a comment. Did you mean {key}: '
                f'"{scalar.value}{rest}"? Put it in quotes.'
            )
    return found


def _is_there(name: str) -> bool:
    """Whether a path, or a glob, names something."""
    name = os.path.expanduser(name)
    return os.path.exists(name) or any(map(os.path.exists, name.split(","))) or bool(glob.glob(name))


def _plain_values(node: yaml.Node | None, key: str) -> Iterator[tuple[yaml.ScalarNode, str]]:
    """Values that stand without quotes, each with its dotted key."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from _plain_values(value, f"{key}.{name.value}" if key else str(name.value))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _plain_values(value, key)
    elif isinstance(node, yaml.ScalarNode) and node.style is None:
        yield node, key
