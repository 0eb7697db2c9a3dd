"""Translation: a text in; its translation out, greedy or by beam search, with the alignment.

Axes: B batch (rows), S source pieces, T target pieces (with the one that ends a text), V target vocabulary.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqpipe.data.batches import plan_in_order_of_length
from seqpipe.data.examples import Examples, Ragged, content_key
from seqpipe.data.findings import Finding
from seqpipe.data.splits import Splits
from seqpipe.export.artefact import FEATURES
from seqpipe.serving.answers import TextPresentation
from seqpipe.serving.inputs import TEXT
from seqpipe.storage import write_json
from seqpipe.tasks.protocol import Fitted, Report, Task
from seqpipe.tasks.translation.bleu import CORPUS_BLEU, metric
from seqpipe.tasks.translation.config import TranslationPipeline
from seqpipe.tasks.translation.data import Pairs, read_pair_splits, read_pairs
from seqpipe.text.piece_cutting import PieceSplitter
from seqpipe.text.pieces import TextFeatures
from seqpipe.text.probes import text_probes
from seqpipe.text.vocabulary import BOS, EOS
from seqpipe.training.objective import Batch

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from seqpipe.export.artefact import Artefact, Row
    from seqpipe.models.searches import Searches
    from seqpipe.serving.model import Model

ROWS_AT_ONCE = 100  # in a search
SCORE_TOLERANCE = 1e-3  # in the proof: hundreds of steps add up what rounding does to each; texts must be equal
SPLITTING = 7  # sets the generator of split pieces apart from others made from the seed


class Translation(Task):
    """Texts with their translations."""

    name = "translation"
    measures = (CORPUS_BLEU,)
    input = TEXT
    answer = TextPresentation("translation")
    kept_features = ("source", "target", "joint", "translation.json")  # source and target, or joint

    config: TranslationPipeline
    splits: Splits[Pairs]
    source: TextFeatures
    target: TextFeatures
    probed: list[str]  # real texts that an export is proved with
    mean_pieces: float  # target pieces of a training row, with the one that ends it
    _dev_search: tuple[keras.Model, Callable] | None = None  # a model and its search, which is traced once

    def read(self) -> list[Finding]:
        metric(self.config.evaluation.tokenize)  # what it needs is missed now, not after an epoch
        self.splits = read_pair_splits(self.config.data)
        self.probed = self.splits.dev.sources
        return self.splits.findings

    def data_key(self) -> str:
        tables = [table for table in (self.splits.train, self.splits.dev, self.splits.test) if table is not None]
        return content_key(*(texts for table in tables for texts in (table.sources, table.targets)))

    def fit_features(self, directory: Path) -> None:
        wanted, train = self.config.features, self.splits.train
        texts = {"source": train.sources, "target": train.targets}
        if wanted.joint:
            texts = {"joint": train.sources + train.targets}
        for name, of_side in texts.items():
            features = TextFeatures.fit(
                of_side,
                vocabulary_size=wanted.vocabulary_size,
                lowercase=wanted.lowercase,
                character_coverage=wanted.character_coverage,
            )
            features.save(directory / name)
        mean_pieces = 1 + float(self.encode(train.targets, features).lengths.mean())  # the target's stand last
        write_json(directory / "translation.json", {"mean_pieces": mean_pieces})
        self.load_features(directory)

    def load_features(self, directory: Path) -> None:
        sides = ("joint", "joint") if self.config.features.joint else ("source", "target")
        self.source, self.target = (TextFeatures.load(directory / side) for side in sides)
        self.mean_pieces = json.loads((directory / "translation.json").read_text(encoding="utf-8"))["mean_pieces"]
        self._splitters = PieceSplitter(self.source), PieceSplitter(self.target)

    def load_published(self, directory: Path, probes: list[Row]) -> None:
        self.load_features(directory / FEATURES)
        self.probed = [row["text"].item().decode() for row in probes]

    def encode(self, texts: list[str] | list[bytes], features: TextFeatures) -> Ragged:
        """Piece ids, each row cut to max_pieces."""
        limit = self.config.features.max_pieces
        return Ragged.from_rows(ids[:limit] for ids in features.encode(texts))

    def examples(self, split: str) -> Examples:
        pairs = self.splits.get(split)
        return Examples(
            {
                "source": self.encode(pairs.sources, self.source),
                "target": _ended(self.encode(pairs.targets, self.target)),
            }
        )

    def training_batch(self, examples: Examples, rows: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
        """A batch in which some pieces are cut in two, others in each epoch."""
        fraction = self.config.features.split_fraction
        if not fraction:
            return examples.batch(rows)
        generator = np.random.default_rng([self.config.seed, SPLITTING, epoch, int(rows[0]), len(rows)])
        columns: dict[str, Ragged | np.ndarray] = {}
        for name, splitter in zip(("source", "target"), self._splitters, strict=True):
            column: Any = examples.columns[name]
            columns[name] = splitter(column.take(rows), fraction, generator)
        return Examples(columns).batch(np.arange(len(rows)))

    def build(self) -> keras.Model:
        from seqpipe.models import seq2seq

        return seq2seq(
            self.config.model,
            source_vocabulary=self.source.vocabulary_size,
            target_vocabulary=self.target.vocabulary_size,
            name=self.config.name,
        )

    def forward(self, model: keras.Model, batch: Batch, training: bool) -> tf.Tensor:
        from seqpipe.models.searches import shifted

        inputs = [batch["source"], batch["source_lengths"], shifted(batch["target"]), batch["target_lengths"]]
        return model(inputs, training=training)[0]

    def loss(self, batch: Batch, outputs: tf.Tensor) -> tf.Tensor:
        """Nats of a row over the pieces of a usual row: the mean over a batch is about that of its pieces."""
        import tensorflow as tf

        from seqpipe.training.losses import softmax_cross_entropy

        smoothing = self.config.training.label_smoothing
        losses = softmax_cross_entropy(batch["target"], outputs, batch["target_lengths"], label_smoothing=smoothing)
        return tf.reduce_sum(losses, axis=1) / self.mean_pieces

    def dev_figures(self, model: keras.Model) -> dict[str, float]:
        """BLEU of greedy search on dev, 0..100."""
        from seqpipe.models.searches import IDS
        from seqpipe.tasks.translation.report import bleu
        from seqpipe.training.predict import for_many_rows

        if self._dev_search is None or self._dev_search[0] is not model:
            self._dev_search = model, for_many_rows(self._searches(model).greedy, *IDS)
        dev = self.splits.dev
        answers = self.translate(self._dev_search[1], dev.sources)
        return {"bleu": bleu(answers, dev.targets, self.config.evaluation.tokenize)}

    def _searches(self, model: keras.Model) -> Searches:
        from seqpipe.models.searches import Searches

        return Searches(model, self.config.model, length_penalty=self.config.evaluation.length_penalty)

    def translate(self, search: Callable, texts: list[str]) -> list[str]:
        """The best answer to each text of a search over (ids, lengths)."""
        ids = self.encode(texts, self.source)
        answers = [""] * len(texts)
        for rows in plan_in_order_of_length(ids.lengths, batch_size=ROWS_AT_ONCE):
            found = search(*ids.padded(rows))
            pieces, lengths = found.ids.numpy(), found.lengths.numpy()
            if lengths.ndim == 2:  # of a beam, whose best stands first
                pieces, lengths = pieces[:, 0], lengths[:, 0]
            for row, answer, length in zip(rows, pieces, lengths, strict=True):
                answers[row] = self.target.decode(answer[:length])
        return answers

    def evaluate(self, model: keras.Model, fitted: Fitted, examples: dict[str, Examples], directory: Path) -> Report:
        from seqpipe.models.searches import IDS
        from seqpipe.tasks.translation import report as evaluation
        from seqpipe.training.predict import for_many_rows

        wanted = self.config.evaluation
        searches = self._searches(model)
        greedy = for_many_rows(searches.greedy, *IDS)
        beam = for_many_rows(
            lambda ids, lengths: searches.beam(ids, lengths, wanted.beam_width, wanted.length_penalty), *IDS
        )
        align = for_many_rows(searches.align, *IDS, *IDS)

        def alignment(source: str) -> tuple[list[str], list[str], np.ndarray]:
            ids, lengths = self.encode([source], self.source).padded(np.array([0]))
            found = greedy(ids, lengths)
            answer = found.ids.numpy()[0]
            weights = align(ids, lengths, found.ids, found.lengths).numpy()[0] if len(answer) else np.zeros((0, 0))
            return _shown(self.source.pieces(ids[0])), _shown(self.target.pieces(answer)), weights

        baselines = evaluation.baselines(self.splits.train) if wanted.baseline else {}
        report: Report = {"splits": {}}
        for split in examples:
            pairs = self.splits.get(split)
            answers = {"greedy": self.translate(greedy, pairs.sources), "beam": self.translate(beam, pairs.sources)}
            answers |= {name: answer(pairs.sources) for name, answer in baselines.items()}
            report["splits"][split] = evaluation.evaluate_translation(pairs, answers, wanted, seed=self.config.seed)
            evaluation.write_report(
                report["splits"][split],
                pairs,
                answers["beam"],
                directory / split,
                tokenize=wanted.tokenize,
                align=alignment,
            )
        return report

    def evaluate_served(self, model: Model, source: str, directory: Path) -> tuple[Report, list[Finding]]:
        from seqpipe.tasks.translation.report import evaluate_served

        pairs, findings = read_pairs(source, self.config.data)
        return evaluate_served(model, pairs, self.config.evaluation, directory), findings

    def describe(self, report: Report) -> str:
        from seqpipe.tasks.translation.report import to_markdown

        return "\n".join(f"### {split}\n\n{to_markdown(part)}" for split, part in report["splits"].items())

    def limits(self) -> list[str]:
        return [
            f"A text is cut after {self.config.features.max_pieces:,} pieces, and a translation has at most "
            f"{self.config.model.max_ratio:g} times as many pieces as its source and {self.config.model.max_extra} "
            "more; `truncated` says where either happened.",
            "It translates one sentence like those it was trained on; of other texts it makes what looks like one.",
            "Rare names and numbers are often wrong: compare them with the source.",
        ]

    def artefact(self, model: keras.Model, fitted: Fitted, version: int) -> Artefact:
        from seqpipe.export.artefact import Artefact
        from seqpipe.tasks.translation.signatures import Translator
        from seqpipe.text.tokenizer import TextTokenizer

        wanted = self.config.evaluation
        source = TextTokenizer(self.source)
        module = Translator(
            self._searches(model),
            model,
            source,
            source if self.config.features.joint else TextTokenizer(self.target),
            max_pieces=self.config.features.max_pieces,
            vocabulary_size=self.target.vocabulary_size,
            version=version,
        )
        rows = text_probes(self.probed)
        beam = {
            "beam_width": np.array(wanted.beam_width, np.int32),
            "length_penalty": np.array(wanted.length_penalty, np.float32),
        }
        return Artefact(
            module=module,
            model=model,
            signatures=module.functions,
            probes={name: rows for name in module.functions if name != "info"},
            shared={"beam": beam},
            reference={"serving_default": lambda rows: self._reference(model, rows)},
            tolerance=SCORE_TOLERANCE,
        )

    def _reference(self, model: keras.Model, rows: list[Row]) -> list[Row]:
        """What the Keras model answers, through the sentencepiece library: no step, but whole texts again and again."""
        import tensorflow as tf

        ids = [tf.TensorSpec([1, None], tf.int32), tf.TensorSpec([1], tf.int32)]

        @tf.function(input_signature=[*ids, *ids], autograph=False)
        def last(*inputs: tf.Tensor) -> tf.Tensor:
            logits = tf.cast(model(list(inputs), training=False)[0][0, -1], tf.float64)
            return logits - tf.reduce_logsumexp(logits)

        return [self._greedily(last, row["text"].item()) for row in rows]

    def _greedily(self, last: Callable, text: bytes) -> Row:
        whole = self.source.encode([text])[0]
        source = Ragged.from_rows([whole[: self.config.features.max_pieces]])
        length = int(source.lengths[0])
        most = math.ceil(np.float32(self.config.model.max_ratio) * np.float32(length))  # in float32, as in the graph
        bound = most + self.config.model.max_extra if length else 0
        written, total = [BOS], 0.0
        while bound:
            target = np.array([written], np.int32), np.array([len(written)], np.int32)
            log_probabilities = last(*source.padded(np.array([0])), *target).numpy()
            piece = (
                EOS if len(written) > bound else EOS + int(log_probabilities[EOS:].argmax())
            )  # none below is written
            total += log_probabilities[piece]
            if piece == EOS:
                break
            written.append(piece)
        divisor = ((5 + len(written)) / 6) ** self.config.evaluation.length_penalty
        return {
            "text": np.array(self.target.decode(written[1:]).encode(), object),
            "score": np.array(total / divisor, np.float32),
            "truncated": np.array(len(whole) > length or 0 < bound < len(written)),
        }


def _shown(pieces: list[bytes]) -> list[str]:
    return [piece.decode("utf-8", "replace") for piece in pieces]


def _ended(rows: Ragged) -> Ragged:
    """Rows with the piece that ends a text."""
    ends = rows.offsets[1:]
    return Ragged(np.insert(np.asarray(rows.values), ends, EOS), rows.offsets + np.arange(len(rows.offsets)))
