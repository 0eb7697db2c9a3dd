"""A forecaster trained once more, on validation too: what is published has learned from all but the test windows.

Validation has said how many epochs, which penalty, which shares and widths; it judges the model of before alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seqpipe.tasks.forecasting.ridge import refit_ridge

if TYPE_CHECKING:
    import keras

    from seqpipe.tasks.forecasting.task import Forecasting
    from seqpipe.tasks.protocol import Callbacks, Say


def refit(task: Forecasting, directory: Path, *, epochs: int, say: Say, callbacks: Callbacks) -> str:
    """See `seqpipe.tasks.protocol.Task.refit`."""
    from seqpipe.training.loop import Trainer

    learned = task.examples("learned")
    say(f"Training once more, on {len(learned):,} windows of training and validation; dev is among what it learns")
    kernel = refit_ridge(task, learned, task.penalty) if task.penalty is not None else None

    def build() -> keras.Model:
        model = task.build()
        if kernel is not None:
            model.get_layer("ridge").kernel.assign(kernel)
        return model

    trainer = Trainer(
        build,
        objective=task,
        config=task.config.training,
        train=learned,
        dev=task.examples("dev"),
        seed=task.config.seed,
        directory=directory,
        say=say,
        until=epochs,
    )
    position = trainer.run(callbacks(epochs, trainer.steps_per_epoch))
    return f"Trained once more on training and validation: {position.epoch} epochs in {position.seconds:,.0f} s"
