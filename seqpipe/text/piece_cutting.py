"""Pieces cut in two at random, so that a model sees a word in more than one segmentation.

For unigram pieces what BPE-dropout (Provilkov et al. 2020) is for BPE: a piece falls apart into two others that join to
the same text, the likelier by their unigram scores the more often. A pure function of ids and generator.

Axes: V pieces, K ways to cut a piece.
"""

from __future__ import annotations

import numpy as np

from seqpipe.data.examples import Ragged
from seqpipe.text.pieces import TextFeatures
from seqpipe.text.vocabulary import FIRST_PIECE, SCORE_UNITS

WAYS = 4  # K; likelier cuts come first
FLATNESS = 0.3  # power of the likelihoods: 0 draws all ways alike, 1 by their likelihood


class PieceSplitter:
    """Cuts pieces of a fitted vocabulary."""

    def __init__(self, features: TextFeatures):
        pieces = features.scored_pieces
        scores = {piece: score / SCORE_UNITS for piece, score in pieces}
        ids = {piece: number for number, (piece, _) in enumerate(pieces, FIRST_PIECE)}
        self._ways = np.zeros(features.vocabulary_size, np.int32)
        self._parts = np.zeros((features.vocabulary_size, WAYS, 2), np.int32)
        self._cumulated = np.ones((features.vocabulary_size, WAYS))  # of the probabilities of the ways
        for piece, number in ids.items():
            cuts = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
            cuts = [(left, right) for left, right in cuts if left in ids and right in ids]
            cuts = sorted(cuts, key=lambda cut: -scores[cut[0]] - scores[cut[1]])[:WAYS]
            if not cuts:
                continue
            likelihoods = np.exp(FLATNESS * np.array([scores[left] + scores[right] for left, right in cuts]))
            self._ways[number] = len(cuts)
            self._parts[number, : len(cuts)] = [(ids[left], ids[right]) for left, right in cuts]
            self._cumulated[number, : len(cuts)] = np.cumsum(likelihoods / likelihoods.sum())

    def __call__(self, rows: Ragged, fraction: float, generator: np.random.Generator) -> Ragged:
        """Rows with that share of their pieces cut in two, as far as they can be."""
        ids = np.asarray(rows.values)
        cut = (generator.random(len(ids)) < fraction) & (self._ways[ids] > 0)
        count = cut.astype(np.int64) + 1
        starts = np.cumsum(count) - count
        whole = ids[cut]
        drawn = generator.random(len(whole))[:, np.newaxis]
        way = np.minimum((drawn > self._cumulated[whole]).sum(axis=1), self._ways[whole] - 1)
        values = np.repeat(ids, count)
        values[starts[cut]], values[starts[cut] + 1] = self._parts[whole, way].T
        return Ragged(values, np.concatenate([[0], np.cumsum(count)])[rows.offsets])
