"""An exported forecaster on later data: rolling origins over a table, answered as it is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from seqpipe.config.data import source_text
from seqpipe.data.examples import Examples
from seqpipe.data.findings import Finding, listed
from seqpipe.errors import DataError, ModelError
from seqpipe.export.artefact import KERAS_MODEL, PARITY
from seqpipe.series.table import Series, read_series
from seqpipe.series.windows import EVALUATED, Cut, held_back_origins, stride
from seqpipe.storage import write_json, write_text
from seqpipe.tasks.forecasting.artefact import window_row
from seqpipe.tasks.forecasting.data import Facts, Panel

if TYPE_CHECKING:
    from seqpipe.serving.model import Model
    from seqpipe.tasks.forecasting.task import Forecasting
    from seqpipe.tasks.protocol import Report

BATCH = 256


def evaluate_served(task: Forecasting, model: Model, directory: Path) -> tuple[Report, list[Finding]]:
    """The report on windows of the source that have a look-back, of the series that the model knows."""
    import keras

    import seqpipe.layers  # noqa: F401  makes them known to Keras
    from seqpipe.tasks.forecasting.pictures import draw
    from seqpipe.tasks.forecasting.report import expert_forecasts, judge, windows_of

    facts = json.loads((model.path / PARITY).read_text(encoding="utf-8"))["facts"].get("facts")
    if facts is None:
        raise ModelError(f"{model.path}/{PARITY} does not say what the training data fixed.")
    source, known = task.config.data.train, Facts(**facts)
    read = read_series(source, task.config.data, "test")
    given, step, findings = read.series, read.step, read.findings
    if step != (own := known.frame().step):
        raise DataError(f"{source_text(source)} has a step of {step}; that of {model.path} is {own}.")
    found = {one.name: one for one in given if one.name in known.names}
    if not found:
        raise DataError(f"None of the series is known to {model.path}. It knows {', '.join(known.names[:5])}.")
    others = [one.name for one in given if one.name not in found]
    if others:
        findings.append(Finding("warning", f"{len(others)} of {len(given)} series are not known: {listed(others)}."))
    text = "Whether the model learned from these values was not checked: on those it is better than on any to come."
    findings.append(Finding("info", f"{text} Climatology, which needs training values, is not among the baselines."))
    # Each keeps its number in the network: series that are not in the source have no values.
    series = [found.get(name) or _empty(name, next(iter(found.values()))) for name in known.names]
    cuts = [Cut(0, min(known.look_back, one.end), one.end) for one in series]  # nothing here was learned from
    task.facts, task.panel = known, Panel(series, cuts, step)
    origins = [held_back_origins(cut.dev, cut.end, horizon=task.horizon) for cut in cuts]
    every = stride(sum(map(len, origins)), EVALUATED, known.seasons)
    origins = [places[::-1][::every][::-1] for places in origins]
    if not sum(map(len, origins)):
        raise DataError(f"No series is longer than look-back and horizon, {known.look_back + task.horizon:,} steps.")
    examples = task._windows(origins, None)
    windows = windows_of(task, examples)
    network = keras.saving.load_model(model.path / KERAS_MODEL)
    quantiles = _asked(task, model, windows.examples)
    part = judge(task, expert_forecasts(task, network, windows.examples), windows, quantiles, quantiles)
    part["rows"].write(directory)
    draw(task, windows, quantiles, part["report"], directory)
    report = {
        "horizon": task.horizon,
        "step": str(step),
        "look_back": known.look_back,
        "seasons": known.seasons,
        "share": float(np.mean(network.get_layer("mix").share.numpy())),
        "splits": {"test": part["report"]},
    }
    write_json(directory / "report.json", report)
    write_text(directory / "report.md", f"# Report on {source}\n\n{task.describe(report)}\n")
    return report, findings


def _empty(name: str, other: Series) -> Series:
    """A series without a step, of the columns of another."""
    return Series(
        name, other.clock[:0], other.grid[:0], other.values[:0], other.known[:0], other.past[:0], other.static
    )


def _asked(task: Forecasting, model: Model, examples: Examples) -> np.ndarray:
    """Quantiles [N, H, Q] as the SavedModel answers."""
    found = []
    for start in range(0, len(examples), BATCH):
        batch = examples.batch(np.arange(start, min(start + BATCH, len(examples))))
        places = zip(batch["place"].tolist(), batch["series"].tolist(), strict=True)
        rows = [window_row(task, place, number, task.facts.look_back) for place, number in places]
        inputs = {name: np.stack([row[name] for row in rows]) for name in model.takes("serving_default")}
        answer = model.call("serving_default", {name: tf.constant(value) for name, value in inputs.items()})
        columns = dict(zip(task.config.model.quantiles, np.moveaxis(answer["quantiles"], 2, 0), strict=True))
        columns[0.5] = answer["median"]
        found.append(np.stack([columns[level] for level in task.levels], axis=2))
    return np.concatenate(found).astype(np.float64)
