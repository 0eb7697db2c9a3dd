"""A search over keys of a pipeline: trials are ordinary runs, Optuna proposes, the dev figure of each epoch prunes.

The study lives in RUN_DIRECTORY/NAME-tune: study.db, a run directory for each trial, pictures by Optuna. Killed
anywhere and started again, it goes on with the trial in hand, and proposes what it would have proposed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shlex
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from seqpipe.config import file as pipeline_file
from seqpipe.config.pipeline import Pipeline, Search, Tune
from seqpipe.errors import ConfigError, DataError, Diverged, ModelError, RunError, SeqpipeError, require_extra
from seqpipe.evaluation.measures import Measure, monitored
from seqpipe.runs.outcome import read_outcome
from seqpipe.runs.run import open_run
from seqpipe.runs.state import DEPENDS_ON
from seqpipe.storage import locked, remove_directory, whole_file
from seqpipe.tasks import make_task, task_class

if TYPE_CHECKING:
    import optuna

    from seqpipe.data.findings import Finding
    from seqpipe.tasks.protocol import Callbacks

_DIGITS = 4  # of a number that is tried, so that --set can repeat it
_TRIALS_FOR_IMPORTANCE = 8  # finished ones; fewer say nothing about what matters
_SQLITE = b"SQLite format 3\0"  # what a study begins with


def check_tune(config: Pipeline, file: Path) -> Tune:
    """What to search.

    Raises:
        ConfigError: the file has no search space.
        RunError: Optuna is not installed.
    """
    if config.tune is None:
        raise ConfigError(
            [
                f"{file}: the key tune is missing. It says what to search, such as\n"
                "  tune:\n    trials: 20\n    space:\n"
                "      training.learning_rate: {low: 0.0005, high: 0.01, log: true}\n"
                "      model.pooling: {choices: [attention, mean, max]}"
            ]
        )
    require_extra("tune", "optuna", needs="tune needs Optuna")
    if os.environ.get("TF_CONFIG"):
        raise RunError("tune and TF_CONFIG exclude each other: a study runs its trials on one machine.")
    return config.tune


def tune(
    config: Pipeline,
    file: Path,
    *,
    overrides: Sequence[str] = (),
    fresh: bool,
    out: Console,
    callbacks: Callable[[Pipeline], Callbacks],
) -> dict[str, object]:
    """Run the trials that are missing; print the best as `--set` arguments and draw the search.

    Args:
        file, overrides: where the configuration came from, for what is printed.
        fresh: forget the study.
        callbacks: Keras callbacks for a trial's configuration.
    Returns:
        The values of the best trial by dotted key.
    Raises:
        RunError: the study was started with another space or pipeline, or no trial came to an end.
    """
    wanted = check_tune(config, file)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it takes a function traced for each trial for a mistake
    directory = config.run_path.with_name(f"{config.name}-tune")
    with locked(directory):
        if fresh:
            remove_directory(directory)
        directory.mkdir(parents=True, exist_ok=True)
        with _storage(directory) as storage:
            study = optuna.create_study(
                storage=storage,
                study_name=config.name,
                load_if_exists=True,
                direction="maximize" if _monitor(config).higher_is_better else "minimize",
                pruner=optuna.pruners.MedianPruner(),
            )
            for finding in _check_settings(study, config, wanted, directory):
                out.print(f"{finding.severity}: {finding.text}")
            while (number := _next_trial(study)) < wanted.trials:
                # Each trial has a sampler of its own, so that an interrupted search goes on as an uninterrupted one.
                study.sampler = optuna.samplers.TPESampler(seed=config.seed + number)
                trial = _begin(study, storage, number)
                _run_trial(study, trial, config, wanted, directory, out, callbacks)
                draw(study, directory)
            return _conclude(study, config, [str(file), *_as_options(overrides)], directory, out)


@contextlib.contextmanager
def _storage(directory: Path) -> Iterator[optuna.storages.RDBStorage]:
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    file = (directory / "study.db").resolve()
    # Told here, since Optuna leaves its connection open where it finds that out. An empty file is a new database.
    if file.is_file():
        with file.open("rb") as study:
            if study.read(len(_SQLITE)) not in (b"", _SQLITE):
                raise RunError(f"{file} cannot be used: file is not a database.")
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
        try:
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:  # the disk is full, the file damaged
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
        raise RunError(f"{file} cannot be used: {getattr(cause, 'orig', cause)}.") from error


def _monitor(config: Pipeline) -> Measure:
    settings = pipeline_file.flatten(config.model_dump(mode="json"))
    return monitored(config.training.monitor, task_class(config.task).measures_of(settings))


def _check_settings(study: optuna.Study, config: Pipeline, wanted: Tune, directory: Path) -> list[Finding]:
    """Refuse a study of another space, another pipeline or other data: its trials could not be compared.

    Returns what was found in the data.
    """
    task = make_task(config)
    findings = task.read()  # data that cannot be read is a mistake now, not a trial that failed
    space = {f"tune.space.{key}": search.model_dump(mode="json") for key, search in wanted.space.items()}
    settings = {"data": task.data_key(), **space}
    flat = pipeline_file.flatten(config.model_dump(mode="json"))
    of_training = {key for key in flat if {key, key.partition(".")[0]} & set(DEPENDS_ON["train"])}
    settings |= {key: value for key, value in flat.items() if key in of_training and key not in wanted.space}
    before = study.user_attrs.get("settings", settings)
    if not study.trials:
        study.set_user_attr("settings", settings)
        return findings
    changed = [key for key in {**before, **settings} if before.get(key) != settings.get(key)]
    if changed:
        lines = [
            f"  {key} = {_shown(settings.get(key))} here, {_shown(before.get(key))} in the study"
            for key in sorted(changed)
        ]
        raise RunError(
            f"The search contradicts the study in {directory}:\n" + "\n".join(lines) + "\n"
            "Its trials could not be compared with new ones. Use --fresh to start over, or give the new study another "
            "name: --set name=..."
        )
    return findings


def _shown(value: object) -> str:
    if isinstance(value, dict):  # a search: what was left out need not be shown
        value = {key: each for key, each in value.items() if each is not None and each is not False}
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _next_trial(study: optuna.Study) -> int:
    """The number of the trial to run: one that was interrupted, else a new one."""
    running = [trial.number for trial in study.trials if not trial.state.is_finished()]
    return min(running, default=len(study.trials))


def _begin(study: optuna.Study, storage: optuna.storages.BaseStorage, number: int) -> optuna.Trial:
    import optuna

    if number == len(study.trials):
        return study.ask()
    identifier = storage.get_study_id_from_name(study.study_name)
    return optuna.Trial(study, storage.get_trial_id_from_study_id_trial_number(identifier, number))


def _run_trial(
    study: optuna.Study,
    trial: optuna.Trial,
    config: Pipeline,
    wanted: Tune,
    directory: Path,
    out: Console,
    callbacks: Callable[[Pipeline], Callbacks],
) -> None:
    """Train one trial, and tell the study how it ended."""
    import keras
    from optuna.trial import TrialState

    values = {key: _suggest(trial, config, key, search) for key, search in wanted.space.items()}
    trial.set_user_attr("values", values)
    name = f"trial-{trial.number + 1:03d}"
    out.print(f"\n{name} of {wanted.trials}: " + " ".join(pipeline_file.as_override(*pair) for pair in values.items()))
    monitor = config.training.monitor

    def report(epoch: int, figures: dict[str, float]) -> None:
        trial.report(figures[f"dev_{monitor}"], epoch)
        if trial.should_prune():
            trial.set_user_attr("pruned", True)
            watcher.model.stop_training = True

    watcher = keras.callbacks.LambdaCallback(on_epoch_end=report)
    failed: SeqpipeError | None = None
    try:
        if not trial.user_attrs.get("pruned"):  # pruned, and killed before the study was told
            keras.backend.clear_session()  # layers get the names they would have in a process of their own
            own = pipeline_file.with_values(config, values)
            own = own.model_copy(update={"name": name, "run_directory": str(directory), "tune": None})
            make = callbacks(own)
            with open_run(own, say=lambda line: None, callbacks=make) as run:
                run.watchers = [watcher]
                run.train(again=False)
    except (ConfigError, DataError, ModelError, Diverged) as error:
        failed = error
    shutil.rmtree(directory / name / "examples", ignore_errors=True)  # large, and made again when they are needed
    if failed is not None:
        study.tell(trial, state=TrialState.FAIL)
        out.print(f"{name} cannot be trained: {failed}")
        return
    if trial.user_attrs.get("pruned"):
        study.tell(trial, state=TrialState.PRUNED)
        out.print(f"{name} pruned: worse than the median of the trials before it at this epoch")
        return
    figure = read_outcome(directory / name).figure
    if not math.isfinite(figure):
        study.tell(trial, state=TrialState.FAIL)
        out.print(f"{name} failed: its dev {monitor} is {figure}, which cannot be compared")
        return
    study.tell(trial, figure)
    out.print(f"{name}: dev {monitor} {study.trials[trial.number].value:.4f}; best so far {study.best_value:.4f}")


def _suggest(trial: optuna.Trial, config: Pipeline, key: str, search: Search) -> object:
    if search.choices is not None:
        return trial.suggest_categorical(key, search.choices)
    if search.low is None or search.high is None:
        raise ConfigError([f"tune.space.{key}: name low and high, or choices."])
    if isinstance(search.low, int) and isinstance(search.high, int) and not _is_float(config, key):
        return trial.suggest_int(key, search.low, search.high, log=search.log)
    value = trial.suggest_float(key, search.low, search.high, log=search.log)
    return min(max(float(f"{value:.{_DIGITS}g}"), float(search.low)), float(search.high))


def _is_float(config: Pipeline, key: str) -> bool:
    """Whether the pipeline has a number with a fraction at this key, so that `low: 0, high: 1` means 0.5 too."""
    return isinstance(pipeline_file.flatten(config.model_dump(mode="json"), lists=True)[key], float)


def draw(study: optuna.Study, directory: Path) -> None:
    """Write Optuna's pictures: history.png, slice.png, and importances.png once enough trials can tell."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as pictures

    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    if not done:
        return
    drawn: dict[str, Callable[[optuna.Study], Any]] = {
        "history": pictures.plot_optimization_history,
        "slice": pictures.plot_slice,
    }
    if len(done) >= _TRIALS_FOR_IMPORTANCE and len({trial.value for trial in done}) > 1:
        drawn["importances"] = pictures.plot_param_importances
    for name, plot in drawn.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # all of them are called experimental; one value of a key has no range
            axes = plot(study)
        figure = (axes.flat[0] if hasattr(axes, "flat") else axes).figure
        with whole_file(directory / f"{name}.png") as file:
            figure.savefig(file, format="png", dpi=150, bbox_inches="tight")
        pyplot.close(figure)


def _as_options(overrides: Sequence[str]) -> list[str]:
    return [f"--set {shlex.quote(override)}" for override in overrides]


def _conclude(
    study: optuna.Study, config: Pipeline, given: list[str], directory: Path, out: Console
) -> dict[str, object]:
    """
    Args:
        given: words of the command line that name the pipeline.
    """
    counts = {name: sum(trial.state.name == name for trial in study.trials) for name in ("COMPLETE", "PRUNED", "FAIL")}
    if not counts["COMPLETE"]:
        raise RunError(f"No trial of the study in {directory} came to an end: {counts['FAIL']} failed.")
    best = study.best_trial
    values: dict[str, object] = best.user_attrs["values"]
    found = [pipeline_file.as_override(key, value) for key, value in values.items()]
    words = " ".join([*given, *_as_options([f"name={config.name}-tuned", *found])])
    monitor = config.training.monitor
    out.print(
        f"\n{len(study.trials)} trials: {counts['COMPLETE']} to the end, {counts['PRUNED']} pruned, {counts['FAIL']} "
        f"failed.\nBest: trial-{best.number + 1:03d}, dev {monitor} {best.value:.4f}; as the best of so "
        f"many it leans to the good side.\nPictures: {directory}\n\n"
        f"Train it:  seqpipe run {words}"
    )
    return values
