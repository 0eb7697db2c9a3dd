"""The report on a classifier: each figure with its interval, beside a baseline, in words that claim no more.

A report is a dict that JSON can hold. A figure with an interval is {value, low, high, n}; shares are 0..1; what does
not exist (a baseline that was not trained, the recall of a class without rows) is None.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from seqpipe.config.pipeline import Evaluation
from seqpipe.evaluation import metrics, pictures
from seqpipe.storage import write_text

Report = dict[str, Any]


class ServedModel(Protocol):
    """What a loaded artefact of a classifier is to a report."""

    @property
    def labels(self) -> list[str]: ...

    def __call__(self, rows: Sequence[Any], /) -> list[dict[str, Any]]: ...


_MAX_TABLE = 10  # classes; a larger confusion matrix is told by its largest cells
_LARGEST_CELLS = 10
_SIGNIFICANCE = 1 - metrics.CONFIDENCE


def evaluate_classifier(
    *,
    logits: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    temperature: float,
    split: str,
    seen: ArrayLike | None,
    baseline_predictions: ArrayLike | None,
    baseline_description: str | None = None,
    baseline_fit_time_s: float | None = None,
    baseline_size_bytes: int | None = None,
    bootstrap_samples: int,
    seed: int,
) -> Report:
    """Everything the report says about a split.

    Args:
        logits: float [N, C], before the temperature.
        labels: int [N].
        classes: C names.
        temperature: fitted on dev rows; probabilities are softmax(logits / temperature).
        split: "dev" is what the model was chosen by, and the report says so.
        seen: bool [N], rows whose input is also in training; None where nobody looked.
        baseline_predictions: int [N], or None without a baseline.
        baseline_description: one line: what the baseline is.
        baseline_fit_time_s: seconds its training took.
        baseline_size_bytes: bytes it takes on disk.
        bootstrap_samples: resamples behind the interval of the difference.
        seed: of the resamples.
    Raises:
        ValueError: a logit is not finite, a label is no class, or the lengths differ.
    """
    logits, labels = metrics.checked(logits, labels)
    rows, class_count = logits.shape
    if class_count != len(classes):
        raise ValueError(f"logits [{rows}, {class_count}] do not fit the {len(classes)} classes.")
    predictions = logits.argmax(axis=1)
    correct = predictions == labels
    scaled = logits / temperature
    unseen = ~_column(seen, rows, "seen").astype(bool) if seen is not None else np.ones(rows, bool)
    support = np.bincount(labels, minlength=class_count)
    report: Report = {
        "split": split,
        "rows": rows,
        "rows_seen_in_training": None if seen is None else int(rows - unseen.sum()),
        "classes": list(classes),
        "accuracy": _figure(correct),
        "measures": {"accuracy": _figure(correct)},
        "accuracy_unseen": _unseen(_figure, unseen, correct),
        "majority": {"class": classes[int(support.argmax())], "accuracy": float(support.max() / rows)},
        "per_class": metrics.per_class(predictions, labels, classes),
        "confusion": metrics.confusion_matrix(predictions, labels, class_count).tolist(),
        "temperature": float(temperature),
        "nll": {
            "before": metrics.negative_log_likelihood(logits, labels),
            "after": metrics.negative_log_likelihood(scaled, labels),
        },
        "calibration_error": {
            "before": metrics.expected_calibration_error(metrics.softmax(logits), labels),
            "after": metrics.expected_calibration_error(metrics.softmax(scaled), labels),
        },
        "baseline": None,
        "difference": None,
        "difference_unseen": None,
    }
    if baseline_predictions is not None:
        baseline_correct = _column(baseline_predictions, rows, "baseline_predictions") == labels
        report["baseline"] = {
            "description": baseline_description,
            "fit_time_s": baseline_fit_time_s,
            "size_bytes": baseline_size_bytes,
            "accuracy": _figure(baseline_correct),
            "accuracy_unseen": _unseen(_figure, unseen, baseline_correct),
        }

        def difference(model: np.ndarray, baseline: np.ndarray) -> dict[str, Any]:
            return _difference(model, baseline, samples=bootstrap_samples, seed=seed)

        report["difference"] = difference(correct, baseline_correct)
        report["difference_unseen"] = _unseen(difference, unseen, correct, baseline_correct)
    return report


def evaluate_served(
    model: ServedModel, rows: Sequence[Any], labels: np.ndarray, source: str, directory: Path
) -> dict[str, Any]:
    """The report on an exported model as it answers rows, with its pictures; `splits` holds `test`.

    Args:
        model: a loaded artefact.
        rows: as it takes them.
        labels: int [N], by the order of its classes.
        source: what the rows are, in words.
    """
    shares = np.array([[row["probabilities"][name] for name in model.labels] for row in model(rows)], np.float64)
    # The logarithm of a probability is a logit; a probability that underflowed counts as the smallest one.
    logits = np.log(np.maximum(shares, np.finfo(np.float32).tiny))
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
    return {"classes": list(model.labels), "splits": {"test": report}}


def to_markdown(report: Report) -> str:
    """The report in words and tables, for report.md and card.md; no title and no picture."""
    parts = [_headline(report), _comparison(report), _accuracy_table(report), _class_table(report), _confusions(report)]
    return "\n\n".join(part for part in (*parts, _calibration(report)) if part) + "\n"


def domains_table(reports: dict[str, Report]) -> str:
    """Accuracy on text of other kinds than the training rows, by name of the domain."""
    lines = [
        "On labelled text of other kinds than the training rows, by which nothing was chosen:\n",
        "| domain | rows | accuracy | linear baseline | difference |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, report in reports.items():
        baseline, difference = report["baseline"], report["difference"]
        beside = "– | –"
        if baseline is not None:
            points = [100 * difference[key] for key in ("value", "low", "high")]
            beside = (
                f"{_percent(baseline['accuracy']['value'])} | "
                f"{points[0]:+.2f} points (95 % interval {points[1]:+.2f} to {points[2]:+.2f})"
            )
        lines.append(f"| {name} | {report['rows']:,} | {_interval(report['accuracy'])} | {beside} |")
    return "\n".join(lines) + "\n"


def write_report(report: Report, directory: str | Path, *, logits: ArrayLike, labels: ArrayLike) -> None:
    """Write report.json, report.md, confusion.png and reliability.png, each whole or not at all.

    Args:
        report: from `evaluate_classifier`.
        logits: the same logits [N, C].
        labels: the same labels [N].
    """
    directory = Path(directory)
    logits = np.asarray(logits, np.float64)
    title = f"{report['split']}, {_rows(report['rows'])}: {_percent(report['accuracy']['value'])} right"
    pictures.confusion_matrix(report["confusion"], report["classes"], directory / "confusion.png", title)
    temperature = report["temperature"]
    scaled = None if temperature == 1 else metrics.softmax(logits / temperature)
    pictures.reliability_diagram(metrics.softmax(logits), scaled, labels, directory / "reliability.png")
    write_text(directory / "report.json", json.dumps(report, ensure_ascii=False, allow_nan=False, indent=2) + "\n")
    links = "![Confusion matrix](confusion.png)\n\n![Reliability diagram](reliability.png)\n"
    write_text(directory / "report.md", f"# Report on {report['split']}\n\n{to_markdown(report)}\n{links}")


def _figure(correct: np.ndarray) -> dict[str, Any]:
    right, total = int(correct.sum()), len(correct)
    low, high = metrics.wilson_interval(right, total)
    return {"value": right / total, "low": low, "high": high, "n": total}


def _difference(model: np.ndarray, baseline: np.ndarray, *, samples: int, seed: int) -> dict[str, Any]:
    value, low, high = metrics.paired_bootstrap_difference(model, baseline, samples=samples, seed=seed)
    return {
        "value": value,
        "low": low,
        "high": high,
        "n": len(model),
        "only_model_right": int(np.sum(model & ~baseline)),
        "only_baseline_right": int(np.sum(baseline & ~model)),
        "mcnemar_p": metrics.mcnemar_p(model, baseline),
        "bootstrap_samples": samples,
    }


def _unseen(measure: Callable[..., dict[str, Any]], unseen: np.ndarray, *columns: np.ndarray) -> dict[str, Any] | None:
    """The measure over unseen rows; None where all rows are unseen (nothing to add) or none is (nothing to say)."""
    if unseen.all() or not unseen.any():
        return None
    return measure(*(column[unseen] for column in columns))


def _column(values: ArrayLike, rows: int, name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != (rows,):
        raise ValueError(f"{name} {values.shape} must be [{rows}], one value a row.")
    return values


def _headline(report: Report) -> str:
    figure, seen, majority = report["accuracy"], report["rows_seen_in_training"], report["majority"]
    lines = [
        f"**Accuracy on {report['split']}: {_interval(figure)}**, {_rows(figure['n'])}. "
        f"Always answering “{_inline(majority['class'])}” would be right on {_percent(majority['accuracy'])}."
    ]
    if report["accuracy_unseen"]:
        lines.append(
            f"{seen:,} of these rows stand in the training data too. On the other {report['accuracy_unseen']['n']:,}, "
            f"the fairer figure: **{_interval(report['accuracy_unseen'])}**."
        )
    elif seen:
        lines.append("All of these rows stand in the training data too: this says nothing about new ones.")
    elif seen is None:
        lines.append("Whether rows stand in the training data too was not checked.")
    if report["split"] == "dev":
        lines.append(
            "The model and its temperature were chosen by these rows, so the figures lean to the good side; "
            "rows that chose nothing (a test split) would tell."
        )
    return "\n".join(lines)


def _comparison(report: Report) -> str:
    if report["baseline"] is None:
        return "No baseline was trained, so whether a simpler model would do as well is not known."
    fresh = report["difference_unseen"]
    difference = fresh or report["difference"]
    description = report["baseline"]["description"]
    named = f"The baseline: {_inline(description)}.\n" if description else ""
    rows = f"{_rows(difference['n'])} not in training" if fresh else _rows(difference["n"])
    counts = (
        f"Over {rows}, model minus baseline is {_points(difference['value'])} points "
        f"(95 % interval {_points(difference['low'])} to {_points(difference['high'])}, paired bootstrap, "
        f"{difference['bootstrap_samples']:,} resamples); the model alone is right on "
        f"{difference['only_model_right']:,} of them, the baseline alone on {difference['only_baseline_right']:,} "
        f"(exact McNemar p {_p_value(difference['mcnemar_p'])})."
    )
    return f"{named}{counts}\n**{_verdict(difference)}**"


def _verdict(difference: dict[str, Any]) -> str:
    if difference["low"] <= 0 <= difference["high"]:
        return "The interval of the difference holds 0: no evidence that the model is better."
    if difference["mcnemar_p"] >= _SIGNIFICANCE:
        return "The two disagree on too few rows to tell which is better."
    if difference["value"] > 0:
        return "The model is better than the baseline: the interval of the difference lies above 0."
    return "The model is worse than the baseline: the interval of the difference lies below 0."


def _accuracy_table(report: Report) -> str:
    baseline = report["baseline"]
    if baseline is None:
        return ""
    lines = ["| | rows | model | baseline |", "|---|---:|---:|---:|"]
    for name, key in (("all rows", "accuracy"), ("rows not in training", "accuracy_unseen")):
        if report[key]:
            lines.append(f"| {name} | {report[key]['n']:,} | {_interval(report[key])} | {_interval(baseline[key])} |")
    costs = []
    if baseline["fit_time_s"] is not None:
        costs.append(f"{baseline['fit_time_s']:.1f} s to train")
    if baseline["size_bytes"] is not None:
        costs.append(_size(baseline["size_bytes"]))
    return "\n".join(lines) + (f"\n\nThe baseline takes {' and '.join(costs)}." if costs else "")


def _class_table(report: Report) -> str:
    lines = ["| | class | precision | recall | F1 | rows |", "|---:|---|---:|---:|---:|---:|"]
    for index, row in enumerate(report["per_class"]):
        shares = " | ".join("n/a" if row[key] is None else _percent(row[key]) for key in ("precision", "recall", "f1"))
        lines.append(f"| {index} | {_inline(row['name'])} | {shares} | {row['support']:,} |")
    if any(row["support"] == 0 for row in report["per_class"]):
        lines.append("\nA class without rows in this split has no recall: the figures say nothing about it.")
    return "\n".join(lines)


def _confusions(report: Report) -> str:
    names = [_inline(name) for name in report["classes"]]
    matrix = report["confusion"]
    if len(names) <= _MAX_TABLE:
        lines = [f"| label (row), predicted (column) | {' | '.join(names)} |", "|---" + "|---:" * len(names) + "|"]
        lines += [
            f"| {name} | {' | '.join(f'{cell:,}' for cell in row)} |" for name, row in zip(names, matrix, strict=True)
        ]
        return "\n".join(lines)
    wrong = [
        (cell, label, predicted)
        for label, row in enumerate(matrix)
        for predicted, cell in enumerate(row)
        if cell and label != predicted
    ]
    largest = sorted(wrong, key=lambda entry: (-entry[0], *entry[1:]))[:_LARGEST_CELLS]
    lines = ["| label | predicted | rows |", "|---|---|---:|"]
    lines += [f"| {names[label]} | {names[predicted]} | {cell:,} |" for cell, label, predicted in largest]
    return "The most frequent mistakes:\n\n" + "\n".join(lines) if largest else ""


def _calibration(report: Report) -> str:
    nll, error, temperature = report["nll"], report["calibration_error"], report["temperature"]
    definition = f"top class, {metrics.CALIBRATION_BINS} bins of equal width"
    if temperature == 1:
        return (
            f"Expected calibration error {_percent(error['after'])} ({definition}), "
            f"negative log likelihood {nll['after']:.4f} nats; no temperature scaling (T = 1)."
        )
    low, high = metrics.TEMPERATURE_BOUNDS
    at_bound = "" if low * 1.01 < temperature < high / 1.01 else " The temperature stands at the bound of its range."
    return (
        f"Probabilities are softmax(logits / {temperature:.3f}).{at_bound} Before and after this temperature: expected "
        f"calibration error {_percent(error['before'])} and {_percent(error['after'])} ({definition}), "
        f"negative log likelihood {nll['before']:.4f} and {nll['after']:.4f} nats."
    )


def _interval(figure: dict[str, Any]) -> str:
    low, high = (f"{100 * figure[bound]:.1f}" for bound in ("low", "high"))
    return f"{_percent(figure['value'])} (95 % interval {low} to {high} %)"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.2f}" if round(100 * share, 2) else "0.00"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"


def _p_value(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"= {p:.3f}"


def _inline(text: str) -> str:
    """Text that stays inside its table cell."""
    return " ".join(text.split()).replace("|", "\\|")
