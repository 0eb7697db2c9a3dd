"""An exported writer on another text: how surprised it is, as it is served.

Axes: N characters of all texts.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.data.examples import content_key
from seqpipe.data.findings import Finding
from seqpipe.errors import ModelError
from seqpipe.evaluation.paired import with_interval
from seqpipe.serving.writer import scored, surprisals, texts_end
from seqpipe.tasks.protocol import Report
from seqpipe.tasks.writing.data import read_texts
from seqpipe.tasks.writing.measures import NATS, bits_per_byte, counted, read_how, rows_of

if TYPE_CHECKING:
    from seqpipe.serving.model import Model
    from seqpipe.tasks.writing.task import Writing


def evaluate_served(task: Writing, model: Model, source: str, directory: Path) -> tuple[Report, list[Finding]]:
    """The report on the texts of a source: of a stream by blocks, else by texts, what ends them counted as a character.

    Raises:
        ModelError: the model was published before `score` said what the end of a text costs.
    """
    texts, findings = read_texts(task.config.data, source, task.config.features.normalise)
    if task.stream:
        nats = scored(model, texts[0]).bits * math.log(2)
        bounds = np.arange(0, len(nats), task.config.evaluation.block)
    else:
        if not texts_end(model):
            raise ModelError(
                f"{model.path} was published by an older seqpipe, whose `score` leaves out what ends a text. "
                f"`seqpipe export {model.path} --again` makes a version that has it."
            )
        each = [surprisals(answer) for answer in model.score(texts)]
        nats = np.concatenate(each)
        bounds = np.cumsum([0, *map(len, each)])[:-1]
    known = {character.decode() for character in model.call("info", {})["vocabulary"]}
    strange = sum(character not in known for text in texts for character in text)
    rows = rows_of(nats, bounds, content_key(texts))
    rows.write(directory)
    measured = with_interval(NATS, [rows], samples=task.config.evaluation.bootstrap_samples, seed=1)
    figures = {
        "read": read_how(task.stream),
        "characters": len(nats),
        "unknown": strange if task.config.features.units == "characters" else 0,
        "bits_per_byte": bits_per_byte(nats, texts, stream=task.stream),
        "perplexity": float(np.exp(nats.mean())),
        "measures": {NATS.name: counted(measured, rows, stream=task.stream)},
    }
    return {"splits": {"test": figures}}, findings
