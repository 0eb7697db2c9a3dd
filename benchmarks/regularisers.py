"""What each regulariser gives a text classifier: the same pipeline with one of them taken away, or one more added.

    python benchmarks/regularisers.py pipelines/sentiment_zh.yaml [--seeds 1,2] [--set key=value ...]

Every variant is trained and evaluated with each seed, as ordinary runs in runs/NAME-VARIANT-seedN, which are resumed
and never repeated. Pre-training is done once. The last column is the mean difference to the pipeline as it is, on the
same dev rows and seeds, with a paired bootstrap interval over the rows.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seqpipe.config import file as pipeline_file
from seqpipe.evaluation.rows import RowFigures
from seqpipe.runs.run import open_run
from seqpipe.tasks import load_pipeline

VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "no pre-training": {"model.start_from": None},
    "no adversarial noise": {"model.embedding.adversarial": 0.0},
    "no locked dropout": {"model.embedding.locked_dropout": 0.0, "model.recurrent.locked_dropout": 0.0},
    "no word dropout": {"model.word_dropout": 0.0},
    "no averaged weights": {"training.average_decay": 0.0},
    "no n-grams": {"model.ngrams": None},
    "attention pooling alone": {"model.pooling": "attention"},
    "label smoothing 0.1": {"training.label_smoothing": 0.1},
    "weight dropout 0.2": {"model.recurrent.weight_dropout": 0.2},
}
SAMPLES = 2000


def correct(config: Any) -> tuple[np.ndarray, float]:
    """Which dev rows are right, bool [N], and the calibration error; trains where that was not done yet."""
    keras.backend.clear_session()
    with open_run(config, say=lambda line: print(f"  {line}", flush=True)) as run:
        run.train()
        report = run.evaluate()["splits"]["dev"]
    found = RowFigures.read(config.run_path / "report" / "dev")
    if found is None:
        raise SystemExit(f"{config.run_path} holds no predictions: evaluate it again.")
    return found.columns["accuracy"] == 1, report["calibration_error"]["after"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="key=value")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    base: Any = load_pipeline(arguments.file, arguments.overrides).config
    if base.training.pretrain is not None:
        first = pipeline_file.with_values(base, {"name": f"{base.name}-pretrained", "seed": seeds[0]})
        with open_run(first, say=print) as run:
            run.train()
        start = {"training.pretrain": None, "model.start_from": str(first.run_path / "pretrain")}
        base = pipeline_file.with_values(base, start)
    results: dict[str, tuple[np.ndarray, float]] = {}
    for variant, changes in VARIANTS.items():
        rows, errors = [], []
        for seed in seeds:
            name = f"{base.name}-{variant.replace(' ', '_')}-seed{seed}"
            print(name, flush=True)
            right, error = correct(pipeline_file.with_values(base, {"name": name, "seed": seed, **changes}))
            rows.append(right)
            errors.append(error)
        results[variant] = np.stack(rows), float(np.mean(errors))
    size = rows[0].size
    print(f"\n{os.cpu_count()} cores, TensorFlow {tf.__version__}, seeds {arguments.seeds}, {size:,} dev rows\n")
    print("| variant | dev accuracy, % | each seed | calibration error, % | against the pipeline as it is, points |")
    print("|---|---:|---|---:|---:|")
    draws = np.random.default_rng(1).integers(0, size, size=(SAMPLES, size))
    for variant, (right, error) in results.items():
        difference = right.mean(axis=0) - results["as it is"][0].mean(axis=0)  # [N]
        low, high = 100 * np.quantile(difference[draws].mean(axis=1), [0.025, 0.975])
        apart = "" if variant == "as it is" else f"{100 * difference.mean():+.2f} ({low:+.2f} to {high:+.2f})"
        each = ", ".join(f"{100 * share:.2f}" for share in right.mean(axis=1))
        print(f"| {variant} | {100 * right.mean():.2f} | {each} | {100 * error:.2f} | {apart} |")


if __name__ == "__main__":
    main()
