"""What a recogniser of sounds has to beat: a linear classifier of coarse spectrograms."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqpipe.data.examples import Examples, Ragged

TIMES, BANDS = 14, 20  # of the coarse spectrogram


@dataclass(frozen=True)
class SpectrogramBaseline:
    """Means over blocks of a log-mel spectrogram and a linear support vector machine, untuned; made by `fit`."""

    classifier: Any
    features: int
    fit_time_s: float

    @classmethod
    def fit(cls, decibels: np.ndarray, labels: np.ndarray, seed: int) -> SpectrogramBaseline:
        """Fit on decibels [N, T, F] and class indices [N]."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import LinearSVC

        start_s = time.perf_counter()
        features = coarse(decibels)
        classifier = make_pipeline(StandardScaler(), LinearSVC(C=0.01, dual=False, random_state=seed))
        classifier.fit(features, labels)
        return cls(classifier, features.shape[1], time.perf_counter() - start_s)

    def predict(self, decibels: np.ndarray) -> np.ndarray:
        """Class indices [N]."""
        return self.classifier.predict(coarse(decibels)).astype(np.int64)

    @property
    def size_bytes(self) -> int:
        svm, scaler = self.classifier[-1], self.classifier[0]
        return sum(array.nbytes for array in (svm.coef_, svm.intercept_, scaler.mean_, scaler.scale_))

    def describe(self) -> str:
        return f"a linear SVM (C = 0.01) of log-mel means over {TIMES} x {BANDS} blocks ({self.features:,} features)"


def spectrograms(examples: Examples) -> np.ndarray:
    """Decibels [N, T, F]; all rows have equally many frames."""
    column = examples.columns["spectrogram"]
    values = column.values if isinstance(column, Ragged) else column
    return np.asarray(values).reshape(len(examples), -1, values.shape[-1])


def coarse(decibels: np.ndarray) -> np.ndarray:
    """Means over blocks of time and bands: [N, T, F] as [N, TIMES * BANDS] or as many blocks as there are."""
    times = np.array_split(decibels, min(TIMES, decibels.shape[1]), axis=1)
    slices = np.stack([part.mean(axis=1) for part in times], axis=1)
    bands = np.array_split(slices, min(BANDS, decibels.shape[2]), axis=2)
    return np.stack([part.mean(axis=2) for part in bands], axis=2).reshape(len(decibels), -1)
