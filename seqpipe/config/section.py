"""What sections of a pipeline file are made of."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

Fraction = float
Share = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A part of a pipeline file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_no_truth_values(cls, value: object, info: ValidationInfo) -> object:
        """pydantic takes true, which YAML reads in yes and on too, for 1."""
        kind = _number_wanted(cls.model_fields[str(info.field_name)].annotation, value)
        if kind:
            raise PydanticCustomError("truth_value", "{kind}, not a truth value", {"kind": kind})
        return value


def _number_wanted(kind: object, value: object) -> str:
    """What belongs where a truth value stands, in a list or a dictionary too; "" where none does, or one may."""
    kinds = _alternatives(kind)
    if isinstance(value, bool):
        if bool in kinds or str in kinds:
            return ""
        return "a number" if float in kinds else "a whole number" if int in kinds else ""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    inside = [get_args(one)[-1] for one in kinds if get_origin(one) is type(value)]
    return next(filter(None, (_number_wanted(one, item) for one in inside for item in items)), "")


def _alternatives(kind: object) -> list[object]:
    """The types of a choice; of what is none, itself."""
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [one for part in get_args(kind) for one in _alternatives(part)]
    return [kind]
