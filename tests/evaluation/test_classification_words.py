"""The words of a report on a classifier, from figures set by hand."""

from __future__ import annotations

import pytest

from seqpipe.evaluation.classification_words import domains_table, seen_in_training, to_markdown


def share(value, n=100):
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": n}


DIFFERENCE = {
    "value": 0.1,
    "low": 0.02,
    "high": 0.18,
    "n": 1000,
    "bootstrap_samples": 5000,
    "only_model_right": 1200,
    "only_baseline_right": 1100,
    "mcnemar_p": 0.0214,
}
BASELINE = {
    "description": "TF-IDF\nof words",
    "accuracy": share(0.7),
    "accuracy_unseen": share(0.6),
    "fit_time_s": 2.04,
    "size_bytes": 1500,
}
REPORT = {
    "split": "test",
    "classes": ["bad", "two\nlines"],
    "measures": {"accuracy": share(0.8, 1000), "balanced_accuracy": share(0.80004, 1000)},
    "rows_seen_in_training": 0,
    "accuracy_unseen": None,
    "majority": {"class": "two\nlines", "accuracy": 0.6},
    "baseline": None,
    "difference": None,
    "difference_unseen": None,
    "per_class": [
        {"name": "bad", "precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": 1234},
        {"name": "two\nlines", "precision": None, "recall": 1.0, "f1": 0.0, "support": 1},
    ],
    "confusion": [[1200, 34], [0, 1]],
    "nll": {"before": 0.5, "after": 0.25},
    "calibration_error": {"before": 0.04, "after": 0.03},
    "temperature": 1.0,
}
COMPARED = {"baseline": BASELINE, "difference": DIFFERENCE}


def paragraphs(**changes):
    return to_markdown({**REPORT, **changes}).removesuffix("\n").split("\n\n")


def test_classification_words_without_a_baseline_are_these():
    assert paragraphs() == [
        "**Accuracy on test: 80.00 % (95 % interval 75.0 to 85.0 %)**, 1,000 rows. "
        "Always answering “two lines” would be right on 60.00 %.",
        "No baseline was trained, so whether a simpler model would do as well is not known.",
        "|  | class | precision | recall | F1 | rows |\n|---:|---|---:|---:|---:|---:|\n"
        "| 0 | bad | 50.00 % | 25.00 % | 33.33 % | 1,234 |\n| 1 | two lines | n/a | 100.00 % | 0.00 % | 1 |",
        "| label (row), predicted (column) | bad | two lines |\n|---|---:|---:|\n"
        "| bad | 1,200 | 34 |\n| two lines | 0 | 1 |",
        "Expected calibration error 3.00 % (top class, 15 bins of equal width), "
        "negative log likelihood 0.2500 nats, of the probabilities as they are answered.",
    ]


def test_classification_words_of_a_headline_tell_balance_seen_rows_and_a_chosen_split():
    measures = {"accuracy": share(0.8, 1), "balanced_accuracy": share(0.8001, 1)}
    changes = {"measures": measures, "rows_seen_in_training": 60, "accuracy_unseen": share(0.5, 40), "split": "dev"}
    assert paragraphs(**changes)[0].split("\n") == [
        "**Accuracy on dev: 80.00 % (95 % interval 75.0 to 85.0 %)**, 1 row. "
        "Always answering “two lines” would be right on 60.00 %.",
        "**Balanced accuracy: 80.01 % (95 % interval 75.0 to 85.0 %)**, the mean of the recalls: "
        "each class counts the same.",
        "60 of these rows stand in the training data too. On the other 40, the fairer figure: "
        "**50.00 % (95 % interval 45.0 to 55.0 %)**.",
        "The model and its temperature were chosen by these rows, so the figures lean to the good side; "
        "rows that chose nothing (a test split) would tell.",
    ]


def test_classification_words_name_the_figure_on_unseen_rows_where_asked():
    assert seen_in_training(1234, share(0.5, 5678), "micro F1 is") == [
        "1,234 of these rows stand in the training data too. On the other 5,678, the fairer figure, micro F1 is "
        "**50.00 % (95 % interval 45.0 to 55.0 %)**."
    ]
    assert seen_in_training(0, None) == []
    assert seen_in_training(1, None) == [
        "All of these rows stand in the training data too: this says nothing about new ones."
    ]
    assert seen_in_training(None, None) == ["Whether rows stand in the training data too was not checked."]


def test_classification_words_of_a_comparison():
    found = paragraphs(**COMPARED)
    assert found[1] == (
        "The baseline: TF-IDF of words.\n"
        "Over 1,000 rows, model minus baseline is +10.00 points (95 % interval +2.00 to +18.00 points) (paired "
        "bootstrap, 5,000 resamples); the model alone is right on 1,200 of them, the baseline alone on 1,100 "
        "(exact McNemar p = 0.021).\n"
        "**The model is better than the baseline: the interval of the difference lies above 0.**"
    )
    assert found[2:4] == [
        "|  | rows | model | baseline |\n|---|---:|---:|---:|\n"
        "| all rows | 1,000 | 80.00 % (95 % interval 75.0 to 85.0 %) | 70.00 % (95 % interval 65.0 to 75.0 %) |",
        "The baseline takes 2.0 s to train and 1.5 kB.",
    ]


def test_classification_words_of_a_comparison_prefer_rows_not_in_training():
    fresh = {**DIFFERENCE, "n": 1, "value": -0.1, "low": -0.2, "high": -0.01}
    plain = {**BASELINE, "description": "", "fit_time_s": None}
    changes = {**COMPARED, "baseline": plain, "difference_unseen": fresh, "accuracy_unseen": share(0.5, 1)}
    _, told, table, costs, *_ = paragraphs(**changes)
    assert told.startswith("Over 1 row not in training, model minus baseline is -10.00 points")
    assert told.endswith("**The model is worse than the baseline: the interval of the difference lies below 0.**")
    row = (
        "| rows not in training | 1 | 50.00 % (95 % interval 45.0 to 55.0 %) | 60.00 % (95 % interval 55.0 to 65.0 %) |"
    )
    assert table.split("\n")[3] == row
    assert costs == "The baseline takes 1.5 kB."
    unmeasured = {**plain, "size_bytes": None}
    assert "The baseline takes" not in to_markdown({**REPORT, **changes, "baseline": unmeasured})


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"low": 0.0}, "The interval of the difference holds 0: no evidence that the model is better."),
        ({"low": -0.2, "high": 0.0}, "The interval of the difference holds 0: no evidence that the model is better."),
        ({"mcnemar_p": 1 - 0.95}, "The two disagree on too few rows to tell which is better."),
        ({"mcnemar_p": 0.0499}, "The model is better than the baseline: the interval of the difference lies above 0."),
    ],
)
def test_classification_words_of_a_verdict_claim_nothing_at_the_edge(change, verdict):
    told = paragraphs(**COMPARED | {"difference": DIFFERENCE | change})[1]
    assert told.split("\n")[-1] == f"**{verdict}**"


@pytest.mark.parametrize(("p", "text"), [(0.00099, "below 0.001"), (0.001, "= 0.001"), (0.25, "= 0.250")])
def test_classification_words_of_a_small_p_are_a_bound(p, text):
    told = paragraphs(**COMPARED | {"difference": DIFFERENCE | {"mcnemar_p": p}})[1]
    assert f"(exact McNemar p {text})." in told


def test_classification_words_say_which_class_has_no_rows():
    absent = {"name": "c", "precision": 0.0, "recall": None, "f1": None, "support": 0}
    table, note = paragraphs(per_class=[absent, *REPORT["per_class"]])[2:4]
    assert table.split("\n")[2] == "| 0 | c | 0.00 % | n/a | n/a | 0 |"
    assert note == "A class without rows in this split has no recall: the figures say nothing about it."


def test_classification_words_show_ten_classes_whole_and_the_ten_largest_mistakes_of_more():
    def confusions(count):
        matrix = [[9000 if row == column else 0 for column in range(count)] for row in range(count)]
        matrix[3] = [(count - place) * 400 for place in range(count)]
        matrix[0][-1] = 800
        return paragraphs(classes=[f"c {n}" for n in range(count)], confusion=matrix)[3:-1]

    (whole,) = confusions(10)
    assert whole.split("\n")[2].endswith(" | 0 | 800 |")
    assert len(whole.split("\n")) == 12
    title, table = confusions(11)
    assert title == "The most frequent mistakes:"
    header, rule, *rows = table.split("\n")
    assert (header, rule) == ("| label | predicted | rows |", "|---|---|---:|")
    first = [f"| c 3 | c {place} | {(11 - place) * 400:,} |" for place in (0, 1, 2, 4, 5, 6, 7, 8)]
    assert rows == [*first, "| c 0 | c 10 | 800 |", "| c 3 | c 9 | 800 |"]
    assert len(paragraphs(classes=["c"] * 11, confusion=[[0] * 11] * 11)) == 4


@pytest.mark.parametrize(
    ("temperature", "at_bound"), [(0.0505, True), (0.0506, False), (2.0, False), (19.80, False), (20 / 1.01, True)]
)
def test_classification_words_of_calibration_say_when_the_temperature_is_at_a_bound(temperature, at_bound):
    bound = " The temperature stands at the bound of its range." if at_bound else ""
    assert paragraphs(temperature=temperature)[-1] == (
        f"Probabilities are softmax(logits / {temperature:.3f}).{bound} Before and after this temperature: expected "
        "calibration error 4.00 % and 3.00 % (top class, 15 bins of equal width), negative log likelihood 0.5000 and "
        "0.2500 nats."
    )


def test_classification_words_of_domains_stand_side_by_side():
    tweets = {"rows": 1500, "measures": {"accuracy": share(0.8)}, "baseline": None, "difference": None}
    assert domains_table({"tweets": tweets, "news": {**tweets, **COMPARED, "rows": 7}}) == (
        "On labelled text of other kinds than the training rows, by which nothing was chosen:\n\n"
        "| domain | rows | accuracy | baseline | difference |\n|---|---:|---:|---:|---:|\n"
        "| tweets | 1,500 | 80.00 % (95 % interval 75.0 to 85.0 %) | – | – |\n"
        "| news | 7 | 80.00 % (95 % interval 75.0 to 85.0 %) | 70.00 % | "
        "+10.00 points (95 % interval +2.00 to +18.00 points) |\n"
    )
