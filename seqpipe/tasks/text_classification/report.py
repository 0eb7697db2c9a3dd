"""The report on a text classifier: calibration, every split beside the linear baseline, other domains, weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from seqpipe.data.examples import Examples, Ragged, content_key
from seqpipe.evaluation.classification import Answered, Baseline, evaluate_classifier, report_split
from seqpipe.evaluation.classification_words import domains_table, to_markdown
from seqpipe.evaluation.metrics import fit_shares, fit_temperature, softmax
from seqpipe.tasks.text_classification import deletion
from seqpipe.tasks.text_classification.baseline import LinearBaseline
from seqpipe.tasks.text_classification.data import Table, seen_rows
from seqpipe.tasks.text_classification.deletion import ROWS, deletion_test
from seqpipe.tasks.text_classification.signatures import piece_weights
from seqpipe.training.predict import predict

if TYPE_CHECKING:
    from seqpipe.tasks.protocol import Fitted, Report
    from seqpipe.tasks.text_classification.task import TextClassification


def evaluate(
    task: TextClassification, model: keras.Model, fitted: Fitted, examples: dict[str, Examples], directory: Path
) -> Report:
    """Write the report and its pictures; see `seqpipe.tasks.protocol.Task.evaluate`."""
    train, wanted = task.splits.train, task.config.evaluation
    baseline = LinearBaseline.fit(train.texts, train.labels, task.config.seed) if wanted.baseline else None
    settings = {
        "classes": task.classes,
        "temperature": fitted["temperature"],
        "bootstrap_samples": wanted.bootstrap_samples,
        "seed": task.config.seed,
    }

    def answered(name: str, table: Table, rows: Examples) -> Answered:
        return Answered(
            name,
            predict(model, task, rows),
            table.labels,
            rows_key=content_key(task.classes, table.texts, table.labels),
            seen=seen_rows(table, train),
            baseline=Baseline.of(baseline, table.texts),
        )

    report: Report = {"classes": task.classes, **fitted, "splits": {}, "other_domains": {}}
    report |= vectors_of(task)
    for split, rows in examples.items():
        part = answered(split, task.splits.get(split), rows)
        report["splits"][split] = report_split(part, directory / split, **settings)
    for name, table in task.domains.items():
        rows = Examples({"ids": task.encode(table.texts), "label": table.labels.astype(np.int32)})
        report["other_domains"][name] = evaluate_classifier(answered(name, table, rows), **settings)
    of_logits = partial(_probabilities, temperature=fitted["temperature"])
    report["splits"]["dev"]["deletion"] = deletion_of(task, model, examples["dev"], of_logits)
    return report


def vectors_of(task: TextClassification) -> dict[str, str]:
    """How much of the training text word vectors cover, under `vectors`; nothing where there are none."""
    if task.vectors is None:
        return {}
    pieces = task.encode(task.splits.train.texts).values
    return {"vectors": task.vectors.coverage(np.bincount(pieces, minlength=task.features.vocabulary_size))}


def _probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    return softmax(logits / temperature)


def calibrate(task: TextClassification, model: keras.Model, dev: Examples) -> dict[str, float]:
    """Fit on dev what makes probabilities honest: the temperature, and the weight of the network beside n-grams."""
    labels = task.splits.dev.labels
    together = predict(model, task, dev)
    if task.ngrams is None:
        return {"temperature": fit_temperature(together, labels)}
    expert = model.get_layer("ngrams")
    network = predict(keras.Model(model.inputs, expert.input[0]), task, dev)
    network_share, expert_share = fit_shares(network, together - network, labels)
    return {"temperature": 1.0 / expert_share, "network_scale": network_share / expert_share}


def deletion_of(
    task: TextClassification, model: keras.Model, dev: Examples, of_logits: Callable[[np.ndarray], np.ndarray]
) -> dict[str, object] | None:
    """The deletion test of the weights that `explain` gives; None for a model that has none.

    Args:
        of_logits: probabilities [N, C] of logits [N, C].
    """
    column: Any = dev.columns["ids"]
    chosen = np.random.default_rng(task.config.seed).permutation(len(dev))[:ROWS]
    ids = [np.asarray(column.values[column.offsets[row] : column.offsets[row + 1]]) for row in chosen]
    weights = piece_weights(model, Ragged.from_rows(ids))
    if weights is None:
        return None

    def probabilities(rows: list[np.ndarray]) -> np.ndarray:
        return of_logits(predict(model, task, task.unlabelled_examples(Ragged.from_rows(rows))))

    samples = task.config.evaluation.bootstrap_samples
    return deletion_test(ids, weights, probabilities, samples=samples, seed=task.config.seed)


def of_parts(report: Report) -> list[str]:
    """Sections on what a model may have beside its network: n-grams, word vectors."""
    sections = []
    if "network_scale" in report:
        sections.append(
            "### Network and n-grams\n\nThe network's scores count "
            f"{report['network_scale']:.2f} times beside those of the n-grams, by the likelihood of dev.\n"
        )
    if "vectors" in report:
        sections.append(f"### Word vectors\n\n{report['vectors']}.\n")
    return sections


def describe(report: Report) -> str:
    """The report as sections of level three."""
    sections = [f"### {split}\n\n{to_markdown(part)}" for split, part in report["splits"].items()]
    sections += of_parts(report)
    if report["other_domains"]:
        sections.append(f"### Other domains\n\n{domains_table(report['other_domains'])}")
    tested = report["splits"].get("dev", {}).get("deletion")
    return "\n".join([*sections, *([f"### Weights\n\n{deletion.to_markdown(tested)}"] if tested else [])])
