"""Where the rows of a pipeline come from."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from seqpipe.config.section import Fraction, Section
from seqpipe.errors import nearest

SCHEMES = ("files", "tfds", "builtin")


def _known_scheme(value: str) -> str:
    scheme, colon, rest = value.partition(":")
    if scheme not in SCHEMES or not colon or not rest:
        raise ValueError(f"is not a source. Allowed: files:PATH, tfds:NAME, builtin:NAME.{nearest(scheme, SCHEMES)}")
    return value


def _known_encoding(value: str) -> str:
    import codecs

    try:
        codecs.lookup(value)
    except LookupError as error:
        raise ValueError("is not an encoding Python knows, such as utf-8, latin-1 or gb18030.") from error
    return value


Source = Annotated[str, AfterValidator(_known_scheme)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]


class Data(Section):
    """What the data of every task has."""

    train: Source = Field(description="Where training rows come from: files:PATH, tfds:NAME or builtin:NAME.")
    dev: Source | None = Field(None, description="Rows to choose by; without it every dev_every-th training row.")
    test: Source | None = Field(None, description="Rows to report on at the end, never to choose by.")
    dev_every: int = Field(10, ge=2, description="Without dev: rows of train with index % dev_every == 0 are dev.")
    max_bad_fraction: Fraction = Field(0.0, ge=0, le=1, description="Stop when more than this share of rows is bad.")
