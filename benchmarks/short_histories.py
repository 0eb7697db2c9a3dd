"""How well a forecaster of its own training table answers histories that are cut short: by how many values it is given.

    python benchmarks/short_histories.py MODEL [--origins 60]

Origins lie in the last tenth of each series, which the model may have learned from: lines are to be compared with the
last one, not with the model's card. MAE in units of the table; coverage is of the widest interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

import seqpipe
from seqpipe.series.table import Series, read_series
from seqpipe.serving.find import pipeline_of


def row(one: Series, end: int, given: int, ahead: int, names: list[str]) -> dict[str, Any]:
    """What a model is asked that is given so many values before `end`."""
    back = slice(end - given, end)
    known = one.known[end - given : end + ahead]
    every = {"values": one.values[back], "time": int(one.clock[end - 1]), "series": one.name, "known": known}
    every |= {"past": one.past[back], "static": list(one.static)}
    return {name: every[name] for name in names}


def origins(one: Series, ahead: int, longest: int, count: int) -> Iterator[int]:
    first = max(longest, len(one) - len(one) // 10)
    yield from np.unique(np.linspace(first, len(one) - ahead, count).astype(int)).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--origins", type=int, default=60, help="of each series")
    arguments = parser.parse_args()
    model: Any = seqpipe.load(arguments.model)
    reads, ahead, longest = model.input, model.input.ahead, model.input.look_back
    table = read_series(pipeline_of(model.path)["data"]["train"], reads.table, "test", step=reads.step)
    places = [(one, end) for one in table.series for end in origins(one, ahead, longest, arguments.origins)]
    wanted = np.array([one.values[end : end + ahead] for one, end in places])
    seen = np.isfinite(wanted)
    print(f"{len(places)} windows of {len(table.series)} series\n\n| values given | MAE | covered |\n|---:|---:|---:|")
    for given in (longest // 16, longest // 8, longest // 4, longest // 2, longest):
        answers = model([reads.from_value(row(one, end, given, ahead, reads.names)) for one, end in places])
        median = np.array([answer["median"] for answer in answers])
        quantiles = np.array([answer["quantiles"] for answer in answers])
        inside = (quantiles[:, :, 0] <= wanted) & (wanted <= quantiles[:, :, -1])
        print(f"| {given} | {np.abs(median - wanted)[seen].mean():.2f} | {inside[seen].mean():.1%} |", flush=True)


if __name__ == "__main__":
    main()
