"""Where the rows of a pipeline come from."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticKnownError

from seqpipe.config.section import Fraction, Section
from seqpipe.errors import nearest

SCHEMES = ("files", "tfds", "builtin")
# What comes out of them may be half a character.
NO_ENCODINGS = ("unicode-escape", "raw-unicode-escape", "utf-7", "idna", "punycode")


def _known_scheme(value: str) -> str:
    scheme, colon, rest = value.partition(":")
    if scheme not in SCHEMES or not colon or not rest:
        raise ValueError(f"is not a source. Allowed: files:PATH, tfds:NAME, builtin:NAME.{nearest(scheme, SCHEMES)}")
    return value


def _sources(value: object) -> object:
    """One source, or several in a list."""
    several = value if isinstance(value, list) else [value]
    if not several:
        raise ValueError("is an empty list. Name one source or more.")
    for place, source in enumerate(several):
        if source in several[:place]:
            raise ValueError(f"names {source!r} twice.")
        if not isinstance(source, str):
            raise ValueError(f"is not a source ({source!r} is no text). Allowed: files:PATH, tfds:NAME, builtin:NAME.")
        try:
            _known_scheme(source)
        except ValueError as error:
            raise ValueError(f"{error}" if source is value else f'holds "{source}", which {error}') from None
    return value


def known_encoding(value: str) -> str:
    """Raises ValueError: Python knows no encoding of text of this name."""
    import codecs

    try:
        "a".encode(value)  # codecs.lookup alone knows some that do not decode text
        if codecs.lookup(value).name in NO_ENCODINGS:
            raise LookupError
    except (LookupError, UnicodeError, ValueError) as error:
        raise ValueError("is not an encoding Python knows, such as utf-8, latin-1 or gb18030.") from error
    return value


def _known_separator(value: str) -> str:
    value = {"\\t": "\t", "tab": "\t"}.get(value, value)
    if len(value) != 1 or value in '"\r\n\0' or (not value.isprintable() and value != "\t"):
        raise ValueError('is not a separator: one character, such as ; or | or \\t, and not ".')
    return value


def _column(value: object) -> object:
    if isinstance(value, (bool, date)):
        raise PydanticKnownError("string_type")  # a name that YAML read as something else
    if not isinstance(value, (str, int)) or (isinstance(value, int) and value < 1):
        raise ValueError("is not a column: its name, or its number counted from 1 in a file without a header.")
    return value


_SourceText = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(SCHEMES)}):."})]
Source = Annotated[_SourceText, AfterValidator(_known_scheme)]
Sources = Annotated[_SourceText | list[_SourceText], BeforeValidator(_sources)]


def source_text(source: str | list[str]) -> str:
    """Sources as they are named in messages."""
    return source if isinstance(source, str) else ", ".join(source)


def train_source(config: BaseModel) -> str:
    """Where the training rows of a pipeline come from."""
    return source_text(config.model_dump()["data"]["train"])


Encoding = Annotated[str, AfterValidator(known_encoding)]
Separator = Annotated[
    str, AfterValidator(_known_separator), WithJsonSchema({"type": "string", "pattern": r"^(.|\\t|tab)$"})
]
_ColumnName = Annotated[str, WithJsonSchema({"type": ["string", "boolean"]})]  # no is a name: what is written counts
Column = Annotated[_ColumnName | Annotated[int, Field(ge=1)], BeforeValidator(_column)]


def columns_of_one_kind(columns: dict[str, str | int]) -> None:
    """
    Args:
        columns: key of the pipeline file -> its value.
    Raises:
        ValueError: some are names and some are numbers.
    """
    if len({isinstance(column, int) for column in columns.values()}) > 1:
        shown = " and ".join(f"{key} = {column!r}" for key, column in columns.items())
        raise ValueError(f"{shown}: both are names, or both are numbers.")


class Data(Section):
    """What the data of every task has."""

    train: Sources = Field(
        description="Where training rows come from: files:PATH, tfds:NAME or builtin:NAME; or a list of several."
    )
    dev: Sources | None = Field(None, description="Rows to choose by; without it some of train, see dev_every.")
    test: Sources | None = Field(None, description="Rows to report on at the end, never to choose by.")
    dev_every: int = Field(
        10, ge=2, description="Without dev: about one row of so many is dev, of each class its share."
    )
    max_rows: int | None = Field(
        None, ge=2, description="Rows of each split that are used, spread over it; to try a pipeline on a part."
    )
    max_bad_fraction: Fraction = Field(0.0, ge=0, le=1, description="Stop when more than this share of rows is bad.")


class TextFiles(Section):
    """How files of text are read."""

    format: Literal["auto", "csv", "tsv", "jsonl"] = Field(
        "auto", description="auto: by the file's ending (.csv .tsv .jsonl), .gz and .xz allowed."
    )
    encoding: Encoding = Field("utf-8", description="Encoding of files; a byte order mark names its own.")
    separator: Separator | None = Field(
        None, description="One character between columns; files that are not JSON are then read as CSV."
    )
