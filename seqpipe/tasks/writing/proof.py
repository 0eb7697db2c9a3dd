"""What an exported writer is proved with, and what it must answer: the same loop, step by step in Python."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from seqpipe.export.artefact import Artefact, Row, signature
from seqpipe.models.character_model import Reader, untold
from seqpipe.models.sampling import NEVER, Settings, draw_numpy, is_settled, uniform_numpy
from seqpipe.tasks.writing import compose_proof
from seqpipe.tasks.writing.signatures import READ, WritingModel
from seqpipe.text.characters import EDGE, UNKNOWN
from seqpipe.text.probes import text_probes
from seqpipe.text.units import Units, by_character

if TYPE_CHECKING:
    from seqpipe.tasks.writing.task import Writing

PROMPTS = 4  # real ones, whose states `step` and `sample` are proved with
SCORED = 1_000  # bytes of the longest probe of `score`
WRITTEN = 12  # characters of a probe of `write`: of thirty, drawn from thousands, rounding decides one too often
SETTINGS = {  # of `write` and, without the first and the last, of `sample`
    "length": np.array(WRITTEN, np.int32),
    "temperature": np.array(1.0, np.float32),
    "top_k": np.array(0, np.int32),
    "top_p": np.array(0.95, np.float32),
    "min_p": np.array(0.0, np.float32),
    "repetition_penalty": np.array(1.1, np.float32),
    "stop": np.array([b"\n\n"], object),
}


def make_artefact(task: Writing, model: keras.Model, version: int) -> Artefact:
    sampling = task.config.sampling
    module = WritingModel(
        model,
        task.characters,
        first=task.first,
        ends=not task.stream,
        sampling=sampling,
        version=version,
        form=task.form,
    )
    hostile = text_probes([])
    prompts = [{"text": np.array(text.encode(), object)} for text in task.prompts if text] + hostile
    started = [
        {name: value[0].numpy() for name, value in module.functions["start"](tf.constant([row["text"].item()])).items()}
        for row in prompts[:PROMPTS]
    ]
    steps = [{name: value for name, value in row.items() if name not in ("seen", "held")} for row in started]
    samples = [{**row, "seed": np.array(number, np.int64)} for number, row in enumerate(started)]
    writer = NumpyWriter(model, task.characters, first=task.first, ends=not task.stream)
    write = functools.cache(writer.write)
    asked = Settings(*(SETTINGS[name].item() for name in Settings._fields))
    default = Settings(*(getattr(sampling, name) for name in Settings._fields))

    def as_asked(rows: list[Row]) -> list[Row]:
        return [_text(*write(row["text"].item(), WRITTEN, asked, row["seed"].item())) for row in rows]

    def by_default(rows: list[Row]) -> list[Row]:
        return [_text(*write(row["text"].item(), sampling.length, default, 1)) for row in rows]

    written = [{**row, "seed": np.array(7 + number, np.int64)} for number, row in enumerate(prompts)]
    written = compose_proof.settled(written, as_asked(written), "write")
    short = prompts[: PROMPTS + 2] + prompts[-2:]
    short = compose_proof.settled(short, by_default(short), "serving_default")
    made = Artefact(
        module=module,
        model=model,
        signatures=module.functions,
        probes={
            "serving_default": short,
            "write": written,
            "score": [row for row in prompts if len(row["text"].item()) <= SCORED],
            "start": prompts,
            "step": steps,
            "sample": samples,
        },
        shared={
            "write": SETTINGS,
            "sample": {
                "number": np.array(0, np.int32),
                **{name: value for name, value in SETTINGS.items() if name not in ("length", "stop")},
            },
        },
        reference={"serving_default": by_default, "score": writer.score},
        tolerance=1e-3,  # nats of a whole text are summed in float32
    )
    return _with_forms(made, task)


def _with_forms(made: Artefact, task: Writing) -> Artefact:
    """With the probes of `compose`, where there is a form."""
    if task.form is not None:
        composer = compose_proof.NumpyComposer(made.model, task.characters, task.form, first=task.first)
        rows = compose_proof.probes(task.form)
        made.probes["compose"] = compose_proof.settled(rows, composer.answers(rows), "compose")
        made.shared["compose"] = compose_proof.shared(task.form)
        made.reference["compose"] = composer.answers
    return made


def _text(text: str, sure: bool) -> Row:
    return {"text": np.array(text.encode(), object)} if sure else {}


class NumpyWriter:
    """Writes with the Keras model, a row and a character at a time; draws in numpy."""

    def __init__(self, model: keras.Model, characters: Units, *, first: int, ends: bool):
        self.model, self.characters, self.first, self.ends = model, characters, first, ends
        self.reader = Reader(model)
        self.step = tf.function(self.reader.step, autograph=False)
        self.whole = signature(self._whole, tf.TensorSpec([1, None], tf.int32))
        self.bias = np.zeros(characters.size, np.float32)
        self.bias[[UNKNOWN] if ends else [UNKNOWN, EDGE]] = NEVER
        self.automaton = characters.automaton

    def _ids(self, text: bytes) -> np.ndarray:
        shown = tf.strings.unicode_transcode([text], "UTF-8", "UTF-8", errors="replace").numpy()[0].decode()
        return np.concatenate([[self.first], self.characters.encode(shown)]).astype(np.int32)

    def _whole(self, ids: tf.Tensor) -> list[tf.Tensor]:
        return self.model([ids, tf.shape(ids)[1:], *self.reader.zero_state(1), *untold(self.model, ids)])

    def _read(self, ids: np.ndarray) -> list[tf.Tensor]:
        return self.whole(tf.constant(ids[None]))

    def write(self, prompt: bytes, length: int, settings: Settings, seed: int) -> tuple[str, bool]:
        """The text, and whether it is the same where rounding differs."""
        ids = self._ids(prompt)
        ids = np.concatenate([ids[:1], ids[1:][-READ:]])
        seen = np.zeros(self.characters.size, bool)
        seen[ids] = True
        logits, *state = self._read(ids)
        now, within = logits[:, -1], 0
        written, sure = [], True
        for number in range(length):
            scores = now.numpy()[0] + self.bias
            if self.automaton is not None:
                scores[self.automaton[within] < 0] = NEVER
            uniform = float(uniform_numpy(seed, number))
            drawn = draw_numpy(scores, uniform, settings, seen)
            sure = sure and is_settled(drawn, scores, uniform, settings, seen)
            if drawn == EDGE:
                break
            written.append(drawn)
            seen[drawn] = True
            within = 0 if self.automaton is None else self.automaton[within, drawn]
            now, state = self.step(tf.constant([drawn]), state)
        return self.characters.decode(np.array(written, int)), sure

    def score(self, rows: list[Row]) -> list[Row]:
        answers = []
        for row in rows:
            ids = self._ids(row["text"].item())
            logits, *_ = self._read(ids)
            nats = tf.nn.sparse_softmax_cross_entropy_with_logits(ids[1:], logits[0, :-1]).numpy()
            each = by_character(nats, self.characters.begun[ids[1:]])
            answer = {"nats": nats.sum(), "characters": np.array(len(each), np.int32), "surprisal": each}
            if self.ends:
                answer["end_nats"] = -tf.nn.log_softmax(logits[0, -1])[EDGE].numpy()
            answers.append(answer)
        return answers
