"""Writing: a beginning in, what follows it out; and how likely a text is.

Axes: B batch (rows or streams), T time (characters), V vocabulary, N characters of a split.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.data.examples import Examples, Ragged, content_key
from seqpipe.data.findings import Finding
from seqpipe.errors import DataError
from seqpipe.serving.answers import TextPresentation
from seqpipe.serving.inputs import TEXT
from seqpipe.tasks.protocol import Fitted, Report
from seqpipe.tasks.writing.config import WritingPipeline
from seqpipe.tasks.writing.data import Texts, as_rows, read_splits
from seqpipe.tasks.writing.measures import NATS
from seqpipe.tasks.writing.pupil import Pupil
from seqpipe.text.bytes import Bytes
from seqpipe.text.characters import EDGE, FILE, FIRST, Characters
from seqpipe.text.forms import FILE as FORM_FILE
from seqpipe.text.forms import Form
from seqpipe.text.radicals import radicals
from seqpipe.text.rhymes import read_groups
from seqpipe.text.units import FILES, Pieces, Units
from seqpipe.training.objective import Batch

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from seqpipe.export.artefact import Artefact, Row
    from seqpipe.models.character_model import Told
    from seqpipe.serving.model import Model
    from seqpipe.tasks.writing.scores import Scores
    from seqpipe.tasks.writing.surprisal import Surprisal

DEV_STREAMS = 16  # parts of dev that are read side by side after each epoch
UNITS: dict[str, type[Characters] | type[Pieces]] = {"characters": Characters, "pieces": Pieces}
HIDDEN_PART = 0.25  # of texts that the network is told of, those of which it is not told place, rhyme or opening


class Writing(Pupil):
    """Texts that go on."""

    name = "writing"
    measures = (NATS,)
    input = TEXT
    answer = TextPresentation()
    kept_features = (FILE, FORM_FILE, *FILES)

    config: WritingPipeline
    splits: Texts
    characters: Units
    form: Form | None
    train_ids: np.ndarray  # int32 [N], what a baseline is fitted on

    def __init__(self, config: WritingPipeline):
        self.config = config
        self.stream = config.data.layout == "stream"
        self.states: list[list[tf.Variable]] = []  # that are carried: of the model in training, of each teacher
        self.surprisal: Surprisal | None = None
        self.published_prompts: list[str] | None = None

    def read(self) -> list[Finding]:
        self.splits = read_splits(self.config.data, self.config.features.normalise)
        return self.splits.findings

    def data_key(self) -> str:
        return content_key(self.splits.train, self.splits.dev, self.splits.test or [])

    def texts(self, split: str) -> list[str]:
        return self.splits.get(split)

    @property
    def prompts(self) -> list[str]:
        """What an export is proved with: beginnings of texts in dev, or what an exported model was proved with."""
        if self.published_prompts is not None:
            return self.published_prompts
        dev = self.splits.dev
        return [dev[0][at : at + 40] for at in range(0, 4000, 1000)] if self.stream else [text[:8] for text in dev[:4]]

    def fit_features(self, directory: Path) -> None:
        wanted, train = self.config.features, self.splits.train
        units: Units
        if wanted.units == "bytes":
            units = Bytes()
        elif wanted.units == "pieces":
            units = Pieces.fit(train, vocabulary_size=wanted.vocabulary_size)
        else:
            units = Characters.fit(train, min_count=wanted.min_count)
        units.save(directory)
        if self.config.form is not None:
            form = self.config.form.model_dump(include={"lines", "lengths", "marks", "rhyme_lines"})
            groups = None if self.config.form.rhyme == "learned" else read_groups(Path(self.config.form.rhyme))
            Form.fit(train, units, groups=groups, **form).save(directory)
        self.load_features(directory)

    def load_features(self, directory: Path) -> None:
        kind = self.config.features.units
        self.characters = Bytes() if kind == "bytes" else UNITS[kind].load(directory)
        self.form = Form.load(directory) if self.config.form is not None else None

    def load_published(self, directory: Path, probes: list[Row]) -> None:
        from seqpipe.export.artefact import FEATURES

        self.load_features(directory / FEATURES)
        self.published_prompts = [row["text"].item().decode(errors="replace") for row in probes]

    @property
    def first(self) -> int:
        """The id before a text: its edge, or in a stream the break of a line, after which anything may begin."""
        newline = int(self.characters.encode("\n")[0])
        return newline if self.stream and newline >= 2 else EDGE

    def ids(self, split: str) -> np.ndarray:
        """int32 [N], a split as one sequence; texts have an edge between them."""
        if self.stream:
            return self.characters.encode("".join(self.texts(split)))
        rows = as_rows(self.characters, self.texts(split))
        return np.concatenate([rows[0], *(row[1:] for row in rows[1:])])

    def examples(self, split: str) -> Examples:
        """Of a stream: its chunks for training, cold windows else. Of texts: a row each, edges included."""
        from seqpipe.tasks.writing.surprisal import windows

        if not self.stream:
            rows = Ragged.from_rows(as_rows(self.characters, self.texts(split)))
            return Examples({"ids": rows, **self._of_form(split)})
        ids = self.ids(split)
        if split != "train":
            rows = Ragged.from_rows(windows(ids, self.config.evaluation.window))
            return Examples({"ids": rows, "goes_on": np.zeros(len(rows), np.float32)})
        size, streams = self.config.training.chunk_characters, self.config.training.batch_size
        if len(ids) < size * streams:
            raise DataError(
                f"train: {len(ids):,} {self.characters.unit} do not fill training.batch_size = {streams} streams of "
                f"training.chunk_characters = {size}. At least {size * streams:,} are needed; lower one of them."
            )
        chunks = Ragged(ids, np.arange(len(ids) // size + 1, dtype=np.int64) * size)
        return Examples({"ids": chunks, "goes_on": np.ones(len(chunks), np.float32)})

    def _of_form(self, split: str) -> dict[str, Ragged]:
        """Of each id of a text what the network may be told of the next, [3], and the rhyme that it is to keep in mind
        there; of held-back texts nothing."""
        if self.form is None:
            return {}
        told, kept = [], []
        for text in self.texts(split):
            codes, rhymes = np.zeros((len(text) + 2, 3), np.int32), np.zeros(len(text) + 2, np.int32)
            if split == "train":
                codes[:-1], rhymes[:-1] = self.form.told(text, self.characters), self.form.kept(text)
            told.append(codes)
            kept.append(rhymes)
        return {"told": Ragged.from_rows(told), "kept": Ragged.from_rows(kept)}

    # Training

    def build(self) -> keras.Model:
        from seqpipe.models.character_model import character_model

        size, told = self.characters.size, self._what_is_told()
        kinds = self._kinds() if self.config.model.tied else []
        return character_model(self.config.model, vocabulary_size=size, told=told, kinds=kinds, name="writer")

    def trained(self, model: keras.Model) -> keras.Model:
        from seqpipe.models.character_model import lean

        return lean(model, self.config.model, vocabulary_size=self.characters.size, told=self._what_is_told())

    def _what_is_told(self) -> Told | None:
        from seqpipe.models.character_model import Told

        if self.form is None or self.config.form is None:
            return None
        return Told(self.form.places, self.form.rhymes, self.config.form.told_units, len(self.form.groups))

    def _kinds(self) -> list[np.ndarray]:
        """Characters that share a part of their vectors, int32 [V] each, 0 for none: of a radical; of a rhyme."""
        found = []
        if isinstance(self.characters, Characters):
            found.append(np.concatenate([np.zeros(FIRST, np.int32), radicals(self.characters.known)]))
        if self.form is not None and self.form.groups:
            members = self.form.members(self.characters)
            found.append(np.where(members.any(0), 1 + members.argmax(0), 0).astype(np.int32))
        return [kind for kind in found if kind.any()]

    def plan(self, examples: Examples, *, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """Of a stream: the next chunk of each of the streams that run side by side."""
        if not self.stream:
            return super().plan(examples, batch_size=batch_size, seed=seed, epoch=epoch)
        steps = len(examples) // batch_size
        return [np.arange(batch_size) * steps + step for step in range(steps)]

    def training_batch(self, examples: Examples, rows: np.ndarray, epoch: int) -> Batch:
        """Of a stream: chunks, and whether they are the first of an epoch; each epoch begins elsewhere in the text."""
        if not self.stream:
            batch = examples.batch(rows)
            if self.config.form is not None:
                batch["told"] = batch["told"] * self._tells(len(examples), epoch)[rows][:, np.newaxis]
            return batch
        column = examples.columns["ids"]
        size, streams = self.config.training.chunk_characters, self.config.training.batch_size
        steps = len(column) // streams
        if not isinstance(column, Ragged):
            raise TypeError("The ids of a stream are ragged.")
        values = column.values
        offset = int(np.random.default_rng([self.config.seed, epoch]).integers(len(values)))
        places = (offset + rows[:, None] * size + np.arange(size + 1)) % len(values)
        return {
            "ids": np.asarray(values[places]),
            "ids_lengths": np.full(len(rows), size + 1, np.int32),
            "goes_on": (rows % steps > 0).astype(np.float32),
        }

    def _tells(self, texts: int, epoch: int) -> np.ndarray:
        """bool [N, 3], whether place, rhyme and opening of each text are told; all are hidden, or each apart."""
        drawn = np.random.default_rng([self.config.seed, epoch]).random((texts, 4), np.float32)
        hidden = self.config.form.hidden_fraction if self.config.form is not None else 1.0
        return (drawn[:, :1] >= hidden) & (drawn[:, 1:] >= HIDDEN_PART)

    def carried(self, model: keras.Model) -> list[tf.Variable]:
        from seqpipe.tasks.writing.scores import zero_state

        rows = self.config.training.batch_size
        self.states = [zero_state(each, rows) if self.stream else [] for each in (model, *self.teachers)]
        return [variable for state in self.states for variable in state]

    def forward(self, model: keras.Model, batch: Batch, training: bool) -> Scores:
        """Of each id but the last."""
        from seqpipe.tasks.writing.scores import read

        return read(model, batch, self.states[0] if training and self.states else [], training)

    def taught(self, batch: Batch) -> tf.Tensor | None:
        """Of each id but the last."""
        from seqpipe.tasks.writing.scores import taught

        return taught(self.teachers, batch, self.states[1:]) if self.teachers else None

    def loss(self, batch: Batch, outputs: Scores) -> tf.Tensor:
        """Nats a character, the mean of each row, and what else is learned."""
        from seqpipe.tasks.writing.scores import loss

        return loss(batch, outputs, taught_fraction=self.taught_fraction)

    def metrics(self, batch: Batch, outputs: Scores) -> dict[str, tf.Tensor]:
        return {"cold": self.loss(batch, outputs)} if self.stream else {}

    def dev_figures(self, model: keras.Model) -> dict[str, float]:
        """Nats a character of all of dev: of a stream with the state carried through it, of texts each read alone."""
        from seqpipe.tasks.writing.surprisal import Surprisal

        if self.surprisal is None or self.surprisal.model is not model:
            self.surprisal = Surprisal(model)
        if not self.stream:
            rows = self.surprisal.rows(as_rows(self.characters, self.texts("dev")))
            return {"loss": float(np.concatenate(rows).mean())}
        ids = self.ids("dev")
        streams = max(1, min(DEV_STREAMS, len(ids) // 1000))
        return {"loss": float(self.surprisal.carried(ids, self.first, streams=streams).mean())}

    # After training

    def fit_baseline(self, train: Examples) -> None:
        self.train_ids = self.ids("train")

    def evaluate(self, model: keras.Model, fitted: Fitted, examples: dict[str, Examples], directory: Path) -> Report:
        from seqpipe.tasks.writing.report import evaluate

        return evaluate(self, model, examples, directory)

    def evaluate_served(self, model: Model, source: str, directory: Path) -> tuple[Report, list[Finding]]:
        from seqpipe.tasks.writing.served import evaluate_served

        return evaluate_served(self, model, source, directory)

    def describe(self, report: Report) -> str:
        from seqpipe.tasks.writing.report import describe

        return describe(report)

    def limits(self) -> list[str]:
        from seqpipe.tasks.writing.signatures import READ

        known = (
            f"; characters that are not among the {len(self.characters.known):,} of its training text are read as one "
            "unknown character and never written"
            if self.config.features.units == "characters"
            else ""
        )
        return [
            f"Of a prompt the last {READ:,} {self.config.features.units} are read{known}.",
            "It writes what sounds like its training text. It knows nothing and may repeat what it read; "
            "the longest spans it copied are in this card.",
        ]

    def artefact(self, model: keras.Model, fitted: Fitted, version: int) -> Artefact:
        from seqpipe.tasks.writing.proof import make_artefact

        return make_artefact(self, model, version)
