"""Writers that are trained first, whose guesses the next one learns beside the text.

Source: Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network; Furlanello et al. 2018, Born-Again
Neural Networks.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from seqpipe.tasks.protocol import Callbacks, Say
from seqpipe.training.loop import Trainer
from seqpipe.training.weights import load_weights

if TYPE_CHECKING:
    from seqpipe.tasks.writing.task import Writing


def train_teachers(task: Writing, directory: Path, *, say: Say, callbacks: Callbacks) -> str:
    """Train what runs of the next seeds without teachers would, from wherever the last process left it.

    Returns:
        What was reached, in a line.
    """
    reached = []
    train, dev = task.examples("train"), task.examples("dev")
    for teacher in _teachers(task):
        seed, training = teacher.config.seed, teacher.config.training
        say(f"Training the teacher of seed {seed}")
        trainer = Trainer(
            teacher.build,
            objective=teacher,
            config=training,
            train=train,
            dev=dev,
            seed=seed,
            directory=_place(directory, teacher),
            say=say,
        )
        position = trainer.run(callbacks(training.epochs, trainer.steps_per_epoch))
        reached.append(f"{position.best:.4f} of seed {seed} in {position.seconds:,.0f} s")
    return f"teachers with best dev loss {', '.join(reached)}"


def load_teachers(task: Writing, directory: Path) -> list[keras.Model]:
    """The best of each teacher's training."""
    found = []
    for teacher in _teachers(task):
        model = teacher.build()
        load_weights(model, _place(directory, teacher) / "best.npz")
        found.append(teacher.trained(model))
    return found


def _teachers(task: Writing) -> list[Writing]:
    """The task as it is with the next seeds and without teachers."""
    config = task.config
    if config.training.distillation is None:
        return []
    training = config.training.model_copy(update={"distillation": None})
    found = []
    for number in range(1, config.training.distillation.teachers + 1):
        teacher = copy.copy(task)
        teacher.config = config.model_copy(update={"seed": config.seed + number, "training": training})
        teacher.teachers, teacher.surprisal = [], None
        found.append(teacher)
    return found


def _place(directory: Path, teacher: Writing) -> Path:
    return directory / f"seed-{teacher.config.seed}"
