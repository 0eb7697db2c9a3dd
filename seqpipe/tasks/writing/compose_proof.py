"""What an exported writer must compose: the same texts, a row and a character at a time in numpy."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from seqpipe.errors import ProofError
from seqpipe.export.artefact import Row
from seqpipe.models.character_model import Reader
from seqpipe.models.sampling import NEVER, Settings, draw_numpy, is_settled, uniform_numpy
from seqpipe.tasks.writing.compose import BEFORE_ALL
from seqpipe.text.forms import Form
from seqpipe.text.rhymes import rhyme
from seqpipe.text.units import Units

PROBES = 4
LEFT = 0.25  # of the probes, whose texts do not hang on rounding


def probes(form: Form) -> list[Row]:
    """Rows with and without an acrostic, whose characters are among the most frequent and all different."""
    acrostics = ["", form.content[: form.lines], form.content[form.lines : 2 * form.lines], ""]
    usable = [text if len(text) in (0, form.lines) else "" for text in acrostics]
    return [
        {"acrostic": np.array(text.encode(), object), "seed": np.array(seed, np.int64)}
        for seed, text in enumerate(usable[:PROBES], start=1)
    ]


def shared(form: Form) -> Row:
    """What all probes have in common: the longest lines, every wish."""
    return {
        "line_length": np.array(form.longest, np.int32),
        "temperature": np.array(1.0, np.float32),
        "rhyme": np.array(bool(form.groups)),
        "no_repeats": np.array(True),
    }


class NumpyComposer:
    """Composes with the Keras model what `shared` asks for, and looks at each text by a rule that is not the masks'."""

    def __init__(self, model: keras.Model, characters: Units, form: Form, *, first: int):
        self.characters, self.form, self.first = characters, form, first
        self.reader = Reader(model)
        self.step = tf.function(self.reader.step, autograph=False)
        self.members = [set(characters.encode(group).tolist()) for group in form.groups]

    def answers(self, rows: list[Row]) -> list[Row]:
        """The texts of rows, empty where rounding decides a draw.

        Raises:
            ProofError: a text has not the form.
        """
        found: list[Row] = []
        for row in rows:
            acrostic = row["acrostic"].item().decode()
            text, sure = self.compose(acrostic, int(row["seed"]))
            if broken := broken_rule(self.form, text, acrostic):
                raise ProofError(f"compose wrote {text!r}, whose {broken}.")
            found.append({"text": np.array(text.encode(), object)} if sure else {})
        return found

    def compose(self, acrostic: str, seed: int) -> tuple[str, bool]:
        """The text, and whether it is the same where rounding differs."""
        form, encode = self.form, self.characters.encode
        openings = encode(acrostic).tolist() or [0] * form.lines
        group = self._group(set(openings), seed)
        plan = form.plan(form.longest)
        settings = Settings(1.0, 0, 1.0, 0.0, 1.0)
        unseen = np.zeros(self.characters.size, bool)
        written: list[int] = []
        closed: list[int] = []
        state, now, sure = self.reader.zero_state(1), self.first, True
        for number in range(len(plan.code) - 1):
            rhymes = 0 if group is None or not plan.rhyme[number] else 1 + group
            rhymes += len(form.groups) * (rhymes > 0 and plan.rhyme[number] == 2)
            told = [plan.code[number], rhymes, [*openings, 0][plan.opening[number]]]
            logits, state = self.step(tf.constant([now]), state, [tf.constant([code], tf.int32) for code in told])
            line, at = int(plan.line[number]), int(plan.at[number])
            if at == form.longest:
                allowed = {int(encode(form.marks)[line])}
            elif at == 0 and openings[line]:
                allowed = {openings[line]}
            else:
                taken = {*written, *openings[line + 1 :]}
                allowed = set(encode(form.content).tolist()) - taken
                if group is not None:
                    allowed = self._rhyming(allowed, group, plan.rhyme[number:], taken, closed)
            scores = np.full(self.characters.size, NEVER, np.float32)
            scores[list(allowed)] = logits.numpy()[0, list(allowed)]
            uniform = float(uniform_numpy(seed, number))
            now = draw_numpy(scores, uniform, settings, unseen)
            sure = sure and is_settled(now, scores, uniform, settings, unseen)
            written.append(now)
            if plan.rhyme[number] == 2:
                closed.append(now)
        return self.characters.decode(np.array(written)), sure

    def _rhyming(
        self, allowed: set[int], group: int, coming: np.ndarray, taken: set[int], closed: list[int]
    ) -> set[int]:
        free = self.members[group] - set(closed)
        if coming[0] == 2:
            return allowed & free
        return allowed - self.members[group] if len(free - taken) <= int((coming == 2).sum()) else allowed

    def _group(self, openings: set[int], seed: int) -> int | None:
        if not self.members:
            return None
        possible = [len(members - openings) >= len(self.form.rhyme_lines) for members in self.members]
        weights = np.where(possible, np.maximum(1, self.form.weights), 0).astype(np.float32)
        summed = np.cumsum(weights)
        return int((summed <= uniform_numpy(seed, BEFORE_ALL) * summed[-1]).sum())


def settled(rows: list[Row], answers: list[Row], signature: str) -> list[Row]:
    """Probes without those where rounding decides a draw: their texts are not even the same alone and beside others.

    Args:
        answers: to each probe, empty where rounding decides.
    Raises:
        ProofError: so few are left that they prove little.
    """
    kept = [row for row, answer in zip(rows, answers, strict=True) if answer]
    if len(kept) < LEFT * len(rows):
        raise ProofError(f"{signature}: rounding decides what is drawn for all but {len(kept)} of {len(rows)} probes.")
    return kept


def broken_rule(form: Form, text: str, acrostic: str) -> str | None:
    """What rule of `shared` a text breaks, by patterns and plain counting; None if none."""
    poem = form.split(text)
    if poem is None or len(poem[0]) != form.longest:
        return "lines or marks are not those of the form"
    if acrostic and "".join(line[0] for line in poem) != acrostic:
        return "acrostic is another"
    if len(set("".join(poem))) < len("".join(poem)):
        return "characters stand twice"
    return "lines do not rhyme" if form.groups and not rhyme(form.closings(poem), form.groups) else None
