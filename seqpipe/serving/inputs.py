"""What a model takes: how one row is made from a word of the command line, a line of a file or a value in Python.

A task names its kind. A loaded model knows its kind by the inputs of `serving_default`: `text`, `waveform`, or any
others, which are then named in each row.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqpipe.data.files import BadRow, as_on_disk
from seqpipe.errors import DataError
from seqpipe.serving.reading import COLUMN, read_objects, read_texts

if TYPE_CHECKING:
    import tensorflow as tf


class Input:
    """A kind of input; the base class is a row of named arrays, for models that take several.

    column: what an answered row is called, in a table of answers.
    example: what stands in the command that a user may try next.
    equal_lengths: whether rows of one batch must be equally long, since padding would change what is read.
    window_rows: of a file in memory at once, and sorted by length so that a batch holds little padding.
    """

    column = "row"
    example = "--input rows.jsonl"
    equal_lengths = True
    window_rows = 2048

    def from_word(self, word: str) -> object:
        """A row from an argument of `seqpipe predict`.

        Raises:
            DataError: it is none.
        """
        raise DataError(f"{word!r:.60} is not a row: this model takes several inputs. Name a file with --input.")

    def from_file(
        self, source: str, *, column: str | None = None, encoding: str = "utf-8", keep: Sequence[str] = ()
    ) -> Iterator[object]:
        """The rows of a file, or of standard input for "-"; what cannot be read comes out as a BadRow.

        Args:
            keep: other columns that come along with each row.
        Raises:
            DataError: the file as a whole cannot be read, or a column is named where rows have several.
        """
        if column is not None or keep:
            option = f"--keep {keep[0]}" if keep else f"--column {column}"
            raise DataError(f"{option}: this model takes several inputs, each by its name in a JSON object.")
        yield from read_objects(source, encoding=encoding)

    def from_value(self, value: object) -> object:
        """A row from what `seqpipe.load(...)` is called with.

        Raises:
            DataError: it is none.
        """
        if not isinstance(value, Mapping):
            raise DataError(f"{value!r:.60} is not a row. Allowed: a value for each input, by name.")
        return {name: _as_array(name, item) for name, item in value.items()}

    def shown(self, row: Any) -> str:
        """The row in a table of answers."""
        return str({name: getattr(item, "tolist", lambda item=item: item)() for name, item in row.items()})

    def remark(self, row: Any) -> str:
        """What is strange about a row that is answered all the same; nothing in most cases."""
        return ""

    def part_of(self, row: Any) -> str | None:
        """What it is called that a row is all of here, and of which other files may hold more; None for most kinds."""
        return None

    def length(self, row: Any) -> Any:
        """What rows are sorted by; with `equal_lengths`, rows of one batch agree in it."""
        return sorted((name, np.shape(item)) for name, item in row.items())

    def tensors(self, rows: Sequence[Any]) -> dict[str, tf.Tensor]:
        """The batched inputs of a signature."""
        import tensorflow as tf

        return {name: tf.constant(np.stack([row[name] for row in rows])) for name in rows[0]}


def _as_array(name: str, item: object) -> np.ndarray:
    try:
        array = np.asarray(item)
    except ValueError:  # lists of unequal length
        array = np.array(None)
    if array.dtype == object and not all(isinstance(each, (str, bytes)) for each in array.ravel()):
        raise DataError(f"{name}: {item!r:.60} is no array. Allowed: numbers or texts, in lists of equal length.")
    return array


def as_tensor(value: object, spec: tf.TensorSpec) -> tf.Tensor:
    """What a signature takes, of a value.

    Raises:
        OverflowError: a whole number does not fit, of which `tf.constant` would keep the lowest bits.
        TypeError: it is of another shape or kind.
    """
    import tensorflow as tf

    dtype, given = spec.dtype, np.asarray(value)
    if not spec.shape.is_compatible_with(given.shape):
        raise TypeError(f"{value!r:.60} has the shape {list(given.shape)}, not {spec.shape}")
    if dtype.is_integer and given.size and not (dtype.min <= given.min() and given.max() <= dtype.max):
        raise OverflowError(f"{value} does not fit into {dtype.name}")
    return tf.constant(value, dtype)


class _OneValue(Input):
    """A value: a word of the command line, or a line or a cell of a file, says it or where it is.

    usual: the column of a table that holds it where none is named, else `text`.
    """

    def __init__(self, usual: str = COLUMN):
        self.usual = usual

    def from_word(self, word: str) -> str:
        return word

    def from_file(
        self, source: str, *, column: str | None = None, encoding: str = "utf-8", keep: Sequence[str] = ()
    ) -> Iterator[str | BadRow]:
        yield from read_texts(source, column=column, encoding=encoding, usual=self.usual, keep=keep)

    def length(self, row: str | bytes | np.ndarray) -> int:
        return len(row)


class TextInput(_OneValue):
    """A text: str, or UTF-8 in bytes."""

    column = "text"
    example = '"your text"'
    equal_lengths = False

    def from_word(self, word: str) -> str:
        try:
            return os.fsencode(word).decode("utf-8")
        except UnicodeError as error:
            raise DataError(f"{word!r:.60} is not UTF-8: {error}. Texts in another encoding: --input FILE.") from None

    def from_value(self, value: object) -> str | bytes:
        if not isinstance(value, (str, bytes)):
            raise DataError(f"{value!r:.60} is not a text. Allowed: str, or UTF-8 in bytes.")
        return value

    def shown(self, row: str | bytes) -> str:
        return row if isinstance(row, str) else row.decode("utf-8", "replace")

    def tensors(self, rows: Sequence[str | bytes]) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        encoded = [row.encode("utf-8", "surrogatepass") if isinstance(row, str) else row for row in rows]
        return {"text": tf.constant(encoded, tf.string)}


class WaveformInput(_OneValue):
    """A sound: the path of a recording, or float samples in -1..1, 16 kHz, one channel."""

    column = "file"
    example = "your.wav"
    window_rows = 64

    def from_value(self, value: object) -> np.ndarray:
        if not isinstance(value, (str, Path)):
            samples = np.asarray(value)
            if samples.ndim != 1 or samples.dtype.kind != "f":
                raise DataError(
                    f"An array {samples.dtype} {list(samples.shape)} is not a waveform. Allowed: float [samples], "
                    "16 kHz, one channel, in -1..1 (divide 16-bit samples by 32,768)."
                )
            return samples.astype(np.float32)
        from seqpipe.sound.recordings import INT16, decode
        from seqpipe.sound.sound_file import READ

        path = as_on_disk(str(value))
        if path.is_dir():
            raise DataError(
                f"{value} is a folder. Name its recordings, such as {value}/*.wav, or a file that lists them."
            )
        if not path.is_file():
            raise DataError(f"{value} is no file. A model that hears takes recordings ({READ}).")
        try:
            return (decode(path) / INT16).astype(np.float32)
        except ValueError as error:
            raise DataError(f"{value} {error}.") from None

    def shown(self, row: object) -> str:
        return str(row)

    def tensors(self, rows: Sequence[np.ndarray]) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        return {"waveform": tf.constant(np.stack(rows))}


TEXT, WAVEFORM, NAMED = TextInput(), WaveformInput(), Input()


def input_of(names: Sequence[str], columns: Mapping[str, object]) -> Input:
    """The kind of a model whose `serving_default` takes inputs of these names.

    Args:
        columns: of the tables that it was trained on, by what they are for.
    """
    match sorted(names):
        case ["text"]:
            found = columns.get("text_column", columns.get("source_column"))
            return TextInput(found) if isinstance(found, str) else TEXT
        case ["waveform"]:
            return WAVEFORM
        case _:
            return NAMED
