"""Forecasting: past values of a series in; the median and quantiles of the steps to come out.

Axes: B batch, L look-back, H horizon, Q quantiles, N windows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.data.examples import Examples, content_key
from seqpipe.data.findings import Finding, counted, raise_errors
from seqpipe.errors import require_extra
from seqpipe.evaluation.forecasts import Layout
from seqpipe.evaluation.measures import Measure
from seqpipe.evaluation.rows import RowFigures
from seqpipe.series.windows import EVALUATED, Store, held_back_origins, stride, training_origins
from seqpipe.serving.series import SeriesInput
from seqpipe.storage import write_arrays
from seqpipe.tasks.forecasting.answers import ForecastPresentation
from seqpipe.tasks.forecasting.config import ForecastingPipeline
from seqpipe.tasks.forecasting.data import Facts, Panel, fit_facts, read_panel
from seqpipe.tasks.forecasting.oddities import without_logarithm
from seqpipe.tasks.protocol import Callbacks, Fitted, Report, Say, Task
from seqpipe.training.objective import Batch

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from seqpipe.export.artefact import Artefact
    from seqpipe.serving.model import Model

RIDGE = "ridge.npz"


class OfWindows(Measure):
    """The mean of figures of windows, which overlap in time."""

    def layout(self, rows: RowFigures) -> Layout | None:
        columns = rows.columns
        if "overlap" not in columns:  # of a run from before they were kept
            return None
        return Layout(columns["origins"], columns["series"], int(columns["overlap"][0]))


MASE = OfWindows("mase", "MASE", higher_is_better=False, decimals=3)


class Forecasting(Task):
    """Series, and what comes next."""

    name = "forecasting"
    measures = (MASE,)
    input = SeriesInput()
    answer = ForecastPresentation()

    panel: Panel
    facts: Facts
    penalty: float | None = None  # of the ridge; None where no window was whole

    def __init__(self, config: ForecastingPipeline):
        self.config = config
        self.horizon = config.model.horizon_steps
        self.levels = config.model.levels

    def read(self) -> list[Finding]:
        if self.config.evaluation.statsmodels:
            require_extra("forecasting", "statsmodels")
        self.panel, findings = read_panel(self.config.data, self.horizon)
        if self.config.features.transform == "log":
            findings += without_logarithm(self.panel)
            raise_errors(findings)
        return findings

    @property
    def tested(self) -> bool:
        return any(cut.end > cut.dev for cut in self.panel.cuts)

    def data_key(self) -> str:
        parts: list[str | np.ndarray | list[str]] = []
        for one, cut in zip(self.panel.series, self.panel.cuts, strict=True):
            parts += [one.name, one.clock, one.values, one.known, one.past, list(one.static)]
            parts.append(np.array([cut.train, cut.dev, cut.end]))
        return content_key(*parts)

    # Features: seasons, scales, and the ridge, all from the training part

    def fit_features(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.facts = fit_facts(self.panel, self.config)
        self.facts.save(directory)
        self.ridge = None
        if self.config.model.linear:
            from seqpipe.tasks.forecasting.ridge import fit_ridge

            self.ridge, about = fit_ridge(self, self.examples("train"), self.examples("dev"))
            write_arrays(directory / RIDGE, kernel=self.ridge.astype(np.float32), about=np.array(json.dumps(about)))
        self.load_features(directory)

    def features_found(self) -> list[str]:
        facts = self.facts
        seasons = f"seasons of {' and '.join(map(str, facts.seasons))} steps" if facts.seasons else "no season"
        back = f"it looks back {facts.look_back:,} steps, {facts.segment:,} read at once"
        return [f"info: {back}, and forecasts {self.horizon:,}; {seasons}."]

    def load_features(self, directory: Path) -> None:
        self.facts = Facts.load(directory)
        self.ridge = None
        if self.config.model.linear:
            with np.load(directory / RIDGE) as saved:
                self.ridge = saved["kernel"]
                self.penalty = json.loads(str(saved["about"])).get("penalty")

    @cached_property
    def store(self) -> Store:
        return Store.of(self.panel.series, look_back=self.facts.look_back, horizon=self.horizon)

    def examples(self, split: str) -> Examples:
        """Windows by the place of their last value in `store`: place, series, how far a training window may move.

        Args:
            split: train, dev, test; or learned, of training and validation together.
        """
        if split in ("train", "learned"):
            return self._training(self.panel_origins(split))
        origins = self.panel_origins(split)
        total = sum(map(len, origins))
        asked = self.config.data.every_steps
        every = stride(total, EVALUATED, self.facts.seasons) if asked == "auto" else asked
        return self._windows([found[::-1][::every][::-1] for found in origins], slack=None)

    def panel_origins(self, split: str) -> list[np.ndarray]:
        """Every origin of a split, of each series; of what is held back, those that a value comes after."""
        if split in ("train", "learned"):
            sizes = {"look_back": self.facts.look_back, "horizon": self.horizon}
            ends = [cut.train if split == "train" else cut.dev for cut in self.panel.cuts]
            return [training_origins(end, **sizes) for end in ends]
        bounds = {"dev": lambda cut: (cut.train, cut.dev), "test": lambda cut: (cut.dev, cut.end)}[split]
        found = [held_back_origins(*bounds(cut), horizon=self.horizon) for cut in self.panel.cuts]
        return [
            origins[(origins >= 0) & one.comes_after(origins, self.horizon)]
            for one, origins in zip(self.panel.series, found, strict=True)
        ]

    def _training(self, origins: list[np.ndarray]) -> Examples:
        every = -(-sum(map(len, origins)) // self.config.training.windows_per_epoch)
        kept = [found[:: max(1, every)] for found in origins]
        slack = [
            np.minimum(max(1, every) - 1, found[-1] - some) if len(found) else some
            for found, some in zip(origins, kept, strict=True)
        ]
        return self._windows(kept, slack=slack)

    def _windows(self, origins: list[np.ndarray], slack: list[np.ndarray] | None) -> Examples:
        places = np.concatenate([found + offset for found, offset in zip(origins, self.store.offsets, strict=True)])
        series = np.repeat(np.arange(1, len(origins) + 1), [len(found) for found in origins])
        moved = np.zeros(len(places), np.int32) if slack is None else np.concatenate(slack)
        return Examples(
            {"place": places.astype(np.int32), "series": series.astype(np.int32), "slack": moved.astype(np.int32)}
        )

    def training_batch(self, examples: Examples, rows: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
        """Windows moved by a step or several, others in each epoch, so that in the end all have been seen."""
        batch = examples.batch(rows)
        drawn = np.random.default_rng([self.config.seed, epoch]).random(len(examples))[rows]
        batch["place"] = batch["place"] + (drawn * (batch["slack"] + 1)).astype(np.int32)
        return batch

    # The model

    def build(self) -> keras.Model:
        from seqpipe.models.forecaster import forecaster

        model = forecaster(self.config.model, self.config.features, frame=self.facts.frame(), name=self.config.name)
        scale = model.get_layer("scale")
        scale.own_level.assign(np.array(self.facts.level, np.float32))
        scale.own_scale.assign(np.array(self.facts.scale, np.float32))
        for layer, columns in (("known_scale", self.facts.known), ("past_scale", self.facts.past)):
            if columns:
                mean, spread = np.array(columns, np.float32).T
                model.get_layer(layer).mean.assign(mean)
                model.get_layer(layer).spread.assign(spread)
        if self.ridge is not None:
            model.get_layer("ridge").kernel.assign(self.ridge)
        return model

    @cached_property
    def tensors(self) -> dict[str, tf.Tensor]:
        """The store on the device."""
        import tensorflow as tf

        with tf.init_scope():
            static = [[0] * len(self.facts.static)]
            for one in self.panel.series:
                pairs = zip(self.facts.static, one.static, strict=True)
                static.append([known.index(value) + 1 if value in known else 0 for known, value in pairs])
            return {
                "values": tf.constant(self.store.values),
                "known": tf.constant(self.store.known),
                "past": tf.constant(self.store.past),
                "clock": tf.constant(self.store.clock),
                "static": tf.constant(static, tf.int32),
                "error": tf.constant(self.facts.error, tf.float32),
                "mase": tf.constant([1.0, *self.facts.mase], tf.float32),
            }

    def window(self, batch: Batch, names: Iterable[str]) -> dict[str, tf.Tensor]:
        """The inputs of the model, by name: of values, nothing behind the place."""
        import tensorflow as tf

        place, data = batch["place"], self.tensors
        back = place[:, None] + tf.range(1 - self.facts.look_back, 1)
        whole = place[:, None] + tf.range(1 - self.facts.look_back, self.horizon + 1)
        made = {
            "values": lambda: tf.gather(data["values"], back),
            "series": lambda: batch["series"],
            "time": lambda: tf.gather(data["clock"], place),
            "known": lambda: tf.gather(data["known"], whole),
            "past": lambda: tf.gather(data["past"], back),
            "static": lambda: tf.gather(data["static"], batch["series"]),
        }
        return {name: made[name]() for name in names}

    def forward(self, model: keras.Model, batch: Batch, training: bool) -> tf.Tensor:
        """Quantiles [B, H, Q]."""
        return model(self.window(batch, model.input), training=training)

    def targets(self, batch: Batch) -> tf.Tensor:
        import tensorflow as tf

        return tf.gather(self.tensors["values"], batch["place"][:, None] + tf.range(1, self.horizon + 1))

    def loss(self, batch: Batch, outputs: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        from seqpipe.layers.series_scale import transformed
        from seqpipe.training.losses import quantile_loss

        transform = self.config.features.transform
        unit = tf.gather(self.tensors["error"], batch["series"])[:, None, None]
        wanted = transformed(self.targets(batch), transform)[:, :, None]
        errors = (wanted - transformed(outputs, transform)) / unit  # [B, H, Q], NaN where nothing is known
        return quantile_loss(errors, self.levels, point=self.config.training.loss)

    def metrics(self, batch: Batch, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        errors = tf.abs(self.targets(batch) - outputs[:, :, self.levels.index(0.5)])
        seen = tf.math.is_finite(errors)
        mean = tf.reduce_sum(tf.where(seen, errors, 0.0), axis=1) / tf.maximum(
            tf.reduce_sum(tf.cast(seen, tf.float32), axis=1), 1.0
        )
        scaled = mean / tf.gather(self.tensors["mase"], batch["series"])
        return {"mase": tf.where(tf.math.is_finite(scaled), scaled, 0.0)}

    @property
    def refits(self) -> bool:
        return self.config.training.refit

    def refit(self, directory: Path, *, epochs: int, say: Say, callbacks: Callbacks) -> str:
        """What is published has learned from all but the test windows.

        Validation has said how many epochs, which penalty, which shares and widths; it judges the model before alone.
        """
        from seqpipe.tasks.forecasting.ridge import refit_ridge
        from seqpipe.training.loop import Trainer

        learned = self.examples("learned")
        say(f"Training once more, on {len(learned):,} windows of training and validation; dev is among what it learns")
        kernel = refit_ridge(self, learned, self.penalty) if self.penalty is not None else None

        def build() -> keras.Model:
            model = self.build()
            if kernel is not None:
                model.get_layer("ridge").kernel.assign(kernel)
            return model

        trainer = Trainer(
            build,
            objective=self,
            config=self.config.training,
            train=learned,
            dev=self.examples("dev"),
            seed=self.config.seed,
            directory=directory,
            say=say,
            until=epochs,
        )
        position = trainer.run(callbacks(epochs, trainer.steps_per_epoch))
        took = f"{counted(position.epoch, 'epoch')} in {position.seconds:,.0f} s"
        return f"Trained once more on training and validation: {took}"

    # After training

    def fit(self, model: keras.Model, examples: dict[str, Examples]) -> Fitted:
        from seqpipe.tasks.forecasting.report import fit_experts

        return {**fit_experts(self, model, examples), "facts": asdict(self.facts)}

    def finish(self, model: keras.Model, fitted: Fitted) -> None:
        mix = model.get_layer("mix")
        mix.share.assign(np.array(fitted["share"], np.float32))
        mix.widths.assign(np.array(fitted["widths"], np.float32))

    def evaluate(self, model: keras.Model, fitted: Fitted, examples: dict[str, Examples], directory: Path) -> Report:
        from seqpipe.tasks.forecasting.report import evaluate

        return evaluate(self, model, fitted, examples, directory)

    def evaluate_served(self, model: Model, source: str, directory: Path) -> tuple[Report, list[Finding]]:
        from seqpipe.tasks.forecasting.served import evaluate_served

        return evaluate_served(self, model, directory)

    def describe(self, report: Report) -> str:
        from seqpipe.tasks.forecasting.describe import describe

        return describe(report)

    def claim(self, report: Report) -> str:
        from seqpipe.tasks.forecasting.describe import judged, verdict

        said = verdict(judged(report)).removesuffix(".")
        return said[0].lower() + said[1:]

    def limits(self) -> list[str]:
        return [
            f"It forecasts {self.horizon:,} steps of {self.facts.frame().step}; `longer` goes on from "
            "its own answers, flagged.",
            "It knows the past of a series and the covariates it is given, and nothing of what never "
            "happened in training.",
        ]

    def artefact(self, model: keras.Model, fitted: Fitted, version: int) -> Artefact:
        from seqpipe.tasks.forecasting.artefact import make_artefact

        return make_artefact(self, model, fitted, version)
