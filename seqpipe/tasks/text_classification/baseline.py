"""What a model has to beat: a linear classifier that counts words, or characters where no spaces divide them."""

from __future__ import annotations

import pickle
import re
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

# Thai, Lao, Tibetan, Myanmar, Khmer, kana, bopomofo, ideographs (all planes); not Hangul, which has spaces.
_SCRIPTS_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
# One ideograph says about as much as a word of five letters, so a fifth of the characters is half of the text.
_FRACTION_WITHOUT_SPACES = 0.2

_UNITS = {"word": ("words", (1, 2)), "char": ("characters", (1, 3))}


def without_spaces(texts: Sequence[str]) -> bool:
    """Whether the texts are mostly in scripts that put no spaces between words (Chinese, Japanese, Thai, ...).

    >>> without_spaces(["房间很干净"]), without_spaces(["the room was clean (干净)"])
    (True, False)
    """
    scripted = sum(len(_SCRIPTS_WITHOUT_SPACES.findall(text)) for text in texts)
    return scripted > _FRACTION_WITHOUT_SPACES * sum(len(text) - text.count(" ") for text in texts)


@dataclass(frozen=True)
class LinearBaseline:
    """TF-IDF of words (1 and 2) or characters (1 to 3) and a linear support vector machine, C = 1.

    Nothing in it is tuned: it is what an hour with scikit-learn gives. Made by `LinearBaseline.fit`.
    """

    vectorizer: TfidfVectorizer
    classifier: LinearSVC
    fit_time_s: float
    converged: bool

    @classmethod
    def fit(cls, texts: Sequence[str], labels: Sequence[int] | np.ndarray, seed: int) -> LinearBaseline:
        """Fit on training rows.

        Args:
            texts: N strings.
            labels: N class indices, at least two different ones.
            seed: orders the solver's passes over the rows.
        Raises:
            ValueError: one class only, or nothing but empty texts.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        if len(set(np.asarray(labels).tolist())) < 2:
            raise ValueError("the training rows hold one class only: a baseline needs two.")
        start_s = time.perf_counter()
        vectorizer, features = _vectorize(texts)
        classifier = LinearSVC(C=1.0, dual="auto", random_state=seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            classifier.fit(features, labels)
        converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
        return cls(vectorizer, classifier, time.perf_counter() - start_s, converged)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Class index of each text, int64 [N]; a text without a known word gets the class the intercept favours."""
        if not len(texts):
            return np.zeros(0, np.int64)
        return self.classifier.predict(self.vectorizer.transform(texts)).astype(np.int64)

    @property
    def size_bytes(self) -> int:
        """Pickled size of what predicting needs: the terms, their weights and the intercepts."""
        terms = self.vectorizer.get_feature_names_out().tolist()
        return len(pickle.dumps((terms, self.vectorizer.idf_, self.classifier.coef_, self.classifier.intercept_)))

    def describe(self) -> str:
        """One sentence: what it counts, how many terms it kept, and what did not go as it usually does."""
        stopped = "" if self.converged else f", stopped unconverged after {self.classifier.max_iter:,} passes"
        return f"{_terms(self.vectorizer)} and a linear SVM (C = 1{stopped})"


@dataclass(frozen=True)
class LabelSetBaseline:
    """The same features, and a linear support vector machine, C = 1, for each label against the rows without it.

    weights: [C, terms]. intercepts: [C]. Made by `LabelSetBaseline.fit`.
    """

    vectorizer: TfidfVectorizer
    weights: np.ndarray
    intercepts: np.ndarray
    fit_time_s: float
    unconverged: int

    @classmethod
    def fit(cls, texts: Sequence[str], labels: np.ndarray, seed: int) -> LabelSetBaseline:
        """Fit on training rows.

        Args:
            texts: N strings.
            labels: int [N, C], 1 where a text has a label; one that all have, or none, is answered to all, or none.
            seed: orders the solver's passes over the rows.
        Raises:
            ValueError: nothing but empty texts.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        start_s = time.perf_counter()
        vectorizer, features = _vectorize(texts)
        weights = np.zeros((labels.shape[1], features.shape[1]))
        intercepts = np.where(labels.all(axis=0), 1.0, -1.0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            for place in np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0)):
                classifier = LinearSVC(C=1.0, dual="auto", random_state=seed).fit(features, labels[:, place])
                weights[place], intercepts[place] = classifier.coef_[0], classifier.intercept_[0]
        unconverged = sum(issubclass(warning.category, ConvergenceWarning) for warning in caught)
        return cls(vectorizer, weights, intercepts, time.perf_counter() - start_s, unconverged)

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """Of each label for each text, float64 [N, C]; above 0 where the machine says that the text has it."""
        if not len(texts):
            return np.zeros((0, len(self.intercepts)))
        return self.vectorizer.transform(texts) @ self.weights.T + self.intercepts

    @property
    def size_bytes(self) -> int:
        """Pickled size of what predicting needs: the terms, their weights and the intercepts."""
        terms = self.vectorizer.get_feature_names_out().tolist()
        return len(pickle.dumps((terms, self.vectorizer.idf_, self.weights, self.intercepts)))

    def describe(self) -> str:
        """One sentence, as `LinearBaseline.describe`."""
        stopped = f", {self.unconverged} of them stopped unconverged" if self.unconverged else ""
        return f"{_terms(self.vectorizer)} and a linear SVM for each label (C = 1{stopped})"


def _terms(vectorizer: TfidfVectorizer) -> str:
    unit, (shortest, longest) = _UNITS[vectorizer.analyzer]
    kept = (
        "found in at least 2 texts"
        if vectorizer.min_df == 2
        else "found in any text, because no term stands in 2 texts"
    )
    return f"TF-IDF of {unit} ({shortest} to {longest}, {len(vectorizer.vocabulary_):,} terms {kept})"


def _vectorize(texts: Sequence[str]) -> tuple[TfidfVectorizer, csr_matrix]:
    """A fitted vectoriser and the texts' features [N, terms], by the first of three plans that finds a term."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    analyzer = "char" if without_spaces(texts) else "word"
    for unit, min_df in ((analyzer, 2), (analyzer, 1), ("char", 1)):
        vectorizer = TfidfVectorizer(analyzer=unit, ngram_range=_UNITS[unit][1], min_df=min_df, sublinear_tf=True)
        try:
            return vectorizer, vectorizer.fit_transform(texts)
        except ValueError as error:  # scikit-learn's word for an empty vocabulary
            reason = error
    raise ValueError("the training texts are all empty: a baseline finds nothing to count.") from reason
