"""Runs beside each other: what differs, figures with intervals, paired differences on the same rows, pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from rich.console import Console

from seqpipe.config.overrides import flatten
from seqpipe.errors import RunError
from seqpipe.evaluation import comparison_pictures, paired
from seqpipe.evaluation.measures import LOSS, Figure, Measure
from seqpipe.evaluation.rows import RowFigures
from seqpipe.evaluation.tables import Table
from seqpipe.runs.outcome import RUNS, Outcome, Spread, find_run, read_outcome
from seqpipe.storage import write_json, write_text

# Keys that say where a run is and what is made of it; two runs that differ in nothing else are the same pipeline.
# Of these sections, what changes the figure that is compared is the pipeline's own.
_ASIDE = ("name", "description", "run_directory", "evaluation", "export", "tune", "seed")
_COMPARED = ("export.weight_bits", "evaluation.beam_width", "evaluation.length_penalty")
_SPLITS = ("dev", "test")
PRETRAINED = ("training.pretrain", "model.start_from", "model.embedding.vectors")  # what later seeds take over


@dataclass(frozen=True)
class Contestant:
    """One pipeline: a run, or several with different seeds."""

    runs: list[Outcome]

    @cached_property
    def answers(self) -> dict[str, list[RowFigures]]:
        """Those of each run, by split; a split that a run has no answers kept for is left out."""
        found = {split: [RowFigures.read(run.directory / "report" / split) for run in self.runs] for split in _SPLITS}
        return {
            split: [part for part in parts if part is not None]
            for split, parts in found.items()
            if all(part is not None for part in parts)
        }

    @property
    def name(self) -> str:
        return self.runs[0].name if len(self.runs) == 1 else self.runs[0].name.removesuffix(f"-seed{self.runs[0].seed}")


@dataclass(frozen=True)
class Line:
    """A row of the table.

    figure: by split, {value, low, high}: 95 % interval of a run; lowest and highest of several seeds.
    deviation: by split, the sample standard deviation over seeds; empty for a run.
    difference: by split, {value, low, high} from the first pipeline, row by row; None within that one.
    differs: keys and values that not all runs share.
    """

    name: str
    style: int
    differs: dict[str, object]
    figure: dict[str, Figure | Mapping[str, float]]
    deviation: dict[str, float]
    difference: dict[str, Mapping[str, float] | None]
    parameters: int
    seconds: float
    epochs: float


def compare(names: Sequence[str], *, output: Path | None, out: Console) -> list[Line]:
    """Print the table; write comparison.md, comparison.json and pictures.

    Args:
        names: directories, or names in runs/; the first is what the others are compared with.
        output: for report and pictures; without it runs/FIRST-compared.
    Raises:
        RunError: fewer than two runs, one twice, a run that is not evaluated, evaluated on other rows, or of another
            kind of task.
    """
    outcomes = [read_outcome(path) for path in _directories(names)]
    contestants = _contestants(outcomes)
    splits = _shared_splits(outcomes, contestants)
    lines = _lines(outcomes, contestants, splits)
    directory = output or RUNS / f"{contestants[0].name}-compared"
    first, measure = contestants[0].name, outcomes[0].measure
    pictures = [_curves(contestants, outcomes, directory)]
    for split in splits:
        drawn = [(line.name, line.style, apart) for line in lines if (apart := line.difference[split])]
        if drawn:
            place = directory / f"differences_{split}.png"
            pictures.append(comparison_pictures.differences(drawn, first, split, measure, place))
    table = _table(lines, splits, measure)
    better = "higher" if measure.higher_is_better else "lower"
    named = f"{measure.title} {measure.note}".strip()
    note = (
        f"{named[0].upper()}{named[1:]}: {better} is better. "
        "Of a run, 95 % interval; of several seeds, mean ± sample standard deviation, lowest to highest. Difference "
        f"from {first} on the same rows (several seeds: their mean), 95 % interval of a paired bootstrap. It is of "
        "these trained weights: what another seed would give is not in it."
    )
    if len(contestants) > 2:
        note += f" {len(contestants) - 1} pipelines are compared with {first}, and nothing corrects for that."
    write_text(directory / "comparison.md", _markdown(table, note, pictures))
    write_json(directory / "comparison.json", {"first": first, "lines": [vars(line) for line in lines]})
    _print(table, out)
    out.print(f"{note}\n\nTable and pictures: {directory}")
    return lines


def _directories(names: Sequence[str]) -> list[Path]:
    if len(names) < 2:
        raise RunError("compare takes two runs or more.")
    paths = [find_run(name) for name in names]
    seen: dict[Path, str] = {}
    for name, path in zip(names, paths, strict=True):
        if path.resolve() in seen:
            raise RunError(f"compare {seen[path.resolve()]} {name}: that is the same run twice.")
        seen[path.resolve()] = name
    return paths


def _contestants(outcomes: Sequence[Outcome]) -> list[Contestant]:
    """Runs of one pipeline together, in order of appearance.

    Raises:
        RunError: a seed repeats within a pipeline: its spread would look smaller than it is.
    """
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        same = groups.setdefault(json.dumps(_as_first_seed(outcome, outcomes), sort_keys=True), [])
        for other in same:
            if other.seed == outcome.seed:
                raise RunError(
                    f"{other.directory} and {outcome.directory} are the same pipeline with the same seed "
                    f"({outcome.seed}): a spread over them would say too little. Leave one of them out."
                )
        same.append(outcome)
    return [Contestant(runs) for runs in groups.values()]


def _as_first_seed(outcome: Outcome, outcomes: Sequence[Outcome]) -> dict[str, object]:
    """`_settings`; a later seed that starts from the pre-training of the first has that seed's."""
    settings, start = _settings(outcome), outcome.config.get("model.start_from")
    for first in outcomes if start else ():
        if Path(str(start)).resolve() == (first.directory / "pretrain").resolve():
            own = {key: value for key, value in settings.items() if not key.startswith(PRETRAINED)}
            return own | {key: value for key, value in _settings(first).items() if key.startswith(PRETRAINED)}
    return settings


def _settings(outcome: Outcome) -> dict[str, object]:
    """What the run was trained by and answers by, less its seed; a list of sections by number and key."""
    settings = flatten(outcome.config, lists=True)
    return {key: value for key, value in settings.items() if key in _COMPARED or key.partition(".")[0] not in _ASIDE}


def _shared_splits(outcomes: Sequence[Outcome], contestants: Sequence[Contestant]) -> list[str]:
    """The splits that every run answered, checked to hold the same rows."""
    for outcome in outcomes:
        if not outcome.report:
            raise RunError(
                f"{outcome.directory} holds no finished evaluation. Run `seqpipe evaluate` or `seqpipe run` first."
            )
        if outcome.measure != outcomes[0].measure:
            raise RunError(
                f"{outcomes[0].directory} is measured by {outcomes[0].measure.title} and {outcome.directory} by "
                f"{outcome.measure.title}: they are of different tasks."
            )
    splits = [split for split in _SPLITS if all(split in each.answers for each in contestants)]
    if "dev" not in splits:
        lacking = next(run for each in contestants if "dev" not in each.answers for run in each.runs)
        raise RunError(
            f"{lacking.directory} has no predictions of single rows, which a comparison needs. If it was evaluated by "
            "an older seqpipe, remove its report directory and run `seqpipe evaluate` again."
        )
    for split in splits:
        pairs = [pair for each in contestants for pair in zip(each.runs, each.answers[split], strict=True)]
        (first, reference), *others = pairs
        for run, answers in others:
            if answers.rows_key != reference.rows_key:
                raise RunError(
                    f"{first.directory} and {run.directory} were evaluated on different {split} rows "
                    f"({len(reference):,} and {len(answers):,} rows): a paired comparison needs the same rows, in the "
                    "same order, with the same classes or references."
                )
    return splits


def _lines(outcomes: Sequence[Outcome], contestants: Sequence[Contestant], splits: list[str]) -> list[Line]:
    """A line for each run, and one for the seeds of a pipeline together."""
    settings = {outcome.directory: _settings(outcome) for outcome in outcomes}
    keys = {key for each in settings.values() for key in each}
    differing = sorted(key for key in keys if len({json.dumps(each.get(key)) for each in settings.values()}) > 1)
    lines = []
    for style, contestant in enumerate(contestants):
        several = len(contestant.runs) > 1
        own = settings[contestant.runs[0].directory]
        differs = {key: own.get(key) for key in differing}
        for run in contestant.runs:
            lines.append(
                Line(
                    name=run.name,
                    style=style,
                    differs={"seed": run.seed} if several else differs,
                    figure={split: run.measured(split) or {} for split in splits},
                    deviation={},
                    difference=_differences(Contestant([run]), contestants[0], splits),
                    parameters=_parameters(run),
                    seconds=run.seconds,
                    epochs=len(run.epochs),
                )
            )
        if several:
            lines.append(_seeds_line(contestant, contestants[0], style, differs, splits))
    return lines


def _seeds_line(
    contestant: Contestant, first: Contestant, style: int, differs: dict[str, object], splits: list[str]
) -> Line:
    measure = contestant.runs[0].measure
    spreads = {
        split: Spread.of(measure.of(part, np.ones(len(part), np.int64)) for part in contestant.answers[split])
        for split in splits
    }
    return Line(
        name=f"{contestant.name}, {len(contestant.runs)} seeds",
        style=style,
        differs=differs,
        figure={split: {"value": s.mean, "low": s.low, "high": s.high} for split, s in spreads.items()},
        deviation={split: spread.deviation or 0.0 for split, spread in spreads.items()},
        difference=_differences(contestant, first, splits),
        parameters=_parameters(contestant.runs[0]),
        seconds=Spread.of(run.seconds for run in contestant.runs).mean,
        epochs=Spread.of(len(run.epochs) for run in contestant.runs).mean,
    )


def _differences(one: Contestant, first: Contestant, splits: list[str]) -> dict[str, Mapping[str, float] | None]:
    """By split, with the interval of a paired bootstrap on the same rows; of several seeds, that of their mean."""
    if one.runs[0] in first.runs:
        return dict.fromkeys(splits)
    measure = one.runs[0].measure
    return {split: paired.difference(measure, one.answers[split], first.answers[split]) for split in splits}


def _parameters(run: Outcome) -> int:
    with np.load(run.directory / "best.npz") as weights:
        return sum(weights[name].size for name in weights.files)


def _curves(contestants: Sequence[Contestant], outcomes: Sequence[Outcome], directory: Path) -> Path:
    monitor = outcomes[0].monitor
    if any(f"dev_{monitor.name}" not in row for outcome in outcomes for row in outcome.epochs):
        monitor = LOSS  # which every task has
    curves = [(each.name, [run.epochs for run in each.runs]) for each in contestants]
    return comparison_pictures.learning_curves(curves, monitor, directory / "learning_curves.png")


def _table(lines: Sequence[Line], splits: list[str], measure: Measure) -> Table:
    header = ["run"]
    for split in splits:
        header += [f"{split}, {measure.unit or measure.title}", "difference"]
    header += ["parameters", "training, s", "epochs", "what differs"]
    cells = []
    for line in lines:
        row = [line.name]
        for split in splits:
            figure, difference = line.figure[split], line.difference[split]
            spread = f" ± {measure.number(line.deviation[split])}" if line.deviation else ""
            row.append(f"{measure.number(figure['value'])}{spread}{_range(measure, figure)}")
            row.append(
                "–"
                if difference is None
                else measure.number(difference["value"], signed=True) + _range(measure, difference, signed=True)
            )
        differs = "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in line.differs.items())
        cells.append([*row, f"{line.parameters:,}", f"{line.seconds:,.0f}", f"{line.epochs:g}", differs or "nothing"])
    return Table(header, cells, left=["run", "what differs"])


def _range(measure: Measure, figure: Figure | Mapping[str, float], *, signed: bool = False) -> str:
    if "low" not in figure:
        return ""
    decimals = max(1, measure.decimals - 1)
    low, high = (measure.number(figure[key], decimals=decimals, signed=signed) for key in ("low", "high"))
    return f" ({low} to {high})"


def _print(table: Table, out: Console) -> None:
    """Figures, their intervals below them, then what the runs are: two narrow tables fit a terminal."""
    facts = len(table.header) - 4
    for columns in (range(facts), (0, *range(facts, len(table.header)))):
        rows = [[row[column].replace(" (", "\n(") for column in columns] for row in table.rows]
        out.print(Table([table.header[column] for column in columns], rows, left=table.left).grid())
        out.print()


def _markdown(table: Table, note: str, pictures: Sequence[Path]) -> str:
    images = "\n\n".join(f"![{path.stem.replace('_', ' ')}]({path.name})" for path in pictures)
    return f"# Comparison\n\n{table.markdown()}\n\n{note}\n\n{images}\n"
