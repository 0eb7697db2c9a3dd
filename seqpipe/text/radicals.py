"""The radicals of Han characters: what most of a kind have in common, such as water, trees or birds."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

RADICALS = 214  # of the Kangxi dictionary
FIRST_RADICAL = 0x2F00  # Unicode's block of the radicals by themselves
FIRST, LAST = 0x4E00, 0x9FA5  # the characters that Unicode 1.1 put in the order of their radicals


def radicals(characters: Sequence[str]) -> np.ndarray:
    """int32 [N], the number of each character's radical, 1 to 214; 0 where it is no Han character in that order.

    A radical is also the first of its characters, so that their places in Unicode tell them all.

    Source: The Unicode Standard, Han Unification History; Kangxi Radicals (U+2F00 to U+2FD5).
    """
    firsts = [ord(unicodedata.normalize("NFKC", chr(FIRST_RADICAL + number))) for number in range(RADICALS)]
    points = np.array([ord(character) for character in characters], np.int64)
    found = np.searchsorted(firsts, points, side="right")
    return np.where((points >= FIRST) & (points <= LAST), found, 0).astype(np.int32)
