"""What a model of texts is asked in its proof."""

from __future__ import annotations

import numpy as np

from seqpipe.text.probes import text_probes


def found(texts):
    return [probe["text"].item() for probe in text_probes(texts)]


def test_probes_begin_with_the_first_sixteen_texts():
    texts = [f"täxt {n}" for n in range(20)]
    hostile = found([])
    assert found(texts) == [text.encode() for text in texts[:16]] + hostile
    assert found(["one"]) == [b"one", *hostile]
    assert found(["half \ud83d"])[0] == b"half \xed\xa0\xbd"


def test_probes_are_single_bytes_in_an_array_without_axes():
    for probe in text_probes(["one"]):
        assert list(probe) == ["text"]
        assert (probe["text"].shape, probe["text"].dtype) == ((), np.dtype(object))
        assert isinstance(probe["text"].item(), bytes)


def test_probes_hold_what_a_client_sends_by_mistake_or_in_malice():
    hostile = found([])
    assert len(set(hostile)) == 13
    assert b"" in hostile
    assert sum(text != b"" and not text.decode("utf-8", "replace").strip() for text in hostile) == 2  # white alone
    assert sorted(len(text) for text in hostile)[-2:] == [10_000, 10_000]
    assert {b"x" * 10_000, b"good " * 2_000} < set(hostile)
    assert sum(b"\x00" in text for text in hostile) == 1
    broken = [text for text in hostile if text.decode("utf-8", "replace").encode() != text]
    assert broken == [b"\xff\xfe broken \xc3( \xe2\x82 utf-8 \xed\xa0\x80"]


def test_probes_hold_scripts_and_forms_of_many_kinds():
    whole = b" ".join(text for text in found([]) if b"\xff" not in text).decode()
    for sign in (
        "é",
        "e\u0301",
        "👩‍👩‍👧‍👦",
        "👍🏽",
        "🇫🇷",
        "م",
        "מ",
        "这",
        "ﬁ",
        "Ａ",
        "ｶﾞ",
        "\u200b",
        "\u202e",
        "\u3000",
        "\xa0",
    ):
        assert sign in whole, sign
