"""Writes docs/reference.md and docs/pipeline.schema.json from the schema of every task: python tools/reference.py"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union

import yaml
from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from seqpipe import tasks
from seqpipe.config.data import Column, Encoding, Separator, Source, Sources
from seqpipe.config.pipeline import Pipeline
from seqpipe.config.section import Section
from seqpipe.storage import write_text

DOCS = Path(__file__).parent.parent / "docs"
NAMED = {
    Source: "source",
    Sources: "source, or a list of them",
    Column: "name or number of a column",
    Encoding: "encoding",
    Separator: "one character",
}
PLAIN = {
    bool: "`true`, `false`",
    int: "integer",
    float: "number",
    str: "text",
    type(None): "`null`",
    Any: "anything",
}
INTRODUCTION = """# Keys of a pipeline file

All keys of all tasks: what they take, their defaults and what they do. `seqpipe show FILE` prints the values in effect
and where each came from. A section is a key with keys below it: `training.epochs` is written

```yaml
training:
  epochs: 20
```

or, on the command line, `--set training.epochs=20`. An unknown key is an error. A *source* is `files:PATH`, `tfds:NAME`
or `builtin:NAME`. `make schema` writes this page from the schema itself; editors read that as
[pipeline.schema.json](pipeline.schema.json).
"""
Place = tuple[str, str]  # (task, dotted path)


def own_hints(section: type[Section]) -> dict[str, Any]:
    return typing.get_type_hints(section, include_extras=True)


def sections_in(kind: Any) -> Iterator[type[Section]]:
    """The sections that a type holds, also in a list or a dictionary."""
    if isinstance(kind, type) and issubclass(kind, Section):
        yield kind
    for part in typing.get_args(kind):
        yield from sections_in(part)


def roots(section: type[Section]) -> list[type[Section]]:
    """The oldest sections that a section inherits from, itself where there is none."""
    older = [base for base in section.__mro__[1:] if issubclass(base, Section) and base is not Section]
    return [base for base in older if base.__bases__ == (Section,)] or [section]


def walk(task: str, section: type[Section], path: str = "") -> Iterator[tuple[type[Section], Place]]:
    """Every section below one with its place, in the order of the schema."""
    hints = own_hints(section)
    for key in section.model_fields:
        for below in sections_in(hints[key]):
            place = f"{path}.{key}" if path else key
            yield below, (task, place)
            yield from walk(task, below, place)


class Reference:
    """The page: where each section stands, and which are described once for several tasks."""

    def __init__(self, pipelines: dict[str, type[Pipeline]]) -> None:
        self.pipelines = pipelines
        self.places: dict[type[Section], list[Place]] = {}
        users: dict[type[Section], set[str]] = {}
        for task, pipeline in pipelines.items():
            for section, place in walk(task, pipeline):
                self.places.setdefault(section, []).append(place)
                for used in (*roots(section), section):
                    users.setdefault(used, set()).add(task)
        self.shared = [section for section, of in users.items() if len(of) > 1]

    def page(self) -> str:
        every = [key for key in Pipeline.model_fields if not list(sections_in(own_hints(Pipeline)[key]))]
        parts = [INTRODUCTION, self._contents(), "## Every task\n", self._table(Pipeline, every)]
        for task, pipeline in self.pipelines.items():
            parts += [f"## {task}\n", f"{first_line(pipeline)}\n"]
            parts += [self._table(pipeline, [key for key in pipeline.model_fields if key not in every])]
            parts += [
                self._section(section)
                for section, places in self.places.items()
                if places[0][0] == task and section not in self.shared
            ]
        parts += ["## Shared by tasks\n", *map(self._section, self.shared)]
        return "\n".join(parts)

    def _contents(self) -> str:
        links = [f"[{title}](#{anchor(title)})" for title in ("Every task", *self.pipelines, "Shared by tasks")]
        return f"{' · '.join(links)}\n"

    def _section(self, section: type[Section]) -> str:
        bases = [base for base in roots(section) if base in self.shared and base is not section]
        inherited = {(key, repr(field)) for base in bases for key, field in base.model_fields.items()}
        keys = [key for key, field in section.model_fields.items() if (key, repr(field)) not in inherited]
        lines = [f'### <a id="{section_anchor(section)}"></a>{self._title(section)}\n']
        if first_line(section):
            lines.append(f"{first_line(section)}\n")
        if bases:
            links = " and ".join(f"[{base.__name__}](#{section_anchor(base)})" for base in bases)
            lines.append(f"All keys of {links}{'; its own, or with other defaults:' if keys else '.'}\n")
        return "\n".join([*lines, *([self._table(section, keys)] if keys else [])])

    def _title(self, section: type[Section]) -> str:
        """Where a section stands; what only others build on has its name alone."""
        places = self.places.get(section, [])
        paths = ", ".join(dict.fromkeys(f"`{path}`" for _, path in places))
        return f"{section.__name__}: {paths}" if section in self.shared and places else paths or section.__name__

    def _table(self, section: type[Section], keys: list[str]) -> str:
        hints = own_hints(section)
        rows = ["| key | takes | default | what it does |", "|---|---|---|---|"]
        for key in keys:
            field = section.model_fields[key]
            cells = (f"`{key}`", self._takes(hints[key], field), default(field), describe(hints[key], field))
            rows.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
        return "\n".join([*rows, ""])

    def _takes(self, kind: Any, field: FieldInfo | None = None) -> str:
        if any(kind == named for named in NAMED):
            return next(text for named, text in NAMED.items() if kind == named)
        origin, parts = typing.get_origin(kind), typing.get_args(kind)
        if origin is typing.Annotated:
            return self._takes(parts[0], field)
        if origin is Literal:
            return ", ".join(f"`{part}`" for part in parts)
        if origin in (Union, types.UnionType):
            parts = tuple(sorted(parts, key=lambda part: part is type(None)))  # the empty value last
            return " or ".join(self._takes(part, field) for part in parts)
        if origin is list:
            several = typing.get_origin(parts[0]) in (Union, types.UnionType)
            items = f"({self._takes(parts[0])})" if several else self._takes(parts[0])
            return f"list of {items}{', at least ' + str(least(field)) if least(field) else ''}"
        if origin is dict:
            return f"NAME: {self._takes(parts[1])}"
        if isinstance(kind, type) and issubclass(kind, Section):
            return f"[section](#{section_anchor(kind)})"
        return f"{PLAIN[kind]}{bounds(field) if kind in (int, float) else ''}"


def least(field: FieldInfo | None) -> int:
    return next((rule.min_length for rule in (field.metadata if field else []) if isinstance(rule, MinLen)), 0)


def bounds(field: FieldInfo | None) -> str:
    """The range that a number must lie in, in words."""
    words = {Ge: "from {ge}", Gt: "above {gt}", Le: "to {le}", Lt: "below {lt}"}
    rules = field.metadata if field else []
    told = [words[kind].format(**vars_of(rule)) for kind in words for rule in rules if type(rule) is kind]
    return f", {' '.join(told)}" if told else ""


def vars_of(rule: Any) -> dict[str, str]:
    return {name: f"{getattr(rule, name):,}" for name in ("ge", "gt", "le", "lt") if hasattr(rule, name)}


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Section):
        return "as there"
    if isinstance(value, list):
        value = [item.model_dump(exclude_unset=True) if isinstance(item, Section) else item for item in value]
    written = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True)
    return f"`{written.removesuffix('...' + chr(10)).strip()}`"


def describe(kind: Any, field: FieldInfo) -> str:
    """What a key does; of a section without words of its own, what the section is."""
    below = next(sections_in(kind), None)
    return field.description or (first_line(below) if below else "")


def first_line(section: type[Section]) -> str:
    return " ".join((section.__dict__.get("__doc__") or "").split())


def anchor(title: str) -> str:
    """As GitHub makes one of a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def section_anchor(section: type[Section]) -> str:
    return f"section-{section.__name__.lower()}"


def files() -> dict[Path, str]:
    """What `make schema` writes: path -> text."""
    return {
        DOCS / "pipeline.schema.json": f"{json.dumps(tasks.json_schema(), indent=2)}\n",
        DOCS / "reference.md": f"{Reference(tasks.schemas()).page().rstrip()}\n",
    }


if __name__ == "__main__":
    for file, text in files().items():
        write_text(file, text)
