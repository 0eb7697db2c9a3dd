"""How fast sentiment is: a training step, one request and many, beside Keras' own layers and a linear model.

    python benchmarks/sentiment.py [--rounds 101] [--model sentiment_en]

The same architecture (pipelines/sentiment_en.yaml, n-grams left out) twice, measured in turn in one process: with
seqpipe's recurrent layers and with Keras' (its mask made from the lengths). Rows are as long as film reviews; their
pieces are drawn at random, which changes nothing about the time. A request is a raw string to a loaded SavedModel.
Then a released model as it is exported, beside the TF-IDF linear SVM of the reports: one short sentence, and 256 texts
of a film review's length.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seqpipe import layers
from seqpipe.data.batches import plan_epoch
from seqpipe.data.examples import Examples, Ragged
from seqpipe.data.sources import Row, read_rows
from seqpipe.models import classifier
from seqpipe.serving.find import find_model
from seqpipe.serving.model import Model
from seqpipe.tasks import load_pipeline, make_task
from seqpipe.tasks.text_classification.baseline import LinearBaseline
from seqpipe.tasks.text_classification.signatures import TextClassifier
from seqpipe.text.pieces import TextFeatures
from seqpipe.text.tokenizer import TextTokenizer
from seqpipe.training.loop import Trainer

ROOT = Path(__file__).parent.parent
ROWS, BATCHES = 22_500, 24
REVIEWS, REVIEW_CHARACTERS = 256, 1300  # IMDB's mean is 1,300
REQUEST = "One of the most moving films I have seen in years, and the acting is superb."


class StockBidirectional(keras.layers.Layer):
    """Keras' layer behind our calling convention."""

    def __init__(self, cell: keras.layers.Layer, *, name: str):
        super().__init__(name=name)
        self.inner = keras.layers.Bidirectional(cell)

    def build(self, x_shape: Any, lengths_shape: Any) -> None:
        self.inner.build(x_shape)
        self.built = True

    def call(self, x: Any, lengths: Any, training: bool | None = None) -> Any:
        y = self.inner(x, mask=layers.step_mask(lengths, keras.ops.shape(x)[1]), training=training)
        return layers.zero_beyond(y, lengths)


def stock_cell(cell: Any, *arguments: Any, weight_dropout: float, **settings: Any) -> keras.layers.Layer:
    """Keras' cell, which knows no weight dropout."""
    if weight_dropout:
        raise SystemExit("Keras' recurrent layers have no weight dropout to compare with.")
    return cell(*arguments, **settings)


def build(stock: bool, config: Any) -> keras.Model:
    module = sys.modules["seqpipe.models.classifier"]
    ours = dict(module.CELLS), module.layers.Bidirectional
    if stock:
        stock_cells = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}
        module.CELLS.update({name: partial(stock_cell, cell) for name, cell in stock_cells.items()})
        module.layers.Bidirectional = StockBidirectional
    try:
        keras.utils.set_random_seed(1)
        return classifier(config, vocabulary_size=8000, classes=2)
    finally:
        module.CELLS.update(ours[0])
        module.layers.Bidirectional = ours[1]


def interleaved_ms(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3)
    return times


def training(task: Any, place: Path) -> dict[str, list[float]]:
    """Milliseconds of each of the same batches."""
    rng = np.random.default_rng(1)
    lengths = np.clip(rng.lognormal(5.5, 0.6, ROWS), 10, 500).astype(int)
    ids = Ragged.from_rows(rng.integers(260, 8000, size=n).astype(np.int32) for n in lengths)
    rows = Examples({"ids": ids, "label": rng.integers(0, 2, ROWS).astype(np.int32)})
    plan = plan_epoch(rows.lengths, batch_size=64, seed=1, epoch=0)[:BATCHES]
    times: dict[str, list[float]] = {"seqpipe": [], "Keras": []}
    trainers = {
        name: Trainer(
            lambda name=name: build(name == "Keras", task.config.model),
            objective=task,
            config=task.config.training,
            train=rows,
            dev=rows,
            seed=1,
            directory=place / name,
        )
        for name in times
    }
    batches = [trainers["Keras"]._batch(batch) for batch in plan]
    for trainer in trainers.values():
        float(trainer.train_step(batches[0]))
    for batch in batches:
        for name, trainer in trainers.items():
            start = time.perf_counter()
            float(trainer.train_step(batch))
            times[name].append((time.perf_counter() - start) * 1e3)
    return times


def requests(task: Any, place: Path, rounds: int) -> dict[str, list[float]]:
    texts = [row.values["text"] for row in read_rows("builtin:reviews", columns={"text": "text"}, role="train")]
    features = TextFeatures.fit(texts, vocabulary_size=8000, lowercase=True, character_coverage=0.9995)
    calls: dict[str, Callable[[], Any]] = {}
    for name in ("seqpipe", "Keras"):
        module = TextClassifier(
            build(name == "Keras", task.config.model),
            TextTokenizer(features),
            classes=["negative", "positive"],
            temperature=1.0,
            max_pieces=500,
            head_pieces=500,
            version=1,
        )
        tf.saved_model.save(module, str(place / f"{name}-model"), signatures=dict(module.functions))
        loaded = Model(place / f"{name}-model", tf.saved_model.load(str(place / f"{name}-model")))
        calls[f"{name}, as served"] = lambda loaded=loaded: loaded.run([REQUEST])
    return interleaved_ms(calls, rounds)


def released(name: str, rounds: int) -> dict[str, list[float]]:
    """A released model's serving_default and the linear baseline: one sentence, and REVIEWS texts."""
    rows = [
        row.values
        for row in read_rows("builtin:reviews", columns={"text": "text", "label": "label"}, role="train")
        if isinstance(row, Row)
    ]
    texts = [row["text"] for row in rows]
    linear = LinearBaseline.fit(texts, [int(row["label"] == "positive") for row in rows], seed=1)
    joined = " ".join(texts * 100)
    reviews = [
        joined[start : start + REVIEW_CHARACTERS] for start in range(0, REVIEWS * REVIEW_CHARACTERS, REVIEW_CHARACTERS)
    ]
    served = tf.saved_model.load(str(find_model(name))).signatures["serving_default"]
    calls: dict[str, Callable[[], Any]] = {}
    for title, batch in (("1 sentence", [REQUEST]), (f"{REVIEWS} reviews", reviews)):
        calls[f"{title}: {name}"] = lambda batch=batch: served(text=tf.constant(batch))
        calls[f"{title}: linear model"] = lambda batch=batch: linear.predict(batch)
    return interleaved_ms(calls, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=101, help="requests of each kind")
    parser.add_argument("--model", default="sentiment_en", help="a released model, by name or directory")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    overrides = ["data.train=builtin:reviews", "data.labels=null", "model.ngrams=null", "training.pretrain=null"]
    task: Any = make_task(load_pipeline(ROOT / "pipelines" / "sentiment_en.yaml", overrides).config)
    task.classes, task.class_weights = ["negative", "positive"], np.ones(2, np.float32)
    with tempfile.TemporaryDirectory() as place:
        steps = training(task, Path(place))
        answers = requests(task, Path(place), rounds)
    released_answers = released(arguments.model, max(5, rounds // 10))
    print(f"{os.cpu_count()} cores, TensorFlow {tf.__version__}, Keras {keras.__version__}, seed 1\n")
    print("| | median, ms | half the distance of the quartiles |\n|---|---:|---:|")
    for title, times in (("training step, batch 64", steps), ("one request", answers), ("released", released_answers)):
        for name, values in times.items():
            low, middle, high = statistics.quantiles(values, n=4)
            print(f"| {title}: {name} | {middle:.2f} | {(high - low) / 2:.2f} |")
    batches = -(-ROWS // 64)
    epochs = ", ".join(f"{name} {batches * statistics.fmean(values) / 1e3:.1f} s" for name, values in steps.items())
    many = statistics.median(released_answers[f"{REVIEWS} reviews: {arguments.model}"])
    print(f"\n{arguments.model}: {REVIEWS / many * 1e3:,.0f} reviews of {REVIEW_CHARACTERS:,} characters a second")
    print(f"\nAn epoch of {ROWS:,} rows, from {BATCHES} of its batches: {epochs}")


if __name__ == "__main__":
    main()
