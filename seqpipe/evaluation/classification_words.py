"""The report on a classifier in words and tables that claim no more than its figures show."""

from __future__ import annotations

from collections.abc import Mapping

from seqpipe.data.findings import counted
from seqpipe.evaluation.figures import percent, percent_interval, points_interval, size
from seqpipe.evaluation.measures import Report
from seqpipe.evaluation.metrics import CALIBRATION_BINS, CONFIDENCE, TEMPERATURE_BOUNDS
from seqpipe.evaluation.tables import Table, one_line

_MAX_TABLE = 10  # classes; a larger confusion matrix is told by its largest cells
_LARGEST_CELLS = 10
_SIGNIFICANCE = 1 - CONFIDENCE


def to_markdown(report: Report) -> str:
    """The report in words and tables, for report.md and card.md; no title and no picture."""
    parts = [_headline(report), _comparison(report), _accuracy_table(report), _class_table(report), _confusions(report)]
    return "\n\n".join(part for part in (*parts, _calibration(report)) if part) + "\n"


def domains_table(reports: Mapping[str, Report]) -> str:
    """Accuracy on text of other kinds than the training rows, by name of the domain."""
    cells = []
    for name, report in reports.items():
        baseline, difference = report["baseline"], report["difference"]
        beside = ["–", "–"]
        if baseline is not None:
            beside = [percent(baseline["accuracy"]["value"]), points_interval(difference)]
        cells.append([name, f"{report['rows']:,}", percent_interval(report["measures"]["accuracy"]), *beside])
    table = Table(["domain", "rows", "accuracy", "baseline", "difference"], cells, left=["domain"])
    return (
        f"On labelled text of other kinds than the training rows, by which nothing was chosen:\n\n{table.markdown()}\n"
    )


def _headline(report: Report) -> str:
    figure, balanced = report["measures"]["accuracy"], report["measures"]["balanced_accuracy"]
    seen, majority = report["rows_seen_in_training"], report["majority"]
    lines = [
        f"**Accuracy on {report['split']}: {percent_interval(figure)}**, {counted(figure['n'], 'row')}. "
        f"Always answering “{one_line(majority['class'])}” would be right on {percent(majority['accuracy'])}."
    ]
    if percent(balanced["value"]) != percent(figure["value"]):
        lines.append(
            f"**Balanced accuracy: {percent_interval(balanced)}**, the mean of the recalls: each class counts the same."
        )
    lines += seen_in_training(seen, report["accuracy_unseen"])
    if report["split"] == "dev":
        lines.append(
            "The model and its temperature were chosen by these rows, so the figures lean to the good side; "
            "rows that chose nothing (a test split) would tell."
        )
    return "\n".join(lines)


def seen_in_training(seen: int | None, unseen: Mapping[str, float] | None, figure: str = "") -> list[str]:
    """What to say of rows that are also in training.

    Args:
        seen: how many; None where nobody looked.
        unseen: the figure on the others, {value, low, high, n}; None where there are none, or all are.
        figure: its name, such as "micro F1 is"; nothing where that is plain.
    """
    if unseen:
        named = f", {figure} " if figure else ": "
        return [
            f"{seen:,} of these rows stand in the training data too. On the other {unseen['n']:,}, the fairer "
            f"figure{named}**{percent_interval(unseen)}**."
        ]
    if seen:
        return ["All of these rows stand in the training data too: this says nothing about new ones."]
    return ["Whether rows stand in the training data too was not checked."] if seen is None else []


def _comparison(report: Report) -> str:
    if report["baseline"] is None:
        return "No baseline was trained, so whether a simpler model would do as well is not known."
    fresh = report["difference_unseen"]
    difference = fresh or report["difference"]
    description = report["baseline"]["description"]
    named = f"The baseline: {one_line(description)}.\n" if description else ""
    over = counted(difference["n"], "row") + (" not in training" if fresh else "")
    counts = (
        f"Over {over}, model minus baseline is {points_interval(difference)} (paired bootstrap, "
        f"{difference['bootstrap_samples']:,} resamples); the model alone is right on "
        f"{difference['only_model_right']:,} of them, the baseline alone on {difference['only_baseline_right']:,} "
        f"(exact McNemar p {_p_value(difference['mcnemar_p'])})."
    )
    return f"{named}{counts}\n**{_verdict(difference)}**"


def _verdict(difference: Mapping[str, float]) -> str:
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
    figures = [
        ("all rows", report["measures"]["accuracy"], baseline["accuracy"]),
        ("rows not in training", report["accuracy_unseen"], baseline["accuracy_unseen"]),
    ]
    cells = [
        [name, f"{ours['n']:,}", percent_interval(ours), percent_interval(theirs)]
        for name, ours, theirs in figures
        if ours
    ]
    costs = []
    if baseline["fit_time_s"] is not None:
        costs.append(f"{baseline['fit_time_s']:.1f} s to train")
    if baseline["size_bytes"] is not None:
        costs.append(size(baseline["size_bytes"]))
    table = Table(["", "rows", "model", "baseline"], cells, left=[""]).markdown()
    return table + (f"\n\nThe baseline takes {' and '.join(costs)}." if costs else "")


def _class_table(report: Report) -> str:
    cells = []
    for index, row in enumerate(report["per_class"]):
        shares = ["n/a" if row[key] is None else percent(row[key]) for key in ("precision", "recall", "f1")]
        cells.append([str(index), one_line(row["name"]), *shares, f"{row['support']:,}"])
    table = Table(["", "class", "precision", "recall", "F1", "rows"], cells, left=["class"]).markdown()
    if any(row["support"] == 0 for row in report["per_class"]):
        table += "\n\nA class without rows in this split has no recall: the figures say nothing about it."
    return table


def _confusions(report: Report) -> str:
    names = [one_line(name) for name in report["classes"]]
    matrix = report["confusion"]
    if len(names) <= _MAX_TABLE:
        corner = "label (row), predicted (column)"
        cells = [[name, *(f"{cell:,}" for cell in row)] for name, row in zip(names, matrix, strict=True)]
        return Table([corner, *names], cells, left=[corner]).markdown()
    wrong = [
        (cell, label, predicted)
        for label, row in enumerate(matrix)
        for predicted, cell in enumerate(row)
        if cell and label != predicted
    ]
    largest = sorted(wrong, key=lambda entry: (-entry[0], *entry[1:]))[:_LARGEST_CELLS]
    cells = [[names[label], names[predicted], f"{cell:,}"] for cell, label, predicted in largest]
    table = Table(["label", "predicted", "rows"], cells, left=["label", "predicted"]).markdown()
    return f"The most frequent mistakes:\n\n{table}" if largest else ""


def _calibration(report: Report) -> str:
    nll, error, temperature = report["nll"], report["calibration_error"], report["temperature"]
    definition = f"top class, {CALIBRATION_BINS} bins of equal width"
    if temperature == 1:
        return (
            f"Expected calibration error {percent(error['after'])} ({definition}), "
            f"negative log likelihood {nll['after']:.4f} nats, of the probabilities as they are answered."
        )
    low, high = TEMPERATURE_BOUNDS
    at_bound = "" if low * 1.01 < temperature < high / 1.01 else " The temperature stands at the bound of its range."
    return (
        f"Probabilities are softmax(logits / {temperature:.3f}).{at_bound} Before and after this temperature: expected "
        f"calibration error {percent(error['before'])} and {percent(error['after'])} ({definition}), "
        f"negative log likelihood {nll['before']:.4f} and {nll['after']:.4f} nats."
    )


def _p_value(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"= {p:.3f}"
