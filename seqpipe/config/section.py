"""What sections of a pipeline file are made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Fraction = float


class Section(BaseModel):
    """A part of a pipeline file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
