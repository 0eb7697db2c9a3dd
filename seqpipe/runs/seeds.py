"""The same pipeline with several seeds: a run each, what they say together, and the one that dev chooses."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from seqpipe.config.pipeline import SEED_LIMIT, Pipeline
from seqpipe.errors import ConfigError, RunError
from seqpipe.evaluation.measures import Measure
from seqpipe.evaluation.tables import Table
from seqpipe.runs.outcome import Outcome, Spread, read_outcome
from seqpipe.runs.run import open_run
from seqpipe.storage import write_json

if TYPE_CHECKING:
    from seqpipe.tasks.protocol import Callbacks

MOST_SEEDS = 1_000


def parse_seeds(text: str, first: int) -> list[int]:
    """The seeds that `--seeds` names: so many from `first` on, or each by itself.

    >>> parse_seeds("3", first=7), parse_seeds("1,5,9", first=7)
    ([7, 8, 9], [1, 5, 9])

    Raises:
        ConfigError: no numbers, fewer than two seeds, a seed twice, or one out of range.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(
            [f"--seeds {text}: write how many, such as --seeds 3, or the seeds themselves, such as --seeds 1,5,9."]
        ) from None
    if (len(numbers) if "," in text else numbers[0]) > MOST_SEEDS:
        raise ConfigError([f"--seeds {text}: too many. Allowed: 2 to {MOST_SEEDS:,}."])
    seeds = numbers if "," in text else list(range(first, first + numbers[0]))
    if len(seeds) < 2:
        raise ConfigError([f"--seeds {text}: a spread takes at least two seeds. For one seed use --set seed=..."])
    repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if repeated:
        raise ConfigError(
            [f"--seeds {text}: {', '.join(map(str, repeated))} stands twice. The same seed gives the same run again."]
        )
    outside = [seed for seed in seeds if not 0 <= seed < SEED_LIMIT]
    if outside:
        raise ConfigError([f"--seeds {text}: {outside[0]} is no seed. Allowed: 0 to {SEED_LIMIT - 1}."])
    return seeds


def run_seeds(
    config: Pipeline,
    seeds: Sequence[int],
    *,
    publish: bool,
    fresh: bool,
    out: Console,
    callbacks: Callable[[Pipeline], Callbacks],
) -> Path | None:
    """Train a run for each seed, print their figures and spread; with `publish` evaluate all and export the best.

    The runs are ordinary ones, NAME-seedN; the first pre-trains for all. The published model has the pipeline's own
    name; dev chooses it.

    Args:
        publish: as `seqpipe run` does; else only train.
        fresh: forget what the run directories hold.
        callbacks: Keras callbacks for a run's configuration, as `open_run` takes them.
    Returns:
        The published artefact, or None without `publish`.
    """
    import keras

    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it takes a function traced for each seed for a mistake
    if os.environ.get("TF_CONFIG"):
        raise RunError("--seeds and TF_CONFIG exclude each other: train each seed on its own with --set seed=...")
    configs = _configs(config, seeds)
    outcomes, keys = [], set()
    for number, each in enumerate(configs):
        out.print(f"Seed {each.seed}: {each.run_path}")
        keras.backend.clear_session()  # layers get the names they would have in a process of their own
        with open_run(each, fresh=fresh, say=out.print, callbacks=callbacks(each)) as run:
            if publish and number == 0 and not run.finished("evaluate"):
                for finding in run.findings:
                    out.print(f"{finding.severity}: {finding.text}")
            _ = run.findings
            keys.add(run.task.splits_key())
            if len(keys) > 1:
                raise RunError(
                    f"The data is no longer what {configs[0].run_path} was trained on, and seeds of several data have "
                    "no mean. Use --fresh to start over, or give the new runs another name: --set name=..."
                )
            run.train()
            if publish:
                run.evaluate()
        outcomes.append(read_outcome(each.run_path))
    out.print()
    out.print(_table(outcomes).grid())
    out.print(f"\n{summary(outcomes)}")
    _write_summary(config.run_path.with_name(f"{config.name}-seeds.json"), outcomes)
    if not publish:
        return None
    best = outcomes.index(best_of(outcomes))
    out.print(f"Publishing seed {seeds[best]}, the best on dev, as {config.name}")
    with open_run(configs[best], say=out.print) as run:
        return run.export(name=config.name, note=summary(outcomes), section=to_markdown(outcomes))


def _configs(config: Pipeline, seeds: Sequence[int]) -> list[Pipeline]:
    """A configuration for each seed; what one run does for all, such as pre-training, the first does."""
    first, *later = [
        config.model_copy(update={"name": f"{config.name}-seed{seed}", "seed": seed}, deep=True) for seed in seeds
    ]
    return [first, *(each.for_later_seed(first) for each in later)]


def best_of(outcomes: Sequence[Outcome]) -> Outcome:
    """The run with the best monitored dev figure that is a finite number; the first of equals."""
    best, *others = [outcome for outcome in outcomes if math.isfinite(outcome.figure)] or outcomes
    for outcome in others:
        if best.monitor.better(outcome.figure, best.figure):
            best = outcome
    return best


def summary(outcomes: Sequence[Outcome]) -> str:
    """The monitored dev figure over all seeds, in a line."""
    monitor = outcomes[0].monitor
    spread = Spread.of(outcome.figure for outcome in outcomes)
    low, high, mean, deviation = map(monitor.shown, (spread.low, spread.high, spread.mean, spread.deviation or 0.0))
    return (
        f"dev {monitor.title} over {spread.n} seeds: mean {mean}, sample standard deviation {deviation}, "
        f"{low} to {high}"
    )


def to_markdown(outcomes: Sequence[Outcome]) -> str:
    """How the model was chosen among its seeds, as a section of the card."""
    best = best_of(outcomes)
    mean = summary(outcomes)
    starts = {outcome.config.get("model.start_from") for outcome in outcomes}
    once = " Pre-training was done once, by the first; the spread is that of what followed." if len(starts) > 1 else ""
    return (
        f"### Seeds\n\nThe same pipeline was trained with {len(outcomes)} seeds. This model is the one of seed "
        f"{best.seed}, which has the best dev {best.monitor.title}. Its own dev figure leans to the good side "
        f"therefore; the mean says what another training would give.{once}\n\n{mean[0].upper()}{mean[1:]}.\n\n"
        f"{_table(outcomes).markdown()}\n"
    )


def _table(outcomes: Sequence[Outcome]) -> Table:
    """A run each, then mean and standard deviation of each figure."""
    monitor, measure = outcomes[0].monitor, outcomes[0].measure
    columns: dict[str, tuple[Measure, list[float]]] = {
        f"dev {monitor.title}": (monitor, [outcome.figure for outcome in outcomes])
    }
    for split in ("dev", "test"):
        figures = [figure["value"] for outcome in outcomes if (figure := outcome.measured(split)) is not None]
        if len(figures) == len(outcomes):
            columns.setdefault(f"{split} {measure.title}", (measure, figures))
    rows = [
        [
            outcome.name,
            *(shown.shown(values[number]) for shown, values in columns.values()),
            str(len(outcome.epochs)),
            f"{outcome.seconds:,.0f}",
        ]
        for number, outcome in enumerate(outcomes)
    ]
    spreads = [(shown, Spread.of(values)) for shown, values in columns.values()]
    rows.append(["mean", *(shown.shown(spread.mean) for shown, spread in spreads), "", ""])
    rows.append(["standard deviation", *(shown.shown(spread.deviation or 0.0) for shown, spread in spreads), "", ""])
    return Table(["run", *columns, "epochs", "training, s"], rows, left=["run"])


def _write_summary(file: Path, outcomes: Sequence[Outcome]) -> None:
    facts: dict[str, object] = {
        "monitor": outcomes[0].monitor.name,
        "dev": vars(Spread.of(outcome.figure for outcome in outcomes)),
        "chosen": best_of(outcomes).seed,
        "runs": [
            {
                "name": outcome.name,
                "seed": outcome.seed,
                "dev": outcome.figure,
                "epochs": len(outcome.epochs),
                "seconds": outcome.seconds,
                "test": outcome.measured("test"),
            }
            for outcome in outcomes
        ],
    }
    write_json(file, facts)
