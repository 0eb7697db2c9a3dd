"""The report on a classifier: each figure with its interval, beside a baseline.

A report is a dict that JSON can hold; `classification_words` says it in words. A figure with an interval is
{value, low, high, n}; shares are 0..1; what does not exist (a baseline that was not trained, the recall of a class
without rows) is None.

Axes: N rows, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from seqpipe.data.findings import counted
from seqpipe.evaluation import metrics, pictures
from seqpipe.evaluation.classification_words import to_markdown
from seqpipe.evaluation.figures import percent
from seqpipe.evaluation.labels import balanced_accuracy, label_rows
from seqpipe.evaluation.measures import Report
from seqpipe.evaluation.paired import mean_with_interval
from seqpipe.storage import write_text

Inputs = TypeVar("Inputs", contravariant=True)


class FittedBaseline(Protocol[Inputs]):
    """A simpler model that was fitted on the training rows."""

    @property
    def fit_time_s(self) -> float: ...

    @property
    def size_bytes(self) -> int: ...

    def describe(self) -> str: ...

    def predict(self, inputs: Inputs, /) -> np.ndarray: ...


class ServedModel(Protocol):
    """What a loaded artefact of a classifier is to a report."""

    @property
    def labels(self) -> list[str]: ...

    def __call__(self, rows: Sequence[Any], /) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Baseline:
    """What a simpler model answers to the same rows.

    predictions: int [N].
    description: one line: what it is.
    fit_time_s: seconds its training took.
    size_bytes: bytes it takes on disk.
    """

    predictions: ArrayLike
    description: str = ""
    fit_time_s: float | None = None
    size_bytes: int | None = None

    @classmethod
    def of(cls, fitted: FittedBaseline[Inputs] | None, inputs: Inputs) -> Baseline | None:
        """The answers of a fitted baseline; None without one."""
        if fitted is None:
            return None
        return cls(fitted.predict(inputs), fitted.describe(), fitted.fit_time_s, fitted.size_bytes)


@dataclass(frozen=True)
class Answered:
    """The labelled rows of a split and what was answered to them.

    split: "dev" is what the model was chosen by, and the report says so.
    logits: float [N, C], before the temperature.
    labels: int [N].
    rows_key: a hash of the rows in their order; equal keys are the same rows.
    seen: bool [N], rows whose input is also in training; None where nobody looked.
    """

    split: str
    logits: ArrayLike
    labels: ArrayLike
    rows_key: str = ""
    seen: ArrayLike | None = None
    baseline: Baseline | None = None


def report_split(answered: Answered, directory: Path, **settings: Any) -> Report:
    """Everything about a split: the report, its pictures, and the answers row by row, each in a file of its own.

    Args:
        settings: those of `evaluate_classifier`.
    """
    report = evaluate_classifier(answered, **settings)
    directory.mkdir(parents=True, exist_ok=True)
    label_rows(np.asarray(answered.logits), np.asarray(answered.labels), answered.rows_key).write(directory)
    write_report(report, answered, directory)
    return report


def evaluate_classifier(
    answered: Answered, *, classes: Sequence[str], temperature: float = 1.0, bootstrap_samples: int, seed: int
) -> Report:
    """Everything the report says about a split.

    Args:
        classes: C names.
        temperature: fitted on dev rows; probabilities are softmax(logits / temperature).
        bootstrap_samples: resamples behind the intervals of balanced accuracy and of the difference to the baseline.
        seed: of the resamples.
    Raises:
        ValueError: a logit is not finite, a label is no class, or the lengths differ.
    """
    from sklearn.metrics import confusion_matrix

    logits, labels = metrics.checked(answered.logits, answered.labels)
    count, class_count = logits.shape
    if class_count != len(classes):
        raise ValueError(f"logits [{count}, {class_count}] do not fit the {len(classes)} classes.")
    predictions = logits.argmax(axis=1)
    correct = predictions == labels
    seen = answered.seen
    unseen = ~_column(seen, count, "seen").astype(bool) if seen is not None else np.ones(count, bool)
    support = np.bincount(labels, minlength=class_count)
    return {
        "split": answered.split,
        "rows": count,
        "rows_seen_in_training": None if seen is None else int(count - unseen.sum()),
        "classes": list(classes),
        "measures": {
            "accuracy": _figure(correct),
            "balanced_accuracy": balanced_accuracy(logits, labels, samples=bootstrap_samples, seed=seed),
        },
        "accuracy_unseen": _unseen(_figure, unseen, correct),
        "majority": {"class": classes[int(support.argmax())], "accuracy": float(support.max() / count)},
        "per_class": metrics.per_class(predictions, labels, classes),
        "confusion": confusion_matrix(labels, predictions, labels=range(class_count)).tolist(),
        **_calibration(logits, labels, temperature),
        **_beside_baseline(answered.baseline, labels, correct, unseen, samples=bootstrap_samples, seed=seed),
    }


def evaluate_served(
    model: ServedModel, inputs: Sequence[object], labels: np.ndarray, source: str, directory: Path, *, samples: int
) -> Report:
    """The report on an exported model as it answers rows, with its pictures; `splits` holds `test`.

    Args:
        model: a loaded artefact.
        inputs: N rows as it takes them.
        labels: int [N], by the order of its classes.
        source: what the rows are, in words.
        samples: resamples behind each interval.
    """
    shares = np.array([[row["probabilities"][name] for name in model.labels] for row in model(inputs)], np.float64)
    # The logarithm of a probability is a logit; a probability that underflowed counts as the smallest one.
    answered = Answered(source, np.log(np.maximum(shares, np.finfo(np.float32).tiny)), labels)
    report = evaluate_classifier(answered, classes=model.labels, bootstrap_samples=samples, seed=1)
    write_report(report, answered, directory)
    return {"classes": list(model.labels), "splits": {"test": report}}


def write_report(report: Report, answered: Answered, directory: Path) -> None:
    """Write report.json, report.md, confusion.png and reliability.png, each whole or not at all."""
    logits = np.asarray(answered.logits, np.float64)
    right = percent(report["measures"]["accuracy"]["value"])
    title = f"{report['split']}, {counted(report['rows'], 'row')}: {right} right"
    pictures.confusion_matrix(report["confusion"], report["classes"], directory / "confusion.png", title)
    temperature = report["temperature"]
    scaled = None if temperature == 1 else metrics.softmax(logits / temperature)
    pictures.reliability_diagram(metrics.softmax(logits), scaled, answered.labels, directory / "reliability.png")
    write_text(directory / "report.json", json.dumps(report, ensure_ascii=False, allow_nan=False, indent=2) + "\n")
    links = "![Confusion matrix](confusion.png)\n\n![Reliability diagram](reliability.png)\n"
    write_text(directory / "report.md", f"# Report on {report['split']}\n\n{to_markdown(report)}\n{links}")


def _calibration(logits: np.ndarray, labels: np.ndarray, temperature: float) -> Report:
    """Before and after the temperature."""
    both = {"before": logits, "after": logits / temperature}
    return {
        "temperature": float(temperature),
        "nll": {when: metrics.negative_log_likelihood(scaled, labels) for when, scaled in both.items()},
        "calibration_error": {
            when: metrics.calibration_bins(metrics.softmax(scaled), labels).calibration_error
            for when, scaled in both.items()
        },
    }


def _beside_baseline(
    baseline: Baseline | None, labels: np.ndarray, correct: np.ndarray, unseen: np.ndarray, *, samples: int, seed: int
) -> Report:
    if baseline is None:
        return {"baseline": None, "difference": None, "difference_unseen": None}
    theirs = _column(baseline.predictions, len(labels), "baseline.predictions") == labels

    def difference(model: np.ndarray, other: np.ndarray) -> dict[str, float]:
        more = model.astype(int) - other
        value, low, high = mean_with_interval(more, samples=samples, seed=seed)
        return {
            "value": value,
            "low": low,
            "high": high,
            "n": len(model),
            "only_model_right": int(np.sum(more > 0)),
            "only_baseline_right": int(np.sum(more < 0)),
            "mcnemar_p": metrics.sign_p(more),
            "bootstrap_samples": samples,
        }

    return {
        "baseline": {
            "description": baseline.description,
            "fit_time_s": baseline.fit_time_s,
            "size_bytes": baseline.size_bytes,
            "accuracy": _figure(theirs),
            "accuracy_unseen": _unseen(_figure, unseen, theirs),
        },
        "difference": difference(correct, theirs),
        "difference_unseen": _unseen(difference, unseen, correct, theirs),
    }


def _figure(correct: np.ndarray) -> dict[str, float]:
    right, total = int(correct.sum()), len(correct)
    low, high = metrics.wilson_interval(right, total)
    return {"value": right / total, "low": low, "high": high, "n": total}


def _unseen(measure: Callable[..., Report], unseen: np.ndarray, *columns: np.ndarray) -> Report | None:
    """The measure over unseen rows; None where all rows are unseen (nothing to add) or none is (nothing to say)."""
    if unseen.all() or not unseen.any():
        return None
    return measure(*(column[unseen] for column in columns))


def _column(values: ArrayLike, count: int, name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != (count,):
        raise ValueError(f"{name} {values.shape} must be [{count}], one value a row.")
    return values
