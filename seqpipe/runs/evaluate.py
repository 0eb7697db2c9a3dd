"""An exported model on labelled data: what it answers as it is served, without its run and without Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from seqpipe.config import file as pipeline_file
from seqpipe.config.pipeline import Evaluation
from seqpipe.data.findings import Finding
from seqpipe.errors import ModelError
from seqpipe.evaluation.classification import evaluate_classifier, to_markdown, write_report
from seqpipe.serving.model import Model, in_windows, load
from seqpipe.storage import write_text
from seqpipe.tasks import schemas
from seqpipe.tasks.text_classification.data import read_table


def evaluate_artefact(
    model: str, source: str, *, overrides: list[str], directory: Path | None, console: Console
) -> dict[str, Any]:
    """Print the report on `source`, and write it with its pictures.

    Args:
        model: a directory or a name.
        source: files:PATH, tfds:NAME or builtin:NAME.
        overrides: such as `data.text_column=body`, where the columns differ from those the model was trained with.
        directory: for report and pictures; without it runs/MODEL-VERSION-evaluation.
    Raises:
        DataError: the rows cannot be read, or are labelled with what is no class of the model.
    """
    loaded = load(model)
    file = loaded.path / "pipeline.yaml"
    if not file.is_file():
        raise ModelError(f"{loaded.path} has no pipeline.yaml, which says how its data is read.")
    changes = {"train": source, "dev": None, "test": None}
    config: Any = pipeline_file.load_again(file, changes, overrides, schemas())
    directory = directory or Path("runs") / f"{loaded.path.parent.name}-{loaded.path.name}-evaluation"
    if config.task == "translation":
        read, evaluate = _read_pairs, _evaluate_translator
    else:
        read, evaluate = (_read_recordings if loaded.hears else _read_texts), _evaluate_classifier
    rows, findings = read(source, config.data, loaded)
    directory.mkdir(parents=True, exist_ok=True)
    lines = [f"{finding.severity}: {finding.text}" for finding in findings]
    for line in lines:
        console.print(line)
    write_text(directory / "findings.txt", "".join(f"{line}\n" for line in lines))
    report, page = evaluate(loaded, rows, config, source, directory)
    console.print(page)
    console.print(f"Report and pictures: {directory}")
    return report


def _evaluate_classifier(
    model: Model, rows: Any, config: Any, source: str, directory: Path
) -> tuple[dict[str, Any], str]:
    """The report, and its words."""
    inputs, labels = rows
    parts = [[row["probabilities"][name] for name in model.labels] for w in in_windows(inputs) for row in model(w)]
    # The logarithm of a probability is a logit; a probability that underflowed counts as the smallest one.
    logits = np.log(np.maximum(np.array(parts, np.float64), np.finfo(np.float32).tiny))
    report = evaluate_classifier(
        logits=logits,
        labels=labels,
        classes=model.labels,
        temperature=1.0,
        split=source,
        seen=None,
        baseline_predictions=None,
        bootstrap_samples=Evaluation().bootstrap_samples,
        seed=1,
    )
    write_report(report, directory, logits=logits, labels=labels)
    return report, to_markdown(report)


def _evaluate_translator(
    model: Model, rows: Any, config: Any, source: str, directory: Path
) -> tuple[dict[str, Any], str]:
    """Greedy and beam search: the report, and its words."""
    from seqpipe.tasks.translation import report as evaluation

    wanted = config.evaluation
    options = {"beam_width": wanted.beam_width, "length_penalty": wanted.length_penalty}
    windows = list(in_windows(rows.sources))
    answers = {
        "greedy": [answer["text"] for window in windows for answer in model(window)],
        "beam": [
            answer["texts"][0] for window in windows for answer in model(window, signature="beam", options=options)
        ],
    }
    report = evaluation.evaluate_translation(
        rows,
        answers,
        tokenize=wanted.tokenize,
        beam_width=wanted.beam_width,
        length_penalty=wanted.length_penalty,
        samples=wanted.bootstrap_samples,
        seed=1,
    )

    def align(source: str) -> tuple[list[str], list[str], np.ndarray]:
        (answer,) = model([source], signature="explain")
        return answer["source_pieces"], answer["target_pieces"], np.array(answer["alignment"])

    evaluation.write_report(report, rows, answers["beam"], directory, tokenize=wanted.tokenize, align=align)
    return report, evaluation.to_markdown(report)


def _read_pairs(source: str, data: Any, model: Model) -> tuple[Any, list[Finding]]:
    from seqpipe.tasks.translation.data import read_pairs

    return read_pairs(source, data)


def _read_texts(source: str, data: Any, model: Model) -> tuple[tuple[list[str], np.ndarray], list[Finding]]:
    # A file may name its labels as the training data did, or by the names of the classes.
    labels = {**(data.labels or {}), **{name: name for name in model.labels}}
    table, findings = read_table(source, data.model_copy(update={"labels": labels}), model.labels, "test")
    return (table.texts, table.labels), findings


def _read_recordings(source: str, data: Any, model: Model) -> tuple[tuple[list[np.ndarray], np.ndarray], list[Finding]]:
    from seqpipe.sound.recordings import INT16
    from seqpipe.tasks.speech_commands.data import read_clips

    clips, findings = read_clips(source, data, model.labels)
    return ([(samples / INT16).astype(np.float32) for samples in clips.samples], clips.labels), findings
