"""Builders: plain functions that return a plain `keras.Model`."""

from seqpipe.models.classifier import classifier
from seqpipe.models.forecaster import forecaster
from seqpipe.models.receptive_field import LayerReport, receptive_field_report
from seqpipe.models.recogniser import commands_model
from seqpipe.models.seq2seq import seq2seq

__all__ = ["LayerReport", "classifier", "commands_model", "forecaster", "receptive_field_report", "seq2seq"]
