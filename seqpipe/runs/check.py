"""What `seqpipe check` prints: data findings, features, receptive fields and padding; nothing is trained or kept."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table as Grid

from seqpipe.config.pipeline import Pipeline
from seqpipe.data.batches import padding_fraction
from seqpipe.errors import DataError
from seqpipe.tasks import make_task

if TYPE_CHECKING:
    import keras


def check_pipeline(config: Pipeline, out: Console) -> None:
    """Read, validate, fit features in a temporary directory, build the model, print the reports.

    Raises:
        DataError: the data has errors, or a kernel is longer than every input.
        ModelError: the model cannot be built.
    """
    task = make_task(config)
    out.print("Data")
    for finding in task.read():
        out.print(f"  {finding.severity}: {finding.text}")
    with tempfile.TemporaryDirectory(prefix="seqpipe-check-") as place:
        task.fit_features(Path(place) / "features")
        examples = task.examples("train")
        model = task.build()
    for line in task.features_found():
        out.print(f"  {line}")
    lengths = examples.lengths
    if lengths.max(initial=0) <= 1:  # rows that are read as a whole
        out.print(f"\nTraining inputs\n  {len(lengths):,} rows an epoch")
        return
    low, median, high = (int(value) for value in np.percentile(lengths, [5, 50, 95]))
    plan = task.plan(examples, batch_size=config.training.batch_size, seed=config.seed, epoch=0)
    out.print(
        f"\nTraining inputs\n  {len(lengths):,} rows, {len(plan):,} batches an epoch; steps a row: median {median:,}, "
        f"90 % within {low:,} to {high:,}, longest {lengths.max():,}\n"
        f"  padding: {padding_fraction(lengths, plan):.1%} of the steps in a batch"
    )
    out.print("\nReceptive fields")
    report_receptive_fields(model, lengths, out)


def report_receptive_fields(model: keras.Model, lengths: np.ndarray, out: Console) -> None:
    """Print a row a layer; lengths int [N] are those of the training rows."""
    from seqpipe.models import receptive_field_report

    typical = max(1, int(np.median(lengths)))
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for title in ("layer", "sees", "stride", "parameters", "shared", "dense would need"):
        grid.add_column(title, justify="left" if title == "layer" else "right")
    rows = receptive_field_report(model, typical_steps=typical)
    for row in rows:
        sees = "all" if row.receptive_field is None else f"{row.receptive_field:,}"
        grid.add_row(
            row.name,
            sees,
            str(row.stride),
            f"{row.parameters:,}",
            f"{row.times_shared:,} x",
            f"{row.dense_parameters:,}",
        )
    out.print(grid)
    out.print(
        f"  counted for a row of {typical:,} steps (the median): how many steps share the parameters, and what a dense "
        "layer between the same input and output would need"
    )
    longest = int(lengths.max(initial=0))
    for row in rows:
        if row.shortest_input > longest:
            raise DataError(
                f"{row.name} sees {row.shortest_input:,} steps and the longest training row has {longest:,}: the "
                "kernel would always reach into padding. Make kernel_size, dilation or pool smaller."
            )
        shorter = float(np.mean(lengths < row.shortest_input))
        if shorter > 0.5:
            out.print(f"  warning: {row.name} sees {row.shortest_input:,} steps; {shorter:.0%} of the rows are shorter")
