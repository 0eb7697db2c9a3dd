"""The report on a classifier that gives a text several labels, beside a linear machine for each label.

A report is a dict that JSON can hold; `label_set_words` says it in words. A figure with an interval is
{value, low, high, n}; what does not exist is None. Axes: N rows, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
from scipy.special import expit

from seqpipe.data.examples import Examples, content_key
from seqpipe.evaluation.metrics import per_class, sign_p, wilson_interval
from seqpipe.evaluation.paired import with_interval
from seqpipe.evaluation.rows import RowFigures
from seqpipe.storage import write_text
from seqpipe.tasks.text_classification.baseline import LabelSetBaseline
from seqpipe.tasks.text_classification.data import Table, seen_rows
from seqpipe.tasks.text_classification.label_set_figures import (
    MACRO_F1,
    MICRO_F1,
    Thresholds,
    fit_shares,
    fit_temperature,
    fit_thresholds,
    label_set_rows,
    nll,
)
from seqpipe.tasks.text_classification.label_set_words import to_markdown
from seqpipe.tasks.text_classification.report import deletion_of, vectors_of
from seqpipe.training.predict import predict

if TYPE_CHECKING:
    from seqpipe.serving.model import Model
    from seqpipe.tasks.protocol import Fitted, Report
    from seqpipe.tasks.text_classification.task import TextClassification


@dataclass(frozen=True)
class Answered:
    """The labelled rows of a split and what was answered to them.

    split: "dev" is what the model was chosen by, and the report says so.
    logits: float [N, C], before the temperature.
    labels: int8 [N, C].
    rows_key: a hash of the rows in their order.
    seen: bool [N], rows whose text is also in training; None where nobody looked.
    baseline: int8 [N, C], what the baseline chose; None without one.
    """

    split: str
    logits: np.ndarray
    labels: np.ndarray
    rows_key: str = ""
    seen: np.ndarray | None = None
    baseline: np.ndarray | None = None


@dataclass(frozen=True)
class Settings:
    """What the reports of all splits share. classes: C names. temperature, thresholds: fitted on dev."""

    classes: Sequence[str]
    temperature: float
    thresholds: Thresholds
    samples: int
    seed: int


def calibrate(task: TextClassification, model: keras.Model, dev: Examples) -> Fitted:
    """Fit on dev the temperature, the weight of the network beside n-grams, and thresholds of the probabilities."""
    labels = task.splits.dev.labels
    logits = predict(model, task, dev).astype(np.float64)
    if task.ngrams is None:
        temperature = fit_temperature(logits, labels)
        scaled, shares = logits / temperature, {}
    else:
        expert = model.get_layer("ngrams")
        network = predict(keras.Model(model.inputs, expert.input[0]), task, dev).astype(np.float64)
        of_network, of_expert = fit_shares(network, logits - network, labels)
        scaled = of_network * network + of_expert * (logits - network)
        temperature, shares = 1.0 / of_expert, {"network_scale": of_network / of_expert}
    found = fit_thresholds(expit(scaled), labels, lowest=0.0)
    thresholds = {"thresholds": found.values.tolist(), "own_thresholds": found.own.tolist()}
    return {"temperature": temperature, **shares, **thresholds}


def thresholds_of(fitted: Fitted) -> Thresholds:
    return Thresholds(np.array(fitted["thresholds"]), np.array(fitted["own_thresholds"], bool))


def evaluate(
    task: TextClassification, model: keras.Model, fitted: Fitted, examples: dict[str, Examples], directory: Path
) -> Report:
    """Write the report; see `seqpipe.tasks.protocol.Task.evaluate`."""
    train, dev, wanted = task.splits.train, task.splits.dev, task.config.evaluation
    settings = Settings(
        task.classes, fitted["temperature"], thresholds_of(fitted), wanted.bootstrap_samples, task.config.seed
    )
    baseline = LabelSetBaseline.fit(train.texts, train.labels, task.config.seed) if wanted.baseline else None
    theirs = None if baseline is None else fit_thresholds(baseline.scores(dev.texts), dev.labels)

    def answered(name: str, table: Table, rows: Examples) -> Answered:
        return Answered(
            name,
            predict(model, task, rows).astype(np.float64),
            table.labels,
            rows_key=content_key(task.classes, table.texts, table.labels),
            seen=seen_rows(table, train),
            baseline=None if baseline is None or theirs is None else theirs.chosen(baseline.scores(table.texts)),
        )

    report: Report = {"classes": task.classes, **fitted, "splits": {}, "other_domains": {}, **vectors_of(task)}
    if baseline is not None:
        about = {name: getattr(baseline, name) for name in ("fit_time_s", "size_bytes")}
        report["baseline"] = {"description": baseline.describe(), **about}
    for split, rows in examples.items():
        found = answered(split, task.splits.get(split), rows)
        report["splits"][split] = report_split(found, directory / split, settings)
    for name, table in task.domains.items():
        rows = Examples({"ids": task.encode(table.texts), "label": table.labels.astype(np.int32)})
        report["other_domains"][name] = figures(answered(name, table, rows), settings)[0]
    of_logits = lambda logits: expit(logits / fitted["temperature"])  # noqa: E731  a line
    report["splits"]["dev"]["deletion"] = deletion_of(task, model, examples["dev"], of_logits)
    return report


def evaluate_served(
    model: Model, table: Table, fitted: Fitted, source: str, directory: Path, *, samples: int
) -> Report:
    """The report on an exported model as it answers rows; `splits` holds `test`.

    Args:
        fitted: what was fitted on dev before it was exported.
        source: what the rows are, in words.
        samples: resamples behind each interval.
    """
    shares = [[row["probabilities"][name] for name in model.labels] for row in model(table.texts)]
    # The logit of a probability; one that is 0 or 1 in float32 counts as the nearest that is not.
    tiny = np.finfo(np.float32).tiny
    probabilities = np.clip(np.array(shares, np.float64).reshape(-1, len(model.labels)), tiny, 1 - 2**-24)
    settings = Settings(model.labels, 1.0, thresholds_of(fitted), samples, seed=1)
    logits = np.log(probabilities) - np.log1p(-probabilities)
    report = report_split(Answered(source, logits, table.labels), directory, settings)
    return {"classes": list(model.labels), "splits": {"test": report}}


def report_split(answered: Answered, directory: Path, settings: Settings) -> Report:
    """Everything about a split, and the same as report.json, report.md and, row by row, rows.npz."""
    report, rows = figures(answered, settings)
    directory.mkdir(parents=True, exist_ok=True)
    rows.write(directory)
    write_text(directory / "report.json", json.dumps(report, ensure_ascii=False, allow_nan=False, indent=2) + "\n")
    write_text(directory / "report.md", f"# Report on {report['split']}\n\n{to_markdown(report)}")
    return report


def figures(answered: Answered, settings: Settings) -> tuple[Report, RowFigures]:
    """Everything the report says about a split, and what was answered row by row."""
    labels, classes = answered.labels, settings.classes
    scaled = answered.logits / settings.temperature
    rows = label_set_rows(labels, settings.thresholds.chosen(expit(scaled)), answered.rows_key)
    seen = answered.seen
    given = labels.sum(axis=0, dtype=np.int64)
    most = int(given.argmax())
    chosen = rows.columns["chosen"]
    by_label = per_class(chosen, labels, classes)
    answers = chosen.sum(axis=0, dtype=np.int64).tolist()
    thresholds = zip(settings.thresholds.values.tolist(), settings.thresholds.own.tolist(), strict=True)
    report = {
        "split": answered.split,
        "rows": len(labels),
        "labels": int(given.sum()),
        "rows_without_label": int((~labels.any(axis=1)).sum()),
        "rows_seen_in_training": None if seen is None else int(seen.sum()),
        "classes": list(classes),
        "measures": _measured(rows, settings),
        "unseen": _unseen(rows, seen, settings),
        "majority": {"class": classes[most], "micro_f1": float(2 * given[most] / (len(labels) + given.sum()))},
        "per_label": [
            {**found, "threshold": threshold, "own_threshold": own, "answered": count}
            for found, (threshold, own), count in zip(by_label, thresholds, answers, strict=True)
        ],
        "temperature": float(settings.temperature),
        "nll": {"before": nll(answered.logits, labels), "after": nll(scaled, labels)},
        **_beside_baseline(rows, answered, settings),
    }
    return report, rows


def _measured(rows: RowFigures, settings: Settings) -> Report:
    """Of each measure {value, low, high, n}."""
    found: Report = {
        measure.name: with_interval(measure, [rows], samples=settings.samples, seed=settings.seed)
        for measure in (MICRO_F1, MACRO_F1)
    }
    right, total = int(rows.columns["accuracy"].sum()), len(rows)
    low, high = wilson_interval(right, total)
    found["accuracy"] = {"value": right / total, "low": low, "high": high}
    return {name: {**figure, "n": total} for name, figure in found.items()}


def _unseen(rows: RowFigures, seen: np.ndarray | None, settings: Settings) -> Report | None:
    """Micro F1 on the rows that are not in training; None where that is all rows, or none, or nobody looked."""
    if seen is None or seen.all() or not seen.any():
        return None
    part = _part(rows, ~seen)
    return {**with_interval(MICRO_F1, [part], samples=settings.samples, seed=settings.seed), "n": len(part)}


def _part(rows: RowFigures, kept: np.ndarray) -> RowFigures:
    return RowFigures("", {name: column[kept] for name, column in rows.columns.items()})


def _wrong(rows: RowFigures) -> np.ndarray:
    """Labels of each row that are missing or too many, int [N]."""
    return (rows.columns["labels"] != rows.columns["chosen"]).sum(axis=1)


def _beside_baseline(rows: RowFigures, answered: Answered, settings: Settings) -> Report:
    if answered.baseline is None:
        return {"baseline": None, "difference": None, "difference_unseen": None}
    theirs = label_set_rows(answered.labels, answered.baseline)
    seen = answered.seen

    def difference(kept: np.ndarray) -> Report:
        pair = [[_part(rows, kept)], [_part(theirs, kept)]]
        found = {
            measure.name: with_interval(measure, *pair, samples=settings.samples, seed=settings.seed)
            for measure in (MICRO_F1, MACRO_F1)
        }
        found["micro_f1"]["sign_p"] = sign_p(_wrong(theirs)[kept] - _wrong(rows)[kept])
        return {**found, "n": int(kept.sum()), "bootstrap_samples": settings.samples}

    fresh = None if seen is None or seen.all() or not seen.any() else difference(~seen)
    return {
        "baseline": _measured(theirs, settings),
        "difference": difference(np.ones(len(rows), bool)),
        "difference_unseen": fresh,
    }
