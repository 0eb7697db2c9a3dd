from __future__ import annotations

import numpy as np
import pytest

from seqpipe.tasks.writing.measures import NATS, bits_per_byte
from seqpipe.tasks.writing.report import describe


@pytest.mark.parametrize(
    ("low", "high", "sign_p", "verdict"),
    [
        (0.1, 0.3, 0.01, "better"),
        (0.1, 0.3, 0.25, "not shown to be better"),
        (-0.1, 0.1, 0.01, "not shown to be better"),
        (-0.3, -0.1, 0.01, "worse"),
    ],
)
def test_writing_report_says_who_is_better(low, high, sign_p, verdict):
    gap = {"value": (low + high) / 2, "low": low, "high": high, "n": 9, "sign_p": sign_p}
    figures = {
        "measures": {NATS.name: {**gap, "value": 1.0}},
        "read": "state carried through",
        "characters": 9,
        "unknown": 0,
        "perplexity": 2.0,
        "bits_per_byte": 1.0,
        "baselines": {
            "order": 3,
            "kneser_ney": 1.0,
            "unigram": 2.0,
            "kneser_ney_less_network": gap,
            "mixture": {"weight": 0.1, "mixture": 1.0, "network": 1.0},
        },
    }
    assert f"The network is {verdict} than the n-grams" in describe({"splits": {"dev": figures}})


def test_report_bits_a_byte_are_those_a_character_where_each_has_one():
    nats = np.full(9, 2.0)
    assert bits_per_byte(nats, ["four", "two"], stream=False) == pytest.approx(2 / np.log(2)), "7 characters, 2 ends"
    assert bits_per_byte(nats, ["four\ntwo\n"], stream=True) == pytest.approx(2 / np.log(2))
    assert bits_per_byte(nats, ["f\N{LATIN SMALL LETTER O WITH DIAERESIS}ur", "two"], stream=False) == pytest.approx(
        1.8 / np.log(2)
    )
