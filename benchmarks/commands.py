"""How fast commands are: one clip, a stream, features beside librosa's, and a training batch beside its step.

    python benchmarks/commands.py [--model commands] [--streaming commands_streaming] [--rounds 101]

Medians over the rounds. A model that is not there is left out.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import tensorflow as tf

from seqpipe.config.sound import AudioFeatures
from seqpipe.errors import ModelError
from seqpipe.serving.model import Model, load
from seqpipe.sound.log_mel import FFT_SAMPLES, LogMel
from seqpipe.tasks import load_pipeline, make_task
from seqpipe.training.loop import Trainer

ROOT = Path(__file__).parent.parent
HOP_MS = 20
ROWS = ("train: builtin:tones?rows=600", "dev: builtin:tones?rows=64")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", default="commands")
    options.add_argument("--streaming", default="commands_streaming")
    options.add_argument("--rounds", type=int, default=101)
    given = options.parse_args()
    clip = (0.1 * np.random.default_rng(0).normal(size=16_000)).astype(np.float32)
    print("| what | median |\n|---|---:|")
    for name, measure in ((given.model, one_clip), (given.streaming, stream)):
        try:
            measure(load(name), clip, given.rounds)
        except ModelError as error:
            print(f"| {name} | left out: {str(error).partition('.')[0]} |")
    features(clip, given.rounds)
    training(min(given.rounds, 21))


def median_ms(call: Callable[[], Any], rounds: int) -> float:
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def one_clip(model: Model, clip: np.ndarray, rounds: int) -> None:
    signature, waveform = model.loaded.signatures["serving_default"], tf.constant(clip[None])
    taken = median_ms(lambda: signature(waveform=waveform)["label"].numpy(), rounds)
    print(f"| {model.path.parent.name}: one clip of a second, waveform in, ms | {taken:.2f} |")


def stream(model: Model, clip: np.ndarray, rounds: int) -> None:
    signature = model.loaded.signatures["stream"]
    specs = signature.structured_input_signature[1]
    zeros = {name: tf.zeros([1, *spec.shape[1:]], spec.dtype) for name, spec in specs.items() if name != "waveform"}
    pieces = [tf.constant(piece[None]) for piece in np.split(clip, 1000 // HOP_MS)]

    def second() -> None:
        state = zeros
        for piece in pieces:
            outputs = signature(waveform=piece, **state)
            state = {name: outputs[name] for name in zeros}
        outputs["label"].numpy()

    taken = median_ms(second, max(3, rounds // 10))
    print(f"| {model.path.parent.name}: stream in pieces of {HOP_MS} ms, times real time | {1000 / taken:.0f} |")


def features(clip: np.ndarray, rounds: int) -> None:
    mel = LogMel(AudioFeatures())
    extract = tf.function(mel, input_signature=[tf.TensorSpec([None, None], tf.float32)])
    waveform = tf.constant(clip[None])

    def by_librosa() -> np.ndarray:
        sizes = {"n_fft": FFT_SAMPLES, "win_length": mel.window_samples, "hop_length": mel.hop_samples}
        bands = {"n_mels": mel.config.bands, "fmin": mel.config.lowest_hz, "fmax": mel.config.highest_hz}
        return librosa.power_to_db(librosa.feature.melspectrogram(y=clip, sr=16_000, center=False, **sizes, **bands))

    ours, theirs = median_ms(lambda: extract(waveform).numpy(), rounds), median_ms(by_librosa, rounds)
    print(f"| features of a second, ms | {ours:.2f} |\n| the same by librosa, ms | {theirs:.2f} |")


def training(rounds: int) -> None:
    """A batch with all augmentation, and the step that waits for it."""
    sources = [f"data.{row.replace(': ', '=')}" for row in ROWS]
    config = load_pipeline(
        ROOT / "pipelines" / "commands.yaml",
        [*sources, "data.words=[ba, di, gu, aya]", "data.synthesis=null", "training.teachers=[]"],
    ).config
    task: Any = make_task(config)
    task.read()
    with tempfile.TemporaryDirectory() as place:
        task.fit_features(Path(place) / "features")
        splits = {split: task.examples(split) for split in ("train", "dev")}
        trainer = Trainer(
            task.build, objective=task, config=config.training, seed=1, directory=Path(place) / "run", **splits
        )
        rows = np.arange(config.training.batch_size)
        batch = trainer._batch(rows)
        batch_ms = median_ms(lambda: trainer._batch(rows), rounds)
        step_ms = median_ms(lambda: float(trainer.train_step(batch)), rounds)
        waits_ms, before = [], time.perf_counter()
        for made in trainer._batches([rows] * rounds, 0):
            waits_ms.append((time.perf_counter() - before) * 1e3)
            float(trainer.train_step(made))
            before = time.perf_counter()
    print(f"| training: a batch of {len(rows)} clips, all augmentation on, ms | {batch_ms:.1f} |")
    print(f"| training: its step, ms | {step_ms:.1f} |")
    print(f"| training: waiting for a batch between two steps, ms | {statistics.median(waits_ms[1:]):.1f} |")


if __name__ == "__main__":
    main()
