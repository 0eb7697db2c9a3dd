from __future__ import annotations

import keras
import pytest
import tensorflow as tf

from seqpipe.errors import RunError
from seqpipe.training import progress


def test_progress_tensorboard_reads_what_training_logs(tmp_path):
    pytest.importorskip("tensorboard")
    callback = progress.tensorboard()
    callback.set_params({"directory": str(tmp_path)})
    callback.set_model(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))  # not compiled, as in training
    callback.on_train_begin()
    for epoch, loss in enumerate((0.5, 0.25)):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"loss": loss, "dev_accuracy": 1 - loss})
    callback.on_train_end()
    found = {}
    for file in (tmp_path / "tensorboard").glob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    assert found["loss", 1] == 0.25
    assert found["dev_accuracy", 0] == 0.5


def test_progress_tensorboard_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        RunError, match=r"training\.tensorboard needs TensorBoard: pip install 'seqpipe\[tensorboard\]'\."
    ):
        progress.tensorboard()


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (3599.4, "59 min 59 s"), (3660.0, "1 h 1 min")]
)
def test_progress_durations(seconds, shown):
    assert progress._duration(seconds) == shown
