"""Messages to a shop, generated from a seed: each says of which of four things it complains, of none, or of several.

Not all that is spoken of is complained of: "The parcel was not late at all" has no label, so words alone do not decide.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from random import Random

SEPARATOR = "|"
# topic -> what is spoken of, what is said against it, what is said for it
TOPICS = {
    "delivery": (
        ("the parcel", "the shipment", "the box"),
        ("late", "left in the rain", "at the wrong door"),
        ("early", "on time", "here the next day"),
    ),
    "price": (
        ("the price", "the fee", "the bill"),
        ("far too high", "wrong", "higher than promised"),
        ("fair", "as promised", "lower than elsewhere"),
    ),
    "quality": (
        ("the kettle", "the lamp", "the jacket"),
        ("broken", "scratched", "already falling apart"),
        ("well made", "sturdy", "just as shown"),
    ),
    "service": (
        ("your clerk", "the hotline", "your reply"),
        ("rude", "of no help", "impossible to understand"),
        ("friendly", "quick", "patient and clear"),
    ),
}
NEGATIONS = ("not {} at all", "by no means {}", "anything but {}")
OPENINGS = ("Hello!", "I ordered on {day}.", "This is about order {number}.", "Good evening.", "It is {day} now.")
ENDINGS = ("Please answer.", "Best wishes, {name}", "That is all.", "Thanks, {name}", "I will order again on {day}.")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NAMES = ("Ada", "Bo", "Carla", "Dmitri", "Eve", "Femi", "Gita", "Hana")


def _pick(random: Random, choices: Sequence[str]) -> str:
    return choices[int(random.random() * len(choices))]


def _sentence(random: Random, topic: str, complaint: bool) -> str:
    things, bad, good = TOPICS[topic]
    negated = random.random() < 0.25
    said = _pick(random, bad if complaint != negated else good)
    if negated:
        said = _pick(random, NEGATIONS).format(said)
    thing = _pick(random, things)
    return f"{thing[0].upper()}{thing[1:]} was {said}."


def _aside(random: Random, choices: Sequence[str]) -> str:
    number = 1000 + int(random.random() * 9000)
    return _pick(random, choices).format(day=_pick(random, DAYS), name=_pick(random, NAMES), number=number)


def _message(random: Random) -> tuple[str, list[str]]:
    """A text and its labels."""
    sentences = [_aside(random, OPENINGS)] if random.random() < 0.5 else []
    labels = []
    for topic in TOPICS:
        if random.random() < 0.5:
            complaint = random.random() < 0.65
            sentences.append(_sentence(random, topic, complaint))
            labels += [topic] if complaint else []
    if not sentences or random.random() < 0.4:
        sentences.append(_aside(random, ENDINGS))
    return " ".join(sentences), labels


def messages(split: str, rows: int, seed: int) -> Iterator[dict[str, str]]:
    """Records of `text` and `label`, the labels with | between them; splits share no text."""
    random = Random(seed)
    texts: set[str] = set()
    while len(texts) < rows:
        text, labels = _message(random)
        own = ("dev", "test", "train", "train", "train", "train")[zlib.crc32(text.encode()) % 6]
        if text not in texts and own == split:
            texts.add(text)
            yield {"text": text, "label": SEPARATOR.join(labels)}
