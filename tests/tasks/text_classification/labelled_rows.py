"""Labelled rows in a file of the working directory, and what reading them says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqpipe.errors import DataError
from seqpipe.tasks.text_classification.config import ClassificationData
from seqpipe.tasks.text_classification.data import LabelledSplits, read_splits


def write(name: str, rows: list[tuple[str, str]]) -> str:
    """A file of JSON lines with (label, text) in each."""
    lines = [json.dumps({"text": text, "label": label}) for label, text in rows]
    Path(name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return f"files:{name}"


def rows_of(classes: str = "ab", count: int = 20, name: str = "text") -> list[tuple[str, str]]:
    """Rows without a fault, each text different, the classes in turn."""
    return [(classes[i % len(classes)], f"{name} {i}") for i in range(count)]


def read(train: list[tuple[str, str]], **options) -> LabelledSplits:
    return read_splits(ClassificationData(train=write("train.jsonl", train), **options))


def findings(splits: LabelledSplits, severity: str) -> list[str]:
    return [finding.text for finding in splits.findings if finding.severity == severity]


def warnings_of_train(train: list[tuple[str, str]]) -> list[str]:
    return [text for text in findings(read(train), "warning") if text.startswith("train: ")]


def message(train: list[tuple[str, str]], **options) -> str:
    with pytest.raises(DataError) as caught:
        read(train, **options)
    return str(caught.value)
