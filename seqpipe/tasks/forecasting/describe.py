"""The report on a forecaster in words: first who won, then by how much."""

from __future__ import annotations

from seqpipe.evaluation.figures import percent
from seqpipe.evaluation.tables import Table
from seqpipe.tasks.protocol import Report

SIGNIFICANT = 0.05
SERIES_SHOWN = 10
RIDGE = "ridge"
PHRASES = {
    "last value": "repeating the last value",
    "seasonal naive": "repeating the last season",
    "drift": "a straight line through the past",
    RIDGE: "its own ridge, a line through past values",
}


def verdict(part: Report) -> str:
    """Whether the model beats the best simple baseline, and its own ridge; claimed only where chance is unlikely."""
    found = {row["name"]: row for row in part.get("baselines", [])}
    if not found:
        return "No baselines were asked for, so nothing is claimed."
    ours = part["measures"]["mase"]["value"]
    simple = min((row for name, row in found.items() if name != RIDGE), key=lambda row: row["mase"])
    test = f"MASE {ours:.3f} against {simple['mase']:.3f}, Diebold-Mariano p = {simple['p_holm']:.2g} after Holm"
    name = PHRASES.get(simple["name"], simple["name"])
    match _compared(ours, simple):
        case "better":
            said = f"Better than {name}, the best simple baseline ({test})."
        case "worse":
            said = f"Worse than {name} ({test}): use that instead."
        case _:
            said = f"No better than {name} ({test}): nothing else is claimed."
    if RIDGE not in found:
        return said
    test = f"MASE {found[RIDGE]['mase']:.3f}, p = {found[RIDGE]['p_holm']:.2g}"
    result = {"better": "Better than", "worse": "Worse than", "equal": "No better than"}[_compared(ours, found[RIDGE])]
    return f"{said} {result} {PHRASES[RIDGE]} ({test})."


def _compared(ours: float, other: Report) -> str:
    if other["p_holm"] > SIGNIFICANT or ours == other["mase"]:
        return "equal"
    return "better" if ours < other["mase"] else "worse"


def judged(report: Report) -> Report:
    """The split that a verdict is on."""
    return report["splits"].get("test", report["splits"].get("dev", {}))


def describe(report: Report) -> str:
    """The report as sections of level three."""
    lines = [f"### Verdict\n\n{verdict(judged(report))}\n"]
    if judged(report).get("repeats_last"):
        lines.append(
            "Its first step follows the last value more closely than the value that comes: it repeats the past.\n"
        )
    seasons = ", ".join(map(str, report["seasons"])) or "none"
    lines.append(
        f"It looks back {report['look_back']:,} steps of {report['step']} and forecasts "
        f"{report['horizon']:,}; seasons in "
        f"steps: {seasons}. The network's share beside the ridge is {percent(report['share'], 0)}, "
        "fitted on validation.\n"
    )
    if report.get("refit") and "test" in report["splits"]:
        lines.append(
            "What is published was trained once more, on training and validation together, for as many epochs as were "
            "best: dev's figures are of the model before, test's of what is published.\n"
        )
    for split, part in report["splits"].items():
        lines.append(f"### {split}\n\n{_split(part)}")
        if part.get("statsmodels_left_out"):
            lines.append("Theta and ETS were left out: there are too many windows for a fit each.\n")
    return "\n".join(lines)


def _split(part: Report) -> str:
    rows = [["this model", *_figures(part, part["measures"]["mase"]["value"]), "", ""]]
    rows += [
        [row["name"], *_figures(row, row["mase"]), f"{row['dm']:+.2f}", f"{row['p_holm']:.2g}"]
        for row in part["baselines"]
    ]
    header = ["forecast", "MASE", "MAE", "RMSE", "sMAPE, %", "MSE, std", "MAE, std", "DM", "p (Holm)"]
    table = Table(header, rows, left=["forecast"]).markdown()
    covered = [
        [percent(row["share"], 0), *_covered(row["exported"]), *_covered(row["rolling"])] for row in part["intervals"]
    ]
    intervals = Table(
        ["interval", "covers, as exported", "width, std", "covers, rolling", "width, std"], covered
    ).markdown()
    undefined = ""
    if part["mase_undefined"] == part["windows"]:
        undefined = " All series are constant in training, where MASE is undefined: MAE stands in its place."
    elif part["mase_undefined"]:
        undefined = (
            f" MASE is undefined for {part['mase_undefined']:,} windows of constant series, which it leaves out."
        )
    return (
        f"{part['windows']:,} windows of {part['series']:,} series; weighted quantile loss "
        f"{part['weighted_quantile_loss']:.4f}.{undefined} DM above 0: this model is "
        f"better.\n\n{table}\n\n{intervals}\n{_broken(part['intervals'])}"
        f"{_by_series(part['by_series'])}"
    )


def _by_series(mase: dict[str, float]) -> str:
    """Of several series, where it forecasts worst and where best."""
    rows = [[name, f"{value:.3f}"] for name, value in sorted(mase.items(), key=lambda item: -item[1])]
    if len(rows) < 2:
        return ""
    half = SERIES_SHOWN // 2
    shown = rows if len(rows) <= SERIES_SHOWN else [*rows[:half], ["…", ""], *rows[-half:]]
    table = Table(["series", "MASE"], shown, left=["series"]).markdown()
    which = "All" if len(rows) <= SERIES_SHOWN else f"Of {len(rows):,} the {half} worst and the {half} best"
    return f"\n{which} series by their MASE, the worst first:\n\n{table}\n"


def _broken(intervals: list[Report]) -> str:
    """Which intervals cover less than they promise, beyond chance."""
    short = [percent(row["share"], 0) for row in intervals if row["exported"]["high"] < row["share"]]
    return f"\nIntervals of {' and '.join(short)} cover less than they promise here.\n" if short else ""


def _covered(found: dict[str, float]) -> list[str]:
    value, low, high = (percent(found[key], 1) for key in ("value", "low", "high"))
    return [f"{value} ({low} to {high})", f"{found['width']:.2f}"]


def _figures(row: Report, mase: float) -> list[str]:
    return [
        f"{mase:.3f}",
        *(f"{row[name]:.4g}" for name in ("mae", "rmse", "smape")),
        *(f"{row[name]:.3f}" for name in ("standardised_mse", "standardised_mae")),
    ]
