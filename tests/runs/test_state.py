"""Which steps of a run a changed configuration asks for anew."""

import json

import pytest

from seqpipe.config.file import flatten
from seqpipe.errors import RunError
from seqpipe.runs.state import read_state
from seqpipe.tasks import load_pipeline

STEPS = ("features", "train", "fit", "evaluate", "export")


@pytest.mark.parametrize(
    ("pipeline", "change", "kept"),
    [
        ("write_verses", "training.tensorboard=true", STEPS),
        ("write_verses", "sampling.temperature=0.3", STEPS[:3]),
        ("write_verses", "evaluation.samples=2", STEPS[:3]),
        ("write_verses", "description=another", STEPS[:4]),
        ("write_verses", "export.weight_bits=9", STEPS[:2]),
        ("commands", "training.logit_adjustment=0.5", STEPS[:2]),
        ("forecast_series", "conformal.window_steps=90", STEPS[:2]),
        ("forecast_series", "evaluation.bootstrap_samples=200", STEPS[:3]),
    ],
)
def test_state_a_change_takes_its_step_and_those_behind_it(tmp_path, pipeline, change, kept):
    before = load_pipeline(f"pipelines/{pipeline}.yaml").config
    state = {"config": flatten(before.model_dump(mode="json")), "steps": {step: {} for step in STEPS}}
    (tmp_path / "state.json").write_text(json.dumps(state))
    after = load_pipeline(f"pipelines/{pipeline}.yaml", [change]).config
    assert tuple(read_state(tmp_path, after)["steps"]) == kept


def test_state_a_change_of_what_was_trained_is_an_error(tmp_path):
    before = load_pipeline("pipelines/write_verses.yaml").config
    state = {"config": flatten(before.model_dump(mode="json")), "steps": {"train": {}}}
    (tmp_path / "state.json").write_text(json.dumps(state))
    after = load_pipeline("pipelines/write_verses.yaml", ["model.recurrent.units=7"]).config
    with pytest.raises(RunError, match=r"model\.recurrent\.units = 7 here"):
        read_state(tmp_path, after)


def test_state_a_change_of_what_the_best_epoch_is_chosen_by_is_an_error(tmp_path):
    before = load_pipeline("pipelines/translate_phrases.yaml").config
    state = {"config": flatten(before.model_dump(mode="json")), "steps": {"train": {}}}
    (tmp_path / "state.json").write_text(json.dumps(state))
    after = load_pipeline("pipelines/translate_phrases.yaml", ["evaluation.tokenize=char"]).config
    with pytest.raises(RunError, match=r"evaluation\.tokenize = char here, 13a in the run"):
        read_state(tmp_path, after)
