"""Generated series: three shops by the hour, with two seasons, a trend, a level shift, gaps and a known covariate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seqpipe.data.sources import source_options, whole_number_option
from seqpipe.errors import DataError, not_allowed

NAMES = ("harbour", "market", "station")
COLUMNS = ["series", "time", "value", "offer", "visitors", "region"]
START = np.datetime64("2024-01-01T00", "h")


def builtin_rows(source: str) -> tuple[list[str], Iterator[dict[str, str]]]:
    """Column names and rows of `builtin:series[?rows=3000&series=3&seed=1]`; rows: steps of each series.

    Raises:
        DataError: there is no such data set or option.
    """
    name, options = source_options(source, source.partition(":")[2], ("rows", "series", "seed"))
    if name != "series":
        raise DataError(f"{source}: {not_allowed(name, 'builtin data set of series', ['series'])}")
    rows = whole_number_option(source, options, "rows", 2400, 10, 1_000_000)
    count = whole_number_option(source, options, "series", 3, 1, 1000)
    seed = whole_number_option(source, options, "seed", 1, 0, 2**31 - 1)
    return COLUMNS, _rows(rows, count, seed)


def _rows(rows: int, count: int, seed: int) -> Iterator[dict[str, str]]:
    times = np.datetime_as_string(START + np.arange(rows), unit="m").tolist()
    for number in range(count):
        name = NAMES[number] if number < len(NAMES) else f"shop{number + 1}"
        values, offer, visitors = generate(rows, seed=seed, number=number)
        region = "coast" if number % 2 == 0 else "inland"
        for time, value, on_offer, visited in zip(times, values, offer, visitors, strict=True):
            shown = "" if np.isnan(value) else f"{value:.2f}"
            yield {
                "series": name,
                "time": time,
                "value": shown,
                "offer": f"{on_offer:.0f}",
                "visitors": f"{visited:.0f}",
                "region": region,
            }


def generate(rows: int, *, seed: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (NaN where missing), the known covariate and the one known only afterwards; float64 [rows] each."""
    rng = np.random.default_rng([seed, number])
    hours = np.arange(rows)
    scale = 10.0 ** rng.uniform(0.5, 3.0)
    day = np.sin(2 * np.pi * (hours - rng.uniform(5, 9)) / 24) + 0.4 * np.sin(4 * np.pi * hours / 24)
    week = np.where(hours // 24 % 7 >= 5, -0.6, 0.0)
    noise = np.zeros(rows)
    shocks = 0.15 * rng.normal(size=rows)
    for step in range(1, rows):
        noise[step] = 0.7 * noise[step - 1] + shocks[step]
    offer = np.repeat(rng.random(rows // 12 + 1) < 0.15, 12)[:rows].astype(float)
    shift = np.where(hours >= int(rows * rng.uniform(0.3, 0.6)), rng.uniform(-0.5, 0.5), 0.0)
    level = 3.0 + 0.3 * hours / max(1, rows) + day * (1 + 0.3 * (week < 0)) + week + 0.8 * offer + shift + noise
    values = scale * level
    visitors = np.maximum(0, 20 * (level + 0.5 * rng.normal(size=rows)))
    for start in rng.integers(0, rows, size=max(1, rows // 600)):
        values[start : start + rng.integers(1, 30)] = np.nan
    values[-1] = scale * level[-1]
    return values, offer, visitors
