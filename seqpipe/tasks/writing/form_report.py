"""The report on forms: how many texts have the form, with and without masks, by rules that are not the masks'.

Axes: N texts, T characters of a text and its end, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from seqpipe.evaluation.figures import number, percent
from seqpipe.evaluation.tables import Table
from seqpipe.export.artefact import signature
from seqpipe.models.character_model import Reader
from seqpipe.tasks.protocol import Report
from seqpipe.tasks.writing import compose
from seqpipe.tasks.writing.compose import Composer
from seqpipe.tasks.writing.data import as_rows
from seqpipe.tasks.writing.surprisal import Surprisal
from seqpipe.text.forms import Form
from seqpipe.text.rhymes import learn_groups, rhyme

if TYPE_CHECKING:
    from seqpipe.tasks.writing.task import Writing

TEMPERATURE = 1.0
HELD_BACK_FEWEST, HELD_BACK_LINKS = 4, 2  # as rhymes.FEWEST and LINKS, of the fewer held-back texts
FREELY = "freely"
HELD_BACK = "held-back texts"


def evaluate(task: Writing, form: Form, model: keras.Model, freely: Sequence[str]) -> Report:
    """
    Args:
        freely: texts that the model wrote from nothing at temperature 1, not told of any form.
    """
    about, groups = _judge(task, form)
    texts = {HELD_BACK: task.texts("dev"), FREELY: list(freely), **_composed(task, form, model)}
    surprisal = Surprisal(model)
    rows = []
    for name, written in texts.items():
        nats = np.concatenate(surprisal.rows(as_rows(task.characters, written)))
        rows.append({"name": name, "texts": len(written), **shares(form, groups, written), "nats": float(nats.mean())})
    left = _left_by_rhyme(task, form, Reader(model), task.texts("dev")) if form.groups else None
    return {"judge": about, "rows": rows, "left_by_rhyme": left, "composed": texts[_title(form.lengths[-1])]}


def _judge(task: Writing, form: Form) -> tuple[str, list[str]]:
    """Groups that are not those of the masks, and what they are."""
    if not form.groups or task.config.form is None:
        return "", []
    learned = task.config.form.rhyme == "learned"
    splits = ["dev", "test"] if task.tested else ["dev"]
    texts = [text for split in (splits if learned else ["train"]) for text in task.texts(split)]
    closings = [form.closings(poem) for poem in map(form.split, texts) if poem]
    if learned:
        about = f"groups learned from {' and '.join(splits)} alone, which the masks' groups know nothing of"
        return about, learn_groups(closings, fewest=HELD_BACK_FEWEST, links=HELD_BACK_LINKS)
    return "groups learned from train, where the masks go by a file", learn_groups(closings)


def shares(form: Form, groups: Sequence[str], texts: Sequence[str]) -> Report:
    """Shares of texts: of the form, by a pattern; that rhyme by groups, of those it knows; that repeat nothing."""
    poems = [poem for poem in map(form.split, texts) if poem]
    verdicts = [rhyme(form.closings(poem), groups) for poem in poems] if groups else []
    known = [verdict for verdict in verdicts if verdict is not None]
    unlike = [len(set("".join(poem))) == len("".join(poem)) for poem in poems]
    return {
        "form": len(poems) / max(1, len(texts)),
        "rhyme": float(np.mean(known)) if known else None,
        "judged": len(known) / max(1, len(poems)) if groups else None,
        "no_repeats": float(np.mean(unlike)) if unlike else None,
    }


def _title(length: int) -> str:
    return f"composed, {length} a line"


def _composed(task: Writing, form: Form, model: keras.Model) -> dict[str, list[str]]:
    """Texts of each length, then of the last length with more and with fewer wishes; seeds 1, 2, 3 ..."""
    count = task.config.evaluation.poems
    masked, told = (
        signature(
            Composer(Reader(model), task.characters, form, first=task.first, masked=masked).compose, *compose.specs()
        )
        for masked in (True, False)
    )
    seeds = tf.range(1, count + 1, dtype=tf.int64)
    last = form.lengths[-1]

    def write(function: tf.types.experimental.PolymorphicFunction, acrostics: Sequence[str], length: int, bare: bool):
        wishes = tf.constant(bool(form.groups)), tf.constant(not bare)
        answer = function(tf.constant(acrostics), tf.constant(length), tf.constant(TEMPERATURE), seeds, *wishes)
        return [text.decode() for text in answer["text"].numpy()]

    none = [""] * count
    found = {f"told, no mask, {last} a line": write(told, none, last, True)}
    found |= {_title(length): write(masked, none, length, True) for length in form.lengths}
    found["and no repeats"] = write(masked, none, last, False)
    if acrostics := _acrostics(task, form, count):
        found["and an acrostic"] = write(masked, acrostics, last, False)
    return found


def _acrostics(task: Writing, form: Form, count: int) -> list[str]:
    """What opens the lines of held-back texts, where the characters are known and differ; again and again."""
    openings = ["".join(line[0] for line in poem) for poem in map(form.split, task.texts("dev")) if poem]
    usable = [text for text in openings if set(text) <= set(form.content) and len(set(text)) == len(text)]
    return [usable[number % len(usable)] for number in range(count)] if usable else []


def _left_by_rhyme(task: Writing, form: Form, reader: Reader, texts: Sequence[str]) -> Report | None:
    """Of held-back texts, the probability of the rhyme that the last rhyming line closes with, told of it and not."""
    rows = [(text, poem) for text in texts if (poem := form.split(text))]
    groups = [form.group(form.closings(poem)) for _, poem in rows]
    chosen = [
        (text, len(poem[0]), group) for (text, poem), group in zip(rows, groups, strict=True) if group is not None
    ]
    if not chosen:
        return None
    ids = [row[:-1] for row in as_rows(task.characters, [text for text, *_ in chosen])]
    told = [form.told(text, task.characters) for text, *_ in chosen]
    places = [int(np.flatnonzero(form.plan(length).rhyme == 2)[-1]) for _, length, _ in chosen]
    width = max(map(len, ids))
    read = np.stack([np.pad(row, (0, width - len(row))) for row in ids])
    codes = np.stack([np.pad(row, ((0, width - len(row)), (0, 0))) for row in told])
    lengths = np.array(list(map(len, ids)), np.int32)
    members = form.members(task.characters)[[group for *_, group in chosen]]  # [N, V]
    found = {}
    for name, beside in (("told", [tf.constant(codes[..., part]) for part in range(3)]), ("not_told", None)):
        hidden, _ = reader.read(tf.constant(read), tf.constant(lengths), reader.zero_state(len(ids)), beside)
        scores = reader.scores(tf.gather(hidden, tf.constant(places), batch_dims=1))  # [N, V]
        found[name] = float(np.median((tf.nn.softmax(scores).numpy() * members).sum(axis=1)))
    return {**found, "texts": len(chosen)}


def describe(report: Report) -> str:
    """A section of a card."""
    rows = []
    for row in report["rows"]:
        shown = [row[name] for name in ("form", "rhyme", "judged", "no_repeats")]
        cells = ["" if share is None else percent(share, 1) for share in shown]
        rows.append([row["name"], str(row["texts"]), *cells, number(row["nats"], decimals=3)])
    header = ["", "texts", "of the form", "rhyme", "judged", "no repeats", "nats a character"]
    said = "Of the form by a pattern of lines and marks; nats by the network that is told nothing, at temperature 1."
    if report["judge"]:
        said += f" Rhyme by {report['judge']}; of the texts whose characters they have (judged)."
    lines = [f"### Forms\n\n{said}", Table(header, rows, left=[""]).markdown()]
    if (left := report["left_by_rhyme"]) is not None:
        told, untold = (percent(left[name], 1) for name in ("told", "not_told"))
        lines.append(
            f"In {left['texts']:,} held-back texts, the rhyme of the last rhyming line has {told} of the probability "
            f"(median) where the network is told of it, {untold} where it is not."
        )
    return "\n\n".join(lines)
