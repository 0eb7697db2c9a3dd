"""Text to piece ids and back: SentencePiece unigram with byte fallback, fitted on training texts.

The library segments for training and bulk prediction; `seqpipe.text.tokenizer.TextTokenizer` gives the same
segmentation in core TensorFlow ops. Two choices make the two agree exactly, not nearly:

- Normalisation is a table from one code point to a few, made here and given to both sides.
- Piece scores are rounded to multiples of 1/16, so that sums in float32 are exact in any order of adding. (At 1/16
  float32 is exact up to a million, which is some 100,000 characters.)
"""

from __future__ import annotations

import hashlib
import io
import sys
import tempfile
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece

from seqpipe.errors import DataError, ModelError
from seqpipe.text.vocabulary import (
    BOS,
    EOS,
    FIRST_PIECE,
    LONGEST_PIECE_CHARACTERS,
    PAD,
    SCORE_UNITS,
    SPACE_MARK,
    UNKNOWN,
)

# White space beyond what `str.isspace` knows: zero-width space, byte order mark, and the mark itself.
_MORE_SPACES = "\u200b\ufeff" + SPACE_MARK
# SentencePiece's trainer skips a whole text that holds one of its own marks.
_RESERVED_IN_TRAINING = str.maketrans("\0\t\u2585", "   ")


# Where a text repeats itself, the trainer's time grows with the square of its length; so a longer one is cut, at a
# space behind so many characters, or at most, and what comes again is left out.
_ENOUGH_AT_ONCE, _MOST_AT_ONCE = 256, 1024

# Of what is kept of a long text, how much is its beginning.
HEAD_QUARTERS = {"head": 4, "tail": 0, "head_and_tail": 1}


def cut(ids: np.ndarray, max_pieces: int, rule: str) -> np.ndarray:
    """The pieces that are kept of a text: all of a short one, so many of a long one, by a rule of HEAD_QUARTERS."""
    if len(ids) <= max_pieces:
        return ids
    head = head_pieces(max_pieces, rule)
    return np.concatenate([ids[:head], ids[len(ids) - (max_pieces - head) :]])


def head_pieces(max_pieces: int, rule: str) -> int:
    """How many of max_pieces are a long text's first ones; the others are its last."""
    return max_pieces * HEAD_QUARTERS[rule] // 4


def clean_text(text: str | bytes) -> str:
    """The text a person meant: invalid UTF-8, lone surrogates included, becomes U+FFFD as the WHATWG standard says."""
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return raw.decode("utf-8", "replace")


def normalisation_rules(*, lowercase: bool) -> dict[int, tuple[int, ...]]:
    """What each code point becomes, where that is not itself.

    White space becomes a space; other characters their NFKC form, lower-cased if asked. A character whose form holds
    a space (spacing accents such as U+00B4) stays: it is no word boundary.
    """
    rules = {}
    for code in range(1, sys.maxunicode + 1):
        character = chr(code)
        if character.isspace() or character in _MORE_SPACES:
            form = " "
        else:
            form = unicodedata.normalize("NFKC", character)
            if lowercase:
                form = unicodedata.normalize("NFKC", form.lower())
            if " " in form:
                continue
        if form != character:
            rules[code] = tuple(map(ord, form))
    return rules


class TextFeatures:
    """A fitted vocabulary; its ids are those of `seqpipe.text.vocabulary`.

    Args:
        model: a SentencePiece model, as `fit` makes it.
        rules: its normalisation, lines of `CODE<TAB>CODE CODE...` in hexadecimal.
    """

    def __init__(self, model: bytes, rules: str):
        self.model = model
        self.rules_tsv = rules
        self._library = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.vocabulary_size: int = self._library.vocab_size()
        self.key: str = hashlib.sha256(model + rules.encode()).hexdigest()[:16]

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        *,
        vocabulary_size: int,
        lowercase: bool,
        character_coverage: float,
        exact: bool = False,
    ) -> TextFeatures:
        """Learns pieces from texts; the same texts give the same bytes.

        Args:
            texts: training texts only.
            vocabulary_size: an upper bound, special and byte pieces included; a small corpus gives fewer.
            lowercase: fold case before cutting.
            character_coverage: share (0..1) of characters that get pieces of their own.
            exact: keep every character as it is, line breaks and spaces too, so that pieces join to the very text;
                only the mark of a space is read as one.
        Raises:
            DataError: there is nothing to learn from, or the vocabulary cannot hold the characters.
        """
        lines = [line for text in texts for line in _portions(clean_text(text)) if line.strip()]
        if not lines:
            raise DataError("no training text holds a character: there is nothing to learn pieces from.")
        forms = {ord(SPACE_MARK): (ord(" "),)} if exact else normalisation_rules(lowercase=lowercase)
        rules = "".join(f"{code:X}\t{' '.join(f'{c:X}' for c in form)}\n" for code, form in forms.items())
        model = io.BytesIO()
        with tempfile.TemporaryDirectory() as directory:
            rules_file = Path(directory) / "normalisation.tsv"
            rules_file.write_text(rules, encoding="ascii")
            try:
                sentencepiece.SentencePieceTrainer.train(
                    sentence_iterator=iter(lines),
                    model_writer=model,
                    model_type="unigram",
                    vocab_size=vocabulary_size,
                    hard_vocab_limit=False,
                    byte_fallback=True,
                    character_coverage=character_coverage,
                    normalization_rule_tsv=str(rules_file),
                    add_dummy_prefix=not exact,
                    remove_extra_whitespaces=not exact,
                    max_sentencepiece_length=LONGEST_PIECE_CHARACTERS,
                    # The library's million candidates take four times as long on 25,000 reviews and gain nothing.
                    seed_sentencepiece_size=20 * vocabulary_size,
                    max_sentence_length=1 << 30,
                    num_threads=2,  # a fixed number: the order of adding counts decides the last bits
                    pad_id=PAD,
                    unk_id=UNKNOWN,
                    bos_id=BOS,
                    eos_id=EOS,
                    pad_piece="<pad>",
                    minloglevel=3,
                )
            except RuntimeError as error:
                raise DataError(
                    f"no vocabulary of {vocabulary_size} pieces can be learnt from {len(lines)} texts: {error}. "
                    "Allow more pieces, a smaller character_coverage, or give more text."
                ) from error
        return cls(_settled(model.getvalue()), rules)

    def save(self, directory: Path) -> None:
        """Writes sentencepiece.model and normalisation.tsv into a directory."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "sentencepiece.model").write_bytes(self.model)
        (directory / "normalisation.tsv").write_bytes(self.rules_tsv.encode("ascii"))

    @classmethod
    def load(cls, directory: Path) -> TextFeatures:
        """Reads what `save` wrote.

        Raises:
            ModelError: a file is missing or is no SentencePiece model.
        """
        try:
            model = (directory / "sentencepiece.model").read_bytes()
            rules = (directory / "normalisation.tsv").read_bytes().decode("ascii")
            return cls(model, rules)
        except (OSError, UnicodeDecodeError, RuntimeError) as error:
            raise ModelError(f"{directory}: text features cannot be read: {error}") from error

    def encode(self, texts: Sequence[str | bytes]) -> list[np.ndarray]:
        """Piece ids of each text, int32 [pieces]; an empty text has none."""
        return self._library.encode([clean_text(text) for text in texts], return_type="numpy")

    def decode(self, ids: Iterable[int]) -> str:
        """Ids to text: bytes joined, what is no UTF-8 shown as U+FFFD, the leading space removed."""
        return self._library.decode([int(i) for i in ids])

    def pieces(self, ids: Iterable[int]) -> list[bytes]:
        """The UTF-8 bytes of each piece, its word boundary a plain space: joined, they are the normalised text.

        A byte piece is its byte alone; padding, begin and end are empty.
        """
        return [self.piece_bytes[int(i)] for i in ids]

    @cached_property
    def exact(self) -> bool:
        """Whether pieces join to the very text: `fit` says more."""
        return not _parsed(self.model).normalizer_spec.add_dummy_prefix

    @cached_property
    def rules(self) -> dict[int, tuple[int, ...]]:
        """The normalisation: what a code point becomes."""
        lines = (line.split("\t") for line in self.rules_tsv.splitlines())
        return {int(code, 16): tuple(int(c, 16) for c in form.split()) for code, form in lines}

    @cached_property
    def piece_bytes(self) -> list[bytes]:
        """What each id stands for, see `pieces`."""
        unknown_surface = _parsed(self.model).trainer_spec.unk_surface.encode()
        special = [b"", unknown_surface, b"", b""] + [bytes([b]) for b in range(256)]
        return special + [piece.replace(SPACE_MARK, " ").encode() for piece, _ in self.scored_pieces]

    @cached_property
    def scored_pieces(self) -> list[tuple[str, int]]:
        """Learnt pieces with their scores in units of 1 / SCORE_UNITS; the first has the id FIRST_PIECE."""
        pieces = _parsed(self.model).pieces[FIRST_PIECE:]
        return [(piece.piece, round(piece.score * SCORE_UNITS)) for piece in pieces]


def _portions(text: str) -> list[str]:
    """A text for the trainer: parts that differ, cut before a space, across which no piece reaches, or anywhere."""
    text = text.translate(_RESERVED_IN_TRAINING)
    start, parts = 0, dict[str, None]()
    while len(text) - start > _MOST_AT_ONCE:
        space = text.find(" ", start + _ENOUGH_AT_ONCE, start + _MOST_AT_ONCE)
        end = space if space > 0 else start + _MOST_AT_ONCE
        parts[text[start:end]] = None
        start = end
    return list(parts | {text[start:]: None})


def _parsed(model: bytes) -> Any:
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made at import time
    proto.ParseFromString(model)
    return proto


def _settled(model: bytes) -> bytes:
    """The trained model with rounded scores, and without the name of the temporary rules file."""
    proto = _parsed(model)
    for piece in proto.pieces:
        piece.score = round(piece.score * SCORE_UNITS) / SCORE_UNITS
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    return proto.SerializeToString(deterministic=True)
