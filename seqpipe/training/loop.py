"""The one training loop: batches in a known order, a position that can be saved and restored exactly.

Killed anywhere and started again, a run ends with the same weights bit for bit, because everything it depends on is
either a pure function of (seed, epoch, step) or saved with the position: weights, optimizer, averages, the state of
each random generator, early stopping, sums so far.

Axes: B batch (rows).
"""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

import keras
import numpy as np
import tensorflow as tf

from seqpipe.config.training import Training
from seqpipe.data.batches import plan_in_order_of_length
from seqpipe.data.examples import Examples
from seqpipe.errors import DataError, Diverged, Interrupted, RunError, not_allowed
from seqpipe.layers.recurrent_form import traced_for
from seqpipe.storage import remove_leftovers
from seqpipe.training.devices import agreement, make_strategy, precision, with_all_workers
from seqpipe.training.objective import Batch, Objective
from seqpipe.training.optimizers import make_optimizer
from seqpipe.training.position import Position, open_history, restore_position, save_position, write_line
from seqpipe.training.weights import save_weights
from seqpipe.training.workers import is_chief

XLA_WORTH_MEASURING_S = 900.0  # compiling takes some ten seconds a shape: a shorter run cannot earn that back
XLA_LENGTH_QUANTILES = (0.5, 0.75, 0.9, 1.0)  # of the training rows' lengths: what batches are padded to


class Trainer:
    """Trains a model in a run directory, from wherever the last process left it.

    Args:
        build: makes the model; called once, under the strategy and the precision asked for.
        objective: the loss and what is watched.
        config: how to train.
        higher_is_better: which way the monitored dev figure is better.
        train, dev: the examples.
        seed: of weights, dropout and the order of batches.
        directory: holds position.npz, best.npz and history.jsonl.
        say: prints one line of progress.
        until: train so many of the epochs that are configured, and keep the last, whatever dev says of it.
    """

    def __init__(
        self,
        build: Callable[[], keras.Model],
        *,
        objective: Objective,
        config: Training,
        higher_is_better: bool = False,
        train: Examples,
        dev: Examples,
        seed: int,
        directory: Path,
        say: Callable[[str], None] = print,
        until: int | None = None,
    ):
        if not len(train) or not len(dev):
            raise DataError(f"Training needs rows in train and dev; there are {len(train)} and {len(dev)}.")
        self.objective, self.config, self.seed, self.directory, self.say = objective, config, seed, directory, say
        self.higher_is_better, self.until = higher_is_better, until
        self.train_examples, self.dev_examples = train, dev
        self.chief = is_chief()
        self.strategy = make_strategy()
        keras.utils.set_random_seed(seed)
        tf.config.experimental.enable_op_determinism()  # forbids ops whose order of sums varies
        self.steps_per_epoch = len(self._plan(0))
        with self.strategy.scope(), precision(config.precision):
            self.model = build()
            self.optimizer = make_optimizer(config, self.steps_per_epoch * config.epochs)
            self.optimizer.build(self.model.trainable_variables)
            self.averages = [
                tf.Variable(v.value, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
                for v in (self.model.trainable_variables if config.average_decay else [])
            ]
            self.carried = objective.carried(self.model)
        if self.carried and self.strategy.num_replicas_in_sync > 1:
            raise RunError("A state that is carried from batch to batch needs one device: unset TF_CONFIG, hide GPUs.")
        signature = {
            name: tf.TensorSpec([None] * array.ndim, array.dtype, name) for name, array in self._batch([0]).items()
        }
        self.train_step = tf.function(self._train_step, input_signature=[signature], autograph=False)
        self.compiled_step = tf.function(self._compiled_step, input_signature=[signature], autograph=False)
        self.dev_step = tf.function(self._dev_step, input_signature=[signature], autograph=False)
        self.position = Position()
        self.interrupted, self.agreed = 0, agreement(self.strategy)  # by which signal; by that of any worker

    def run(self, callbacks: Sequence[keras.callbacks.Callback] = ()) -> Position:
        """Train to the end, or to the next signal.

        Args:
            callbacks: Keras callbacks; batch logs hold loss, rows and steps (summed lengths), epoch logs dev figures;
                `params` holds the directory.
        Raises:
            Interrupted: SIGTERM or SIGINT came; the position is saved.
            RunError: the run directory cannot be written.
        """
        self.callbacks = keras.callbacks.CallbackList(list(callbacks), model=self.model, directory=str(self.directory))
        self.model.stop_training = False  # what a callback sets to end the run
        self.restore()
        if self.position.finished:
            return self.position
        if self.position.xla is None:
            self.position.xla = self._choose_xla()
        history_file = open_history(self.directory, self.position) if self.chief else nullcontext(io.BytesIO())
        with self._signals(), history_file as history:
            self.callbacks.on_train_begin()
            try:
                for epoch in range(self.position.epoch, self.until or self.config.epochs):
                    if self._enough():  # before an epoch, so that a run that goes on asks too
                        break
                    self._run_epoch(epoch, history)
                self.position.finished = True
                self.save(history)
                if self.interrupted:
                    text = "Stopped after the last epoch. Training is saved; the same command goes on."
                    raise Interrupted(text, self.interrupted)
            finally:  # a progress bar gives the terminal its cursor back
                self.callbacks.on_train_end()
        return self.position

    def _run_epoch(self, epoch: int, history: io.BufferedIOBase) -> None:
        position, started = self.position, time.monotonic()
        self.callbacks.on_epoch_begin(epoch)
        plan = self._plan(epoch)
        train_step = self.compiled_step if position.xla else self.train_step
        for step, batch in enumerate(self._batches(plan[position.step :], epoch), start=position.step):
            self.callbacks.on_train_batch_begin(step)
            with with_all_workers():
                loss, stop = float(train_step(batch)), self.agreed(self.interrupted)
            if not np.isfinite(loss):
                bounds = {key: getattr(self.config, key.rpartition(".")[2]) for key in self.objective.bounds}
                wanted = " or ".join(f"{key} (now {value})" for key, value in bounds.items())
                raise Diverged(f"The loss became {loss} in epoch {epoch + 1}, step {step + 1}. Lower {wanted}.")
            rows = len(plan[step])
            position.step, position.total_steps = step + 1, position.total_steps + 1
            position.loss_sum, position.rows = position.loss_sum + loss * rows, position.rows + rows
            write_line(history, {"epoch": epoch, "step": step, "loss": loss})
            steps = int(self.train_examples.lengths[plan[step]].sum())
            self.callbacks.on_train_batch_end(step, {"loss": loss, "rows": rows, "steps": steps})
            if position.total_steps % self.config.save_every_steps == 0 or stop:
                started = self._count_time(started)
                self.save(history)
            if stop:
                raise Interrupted(
                    f"Stopped in epoch {epoch + 1} of {self.config.epochs}, after step {step + 1} of {len(plan)}. "
                    "The position is saved; the same command goes on from here.",
                    stop,
                )
        figures = {"loss": position.loss_sum / position.rows, **self._evaluate()}
        if f"dev_{self.config.monitor}" not in figures:
            known = [name.removeprefix("dev_") for name in figures if name.startswith("dev_")]
            raise RunError(f"training.monitor = {not_allowed(self.config.monitor, 'dev figure of this task', known)}")
        self._keep_best(epoch, figures[f"dev_{self.config.monitor}"])
        self._count_time(started)
        write_line(history, {"epoch": epoch, **figures, "best_epoch": position.best_epoch})
        position.epoch, position.step, position.loss_sum, position.rows = epoch + 1, 0, 0.0, 0
        self.save(history)
        self.callbacks.on_epoch_end(epoch, figures)

    def _count_time(self, started: float) -> float:
        now = time.monotonic()
        self.position.seconds += now - started
        return now

    def _enough(self) -> bool:
        patience = self.config.patience if self.until is None else None
        return self.model.stop_training or (patience is not None and self.position.epochs_without_better >= patience)

    def _keep_best(self, epoch: int, figure: float) -> None:
        position = self.position
        best = position.best if position.best is not None and np.isfinite(position.best) else None
        better = best is None or (figure > best if self.higher_is_better else figure < best)
        if self.until is not None:
            better = epoch + 1 == self.until
        if not better:
            position.epochs_without_better += 1
            return
        position.best, position.best_epoch, position.epochs_without_better = figure, epoch, 0
        if self.chief:
            with self._averaged():
                save_weights(self.model, self.directory / "best.npz")

    def _plan(self, epoch: int) -> list[np.ndarray]:
        return self.objective.plan(self.train_examples, batch_size=self.config.batch_size, seed=self.seed, epoch=epoch)

    def _batch(self, rows: Sequence[int] | np.ndarray, *, epoch: int = 0, compiled: bool = False) -> Batch:
        """A batch with each row's `weight` and the `total` number of rows, filled up so that all replicas get as many.

        The rows that fill up weigh nothing; of a batch for XLA they have no steps either, so that batch normalisation
        does not count the first row again and again.

        Args:
            epoch: what an objective that changes its rows from epoch to epoch goes by.
            compiled: of full size and padded to one of a few lengths, so that XLA compiles a handful of shapes.
        """
        rows = np.asarray(rows)
        missing = self.config.batch_size - len(rows) if compiled else -len(rows) % self.strategy.num_replicas_in_sync
        batch = self.objective.training_batch(
            self.train_examples, np.concatenate([rows, np.repeat(rows[:1], missing)]), epoch
        )
        batch["weight"] = np.array([1.0] * len(rows) + [0.0] * missing, np.float32)
        batch["total"] = np.array(len(rows), np.float32)
        return self._padded_to_quantile(batch) if compiled else batch

    def _padded_to_quantile(self, batch: Batch) -> Batch:
        quantiles = np.quantile(self.train_examples.lengths, XLA_LENGTH_QUANTILES, method="higher")
        padded = dict(batch)
        for name in [name for name in batch if f"{name}_lengths" in batch]:
            steps = batch[name].shape[1]
            wanted = max([steps, *quantiles[np.searchsorted(quantiles, steps) :][:1].astype(int)])
            rest = [(0, 0)] * (batch[name].ndim - 2)
            padded[name] = np.pad(batch[name], [(0, 0), (0, wanted - steps), *rest])
            padded[f"{name}_lengths"] = np.where(batch["weight"] > 0, batch[f"{name}_lengths"], 0)
        return padded

    def _batches(self, plan: Sequence[np.ndarray], epoch: int) -> Iterator[Batch]:
        """A batch for each item of a plan, made while the one before is trained on."""
        with ThreadPoolExecutor(max_workers=1) as maker:
            ahead: list[Future[Batch]] = []
            for rows in plan:
                ahead.append(maker.submit(self._batch, rows, epoch=epoch, compiled=bool(self.position.xla)))
                if len(ahead) > 1:
                    yield ahead.pop(0).result()
            for last in ahead:
                yield last.result()

    def _choose_xla(self) -> bool:
        """Whether XLA is worth it: decided once, on the first batch of each shape, and saved with the position."""
        if self.config.xla != "auto":
            return self.config.xla == "always"
        plan = self._plan(0)
        before = [v.numpy() for v in self._variables()]
        plain_s = _seconds(lambda: self.train_step(self._batch(plan[0])))
        whole_s = plain_s * len(plan) * self.config.epochs
        measured = self.strategy.num_replicas_in_sync == 1 and whole_s > XLA_WORTH_MEASURING_S
        xla_s = _seconds(lambda: self.compiled_step(self._batch(plan[0], compiled=True))) if measured else None
        for variable, value in zip(self._variables(), before, strict=True):
            variable.assign(value)
        if xla_s is None:
            return False
        choice = "with" if xla_s < plain_s else "without"
        self.say(f"A step takes {1e3 * xla_s:.1f} ms with XLA and {1e3 * plain_s:.1f} ms without: training {choice} it")
        return xla_s < plain_s

    def _compiled_step(self, batch: Batch) -> tf.Tensor:
        """XLA for the loops of recurrent layers alone: over the whole step it is slower than none at all."""
        with traced_for("xla_loops"):
            return self._train_step(batch)

    def _train_step(self, batch: Batch) -> tf.Tensor:
        losses = self.strategy.run(self._replica_step, args=(batch,))
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _replica_step(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        replicas = self.strategy.num_replicas_in_sync
        if replicas > 1:
            number = replica.replica_id_in_sync_group
            batch = {name: value[number::replicas] if value.shape.rank else value for name, value in batch.items()}
        taught = self.objective.taught(batch)
        batch = batch if taught is None else {**batch, "taught": taught}
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            loss = self._loss(batch)
        # Dense, because the sparse gradient of an embedding is neither clipped nor summed in one known order.
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, [v.value for v in variables])]
        if replicas > 1:
            gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        if self.config.clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self.config.clip_norm)
        # Keras' optimizer sums over the replicas once more.
        self.optimizer.apply([g / replicas for g in gradients] if replicas > 1 else gradients, variables)
        # At first the average follows closely, so that it forgets the random weights it started from.
        step = tf.cast(self.optimizer.iterations.value, tf.float32)
        decay = tf.minimum(self.config.average_decay, (1.0 + step) / (10.0 + step))
        for average, variable in zip(self.averages, variables, strict=bool(self.averages)):
            average.assign_add((variable.value - average) * (1.0 - decay))
        return loss

    def _loss(self, batch: Batch) -> tf.Tensor:
        outputs = self.objective.forward(self.model, batch, True)
        loss = tf.reduce_sum(self.objective.loss(batch, outputs) * batch["weight"]) / batch["total"]
        if self.model.losses:
            loss += tf.add_n(self.model.losses) / self.strategy.num_replicas_in_sync
        return loss

    def _dev_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        with traced_for("many_rows"):
            outputs = self.objective.forward(self.model, batch, False)
        return {"loss": self.objective.loss(batch, outputs), **self.objective.metrics(batch, outputs)}

    def _evaluate(self) -> dict[str, float]:
        sums: dict[str, float] = {}
        with self._averaged():
            for rows in plan_in_order_of_length(self.dev_examples.lengths, batch_size=self.config.batch_size):
                batch = self.dev_examples.batch(rows)
                batch |= {"weight": np.ones(len(rows), np.float32), "total": np.array(len(rows), np.float32)}
                for name, values in self.dev_step(batch).items():
                    sums[f"dev_{name}"] = sums.get(f"dev_{name}", 0.0) + float(np.sum(values, dtype=np.float64))
            of_the_whole = {f"dev_{name}": value for name, value in self.objective.dev_figures(self.model).items()}
        return {**{name: value / len(self.dev_examples) for name, value in sums.items()}, **of_the_whole}

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The averaged weights in the model's place, where averages are kept."""
        if not self.averages:
            yield
            return
        own = [v.numpy() for v in self.model.trainable_variables]
        for variable, average in zip(self.model.trainable_variables, self.averages, strict=True):
            variable.assign(average)
        try:
            yield
        finally:
            for variable, value in zip(self.model.trainable_variables, own, strict=True):
                variable.assign(value)

    def _variables(self) -> list[keras.Variable | tf.Variable]:
        return [*self.model.variables, *self.optimizer.variables, *self.averages, *self.carried]

    def save(self, history: io.BufferedIOBase) -> None:
        """Save the position."""
        if not self.chief:
            return
        history.flush()
        os.fsync(history.fileno())  # before a position that counts on it
        self.position.history_bytes = history.tell()
        save_position(self.directory, self.position, self._variables())

    def restore(self) -> None:
        """Take up the saved position, if there is one."""
        if self.chief:
            self.directory.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.directory)
        self.position = restore_position(self.directory, self._variables()) or self.position

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the step in hand first; a second one does what it always did."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def note(number: int, frame: FrameType | None) -> None:
            self.interrupted = number
            for each, handler in before.items():
                signal.signal(each, handler)

        for number in before:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _seconds(call: Callable[[], tf.Tensor]) -> float:
    """Median time of five calls after a first one."""
    float(call())
    times = []
    for _ in range(5):
        start = time.perf_counter()
        float(call())
        times.append(time.perf_counter() - start)
    return float(np.median(times))
