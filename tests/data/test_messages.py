"""Messages to a shop: what is complained of is said, and nothing else is a label."""

from __future__ import annotations

import hashlib
import itertools
import re

import pytest

from seqpipe.data.drawing import records
from seqpipe.data.messages import DAYS, NAMES, TOPICS, message

DENIED = {"{}": False, "not {} at all": True, "by no means {}": True, "anything but {}": True}
COMPLAINTS = {  # every sentence about a topic: of what it complains, if of anything
    f"{thing[0].upper()}{thing[1:]} was {form.format(said)}.": topic if against != denied else ""
    for topic, (things, bad, good) in TOPICS.items()
    for thing, (form, denied) in itertools.product(things, DENIED.items())
    for against, choices in ((True, bad), (False, good))
    for said in choices
}
DAY, NAME = "|".join(DAYS), "|".join(NAMES)
ASIDE = re.compile(
    rf"Hello!|I ordered on (?:{DAY})\.|This is about order [1-9][0-9]{{3}}\.|Good evening\.|It is (?:{DAY}) now\."
    rf"|Please answer\.|(?:Best wishes|Thanks), (?:{NAME})|That is all\.|I will order again on (?:{DAY})\."
)


def rows_of(split, rows, seed):
    return [(row["text"], row["label"]) for row in records(message, split, rows, seed)]


def test_messages_of_a_seed_are_these():
    assert rows_of("dev", 7, 3) == [
        ("I ordered on Friday. The parcel was late. The kettle was sturdy.", "delivery"),
        ("The price was fair. Please answer.", ""),
        ("The fee was as promised. The kettle was by no means well made. Thanks, Hana", "quality"),
        ("The parcel was at the wrong door.", "delivery"),
        ("Good evening. The kettle was just as shown.", ""),
        ("This is about order 3918. The shipment was at the wrong door. The price was wrong.", "delivery|price"),
        ("The box was on time. The fee was as promised. The lamp was broken.", "quality"),
    ]
    written = "\n".join(f"{label} {text}" for text, label in rows_of("train", 400, 5))
    assert hashlib.sha256(written.encode()).hexdigest()[:16] == "b17f0035763072d5"


def test_messages_labels_are_what_their_sentences_complain_of():
    for text, label in rows_of("train", 1000, 1):
        said = [sentence for sentence in COMPLAINTS if sentence in text]
        topics = [topic for topic in (COMPLAINTS[sentence] for sentence in said) if topic]
        assert label == "|".join(topics), text
        rest = text
        for sentence in said:
            rest = rest.replace(sentence, "")
        assert ASIDE.sub("", rest).strip() == "", text


def test_messages_speak_of_all_there_is():
    texts = " ".join(text for text, _ in rows_of("train", 3000, 1))
    words = [word for things, bad, good in TOPICS.values() for word in (*(thing[1:] for thing in things), *bad, *good)]
    assert [word for word in (*words, *DAYS, *NAMES) if word not in texts] == []
    assert all(f" was {denied} " in texts for denied in ("not", "by no means", "anything but"))
    numbers = {int(number) for number in re.findall(r"order (\d+)\.", texts)}
    assert 1000 <= min(numbers) < 1100
    assert 9900 < max(numbers) <= 9999


@pytest.mark.parametrize("rows", [0, 1, 500])
def test_messages_are_as_many_as_asked_for_and_differ(rows):
    texts = [text for text, _ in rows_of("dev", rows, 1)]
    assert len(texts) == len(set(texts)) == rows


def test_messages_splits_share_no_text_whatever_their_seeds():
    dev, test, train = ({text for text, _ in rows_of(split, 1500, 1)} for split in ("dev", "test", "train"))
    other = {text for text, _ in rows_of("train", 1500, 2)}
    assert not (train | other) & (dev | test)
    assert not dev & test
    assert train != other
