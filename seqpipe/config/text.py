"""How text becomes pieces."""

from __future__ import annotations

from pydantic import Field

from seqpipe.config.section import Fraction, Section


class TextFeatures(Section):
    """SentencePiece unigram with byte fallback, trained on the training split."""

    vocabulary_size: int = Field(
        8000, ge=300, le=64000, description="Pieces, 256 byte pieces included; an upper bound."
    )
    lowercase: bool = Field(False, description="Lower-case before cutting into pieces.")
    character_coverage: Fraction = Field(
        0.9995, ge=0.98, le=1, description="Share of characters that get pieces of their own."
    )
    max_pieces: int = Field(400, ge=1, le=100_000, description="A longer text is cut to so many pieces.")
