"""What `seqpipe write --form` and `Model.compose` do with a model that composes texts of a form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from seqpipe.errors import DataError, ModelError
from seqpipe.serving.inputs import as_tensor
from seqpipe.serving.writer import shown

if TYPE_CHECKING:
    from seqpipe.serving.model import Model


@dataclass(frozen=True)
class FormWishes:
    """How to compose; what is None is as the model's form has it: its last length, its temperature, rhyme if any."""

    line_length: int | None = None
    temperature: float | None = None
    rhyme: bool | None = None
    no_repeats: bool = False


def composed(model: Model, acrostics: Sequence[str], wishes: FormWishes, *, seeds: Sequence[int]) -> list[str]:
    """A text for each acrostic and seed; "" is no acrostic.

    Raises:
        ModelError: the model has no form.
        DataError: the wishes cannot be had together; the message names the rule.
    """
    if "compose" not in model.signatures:
        raise ModelError(
            f"{model.path} composes nothing: its pipeline has no form. It has: {', '.join(model.signatures)}."
        )
    for acrostic in acrostics:
        if not isinstance(acrostic, str):
            raise DataError(f"an acrostic is a text, not {acrostic!r:.60}.")
    known = model.call("info", {})
    lengths = known["line_lengths"].tolist()
    line_length = lengths[-1] if wishes.line_length is None else wishes.line_length
    if isinstance(line_length, int) and line_length not in lengths:
        raise DataError(
            f"{model.name} composes {int(known['lines'])} lines of {' or '.join(map(str, lengths))} characters each, "
            f"not of {line_length}."
        )
    temperature = float(known["temperature"]) if wishes.temperature is None else wishes.temperature
    rhyme = len(known["rhyme_groups"]) > 0 if wishes.rhyme is None else wishes.rhyme
    values = {
        "acrostic": [shown(acrostic) for acrostic in acrostics],
        "line_length": line_length,
        "temperature": temperature,
        "seed": list(seeds),
        "rhyme": rhyme,
        "no_repeats": wishes.no_repeats,
    }
    taken = model.takes("compose")
    try:
        inputs = {name: as_tensor(value, taken[name]) for name, value in values.items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"compose takes numbers, and true or false, not these: {str(error).splitlines()[0]}") from None
    return [text.decode() for text in model.call("compose", inputs)["text"]]


def print_composed(
    model: Model, acrostic: str, wishes: FormWishes, err: Console, *, seeds: Sequence[int], as_json: bool = False
) -> None:
    """A text a line, or JSON lines; then the seeds."""
    texts = composed(model, [acrostic] * len(seeds), wishes, seeds=seeds)
    for text, seed in zip(texts, seeds, strict=True):
        if as_json:
            print(json.dumps({"acrostic": acrostic, "text": text, "seed": seed}, ensure_ascii=False))
        else:
            print(text)  # rich would change tabs
    err.print(f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}")
