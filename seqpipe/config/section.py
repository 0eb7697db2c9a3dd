"""What sections of a pipeline file are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = float
Share = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A part of a pipeline file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
