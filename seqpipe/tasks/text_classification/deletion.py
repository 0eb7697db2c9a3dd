"""Do the weights of an explanation mean something? Take the heaviest pieces away and see what the answer does.

A piece that carries an answer moves it when it is gone (comprehensiveness: DeYoung et al. 2020, ERASER, section 4.2),
and more than pieces drawn at random do. N rows, T pieces, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seqpipe.evaluation.figures import number, points_interval
from seqpipe.evaluation.metrics import side, sign_p
from seqpipe.evaluation.paired import mean_with_interval
from seqpipe.tasks.protocol import Report

FRACTION = 0.1  # of a row's pieces are taken away, at least one
ROWS = 500
STILL = 5e-5  # of a probability: what is told as 0.00 points
DRAWS = 5  # of random pieces for each row, averaged


def deletion_test(
    ids: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    probabilities: Callable[[list[np.ndarray]], np.ndarray],
    *,
    samples: int,
    seed: int,
) -> dict[str, object] | None:
    """How far the probability of the answered class moves without the heaviest pieces, and without random ones.

    Args:
        ids: N rows of piece ids, int [T]; rows of fewer than two pieces are left out, since nothing of them would stay.
        weights: N rows, float [T].
        probabilities: of such rows: [N, C].
        samples: resamples of rows behind the interval of the difference.
        seed: of the random pieces and of the resamples.
    Returns:
        Shares 0..1: the mean absolute change for `heaviest` and `random`, their `difference` with its interval. None
        without a row of two pieces.
    """
    pairs = [(row, weight) for row, weight in zip(ids, weights, strict=True) if len(row) > 1]
    if not pairs:
        return None
    rng = np.random.default_rng(seed)
    variants: list[list[np.ndarray]] = [[] for _ in range(2 + DRAWS)]  # whole, less the heaviest, less random ones
    for row, weight in pairs:
        count = max(1, round(FRACTION * len(row)))
        taken = [np.zeros(0, np.int64), np.argsort(-weight, kind="stable")[:count]]
        taken += [rng.choice(len(row), count, replace=False) for _ in range(DRAWS)]
        for variant, places in zip(variants, taken, strict=True):
            variant.append(np.delete(row, places))
    answers = probabilities([row for variant in variants for row in variant])
    answers = answers.reshape(len(variants), len(pairs), -1)
    answered = answers[0].argmax(axis=1)[None, :, None]
    of_answered = np.take_along_axis(answers, answered, axis=2)[:, :, 0]  # [variants, N]
    moved = np.abs(of_answered[1:] - of_answered[0])
    heaviest, random = moved[0], moved[1:].mean(axis=0)
    value, low, high = mean_with_interval(heaviest - random, samples=samples, seed=seed)
    return {
        "rows": len(pairs),
        "fraction": FRACTION,
        "draws": DRAWS,
        "heaviest": float(heaviest.mean()),
        "random": float(random.mean()),
        "difference": {
            "value": value,
            "low": low,
            "high": high,
            "n": len(pairs),
            "sign_p": sign_p(heaviest - random),
        },
    }


def to_markdown(deletion: Report) -> str:
    """The test in words, for the card."""
    difference = deletion["difference"]
    heaviest, random = (number(deletion[key], scale=100, unit="points") for key in ("heaviest", "random"))
    match side(difference):
        case _ if max(deletion["heaviest"], deletion["random"]) < STILL:
            verdict = "The answers do not move, so that nothing can be told of the weights."
        case 1:
            verdict = "The weights point at what the answer rests on."
        case -1:
            verdict = "The weights point away from what the answer rests on: do not read them as reasons."
        case _ if difference["low"] <= 0 <= difference["high"]:
            verdict = "The interval holds 0: no evidence that the weights mean something."
        case _:
            verdict = "Too few rows to tell whether the weights mean something."
    return (
        f"Weights of pieces (`explain`), tested by deletion on {difference['n']:,} dev rows: without the heaviest "
        f"{100 * deletion['fraction']:.0f} % of its pieces, a text's probability of the answered class moves by "
        f"{heaviest} on average, without as many random ones by {random}. The difference is "
        f"{points_interval(difference)}. **{verdict}**\n"
    )
