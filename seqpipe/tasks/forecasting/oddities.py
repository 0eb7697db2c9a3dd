"""What is strange about series, before a forecaster learns from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.config.series import SeriesData
from seqpipe.data.findings import Finding, counted, listed, raise_errors
from seqpipe.series.clock import Step
from seqpipe.series.windows import Cut

if TYPE_CHECKING:
    from seqpipe.tasks.forecasting.data import Panel


COARSE = 0.05  # of a usual change: a step from number to number that is noticed


def looked_at(panel: Panel, data: SeriesData, horizon: int) -> list[Finding]:
    """What is strange about the series themselves."""
    findings = [Finding("info", _sizes(panel)), *_fewer(panel.cuts, data, horizon), *_short(panel, horizon)]
    raise_errors(findings)
    findings += [*_flat(panel), *_coarse(panel), *_leaks(panel, data, horizon), *_weekends(panel)]
    both = list(zip(panel.series, panel.cuts, strict=True))
    tested = [one.clock[cut.dev] for one, cut in both if cut.end > cut.dev]
    learned = max(one.clock[max(0, cut.dev - 1)] for one, cut in both)  # by what is trained once more, on dev too
    if panel.step.kind in ("seconds", "months") and tested and learned >= min(tested):
        text = "series end at different times: some train on days that others are tested on."
        findings.append(Finding("warning", text))
    return findings


def _short(panel: Panel, horizon: int) -> Iterator[Finding]:
    """Constant series, and those without validation."""
    constant = [one.name for one, values in zip(panel.series, panel.training, strict=True) if _is_constant(values)]
    if constant:
        text = f"{len(constant)} constant in training: {listed(constant)}. MASE is undefined there."
        yield Finding("warning", text)
    untested = [one.name for one, cut in zip(panel.series, panel.cuts, strict=True) if cut.dev == cut.train]
    if untested:
        few = f"{len(untested):,} of {len(panel.series):,} series are too short for validation of {horizon} steps"
        yield Finding("warning", f"{few}: {listed(untested)}.")
    if len(untested) == len(panel.series):
        longest = max(len(one) for one in panel.series)
        yield Finding(
            "error",
            f"every series is too short: the longest has {longest:,} steps, a horizon of {horizon} needs "
            f"{2 * horizon + 1} at least. Lower model.horizon_steps.",
        )
    held_back = np.concatenate(
        [one.values[cut.train : cut.dev] for one, cut in zip(panel.series, panel.cuts, strict=True)]
    )
    if len(held_back) and not np.isfinite(held_back).any():
        text = f"none of the {len(held_back):,} steps held back for validation has a value, so no epoch can be chosen."
        yield Finding("error", f"{text} Leave the empty steps out, or raise data.validation_windows.")


def _fewer(cuts: Sequence[Cut], data: SeriesData, horizon: int) -> Iterator[Finding]:
    """Windows that were asked for and do not fit, since training needs the most."""
    held_back = {"validation": [cut.dev - cut.train for cut in cuts]}
    if data.test is None:
        held_back["test"] = [cut.end - cut.dev for cut in cuts]
    for split, steps in held_back.items():
        asked, most = getattr(data, f"{split}_windows"), max(steps) // horizon
        if asked != "auto" and most < asked:
            text = f"data.{split}_windows = {asked}: {most} of {horizon} steps fit into the longest series"
            yield Finding("warning", f"{text}, for training needs the most.")


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


def without_logarithm(panel: Panel) -> Iterator[Finding]:
    """Values that `features.transform: log` leaves out."""
    found = {}
    for one, training in zip(panel.series, panel.training, strict=True):
        lost = int((one.values <= 0).sum())
        if lost:
            found[f"{one.name or 'the series'} {lost:,} of {np.isfinite(one.values).sum():,}"] = (training > 0).any()
    if found:
        text = f"features.transform = log leaves out values of 0 and below: {listed(list(found))}."
        yield Finding("warning" if all(found.values()) else "error", f"{text} log1p takes all values.")


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


def _coarse(panel: Panel) -> Iterator[Finding]:
    """Series whose changes are small beside their level, of which float32, in which all is computed, loses them."""
    found = []
    for one in panel.series:
        seen = one.values[np.isfinite(one.values)]
        changes = np.abs(np.diff(seen))
        changes = changes[changes > 0]
        if len(changes) and np.abs(seen).max() * np.finfo(np.float32).eps > COARSE * np.median(changes):
            found.append(
                f"{one.name or 'the series'}, about {np.median(seen):g} with changes of {np.median(changes):g}"
            )
    if found:
        text = f"values too large for their changes: {listed(found)}. Seven digits are kept: subtract a constant."
        yield Finding("warning", text)


def _in_line(both: np.ndarray) -> bool:
    """Whether enough pairs [2, N] lie on a line; their size does not matter."""
    if both.shape[1] <= 20:
        return False
    both = both / np.maximum(np.abs(both).max(axis=1, keepdims=True), 1e-300)
    return bool(both.std(axis=1).min() > 0 and abs(np.corrcoef(both)[0, 1]) > 0.9999)


def _leaks(panel: Panel, data: SeriesData, horizon: int) -> Iterator[Finding]:
    """Covariates that equal the value to come; the past may hold the value itself again."""
    for kind, columns, shifts in (("known", data.known, (0,)), ("past", data.past, sorted({1, horizon}))):
        for (index, column), shift in itertools.product(enumerate(columns), shifts):
            pairs = [
                np.stack([getattr(one, kind)[: max(0, len(one) - shift), index], one.values[shift:]])
                for one in panel.series[:20]
            ]
            both = np.concatenate(pairs, axis=1)
            if _in_line(both[:, np.isfinite(both).all(axis=0)]):
                when = "the value of the same step" if shift == 0 else f"the value {counted(shift, 'step')} later"
                text = f"{kind} column {column} equals {when}: a leak of what is to be forecast?"
                yield Finding("warning", text)


def _weekends(panel: Panel) -> Iterator[Finding]:
    """Whether what is missing are whole weekdays, as on an exchange."""
    if panel.step != Step("seconds", 86_400):
        return
    one = max(panel.series, key=len)
    if len(one) < 14:
        return
    weekday = one.clock // 86_400 % 7
    missing = [float(np.mean(~np.isfinite(one.values[weekday == day]))) for day in range(7)]
    empty = sum(share > 0.98 for share in missing)
    if 0 < empty < 7:
        text = f"{empty} days of the week never have a value. If only trading days count, set data.step: rows."
        yield Finding("warning", text)
