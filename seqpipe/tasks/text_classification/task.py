"""Text classification: a text in; a label, its probability, and the weight of each piece out.

Axes: B batch (rows), T time (pieces), C classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.data.examples import Examples, Ragged, content_key
from seqpipe.data.findings import Finding
from seqpipe.errors import ModelError
from seqpipe.evaluation.measures import ACCURACY, Measure
from seqpipe.export.artefact import FEATURES
from seqpipe.serving.answers import LabelPresentation
from seqpipe.serving.inputs import TEXT
from seqpipe.storage import write_arrays, write_json
from seqpipe.tasks.protocol import Callbacks, Fitted, Report, Say, Task
from seqpipe.tasks.text_classification.config import TextClassificationPipeline
from seqpipe.tasks.text_classification.data import (
    LabelledSplits,
    read_domains,
    read_splits,
    read_table,
    read_unlabelled,
    rows_key,
)
from seqpipe.tasks.text_classification.label_set_figures import MEASURES
from seqpipe.text.ngrams import NgramTables, fit_ngrams
from seqpipe.text.pieces import TextFeatures, cut, head_pieces
from seqpipe.text.probes import text_probes
from seqpipe.text.word_vectors import PieceVectors, spread_vectors, vectors_key
from seqpipe.training.class_weights import class_weights, log_odds, positive_weights
from seqpipe.training.objective import Batch
from seqpipe.training.pretraining import ENCODER, find_encoder, load_encoder, pretrain

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from seqpipe.export.artefact import Artefact, Row
    from seqpipe.export.label_answer import LabelSets
    from seqpipe.serving.model import Model

VECTORS = "vectors.npz"
ROUNDING = 2.0**-24  # of float32, which the steps of a recurrence add up
LONG_TEXTS = {
    "head": "so many from its beginning",
    "tail": "so many from its end",
    "head_and_tail": "so many, a quarter from its beginning, the rest from its end",
}


class TextClassification(Task):
    """Texts with one of several labels, or any number of them."""

    name = "text_classification"
    measures = (ACCURACY,)
    input = TEXT
    answer = LabelPresentation()
    kept_features = ("sentencepiece.model", "normalisation.tsv", "classes.json")

    config: TextClassificationPipeline
    splits: LabelledSplits
    unlabelled: list[str]  # more text to pre-train on
    features: TextFeatures
    classes: list[str]
    probed: list[str]  # real texts that an export is proved with
    class_weights: np.ndarray  # float32 [C], how much a row of each class, or a label that is there, weighs in the loss
    log_odds: np.ndarray  # float32 [C], of each label where texts may have several: where the network begins
    start: dict[str, np.ndarray] | None = None  # weights of an encoder to begin with
    known_model: Path  # what a network of the user's own answered when the run began
    _watched: tuple[keras.Model, Examples, Callable[[Batch], tf.Tensor]] | None = None  # model, dev, figures

    @classmethod
    def measures_of(cls, settings: Mapping[str, object]) -> tuple[Measure, ...]:
        return MEASURES if settings.get("data.label_separator") is not None else cls.measures

    def read(self) -> list[Finding]:
        self.splits = read_splits(self.config.data)
        self.classes, self.probed = self.splits.classes, self.splits.dev.texts
        self.domains, findings = read_domains(
            self.config.evaluation.other_domains,
            self.classes,
            labels=self._labels_of(self.classes),
            separator=self.config.data.label_separator,
        )
        pretraining = self.config.training.pretrain
        if pretraining is None:
            self.unlabelled = []
            return [*self.splits.findings, *findings]
        skip_held_back = pretraining.skip_held_back
        self.unlabelled, found = read_unlabelled(
            pretraining.source, self.config.data, self.splits, domains=self.domains, skip_held_back=skip_held_back
        )
        return [*self.splits.findings, *findings, *found]

    def _labels_of(self, classes: list[str]) -> dict[str, str]:
        """What a file calls the classes: as the training data does or, where that leaves it free, by their names."""
        return {name: name for name in classes} | (self.config.data.labels or {})

    def data_key(self) -> str:
        key = self._key_of(self.unlabelled)
        return key if self.config.model.embedding.vectors is None else content_key(key, self._vectors_key)

    @cached_property
    def _vectors_key(self) -> str:
        """Made once: such files have gigabytes."""
        return vectors_key((self.config.model.embedding.vectors or "").removeprefix("files:"))

    def splits_key(self) -> str:
        return self._key_of([])

    def _key_of(self, unlabelled: list[str]) -> str:
        parts: list[list[str] | np.ndarray] = [self.splits.classes, unlabelled]
        for table in (self.splits.train, self.splits.dev, self.splits.test):
            if table is not None:
                parts += [table.texts, table.labels]
        return content_key(*parts)

    def evaluation_key(self) -> str | None:
        others = self.config.evaluation.other_domains
        return content_key(*(rows_key(other.source, other) for other in others.values())) if others else None

    def fit_features(self, directory: Path) -> None:
        features = self._fit_pieces(directory)
        features.save(directory)
        labels = self.splits.train.labels
        counts = labels.sum(0) if self.config.several else np.bincount(labels, minlength=len(self.classes))
        if self.config.model.ngrams is not None:
            fit_ngrams(
                Ragged.from_rows(features.encode(self.splits.train.texts)),
                self.splits.train.labels,
                len(self.classes),
                longest=self.config.model.ngrams.longest,
                entries=self.config.model.ngrams.entries,
                seed=self.config.seed,
            ).save(directory / "ngrams.npz")
        vectors = self.config.model.embedding.vectors
        if vectors is not None:
            units = self.config.model.embedding.units
            spread_vectors(vectors.removeprefix("files:"), features, units=units).save(directory / VECTORS)
        found = {"classes": self.classes, "train_rows": counts.tolist()}
        write_json(directory / "classes.json", found | ({"rows": len(labels)} if self.config.several else {}))
        self.load_features(directory)

    def _fit_pieces(self, directory: Path) -> TextFeatures:
        """The pieces of the encoder that is started from, whose weights are copied beside them; else new ones."""
        if self.config.model.start_from is not None:
            encoder, features = find_encoder(self.config.model.start_from)
            write_arrays(directory / ENCODER, **load_encoder(encoder))
            return TextFeatures.load(features)
        wanted = self.config.features
        return TextFeatures.fit(
            self.splits.train.texts,
            vocabulary_size=wanted.vocabulary_size,
            lowercase=wanted.lowercase,
            character_coverage=wanted.character_coverage,
        )

    def load_features(self, directory: Path) -> None:
        if self.config.model.start_from is not None:
            self.start = load_encoder(directory / ENCODER)
        self.features = TextFeatures.load(directory)
        self.known_model = directory / "own_model.json"
        self.ngrams = NgramTables.load(directory / "ngrams.npz") if self.config.model.ngrams is not None else None
        wanted = self.config.model.embedding.vectors
        self.vectors = PieceVectors.load(directory / VECTORS) if wanted is not None else None
        saved = json.loads((directory / "classes.json").read_text(encoding="utf-8"))
        self.classes = saved["classes"]
        wanted_weights = self.config.training.class_weights
        counts = np.array(saved["train_rows"])
        if self.config.several:
            self.class_weights = positive_weights(wanted_weights, self.classes, counts, saved["rows"])
            self.log_odds = log_odds(counts, saved["rows"], self.class_weights)
        else:
            self.class_weights = class_weights(wanted_weights, self.classes, counts)

    def load_published(self, directory: Path, probes: list[Row]) -> None:
        self.features = TextFeatures.load(directory / FEATURES)
        self.classes = json.loads((directory / FEATURES / "classes.json").read_text(encoding="utf-8"))["classes"]
        self.probed = [row["text"].item().decode() for row in probes]

    def encode(self, texts: list[str] | list[bytes]) -> Ragged:
        """Piece ids, long rows cut by the rule for long texts."""
        wanted = self.config.features
        return Ragged.from_rows(cut(ids, wanted.max_pieces, wanted.long_texts) for ids in self.features.encode(texts))

    def examples(self, split: str) -> Examples:
        table = self.splits.get(split)
        return Examples({"ids": self.encode(table.texts), "label": table.labels.astype(np.int32)})

    def unlabelled_examples(self, ids: Ragged) -> Examples:
        """Rows to predict, with labels of zeros, so that the graph for labelled rows takes them."""
        labels = (len(ids), len(self.classes)) if self.config.several else len(ids)
        return Examples({"ids": ids, "label": np.zeros(labels, np.int32)})

    def build(self) -> keras.Model:
        from seqpipe.models import classifier
        from seqpipe.models.language_model import set_encoder_weights
        from seqpipe.models.user_model import own_model

        sizes = {"vocabulary_size": self.features.vocabulary_size, "classes": len(self.classes)}
        if self.config.model.builder is not None or self.config.model.keras is not None:
            return own_model(self.config.model, **sizes, known=self.known_model)
        entries = None if self.ngrams is None else len(self.ngrams.keys)
        model = classifier(
            self.config.model, **sizes, ngram_entries=entries, several=self.config.several, name=self.config.name
        )
        if self.config.several:
            model.get_layer("logits").bias.assign(self.log_odds)
        if self.ngrams is not None:
            model.get_layer("ngrams").set_tables(self.ngrams)
        if self.vectors is not None:
            table = model.get_layer("embedding").embeddings
            table.assign(self.vectors.onto(table.numpy()))
        if self.start is not None:
            set_encoder_weights(model, self.start, self.config.model.start_from or "pre-training")
        return model

    def pretrain(self, directory: Path, *, say: Say, callbacks: Callbacks) -> str | None:
        if self.config.training.pretrain is None:
            return None
        return pretrain(
            self.config.model,
            self.config.training.pretrain,
            Ragged.from_rows(self.features.encode([*self.splits.train.texts, *self.unlabelled])),
            vocabulary_size=self.features.vocabulary_size,
            vectors=self.vectors,
            xla=self.config.training.xla,
            seed=self.config.seed,
            directory=directory,
            say=say,
            callbacks=callbacks,
        )

    def load_pretrained(self, directory: Path) -> None:
        self.start = load_encoder(directory / ENCODER)

    def keep(self, model: keras.Model, directory: Path) -> None:
        from seqpipe.models.language_model import encoder_weights

        write_arrays(directory / ENCODER, **encoder_weights(model))

    def forward(self, model: keras.Model, batch: Batch, training: bool) -> tf.Tensor:
        """Logits [B, C]."""
        return model([batch["ids"], batch["ids_lengths"]], training=training)

    def loss(self, batch: Batch, outputs: tf.Tensor) -> tf.Tensor:
        from seqpipe.training.losses import label_loss, label_set_loss

        smoothing, weights = self.config.training.label_smoothing, self.class_weights
        if self.config.several:
            return label_set_loss(batch["label"], outputs, positive_weights=weights, label_smoothing=smoothing)
        return label_loss(batch["label"], outputs, class_weights=weights, label_smoothing=smoothing)

    def metrics(self, batch: Batch, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        from seqpipe.training.losses import all_hits, hits

        return {"accuracy": (all_hits if self.config.several else hits)(batch["label"], outputs)}

    def dev_figures(self, model: keras.Model) -> dict[str, float]:
        """Of several labels, micro and macro F1."""
        if not self.config.several:
            return {}
        from seqpipe.tasks.text_classification.label_set_figures import f1_of_an_epoch
        from seqpipe.training.predict import compiled, predict

        if self._watched is None or self._watched[0] is not model:
            dev = self.examples("dev")
            self._watched = model, dev, compiled(model, self)
        _, dev, forward = self._watched
        return f1_of_an_epoch(predict(model, self, dev, forward=forward), self.splits.dev.labels)

    def fit(self, model: keras.Model, examples: dict[str, Examples]) -> Fitted:
        return self._reporting.calibrate(self, model, examples["dev"])

    def finish(self, model: keras.Model, fitted: Fitted) -> None:
        if "network_scale" in fitted:
            model.get_layer("ngrams").network_scale.assign(fitted["network_scale"])

    def evaluate(self, model: keras.Model, fitted: Fitted, examples: dict[str, Examples], directory: Path) -> Report:
        return self._reporting.evaluate(self, model, fitted, examples, directory)

    @property
    def _reporting(self) -> ModuleType:
        from seqpipe.tasks.text_classification import label_set_report, report

        return label_set_report if self.config.several else report

    def evaluate_served(self, model: Model, source: str, directory: Path) -> tuple[Report, list[Finding]]:
        from seqpipe.evaluation.classification import evaluate_served
        from seqpipe.export.artefact import facts_of
        from seqpipe.tasks.text_classification import label_set_report

        data = self.config.data.model_copy(update={"labels": self._labels_of(model.labels)})
        fitted = facts_of(model.path)
        if ("thresholds" in fitted) != self.config.several:
            kind = "several labels" if "thresholds" in fitted else "one label"
            raise ModelError(
                f"{model.path} answers {kind} a text: data.label_separator must be as it was trained with."
            )
        table, findings = read_table(source, data, model.labels)
        samples = self.config.evaluation.bootstrap_samples
        if self.config.several:
            report = label_set_report.evaluate_served(model, table, fitted, source, directory, samples=samples)
        else:
            report = evaluate_served(model, table.texts, table.labels, source, directory, samples=samples)
        return {**report, "other_domains": {}}, findings

    def describe(self, report: Report) -> str:
        from seqpipe.tasks.text_classification import label_set_words
        from seqpipe.tasks.text_classification import report as of_one

        return (label_set_words if self.config.several else of_one).describe(report)

    def limits(self) -> list[str]:
        wanted, classes = self.config, ", ".join(self.classes)
        answers = f"Whatever it reads, it answers with one of: {classes}; an empty text gets one too."
        if wanted.several:
            answers = (
                f"It answers with any number of: {classes}; `label` holds them with “{wanted.data.label_separator}” "
                "between them, the most probable first, and is empty where no probability reaches its threshold. Each "
                "label has a probability of its own: they do not add to one."
            )
        domains = "on others it is worse, see Other domains."
        if not wanted.evaluation.other_domains:
            domains = "figures on other kinds of text are not in this card."
        return [
            f"A text of more than {wanted.features.max_pieces:,} pieces is read by a rule: "
            f"{LONG_TEXTS[wanted.features.long_texts]}. `explain` says in `truncated` where pieces were left out.",
            answers,
            f"It knows texts like its training data; {domains}",
        ]

    def artefact(self, model: keras.Model, fitted: Fitted, version: int) -> Artefact:
        from seqpipe.export.artefact import TOLERANCE, Artefact
        from seqpipe.export.label_answer import expected_scores
        from seqpipe.tasks.text_classification.signatures import TextClassifier
        from seqpipe.text.tokenizer import TextTokenizer

        wanted = self.config.features
        module = TextClassifier(
            model,
            TextTokenizer(self.features),
            classes=self.classes,
            temperature=fitted["temperature"],
            max_pieces=wanted.max_pieces,
            head_pieces=head_pieces(wanted.max_pieces, wanted.long_texts),
            version=version,
            sets=self._sets(fitted),
        )
        rows = text_probes(self.probed)

        def answers(rows: list[Row]) -> list[Row]:
            return self._reference(model, fitted, rows)

        return Artefact(
            module=module,
            model=model,
            signatures=module.functions,
            probes={name: rows for name in module.functions if name != "labels"},
            reference={
                "serving_default": answers,
                "scores": lambda rows: [expected_scores(answer, self.classes) for answer in answers(rows)],
            },
            tolerance=max(TOLERANCE, ROUNDING * self.config.features.max_pieces),
        )

    def _sets(self, fitted: Fitted) -> LabelSets | None:
        from seqpipe.export.label_answer import LabelSets

        separator = self.config.data.label_separator
        return None if separator is None else LabelSets(separator, fitted["thresholds"])

    def _reference(self, model: keras.Model, fitted: Fitted, rows: list[Row]) -> list[Row]:
        """What the Keras model answers, each row alone, through the sentencepiece library."""
        from seqpipe.export.label_answer import expected_answer, expected_label_set
        from seqpipe.training.predict import predict

        sets, temperature = self._sets(fitted), fitted["temperature"]
        texts = self.unlabelled_examples(self.encode([row["text"].item() for row in rows]))
        found = predict(model, self, texts, batch_size=1)
        if sets is None:
            return [expected_answer(logits, temperature, self.classes) for logits in found]
        return [expected_label_set(logits, temperature, self.classes, sets) for logits in found]
