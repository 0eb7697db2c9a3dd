"""The schema of a pipeline file: the only place where a default is written.

Each task joins the parts to a `Pipeline` of its own; `seqpipe.pipeline_file` reads one. TensorFlow is never imported
here.
"""

from seqpipe.config.data import Data, Encoding, Source
from seqpipe.config.parts import Convolution, Embedding, Recurrent, TextFeatures
from seqpipe.config.pipeline import (
    SEARCHED,
    SEED_LIMIT,
    Evaluation,
    Export,
    Fraction,
    Pipeline,
    Search,
    Section,
    Training,
    Tune,
)
from seqpipe.config.speech_commands import (
    SILENCE,
    UNKNOWN,
    AudioFeatures,
    Augmentation,
    CommandEvaluation,
    CommandModel,
    CommandsData,
    CommandTraining,
    SpectrogramConvolution,
    SpeechCommands,
)
from seqpipe.config.text_classification import ClassificationData, Classifier, Ngrams, TextClassification

__all__ = [
    "SEARCHED",
    "SEED_LIMIT",
    "SILENCE",
    "UNKNOWN",
    "AudioFeatures",
    "Augmentation",
    "ClassificationData",
    "Classifier",
    "CommandEvaluation",
    "CommandModel",
    "CommandTraining",
    "CommandsData",
    "Convolution",
    "Data",
    "Embedding",
    "Encoding",
    "Evaluation",
    "Export",
    "Fraction",
    "Ngrams",
    "Pipeline",
    "Recurrent",
    "Search",
    "Section",
    "Source",
    "SpectrogramConvolution",
    "SpeechCommands",
    "TextClassification",
    "TextFeatures",
    "Training",
    "Tune",
]
