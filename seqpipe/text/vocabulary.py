"""What every vocabulary has in common: special ids, byte ids, and how pieces are scored.

Ids: 0 padding (never produced for text), 1 unknown (never produced: unknown characters become UTF-8 bytes), 2 begin,
3 end of text, 4..259 bytes, then pieces.
"""

from __future__ import annotations

PAD, UNKNOWN, BOS, EOS = range(4)
FIRST_BYTE = 4  # byte b has the id FIRST_BYTE + b
FIRST_PIECE = FIRST_BYTE + 256
SPACE_MARK = "\u2581"  # SentencePiece's stand-in for a space inside pieces
SCORE_UNITS = 16  # piece scores are multiples of 1 / SCORE_UNITS
LONGEST_PIECE_CHARACTERS = 16
UNKNOWN_PENALTY = 10.0  # SentencePiece scores an unknown character so far below its worst piece
