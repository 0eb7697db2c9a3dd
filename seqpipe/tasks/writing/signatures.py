"""The graph that an exported writer answers with: raw strings in and out, core TensorFlow ops only.

Axes: B batch (rows), T time (characters, or what a text is written in), V vocabulary, P parts of a state, U its units,
S stop strings.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from seqpipe.export.artefact import signature
from seqpipe.layers.recurrent_form import traced_for
from seqpipe.models.character_model import Reader
from seqpipe.models.sampling import NEVER, Drawer, Settings, draw, uniform, uniforms
from seqpipe.serving.writer import LONGEST
from seqpipe.tasks.writing import compose
from seqpipe.tasks.writing.compose import HIGHEST, Composer, behind, require
from seqpipe.tasks.writing.config import Sampling
from seqpipe.tasks.writing.stops import Endings, Stops
from seqpipe.text.characters import EDGE, UNKNOWN
from seqpipe.text.forms import Form
from seqpipe.text.graph_units import GraphUnits
from seqpipe.text.units import Units

LONGEST_SCORED = 10_000
READ = 2_000  # characters of a prompt that are read: its last ones
HELD = 3  # bytes of a character that is not whole
FINISHED = ("length", "stop", "end")
Outputs = dict[str, tf.Tensor]


class Whole(NamedTuple):
    """The state of the automaton, and the bytes of a character that is not whole: int32 [B] each."""

    within: tf.Tensor
    begun: tf.Tensor


class WritingModel(tf.Module):
    """Signatures over a character model: serving_default, write, score, start, step, sample, info, and compose.

    Args:
        model: of `character_model`.
        first: the id read before a text.
        ends: whether texts end by themselves.
        sampling: what serving_default writes with.
        version: of the artefact.
        form: of texts; with it there is the signature `compose`.
    """

    def __init__(
        self,
        model: keras.Model,
        characters: Units,
        *,
        first: int,
        ends: bool,
        sampling: Sampling,
        version: int,
        form: Form | None = None,
    ):
        super().__init__()
        self.characters, self._unit = GraphUnits(characters), characters.unit
        self._stops = Stops(characters, self.characters)
        self.weights = [variable.value for variable in model.weights]
        reader = Reader(model)
        # Behind a plain function: a Keras model as an attribute would be saved whole, with functions of its own.
        self._reader = lambda: reader
        # Signatures share what takes much graph.
        self._hidden = signature(
            self._after_nothing, tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
        )
        self._first, self._ends, self._version, self._size = first, ends, version, characters.size
        self._known = list(characters.known)
        self._defaults, self._form = sampling, form
        bias = np.zeros(characters.size, np.float32)
        bias[[UNKNOWN] if ends else [UNKNOWN, EDGE]] = NEVER
        self._bias = tf.constant(bias)
        text = tf.TensorSpec([None], tf.string, name="text")
        tokens = tf.TensorSpec([None], tf.int32, name="tokens")
        seed = tf.TensorSpec([None], tf.int64, name="seed")
        settings = [
            tf.TensorSpec([], tf.float32, name="temperature"),
            tf.TensorSpec([], tf.int32, name="top_k"),
            tf.TensorSpec([], tf.float32, name="top_p"),
            tf.TensorSpec([], tf.float32, name="min_p"),
            tf.TensorSpec([], tf.float32, name="repetition_penalty"),
        ]
        length = tf.TensorSpec([], tf.int32, name="length")
        stop = tf.TensorSpec([None], tf.string, name="stop")
        units = reader.units
        state = tf.TensorSpec([None, len(units), units[0]], tf.float32, name="state")  # [B, P, U]
        seen = tf.TensorSpec([None, characters.size], tf.bool, name="seen")
        number = tf.TensorSpec([], tf.int32, name="number")
        held = [] if self.characters.whole else [tf.TensorSpec([None, HELD], tf.int32, name="held")]

        self._write = signature(self._written, text, length, *settings, stop, seed)
        self.functions = {
            "serving_default": signature(self._write_by_default, text),
            "write": self._write,
            "score": signature(self._score, text),
            "start": signature(self._start, text),
            "step": signature(self._step, tokens, state),
            "sample": signature(self._sample, tokens, state, seen, number, seed, *settings, *held),
            "info": signature(self._info),
        }
        if form is not None:
            composer = Composer(reader, characters, form, first=first)
            self.functions["compose"] = signature(composer.compose, *compose.specs())

    def _info(self) -> Outputs:
        defaults = {name: tf.constant(value) for name, value in self._defaults.model_dump().items()}
        return {
            "version": tf.constant(self._version, tf.int32),
            "streaming": tf.constant(False),
            "units": tf.constant(self._unit),
            "vocabulary": tf.constant(self._known, tf.string),
            **defaults,
            **(compose.facts(self._form) if self._form is not None else {}),
        }

    def _write_by_default(self, text: tf.Tensor) -> Outputs:
        wanted = self._defaults
        seed = tf.ones_like(tf.strings.length(text), tf.int64)
        settings = (tf.constant(getattr(wanted, name)) for name in Settings._fields)
        answer = self._write(text, tf.constant(wanted.length), *settings, tf.zeros([0], tf.string), seed)
        return {"text": answer["text"]}

    def _written(self, text: tf.Tensor, length: tf.Tensor, *given: tf.Tensor) -> Outputs:
        """given: settings, strings to stop at, seeds."""
        *numbers, stop, seed = given
        of_rows = tf.shape(seed)[0] == tf.shape(text)[0]
        rules = [
            *_rules(Settings(*numbers)),
            require((length >= 1) & (length <= LONGEST), f"length must be 1 to {LONGEST:,} characters, not", length),
            require(of_rows, "seed must be as many numbers as there are texts, not", tf.shape(seed)[0]),
        ]
        text, length, *numbers = behind(rules, text, length, *numbers)
        settings = Settings(*numbers)
        endings = self._stops.endings(stop)
        state, logits, seen, unknown = self._read(text)
        # Most texts are written without a penalty and without strings to stop at: a loop that looks for neither.
        plain = (settings.repetition_penalty <= 1) & (tf.size(endings.sizes) == 0)
        beginning = state, logits, seen, length, settings, endings, seed
        ids, dropped, nats, reason = tf.cond(
            plain, lambda: self._loop(*beginning, plain=True), lambda: self._loop(*beginning, plain=False)
        )
        whole = tf.strings.reduce_join(self.characters.decode(ids), axis=1)
        return {
            "text": tf.strings.substr(whole, tf.zeros_like(dropped), tf.strings.length(whole) - dropped),
            "nats": nats,
            "finished": tf.gather(tf.constant(FINISHED), reason),
            "unknown": unknown,
        }

    def _read(self, text: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor, tf.Tensor]:
        """State after prompts, logits of the next character, ids seen, characters not known."""
        ids, lengths, unknown = self._prompt(text)
        hidden, state = self._hidden(ids, lengths)
        last = tf.gather(hidden, lengths - 1, batch_dims=1)
        return state, self._reader().scores(last), self._seen(ids, lengths), unknown

    def _after_nothing(self, ids: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """`Reader.read` from the state before a text."""
        with traced_for("serving"):
            return self._reader().read(ids, lengths, self._reader().zero_state(tf.shape(ids)[0]))

    def _prompt(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The last READ characters of prompts behind the first id: ids [B, T], lengths [B], at least 1."""
        found = self.characters.encode(text)
        kept = tf.minimum(found.lengths, READ)
        places = (found.lengths - kept)[:, tf.newaxis] + tf.range(tf.reduce_max(tf.concat([kept, [0]], 0)))
        inside = tf.sequence_mask(kept, tf.shape(places)[1])
        padded = tf.pad(found.ids, [[0, 0], [0, 1]])
        ids = tf.where(inside, tf.gather(padded, tf.where(inside, places, 0), batch_dims=1), EDGE)
        first = tf.fill([tf.shape(ids)[0], 1], self._first)
        return tf.concat([first, ids], 1), kept + 1, found.unknown

    def _seen(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        inside = tf.sequence_mask(lengths, tf.shape(ids)[1])
        places = tf.stack([tf.broadcast_to(tf.range(tf.shape(ids)[0])[:, tf.newaxis], tf.shape(ids)), ids], -1)
        counts = tf.scatter_nd(
            tf.boolean_mask(places, inside),
            tf.ones([tf.reduce_sum(lengths)], tf.int32),
            tf.stack([tf.shape(ids)[0], self._size]),
        )
        return counts > 0

    def _loop(
        self,
        state: list[tf.Tensor],
        logits: tf.Tensor,
        seen: tf.Tensor,
        length: tf.Tensor,
        settings: Settings,
        endings: Endings,
        seed: tf.Tensor,
        *,
        plain: bool,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Ids int32 [B, T], EDGE behind an end, bytes to drop, nats and how each row finished; ends when all have.

        Args:
            plain: there is no penalty for what was seen and nothing to stop at.
        """
        rows = tf.shape(seed)[0]
        none = tf.zeros([rows], tf.int32)
        drawings = uniforms(seed, length)
        draw, step = Drawer(settings, self._size), self._reader().stepper()

        def body(number, active, logits, seen, recent, ids, dropped, nats, state, whole):
            logits = self._allowed(logits, whole.within)
            drawn = draw(logits, tf.gather(drawings, number), None if plain else seen)
            surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(drawn, logits)
            nats += tf.where(active, surprise, 0.0)
            drawn = tf.where(active, drawn, EDGE)
            whole = self._after(whole, drawn, active)
            active = drawn != EDGE
            if not plain:
                recent, cut = self._stops.after(recent, drawn, endings)
                dropped = tf.where(active, cut, dropped)
                active &= cut <= 0
                seen |= tf.one_hot(drawn, self._size, on_value=True, off_value=False)
            logits, state = step(drawn, state)
            return number + 1, active, logits, seen, recent, ids.write(number, drawn), dropped, nats, state, whole

        start = (
            tf.constant(0),
            tf.ones([rows], tf.bool),
            logits,
            seen,
            self._stops.nothing_before(rows, endings),
            tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[None]),
            none,
            tf.zeros([rows]),
            state,
            Whole(none, none),
        )
        _, active, _, _, _, ids, dropped, nats, _, whole = tf.while_loop(
            # Once in any case: of no rows there is nothing to stack, either.
            lambda number, active, *_: (number < length) & ((number == 0) | tf.reduce_any(active)),
            body,
            start,
        )
        reason = tf.where(dropped > 0, 1, tf.where(active, 0, 2))
        return tf.transpose(ids.stack()), dropped + whole.begun, nats, reason

    def _allowed(self, logits: tf.Tensor, within: tf.Tensor) -> tf.Tensor:
        """Logits without what is never written, and without bytes that cannot follow."""
        logits += self._bias
        return logits if self.characters.whole else tf.where(self.characters.allowed(within), logits, NEVER)

    def _after(self, whole: Whole, drawn: tf.Tensor, active: tf.Tensor) -> Whole:
        """What is begun after ids that were drawn; rows that have finished stay as they are."""
        if self.characters.whole:
            return whole
        within = tf.where(active, self.characters.after(whole.within, drawn), whole.within)
        begun = tf.where(active, tf.where(within > 0, whole.begun + 1, 0), whole.begun)
        return Whole(within, begun)

    def _score(self, text: tf.Tensor) -> Outputs:
        each = tf.strings.unicode_split(text, "UTF-8", errors="replace")
        characters = tf.cast(each.row_lengths(), tf.int32)
        right = tf.reduce_all(characters <= LONGEST_SCORED)
        rule = f"a text to score must have at most {LONGEST_SCORED:,} characters, not"
        (text,) = behind([require(right, rule, characters)], text)
        found = self.characters.encode(text)
        rows = tf.shape(found.ids)[0]
        read = tf.concat([tf.fill([rows, 1], self._first), found.ids], 1)
        hidden, _ = self._hidden(read, found.lengths + 1)
        logits = self._reader().scores(hidden[:, :-1])
        inside = tf.sequence_mask(found.lengths, tf.shape(found.ids)[1])
        surprisal = tf.where(inside, tf.nn.sparse_softmax_cross_entropy_with_logits(found.ids, logits), 0.0)
        pieces, nats = each.to_tensor(""), tf.reduce_sum(surprisal, axis=1)
        if not self.characters.whole:
            surprisal = self.characters.by_character(surprisal, found.ids, found.lengths)
        size = tf.cast(tf.reduce_sum(tf.strings.length(pieces), axis=1), tf.float32)
        answer = {
            "nats": nats,
            "characters": characters,
            "bits_per_byte": tf.math.divide_no_nan(nats / np.float32(np.log(2.0)), size),
            "surprisal": surprisal,
            "pieces": pieces,
            "unknown": found.unknown,
        }
        if self._ends:
            after = self._reader().scores(tf.gather(hidden, found.lengths, batch_dims=1))
            answer["end_nats"] = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.fill([rows], EDGE), after)
        return answer

    def _start(self, text: tf.Tensor) -> Outputs:
        """The state before the last character of a prompt, and that character, which `step` reads first."""
        ids, lengths, _ = self._prompt(text)
        _, state = self._hidden(ids, lengths - 1)
        rows = tf.shape(ids)[0]
        return {
            "tokens": tf.gather(ids, lengths - 1, batch_dims=1),
            "state": tf.stack(state, axis=1),
            "seen": self._seen(ids, lengths),
            **({} if self.characters.whole else {"held": tf.zeros([rows, HELD], tf.int32)}),
        }

    def _step(self, tokens: tf.Tensor, state: tf.Tensor) -> Outputs:
        known = tf.reduce_all((tokens >= 0) & (tokens < self._size))
        finite = tf.reduce_all(tf.math.is_finite(state))
        rules = [
            require(known, f"tokens must be 0 to {self._size - 1}, not", tokens),
            require(finite, "state must be as the call before gave it, not", state),
            *_rules_of_rows(tokens, state=state),
        ]
        tokens, state = behind(rules, tokens, state)
        logits, after = self._reader().step(tokens, tf.unstack(state, axis=1))
        return {"logits": logits, "state": tf.stack(after, axis=1)}

    def _sample(
        self,
        tokens: tf.Tensor,
        state: tf.Tensor,
        seen: tf.Tensor,
        number: tf.Tensor,
        seed: tf.Tensor,
        *given: tf.Tensor,
    ) -> Outputs:
        """Read a character and draw the next, the `number`th: called again and again it writes what `write` writes.

        The bytes of a character are held until it is whole, and then are its text. given: settings, bytes held.
        """
        *numbers, held = (*given, None) if self.characters.whole else given
        rows = {"seen": seen, "seed": seed, **({} if held is None else {"held": held})}
        rules = [*_rules(Settings(*numbers)), *_rules_of_rows(tokens, **rows)]
        tokens, *numbers = behind(rules, tokens, *numbers)
        settings = Settings(*numbers)
        within = tf.zeros_like(tokens)
        for byte in [] if held is None else tf.unstack(held, axis=1):
            within = tf.where(byte > 0, self.characters.after(within, byte), within)
        answer = self._step(tokens, state)
        drawn = draw(self._allowed(answer.pop("logits"), within), uniform(seed, number), settings, seen)
        seen |= tf.one_hot(drawn, self._size, on_value=True, off_value=False)
        answer |= {"tokens": drawn, "seen": seen}
        if held is None:
            return {**answer, "text": self.characters.decode(drawn)}
        whole = (self.characters.after(within, drawn) == 0)[:, tf.newaxis]
        bytes_so_far = tf.concat([held, drawn[:, tf.newaxis]], 1)
        text = tf.strings.reduce_join(tf.where(whole, self.characters.decode(bytes_so_far), ""), axis=1)
        # Bytes that are held stand at the end, so that the first is dropped: it is none.
        return {**answer, "text": text, "held": tf.where(whole, 0, bytes_so_far[:, 1:])}


def _rules(settings: Settings) -> list[tf.Operation]:
    """What settings may be."""
    t, top_p, penalty = settings.temperature, settings.top_p, settings.repetition_penalty
    return [
        require((t >= 0) & (t <= HIGHEST), f"temperature must be 0 (the likeliest) to {HIGHEST:g}, not", t),
        require(settings.top_k >= 0, "top_k must be 0 (all) or more, not", settings.top_k),
        require((top_p > 0) & (top_p <= 1), "top_p must be above 0 and at most 1, not", top_p),
        require((settings.min_p >= 0) & (settings.min_p <= 1), "min_p must be 0 to 1, not", settings.min_p),
        require(
            (penalty >= 1) & (penalty <= HIGHEST), f"repetition_penalty must be 1 (none) to {HIGHEST:g}, not", penalty
        ),
    ]


def _rules_of_rows(tokens: tf.Tensor, **values: tf.Tensor) -> list[tf.Operation]:
    """Named values have the rows of the tokens."""
    rows = {name: tf.shape(value)[0] for name, value in values.items()}
    return [
        require(found == tf.shape(tokens)[0], f"{name} must have as many rows as tokens, not", found)
        for name, found in rows.items()
    ]
