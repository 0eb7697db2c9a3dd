"""The report on a classifier that gives a text several labels, in words and tables."""

from __future__ import annotations

from collections.abc import Mapping

from seqpipe.data.findings import counted
from seqpipe.evaluation.classification_words import seen_in_training
from seqpipe.evaluation.figures import percent, percent_interval, points_interval, size
from seqpipe.evaluation.metrics import side
from seqpipe.evaluation.tables import Table, one_line
from seqpipe.tasks.protocol import Report
from seqpipe.tasks.text_classification import deletion
from seqpipe.tasks.text_classification.label_set_figures import OWN_POSITIVES
from seqpipe.tasks.text_classification.report import of_parts


def describe(report: Report) -> str:
    """The whole report as sections of level three."""
    sections = [f"### {split}\n\n{to_markdown(part)}" for split, part in report["splits"].items()]
    if about := report.get("baseline"):
        sections.append(
            f"### Baseline\n\n{one_line(about['description'])}, with thresholds chosen on dev as the model's are. It "
            f"took {about['fit_time_s']:.1f} s to train and takes {size(about['size_bytes'])}.\n"
        )
    sections += of_parts(report)
    if report.get("other_domains"):
        sections.append(f"### Other domains\n\n{_domains(report['other_domains'])}")
    tested = report["splits"].get("dev", {}).get("deletion")
    return "\n".join([*sections, *([f"### Weights\n\n{deletion.to_markdown(tested)}"] if tested else [])])


def to_markdown(report: Report) -> str:
    """The report on one split; no title."""
    parts = [_headline(report), _comparison(report), _figures(report), _labels(report), _calibration(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _headline(report: Report) -> str:
    measures, majority, seen = report["measures"], report["majority"], report["rows_seen_in_training"]
    lines = [
        f"**Micro F1 on {report['split']}: {percent_interval(measures['micro_f1'])}**, {counted(report['rows'], 'row')}"
        f" with {counted(report['labels'], 'label')}, {report['rows_without_label']:,} of the rows without one. "
        f"Always answering “{one_line(majority['class'])}” would have {percent(majority['micro_f1'])}.",
        f"**Macro F1: {percent_interval(measures['macro_f1'])}**, the mean over the labels that have rows: each counts "
        "the same.",
        f"All labels of a text right, and none too many: {percent_interval(measures['accuracy'])} of the texts.",
    ]
    lines += seen_in_training(seen, report["unseen"], "micro F1 is")
    if report["split"] == "dev":
        lines.append(
            "The model, its temperature and its thresholds were chosen by these rows, so the figures lean to the good "
            "side; rows that chose nothing (a test split) would tell."
        )
    return "\n".join(lines)


def _comparison(report: Report) -> str:
    if report["difference"] is None:
        return "No baseline was trained, so whether a simpler model would do as well is not known."
    fresh = report["difference_unseen"]
    difference = fresh or report["difference"]
    over = counted(difference["n"], "row") + (" not in training" if fresh else "")
    return (
        f"Over {over}, model minus baseline is {points_interval(difference['micro_f1'])} of micro F1 and "
        f"{points_interval(difference['macro_f1'])} of macro F1 (paired bootstrap, "
        f"{difference['bootstrap_samples']:,} resamples).\n**{_verdict(difference['micro_f1'])}**"
    )


def _verdict(difference: Mapping[str, float]) -> str:
    if difference["low"] <= 0 <= difference["high"]:
        return "The interval of the difference in micro F1 holds 0: no evidence that the model is better."
    match side(difference):
        case 0:
            return "The two disagree on too few rows to tell which is better."
        case 1:
            return "The model is better than the baseline: the interval of the difference in micro F1 lies above 0."
        case _:
            return "The model is worse than the baseline: the interval of the difference in micro F1 lies below 0."


def _figures(report: Report) -> str:
    if report["baseline"] is None:
        return ""
    cells = [
        [name, *(percent_interval(measures[key]) for key in ("micro_f1", "macro_f1", "accuracy"))]
        for name, measures in (("model", report["measures"]), ("baseline", report["baseline"]))
    ]
    return Table(["", "micro F1", "macro F1", "all labels right"], cells, left=[""]).markdown()


def _labels(report: Report) -> str:
    cells = []
    for row in report["per_label"]:
        shares = ["n/a" if row[key] is None else percent(row[key]) for key in ("precision", "recall", "f1")]
        threshold = f"{row['threshold']:g}{'' if row['own_threshold'] else ' (shared)'}"
        cells.append([one_line(row["name"]), threshold, *shares, f"{row['support']:,}", f"{row['answered']:,}"])
    header = ["label", "threshold", "precision", "recall", "F1", "rows", "answered"]
    text = (
        f"{Table(header, cells, left=['label']).markdown()}\n\n"
        "A label is answered where its probability reaches its threshold. Thresholds have the best F1 on dev: of each "
        f"label with {OWN_POSITIVES} dev rows its own, of all labels together for the others (shared)."
    )
    if any(row["support"] == 0 for row in report["per_label"]):
        text += " A label without rows in this split has no recall, and macro F1 leaves it out."
    return text


def _calibration(report: Report) -> str:
    temperature, (before, after) = report["temperature"], (report["nll"][when] for when in ("before", "after"))
    if temperature == 1:
        return f"Negative log likelihood {after:.4f} nats a label, of the probabilities as they are answered."
    return (
        f"Probabilities are sigmoid(logits / {temperature:.3f}), each label's for itself: those of a text do not add "
        f"to one. Negative log likelihood before and after this temperature: {before:.4f} and {after:.4f} "
        "nats a label."
    )


def _domains(reports: Mapping[str, Report]) -> str:
    cells = []
    for name, report in reports.items():
        beside = ["–", "–"]
        if report["baseline"] is not None:
            beside = [
                percent(report["baseline"]["micro_f1"]["value"]),
                points_interval(report["difference"]["micro_f1"]),
            ]
        shown = (percent_interval(report["measures"][key]) for key in ("micro_f1", "macro_f1"))
        cells.append([name, f"{report['rows']:,}", *shown, *beside])
    header = ["domain", "rows", "micro F1", "macro F1", "baseline, micro F1", "difference"]
    table = Table(header, cells, left=["domain"]).markdown()
    return f"On labelled text of other kinds than the training rows, by which nothing was chosen:\n\n{table}\n"
