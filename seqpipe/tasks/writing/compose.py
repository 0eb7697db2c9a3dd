"""Texts of a form in the graph: the network is told what is coming, and what would break the form is never drawn.

Axes: B batch (rows), T characters of a text, V vocabulary, G rhyme groups, N lines, L lengths of lines.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from seqpipe.models.character_model import Reader
from seqpipe.models.sampling import NEVER, Drawer, Settings, uniform, uniforms
from seqpipe.text.characters import EDGE, UNKNOWN
from seqpipe.text.forms import Form
from seqpipe.text.graph_units import graph_of
from seqpipe.text.units import Units

BEFORE_ALL = -1  # the step whose uniform number a row's rhyme group is drawn with
HIGHEST = 10.0  # temperature, and repetition penalty
SELDOM = "Another seed, or fewer wishes, may do."


class Wish(NamedTuple):
    """What one call composes.

    acrostic: int32 [B, N], 0 without one. group: int32 [B], the group that each row rhymes in; -1 is none.
    later: bool [N + 1, B, V], characters that open the lines after each. length: int32 [], of lines.
    """

    acrostic: tf.Tensor
    group: tf.Tensor
    later: tf.Tensor
    length: tf.Tensor
    no_repeats: tf.Tensor


class Composer:
    """Composes texts of a form with a character model that is told of the next character.

    Args:
        first: the id read before a text.
        masked: whether what breaks the form is forbidden; without it the network is told and left alone.
    """

    def __init__(self, reader: Reader, characters: Units, form: Form, *, first: int, masked: bool = True):
        self.reader, self.form, self.first, self.masked = reader, form, first, masked
        self.graph, self.size = graph_of(characters), characters.size
        self.marks = characters.encode(form.marks)  # [N]
        self.content = np.zeros(self.size, bool)
        self.content[characters.encode(form.content)] = True
        self.members = form.members(characters)  # [G, V]
        plans = [form.plan(length) for length in form.lengths]
        longest = max(len(plan.code) for plan in plans)
        # Of each length and number of a character, int32 [L, T].
        self.plan = [
            np.stack([np.pad(part, (0, longest - len(part))) for part in parts]) for parts in zip(*plans, strict=True)
        ]

    def compose(
        self,
        acrostic: tf.Tensor,
        line_length: tf.Tensor,
        temperature: tf.Tensor,
        seed: tf.Tensor,
        rhyme: tf.Tensor,
        no_repeats: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """The signature `compose`; what is wished and cannot be is an assertion that names the rule."""
        lengths, rows = self.form.lengths, tf.shape(seed)[0]
        known = tf.reduce_any(tf.equal(line_length, lengths))
        warm = (temperature >= 0) & (temperature <= HIGHEST)
        no_rhyme = "rhyme must be false: this model's form has no lines that rhyme, not"
        of_rows = rows == tf.shape(acrostic)[0]
        checks = [
            require(known, f"line_length must be {' or '.join(map(str, lengths))}, not", line_length),
            require(warm, f"temperature must be 0 (the likeliest) to {HIGHEST:g}, not", temperature),
            require(~rhyme | bool(self.form.groups), no_rhyme, rhyme),
            require(of_rows, "seed must be as many numbers as there are acrostics, not", rows),
        ]
        acrostic, seed, line_length = behind(checks, acrostic, seed, line_length)
        openings = self._openings(acrostic, no_repeats)
        later = self._later(openings)
        group = self._groups(later[0] & no_repeats, temperature, seed, rhyme)
        wish = Wish(openings, group, later, line_length, no_repeats)
        return {"text": self._loop(wish, temperature, seed)}

    def _openings(self, acrostic: tf.Tensor, no_repeats: tf.Tensor) -> tf.Tensor:
        """int32 [B, N], what opens each line; 0 in rows without an acrostic."""
        lines = self.form.lines
        found = self.graph.encode(acrostic)
        right = tf.reduce_all((found.lengths == 0) | (found.lengths == lines))
        require(
            right, f"acrostic must have no character, or {lines}: one for each line, not", tf.unique(found.lengths)[0]
        )
        require(
            tf.reduce_all(found.unknown == b""),
            "acrostic must be of characters that the model knows, not",
            _once(found.unknown),
        )
        ids = tf.pad(found.ids, [[0, 0], [0, tf.maximum(0, lines - tf.shape(found.ids)[1])]])[:, :lines]
        ids = tf.ensure_shape(ids, [None, lines])
        strange = (ids > 0) & ~tf.gather(tf.constant(self.content), ids)
        require(
            ~tf.reduce_any(strange),
            "acrostic must be of characters that stand in lines of the training texts, no marks, not",
            _once(self.graph.decode(tf.boolean_mask(ids, strange))),
        )
        ordered = tf.sort(ids, axis=1)
        twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > 0)
        require(
            ~(no_repeats & tf.reduce_any(twice)),
            "acrostic must not have a character twice with no_repeats, not",
            _once(self.graph.decode(tf.boolean_mask(ordered[:, 1:], twice))),
        )
        return ids

    def _later(self, openings: tf.Tensor) -> tf.Tensor:
        """bool [N + 1, B, V], for each line the characters that open it or later ones; of none after the last."""
        each = (
            tf.one_hot(tf.transpose(openings), self.size)
            * tf.cast(tf.transpose(openings) > 0, tf.float32)[..., tf.newaxis]
        )
        return tf.pad(tf.cumsum(each, reverse=True) > 0, [[0, 1], [0, 0], [0, 0]])

    def _groups(self, taken: tf.Tensor, temperature: tf.Tensor, seed: tf.Tensor, rhyme: tf.Tensor) -> tf.Tensor:
        """int32 [B], the group that each row rhymes in, drawn by how often train rhymes in it; -1 without rhyme.

        Args:
            taken: bool [B, V], characters that cannot close a line.
        """
        if not self.form.groups:
            return tf.fill(tf.shape(seed), -1)
        members = tf.constant(self.members.astype(np.float32))
        left = tf.matmul(tf.cast(~taken, tf.float32), members, transpose_b=True)  # [B, G]
        weights = tf.constant(np.maximum(1, self.form.weights).astype(np.float32))
        weights = tf.where(left >= len(self.form.rhyme_lines), weights, 0.0)
        possible = tf.reduce_all(tf.reduce_sum(weights, axis=1) > 0)
        rule = (
            f"rhyme and no_repeats leave no group of rhymes with {len(self.form.rhyme_lines)} characters for acrostic"
        )
        require(~rhyme | possible, rule, possible)
        summed = tf.cumsum(weights, axis=1)
        wanted = uniform(seed, tf.constant(BEFORE_ALL))[:, tf.newaxis] * summed[:, -1:]
        drawn = tf.reduce_sum(tf.cast(summed <= wanted, tf.int32), axis=1)
        group = tf.where(temperature > 0, drawn, tf.argmax(weights, axis=1, output_type=tf.int32))
        return tf.where(rhyme, tf.minimum(group, len(self.form.groups) - 1), -1)

    def _loop(self, wish: Wish, temperature: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """string [B]."""
        rows = tf.shape(seed)[0]
        settings = Settings(temperature, tf.constant(0), tf.constant(1.0), tf.constant(0.0), tf.constant(1.0))
        plan = self._plan(wish.length)
        none = tf.zeros([rows, self.size], tf.bool)
        total = self.form.lines * (wish.length + 1)
        drawings = uniforms(seed, total)
        draw, step = Drawer(settings, self.size), self.reader.stepper()

        def body(number, logits, used, closed, ids, state):
            allowed = self._allowed(plan, number, wish, used, closed) if self.masked else self._known(rows)
            possible = tf.reduce_all(tf.reduce_any(allowed, axis=1))
            line = plan[0][number] + 1
            require(possible, f"the form and the wishes leave no character for a line. {SELDOM} It is line", line)
            drawn = draw(tf.where(allowed, logits, NEVER), tf.gather(drawings, number), none)
            chosen = tf.one_hot(drawn, self.size, on_value=True, off_value=False)
            closed |= chosen & (plan[3][number] == 2)
            logits, state = step(drawn, state, self._told(plan, number + 1, wish))
            return number + 1, logits, used | chosen, closed, ids.write(number, drawn), state

        first = tf.fill([rows], self.first)
        logits, state = step(first, self.reader.zero_state(rows), self._told(plan, tf.constant(0), wish))
        ids = tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[None])
        start = (tf.constant(0), logits, none, none, ids, state)
        *_, ids, _ = tf.while_loop(lambda number, *_: number < total, body, start)
        return tf.strings.reduce_join(self.graph.decode(tf.transpose(ids.stack())), axis=1)

    def _plan(self, length: tf.Tensor) -> list[tf.Tensor]:
        """The parts of `Form.plan` for a length, int32 [T] each."""
        which = tf.argmax(tf.equal(length, self.form.lengths), output_type=tf.int32)
        return [tf.gather(tf.constant(part), which) for part in self.plan]

    def _told(self, plan: list[tf.Tensor], number: tf.Tensor, wish: Wish) -> list[tf.Tensor]:
        """Place, rhyme and opening of a character, int32 [B] each."""
        _, _, code, rhyme, opening = (part[number] for part in plan)
        of_rhyme = tf.where((rhyme > 0) & (wish.group >= 0), 1 + wish.group + len(self.form.groups) * (rhyme - 1), 0)
        openings = tf.pad(wish.acrostic, [[0, 0], [0, 1]])
        return [tf.fill(tf.shape(wish.group), code), of_rhyme, openings[:, opening]]

    def _known(self, rows: tf.Tensor) -> tf.Tensor:
        every = np.ones(self.size, bool)
        every[[EDGE, UNKNOWN]] = False
        return tf.tile(tf.constant(every)[tf.newaxis], [rows, 1])

    def _allowed(
        self, plan: list[tf.Tensor], number: tf.Tensor, wish: Wish, used: tf.Tensor, closed: tf.Tensor
    ) -> tf.Tensor:
        """bool [B, V], what may stand at a place.

        Args:
            used, closed: bool [B, V], characters that stand in the text, and that close its rhyming lines.
        """
        line, at, _, rhyme, _ = (part[number] for part in plan)
        taken = (used | wish.later[line + 1]) & wish.no_repeats
        allowed = tf.constant(self.content) & ~taken
        if self.form.groups:
            rhymes = (wish.group >= 0)[:, tf.newaxis]
            members = tf.gather(tf.constant(self.members), tf.maximum(wish.group, 0))
            closing = members & ~closed
            # Characters that the lines still to come need for their rhyme are not spent before.
            to_come = tf.reduce_sum(tf.cast(plan[3][number:] == 2, tf.int32))
            left = tf.reduce_sum(tf.cast(closing & ~taken, tf.int32), axis=1, keepdims=True)
            spared = ~(members & (left <= to_come)) | ~wish.no_repeats
            allowed &= tf.where(rhymes & (rhyme == 2), closing, spared | ~rhymes)
        opening = wish.acrostic[:, tf.minimum(line, self.form.lines - 1)]
        forced = ((at == 0) & (opening > 0))[:, tf.newaxis]
        allowed = tf.where(forced, tf.one_hot(opening, self.size, True, False), allowed)
        mark = tf.gather(tf.constant(self.marks), tf.minimum(line, self.form.lines - 1))
        return tf.where(at == wish.length, tf.one_hot(mark, self.size, True, False)[tf.newaxis], allowed)


def specs() -> list[tf.TensorSpec]:
    """What `compose` takes, in its order."""
    return [
        tf.TensorSpec([None], tf.string, name="acrostic"),
        tf.TensorSpec([], tf.int32, name="line_length"),
        tf.TensorSpec([], tf.float32, name="temperature"),
        tf.TensorSpec([None], tf.int64, name="seed"),
        tf.TensorSpec([], tf.bool, name="rhyme"),
        tf.TensorSpec([], tf.bool, name="no_repeats"),
    ]


def facts(form: Form) -> dict[str, tf.Tensor]:
    """What `info` says of a form."""
    return {
        "lines": tf.constant(form.lines),
        "line_lengths": tf.constant(list(form.lengths)),
        "marks": tf.constant(form.marks),
        "rhyme_lines": tf.constant(list(form.rhyme_lines), tf.int32),
        "rhyme_groups": tf.constant(list(form.groups), tf.string),
    }


def require(right: tf.Tensor, rule: str, value: tf.Tensor) -> tf.Operation:
    """Assert a rule that an input breaks, beside what came in."""
    return tf.debugging.Assert(right, [rule, value], summarize=8)


def behind(rules: list[tf.Operation], *values: tf.Tensor) -> list[tf.Tensor]:
    """The values once all rules hold, so that nothing made of them fails before, in words of its own."""
    with tf.control_dependencies(rules):
        return [tf.identity(value) for value in values]


def _once(characters: tf.Tensor) -> tf.Tensor:
    """Each of them once, in one text: several rows may have the same acrostic."""
    return tf.strings.reduce_join(tf.unique(characters)[0])
