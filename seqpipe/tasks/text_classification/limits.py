"""What a text classifier is not for, in words for its card."""

from __future__ import annotations

from collections.abc import Sequence

from seqpipe.tasks.text_classification.config import TextClassificationPipeline

LONG_TEXTS = {
    "head": "so many from its beginning",
    "tail": "so many from its end",
    "head_and_tail": "so many, a quarter from its beginning, the rest from its end",
}


def limits(config: TextClassificationPipeline, classes: Sequence[str]) -> list[str]:
    """One sentence each."""
    domains = "on others it is worse, see Other domains."
    if not config.evaluation.other_domains:
        domains = "figures on other kinds of text are not in this card."
    return [
        f"A text of more than {config.features.max_pieces:,} pieces is read by a rule: "
        f"{LONG_TEXTS[config.features.long_texts]}. `explain` says in `truncated` where pieces were left out.",
        _answers(config.data.label_separator, classes),
        f"It knows texts like its training data; {domains}",
    ]


def _answers(separator: str | None, classes: Sequence[str]) -> str:
    if separator is None:
        return f"Whatever it reads, it answers with one of: {', '.join(classes)}; an empty text gets one too."
    return (
        f"It answers with any number of: {', '.join(classes)}; `label` holds them with “{separator}” between them, the "
        "most probable first, and is empty where no probability reaches its threshold. Each label has a probability of "
        "its own: they do not add to one."
    )
