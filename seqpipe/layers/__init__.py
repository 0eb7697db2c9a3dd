"""Keras layers that know their lengths: each takes (x, lengths) and never lets padding change an answer."""

from seqpipe.layers.attention import BahdanauAttention, LuongAttention
from seqpipe.layers.convolution import ConvolutionBlock
from seqpipe.layers.decoder import AttentionDecoder
from seqpipe.layers.embedding import TiedEmbedding
from seqpipe.layers.lengths import step_mask, strided, zero_beyond
from seqpipe.layers.ngrams import NgramExpert
from seqpipe.layers.open_set import OpenSetScores
from seqpipe.layers.pooling import AttentionMaxPooling, AttentionPooling, MaxPooling, MeanPooling
from seqpipe.layers.recurrent import GRU, LSTM, Bidirectional, SimpleRNN
from seqpipe.layers.series import (
    Calendar,
    Covariates,
    FilledBySeason,
    HiddenValues,
    MixedExperts,
    SeasonProfile,
    SegmentRecurrence,
    SpreadQuantiles,
)
from seqpipe.layers.series_scale import Restored, SeriesUnits, WindowScale
from seqpipe.layers.spectrogram import FixedScale, LastSteps, SpectrogramBlock
from seqpipe.layers.words import WordDropout

__all__ = [
    "GRU",
    "LSTM",
    "AttentionDecoder",
    "AttentionMaxPooling",
    "AttentionPooling",
    "BahdanauAttention",
    "Bidirectional",
    "Calendar",
    "ConvolutionBlock",
    "Covariates",
    "FilledBySeason",
    "FixedScale",
    "HiddenValues",
    "LastSteps",
    "LuongAttention",
    "MaxPooling",
    "MeanPooling",
    "MixedExperts",
    "NgramExpert",
    "OpenSetScores",
    "Restored",
    "SeasonProfile",
    "SegmentRecurrence",
    "SeriesUnits",
    "SimpleRNN",
    "SpectrogramBlock",
    "SpreadQuantiles",
    "TiedEmbedding",
    "WindowScale",
    "WordDropout",
    "step_mask",
    "strided",
    "zero_beyond",
]
