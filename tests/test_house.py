"""What holds the house up: no room but tasks/ names a task, and rooms stay small."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from seqpipe.tasks import TASKS

PACKAGE = Path(__file__).parent.parent / "seqpipe"
MODULES = sorted(PACKAGE.rglob("*.py"))


def named_tasks(text: str) -> list[str]:
    """Tasks that code names: in a string, by a class, or by what it imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and node.value in TASKS:
            found.add(node.value)
        elif isinstance(node, ast.Name) and node.id.removesuffix("Pipeline") in TASKS.values():
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom) and re.search(rf"\btasks\.({'|'.join(TASKS)})\b", node.module or ""):
            found.add(node.module)
    return sorted(found)


def test_house_finds_a_task_that_is_named():
    assert named_tasks('if task == "translation":\n    pass') == ["translation"]
    assert named_tasks("isinstance(config, TextClassificationPipeline)") == ["TextClassificationPipeline"]
    assert named_tasks("from seqpipe.tasks.speech_commands import report") == ["seqpipe.tasks.speech_commands"]
    assert named_tasks("with whole_file(path) as file:  # a translation of bytes\n    pass") == []


@pytest.mark.parametrize(
    "module", [path for path in MODULES if "tasks" not in path.parts], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_house_no_room_but_tasks_names_a_task(module):
    assert named_tasks(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_house_modules_and_functions_are_small(module):
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno + 1 <= 60, f"{node.name} in line {node.lineno}"
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: a mistake raises; assert is for tests"
