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


@pytest.mark.parametrize(
    ("pipeline", "change", "message"),
    [
        ("write_verses", "model.recurrent.units=7", r"model\.recurrent\.units = 7 here"),
        ("translate_phrases", "evaluation.tokenize=char", r"evaluation\.tokenize = char here, 13a in the run"),
    ],
)
def test_state_a_change_of_what_was_trained_or_chosen_by_is_an_error(tmp_path, pipeline, change, message):
    before = load_pipeline(f"pipelines/{pipeline}.yaml").config
    state = {"config": flatten(before.model_dump(mode="json")), "steps": {"train": {}}}
    (tmp_path / "state.json").write_text(json.dumps(state))
    after = load_pipeline(f"pipelines/{pipeline}.yaml", [change]).config
    with pytest.raises(RunError, match=message):
        read_state(tmp_path, after)
    (tmp_path / "state.json").write_text(json.dumps({**state, "steps": {}}))  # its data was refused, say
    key = change.partition("=")[0]
    assert read_state(tmp_path, after)["config"][key] == flatten(after.model_dump(mode="json"))[key]
