"""Training progress on the terminal, as a Keras callback: loss, speed, expected end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from seqpipe.errors import require_extra


class TrainingProgress(keras.callbacks.Callback):
    """A bar an epoch and a line when it is over; off a terminal only the lines.

    Speeds count real tokens, not padding.
    """

    def __init__(self, console: Console, *, epochs: int, steps_per_epoch: int):
        super().__init__()
        self.console, self.epochs, self.steps_per_epoch = console, epochs, steps_per_epoch
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  {task.fields[speed]}"),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task: TaskID | None = None
        self.rows = self.steps = 0
        self.speed = ""
        self.epoch_started = 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.bar.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.rows = self.steps = 0
        self.epoch_started = time.monotonic()
        name = f"epoch {epoch + 1}/{self.epochs}"
        self.task = self.bar.add_task(name, total=self.steps_per_epoch, loss=float("nan"), speed="")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is None or self.task is None:
            return
        self.rows += logs["rows"]
        self.steps += logs["steps"]
        self.speed = self._speed()  # of training alone: dev comes after the last batch
        self.bar.update(self.task, completed=batch + 1, loss=logs["loss"], speed=self.speed)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        figures = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        if self.task is not None:
            self.bar.remove_task(self.task)
        seconds = time.monotonic() - self.epoch_started
        left = seconds * (self.epochs - epoch - 1)
        end = f"  at most {_duration(left)} to go" if left else ""
        self.console.print(
            f"epoch {epoch + 1}/{self.epochs}  {figures}  {self.speed}  {_duration(seconds)}{end}", highlight=False
        )

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.bar.stop()

    def _speed(self) -> str:
        seconds = max(1e-9, time.monotonic() - self.epoch_started)
        return f"{self.rows / seconds:,.0f} sequences/s  {self.steps / seconds:,.0f} tokens/s"


class TensorBoard(keras.callbacks.Callback):
    """Figures of each epoch as TensorBoard reads them; Keras' own callback wants a model that is compiled."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.writer = tf.summary.create_file_writer(str(Path(self.params["directory"]) / "tensorboard"))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        with self.writer.as_default(step=epoch):
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, value)
        self.writer.flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.writer.close()


def tensorboard() -> keras.callbacks.Callback:
    """Figures of each epoch for TensorBoard, in the directory of each training: of pre-training, of training once more.

    Raises:
        RunError: TensorBoard is not installed.
    """
    require_extra("tensorboard", "tensorboard", needs="training.tensorboard needs TensorBoard")
    return TensorBoard()


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
