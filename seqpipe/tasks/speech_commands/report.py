"""The report on a recogniser of commands: balanced accuracy, each class, and words it never heard."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.config.sound import SILENCE, UNKNOWN
from seqpipe.data.examples import Examples, Ragged, content_key
from seqpipe.evaluation import classification_words, metrics
from seqpipe.evaluation.classification import Answered, Baseline, report_split
from seqpipe.evaluation.figures import percent
from seqpipe.evaluation.tables import Table
from seqpipe.serving.listening import stream
from seqpipe.sound.noise import generated_noise
from seqpipe.sound.recordings import INT16
from seqpipe.tasks.protocol import Report
from seqpipe.tasks.speech_commands import false_accepts
from seqpipe.tasks.speech_commands.attention_picture import CLIPS_A_ROW, Heard, attention_picture
from seqpipe.tasks.speech_commands.baseline import spectrograms
from seqpipe.training.predict import predict

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from seqpipe.tasks.speech_commands.task import SpeechCommands

NOISE_S = 60.0  # generated, beside the recorded


def evaluate_commands(
    task: SpeechCommands, model: keras.Model, temperature: float, examples: dict[str, Examples], directory: Path
) -> Report:
    """The whole report, with a report and pictures of each split in a folder of its own."""
    wanted = task.config.evaluation
    report: Report = {"classes": task.classes, "temperature": temperature, "splits": {}}
    for split, rows in examples.items():
        logits, labels = predict(model, task, rows), np.asarray(rows.columns["label"])
        answered = Answered(
            split,
            logits,
            labels,
            rows_key=content_key(task.classes, labels, *task.splits.get(split).samples),
            baseline=Baseline.of(task.baseline, spectrograms(rows)),
        )
        report["splits"][split] = report_split(
            answered,
            directory / split,
            classes=task.classes,
            temperature=temperature,
            bootstrap_samples=wanted.bootstrap_samples,
            seed=task.config.seed,
        )
        _draw_attention(task, model, split, rows, metrics.softmax(logits / temperature), directory)
    report["never_heard"] = _never_heard(task, model)
    report["listening"] = _listening(task, model, temperature) if task.config.model.streaming else None
    if report["listening"]:
        false_accepts.picture(report["listening"], directory / "false_accepts.png")
    return report


def _draw_attention(
    task: SpeechCommands, model: keras.Model, split: str, rows: Examples, probabilities: np.ndarray, directory: Path
) -> None:
    """Write SPLIT/attention.png: right answers to different words, and the wrong ones that were surest."""
    words, labels, decibels = task.splits.get(split).words, np.asarray(rows.columns["label"]), spectrograms(rows)
    right, wrong = telling_rows(probabilities[: len(words)], labels[: len(words)])  # silence stands behind the words
    chosen = [*right, *wrong]
    attention = dict(zip(chosen, _attention(task, model, decibels[chosen]), strict=True))

    def heard(row: int) -> Heard:
        label, word, taken = task.classes[labels[row]], words[row], int(probabilities[row].argmax())
        return Heard(
            decibels[row],
            attention[row],
            said=label if word == label else f"{label} ({word})",
            taken_for=task.classes[taken],
            probability=float(probabilities[row, taken]),
            right=taken == labels[row],
        )

    attention_picture(
        [
            ("Right: the surest of one class each", [heard(row) for row in right]),
            ("Wrong: the surest of all", [heard(row) for row in wrong]),
        ],
        directory / split / "attention.png",
        hop_ms=task.config.features.hop_ms,
        centres_hz=task.mel.centres_hz,
    )


def telling_rows(probabilities: np.ndarray, labels: np.ndarray) -> tuple[list[int], list[int]]:
    """Rows to look at, up to CLIPS_A_ROW each: of the first classes the surest right answer, and the wrong ones."""
    taken = probabilities.argmax(axis=1)
    surest = np.argsort(-probabilities.max(axis=1), kind="stable").tolist()
    wrong = [row for row in surest if taken[row] != labels[row]]
    right = {int(labels[row]): row for row in reversed(surest) if taken[row] == labels[row]}
    return [right[label] for label in sorted(right)][:CLIPS_A_ROW], wrong[:CLIPS_A_ROW]


def _attention(task: SpeechCommands, model: keras.Model, spectrograms: np.ndarray) -> np.ndarray:
    """What each frame of spectrograms [N, T, F] counts for in their answers, 1 on average: [N, T]."""
    import keras

    pooling = keras.Model(model.inputs, model.get_layer("pooling").output[1])
    stride = math.prod(block.stride_frames for block in task.config.model.convolution)
    clips, frames = spectrograms.shape[:2]
    weights = np.asarray(pooling([spectrograms, np.full(clips, frames)], training=False))
    of_frames = np.repeat(weights, stride, axis=1)[:, :frames]
    return of_frames / of_frames.mean(axis=1, keepdims=True)


def _listening(task: SpeechCommands, model: keras.Model, temperature: float) -> dict[str, object]:
    from seqpipe.tasks.speech_commands.streaming import StreamingRecogniser

    module = StreamingRecogniser(model, task.mel, classes=task.classes, temperature=temperature, version=0)
    signature = module.functions()["stream"]

    def answer(waveform: tf.Tensor, **state: tf.Tensor) -> dict[str, tf.Tensor]:
        return signature(waveform, *(state[name] for name in module.state))

    dev = task.splits.dev
    waves = [(samples / INT16).astype(np.float32) for samples in dev.samples]
    names = [task.classes[label] for label in dev.labels]
    return false_accepts.trade_off(
        lambda waveform: list(stream(answer, module.state, [waveform])),
        task.classes,
        commands=[pair for pair in zip(names, waves, strict=True) if pair[0] not in (UNKNOWN, SILENCE)],
        others=[wave for name, wave in zip(names, waves, strict=True) if name == UNKNOWN],
        noise=[
            *((samples / INT16).astype(np.float32) for samples in dev.noise),
            *generated_noise(np.random.default_rng(task.config.seed), NOISE_S),
        ],
    )


def _never_heard(task: SpeechCommands, model: keras.Model) -> dict[str, object] | None:
    """How many recordings of the words left out of training are taken for no command, by word."""
    if not len(task.splits.left_out):
        return None
    decibels, words = task.left_out_spectrograms()
    rows = Examples(
        {"spectrogram": Ragged.from_rows(list(decibels), np.float32), "label": np.zeros(len(words), np.int32)}
    )
    taken = predict(model, task, rows).argmax(axis=1)
    rejected = defaultdict(list)
    for word, answer in zip(words, taken, strict=True):
        rejected[word].append(answer >= len(task.classes) - 2)
    by_word = {word: {"rejected": float(np.mean(hits)), "rows": len(hits)} for word, hits in sorted(rejected.items())}
    shares = [row["rejected"] for row in by_word.values()]
    return {"words": by_word, "mean": float(np.mean(shares)), "worst": float(np.min(shares)), "rows": len(words)}


def to_markdown(report: Report) -> str:
    """The report as Markdown sections of level three."""
    splits = report["splits"].items()
    sections = [f"### {split}\n\n{classification_words.to_markdown(part)}" for split, part in splits]
    unheard = report["never_heard"]
    if unheard:
        words = [[word, percent(row["rejected"], 1), str(row["rows"])] for word, row in unheard["words"].items()]
        sections.append(
            "### Words never heard\n\n"
            f"Left out of training and said {unheard['rows']:,} times: taken for no command in the mean over the words "
            f"{percent(unheard['mean'], 1)}, at worst {percent(unheard['worst'], 1)}.\n\n"
            f"{Table(['word', 'rejected', 'recordings'], words, left=['word']).markdown()}\n"
        )
    if report["listening"]:
        sections.append(f"### Listening\n\n{false_accepts.to_markdown(report['listening'])}")
    return "\n".join(sections)
