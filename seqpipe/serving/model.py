"""Using an exported model in Python: `seqpipe.load`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqpipe.errors import DataError, ModelError, nearest
from seqpipe.serving.answers import Answer, tidied
from seqpipe.serving.composing import FormWishes, composed
from seqpipe.serving.find import find_model, pipeline_of
from seqpipe.serving.inputs import Input, as_tensor, input_of
from seqpipe.serving.series import SeriesInput

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

BATCH_ROWS = 64
WIDEST_BEAM = 512
HIGHEST_PENALTY = 10.0  # of a length

Options = Mapping[str, int | float]


class Model:
    """A loaded artefact; call it with a list of rows.

    >>> import seqpipe
    >>> seqpipe.load("sentiment_en")(["fine film"])[0]["label"]
    'positive'

    path: its directory. loaded: what TensorFlow loaded. input: what it takes.
    """

    def __init__(self, path: Path, loaded: Any):
        self.path, self.loaded = path, loaded
        names = list(self.takes("serving_default"))
        self.input: Input = (
            SeriesInput(names, path) if "values" in names else input_of(names, pipeline_of(path).get("data", {}))
        )

    @property
    def name(self) -> str:
        """Of a model in NAME/VERSION."""
        return self.path.absolute().parent.name

    @property
    def signatures(self) -> list[str]:
        return sorted(self.loaded.signatures)

    @cached_property
    def labels(self) -> list[str]:
        """Class names, in the order of `probabilities`."""
        return [name.decode() for name in self.signature("labels")()["labels"].numpy()]

    def signature(self, name: str) -> tf.types.experimental.ConcreteFunction:
        """Raises ModelError: there is none of this name."""
        if name not in self.loaded.signatures:
            known = ", ".join(self.signatures)
            raise ModelError(f"{self.path} has no signature {name}. It has: {known}.{nearest(name, self.signatures)}")
        return self.loaded.signatures[name]

    def takes(self, signature: str) -> dict[str, tf.TensorSpec]:
        """The inputs of a signature: a TensorSpec by name."""
        positional, named = self.signature(signature).structured_input_signature
        return {**{spec.name: spec for spec in positional}, **named}

    def gives(self, signature: str) -> set[str]:
        """The names of a signature's outputs."""
        return set(self.signature(signature).structured_outputs)

    def run(
        self, rows: Sequence[object], *, signature: str = "serving_default", options: Options | None = None
    ) -> dict[str, np.ndarray]:
        """A signature's outputs for rows of one batch: arrays with B rows by name.

        Args:
            rows: as `input.from_value` makes them.
            options: what a signature takes once a request, such as beam_width.
        Raises:
            ModelError: there is no such signature, or it does not take these options.
            DataError: the graph refuses the rows.
        """
        import tensorflow as tf

        inputs, taken, options = self.input.tensors(rows), self.takes(signature), options or {}
        if {*options, *inputs} != set(taken):
            raise ModelError(
                f"{signature} takes {', '.join(sorted(taken))}, not {', '.join(sorted([*options, *inputs]))}."
            )
        try:
            values = {name: as_tensor(value, taken[name]) for name, value in options.items()}
            inputs = {name: tf.cast(value, taken[name].dtype) for name, value in inputs.items()}
        except (TypeError, ValueError, OverflowError):
            types = ", ".join(f"{name} {taken[name].dtype.name}" for name in options)
            raise ModelError(f"{signature} takes {types}, not {dict(options)}.") from None
        return self.call(signature, {**inputs, **values})

    def call(self, signature: str, inputs: Mapping[str, tf.Tensor | np.ndarray]) -> dict[str, np.ndarray]:
        """A signature's outputs for its inputs by name; what its graph refuses is the caller's mistake."""
        import tensorflow as tf

        try:
            outputs = self.signature(signature)(**inputs)
        except tf.errors.InvalidArgumentError as error:
            raise DataError(assertion(str(error.message))) from None
        return {name: value.numpy() for name, value in outputs.items()}

    def __call__(
        self, rows: Sequence[object], *, signature: str = "serving_default", options: Options | None = None
    ) -> list[Answer]:
        """An answer for each row, in row order; strings are str, numbers float, `probabilities` by class name.

        A row is a text; for a model that hears, an array of samples (16 kHz, -1..1) or a recording's path; for a model
        of several inputs, a value for each by its name.

        Args:
            options: as `run` takes them.
        """
        rows = [self.input.from_value(row) for row in _listed(rows)]
        answers: list[Answer] = [{} for _ in rows]
        for numbers in self._batches(rows):
            outputs = self.run([rows[i] for i in numbers], signature=signature, options=options)
            labels = self.labels if "probabilities" in outputs else ()
            for place, number in enumerate(numbers):
                answers[number] = tidied({key: value[place] for key, value in outputs.items()}, labels)
        return answers

    def score(self, texts: Sequence[str | bytes]) -> list[Answer]:
        """Of a model that writes, how surprised it is by each text: nats, characters, bits_per_byte and more; where
        texts end by themselves, also end_nats, of the end."""
        return self(texts, signature="score")

    def compose(self, acrostic: str | Sequence[str] = "", *, seed: int | Sequence[int] = 1, **wishes: Any) -> list[str]:
        """Of a model that writes texts of a form, texts: one for each acrostic and seed, whichever are several.

        Args:
            acrostic: a character for the beginning of each line; "" is none.
            wishes: those of `seqpipe.serving.composing.FormWishes`: line_length, temperature, rhyme, no_repeats.
        Raises:
            ModelError: the model has no form.
            DataError: the wishes cannot be had together.
        """
        seeds = list(seed) if isinstance(seed, Iterable) else [seed]
        acrostics = [acrostic] if isinstance(acrostic, str) else list(acrostic)
        rows = max(len(seeds), len(acrostics), 1)
        if {len(seeds), len(acrostics)} - {1, rows}:
            raise DataError(f"{len(acrostics)} acrostics and {len(seeds)} seeds. Allowed: as many, or one of either.")
        try:
            asked = FormWishes(**wishes)
        except TypeError:
            raise DataError(
                f"compose takes {', '.join(FormWishes.__annotations__)}, not {', '.join(wishes)}."
            ) from None
        acrostics, seeds = acrostics * (rows // len(acrostics)), seeds * (rows // len(seeds))
        return composed(self, acrostics, asked, seeds=seeds)

    def _batches(self, rows: Sequence[object]) -> Iterator[list[int]]:
        """Row numbers in batches of like length, or of equal length where padding would change an answer."""
        lengths = [self.input.length(row) for row in rows]
        batch: list[int] = []
        for number in sorted(range(len(rows)), key=lambda i: lengths[i]):
            other = self.input.equal_lengths and batch and lengths[number] != lengths[batch[0]]
            if len(batch) == BATCH_ROWS or other:
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch


def _listed(rows: Any) -> Iterable[object]:
    """Raises ModelError: these are not several rows in an order, though Python may go through them."""
    if hasattr(rows, "numpy"):  # a tensor, whose texts would be tensors again
        rows = rows.numpy()
    if isinstance(rows, (str, bytes)):
        raise ModelError("A model takes a list of texts, not one text: write model([text]).")
    if isinstance(rows, (Mapping, set, frozenset)) or hasattr(rows, "columns"):  # of a table come the names of columns
        raise ModelError(f"A model takes a list of rows, not a {type(rows).__name__}: write model([row]).")
    try:
        iter(rows)
    except TypeError:
        raise ModelError("A model takes a list of rows, not one value: write model([row]).") from None
    return rows


def assertion(message: str) -> str:
    """What an assertion in a graph says, without what TensorFlow puts around it."""
    said = re.search(r"assertion failed: \[(.*?)\](?: \[(.*?)\])?\n", message + "\n")
    said = said or re.search(r"^(.+) : Tensor had \w+ values", message, re.MULTILINE)
    return " ".join(part for part in said.groups() if part) if said else message


def load(model: str | Path) -> Model:
    """Load an exported model by name or directory.

    Raises:
        ModelError: there is no such model, or TensorFlow cannot load it.
    """
    if not isinstance(model, (str, os.PathLike)) or not str(model):
        raise ModelError(f"{model!r:.60} is no model. Allowed: its directory, or its name, such as sentiment_en.")
    path = find_model(model)
    import tensorflow as tf

    try:
        return Model(path, tf.saved_model.load(str(path)))
    except (OSError, ValueError, LookupError, tf.errors.OpError) as error:  # whatever a damaged file makes of it
        raise ModelError(f"{path} cannot be loaded: {error}") from error
