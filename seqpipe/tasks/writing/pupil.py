"""Writers that are trained first, whose guesses the next one learns beside the text.

Source: Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network; Furlanello et al. 2018, Born-Again
Neural Networks.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from seqpipe.tasks.protocol import Callbacks, Say, Task

if TYPE_CHECKING:
    import keras


class Pupil(Task):
    """What a writer does before its training, where `training.distillation` asks for teachers."""

    teachers: Sequence[keras.Model] = ()

    def pretrain(self, directory: Path, *, say: Say, callbacks: Callbacks) -> str | None:
        """Train what runs of the next seeds without teachers would."""
        from seqpipe.training.loop import Trainer

        if self.config.training.distillation is None:
            return None
        train, dev, reached = self.examples("train"), self.examples("dev"), []
        for task in self._teaching_tasks():
            seed, training = task.config.seed, task.config.training
            say(f"Training the teacher of seed {seed}")
            trainer = Trainer(
                task.build,
                objective=task,
                config=training,
                train=train,
                dev=dev,
                seed=seed,
                directory=directory / f"seed-{seed}",
                say=say,
            )
            position = trainer.run(callbacks(training.epochs, trainer.steps_per_epoch))
            reached.append(f"{position.best:.4f} of seed {seed} in {position.seconds:,.0f} s")
        return f"Teachers were trained first, whose answers it learned: best dev loss {', '.join(reached)}"

    def load_pretrained(self, directory: Path) -> None:
        from seqpipe.training.weights import load_weights

        self.teachers = []
        for task in self._teaching_tasks():
            model = task.build()
            load_weights(model, directory / f"seed-{task.config.seed}" / "best.npz")
            self.teachers.append(self.trained(model))

    def _teaching_tasks(self) -> list[Self]:
        """The task as it is with the next seeds and without teachers."""
        distillation = self.config.training.distillation
        alone = self.config.training.model_copy(update={"distillation": None})
        tasks = []
        for number in range(1, 1 + (distillation.teachers if distillation else 0)):
            task = copy.copy(self)
            task.config = self.config.model_copy(update={"seed": self.config.seed + number, "training": alone})
            task.teachers = ()
            tasks.append(task)
        return tasks

    @property
    def taught_fraction(self) -> float:
        """The teachers' share of each target."""
        distillation = self.config.training.distillation
        return distillation.fraction if distillation else 0.0
