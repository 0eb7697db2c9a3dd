"""check -> train -> evaluate -> export: each step in the run directory, resumable, never repeated once finished."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from seqpipe.config import file as pipeline_file
from seqpipe.config.data import train_source
from seqpipe.config.pipeline import Pipeline
from seqpipe.data.findings import Finding, counted
from seqpipe.errors import RunError
from seqpipe.evaluation.measures import headline, monitored
from seqpipe.export.artefact import Parity, keep_features, next_version
from seqpipe.runs.state import STATE, State, check_data, load_state, read_state
from seqpipe.startup import machine
from seqpipe.storage import locked, remove_directory, remove_leftovers, unhide, write_json, write_text, writing_into
from seqpipe.tasks import make_task
from seqpipe.tasks.protocol import IN_WEIGHTS, Callbacks, Fitted, Report
from seqpipe.training.position import Step, read_history
from seqpipe.training.workers import is_chief, join, wait_for

if TYPE_CHECKING:
    import keras

    from seqpipe.data.examples import Examples
    from seqpipe.evaluation.measures import Measure
    from seqpipe.export.lite import LiteFiles
    from seqpipe.tasks.protocol import Task


@dataclass
class Run:
    """A run directory and the task in it; `open_run` makes one.

    Args:
        config: the effective configuration.
        say: prints one line of progress.
        callbacks: Keras callbacks for training, made once its size is known: (epochs, steps per epoch) -> callbacks.
        state: what is finished, as state.json has it.
        chief: whether this process writes; other workers only train along.
        watchers: Keras callbacks that see the training itself alone: not pre-training, teachers or the last of all.
    """

    config: Pipeline
    say: Callable[[str], None] = print
    callbacks: Callbacks = lambda epochs, steps: ()
    state: State = field(default_factory=lambda: State(config={}, steps={}))
    chief: bool = True
    watchers: Sequence[keras.callbacks.Callback] = ()

    @property
    def directory(self) -> Path:
        return self.config.run_path

    def finished(self, step: str) -> bool:
        return step in self.state["steps"]

    @cached_property
    def task(self) -> Task:
        return make_task(self.config)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What this run is judged by."""
        return self.task.measures_of(pipeline_file.flatten(self.config.model_dump(mode="json")))

    @cached_property
    def findings(self) -> list[Finding]:
        """Reads and validates the data, once; a run whose data changed meanwhile is refused."""
        self.say(f"Reading {train_source(self.config)}")
        findings = self.task.read()
        check_data(self.state, self.task.data_key(), self.directory, chief=self.chief)
        return findings

    def say_findings(self) -> None:
        for finding in self.findings:
            self.say(f"{finding.severity}: {finding.text}")

    def prepare(self) -> dict[str, Examples]:
        """Features and examples of every split; computed once, taken from the run directory later."""
        _ = self.findings
        features = self.directory / "features"
        if self.finished("features"):
            self.task.load_features(features)
            return self._examples()
        if not self.chief:
            wait_for(lambda: self._is_there("features"), "prepare features and examples")
            check_data(self.state, self.task.data_key(), self.directory, chief=False)
            return self.prepare()
        self.say("Fitting features on the training split")
        remove_directory(features)
        self.task.fit_features(features)
        examples = self._examples()
        self._finish("features", {"data_key": self.task.data_key()})
        return examples

    def _examples(self) -> dict[str, Examples]:
        from seqpipe.data.examples import cached, content_key

        settings = json.dumps(self.config.model_dump(mode="json", include={"data", "features"}), sort_keys=True)
        # All bytes of the features, so that examples of other ones are never used.
        features = [path.read_bytes() for path in sorted((self.directory / "features").rglob("*")) if path.is_file()]
        shared = (self.task.data_key(), settings, b"".join(features))
        examples = {}
        for split in ("train", "dev", *(["test"] if self.task.tested else [])):
            place, key = self.directory / "examples" / split, content_key(*shared, split)
            if not self.chief:  # several that write one place at once would be in each other's way
                wait_for((place / key).is_dir, f"make the examples of {split}")
            examples[split] = cached(place, key, partial(self.task.examples, split))
        return examples

    def _is_there(self, step: str) -> bool:
        """Whether the worker that writes has finished a step."""
        if (self.directory / STATE).exists():
            self.state = load_state(self.directory)
        return self.finished(step)

    def train(self, *, again: bool = True) -> None:
        """Train; again: where the task does, once more on dev too, as a model to publish is."""
        if self.finished("train"):
            _ = self.findings  # data that changed since is not what was learned
            self.say(f"Training is finished: {self.state['steps']['train']['summary']}")
        else:
            self._train()
        if again and self._owes_refit:
            self._refit()

    def _train(self) -> None:
        from seqpipe.training.loop import Trainer

        if not self.chief and self._is_there("train"):  # the chief knows it, and prepares nothing
            return
        join()
        examples = self.prepare()
        self._pretrain()
        monitor = monitored(self.config.training.monitor, self.measures)
        trainer = Trainer(
            self.task.build,
            objective=self.task,
            config=self.config.training,
            higher_is_better=monitor.higher_is_better,
            train=examples["train"],
            dev=examples["dev"],
            seed=self.config.seed,
            directory=self.directory,
            say=self.say,
        )
        callbacks = self.callbacks(self.config.training.epochs, trainer.steps_per_epoch)
        position = trainer.run([*callbacks, *self.watchers])
        if not self.chief:
            return
        best = f"best dev {monitor.name} {position.best:.4f} in epoch {(position.best_epoch or 0) + 1}"
        summary = f"{counted(position.epoch, 'epoch')} in {position.seconds:,.0f} s, {best}"
        self.task.keep(self.best_model, self.directory)
        self._finish("train", {"summary": summary, "seconds": position.seconds, "epochs": position.epoch})
        self.say(summary)
        from seqpipe.evaluation.pictures import learning_curves

        place = self.directory / "report" / "learning_curves.png"
        learning_curves(read_history(self.directory), place, [monitor, *self.measures])

    @property
    def _owes_refit(self) -> bool:
        return self.task.refits and not self.finished("refit") and not self.finished("fit")

    def _refit(self) -> None:
        """Training once more, of a task that trains on dev too once dev has said for how long."""
        if not self.chief:
            wait_for(lambda: self._is_there("train"), "finish training")
        join()
        self.prepare()
        epochs = 1 + (read_history(self.directory)[-1]["best_epoch"] or 0)
        summary = self.task.refit(self.directory / "refit", epochs=epochs, say=self.say, callbacks=self.callbacks)
        if self.chief:
            self._finish("refit", {"summary": summary})
            self.say(summary)

    def _pretrain(self) -> None:
        """The part of training that needs no labels, for a task that has one."""
        directory = self.directory / "pretrain"
        if not self.finished("pretrain"):
            summary = self.task.pretrain(directory, say=self.say, callbacks=self.callbacks)
            if summary is None:
                return
            if self.chief:
                self._finish("pretrain", {"summary": summary})
                self.say(summary)
            else:
                wait_for(lambda: self._is_there("pretrain"), "finish pre-training")
        self.task.load_pretrained(directory)

    def _by_one(self, step: str) -> None:
        if not self.chief:
            raise RunError(f"{step} is for one machine: the first worker, or any of them without TF_CONFIG.")

    def evaluate(self) -> Report:
        self._by_one("evaluate")
        _ = self.findings
        key = self.task.evaluation_key()
        if self.finished("evaluate") and self._report_file.exists():
            if (kept := self.state["steps"]["evaluate"]).get("rows_key", key) == key:
                self.say(f"Evaluation is finished: {kept['summary']}")
                return self._report()
            self.say("Rows that only evaluation reads are others now; evaluating again")
            self.state["steps"].pop("export", None)
        # Of several machines one alone would wait for the others.
        if not self.finished("train") or (self._owes_refit and os.environ.get("TF_CONFIG")):
            raise RunError(f"{self.directory} holds no finished training. Run `seqpipe train` first, or `seqpipe run`.")
        if self._owes_refit:
            self._refit()
        examples = self.prepare()
        fitted = self._fit(examples)
        self.task.fit_baseline(examples.pop("train"))
        self.say(f"Evaluating on {', '.join(examples)}")
        self.task.before_refit = self._with_fitted(self.best_model) if self.finished("refit") else None
        report = self.task.evaluate(self.finished_model(), fitted, examples, self.directory / "report")
        report["findings"] = [f"{finding.severity}: {finding.text}" for finding in self.findings]
        write_json(self._report_file, report)
        summary = headline(report, self.measures[0])
        self._finish("evaluate", {"summary": summary, "rows_key": key})
        self.say(summary)
        return report

    def export(self, *, name: str | None = None, note: str = "", section: str = "") -> Path:
        """Export, prove and publish the trained model.

        Args:
            name: of the artefact, where that is not the run's.
            note: what the card's main figure is followed by.
            section: Markdown of level three that the card has after the report.
        """
        from seqpipe.export import card, lite
        from seqpipe.export.publish import publish

        self._by_one("export")
        config = self.config.model_copy(update={"name": name or self.config.name})
        if self.finished("export"):
            path = Path(self.state["steps"]["export"]["path"])
            asked_for = (config.name, section)
            if path.exists() and asked_for == (path.parent.name, self.state["steps"]["export"].get("section", "")):
                self.say(f"Published: {path}")
                return path
            self.say(f"{path} is {'of another name or other seeds' if path.exists() else 'gone'}; exporting again")
        if not self.finished("evaluate"):
            raise RunError(
                f"{self.directory} holds no finished evaluation. Run `seqpipe evaluate` first, or `seqpipe run`."
            )
        report = self._report()
        fitted, model = self._fit(self.prepare()), self.finished_model()
        directory = Path(config.export.directory) / config.name
        version = config.export.version or next_version(directory)
        self.say("Exporting, and proving the export in a fresh process without seqpipe")

        def files(staged: Path, parity: Parity) -> None:
            keep_features(self.task.kept_features, self.directory / "features", staged)
            card.write(
                staged,
                config=config,
                report=report,
                parity=parity,
                steps=self.state["steps"],
                headline="; ".join(filter(None, (headline(report, self.measures[0]), self.task.claim(report), note))),
                sections="\n".join(filter(None, (self.task.describe(report), section))),
                limits=self.task.limits(),
                parameters=model.count_params(),
                version=version,
            )
            if lite.wanted(config):
                lite.add(staged, self._make_lite)

        path = publish(
            self.task.artefact(model, fitted, version),
            directory / str(version),
            run_directory=self.directory,
            facts={name: value for name, value in fitted.items() if name != IN_WEIGHTS},
            files=files,
        )
        self._finish("export", {"path": str(path), "section": section})
        self.say(f"Published: {path}")
        return path

    def lite(self) -> Path:
        """Put LiteRT files beside the model that was exported already."""
        from seqpipe.export import lite

        path = Path(self.state["steps"].get("export", {}).get("path", ""))
        if not (path / "saved_model.pb").is_file():
            raise RunError(f"{self.directory} holds no finished export. Run `seqpipe export` first, or `seqpipe run`.")
        place = lite.add(path, self._make_lite)
        self.say(f"Published: {place}")
        return place

    def _make_lite(self, artefact: Path) -> LiteFiles:
        _ = self.findings
        self.say("Making LiteRT files, and comparing them with the SavedModel on dev")
        return self.task.lite(artefact, at_hand=True)

    def all(self) -> Path | None:
        """Every step; None for a worker that only trains along."""
        if not all(self.finished(step) for step in ("train", "evaluate", "export")):
            self.say_findings()
        self.train()
        if not self.chief:
            return None
        self.evaluate()
        return self.export()

    @property
    def _report_file(self) -> Path:
        return self.directory / "report" / "report.json"

    def _report(self) -> Report:
        return json.loads(self._report_file.read_text(encoding="utf-8"))

    @cached_property
    def best_model(self) -> keras.Model:
        """The best epoch's weights in a float32 model, whatever precision it was trained in."""
        return self._model(self.directory / "best.npz")

    @cached_property
    def _refitted_model(self) -> keras.Model:
        return self._model(self.directory / "refit" / "best.npz")

    def _model(self, weights: Path) -> keras.Model:
        from seqpipe.training.weights import load_weights, rounded

        model = self.task.build()
        load_weights(model, weights)
        model = self.task.trained(model)
        if (bits := self.config.export.weight_bits) is not None:
            model.set_weights([rounded(weights, bits) for weights in model.get_weights()])
        return model

    def _fit(self, examples: dict[str, Examples]) -> Fitted:
        """What is fitted on dev once the weights are final; once a run."""
        if not self.finished("fit"):
            write_json(self.directory / "fitted.json", self.task.fit(self.best_model, examples))
            self._finish("fit", {})
        return self.fitted()

    def fitted(self) -> Fitted:
        return json.loads((self.directory / "fitted.json").read_text(encoding="utf-8"))

    def finished_model(self) -> keras.Model:
        """The weights to publish, with what was fitted on dev."""
        return self._with_fitted(self._refitted_model if self.finished("refit") else self.best_model)

    def _with_fitted(self, model: keras.Model) -> keras.Model:
        self.task.finish(model, self.fitted())
        return model

    def _finish(self, step: str, facts: Step) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.state["steps"][step] = {"finished": now, "machine": machine(), **facts}
        write_json(self.directory / STATE, self.state)


@contextlib.contextmanager
def open_run(
    config: Pipeline,
    *,
    fresh: bool = False,
    say: Callable[[str], None] = print,
    callbacks: Callbacks = lambda epochs, steps: (),
) -> Iterator[Run]:
    """The run of a configuration, locked against other processes, taken up where it was left.

    Args:
        fresh: forget what the run directory holds.
    Raises:
        RunError: another process is in it, it cannot be written, or its configuration contradicts this one.
    """
    directory = config.run_path
    if not is_chief():
        if fresh:
            raise RunError("--fresh and TF_CONFIG exclude each other: workers cannot tell an old run from a new one.")
        yield Run(config, say, callbacks, chief=False)
        return
    with locked(directory), writing_into(directory):
        unhide(directory)
        if fresh:
            remove_directory(directory)
        directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(directory)
        run = Run(config, say, callbacks, read_state(directory, config))
        write_text(directory / "pipeline.yaml", pipeline_file.to_yaml(config))
        write_json(directory / STATE, run.state)
        yield run
