"""How forecasts are shown: a line a step, with its time, median and quantiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqpipe.serving.answers import Answer, Presentation
from seqpipe.serving.series import shown_time

MOST_DRAWN = 12  # series


class ForecastPresentation(Presentation):
    """Median and quantiles of the steps to come.

    levels: of the quantiles. step: from one time to the next, as `str(Step)` says it.
    """

    def __init__(self, levels: Sequence[float] = (), step: str = "rows"):
        self.levels, self.step = list(levels), step

    def for_model(self, facts: Callable[[], Mapping[str, np.ndarray]]) -> ForecastPresentation:
        found = facts()
        step = bytes(np.asarray(found["step"]).item()).decode()
        return ForecastPresentation([round(float(level), 6) for level in found["levels"]], step)

    def short(self, answer: Answer) -> str:
        return " ".join(f"{value:.6g}" for value in answer["median"])

    def cells(self, answer: Answer) -> list[str]:
        return [self.short(answer), ""]

    def records(self, answer: Answer) -> list[dict[str, object]]:
        found = []
        for step, median in enumerate(answer["median"]):
            time = shown_time(answer["time"][step], self.step) if "time" in answer else step + 1
            record = {"time": time, "median": median}
            for index, value in enumerate(answer["quantiles"][step]):
                record[f"q{self.levels[index]:g}" if self.levels else f"quantile_{index + 1}"] = value
            if "extrapolated" in answer:
                record["extrapolated"] = answer["extrapolated"][step]
            found.append(record)
        return found

    def plot(self, answers: Iterable[tuple[str, Any, Answer]], file: Path) -> None:
        from seqpipe.evaluation.pictures import drawable, new_figure, plain, save
        from seqpipe.tasks.forecasting.pictures import fan

        found = list(answers)
        shown = found[:MOST_DRAWN]
        figure = new_figure(8, 2.6 * len(shown))
        for axes, (name, row, answer) in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
            quantiles = np.column_stack([answer["quantiles"], answer["median"]])
            levels = [*self.levels, 0.5]
            order = sorted({level: index for index, level in enumerate(levels)}.items())
            past = row["values"][-max(3 * len(quantiles), 24) :]
            fan(axes, past, quantiles[:, [index for _, index in order]], [level for level, _ in order], None)
            plain(axes, drawable(name))
            last = f" {shown_time(int(row['time']), self.step)}" if "time" in row else ", the last value"
            axes.set_xlabel(f"steps{'' if self.step == 'rows' else f' of {self.step}'} from{last}")
        figure.axes[0].legend(fontsize="small")
        if len(found) > len(shown):
            figure.suptitle(f"The first {len(shown)} of {len(found):,} series")
        save(figure, file)
