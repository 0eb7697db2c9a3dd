"""Each key of a task's schema changes something: what the model eats, the model, a batch of training, or the loss."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import keras
import numpy as np
import pytest
from pydantic import BaseModel

from pipelines import PHRASES, TINY, TONES, VERSES
from seqpipe.config.training import Training
from seqpipe.tasks import make_task, schemas
from seqpipe.tasks.writing.scores import Scores

# What each tiny pipeline has beside, so that every section of its schema is there.
BASES: dict[str, dict[str, Any]] = {
    "text_classification": {
        **TINY,
        "features": {**TINY["features"], "max_pieces": 20},
        "model": {**TINY["model"], "ngrams": {"longest": 2, "entries": 400}},
    },
    "speech_commands": {**TONES, "data": {**TONES["data"], "train": "builtin:tones?split=train&rows=60"}},
    "translation": {
        **PHRASES,
        "data": {**PHRASES["data"], "train": "builtin:phrases?split=train&rows=400"},
        "model": {**PHRASES["model"], "encoder": {"units": 16, "convolution": [{"filters": 8}]}},
    },
    "writing": {**VERSES, "model": {**VERSES["model"], "recurrent": {"units": 32, "layers": 2}}},
}
# Values of keys for which the next one of its type would be forbidden, or no other at all.
VALUES: dict[str, Any] = {
    "features.character_coverage": 0.98,
    "features.highest_hz": 7000.0,
    "features.hop_ms": 12.0,
    "features.joint": False,
    "features.min_count": 40,
    "features.vocabulary_size": {"text_classification": 420, "translation": 420, "writing": 330},
    "features.window_ms": 20.0,
    "model.convolution.0.residual": True,
    "model.convolution.0.stride_frames": 1,
    "model.recurrent.bidirectional": False,
    "training.augmentation.highest_snr_db": 1.0,
    "training.augmentation.longest_time_mask_ms": 600.0,
    "training.augmentation.lowest_snr_db": 20.0,
    "training.augmentation.noise_fraction": 0.0,
    "training.class_weights": {
        "text_classification": {"negative": 2.0, "positive": 1.0},
        "speech_commands": "balanced",
    },
    "training.lead_in_ms": 200.0,
}
# Keys, of all tasks or of one, that another one has to make possible.
BESIDE: dict[str, dict[str, Any]] = {
    "features.joint": {"model.tied": "none"},
    "model.streaming": {"model.recurrent.bidirectional": False},
    "writing.features.vocabulary_size": {"features.units": "pieces"},
}
# Keys with tests of their own, since they ask for a file or a training.
ELSEWHERE = {
    "features.normalise": "test_writing_data_is_normalised_where_asked",
    "model.builder": "test_text_classification_with_a_builder_of_the_users_own",
    "model.embedding.vectors": "test_text_classification_card_of_a_pipeline_with_everything",
    "model.keras": "test_text_classification_with_a_keras_file_of_the_users_own",
    "model.start_from": "tests/training/test_pretraining.py",
    "training.distillation": "tests/tasks/writing/test_teachers.py",
    "training.distance_weight": "test_distance_weight_lowers_the_commands_of_what_is_far_from_all_of_them",
    "training.logit_adjustment": "test_logit_adjustment_takes_the_share_of_a_class_off_its_score",
    "training.pretrain": "tests/training/test_pretraining.py",
    "training.teacher_fraction": "tests/tasks/speech_commands/test_teachers.py",
    "training.teachers": "tests/tasks/speech_commands/test_teachers.py",
}


def keys(section: type[BaseModel], values: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, its annotation, its value) of a section of a configuration; of a list of sections the first."""
    for name, field in section.model_fields.items():
        key, value = f"{prefix}.{name}", getattr(values, name)
        if isinstance(value, BaseModel):
            yield from keys(type(value), value, key)
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            yield from keys(type(value[0]), value[0], f"{key}.0")
        else:
            yield key, field.annotation, value


def all_keys(task: str) -> Iterator[tuple[str, Any, Any]]:
    config = schemas()[task].model_validate(BASES[task])
    for part in ("features", "model", "training"):
        section = getattr(config, part)
        for key, annotation, value in keys(type(section), section, part):
            if key not in ELSEWHERE and key.removeprefix("training.") not in Training.model_fields:
                yield key, annotation, value


def another(task: str, key: str, annotation: Any, value: Any) -> Any:
    if key in VALUES:
        return VALUES[key][task] if isinstance(VALUES[key], dict) else VALUES[key]
    if get_origin(annotation) is Literal:
        return next(choice for choice in get_args(annotation) if choice != value)
    if get_origin(annotation) is types.UnionType:
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if isinstance(value, bool):
        return not value
    return value + 1 if annotation is int else value + 0.1


CASES = [(task, key, another(task, key, *rest)) for task in BASES for key, *rest in all_keys(task)]


def changed(task: str, values: dict[str, Any]) -> Any:
    tree = json.loads(json.dumps(schemas()[task].model_validate(BASES[task]).model_dump(mode="json")))
    for key, value in values.items():
        *parents, leaf = key.split(".")
        branch = tree
        for parent in parents:
            branch = branch[int(parent) if isinstance(branch, list) else parent]
        branch[leaf] = value
    return schemas()[task].model_validate(tree)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """task, values -> a filled task; data is read once, features are fitted again where their section changes."""
    splits: dict[str, Any] = {}
    fitted: dict[str, Any] = {}

    def make(task: str, values: dict[str, Any]) -> Any:
        made = make_task(changed(task, values))
        if task not in splits:
            made.read()
            splits[task] = made
        made.splits = splits[task].splits
        made.classes = getattr(splits[task], "classes", None)
        made.unlabelled = []
        part = made.config.model_dump(mode="json")
        which = json.dumps([task, part["features"], part["model"].get("ngrams")])
        if which not in fitted:
            fitted[which] = tmp_path_factory.mktemp("features")
            made.fit_features(fitted[which])
        made.load_features(fitted[which])
        return made

    return make


def batch_of(made: Any) -> dict[str, np.ndarray]:
    """The second batch of training, of the first rows."""
    examples = made.examples("train")
    return made.training_batch(examples, np.arange(8), 1)


def fingerprint(made: Any, part: str) -> list[Any]:
    """What a key of this section may change, as values that can be compared."""
    keras.backend.clear_session(free_memory=False)  # what it collects would be half of the time
    keras.utils.set_random_seed(1)
    if part == "training":
        batch = batch_of(made)
        wanted = batch["ids"][:, 1:] if "goes_on" in batch else batch.get("target", batch.get("label"))
        logits = np.random.default_rng(0).normal(size=(*wanted.shape, 500))
        if hasattr(made, "classes") and made.classes is not None:
            logits = logits[..., : len(made.classes)]
        outputs = logits.astype(np.float32)
        loss = made.loss(batch, Scores(outputs) if made.name == "writing" else outputs)
        return [*map(_bytes, batch.values()), _bytes(np.asarray(loss))]
    if part == "features":
        dev = made.examples("dev")
        return [*map(_bytes, batch_of(made).values()), *map(_bytes, dev.batch(np.arange(len(dev))).values())]
    model = made.build()
    bounds = getattr(made, "_searches", lambda model: None)(model)
    return [model.to_json(), _bytes(bounds.bounds(np.array([7])).numpy()) if bounds else b""]


def _bytes(array: np.ndarray) -> tuple[Any, bytes]:
    return array.shape, array.tobytes()


@pytest.fixture(scope="module")
def as_it_is(made):
    found: dict[Any, list[Any]] = {}

    def fingerprint_of(task: str, part: str, beside: dict[str, Any]) -> list[Any]:
        which = task, part, json.dumps(beside)
        if which not in found:
            found[which] = fingerprint(made(task, beside), part)
        return found[which]

    return fingerprint_of


@pytest.mark.parametrize(("task", "key", "value"), CASES, ids=[f"{task}-{key}" for task, key, _ in CASES])
def test_keys_change_something(made, as_it_is, task, key, value):
    part = key.partition(".")[0]
    beside = BESIDE.get(f"{task}.{key}", BESIDE.get(key, {}))
    assert fingerprint(made(task, {**beside, key: value}), part) != as_it_is(task, part, beside)


def test_keys_of_the_same_pipeline_change_nothing(made, as_it_is):
    for task in BASES:
        for part in ("features", "model", "training"):
            assert fingerprint(made(task, {}), part) == as_it_is(task, part, {}), (task, part)
