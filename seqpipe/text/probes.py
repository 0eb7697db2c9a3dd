"""What an artefact that takes text is proved with."""

from __future__ import annotations

import numpy as np


def text_probes(texts: list[str]) -> list[dict[str, np.ndarray]]:
    """Rows for the proof: real ones, and what a client sends by mistake or in malice."""
    hostile = [
        b"",
        b" ",
        b"\t\n \xc2\xa0 \xe3\x80\x80",
        b"x" * 10_000,
        b"good " * 2_000,
        "naïve café".encode(),
        "👩‍👩‍👧‍👦 👍🏽 🇫🇷".encode(),
        "مراجعة ממש טובה".encode(),
        "这部电影很好看。".encode(),
        "ﬁne Ａ① ｶﾞ".encode(),
        "e\u0301 \u200b\u202e".encode(),
        b"\xff\xfe broken \xc3( \xe2\x82 utf-8 \xed\xa0\x80",
        b"nul \x00 inside \x00",
    ]
    real = [text.encode("utf-8", "surrogatepass") for text in texts[:16]]
    return [{"text": np.array(text, object)} for text in [*real, *hostile]]
