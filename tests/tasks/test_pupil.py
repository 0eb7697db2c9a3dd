"""Teachers: trained first as runs of their own would be, then learned from beside the data."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import tensorflow as tf

from pipelines import PHRASES
from seqpipe.tasks import make_task, schemas
from seqpipe.training.loop import Trainer

FEW = {**PHRASES, "data": {**PHRASES["data"], "train": "builtin:phrases?split=train&rows=200"}}


def made(place, *, seed=1, **training):
    training = {**FEW["training"], "epochs": 1, **training}
    task = make_task(schemas()["translation"].model_validate({**FEW, "seed": seed, "training": training}))
    task.read()
    task.fit_features(place)
    return task


def train(task, directory):
    trainer = Trainer(
        task.build,
        objective=task,
        config=task.config.training,
        higher_is_better=True,
        train=task.examples("train"),
        dev=task.examples("dev"),
        seed=task.config.seed,
        directory=directory,
        say=lambda line: None,
    )
    trainer.run()
    return trainer.model


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("pupil")


@pytest.fixture(scope="module")
def pupil(place):
    task = made(place / "features", distillation={"fraction": 0.9})
    said: list[str] = []
    summary = task.pretrain(place / "pretrain", say=said.append, callbacks=lambda epochs, steps: ())
    assert said == ["Training the teacher of seed 2"]
    assert summary.startswith("teachers with best dev bleu ")
    task.load_pretrained(place / "pretrain")
    return task


def arrays_of(pupil):
    rows = pupil.plan(pupil.examples("train"), batch_size=8, seed=1, epoch=0)[0]
    arrays = pupil.training_batch(pupil.examples("train"), rows, 0)
    return {name: tf.constant(array) for name, array in arrays.items()}


def test_teacher_is_what_a_run_of_the_next_seed_would_be(pupil, place):
    train(made(place / "again", seed=2), place / "run-2")
    with np.load(place / "pretrain" / "seed-2" / "best.npz") as kept, np.load(place / "run-2" / "best.npz") as wanted:
        assert kept.files == wanted.files
        for name in kept.files:
            np.testing.assert_array_equal(kept[name], wanted[name])


def test_what_is_taught_is_the_mean_of_the_teachers_probabilities(pupil):
    batch, task = arrays_of(pupil), copy.copy(pupil)
    task.teachers = [*pupil.teachers, pupil.build()]
    found = [tf.nn.softmax(pupil.forward(teacher, batch, False)).numpy() for teacher in task.teachers]
    assert np.abs(found[0] - found[1]).max() > 1e-4, "two teachers are two models"
    np.testing.assert_allclose(task.taught(batch), (found[0] + found[1]) / 2, atol=1e-6)


def test_pupil_learns_what_it_is_taught(pupil, place):
    """Its answers lie nearer to its teacher's than those of the same seed without one."""
    batch = arrays_of(pupil)
    taught = pupil.taught(batch).numpy()

    def distance(task, directory):
        return np.abs(tf.nn.softmax(pupil.forward(train(task, directory), batch, False)) - taught).mean()

    assert distance(pupil, place / "taught") < distance(made(place / "alone"), place / "plain")


def test_loss_has_the_teachers_share_where_a_batch_is_taught(pupil):
    batch = arrays_of(pupil)
    scores, taught = pupil.forward(pupil.build(), batch, False), pupil.taught(batch)

    def loss(fraction):
        training = pupil.config.training
        distillation = training.distillation.model_copy(update={"fraction": fraction})
        task = copy.copy(pupil)
        training = training.model_copy(update={"distillation": distillation})
        task.config = pupil.config.model_copy(update={"training": training})
        return task.loss({**batch, "taught": taught}, scores)

    np.testing.assert_allclose(loss(0.0), pupil.loss(batch, scores), rtol=1e-5)
    np.testing.assert_allclose(loss(0.5), (loss(0.0) + loss(1.0)) / 2, rtol=1e-5)
    assert np.abs(loss(1.0) - loss(0.0)).max() > 1e-4


def test_no_teachers_no_answer(place):
    task = made(place / "none")
    assert task.pretrain(place / "no", say=print, callbacks=lambda epochs, steps: ()) is None
    assert not (place / "no").exists()
    assert task.taught(arrays_of(task)) is None
