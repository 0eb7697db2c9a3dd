"""What is finished of a run, as state.json has it, and what of that a changed configuration asks for anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from seqpipe.config import file as pipeline_file
from seqpipe.config.pipeline import Pipeline
from seqpipe.errors import RunError
from seqpipe.training.position import Step

STATE = "state.json"


class State(TypedDict):
    """What state.json holds: the configuration by dotted keys, and the steps that are finished."""

    config: dict[str, object]
    steps: dict[str, Step]


# Sections and keys that a step depends on: a change asks for it anew, or contradicts it where training has begun. A key
# that is listed belongs to its step alone, whatever its section.
DEPENDS_ON = {
    "train": ("task", "seed", "data", "features", "model", "form", "training", "evaluation.tokenize"),
    "refit": (),
    "fit": ("conformal", "export.weight_bits", "training.logit_adjustment", "training.distance_weight"),
    "evaluate": ("evaluation", "sampling"),
    "export": ("description", "export"),
}
OWN_KEYS = {key for keys in DEPENDS_ON.values() for key in keys if "." in key}
# Keys that may change in the middle of a run, since they change nothing that is computed.
FREE_KEYS = ("training.save_every_steps", "training.pretrain.save_every_steps", "training.tensorboard")


def load_state(directory: Path) -> State:
    return json.loads((directory / STATE).read_text(encoding="utf-8"))


def read_state(directory: Path, config: Pipeline) -> State:
    """The state of the run, less the steps that the configuration asks for anew."""
    wanted = pipeline_file.flatten(config.model_dump(mode="json"))
    if not (directory / STATE).exists():
        return {"config": wanted, "steps": {}}
    state = load_state(directory)
    before = state["config"]
    changed = [key for key in pipeline_file.changed_keys(before, config) if key not in FREE_KEYS]
    fixed = [key for key in changed if _owner(key) in DEPENDS_ON["train"]]
    if fixed and state["steps"]:  # else nothing was made of the keys before, which data may have refused
        lines = [f"  {key} = {_shown(wanted, key)} here, {_shown(before, key)} in the run" for key in sorted(fixed)]
        raise RunError(
            f"The configuration contradicts the run in {directory}:\n" + "\n".join(lines) + "\n"
            "Use --fresh to start over, or give the new run another name: --set name=..."
        )
    touched = {_owner(key) for key in changed}
    steps = list(DEPENDS_ON)
    for step in steps:
        if touched & set(DEPENDS_ON[step]):
            for later in steps[steps.index(step) :]:
                state["steps"].pop(later, None)
    return {"config": wanted, "steps": state["steps"]}


def check_data(state: State, data_key: str, directory: Path, *, chief: bool) -> None:
    """Refuse data that is not what a run has made its features of."""
    features = state["steps"].get("features")
    if features is None or features["data_key"] == data_key:
        return
    if not chief:
        raise RunError(f"The data that this worker reads is not the first one's, whose run is in {directory}.")
    raise RunError(
        f"The data is no longer what the run in {directory} was started with. Use --fresh to start over, or give the "
        "new run another name: --set name=..."
    )


def _owner(key: str) -> str:
    """What DEPENDS_ON has a key as: itself, or its section."""
    return key if key in OWN_KEYS else key.partition(".")[0]


def _shown(leaves: dict[str, object], key: str) -> str:
    """The value of a key among leaves by dotted path."""
    if key in leaves:
        return str(leaves[key])
    return "a section" if any(each.startswith(f"{key}.") for each in leaves) else "not there"
