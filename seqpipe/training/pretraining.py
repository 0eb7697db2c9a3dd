"""Training an encoder as a language model before it learns its task; encoders kept for other pipelines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from seqpipe.config.networks import Classifier
from seqpipe.config.training import Pretraining, Training
from seqpipe.data.examples import Examples, Ragged
from seqpipe.data.findings import counted
from seqpipe.errors import DataError, ModelError
from seqpipe.storage import HIDDEN, is_hidden, write_arrays
from seqpipe.text.word_vectors import PieceVectors
from seqpipe.training.objective import Batch, Objective

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

ENCODER = "encoder.npz"
LEAST_PIECES = 12  # a shorter rest of a text teaches a language model nothing
DEV_EVERY, DEV_CHUNKS = 50, 200  # every 50th chunk watches the training, up to so many


class LanguageModelling(Objective):
    """What pre-training minimises: the mean cross-entropy of a row's guesses, which the model itself returns."""

    bounds = ("training.pretrain.learning_rate",)

    def forward(self, model: keras.Model, batch: Batch, training: bool) -> tf.Tensor:
        return model([batch["ids"], batch["ids_lengths"]], training=training)

    def loss(self, batch: Batch, outputs: tf.Tensor) -> tf.Tensor:
        return outputs


def chunks(rows: Ragged, pieces: int) -> tuple[Ragged, Ragged]:
    """Texts cut into chunks of at most so many pieces, for training and for watching it.

    Raises:
        DataError: there is too little text.
    """
    cut = [
        row[start : start + pieces]
        for row in map(rows.row, range(len(rows)))
        for start in range(0, len(row), pieces)
        if len(row) - start >= LEAST_PIECES
    ]
    dev = cut[::DEV_EVERY][:DEV_CHUNKS]
    kept = [chunk for number, chunk in enumerate(cut) if number % DEV_EVERY or number // DEV_EVERY >= DEV_CHUNKS]
    if not kept:
        raise DataError(
            f"training.pretrain: the text is cut into {len(cut)} chunks of {LEAST_PIECES} to {pieces} pieces, too few "
            "to train and watch a language model."
        )
    return Ragged.from_rows(kept), Ragged.from_rows(dev)


def pretrain(
    config: Classifier,
    pretraining: Pretraining,
    rows: Ragged,
    *,
    vocabulary_size: int,
    vectors: PieceVectors | None = None,
    xla: Literal["auto", "always", "never"] = "auto",
    seed: int,
    directory: Path,
    say: Callable[[str], None],
    callbacks: Callable[[int, int], Sequence[keras.callbacks.Callback]] = lambda epochs, steps: (),
) -> str:
    """Train a language model from wherever the last process left it; leave the encoder in `directory`/encoder.npz.

    Args:
        rows: piece ids of the texts.
        vectors: what the embedding starts from.
        xla: as `training.xla`.
        seed: of weights, dropout, sampled pieces and the order of batches.
        directory: also holds position and history.
        callbacks: (epochs, steps per epoch) -> Keras callbacks.
    Returns:
        What was done, in a sentence.
    """
    from seqpipe.models.language_model import LanguageModel, encoder_weights
    from seqpipe.training.loop import Trainer
    from seqpipe.training.weights import load_weights

    train, dev = chunks(rows, pretraining.chunk_pieces)
    say(f"Pre-training on {len(train.values):,} pieces of text")
    shared = pretraining.model_dump(include=set(Training.model_fields))
    training = Training(**shared, schedule="linear", xla=xla)
    counts = np.bincount(train.values, minlength=vocabulary_size)

    def build() -> keras.Model:
        model = LanguageModel(config, pretraining, counts)
        if vectors is not None:
            table = model.embedding.embeddings
            table.assign(vectors.onto(table.numpy()))
        return model

    trainer = Trainer(
        build,
        objective=LanguageModelling(),
        config=training,
        train=Examples({"ids": train}),
        dev=Examples({"ids": dev}),
        seed=seed,
        directory=directory,
        say=say,
    )
    position = trainer.run(callbacks(training.epochs, trainer.steps_per_epoch))
    if trainer.chief:
        load_weights(trainer.model, directory / "best.npz")
        write_arrays(directory / ENCODER, **encoder_weights(trainer.model))
    took = f"{counted(position.epoch, 'epoch')} in {position.seconds:,.0f} s"
    return f"The encoder was trained as a language model first: {took}, best dev loss {position.best:.4f} nats"


def load_encoder(file: Path) -> dict[str, np.ndarray]:
    with np.load(file) as saved:
        return dict(saved)


def find_encoder(place: str) -> tuple[Path, Path]:
    """The weights and the features of an encoder that was kept: of a run, or of its pre-training.

    Args:
        place: a run directory, for the encoder as the task left it, or RUN/pretrain, as the language model did.
    Raises:
        ModelError: there is none.
    """
    directory = Path(place)
    file = directory / ENCODER
    features = next((path for path in (directory / "features", directory.parent / "features") if path.is_dir()), None)
    if not file.is_file() or features is None:
        for run in (directory, directory.parent):
            if is_hidden(run):
                raise ModelError(f"model.start_from = {place}: {run} {HIDDEN}")
        missing = file if not file.is_file() else directory / "features"
        raise ModelError(
            f"model.start_from = {place} keeps no encoder: there is no {missing}. Name the directory of a run whose "
            "training is finished, or its pretrain directory."
        )
    return file, features
