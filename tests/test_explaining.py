"""Explanations of what strangers wrote: shown as it is meant, never obeyed."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest
from hostile_strings import HOSTILE  # noqa: F401
from rich.text import Text

from seqpipe.explaining import (
    Explanation,
    Piece,
    as_line,
    bracketed,
    coloured,
    explain,
    readable,
    write_page,
)
