"""What a figure is called, how it is shown, which way is better, and where a report keeps it."""

from __future__ import annotations

import numpy as np
import pytest

from seqpipe.errors import RunError
from seqpipe.evaluation.measures import ACCURACY, LOSS, Measure, headline, monitored, reported
from seqpipe.evaluation.rows import RowFigures

WER = Measure("wer", "word error rate", higher_is_better=False, unit="%", decimals=1, note="by beam search")
LAG = Measure("lag", "lag", unit="ms", decimals=0)
BLEU = Measure("bleu", "BLEU")


def test_measures_figure_is_the_mean_of_its_column_with_rows_as_often_as_drawn():
    rows = RowFigures("k", {"bleu": np.array([1.0, 2.0, 6.0]), "wer": np.array([0.0, 1.0, 1.0])})
    assert BLEU.is_mean
    assert BLEU.of(rows, np.array([1, 1, 1])) == 3.0
    assert BLEU.of(rows, np.array([3, 0, 1])) == 2.25
    assert WER.of(rows, np.array([1, 2, 1])) == 0.75


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        (ACCURACY, 0.96, "96.00 %"),
        (WER, 0.1234, "12.3 %"),
        (LAG, 1234.4, "1,234 ms"),
        (BLEU, 24.301, "24.30"),
        (LOSS, 0.12344, "0.1234"),
    ],
)
def test_measures_are_shown_with_unit_and_decimals(measure, value, text):
    assert measure.shown(value) == text


def test_measures_number_has_no_unit_and_other_decimals_or_a_sign_where_asked():
    assert WER.scale == 100
    assert LAG.scale == BLEU.scale == 1
    assert WER.number(0.1234) == "12.3"
    assert WER.number(0.1234, decimals=2) == "12.34"
    assert WER.number(0.1234, decimals=0) == "12"
    assert BLEU.number(0.5, signed=True) == "+0.50"


def test_measures_better_is_the_way_it_lies_and_never_where_equal():
    assert BLEU.better(2.0, 1.0)
    assert not BLEU.better(1.0, 2.0)
    assert WER.better(1.0, 2.0)
    assert not WER.better(2.0, 1.0)
    assert not BLEU.better(1.0, 1.0)
    assert not WER.better(1.0, 1.0)


def test_measures_that_every_task_shares():
    assert (LOSS.name, LOSS.title, LOSS.higher_is_better, LOSS.unit) == ("loss", "loss", False, "")
    assert (ACCURACY.name, ACCURACY.title, ACCURACY.higher_is_better) == ("accuracy", "accuracy", True)


def test_measures_monitored_is_one_of_the_task_or_the_loss():
    assert monitored("wer", [BLEU, WER]) is WER
    assert monitored("loss", [BLEU]) is LOSS
    message = (
        r'^training\.monitor = "blue" is not a figure of this task\. Allowed: bleu, wer, loss\. Did you mean bleu\?$'
    )
    with pytest.raises(RunError, match=message):
        monitored("blue", [BLEU, WER])


def test_measures_reported_is_none_where_a_report_has_no_such_figure():
    report = {"splits": {"dev": {"measures": {"wer": {"value": 0.5}}}}}
    assert reported(report, "dev", WER) == {"value": 0.5}
    assert reported(report, "dev", BLEU) is None
    assert reported(report, "test", WER) is None
    assert reported({"splits": {"dev": {}}}, "dev", WER) is None
    assert reported({}, "dev", WER) is None


def test_measures_headline_is_of_test_or_else_of_dev():
    dev = {"measures": {"bleu": {"value": 20.0, "n": 1234}, "wer": {"value": 0.3, "low": 0.2, "high": 0.456, "n": 9}}}
    test = {"measures": {"wer": {"value": 0.25, "n": 1000, "of": "words"}}}
    assert headline({"splits": {"dev": dev}}, BLEU) == "dev BLEU 20.00 (1,234 rows)"
    expected = "dev word error rate 30.0 % by beam search (95 % interval 20.0 to 45.6, 9 rows)"
    assert headline({"splits": {"dev": dev}}, WER) == expected
    both = {"splits": {"dev": dev, "test": test}}
    assert headline(both, WER) == "test word error rate 25.0 % by beam search (1,000 words)"
