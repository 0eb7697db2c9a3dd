"""What single keys of a classifier's pipeline give, on several data sets and seeds.

    python benchmarks/variants.py pipelines/my_text.yaml --seeds 1,2,3 \
        --data short=files:short.csv,files:short_dev.csv --data reviews=files:reviews.csv,files:reviews_dev.csv \
        --variant "no n-grams: model.ngrams=null" --variant "no smoothing: training.label_smoothing=0"

Every variant is trained and evaluated on each data set (its name, training and dev source) with each seed, as ordinary
runs in runs/NAME-SET-VARIANT-seedN, which are resumed and never repeated; without --data on the pipeline's own.
Pre-training is done once. The last column is the mean difference to the pipeline as it is, on the same dev rows and
seeds, with a paired bootstrap interval over the rows; of several data sets, the mean over them.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import yaml

from seqpipe.config import file as pipeline_file
from seqpipe.evaluation.paired import mean_with_interval
from seqpipe.evaluation.rows import RowFigures
from seqpipe.runs.run import open_run
from seqpipe.tasks import load_pipeline

SAMPLES = 5000
AS_IT_IS = "as it is"


def correct(config: Any) -> tuple[np.ndarray, float]:
    """Which dev rows are right, bool [N], and the calibration error; trains where that was not done yet."""
    keras.backend.clear_session()
    print(config.name, flush=True)
    with open_run(config, say=lambda line: print(f"  {line}", flush=True)) as run:
        run.train()
        report = run.evaluate()["splits"]["dev"]
    found = RowFigures.read(config.run_path / "report" / "dev")
    if found is None:
        raise SystemExit(f"{config.run_path} holds no answers to single rows: evaluate it again.")
    return found.columns["accuracy"] == 1, report["calibration_error"]["after"]


def pretrained_once(base: Any, seed: int) -> Any:
    """The configuration that starts from the encoder which one run has pre-trained."""
    if base.training.pretrain is None:
        return base
    first = pipeline_file.with_values(base, {"name": f"{base.name}-pretrained", "seed": seed})
    with open_run(first, say=print) as run:
        run.train()
    return base.for_later_seed(first)


def variant(text: str) -> tuple[str, dict[str, Any]]:
    name, colon, keys = text.partition(":")
    if not colon or "=" not in keys:
        raise SystemExit(f'--variant {text}: write it as "name: key=value key=value".')
    pairs = [pair.partition("=") for pair in keys.split()]
    return name.strip(), {key: yaml.safe_load(value) for key, _, value in pairs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=TRAIN,DEV")
    parser.add_argument("--variant", action="append", default=[], metavar='"NAME: KEY=VALUE ..."')
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    variants = {AS_IT_IS: {}, **dict(map(variant, arguments.variant))}
    base: Any = load_pipeline(arguments.file, arguments.overrides).config
    sets = {base.name: base}
    if arguments.data:
        sets = {}
        for text in arguments.data:
            name, _, sources = text.partition("=")
            train, _, dev = sources.partition(",")
            values = {"name": f"{base.name}-{name}", "data.train": train, "data.dev": dev}
            sets[name] = pipeline_file.with_values(base, values)
    print(f"{os.cpu_count()} cores, TensorFlow {tf.__version__}, seeds {arguments.seeds}\n")
    lines = ["| data | dev rows | variant | dev accuracy, % | each seed | calibration error, % | difference, points |"]
    lines.append("|---|---:|---|---:|---|---:|---:|")
    apart: dict[str, list[float]] = {}
    for set_name, config in sets.items():
        config = pretrained_once(config, seeds[0])
        reference = np.zeros(0)
        for name, changes in variants.items():
            named = f"{config.name}-{name.replace(' ', '_')}"
            found = [
                correct(pipeline_file.with_values(config, {"name": f"{named}-seed{seed}", "seed": seed, **changes}))
                for seed in seeds
            ]
            right = np.stack([rows for rows, _ in found])
            share = right.mean(axis=0)  # [N]
            reference = share if name == AS_IT_IS else reference
            value, low, high = (100 * x for x in mean_with_interval(share - reference, samples=SAMPLES, seed=1))
            difference = "" if name == AS_IT_IS else f"{value:+.2f} ({low:+.2f} to {high:+.2f})"
            apart.setdefault(name, []).append(value)
            each = ", ".join(f"{100 * part:.2f}" for part in right.mean(axis=1))
            error = 100 * np.mean([error for _, error in found])
            lines.append(
                f"| {set_name} | {right.shape[1]:,} | {name} | {100 * right.mean():.2f} | {each} | {error:.2f} | "
                f"{difference} |"
            )
    print("\n" + "\n".join(lines))
    for name, values in apart.items():
        print(f"{name}: {np.mean(values):+.2f} points in the mean over {len(values)} data sets")


if __name__ == "__main__":
    main()
