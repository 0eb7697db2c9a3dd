"""How series are read, what is made of their time, and what forecasts them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from seqpipe.config.data import Encoding, Separator, Sources
from seqpipe.config.networks import Convolution
from seqpipe.config.section import Fraction, Section, Share

Auto = Literal["auto"]


def _at_least(least: int) -> AfterValidator:
    """Raises ValueError: a number is smaller."""

    def check(value: int | Auto) -> int | Auto:
        if value != "auto" and value < least:
            raise ValueError(f"is too small. Allowed: auto, or whole numbers from {least}.")
        return value

    return AfterValidator(check)


Count = Annotated[int | Auto, _at_least(1)]


class SeriesTable(Section):
    """Which columns of a table hold what."""

    series_column: str = Field(
        "series", description="Column that names the series; where there is none, all rows are one."
    )
    time_column: str | None = Field("time", description="Column of times; null: rows follow each other (step: rows).")
    value_column: str = Field("value", description="Column of the values that are forecast.")
    values: list[str] = Field([], description="Instead of series and value: a wide table, each of these a series.")
    known: list[str] = Field([], description="Columns known for the horizon too: holidays, a weather forecast, prices.")
    past: list[str] = Field([], description="Columns known up to the last value only.")
    static: list[str] = Field([], description="Columns that stay the same for a series, such as a region; any text.")
    step: str = Field(
        "auto", description="auto, rows (order alone counts: trading days), or such as 30min, 1h, 1D, 1MS."
    )
    time_zone: str | None = Field(
        None, description="Zone of the clock that people live by, such as Australia/Melbourne."
    )
    decimal: Literal[".", ","] = Field(".", description="Decimal mark of numbers.")
    format: Literal["auto", "csv", "tsv", "jsonl"] = Field(
        "auto", description="auto: by the file's ending; also .parquet."
    )
    encoding: Encoding = Field("utf-8", description="Encoding of files.")
    separator: Separator | None = Field(
        None, description="One character between columns; files that are not JSON are then read as CSV."
    )
    max_bad_fraction: Fraction = Field(0.0, ge=0, le=1, description="Stop when more than this share of rows is bad.")

    @model_validator(mode="after")
    def _columns_once(self) -> SeriesTable:
        columns = [*(self.values or [self.value_column]), *self.known, *self.past, *self.static]
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if twice:
            raise ValueError(f"the column {twice[0]} has two roles. Allowed: one of values, known, past, static.")
        if self.time_column is None and self.step not in ("auto", "rows"):
            raise ValueError(f'step = "{self.step}" needs a time_column. Allowed without one: rows.')
        return self


class SeriesData(SeriesTable):
    """Series to learn from, split by time: the end is for testing, what lies before it for validation."""

    train: Sources = Field(description="Where the rows come from: files:PATH or builtin:series, or a list of them.")
    test: Sources | None = Field(
        None, description="Rows that go on where those of train end; else train's end is cut off."
    )
    validation_windows: Count = Field("auto", description="Horizons held back to choose by; auto: a tenth of a series.")
    test_windows: Annotated[int | Auto, _at_least(0)] = Field(
        "auto", description="Horizons held back to report on; auto: a tenth; 0: none."
    )
    every_steps: Count = Field("auto", description="Steps from one validation or test window to the next.")

    @model_validator(mode="after")
    def _tested_once(self) -> SeriesData:
        if self.test is not None and self.test_windows != "auto":
            raise ValueError("test and test_windows exclude each other: with test, all its windows are tested.")
        return self


class SeriesFeatures(Section):
    """What a forecast looks at."""

    look_back_steps: Annotated[int | Auto, _at_least(2)] = Field("auto", description="Steps of the past that are seen.")
    seasons_steps: list[int] | Auto = Field("auto", description="Lengths of seasons, the first for MASE; auto: found.")
    calendar: bool = Field(True, description="Hour, weekday and day of the year, as far as the step allows.")
    transform: Literal["none", "log1p", "log"] = Field("none", description="Of values, undone in the answer.")
    lower: float | Auto | None = Field(
        "auto", description="No answer lies below it; auto: 0 where no training value is negative, null: no bound."
    )

    @field_validator("seasons_steps")
    @classmethod
    def _seasons(cls, value: list[int] | Auto) -> list[int] | Auto:
        if value != "auto" and any(season < 1 for season in value):
            raise ValueError("holds a season of no step. Allowed: auto, or whole numbers from 1.")
        return value


class SeriesRecurrent(Section):
    """The recurrent layer over segments."""

    cell: Literal["lstm", "gru"] = Field("gru", description="Of the layer.")
    units: int = Field(128, ge=1, description="Size of the state.")
    dropout: Share = Field(0.1, description="Dropout before the last layer.")


class Forecaster(Section):
    """Segments of the past -> recurrence -> a query for each segment of the future -> quantiles; beside it, a ridge."""

    horizon_steps: int = Field(24, ge=1, le=2000, description="Steps that are forecast.")
    quantiles: list[Fraction] = Field(
        [0.025, 0.1, 0.5, 0.9, 0.975], min_length=1, description="That are forecast, each above 0 and below 1."
    )
    normalisation: Literal["last", "changes", "mean", "revin", "none"] = Field(
        "last",
        description="What a window is measured from and in: its last value and the usual spread of its series' "
        "windows; its last value and its own mean change (changes: for what walks at random); its mean and the usual "
        "spread, with learned units (revin) or without; nothing.",
    )
    segment_steps: Count = Field("auto", description="Steps read at once.")
    convolution: list[Convolution] = Field([], description="Blocks over single steps, before segments are cut.")
    recurrent: SeriesRecurrent = SeriesRecurrent()
    embedding_units: int = Field(8, ge=1, description="Size of the vector of a series, a place, a static value.")
    profile: bool = Field(True, description="A learned season for each series.")
    linear: bool = Field(True, description="A closed-form ridge on past values and covariates as an expert.")
    mask_fraction: Share = Field(0.05, description="Share of past values hidden in training.")

    @property
    def levels(self) -> list[float]:
        """The quantiles that a model answers: those asked for, and the median."""
        return sorted({*self.quantiles, 0.5})

    @model_validator(mode="after")
    def _sound(self) -> Forecaster:
        if any(not 0 < level < 1 for level in self.quantiles) or len(set(self.quantiles)) < len(self.quantiles):
            raise ValueError(f"quantiles = {self.quantiles}: each once, above 0 and below 1.")
        for block in self.convolution:
            if block.stride != 1 or block.pool != 1:
                raise ValueError(f"convolution has stride = {block.stride}, pool = {block.pool}. Allowed: 1 and 1.")
        return self
