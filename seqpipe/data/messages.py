"""Messages to a shop, generated from a seed: each says of which of four things it complains, of none, or of several.

Not all that is spoken of is complained of: "The parcel was not late at all" has no label, so words alone do not decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from seqpipe.data.drawing import pick

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


def _sentence(random: Random, topic: str, complaint: bool) -> str:
    things, bad, good = TOPICS[topic]
    negated = random.random() < 0.25
    said = pick(random, bad if complaint != negated else good)
    if negated:
        said = pick(random, NEGATIONS).format(said)
    thing = pick(random, things)
    return f"{thing[0].upper()}{thing[1:]} was {said}."


def _aside(random: Random, choices: Sequence[str]) -> str:
    number = 1000 + int(random.random() * 9000)
    return pick(random, choices).format(day=pick(random, DAYS), name=pick(random, NAMES), number=number)


def message(random: Random) -> dict[str, str]:
    """A `text` and its `label`: the labels with | between them."""
    sentences = [_aside(random, OPENINGS)] if random.random() < 0.5 else []
    labels = []
    for topic in TOPICS:
        if random.random() < 0.5:
            complaint = random.random() < 0.65
            sentences.append(_sentence(random, topic, complaint))
            labels += [topic] if complaint else []
    if not sentences or random.random() < 0.4:
        sentences.append(_aside(random, ENDINGS))
    return {"text": " ".join(sentences), "label": SEPARATOR.join(labels)}
