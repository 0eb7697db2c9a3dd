from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from pipelines import TONES
from seqpipe.config.sound import AudioFeatures
from seqpipe.errors import ModelError
from seqpipe.models import commands_model
from seqpipe.tasks.speech_commands.config import SpeechCommandsPipeline
from seqpipe.tasks.speech_commands.task import SpeechCommands
from seqpipe.tasks.speech_commands.teachers import Teachers, find_teachers

FEATURES = AudioFeatures()
CLASSES = [*TONES["data"]["words"], "unknown", "silence"]
FRAMES = 98


ROWS = [3, 3, 4, 5, 40, 6]


def teacher(place, seed, *, classes=CLASSES, features=FEATURES, adjusted=0.0):
    """A published recogniser, as far as a teacher goes; returned as it was before its scores were adjusted."""
    tf.keras.utils.set_random_seed(seed)
    config = SpeechCommandsPipeline.model_validate(TONES).model
    level = np.zeros(features.bands, np.float32)
    model = commands_model(
        config, bands=features.bands, clip_frames=FRAMES, classes=len(classes), mean=level, deviation=level + 9
    )
    taught = keras.models.clone_model(model)
    taught.set_weights(model.get_weights())
    bias = model.get_layer("logits").bias
    bias.assign(bias - adjusted * np.log(np.array(ROWS) / sum(ROWS)))
    (place / "features").mkdir(parents=True)
    model.save(place / "model.keras")
    (place / "saved_model.pb").touch()
    (place / "pipeline.yaml").write_text(
        yaml.safe_dump({"features": features.model_dump(), "training": {"logit_adjustment": adjusted}})
    )
    (place / "features" / "classes.json").write_text(json.dumps({"classes": classes, "train_rows": ROWS}))
    return taught


def test_teachers_answer_the_mean_for_the_last_clip(tmp_path):
    rng = np.random.default_rng(1)
    clips = rng.uniform(-60, 0, (3, FRAMES, FEATURES.bands)).astype(np.float32)
    lengths = np.full(3, FRAMES, np.int32)
    answers = [
        tf.nn.softmax(teacher(tmp_path / str(seed), seed, adjusted=share)([clips, lengths], training=False)).numpy()
        for seed, share in ((1, 0.0), (2, 0.6))
    ]
    assert np.abs(answers[0] - answers[1]).max() > 1e-3
    places = find_teachers([str(tmp_path / "1"), str(tmp_path / "2")], FEATURES, CLASSES)
    taught = Teachers(places, FRAMES)
    np.testing.assert_allclose(taught(tf.constant(clips)), np.mean(answers, axis=0), atol=1e-6)
    after_another = np.concatenate([clips[::-1, -20:], clips], axis=1)
    np.testing.assert_allclose(taught(tf.constant(after_another)), taught(tf.constant(clips)), atol=1e-6)


def test_loss_has_the_teachers_share(tmp_path):
    model = teacher(tmp_path / "1", 1)
    clips = np.random.default_rng(2).uniform(-60, 0, (3, FRAMES, FEATURES.bands)).astype(np.float32)
    batch = {"spectrogram": tf.constant(clips), "label": tf.constant([0, 4, 5])}
    logits = tf.constant(np.random.default_rng(3).normal(size=(3, len(CLASSES))).astype(np.float32))
    losses = {}
    for fraction in (None, 0.25):
        training = {} if fraction is None else {"teachers": [str(tmp_path / "1")], "teacher_fraction": fraction}
        task = SpeechCommands(SpeechCommandsPipeline.model_validate({**TONES, "training": training}))
        task.read()
        task.class_weights = np.ones(len(CLASSES), np.float32)
        taught = task.taught(batch)
        losses[fraction] = task.loss(batch if taught is None else {**batch, "taught": taught}, logits).numpy()
    answers = tf.nn.softmax(model([clips, np.full(3, FRAMES, np.int32)], training=False)).numpy()
    of_teacher = -(answers * tf.nn.log_softmax(logits).numpy()).sum(axis=1)
    np.testing.assert_allclose(losses[0.25], 0.75 * losses[None] + 0.25 * of_teacher, rtol=1e-5)


def test_teachers_are_the_versions_that_the_run_began_with(tmp_path):
    teacher(tmp_path / "own" / "1", 1)
    training = {"teachers": [str(tmp_path / "own")]}
    begun, resumed = (
        SpeechCommands(SpeechCommandsPipeline.model_validate({**TONES, "training": training})) for _ in "12"
    )
    begun.read()
    begun.fit_features(tmp_path / "features")
    teacher(tmp_path / "own" / "2", 2)
    resumed.read()
    resumed.load_features(tmp_path / "features")
    assert resumed._teachers == begun._teachers == [tmp_path / "own" / "1"]
    (tmp_path / "own" / "1" / "model.keras").unlink()
    with pytest.raises(ModelError, match=r"the run began with .*own/1, which is gone"):
        _ = resumed.teachers


def test_teachers_must_hear_and_answer_the_same(tmp_path):
    teacher(tmp_path / "fine", 1)
    teacher(tmp_path / "others", 1, classes=[*CLASSES[::-1]])
    teacher(tmp_path / "bands", 1, features=AudioFeatures(bands=30))
    with pytest.raises(ModelError, match=r"others answers other classes .*silence, unknown.* Wanted: ba, di"):
        find_teachers([str(tmp_path / "fine"), str(tmp_path / "others")], FEATURES, CLASSES)
    with pytest.raises(ModelError, match=r"the features of .*bands are other ones"):
        find_teachers([str(tmp_path / "bands")], FEATURES, CLASSES)
    (tmp_path / "fine" / "model.keras").unlink()
    with pytest.raises(ModelError, match=r"fine is no recogniser of commands with its model\.keras"):
        find_teachers([str(tmp_path / "fine")], FEATURES, CLASSES)
    with pytest.raises(ModelError, match="neither a model directory nor the name"):
        find_teachers(["nobody"], FEATURES, CLASSES)
