"""The graph that an exported translator answers with: raw strings in and out, core TensorFlow ops only.

Axes: B batch (rows), W hypotheses of a row, S source pieces, T target pieces.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from seqpipe.export.artefact import signature
from seqpipe.layers.recurrent_form import traced_for
from seqpipe.models.decoding import Answers
from seqpipe.models.searches import Searches
from seqpipe.serving.model import HIGHEST_PENALTY, WIDEST_BEAM
from seqpipe.text.byte_pieces import WholePieces
from seqpipe.text.tokenizer import TextTokenizer


class Translator(tf.Module):
    """Signatures over a seq2seq model: serving_default (greedy), beam, explain, info.

    Args:
        searches: over the model.
        model: the Keras model, whose variables the graph uses.
        source, target: the graph side of the text features.
        max_pieces: a longer text is cut.
        vocabulary_size: of the target: no beam is wider.
        version: of the artefact.
    """

    def __init__(
        self,
        searches: Searches,
        model: keras.Model,
        source: TextTokenizer,
        target: TextTokenizer,
        *,
        max_pieces: int,
        vocabulary_size: int,
        version: int,
    ):
        super().__init__()
        self.source, self.target = source, target
        self.weights = [variable.value for variable in model.weights]
        # Behind plain functions: an object with a Keras model as an attribute would be saved whole.
        self._greedy, self._beam_search, self._align = searches.greedy, searches.beam, searches.align
        self._max_pieces, self._version = max_pieces, version
        self._vocabulary_size = vocabulary_size
        text = tf.TensorSpec([None], tf.string, name="text")
        self._found = signature(self._searched, text)  # which two signatures share
        beam = tf.TensorSpec([], tf.int32, "beam_width"), tf.TensorSpec([], tf.float32, "length_penalty")
        self.functions = {
            "serving_default": signature(self._translate, text),
            "beam": signature(self._beam, text, *beam),
            "explain": signature(self._explain, text),
            "info": signature(self._info),
        }

    def _translate(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._found(text)[0]

    def _searched(self, text: tf.Tensor) -> tuple[dict[str, tf.Tensor], Answers, tf.Tensor, tf.Tensor]:
        """The answer, what the search found, and the pieces of the source."""
        ids, lengths, cut = self._encode(text)
        with traced_for("serving"):
            found = self._greedy(ids, lengths)
        answer = {
            "text": self.target.detokenize(found.ids, found.lengths),
            "score": found.scores,
            "truncated": found.truncated | cut,
        }
        return answer, found, ids, lengths

    def _beam(self, text: tf.Tensor, beam_width: tf.Tensor, length_penalty: tf.Tensor) -> dict[str, tf.Tensor]:
        in_range = (beam_width >= 1) & (beam_width <= WIDEST_BEAM)
        rules = [
            tf.debugging.Assert(in_range, [f"beam_width must be 1 to {WIDEST_BEAM}, it is", beam_width]),
            tf.debugging.Assert(
                (length_penalty >= 0.0) & (length_penalty <= HIGHEST_PENALTY),
                [f"length_penalty must be 0 to {HIGHEST_PENALTY:g}, it is", length_penalty],
            ),
        ]
        with tf.control_dependencies(rules):
            width = tf.minimum(beam_width, self._vocabulary_size)
        ids, lengths, _ = self._encode(text)
        with traced_for("serving"):
            found = self._beam_search(ids, lengths, width, length_penalty)
        rows, width, steps = tf.unstack(tf.shape(found.ids))
        texts = self.target.detokenize(
            tf.reshape(found.ids, [rows * width, steps]), tf.reshape(found.lengths, [rows * width])
        )
        return {"texts": tf.reshape(texts, [rows, width]), "scores": found.scores}

    def _explain(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        answer, found, ids, lengths = self._found(text)
        target = tf.pad(found.ids, [[0, 0], [0, tf.maximum(0, 1 - tf.shape(found.ids)[1])]])
        with traced_for("serving"):
            alignment = self._align(ids, lengths, target, found.lengths)
        source, written = self.source.whole_pieces(ids, lengths), self.target.whole_pieces(target, found.lengths)
        return {
            "source_pieces": source.pieces,
            "target_pieces": written.pieces,
            "alignment": merged(alignment, source, written),
            **answer,
        }

    def _info(self) -> dict[str, tf.Tensor]:
        return {"version": tf.constant(self._version, tf.int32), "streaming": tf.constant(False)}

    def _encode(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        ids, lengths, truncated = self.source(text, self._max_pieces)
        # At least one step, so that layers need no case for a batch of empty texts.
        ids = tf.pad(ids, [[0, 0], [0, tf.maximum(0, 1 - tf.shape(ids)[1])]])
        return ids, lengths, truncated


def merged(alignment: tf.Tensor, source: WholePieces, target: WholePieces) -> tf.Tensor:
    """float [B, T, S] as [B, target pieces, source pieces] where bytes of one character are one piece.

    The columns of its bytes are added, its rows averaged: each row still sums to 1.
    """
    columns = alignment @ source.membership(alignment.dtype)
    rows = target.membership(alignment.dtype)
    held = tf.reduce_sum(rows, axis=1)[:, :, tf.newaxis]
    return tf.math.divide_no_nan(tf.matmul(rows, columns, transpose_a=True), held)
