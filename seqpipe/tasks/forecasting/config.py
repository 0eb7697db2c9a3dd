"""Pipeline files of forecasting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from seqpipe.config.pipeline import Evaluation, Pipeline
from seqpipe.config.section import Fraction, Section
from seqpipe.config.series import Count, Forecaster, SeriesData, SeriesFeatures
from seqpipe.config.training import Training


class ForecastingTraining(Training):
    """How a forecaster is trained."""

    loss: Literal["pinball", "mae", "mse", "huber"] = Field("pinball", description="Of the median; pinball beside it.")
    monitor: Literal["loss", "mase"] = Field("loss", description="Dev figure the best epoch is chosen by.")
    epochs: int = Field(12, ge=1, description="Passes over the windows of an epoch, at most; see patience.")
    batch_size: int = Field(32, ge=1, description="Windows a step; fewer make more steps, which short series need.")
    schedule: Literal["constant", "linear", "cosine"] = Field("cosine", description="Course down to zero at the end.")
    patience: int | None = Field(4, ge=1, description="Stop after so many epochs without a better dev figure.")
    refit: bool = Field(
        True, description="Train once more on training and validation together, for as many epochs as were best."
    )
    windows_per_epoch: int = Field(30_000, ge=1, description="Windows an epoch, others in the next one.")

    measured_by: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "loss": ("training.loss", "features.transform", "model.horizon_steps"),
        "mase": ("model.horizon_steps",),
    }


class Conformal(Section):
    """Intervals made to cover what they promise: one for each pair of quantiles q and 1 - q."""

    anomaly_fraction: Fraction = Field(0.01, gt=0, lt=1, description="Share of past values that `score` flags.")
    window_steps: Count = Field(
        "auto", description="Latest steps whose errors make them; auto: 60 days, of longer steps 60, or 250 rows."
    )


class ForecastingEvaluation(Evaluation):
    """What the report on a forecaster holds."""

    baseline: bool = Field(True, description="Also last value, seasonal naive, drift, mean season, climatology, ridge.")
    statsmodels: bool = Field(
        False,
        description="Also Theta and ETS, of a split of at most 200 windows: a fit a window takes long. Needs "
        "pip install 'seqpipe[forecasting]'.",
    )


class ForecastingPipeline(Pipeline):
    """Values of series in; their median and quantiles for the steps to come out."""

    task: Literal["forecasting"] = "forecasting"
    data: SeriesData
    features: SeriesFeatures = SeriesFeatures()
    model: Forecaster = Forecaster()
    training: ForecastingTraining = ForecastingTraining()
    conformal: Conformal = Conformal()
    evaluation: ForecastingEvaluation = ForecastingEvaluation()
