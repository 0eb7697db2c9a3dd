"""Keras layers that know their lengths: each takes (x, lengths) and never lets padding change an answer."""

from seqpipe.layers.adversarial import AdversarialNoise
from seqpipe.layers.attention import BahdanauAttention, LuongAttention
from seqpipe.layers.convolution import ConvolutionBlock
from seqpipe.layers.decoder import AttentionDecoder
from seqpipe.layers.embedding import TiedEmbedding
from seqpipe.layers.lengths import step_mask, strided, zero_beyond
from seqpipe.layers.ngrams import NgramExpert
from seqpipe.layers.pooling import AttentionMaxPooling, AttentionPooling, MaxPooling, MeanPooling
from seqpipe.layers.recurrent import GRU, LSTM, Bidirectional, SimpleRNN
from seqpipe.layers.spectrogram import FixedScale, LastSteps, SpectrogramBlock
from seqpipe.layers.words import WordDropout

__all__ = [
    "GRU",
    "LSTM",
    "AdversarialNoise",
    "AttentionDecoder",
    "AttentionMaxPooling",
    "AttentionPooling",
    "BahdanauAttention",
    "Bidirectional",
    "ConvolutionBlock",
    "FixedScale",
    "LastSteps",
    "LuongAttention",
    "MaxPooling",
    "MeanPooling",
    "NgramExpert",
    "SimpleRNN",
    "SpectrogramBlock",
    "TiedEmbedding",
    "WordDropout",
    "step_mask",
    "strided",
    "zero_beyond",
]
