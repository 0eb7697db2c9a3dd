"""Using an exported model: `seqpipe.load`, and files of any length in constant memory."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

import yaml

from seqpipe.data.files import Format
from seqpipe.errors import DataError, ModelError, nearest
from seqpipe.export.fresh_process import median_ms
from seqpipe.storage import writing

FORMAT = 1  # of an artefact's directory; a reader refuses a higher one
# Rows that are in memory at once, and sorted by length so that a batch holds little padding.
WINDOW_ROWS = 2048
BATCH_ROWS = 64
WIDEST_BEAM = 512
HIGHEST_PENALTY = 10.0  # of a length
COMPILED_STEPS = (32, 128, 512)  # pieces

Answer = dict[str, Any]


def model_directories() -> list[Path]:
    """Where a model's name is looked up: SEQPIPE_MODELS, the working directory, the checkout seqpipe runs from."""
    named = os.environ.get("SEQPIPE_MODELS")
    candidates = [Path(named)] if named else []
    candidates += [Path("saved_models"), Path(__file__).parents[2] / "saved_models"]
    unique: dict[Path, Path] = {}
    for path in candidates:
        if path.is_dir():
            unique.setdefault(path.resolve(), path)
    return list(unique.values())


def versions(directory: Path) -> list[Path]:
    """The published versions in DIRECTORY, lowest first."""
    found = [path for path in directory.glob("*") if path.name.isdecimal() and (path / "saved_model.pb").is_file()]
    return sorted(found, key=lambda path: int(path.name))


def list_models() -> list[Path]:
    """The latest version of every model that can be called by name."""
    latest: dict[str, Path] = {}
    for directory in model_directories():
        for model in sorted(directory.iterdir()):
            if model.is_dir() and versions(model):
                latest.setdefault(model.name, versions(model)[-1])
    return list(latest.values())


def find_model(model: str | Path) -> Path:
    """The directory of a model given as a directory (with or without its version) or by name.

    Raises:
        ModelError: there is no such model, it is not whole, or it was made by a newer seqpipe.
    """
    places = [Path(model), *(directory / model for directory in model_directories())]
    place = next((path for path in places if path.is_dir()), None)
    if place is None:
        names = [path.parent.name for path in list_models()]
        hint = " It is a file; a model is a directory." if Path(model).is_file() else ""
        raise ModelError(
            f"{model} is neither a model directory nor the name of a model.{hint} "
            f"Known names: {', '.join(names) or 'none'}.{nearest(model, names)}"
        )
    if not (place / "saved_model.pb").is_file():
        if not versions(place):
            raise ModelError(
                f"{place} holds no model: there is no saved_model.pb in it or in a numbered directory in it."
            )
        place = versions(place)[-1]
    facts = place / "parity.json"
    made_by = json.loads(facts.read_text(encoding="utf-8")).get("format", 1) if facts.is_file() else 1
    if made_by > FORMAT:
        raise ModelError(
            f"{place} was made by a newer seqpipe (format {made_by}; this one reads up to {FORMAT}). Upgrade seqpipe, "
            "or load it with tf.saved_model.load, which always works."
        )
    return place


def read_card(directory: Path) -> dict[str, Any]:
    """The facts at the head of card.md; empty for a model that has none."""
    file = directory / "card.md"
    head = re.match(r"---\n(.*?)\n---\n", file.read_text(encoding="utf-8"), re.DOTALL) if file.is_file() else None
    return yaml.safe_load(head[1]) if head else {}


@dataclass
class Model:
    """A loaded artefact; call it with a list of rows.

    >>> import seqpipe
    >>> seqpipe.load("sentiment_en")(["fine film"])[0]["label"]
    'positive'

    compiled: for a padded length, what answers one row of at most so many pieces faster than the signature does.
    """

    path: Path
    loaded: Any
    compiled: dict[int, Callable[..., Any]] = field(default_factory=dict)

    @property
    def signatures(self) -> list[str]:
        return sorted(self.loaded.signatures)

    @cached_property
    def labels(self) -> list[str]:
        """Class names, in the order of `probabilities`."""
        return [name.decode() for name in self._signature("labels")()["labels"].numpy()]

    def _signature(self, name: str) -> Any:
        if name not in self.loaded.signatures:
            known = ", ".join(self.signatures)
            raise ModelError(f"{self.path} has no signature {name}. It has: {known}.{nearest(name, self.signatures)}")
        return self.loaded.signatures[name]

    @cached_property
    def hears(self) -> bool:
        """Whether it takes waveforms; else it takes texts."""
        return "waveform" in self._signature("serving_default").structured_input_signature[1]

    def run(
        self,
        rows: Sequence[Any],
        *,
        signature: str = "serving_default",
        options: Mapping[str, int | float] | None = None,
    ) -> dict[str, Any]:
        """A signature's outputs for texts, or waveforms of equal length, as one batch: arrays with B rows by name.

        Args:
            options: what a signature takes once a request, such as beam_width.
        Raises:
            ModelError: there is no such signature, or it does not take these options.
        """
        import numpy as np
        import tensorflow as tf

        if self.hears:
            return self._call(signature, {"waveform": tf.constant(np.stack(rows))})
        texts = tf.constant([_bytes(row) for row in rows], tf.string)
        if len(rows) == 1 and self.compiled and signature == "serving_default":
            ids, lengths, _ = self.loaded.tokenize(texts)
            steps = next((steps for steps in self.compiled if steps >= ids.shape[1]), None)
            if steps is not None:
                padded = tf.pad(ids, [[0, 0], [0, steps - ids.shape[1]]])
                probabilities = self.compiled[steps](padded, lengths).numpy()
                label = np.array([self.labels[probabilities[0].argmax()].encode()], object)
                return {"label": label, "probability": probabilities.max(axis=1), "probabilities": probabilities}
        taken = self._signature(signature).structured_input_signature[1]
        options = options or {}
        if {*options, "text"} != set(taken):
            raise ModelError(
                f"{signature} takes {', '.join(sorted(taken))}, not {', '.join(sorted([*options, 'text']))}."
            )
        try:
            values = {name: tf.constant(value, taken[name].dtype) for name, value in options.items()}
        except (TypeError, ValueError, OverflowError):
            types = ", ".join(f"{name} {taken[name].dtype.name}" for name in options)
            raise ModelError(f"{signature} takes {types}, not {dict(options)}.") from None
        return self._call(signature, {"text": texts, **values})

    def _call(self, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """A signature's outputs; what its graph refuses is the caller's mistake."""
        import tensorflow as tf

        try:
            outputs = self._signature(signature)(**inputs)
        except tf.errors.InvalidArgumentError as error:
            raise DataError(_assertion(str(error.message))) from None
        return {name: value.numpy() for name, value in outputs.items()}

    def compile(self, *, always: bool = False) -> None:
        """Have XLA compile the answer to one row at each of a few padded lengths; keep what is faster, or all."""
        import tensorflow as tf

        if not hasattr(self.loaded, "classify_pieces"):
            return
        for steps in COMPILED_STEPS:
            pieces = [tf.TensorSpec([1, steps], tf.int32), tf.TensorSpec([1], tf.int32)]
            compiled = tf.function(self.loaded.classify_pieces, input_signature=pieces, jit_compile=True)
            text = ["a " * (steps // 2)]  # of about so many pieces
            plain = Model(self.path, self.loaded)
            candidate = Model(self.path, self.loaded, {steps: compiled})
            if always or median_ms(lambda: candidate.run(text)) < median_ms(lambda: plain.run(text)):  # noqa: B023
                self.compiled[steps] = compiled

    def __call__(
        self,
        rows: Sequence[Any],
        *,
        signature: str = "serving_default",
        options: Mapping[str, int | float] | None = None,
    ) -> list[Answer]:
        """An answer for each row, in row order; strings are str, numbers float, `probabilities` by class name.

        A row is a text; for a model that hears, an array of samples (16 kHz, -1..1) or a recording's path.

        Args:
            options: as `run` takes them.
        """
        if isinstance(rows, (str, bytes)):
            raise ModelError("A model takes a list of texts, not one text: write model([text]).")
        rows = [(_waveform if self.hears else _text)(row) for row in rows]
        answers: list[Answer] = [{} for _ in rows]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for numbers in _cut(order, [len(row) for row in rows], equal=self.hears):
            outputs = self.run([rows[i] for i in numbers], signature=signature, options=options)
            for place, number in enumerate(numbers):
                answers[number] = self._answer({key: value[place] for key, value in outputs.items()})
        return answers

    def _answer(self, row: dict[str, Any]) -> Answer:
        answer = {key: _plain(value) for key, value in row.items()}
        if "pieces" in answer:
            steps = sum(1 for piece in answer["pieces"] if piece)
            answer["pieces"], answer["weights"] = answer["pieces"][:steps], answer["weights"][:steps]
        if "alignment" in answer:
            for side in ("source_pieces", "target_pieces"):
                answer[side] = [piece for piece in answer[side] if piece]
            source, target = len(answer["source_pieces"]), len(answer["target_pieces"])
            answer["alignment"] = [row[:source] for row in answer["alignment"][:target]]
        if "probabilities" in answer:
            answer["probabilities"] = dict(zip(self.labels, answer["probabilities"], strict=True))
        return answer


def _cut(order: list[int], lengths: list[int], *, equal: bool) -> Iterator[list[int]]:
    """Row numbers in batches, of equal length where padding would change what is heard."""
    batch: list[int] = []
    for number in order:
        if batch and (len(batch) == BATCH_ROWS or (equal and lengths[number] != lengths[batch[0]])):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _text(row: Any) -> str | bytes:
    if not isinstance(row, (str, bytes)):
        raise DataError(f"{row!r:.60} is not a text. Allowed: str, or UTF-8 in bytes.")
    return row


def _waveform(row: Any) -> Any:
    """float32 [samples] of an array, or of a recording in a file.

    Raises:
        DataError: the file cannot be decoded, or the array is not one of samples.
    """
    import numpy as np

    if not isinstance(row, (str, Path)):
        samples = np.asarray(row)
        if samples.ndim != 1 or samples.dtype.kind != "f":
            raise DataError(
                f"An array {samples.dtype} {list(samples.shape)} is not a waveform. Allowed: float [samples], 16 kHz, "
                "one channel, in -1..1 (divide 16-bit samples by 32,768)."
            )
        return samples.astype(np.float32)
    from seqpipe.sound.recordings import INT16, decode

    if not Path(row).is_file():
        raise DataError(f"{row} is no file. A model that hears takes recordings (WAV, FLAC, OGG, MP3).")
    try:
        return (decode(Path(row)) / INT16).astype(np.float32)
    except ValueError as error:
        raise DataError(f"{row} {error}.") from None


def _assertion(message: str) -> str:
    """What an assertion in a graph says, without what TensorFlow puts around it."""
    said = re.search(r"assertion failed: \[(.*?)\](?: \[(.*?)\])?\n", message + "\n")
    return " ".join(part for part in said.groups() if part) if said else message


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _plain(value: Any) -> Any:
    """A numpy value as plain Python: bytes as text, arrays as lists."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if getattr(value, "ndim", 0):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value


def load(model: str | Path, *, compile: bool = False) -> Model:
    """Load an exported model by name or directory.

    Args:
        compile: spend some ten seconds now on functions that answer a single row faster, and keep those that do: it
            pays for layers of many steps and units (docs/recurrent.md), not for the released models.
    Raises:
        ModelError: there is no such model, or TensorFlow cannot load it.
    """
    path = find_model(model)
    import tensorflow as tf

    try:
        loaded = Model(path, tf.saved_model.load(str(path)))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be loaded: {error}") from error
    if compile:
        loaded.compile()
    return loaded


def in_windows(rows: Iterable[Any], size: int = WINDOW_ROWS) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while window := list(islice(iterator, size)):
        yield window


def predict_rows(
    model: Model,
    texts: Iterable[str],
    *,
    signature: str = "serving_default",
    options: Mapping[str, int | float] | None = None,
    advance: Callable[[int], None] = lambda rows: None,
) -> Iterator[tuple[str, Answer]]:
    """(text, answer) for each text, in input order, holding a window of rows at a time."""
    for window in in_windows(texts):
        yield from zip(window, model(window, signature=signature, options=options), strict=True)
        advance(len(window))


def beam_options(width: int | None, length_penalty: float | None, *, explain: bool) -> dict[str, int | float] | None:
    """What the signature `beam` takes beside texts; None where no beam is asked for.

    Raises:
        ModelError: a number outside its range, or a length penalty or an explanation that do not go with the beam.
    """
    if width is None:
        if length_penalty is not None:
            raise ModelError(
                f"--length-penalty {length_penalty:g}: it belongs to a beam search. Name --beam-width too."
            )
        return None
    if explain:
        raise ModelError("--explain and --beam-width exclude each other: an alignment is that of greedy search.")
    if not 1 <= width <= WIDEST_BEAM:
        raise ModelError(f"--beam-width {width}: beam_width must be 1 to {WIDEST_BEAM}.")
    penalty = 1.0 if length_penalty is None else length_penalty
    if not 0 <= penalty <= HIGHEST_PENALTY:  # false for NaN too
        raise ModelError(f"--length-penalty {penalty:g}: length_penalty must be 0 to {HIGHEST_PENALTY:g}.")
    return {"beam_width": width, "length_penalty": penalty}


def read_texts(source: str, *, column: str, format: Format = "auto") -> Iterator[str]:
    """Texts of a file, or the lines of standard input for "-": plain lines, or a column of CSV, TSV or JSON lines.

    A file whose ending says nothing, such as captions.en.gz, is plain lines.

    Raises:
        DataError: a row cannot be read; it is named by file and line.
    """
    from seqpipe.data.files import format_by_ending
    from seqpipe.data.sources import BadRow, read_rows

    if source == "-":
        import sys

        yield from (
            line.rstrip("\n").rstrip("\r") for line in io.TextIOWrapper(sys.stdin.buffer, "utf-8", newline="\n")
        )
        return
    if format == "auto" and format_by_ending(Path(source)) is None:
        format = "lines"
    for row in read_rows(f"files:{source}", columns={"text": column}, role="test", format=format):
        if isinstance(row, BadRow):
            raise DataError(f"{row.place}: {row.reason}")
        yield row.values["text"]


@contextlib.contextmanager
def answers_to(
    path: Path | None, format: Literal["jsonl", "csv", "lines"], stdout: IO[str], *, named: str = "text"
) -> Iterator[Callable[[str, Answer], None]]:
    """A function that writes one answer; a file named by `path` appears when all is written, and not before.

    Args:
        named: the column or key of what was answered.
    """
    with writing(path, "w") if path is not None else contextlib.nullcontext(stdout) as file:
        if format == "jsonl":
            yield lambda text, answer: _write_json_line(file, named, text, answer)
            return
        if format == "lines":
            yield lambda text, answer: print(short_answer(answer), file=file)
            return
        writer = csv.writer(file, lineterminator="\n")
        header: list[str] = []

        def write(text: str, answer: Answer) -> None:
            row = _flat(answer)
            if not header:
                header.extend([named, *row])
                writer.writerow(header)
            writer.writerow([text, *(f"{value:.6f}" if isinstance(value, float) else value for value in row.values())])

        yield write


def short_answer(answer: Answer) -> str:
    """The label, the translation, or the first of several."""
    if "label" in answer:
        return answer["label"]
    return answer["texts"][0] if "texts" in answer else answer["text"]


def _flat(answer: Answer) -> dict[str, Any]:
    """An answer as the fields of one row."""
    if "label" in answer:
        return {"label": answer["label"], "probability": answer["probability"], **answer["probabilities"]}
    if "texts" in answer:
        return {"translation": answer["texts"][0], "score": answer["scores"][0]}
    return {"translation": answer["text"], "score": answer["score"], "truncated": answer["truncated"]}


def _write_json_line(file: IO[str], named: str, text: str, answer: Answer) -> None:
    answer = {"translation" if key == "text" else key: value for key, value in answer.items()}
    file.write(json.dumps({named: text, **answer}, ensure_ascii=False) + "\n")


def describe_signatures(directory: Path) -> list[str]:
    """Each signature with the names, types and shapes of its inputs and outputs, a line each."""
    from tensorflow.core.framework import types_pb2
    from tensorflow.core.protobuf import saved_model_pb2

    def shown(name: str, tensor: Any) -> str:
        dims = tensor.tensor_shape.dim
        shape = ", ".join("?" if dim.size < 0 else str(dim.size) for dim in dims)
        return f"{name} {types_pb2.DataType.Name(tensor.dtype).removeprefix('DT_').lower()} [{shape}]"

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((directory / "saved_model.pb").read_bytes())
    lines = []
    for name, signature in sorted(saved.meta_graphs[0].signature_def.items()):
        if name.startswith("__"):
            continue
        inputs = ", ".join(shown(key, value) for key, value in sorted(signature.inputs.items())) or "nothing"
        outputs = ", ".join(shown(key, value) for key, value in sorted(signature.outputs.items()))
        lines.append(f"{name}: {inputs} -> {outputs}")
    return lines
