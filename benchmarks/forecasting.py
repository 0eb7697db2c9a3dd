"""Figures of forecasters on public series, beside what is published: chosen on validation, told on test.

    python benchmarks/forecasting.py DATA [--sets ett96,melbourne,...] [--seeds 1] [--no-refit]

DATA is a folder with ett/ETTh1.csv.gz, melbourne.csv.gz and series/*.csv.gz. One line of Markdown a set and seed.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time
from pathlib import Path
from typing import Any

from seqpipe.runs.run import open_run
from seqpipe.tasks.forecasting.config import ForecastingPipeline

ETT = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
NAIVE2 = {"weekly": (9.161, 2.777), "hourly": (18.383, 2.395)}  # sMAPE and MASE of M4's Naive2, whose OWA is 1
M4 = {  # seasons, horizon, windows a step
    "weekly": ([1], 13, 128),
    "hourly": ([24, 168], 48, 32),
}


def etth1(data: Path, place: Path, horizon: int) -> dict[str, Any]:
    """The split of the literature: 8,640, 2,880 and 2,880 rows, every window; validation in whole horizons."""
    with gzip.open(data / "ett" / "ETTh1.csv.gz", "rt") as file:
        header, *rows = file.read().split("\n")[: 1 + 14_400]
    for name, some in (("train", rows[:11_520]), ("test", rows[11_520:])):
        (place / f"{name}.csv").write_text("\n".join([header, *some]) + "\n")
    return {
        "data": {
            "train": f"files:{place / 'train.csv'}",
            "test": f"files:{place / 'test.csv'}",
            "time_column": "date",
            "values": ETT,
            "validation_windows": 2880 // horizon,
            "every_steps": 1,
        },
        "features": {"look_back_steps": 336, "seasons_steps": [24]},
        "model": {"horizon_steps": horizon, "segment_steps": 48},
        "training": {"loss": "mae", "epochs": 8, "batch_size": 256},
    }


def melbourne(data: Path, place: Path, horizon: int = 14) -> dict[str, Any]:
    """Validation 1988, test 1989 and 1990."""
    table = {"train": f"files:{data / 'melbourne.csv.gz'}", "time_column": "Date", "value_column": "Temp"}
    held_back = {"validation_windows": 365 // horizon, "test_windows": 730 // horizon, "every_steps": 1}
    return {
        "data": table | held_back,
        "model": {"horizon_steps": horizon, "recurrent": {"units": 32}},
        "training": {"loss": "mae"},
    }


def load(data: Path, place: Path) -> dict[str, Any]:
    table = {
        "train": f"files:{data / 'series' / 'vic_elec.csv.gz'}",
        "time_column": "Time",
        "value_column": "Demand",
        "time_zone": "Australia/Melbourne",
        "known": ["Temperature", "Holiday"],
        "validation_windows": 100,
        "test_windows": 200,
    }
    return {
        "data": table,
        "features": {"look_back_steps": 336},
        "model": {"horizon_steps": 48, "segment_steps": 48},
        "training": {"loss": "mae", "epochs": 10, "learning_rate": 0.002},
    }


def m4(data: Path, place: Path, kind: str) -> dict[str, Any]:
    """The last values are the test of the competition; validation before them."""
    table = {
        "train": f"files:{data / 'series' / f'm4_{kind}_train.csv.gz'}",
        "test": f"files:{data / 'series' / f'm4_{kind}_test.csv.gz'}",
        "validation_windows": 1,
        "every_steps": 13,
    }
    seasons, horizon, batch = M4[kind]
    return {
        "data": table,
        "features": {"seasons_steps": seasons, "transform": "log1p"},
        "model": {"horizon_steps": horizon},
        "training": {"loss": "mae", "batch_size": batch, "learning_rate": 0.003},
    }


def stocks(data: Path, place: Path) -> dict[str, Any]:
    table = {"train": f"files:{data / 'series' / 'stocks.csv.gz'}", "series_column": "stock", "time_column": "Date"}
    return {
        "data": {**table, "step": "rows"},
        "features": {"transform": "log", "look_back_steps": 60, "seasons_steps": []},
        "model": {"horizon_steps": 5, "normalisation": "changes", "recurrent": {"units": 32}},
        "training": {"epochs": 6},
    }


def weather(data: Path, place: Path) -> dict[str, Any]:
    table = {
        "train": f"files:{data / 'series' / 'weather_us.csv.gz'}",
        "series_column": "location",
        "time_column": "date",
    }
    return {
        "data": {**table, "value_column": "temp_max", "past": ["temp_min", "wind", "precipitation"]},
        "model": {"horizon_steps": 7, "recurrent": {"units": 96}},
        "training": {"batch_size": 16},
    }


SETS = {
    "ett96": lambda data, place: etth1(data, place, 96),
    "ett336": lambda data, place: etth1(data, place, 336),
    "ett720": lambda data, place: etth1(data, place, 720),
    "melbourne": melbourne,
    "melbourne1": lambda data, place: melbourne(data, place, 1),
    "load": load,
    "weekly": lambda data, place: m4(data, place, "weekly"),
    "hourly": lambda data, place: m4(data, place, "hourly"),
    "stocks": stocks,
    "weather": weather,
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path)
    options.add_argument("--sets", default="ett96,melbourne,load,weekly,hourly,stocks,weather")
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--no-refit", action="store_true", help="without training once more on validation too")
    given = options.parse_args()
    print("| set | seed | MSE, std | MAE, std | MAE | MASE | OWA | covers 80 %, 95 % | network | s | verdict |")
    print("|---|---:|---:|---:|---:|---:|---:|---|---:|---:|---|")
    for name in given.sets.split(","):
        for seed in range(1, given.seeds + 1):
            with tempfile.TemporaryDirectory() as place:
                tree = SETS[name](given.data.resolve(), Path(place)) | {"name": name, "seed": seed}
                tree["training"] = tree["training"] | {"refit": not given.no_refit}
                print(measured(tree, name, place), flush=True)


def measured(tree: dict[str, Any], name: str, place: str) -> str:
    from seqpipe.tasks.forecasting.describe import verdict

    config = ForecastingPipeline.model_validate({**tree, "run_directory": place})
    start = time.process_time()
    with open_run(config, say=lambda line: None) as run:
        run.train()
        report = run.evaluate()
    seconds = time.process_time() - start
    part = report["splits"]["test"]
    mase = part["measures"]["mase"]["value"]
    owa = "–"
    if name in NAIVE2:
        smape, naive = NAIVE2[name]
        owa = f"{(part['smape'] / smape + mase / naive) / 2:.3f}"
    covered = ", ".join(f"{100 * row['rolling']['value']:.1f}" for row in reversed(part["intervals"]))
    return (
        f"| {name} | {config.seed} | {part['standardised_mse']:.3f} | {part['standardised_mae']:.3f} "
        f"| {part['mae']:.4g} | "
        f"{mase:.3f} | {owa} | {covered} | {report['share']:.0%} | {seconds:.0f} | {verdict(part)} |"
    )


if __name__ == "__main__":
    main()
