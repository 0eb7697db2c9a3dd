"""Spoken commands: a recording in; one of several words, unknown or silence out.

Axes: B batch (rows), T time (frames), F mel bands, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.config.sound import SILENCE, UNKNOWN
from seqpipe.data.examples import Examples, Ragged, content_key
from seqpipe.data.findings import Finding
from seqpipe.evaluation.labels import BALANCED_ACCURACY
from seqpipe.evaluation.measures import ACCURACY
from seqpipe.export.artefact import FEATURES
from seqpipe.serving.answers import LabelPresentation
from seqpipe.serving.inputs import WAVEFORM
from seqpipe.sound.augmentation import Augmenter, Kind
from seqpipe.sound.noise import generated_noise, silence
from seqpipe.sound.recordings import INT16
from seqpipe.sound.synthesis import synthesise
from seqpipe.sound.tones import tones
from seqpipe.storage import write_arrays, write_json
from seqpipe.tasks.protocol import Fitted, Report, Task
from seqpipe.tasks.speech_commands.baseline import SpectrogramBaseline, spectrograms
from seqpipe.tasks.speech_commands.config import SpeechCommandsPipeline
from seqpipe.tasks.speech_commands.data import CommandSplits, empty_bands, read_clips, read_commands
from seqpipe.tasks.speech_commands.probes import probes, read_wav, wav_probes
from seqpipe.tasks.speech_commands.scores import adjustments, fit_scores, set_scores
from seqpipe.tasks.speech_commands.teachers import Teachers, find_teachers
from seqpipe.training.class_weights import class_weights
from seqpipe.training.objective import Batch

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from seqpipe.export.artefact import Artefact, Row
    from seqpipe.export.lite import LiteFiles
    from seqpipe.serving.model import Model
    from seqpipe.sound.log_mel import LogMel

GENERATED_NOISE_S = 20.0  # beside the recorded
ANALYSED_TOGETHER = 256  # clips
PROBE_WORDS = 32
LEAST_DEVIATION_DB = 5.0  # a band without sound, such as those above a telephone's, is not blown up


class SpeechCommands(Task):
    """Recordings of one word each."""

    name = "speech_commands"
    measures = (BALANCED_ACCURACY, ACCURACY)
    input = WAVEFORM
    answer = LabelPresentation()
    kept_features = ("classes.json",)

    config: SpeechCommandsPipeline
    splits: CommandSplits
    classes: list[str]
    probed: list[np.ndarray]  # float32 [S], real sounds that an export is proved with
    mean: np.ndarray  # float32 [F], of the training clips in decibels
    deviation: np.ndarray  # float32 [F]
    noise: np.ndarray  # float32 [frames, F], mel power
    class_weights: np.ndarray  # float32 [C], how much a row of each class weighs in the loss
    adjustments: np.ndarray  # float32 [C], added to the scores once trained (Menon et al., 2021)
    _teachers: Sequence[Path] = ()  # the versions that the run began with

    @cached_property
    def mel(self) -> LogMel:
        from seqpipe.sound.log_mel import LogMel

        return LogMel(self.config.features)

    def read(self) -> list[Finding]:
        self.splits = read_commands(self.config.data)
        self.classes = self.splits.classes
        self._teachers = find_teachers(self.config.training.teachers, self.config.features, self.classes)
        self.probed = _floats(self.splits.dev.samples[:8])
        return self.splits.findings

    def data_key(self) -> str:
        parts: list[np.ndarray | list[str]] = [self.classes]
        for clips in (self.splits.train, self.splits.dev, self.splits.test, self.splits.left_out):
            if clips is not None:
                parts += [clips.labels, clips.words, *clips.samples, *clips.noise]
        return content_key(*parts)

    def fit_features(self, directory: Path) -> None:
        train = self.splits.train
        decibels = self._decibels(_fitted(train.samples, self.mel.clip_samples))
        mean, deviation = decibels.mean(axis=(0, 1)), np.maximum(decibels.std(axis=(0, 1)), LEAST_DEVIATION_DB)
        rng = np.random.default_rng([self.config.seed, 3])
        made = generated_noise(rng, GENERATED_NOISE_S)
        noise = np.concatenate([self._power(wave[None])[0] for wave in (*_floats(train.noise), *made)])
        write_arrays(directory / "audio.npz", mean=mean, deviation=deviation, noise=noise)
        rows, teachers = self._train_rows().tolist(), [str(place) for place in self._teachers]
        write_json(directory / "classes.json", {"classes": self.classes, "train_rows": rows, "teachers": teachers})
        self.load_features(directory)

    def features_found(self) -> list[str]:
        return empty_bands(self.mean, self.mel.centres_hz, self.config.features.floor_db)

    def load_features(self, directory: Path) -> None:
        with np.load(directory / "audio.npz") as saved:
            self.mean, self.deviation, self.noise = saved["mean"], saved["deviation"], saved["noise"]
        saved = json.loads((directory / "classes.json").read_text(encoding="utf-8"))
        self.classes = saved["classes"]
        self._teachers = [Path(place) for place in saved.get("teachers", self._teachers)]  # none published since
        rows = np.array(saved["train_rows"])
        self.class_weights = class_weights(self.config.training.class_weights, self.classes, rows)
        self.adjustments = adjustments(self.config.training.logit_adjustment, rows)

    def _train_rows(self) -> np.ndarray:
        """Rows of each class in `examples("train")`, int [C]; of synthesised words as many as are asked for."""
        data, clips = self.config.data, self.splits.train
        rows = np.bincount(clips.labels, minlength=len(self.classes))
        rows[self.classes.index(SILENCE)] += self._silent_rows("train")
        unknown = self.classes.index(UNKNOWN)
        rows[unknown] += rows[unknown] * (data.unknown_copies - 1) + round(data.made_unknown_fraction * len(clips))
        if data.synthesis is not None:
            rows[:-2] += data.synthesis.of_each_command
            rows[unknown] += data.synthesis.other_words
        return rows

    def load_published(self, directory: Path, probes: list[Row]) -> None:
        self.classes = json.loads((directory / FEATURES / "classes.json").read_text(encoding="utf-8"))["classes"]
        self.probed = [row["waveform"] for row in probes]

    def _power(self, waveforms: np.ndarray) -> np.ndarray:
        """Mel power [B, T, F] of float32 [B, S]."""
        parts = [
            self.mel.power(waveforms[start : start + ANALYSED_TOGETHER]).numpy()
            for start in range(0, len(waveforms), ANALYSED_TOGETHER)
        ]
        return np.concatenate(parts)

    def _decibels(self, waveforms: np.ndarray) -> np.ndarray:
        floor = 10.0 ** (self.config.features.floor_db / 10)
        return (10 * np.log10(np.maximum(self._power(waveforms), floor))).astype(np.float32)

    def _silent_rows(self, split: str) -> int:
        return max(1, round(self.config.data.silence_fraction * len(self.splits.get(split))))

    def waveforms(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Clips, then silence: float32 [N, S] and their classes, int32 [N]; of all seeds the same, but for train."""
        clips = self.splits.get(split)
        silent = self._silent_rows(split)
        rng = np.random.default_rng([self.config.seed if split == "train" else 1, 4, len(split)])
        quiet = silence(rng, _floats(clips.noise), rows=silent, samples=self.mel.clip_samples)
        labels = [clips.labels, np.full(silent, self.classes.index(SILENCE))]
        fitted = np.concatenate([_fitted(clips.samples, self.mel.clip_samples), quiet])
        return fitted.astype(np.float32), np.concatenate(labels).astype(np.int32)

    def examples(self, split: str) -> Examples:
        """Clips, then silence; then in train copies, synthesised clips, and rows whose words are made in each epoch."""
        waveforms, labels = self.waveforms(split)
        clips = len(self.splits.get(split))
        heard = self._decibels(waveforms)
        kinds = np.full(len(labels), Kind.SILENCE)
        kinds[:clips] = Kind.CLIP
        if split == "train":
            unknown, data = self.classes.index(UNKNOWN), self.config.data
            copied = np.repeat(np.flatnonzero(labels == unknown), data.unknown_copies - 1)
            spoken, said = self._synthesised()
            made = round(data.made_unknown_fraction * clips)
            empty = np.full((made, *heard.shape[1:]), self.config.features.floor_db, np.float32)
            heard = np.concatenate([heard, heard[copied], spoken, empty])
            labels = np.concatenate([labels, labels[copied], said, np.full(made, unknown)])
            kinds = np.concatenate([kinds, kinds[copied], np.full(len(said), Kind.CLIP), np.full(made, Kind.MADE)])
        return Examples(
            {
                "spectrogram": Ragged.from_rows(list(heard), np.float32),
                "label": labels.astype(np.int32),
                "kind": kinds.astype(np.int32),
            }
        )

    def _synthesised(self) -> tuple[np.ndarray, np.ndarray]:
        """Decibels [N, T, F] of the words that a synthesiser says, and their classes [N]; without one N is 0."""
        data, size = self.config.data, self.mel.clip_samples
        if data.synthesis is None:
            return np.zeros((0, self.mel.clip_frames, self.config.features.bands), np.float32), np.zeros(0, np.int32)
        commands = self.classes[:-2]
        spoken = synthesise(
            data.synthesis, commands=commands, unheard=data.leave_out, clip_samples=size, seed=self.config.seed
        )
        unknown = self.classes.index(UNKNOWN)
        labels = [commands.index(one.word) if one.word in commands else unknown for one in spoken]
        return self._decibels(_fitted([one.samples for one in spoken], size)), np.array(labels, np.int32)

    def training_batch(self, examples: Examples, rows: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
        if self._augmenter is None or self._augmenter[0] is not examples:
            self._augmenter = (examples, self._make_augmenter(examples))
        changed = self._augmenter[1].batch(rows, epoch)
        lead_in_ms = self.config.training.lead_in_ms
        if lead_in_ms is not None and (epoch + int(rows[0])) % 2:
            frames = max(1, round(lead_in_ms / self.config.features.hop_ms))
            changed = np.concatenate([np.roll(changed, 1, axis=0)[:, -frames:], changed], axis=1)
        lengths = np.full(len(rows), changed.shape[1], np.int32)
        columns = {name: np.asarray(examples.columns[name])[rows] for name in ("label", "kind")}
        return {"spectrogram": changed, "spectrogram_lengths": lengths, **columns}

    _augmenter: tuple[Examples, Augmenter] | None = None

    def _make_augmenter(self, examples: Examples) -> Augmenter:
        return Augmenter(
            self.config.training.augmentation,
            power=(10 ** (spectrograms(examples) / 10)).astype(np.float32),
            kinds=np.asarray(examples.columns["kind"]),
            labels=np.asarray(examples.columns["label"]),
            silence=self.classes.index(SILENCE),
            noise=self.noise,
            hop_ms=self.config.features.hop_ms,
            floor=10.0 ** (self.config.features.floor_db / 10),
            seed=self.config.seed,
        )

    def build(self) -> keras.Model:
        from seqpipe.models import commands_model

        return commands_model(
            self.config.model,
            bands=self.config.features.bands,
            clip_frames=self.mel.clip_frames,
            classes=len(self.classes),
            mean=self.mean,
            deviation=self.deviation,
        )

    def forward(self, model: keras.Model, batch: Batch, training: bool) -> tf.Tensor:
        return model([batch["spectrogram"], batch["spectrogram_lengths"]], training=training)

    def taught(self, batch: Batch) -> tf.Tensor | None:
        return self.teachers(batch["spectrogram"]) if self.teachers else None

    def loss(self, batch: Batch, outputs: tf.Tensor) -> tf.Tensor:
        from seqpipe.training.losses import label_loss

        training = self.config.training
        return label_loss(
            batch["label"],
            outputs,
            class_weights=self.class_weights,
            label_smoothing=training.label_smoothing,
            taught=batch.get("taught"),
            taught_fraction=training.teacher_fraction,
        )

    @cached_property
    def teachers(self) -> Teachers | None:
        import tensorflow as tf

        with tf.init_scope():
            return Teachers(self._teachers, self.mel.clip_frames) if self._teachers else None

    def metrics(self, batch: Batch, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        from seqpipe.training.losses import hits

        return {"accuracy": hits(batch["label"], outputs)}

    def fit(self, model: keras.Model, examples: dict[str, Examples]) -> Fitted:
        return fit_scores(self, model, examples)

    def finish(self, model: keras.Model, fitted: Fitted) -> None:
        set_scores(model, fitted)

    def fit_baseline(self, train: Examples) -> None:
        if self.config.evaluation.baseline:
            real, labels = np.asarray(train.columns["kind"]) != Kind.MADE, np.asarray(train.columns["label"])
            self.baseline = SpectrogramBaseline.fit(spectrograms(train)[real], labels[real], self.config.seed)

    baseline: SpectrogramBaseline | None = None

    def evaluate(self, model: keras.Model, fitted: Fitted, examples: dict[str, Examples], directory: Path) -> Report:
        from seqpipe.tasks.speech_commands.report import evaluate_commands

        return evaluate_commands(self, model, fitted["temperature"], examples, directory)

    def evaluate_served(self, model: Model, source: str, directory: Path) -> tuple[Report, list[Finding]]:
        from seqpipe.evaluation.classification import evaluate_served

        clips, findings = read_clips(source, self.config.data, model.labels)
        samples = self.config.evaluation.bootstrap_samples
        report = evaluate_served(model, _floats(clips.samples), clips.labels, source, directory, samples=samples)
        return {**report, "never_heard": None, "listening": None}, findings

    def left_out_spectrograms(self) -> tuple[np.ndarray, list[str]]:
        """Decibels [N, T, F] of the words that were left out of training, and the words."""
        clips = self.splits.left_out
        return self._decibels(_fitted(clips.samples, self.mel.clip_samples)), clips.words

    def describe(self, report: Report) -> str:
        from seqpipe.tasks.speech_commands.report import to_markdown

        return to_markdown(report)

    def limits(self) -> list[str]:
        seconds = self.config.features.clip_ms / 1000
        return [
            f"It hears {seconds:g} s at once; a word that takes longer is not known as a whole.",
            "It takes single words; in fluent speech words are cut short and run together.",
            "It knows voices, rooms and microphones like those of its training data.",
        ]

    def artefact(self, model: keras.Model, fitted: Fitted, version: int) -> Artefact:
        from seqpipe.export.artefact import Artefact
        from seqpipe.export.label_answer import expected_scores
        from seqpipe.tasks.speech_commands.signatures import CommandRecogniser, best_window
        from seqpipe.tasks.speech_commands.streaming import StreamingRecogniser, prove_stream, whole_clip
        from seqpipe.training.predict import compiled

        streaming = self.config.model.streaming
        make, answer = (StreamingRecogniser, whole_clip) if streaming else (CommandRecogniser, best_window)
        temperature = fitted["temperature"]
        module = make(model, self.mel, classes=self.classes, temperature=temperature, version=version)
        waveforms = probes(self.probed, self.mel.clip_samples)
        forward = compiled(model, self)

        def logits(inputs: list[np.ndarray]) -> tf.Tensor:
            return forward(dict(zip(("spectrogram", "spectrogram_lengths"), inputs, strict=True)))

        def answers(waveforms: list[np.ndarray]) -> list[Row]:
            """What the Keras model answers, clip by clip, without the exported graph."""
            return [answer(logits, self.mel, wave, temperature, self.classes) for wave in waveforms]

        def answer_file(file: bytes) -> Row:
            try:
                return {**answers([read_wav(file)])[0], "error": np.array(b"", object)}
            except ValueError as error:
                (some,) = answers([np.zeros(0, np.float32)])
                nothing = {name: np.zeros_like(value) for name, value in some.items()}
                return {**nothing, "label": np.array(b"", object), "error": np.array(str(error).encode(), object)}

        streams = []
        if isinstance(module, StreamingRecogniser):
            prove_stream(module, waveforms, [row["probabilities"] for row in answers(waveforms)])
            state = {name: np.zeros(spec.shape[1:], spec.dtype.as_numpy_dtype) for name, spec in module.state.items()}
            streams = [{"waveform": wave, **state} for wave in waveforms]
        return Artefact(
            module=module,
            model=model,
            signatures=module.functions(),
            probes={
                "serving_default": [{"waveform": wave} for wave in waveforms],
                "scores": [{"waveform": wave} for wave in waveforms],
                "wav": [{"wav": np.array(file, object)} for file in wav_probes(self.probed[:4])],
                **({"stream": streams} if streams else {}),
            },
            reference={
                "serving_default": lambda rows: answers([row["waveform"] for row in rows]),
                "scores": lambda rows: [
                    expected_scores(answer, self.classes) for answer in answers([row["waveform"] for row in rows])
                ],
                "wav": lambda rows: [answer_file(row["wav"].item()) for row in rows],
            },
        )

    def lite(self, artefact: Path, *, at_hand: bool) -> LiteFiles:
        from seqpipe.tasks.speech_commands.lite import make_lite

        labels: np.ndarray | None = None
        if at_hand:
            waveforms, labels = self.waveforms("dev")
            rows = f"the {len(labels):,} rows of dev"
        else:
            said = [wave.astype(np.float32) for _, _, wave in tones("test", rows=PROBE_WORDS, seed=1)]
            waveforms = _stacked(probes(said, self.mel.clip_samples), self.mel.clip_samples)
            rows = f"{len(waveforms)} probes, synthetic words and hostile sounds, since the data was not at hand"
        return make_lite(artefact, self.mel, waveforms=waveforms, labels=labels, rows=rows, seed=self.config.seed)


def fit_clip(samples: np.ndarray, size: int) -> np.ndarray:
    """A waveform [S] as [size]: a shorter one between zeros, of a longer one the stretch with most energy."""
    missing = size - len(samples)
    if missing >= 0:
        return np.pad(samples, (missing // 2, missing - missing // 2))
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    start = int(np.argmax(energy[size:] - energy[:-size]))
    return samples[start : start + size]


def _fitted(samples: list[np.ndarray], size: int) -> np.ndarray:
    """float32 [N, size]."""
    return _stacked(_floats(samples), size)


def _stacked(waveforms: list[np.ndarray], size: int) -> np.ndarray:
    return np.stack([fit_clip(wave, size) for wave in waveforms])


def _floats(samples: list[np.ndarray]) -> list[np.ndarray]:
    """int16 waveforms as float32 in -1..1."""
    return [(wave / INT16).astype(np.float32) for wave in samples]
