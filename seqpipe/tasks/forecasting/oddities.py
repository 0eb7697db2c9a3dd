"""What is strange about series, before a forecaster learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.config.series import SeriesData
from seqpipe.data.findings import Finding, counted, listed, raise_errors
from seqpipe.series.clock import Step
from seqpipe.series.windows import Cut

if TYPE_CHECKING:
    from seqpipe.tasks.forecasting.data import Panel


def looked_at(panel: Panel, data: SeriesData, horizon: int) -> list[Finding]:
    """What is strange about the series themselves."""
    findings = [Finding("info", _sizes(panel)), *_fewer(panel.cuts, data, horizon)]
    constant = [one.name for one, values in zip(panel.series, panel.training, strict=True) if _is_constant(values)]
    if constant:
        findings.append(
            Finding("warning", f"{len(constant)} constant in training: {listed(constant)}. MASE is undefined there.")
        )
    untested = [one.name for one, cut in zip(panel.series, panel.cuts, strict=True) if cut.dev == cut.train]
    if untested:
        findings.append(
            Finding(
                "warning",
                f"{len(untested):,} of {len(panel.series):,} series are too short for validation of "
                f"{horizon} steps: {listed(untested)}.",
            )
        )
    if len(untested) == len(panel.series):
        longest = max(len(one) for one in panel.series)
        findings.append(
            Finding(
                "error",
                f"every series is too short: the longest has {longest:,} steps, a horizon of "
                f"{horizon} needs {2 * horizon + 1} at least. Lower model.horizon_steps.",
            )
        )
    raise_errors(findings)
    findings += _flat(panel) + _leaks(panel, data, horizon) + _weekends(panel)
    both = list(zip(panel.series, panel.cuts, strict=True))
    tested = [one.clock[cut.dev] for one, cut in both if cut.end > cut.dev]
    learned = max(one.clock[max(0, cut.train - 1)] for one, cut in both)
    if panel.step.kind in ("seconds", "months") and tested and learned >= min(tested):
        findings.append(
            Finding("warning", "series end at different times: some train on days that others are tested on.")
        )
    return findings


def _fewer(cuts: Sequence[Cut], data: SeriesData, horizon: int) -> list[Finding]:
    """Windows that were asked for and do not fit, since training needs the most."""
    held_back = {"validation": [cut.dev - cut.train for cut in cuts]}
    if data.test is None:
        held_back["test"] = [cut.end - cut.dev for cut in cuts]
    findings = []
    for split, steps in held_back.items():
        asked, most = getattr(data, f"{split}_windows"), max(steps) // horizon
        if asked != "auto" and most < asked:
            text = f"data.{split}_windows = {asked}: {most} of {horizon} steps fit into the longest series"
            findings.append(Finding("warning", f"{text}, for training needs the most."))
    return findings


def _sizes(panel: Panel) -> str:
    lengths = np.array([len(one) for one in panel.series])
    held = [sum(cut.dev - cut.train for cut in panel.cuts), sum(cut.end - cut.dev for cut in panel.cuts)]
    missing = np.mean(np.concatenate([~np.isfinite(one.values[: one.end]) for one in panel.series]))
    return (
        f"{f'{len(lengths):,} series'} of {lengths.min():,} to {lengths.max():,} steps, {missing:.1%} missing; "
        f"held back: {held[0]:,} steps for validation, {held[1]:,} for testing."
    )


def _is_constant(values: np.ndarray) -> bool:
    seen = values[np.isfinite(values)]
    return not len(seen) or bool(np.ptp(seen) == 0)


def _flat(panel: Panel) -> list[Finding]:
    """Long stretches of one value, which are often a dead meter."""
    found = []
    for one in panel.series:
        same = np.concatenate([[0], (np.diff(one.values) == 0).astype(int), [0]])
        edges = np.flatnonzero(np.diff(same))
        runs = edges[1::2] - edges[::2]
        if len(runs) and 50 < runs.max() < 0.5 * len(one) and one.values[edges[::2][np.argmax(runs)]] != 0:
            found.append(
                f"{one.name or 'the series'}: {runs.max() + 1:,} steps at {one.values[edges[::2][np.argmax(runs)]]:g}"
            )
    return [Finding("warning", f"flat stretches: {listed(found)}.")] if found else []


def _in_line(both: np.ndarray) -> bool:
    """Whether enough pairs [2, N] lie on a line; their size does not matter."""
    if both.shape[1] <= 20:
        return False
    both = both / np.maximum(np.abs(both).max(axis=1, keepdims=True), 1e-300)
    return bool(both.std(axis=1).min() > 0 and abs(np.corrcoef(both)[0, 1]) > 0.9999)


def _leaks(panel: Panel, data: SeriesData, horizon: int) -> list[Finding]:
    """Covariates that equal the value to come."""
    found = []
    for kind, columns in (("known", data.known), ("past", data.past)):
        for index, column in enumerate(columns):
            for shift in (0, *((1, horizon) if kind == "past" else ())):
                pairs = []
                for one in panel.series[:20]:
                    covariate = getattr(one, kind)[: max(0, len(one) - shift), index]
                    pairs.append(np.stack([covariate, one.values[shift:]]))
                both = np.concatenate(pairs, axis=1)
                if _in_line(both[:, np.isfinite(both).all(axis=0)]):
                    if kind == "past" and shift == 0:
                        continue  # the value itself again, which the past may hold
                    when = "the value of the same step" if shift == 0 else f"the value {counted(shift, 'step')} later"
                    found.append(
                        Finding("warning", f"{kind} column {column} equals {when}: a leak of what is to be forecast?")
                    )
    return found


def _weekends(panel: Panel) -> list[Finding]:
    """Whether what is missing are whole weekdays, as on an exchange."""
    if panel.step != Step("seconds", 86_400):
        return []
    one = panel.series[0]
    weekday = one.clock // 86_400 % 7
    missing = [float(np.mean(~np.isfinite(one.values[weekday == day]))) for day in range(7)]
    empty = sum(share > 0.98 for share in missing)
    if not 0 < empty < 7:
        return []
    return [
        Finding(
            "warning", f"{empty} days of the week never have a value. If only trading days count, set data.step: rows."
        )
    ]
