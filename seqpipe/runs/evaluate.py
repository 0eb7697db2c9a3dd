"""An exported model on labelled data: what it answers as it is served, without its run and without Keras."""

from __future__ import annotations

from pathlib import Path

import yaml
from rich.console import Console

from seqpipe.config import file as pipeline_file
from seqpipe.errors import ModelError
from seqpipe.evaluation.measures import Report
from seqpipe.runs.outcome import RUNS
from seqpipe.serving.model import load
from seqpipe.storage import unwritable, write_text
from seqpipe.tasks import make_task, schemas


def evaluate_artefact(
    model: str, source: str, *, overrides: list[str], directory: Path | None, console: Console
) -> Report:
    """Print the report on `source`, and write it with its pictures.

    Args:
        model: a directory or a name.
        source: files:PATH, tfds:NAME or builtin:NAME.
        overrides: such as `data.text_column=body`, where the columns differ from those the model was trained with.
        directory: for report and pictures; without it runs/MODEL-VERSION-evaluation.
    Raises:
        DataError: the rows cannot be read, or are labelled with what the model does not know.
    """
    loaded = load(model)
    file = loaded.path / "pipeline.yaml"
    if not file.is_file():
        raise ModelError(f"{loaded.path} has no pipeline.yaml, which says how its data is read.")
    held_back = yaml.safe_load(file.read_text(encoding="utf-8"))["data"].keys() & {"dev", "test"}
    changes = {"train": source, **dict.fromkeys(held_back)}
    task = make_task(pipeline_file.load_again(file, changes, overrides, schemas()))
    directory = directory or RUNS / f"{loaded.name}-{loaded.path.name}-evaluation"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(directory, error) from error
    report, findings = task.evaluate_served(loaded, source, directory)
    lines = [f"{finding.severity}: {finding.text}" for finding in findings]
    write_text(directory / "findings.txt", "".join(f"{line}\n" for line in lines))
    for line in (*lines, task.describe(report)):
        console.print(line)
    console.print(f"Report and pictures: {directory}")
    return report
