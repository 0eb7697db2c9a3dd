"""Teachers: trained first as runs of their own would be, then learned from beside the text."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pipelines import VERSES
from seqpipe.tasks import make_task, schemas
from seqpipe.tasks.writing.scores import Scores, loss, taught, zero_state
from seqpipe.training.loop import Trainer


def made(place, *, seed=1, **training):
    tree = {**VERSES, "seed": seed, "training": {**VERSES["training"], "epochs": 1, **training}}
    task = make_task(schemas()["writing"].model_validate(tree))
    task.read()
    task.fit_features(place)
    return task


def train(task, directory):
    examples = {split: task.examples(split) for split in ("train", "dev")}
    trainer = Trainer(
        task.build,
        objective=task,
        config=task.config.training,
        **examples,
        seed=task.config.seed,
        directory=directory,
        say=lambda line: None,
    )
    trainer.run()
    return trainer.model.get_weights(), [[variable.numpy() for variable in state] for state in task.states]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("teachers")


@pytest.fixture(scope="module")
def pupil(place):
    task = made(place / "pupil", distillation={"fraction": 0.9})
    said = []
    summary = task.pretrain(place / "pretrain", say=said.append, callbacks=lambda epochs, steps: ())
    assert said == ["Training the teacher of seed 2"]
    assert summary.startswith("Teachers were trained first, whose answers it learned: best dev loss ")
    task.load_pretrained(place / "pretrain")
    return task


def test_teacher_is_what_a_run_of_the_next_seed_would_be(pupil, place):
    train(made(place / "plain", seed=2), place / "run-2")
    with np.load(place / "pretrain" / "seed-2" / "best.npz") as kept, np.load(place / "run-2" / "best.npz") as wanted:
        assert kept.files == wanted.files
        for name in kept.files:
            np.testing.assert_array_equal(kept[name], wanted[name])


def test_pupil_learns_other_weights_and_carries_its_teachers_state(pupil, place):
    weights, (own, of_teacher) = train(pupil, place / "run")
    plain, (state,) = train(made(place / "alone"), place / "run-1")
    assert len(state) == len(own) == len(of_teacher)
    assert any((one != other).any() for one, other in zip(weights, plain, strict=True))
    assert all(np.abs(part).max() > 0 for part in (*own, *of_teacher))
    assert (own[0] != of_teacher[0]).any()


def test_taught_is_the_mean_of_what_teachers_guess(pupil):
    teachers = [pupil.build(), pupil.build()]
    rows = pupil.plan(pupil.examples("train"), batch_size=16, seed=1, epoch=0)[1]
    arrays = pupil.training_batch(pupil.examples("train"), rows, 0)
    batch = {name: tf.constant(array) for name, array in arrays.items()}
    states = [zero_state(teacher, 16) for teacher in teachers]
    found = taught(teachers, batch, states)
    each = [taught([teacher], batch, [zero_state(teacher, 16)]) for teacher in teachers]
    np.testing.assert_allclose(found, (each[0] + each[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(tf.reduce_sum(found, -1), np.ones(found.shape[:2]), atol=1e-5)
    again = taught(teachers, batch, states)
    assert np.abs(again - found).max() > 1e-6, "the teachers went on from where they were"


def test_loss_has_the_teachers_share():
    rng = np.random.default_rng(1)
    logits = tf.constant(rng.normal(size=(2, 3, 5)), tf.float32)
    guesses = tf.nn.softmax(tf.constant(rng.normal(size=(2, 3, 5)), tf.float32))
    batch = {"ids": tf.constant([[0, 1, 2, 3], [0, 4, 1, 0]]), "ids_lengths": tf.constant([4, 3])}
    plain = loss(batch, Scores(logits), taught_fraction=0.5)
    by_teachers = loss({**batch, "taught": guesses}, Scores(logits), taught_fraction=1.0)
    cross = -tf.reduce_sum(guesses * tf.nn.log_softmax(logits), -1).numpy()
    np.testing.assert_allclose(by_teachers, [cross[0].mean(), cross[1, :2].mean()], rtol=1e-5)
    half = loss({**batch, "taught": guesses}, Scores(logits), taught_fraction=0.5)
    np.testing.assert_allclose(half, (plain + by_teachers) / 2, rtol=1e-5)
