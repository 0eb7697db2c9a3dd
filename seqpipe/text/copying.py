"""How much of a text is copied, how varied it is, and which of its words exist."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

SPAN = 20  # characters of a span that counts as copied
MIXING = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no product of it forgets a character
WORD = re.compile(r"[^\W\d_]+")


class Source:
    """A text that others may have been copied from."""

    def __init__(self, text: str):
        self.text = text
        self.spans = np.unique(_spans(text))
        self.words = set(WORD.findall(text.lower()))

    def longest_copy(self, text: str) -> str:
        """The longest span of a text that stands in the source too; the first of those."""
        best, start = "", 0
        while start + len(best) < len(text):
            size = len(best) + 1
            if text[start : start + size] not in self.text:
                start += 1
                continue
            while start + size < len(text) and text[start : start + size + 1] in self.text:
                size += 1
            best = text[start : start + size]
            start += 1
        return best

    def copied_fraction(self, text: str) -> float:
        """Of a text's spans of SPAN characters, the share that stands in the source."""
        spans = _spans(text)
        return float(np.isin(spans, self.spans).mean()) if len(spans) else 0.0

    def known_words_fraction(self, text: str) -> float:
        """Of a text's words, the share that stands in the source."""
        words = WORD.findall(text.lower())
        return float(np.mean([word in self.words for word in words])) if words else 1.0


def _spans(text: str) -> np.ndarray:
    """A number for each span of SPAN characters, uint64 [spans]: a tenth of what the spans themselves take."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    count = max(0, len(codes) - SPAN + 1)
    numbers = np.zeros(count, np.uint64)
    for place in range(SPAN):
        numbers = numbers * MIXING + codes[place : place + count]
    return numbers


def distinct_fraction(texts: Sequence[str], size: int) -> float:
    """Different n-grams of characters over all of them, within texts.

    >>> distinct_fraction(["abab"], 2)
    0.6666666666666666
    """
    grams = [text[i : i + size] for text in texts for i in range(len(text) - size + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0
