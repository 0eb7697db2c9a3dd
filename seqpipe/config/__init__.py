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
from seqpipe.config.text_classification import (
    ClassificationData,
    Classifier,
    ClassifierFeatures,
    LabelledText,
    Ngrams,
    OtherDomain,
    PieceEmbedding,
    Pretraining,
    TextClassification,
    TextEvaluation,
    TextTraining,
)

__all__ = [
    "SEARCHED",
    "SEED_LIMIT",
    "ClassificationData",
    "Classifier",
    "ClassifierFeatures",
    "Convolution",
    "Data",
    "Embedding",
    "Encoding",
    "Evaluation",
    "Export",
    "Fraction",
    "LabelledText",
    "Ngrams",
    "OtherDomain",
    "PieceEmbedding",
    "Pipeline",
    "Pretraining",
    "Recurrent",
    "Search",
    "Section",
    "Source",
    "TextClassification",
    "TextEvaluation",
    "TextFeatures",
    "TextTraining",
    "Training",
    "Tune",
]
