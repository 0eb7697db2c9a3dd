"""How surprised a model is by a text, character by character.

Axes: N characters of a text, S streams side by side, T characters of a chunk, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from seqpipe.data.batches import plan_in_order_of_length
from seqpipe.data.examples import Ragged
from seqpipe.layers.recurrent_form import traced_for
from seqpipe.models.character_model import Reader

CHUNK = 512
SIDE_BY_SIDE = 64  # rows
WARM_UP = 256  # characters read before a stream begins to count


class Surprisal:
    """Measures texts with a model, whatever weights it has when asked."""

    def __init__(self, model: keras.Model):
        self.model = model
        reader = Reader(model)
        self.zero_state = reader.zero_state
        state = [tf.TensorSpec([None, units]) for units in reader.units]
        ids = tf.TensorSpec([None, None], tf.int32)

        @tf.function(input_signature=[ids, ids, tf.TensorSpec([None], tf.int32), state], autograph=False)
        def chunk(
            ids: tf.Tensor, targets: tf.Tensor, lengths: tf.Tensor, state: list[tf.Tensor]
        ) -> tuple[tf.Tensor, list[tf.Tensor]]:
            with traced_for("serving"):
                hidden, after = reader.read(ids, lengths, state)
            logits = tf.cast(reader.scores(hidden), tf.float32)
            nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            return nats, [tf.cast(part, tf.float32) for part in after]

        self._chunk = chunk

    def carried(self, ids: np.ndarray, first: int, *, streams: int = 1) -> np.ndarray:
        """float32 [N], the state carried through the whole text.

        Args:
            ids: int [N].
            first: the id read before the text.
            streams: parts that are read side by side, each after WARM_UP characters of the part before it; 1 is exact.
        """
        read = np.concatenate([[first], ids[:-1]])
        size = -(-len(ids) // streams)
        starts = np.arange(streams) * size
        warm = np.minimum(starts, WARM_UP)
        longest = size + warm.max()
        places = starts[:, None] - warm[:, None] + np.arange(longest)
        inside = places < len(ids)
        places = np.minimum(places, len(ids) - 1)
        state = self.zero_state(streams)
        found = []
        for start in range(0, longest, CHUNK):
            now = places[:, start : start + CHUNK]
            lengths = inside[:, start : start + CHUNK].sum(axis=1).astype(np.int32)
            nats, state = self._chunk(read[now].astype(np.int32), ids[now].astype(np.int32), lengths, state)
            found.append(nats.numpy())
        by_stream = np.concatenate(found, axis=1)
        return np.concatenate([row[before : before + size] for row, before in zip(by_stream, warm, strict=True)])[
            : len(ids)
        ]

    def rows(self, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """float32 [length - 1] for each row of ids, read from nothing: its first id is given."""
        ragged = Ragged.from_rows(rows)
        found: list[np.ndarray] = [np.zeros(0, np.float32)] * len(rows)
        for numbers in plan_in_order_of_length(ragged.lengths, batch_size=SIDE_BY_SIDE):
            ids, lengths = ragged.padded(numbers)
            nats, _ = self._chunk(ids[:, :-1], ids[:, 1:], lengths - 1, self.zero_state(len(numbers)))
            for number, row, length in zip(numbers, nats.numpy(), lengths - 1, strict=True):
                found[number] = row[:length]
        return found


def windows(ids: np.ndarray, size: int) -> list[np.ndarray]:
    """Rows of size + 1 ids that overlap by one, so that all but the first id are guessed once."""
    return [ids[start : start + size + 1] for start in range(0, len(ids) - 1, size)]
