from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqpipe.config.networks import Classifier
from seqpipe.config.training import Training
from seqpipe.data.examples import Examples, Ragged
from seqpipe.errors import DataError, Interrupted, RunError
from seqpipe.models import classifier
from seqpipe.training.loop import Trainer
from seqpipe.training.objective import Objective
from seqpipe.training.optimizers import Schedule
from seqpipe.training.position import read_history
from seqpipe.training.predict import predict
from seqpipe.training.weights import load_weights, rounded


class Twice(Objective):
    """A toy: do two ones stand side by side?"""

    def forward(self, model, batch, training):
        return model([batch["ids"], batch["ids_lengths"]], training=training)

    def loss(self, batch, outputs):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], outputs)

    def metrics(self, batch, outputs):
        return {"accuracy": tf.cast(tf.argmax(outputs, -1, tf.int32) == batch["label"], tf.float32)}


def examples(rows, seed, *, lengths=range(1, 7)):
    rng = np.random.default_rng(seed)
    ids = [rng.integers(1, 3, size=rng.choice(lengths)).astype(np.int32) for _ in range(rows)]
    labels = [bool(((row[1:] == 1) & (row[:-1] == 1)).any()) for row in ids]
    return Examples({"ids": Ragged.from_rows(ids), "label": np.array(labels, np.int32)})


def build(recurrent=None):
    """Without a recurrence, unless a test is about one: tracing it takes seconds."""
    settings = {
        "embedding": {"units": 4, "dropout": 0.0},
        "convolution": [{"filters": 4}],
        "recurrent": recurrent,
        "pooling": "max",
        "dropout": 0.1,
    }
    return classifier(Classifier.model_validate(settings), vocabulary_size=3, classes=2)


def trainer(directory, *, train=None, objective=None, until=None, recurrent=None, **settings):
    config = Training.model_validate({"epochs": 2, "batch_size": 16, "monitor": "accuracy", **settings})
    return Trainer(
        lambda: build(recurrent),
        objective=objective or Twice(),
        config=config,
        higher_is_better=config.monitor != "loss",
        train=examples(100, 1) if train is None else train,
        dev=examples(40, 2),
        seed=3,
        directory=directory,
        until=until,
    )


def test_training_is_reproducible_and_learns(tmp_path):
    first = trainer(tmp_path / "a", epochs=30, learning_rate=0.02)
    first.run()
    second = trainer(tmp_path / "b", epochs=30, learning_rate=0.02)
    second.run()
    for a, b in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.position.best > 0.9
    steps = [(row["epoch"], row["step"]) for row in read_history(tmp_path / "a") if "step" in row]
    assert steps == [(epoch, step) for epoch in range(30) for step in range(7)]


def test_training_best_weights_are_those_of_the_best_epoch(tmp_path):
    run = trainer(tmp_path, epochs=6, learning_rate=0.02)
    run.run()
    model = build()
    load_weights(model, tmp_path / "best.npz")
    outputs = predict(model, Twice(), run.dev_examples)
    accuracy = (outputs.argmax(-1) == run.dev_examples.columns["label"]).mean()
    assert accuracy == pytest.approx(run.position.best)
    figures = [row["dev_accuracy"] for row in read_history(tmp_path) if "dev_accuracy" in row]
    assert max(figures) == pytest.approx(run.position.best)


def test_training_until_an_epoch_keeps_it_whatever_dev_says(tmp_path):
    run = trainer(tmp_path, epochs=9, until=7, patience=1, learning_rate=0.02, average_decay=0.0)
    run.run()
    assert run.position.epoch == 7
    figures = [row["dev_accuracy"] for row in read_history(tmp_path) if "dev_accuracy" in row]
    assert len(figures) == 7
    assert any(after <= before for before, after in itertools.pairwise(figures))  # patience had an end
    kept = build()
    load_weights(kept, tmp_path / "best.npz")
    for a, b in zip(kept.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class Changing(Twice):
    """Notes what it is asked, and learns other ids than those of the examples."""

    def __init__(self):
        self.asked = []

    def training_batch(self, examples, rows, epoch):
        self.asked.append((epoch, rows.tolist()))
        batch = examples.batch(rows)
        return {**batch, "ids": np.ones_like(batch["ids"])}


def test_training_batches_are_made_by_an_objective_that_wants_to(tmp_path):
    objective = Changing()
    run = trainer(tmp_path, epochs=2, xla="never", objective=objective)
    assert (run._batch([3, 5])["ids"] == 1).all()
    objective.asked.clear()
    run.run()
    in_training = objective.asked[-14:]
    assert [epoch for epoch, _ in in_training] == [0] * 7 + [1] * 7
    for epoch in (0, 1):
        seen = [row for asked, rows in in_training if asked == epoch for row in rows]
        assert sorted(seen) == list(range(100))


class Figured(Twice):
    """Has a figure of its own, which falls from epoch to epoch."""

    def __init__(self):
        self.models = []

    def dev_figures(self, model):
        self.models.append(model)
        return {"own": 10.0 - len(self.models)}


def test_training_chooses_by_an_objectives_own_figure(tmp_path):
    objective = Figured()
    run = trainer(tmp_path, epochs=2, xla="never", objective=objective, monitor="own")
    run.run()
    assert objective.models == [run.model, run.model]
    assert [row["dev_own"] for row in read_history(tmp_path) if "step" not in row] == [9.0, 8.0]
    assert (run.position.best, run.position.best_epoch) == (9.0, 0)


def test_training_keeps_the_lowest_of_a_figure_that_is_better_when_it_is_lower(tmp_path):
    run = trainer(tmp_path, epochs=2, xla="never", objective=Figured(), monitor="own")
    run.higher_is_better = False
    run.run()
    assert (run.position.best, run.position.best_epoch) == (8.0, 1)


def test_training_does_not_keep_a_figure_that_is_none(tmp_path):
    run = trainer(tmp_path, epochs=3, xla="never", objective=Figured(), monitor="own")
    for epoch, figure in enumerate((np.nan, 3.0, np.nan)):
        run._keep_best(epoch, figure)
    assert (run.position.best, run.position.best_epoch, run.position.epochs_without_better) == (3.0, 1, 1)


def test_training_names_the_figures_there_are_when_the_monitored_one_is_not_among_them(tmp_path):
    run = trainer(tmp_path, epochs=1, xla="never", monitor="acuracy")
    with pytest.raises(RunError, match=r"training\.monitor = \"?acuracy\"? is not a dev figure .* accuracy"):
        run.run()


def test_training_stops_when_patience_ends(tmp_path):
    run = trainer(tmp_path, epochs=50, learning_rate=1e-9, patience=2)
    run.run()
    assert run.position.epoch == 3


def test_training_whose_patience_had_ended_when_it_was_stopped_stays_so(tmp_path):
    run = trainer(tmp_path, epochs=3, patience=1)
    run.run()
    run = trainer(tmp_path, epochs=3, patience=1)
    run.restore()
    run.position.finished, run.position.epoch, run.position.epochs_without_better = False, 2, 1
    run.restore = lambda: None
    assert run.run().epoch == 2


@pytest.mark.parametrize("patience", [None, 1])
def test_training_stopped_in_its_last_evaluation_says_so_and_is_finished(tmp_path, patience):
    class Stopping(Twice):
        def dev_figures(self, model):
            run.interrupted = run.position.total_steps == 14
            return {"own": 1.0}

    epochs = 2 if patience is None else 5
    run = trainer(tmp_path, epochs=epochs, xla="never", patience=patience, monitor="own", objective=Stopping())
    with pytest.raises(Interrupted, match=r"after the last epoch\. Training is saved; the same command goes on\."):
        run.run()
    later = trainer(tmp_path, epochs=epochs, xla="never", patience=patience, monitor="own", objective=Stopping())
    assert later.run().finished
    assert later.position.epoch == 2


def test_training_averages_follow_the_weights(tmp_path):
    run = trainer(tmp_path, epochs=1, average_decay=0.3, xla="never")
    expected = [v.numpy() for v in run.model.trainable_variables]
    train_step = run.train_step

    steps = []

    def step(batch):
        loss = train_step(batch)
        steps.append(loss)
        for i, variable in enumerate(run.model.trainable_variables):
            expected[i] += (variable.numpy() - expected[i]) * (1 - min(0.3, (1 + len(steps)) / (10 + len(steps))))
        return loss

    run.train_step = step
    run.run()
    for average, value in zip(run.averages, expected, strict=True):
        np.testing.assert_allclose(average.numpy(), value, atol=1e-6)


def test_training_clips_all_gradients_together(tmp_path):
    run = trainer(tmp_path, optimizer="sgd", learning_rate=1.0, clip_norm=0.001)
    before = [v.numpy() for v in run.model.trainable_variables]
    run.train_step(run._batch(np.arange(16)))
    moved = [v.numpy() - b for v, b in zip(run.model.trainable_variables, before, strict=True)]
    assert np.sqrt(sum((m**2).sum() for m in moved)) == pytest.approx(0.001, rel=1e-2)


def test_training_calls_keras_callbacks_and_obeys_them(tmp_path):
    seen = []

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, sorted(logs)))

        def on_epoch_end(self, epoch, logs=None):
            seen.append(sorted(logs))
            self.model.stop_training = True

    run = trainer(tmp_path, epochs=5)
    run.run([Stop()])
    assert run.position.epoch == 1
    assert seen[0] == (0, ["loss", "rows", "steps"])
    assert seen[-1] == ["dev_accuracy", "dev_loss", "loss"]


def test_training_mixed_precision_keeps_float32_weights(tmp_path):
    run = trainer(tmp_path, epochs=1, precision="mixed_bfloat16")
    run.run()
    assert run.model.get_layer("pooling").compute_dtype == "bfloat16"
    assert {v.dtype for v in run.model.trainable_variables} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


def test_training_traces_each_step_once(tmp_path):
    run = trainer(tmp_path)
    run.run()
    assert run.train_step.experimental_get_tracing_count() == 1
    assert run.dev_step.experimental_get_tracing_count() == 1


def test_training_names_what_to_lower_when_the_loss_is_not_finite(tmp_path):
    ended = []
    run = trainer(tmp_path, optimizer="sgd", learning_rate=1e30, clip_norm=None)
    callback = keras.callbacks.LambdaCallback(on_train_end=lambda logs: ended.append(True))
    with pytest.raises(
        RunError, match=r"The loss became (nan|inf) in epoch .* Lower training.learning_rate \(now 1e\+30\)"
    ):
        run.run([callback])
    assert ended == [True], "a progress bar is taken away"


def test_training_needs_rows(tmp_path):
    with pytest.raises(DataError, match="Training needs rows in train and dev; there are 0 and 40"):
        trainer(tmp_path, train=Examples({"ids": Ragged.from_rows([]), "label": np.zeros(0, np.int32)}))


def test_training_rows_that_fill_up_a_batch_for_xla_have_no_steps(tmp_path):
    run = trainer(tmp_path, batch_size=24)
    whole, filled = (run._batch([7, 8], compiled=compiled) for compiled in (False, True))
    assert filled["ids_lengths"].tolist() == [*whole["ids_lengths"], *[0] * 22]
    assert filled["ids_lengths"].dtype == whole["ids_lengths"].dtype


def test_training_with_xla_is_the_same_training_and_compiles_few_shapes(tmp_path):
    losses = {}
    for xla in ("always", "never"):
        rows, recurrent = examples(50, 1, lengths=[6]), {"units": 4, "bidirectional": False}
        run = trainer(tmp_path / xla, train=rows, recurrent=recurrent, xla=xla, batch_size=24, epochs=1)
        for layer in run.model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
        run.run()
        assert run.position.xla is (xla == "always")
        losses[xla] = [row["loss"] for row in read_history(tmp_path / xla) if "step" in row]
    np.testing.assert_allclose(losses["always"], losses["never"], atol=1e-4)
    run = trainer(tmp_path)
    shapes = {run._batch(np.arange(i, i + 3), compiled=True)["ids"].shape for i in range(90)}
    assert 1 < len(shapes) <= 4


@pytest.mark.parametrize(("seconds", "choice"), [([2.0, 1.0], True), ([1.0, 2.0], False), ([1e-6], False)])
def test_training_chooses_xla_once_by_measurement(tmp_path, monkeypatch, seconds, choice):
    said = []
    times = iter(seconds)
    monkeypatch.setattr("seqpipe.training.loop._seconds", lambda call: call() and next(times) * 1000)
    settings = {"train": examples(50, 1, lengths=[6]), "batch_size": 24, "epochs": 1}
    run = trainer(tmp_path, **settings)
    run.say = said.append
    before = [v.numpy() for v in run._variables()]
    assert run._choose_xla() is choice
    for variable, value in zip(run._variables(), before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert len(said) == len(seconds) - 1  # a short run is not measured
    run.position.xla = choice
    run.run()
    again = trainer(tmp_path, **settings)
    again.restore()
    assert again.position.xla is choice


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("constant", [0.25, 1.0, 1.0, 1.0]), ("linear", [0.25, 1.0, 0.5, 0.0]), ("cosine", [0.25, 1.0, 0.5, 0.0])],
)
def test_training_schedule_course(kind, expected):
    schedule = Schedule(2.0, kind=kind, warmup_steps=3, total_steps=13)
    rates = [float(schedule(step)) for step in (0, 3, 8, 13)]
    np.testing.assert_allclose(rates, 2 * np.array(expected), atol=1e-6)


def test_rounded_keeps_so_many_bits_whatever_the_size():
    weights = np.array([0.0, 1.0, -1 / 3, 1e-30, 7e30, 65_537.0], np.float32)
    kept = rounded(weights, 12)
    np.testing.assert_allclose(kept, weights, rtol=2**-12)
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept.view(np.uint32) & 0xFFF, 0)  # of 23 bits behind the first, 11 are left
    np.testing.assert_array_equal(rounded(weights, 24), weights)
    np.testing.assert_array_equal(rounded(np.array([4097]), 12), [4097])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("bits", [6, 11, 17, 24])
def test_rounded_stays_within_what_the_type_holds(dtype, bits):
    weights = np.array([0.5, 1.25, -3.0, np.finfo(dtype).max, np.finfo(dtype).min, np.finfo(dtype).tiny], dtype)
    kept = rounded(weights, bits)
    assert kept.dtype == dtype
    np.testing.assert_allclose(kept.astype(np.float64), weights.astype(np.float64), rtol=2.0**-bits)
