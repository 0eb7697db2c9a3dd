"""What a model answers: how one answer is shown short, as the columns of a table, and as JSON.

A task names its kind; a model whose task nobody knows is answered by the kind that its outputs fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqpipe.errors import DataError

TAKEN = ("file", "text", "row", "label", "probability", "error")  # columns of a table, which no class has for its own
Answer = dict[str, Any]  # outputs of one row by name: str, float, lists; `probabilities` by class name


class Presentation:
    """How answers are shown; the base class shows all outputs as they are."""

    def short(self, answer: Answer) -> str:
        """The answer alone, for a line of its own."""
        return ", ".join(f"{name} {_compact(value)}" for name, value in answer.items())

    def cells(self, answer: Answer) -> list[str]:
        """What stands before the row in a table on a terminal."""
        return [self.short(answer)]

    def records(self, answer: Answer) -> list[dict[str, object]]:
        """The answer as columns: a record a line of a CSV file; most answers take one."""
        return [answer]

    def as_json(self, answer: Answer) -> dict[str, object]:
        return answer

    def for_model(self, facts: Callable[[], Mapping[str, Any]]) -> Presentation:
        """How this model's answers are shown; facts: what its signature `info` says."""
        return self

    def plot(self, answers: Iterable[tuple[str, object, Answer]], file: Path) -> None:
        """Draw answers, each with its row and what that is called.

        Raises:
            DataError: such answers have no picture.
        """
        raise DataError("--plot draws forecasts of series; this model answers otherwise.")


class LabelPresentation(Presentation):
    """One of several labels with its probability."""

    def short(self, answer: Answer) -> str:
        return answer["label"]

    def cells(self, answer: Answer) -> list[str]:
        return [answer["label"], f"{answer['probability']:.3f}"]

    def records(self, answer: Answer) -> list[dict[str, object]]:
        shares = {f"probability of {n}" if n in TAKEN else n: p for n, p in answer["probabilities"].items()}
        shown = {name: f"{share:.6f}" for name, share in {"probability": answer["probability"], **shares}.items()}
        return [{"label": answer["label"], **shown}]


class TextPresentation(Presentation):
    """A text, or the first of several.

    column: what it is called in files.
    """

    def __init__(self, column: str = "text"):
        self.column = column

    def short(self, answer: Answer) -> str:
        return answer["texts"][0] if "texts" in answer else answer["text"]

    def records(self, answer: Answer) -> list[dict[str, object]]:
        if "texts" in answer:
            return [{self.column: answer["texts"][0], "score": answer["scores"][0]}]
        rest = {name: value for name, value in sorted(answer.items()) if isinstance(value, (int, float, str))}
        return [{self.column: rest.pop("text"), **rest}]

    def as_json(self, answer: Answer) -> dict[str, object]:
        return {self.column if name == "text" else name: value for name, value in answer.items()}


def presentation_of(outputs: Sequence[str]) -> Presentation:
    """The kind that outputs of these names fit."""
    if "label" in outputs:
        return LabelPresentation()
    return TextPresentation() if "text" in outputs else Presentation()


def plain(value: Any) -> Any:
    """A numpy value as plain Python: bytes as text, arrays as lists."""
    if getattr(value, "ndim", 0):
        return [plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def tidied(row: Mapping[str, object], labels: Sequence[str]) -> Answer:
    """One row of a signature's outputs: plain values, padding left out, probabilities by class name.

    Args:
        labels: class names, where there are `probabilities`.
    """
    answer = {key: plain(value) for key, value in row.items()}
    if "pieces" in answer:
        steps = sum(1 for piece in answer["pieces"] if piece)
        answer |= {key: answer[key][:steps] for key in ("pieces", "weights", "surprisal") if key in answer}
    if "alignment" in answer:
        for side in ("source_pieces", "target_pieces"):
            answer[side] = [piece for piece in answer[side] if piece]
        source, target = len(answer["source_pieces"]), len(answer["target_pieces"])
        answer["alignment"] = [row[:source] for row in answer["alignment"][:target]]
    if "probabilities" in answer:
        answer["probabilities"] = dict(zip(labels, answer["probabilities"], strict=True))
    return answer


def _compact(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
