"""Builders: plain functions that return a plain `keras.Model`."""

from seqpipe.models.classifier import classifier
from seqpipe.models.receptive_field import LayerReport, receptive_field_report

__all__ = ["LayerReport", "classifier", "receptive_field_report"]
