"""How fast translation is: an exported model's searches, one sentence at a time, and a training step.

    python benchmarks/translation.py [--model translate_en_fr] [--data SOURCE] [--steps 40]

Decoding: the sources of `--data` (pairs, read as the model's own pipeline.yaml says) in one run through
the loaded SavedModel, raw strings in and out, in batches of 100 sorted by length. Training: embedding 256, encoder
2 x 128, decoder 256, GRU, 6,000 pieces, batch 128, pieces drawn at random with the lengths of picture captions, by the
training loop itself. The share of the matmul limit is the time that the products of a step would take at the speed of
one large product, measured in the same process, over the time of the step.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from seqpipe.config import file as pipeline_file
from seqpipe.config.networks import Seq2Seq
from seqpipe.config.training import Training
from seqpipe.data.examples import Examples, Ragged
from seqpipe.models import seq2seq
from seqpipe.models.searches import shifted
from seqpipe.serving.find import find_model
from seqpipe.serving.model import load
from seqpipe.tasks import schemas
from seqpipe.tasks.translation.data import read_pairs
from seqpipe.text.vocabulary import EOS
from seqpipe.training.loop import Trainer
from seqpipe.training.losses import softmax_cross_entropy
from seqpipe.training.objective import Objective

VOCABULARY, BATCH_ROWS, SEARCH_ROWS = 6000, 128, 100
SENTENCE = "Two dogs are playing in the snow."
TRAINED = Seq2Seq.model_validate(
    {"embedding": {"units": 256}, "encoder": {"units": 128}, "decoder": {"units": 256}, "tied": "all"}
)


class Captions(Objective):
    """The loss of a translation task, without its data."""

    def forward(self, model, batch, training):
        inputs = [batch["source"], batch["source_lengths"], shifted(batch["target"]), batch["target_lengths"]]
        return model(inputs, training=training)[0]

    def loss(self, batch, outputs):
        return tf.reduce_sum(softmax_cross_entropy(batch["target"], outputs, batch["target_lengths"]), axis=1) / 18


def decoding(model: str, source: str) -> None:
    path = find_model(model)
    config = pipeline_file.load_again(
        path / "pipeline.yaml", {"train": source, "dev": None, "test": None}, [], schemas()
    )
    texts = read_pairs(source, config.data)[0].sources
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    batches = [[texts[row] for row in order[i : i + SEARCH_ROWS]] for i in range(0, len(order), SEARCH_ROWS)]
    loaded = load(path)
    beam = {"beam_width": 5, "length_penalty": 1.0}
    print(f"\n{path.parent.name}, {len(texts):,} sentences of {source}\n\n| | sentences/s |\n|---|---:|")
    for name, signature, options in (("greedy", "serving_default", None), ("beam 5", "beam", beam)):
        loaded.run(batches[0], signature=signature, options=options)
        start = time.perf_counter()
        for batch in batches:
            loaded.run(batch, signature=signature, options=options)
        print(f"| {name}, batch {SEARCH_ROWS} | {len(texts) / (time.perf_counter() - start):,.0f} |")
    print("\n| one sentence | median, ms |\n|---|---:|")
    for name, signature, options in (("greedy", "serving_default", None), ("beam 5", "beam", beam)):
        times = []
        for _ in range(60):
            start = time.perf_counter()
            loaded.run([SENTENCE], signature=signature, options=options)
            times.append((time.perf_counter() - start) * 1e3)
        print(f"| {name} | {statistics.median(times[10:]):.1f} |")


def captions(rows: int, seed: int) -> Examples:
    """Random pieces with about the lengths of Multi30k in 6,000 pieces."""
    generator = np.random.default_rng(seed)

    def column(mean: float, *, ended: bool) -> Ragged:
        lengths = np.clip(generator.gamma(9, mean / 9, rows).astype(int), 3, 60)
        drawn = [generator.integers(260, VOCABULARY, length).astype(np.int32) for length in lengths]
        return Ragged.from_rows([np.append(row, EOS) for row in drawn] if ended else drawn)

    return Examples({"source": column(14.8, ended=False), "target": column(17.1, ended=True)})


def matmul_seconds_a_flop() -> float:
    a, b = tf.random.normal([2048, 1024]), tf.random.normal([1024, 2048])
    product = tf.function(tf.matmul)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        product(a, b).numpy()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:]) / (2 * 2048 * 1024 * 2048)


def training(steps: int) -> None:
    train = captions(BATCH_ROWS * steps, 1)
    with tempfile.TemporaryDirectory() as directory:
        trainer = Trainer(
            lambda: seq2seq(TRAINED, source_vocabulary=VOCABULARY, target_vocabulary=VOCABULARY),
            objective=Captions(),
            config=Training(epochs=1, batch_size=BATCH_ROWS, xla="never", monitor="loss"),
            train=train,
            dev=captions(BATCH_ROWS, 2),
            seed=1,
            directory=Path(directory),
            say=lambda line: None,
        )
        rows = [np.arange(start, start + BATCH_ROWS) for start in range(0, len(train), BATCH_ROWS)]
        order = np.argsort(train.lengths, kind="stable")
        plan = [order[part] for part in rows]
        for batch in trainer._batches(plan[:3], 0):
            trainer.train_step(batch)
        start = time.perf_counter()
        for batch in trainer._batches(plan, 0):
            float(trainer.train_step(batch))
        seconds = time.perf_counter() - start
        source, target = (train.columns[name].lengths.sum() for name in ("source", "target"))  # type: ignore[union-attr]
    embedding, encoder, decoder = TRAINED.embedding.units, TRAINED.encoder.units, TRAINED.decoder.units
    memory = 2 * encoder
    a_source = 2 * 3 * encoder * (embedding + encoder) + memory * decoder
    a_target = 3 * decoder * (embedding + decoder) + embedding * (decoder + memory) + VOCABULARY * embedding
    limit = 6 * (a_source * source + a_target * target) * matmul_seconds_a_flop()  # forward once, gradients twice
    print(
        f"\nTraining, {len(train):,} sentences in batches of {BATCH_ROWS}, {VOCABULARY:,} pieces: "
        f"{len(train) / seconds:,.0f} sentences/s, {limit / seconds:.0%} of the matmul limit"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="translate_en_fr")
    parser.add_argument("--data", default="builtin:phrases?split=test&rows=1000")
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    print(f"TensorFlow {tf.__version__}, {len(os.sched_getaffinity(0))} cores")
    training(arguments.steps)
    decoding(arguments.model, arguments.data)


if __name__ == "__main__":
    main()
