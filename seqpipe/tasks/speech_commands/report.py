"""The report on a recogniser of commands: balanced accuracy, each class, and words it never heard."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqpipe.data.examples import Examples, Ragged, content_key
from seqpipe.evaluation import classification as evaluation
from seqpipe.evaluation import metrics
from seqpipe.evaluation.labels import label_rows
from seqpipe.sound.noise import generated_noise
from seqpipe.sound.recordings import INT16
from seqpipe.tasks.speech_commands import false_accepts
from seqpipe.tasks.speech_commands.attention_picture import CLIPS_A_ROW, Heard, attention_picture
from seqpipe.tasks.speech_commands.baseline import spectrograms
from seqpipe.tasks.speech_commands.config import SILENCE, UNKNOWN
from seqpipe.tasks.speech_commands.listening import stream
from seqpipe.training.loop import predict

if TYPE_CHECKING:
    from seqpipe.tasks.speech_commands.task import SpeechCommands

NOISE_S = 60.0  # generated, beside the recorded


def evaluate_commands(
    task: SpeechCommands, model: Any, temperature: float, examples: dict[str, Examples], directory: Path
) -> dict[str, Any]:
    """The whole report, with a report and pictures of each split in a folder of its own."""
    logits = {split: predict(model, task, rows) for split, rows in examples.items()}
    labels = {split: np.asarray(rows.columns["label"]) for split, rows in examples.items()}
    samples = task.config.evaluation.bootstrap_samples
    report: dict[str, Any] = {"classes": task.classes, "temperature": temperature, "splits": {}}
    baseline = task.baseline
    for split in logits:
        part = evaluation.evaluate_classifier(
            logits=logits[split],
            labels=labels[split],
            classes=task.classes,
            temperature=temperature,
            split=split,
            seen=None,
            baseline_predictions=None if baseline is None else baseline.predict(spectrograms(examples[split])),
            baseline_description=None if baseline is None else baseline.describe(),
            baseline_fit_time_s=None if baseline is None else baseline.fit_time_s,
            baseline_size_bytes=None if baseline is None else baseline.size_bytes,
            bootstrap_samples=samples,
            seed=task.config.seed,
        )
        predictions = logits[split].argmax(axis=1)
        part["balanced_accuracy"] = balanced_accuracy(
            predictions, labels[split], samples=samples, seed=task.config.seed
        )
        part["measures"]["balanced_accuracy"] = part["balanced_accuracy"]
        report["splits"][split] = part
        (directory / split).mkdir(parents=True, exist_ok=True)
        rows_key = content_key(task.classes, labels[split])
        label_rows(logits[split], labels[split], rows_key).write(directory / split)
        evaluation.write_report(part, directory / split, logits=logits[split], labels=labels[split])
        probabilities = metrics.softmax(logits[split] / temperature)
        _draw_attention(task, model, split, examples[split], probabilities, directory)
    report["never_heard"] = _never_heard(task, model)
    report["listening"] = _listening(task, model, temperature) if task.config.model.streaming else None
    if report["listening"]:
        false_accepts.picture(report["listening"], directory / "false_accepts.png")
    return report


def _draw_attention(
    task: SpeechCommands, model: Any, split: str, rows: Examples, probabilities: np.ndarray, directory: Path
) -> None:
    """Write SPLIT/attention.png: right answers to different words, and the wrong ones that were surest."""
    words, labels, decibels = task.splits.get(split).words, np.asarray(rows.columns["label"]), spectrograms(rows)
    right, wrong = telling_rows(probabilities[: len(words)], labels[: len(words)])  # silence stands behind the words
    attend = _attention(task, model)

    def heard(row: int) -> Heard:
        label, word, taken = task.classes[labels[row]], words[row], int(probabilities[row].argmax())
        return Heard(
            decibels[row],
            attend(decibels[row]),
            said=label if word == label else f"{label} ({word})",
            taken_for=task.classes[taken],
            probability=float(probabilities[row, taken]),
            right=taken == labels[row],
        )

    attention_picture(
        [
            ("Right: the surest of each class", [heard(row) for row in right]),
            ("Wrong: the surest of all", [heard(row) for row in wrong]),
        ],
        directory / split / "attention.png",
        hop_ms=task.config.features.hop_ms,
        centres_hz=task.mel.centres_hz,
    )


def telling_rows(probabilities: np.ndarray, labels: np.ndarray) -> tuple[list[int], list[int]]:
    """Rows to look at, up to CLIPS_A_ROW each: of each class the surest right answer, and the surest wrong ones."""
    taken = probabilities.argmax(axis=1)
    surest = np.argsort(-probabilities.max(axis=1), kind="stable").tolist()
    wrong = [row for row in surest if taken[row] != labels[row]]
    right = {int(labels[row]): row for row in reversed(surest) if taken[row] == labels[row]}
    return [right[label] for label in sorted(right)][:CLIPS_A_ROW], wrong[:CLIPS_A_ROW]


def _attention(task: SpeechCommands, model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """What each frame of a spectrogram [T, F] counts for in the answer, 1 on average."""
    import keras

    pooling = keras.Model(model.inputs, model.get_layer("pooling").output[1])
    stride = math.prod(block.stride_frames for block in task.config.model.convolution)

    def attend(spectrogram: np.ndarray) -> np.ndarray:
        frames = len(spectrogram)
        weights = np.asarray(pooling([spectrogram[None], np.array([frames])], training=False))[0]
        of_frames = np.repeat(weights, stride)[:frames]
        return of_frames / of_frames.mean()

    return attend


def _listening(task: SpeechCommands, model: Any, temperature: float) -> dict[str, Any]:
    from seqpipe.tasks.speech_commands.streaming import StreamingRecogniser

    module = StreamingRecogniser(model, task.mel, classes=task.classes, temperature=temperature, version=0)
    signature = module.functions()["stream"]

    def answer(waveform: Any, **state: Any) -> Any:
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


def balanced_accuracy(predictions: np.ndarray, labels: np.ndarray, *, samples: int, seed: int) -> dict[str, Any]:
    """Mean over the classes of the share of their rows that is right, with a 95 % bootstrap interval (by class)."""
    rng = np.random.default_rng(seed)
    correct = predictions == labels
    by_class = [correct[labels == label] for label in np.unique(labels)]
    drawn = np.mean([rng.binomial(len(part), part.mean(), samples) / len(part) for part in by_class], axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = float(np.mean([part.mean() for part in by_class]))
    return {"value": value, "low": float(low), "high": float(high), "n": len(labels)}


def _never_heard(task: SpeechCommands, model: Any) -> dict[str, Any] | None:
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


def to_markdown(report: dict[str, Any]) -> str:
    """The report as Markdown sections of level three."""
    sections = []
    for split, part in report["splits"].items():
        figure = part["measures"].get("balanced_accuracy")
        if figure is None:  # of an exported model, on rows of which nobody knows the classes
            sections.append(f"### {split}\n\n{evaluation.to_markdown(part)}")
            continue
        interval = f"95 % interval {100 * figure['low']:.1f} to {100 * figure['high']:.1f} %, bootstrap"
        balanced = (
            f"**Balanced accuracy on {split}: {100 * figure['value']:.2f} % ({interval})**: the mean of the recalls."
        )
        sections.append(f"### {split}\n\n{balanced}\n\n{evaluation.to_markdown(part)}")
    unheard = report["never_heard"]
    if unheard:
        lines = [
            f"| {word} | {100 * row['rejected']:.1f} % | {row['rows']} |" for word, row in unheard["words"].items()
        ]
        sections.append(
            "### Words never heard\n\n"
            f"Left out of training and said {unheard['rows']:,} times: taken for no command in the mean over the words "
            f"{100 * unheard['mean']:.1f} %, at worst {100 * unheard['worst']:.1f} %.\n\n"
            "| word | rejected | recordings |\n|---|---:|---:|\n" + "\n".join(lines) + "\n"
        )
    if report["listening"]:
        sections.append(f"### Listening\n\n{false_accepts.to_markdown(report['listening'])}")
    return "\n".join(sections)
