"""Data sets generated from a seed: always there, always small, the same on every machine.

`reviews` is a task with a point. Words alone decide most rows, but not those with a negation ("not at all boring")
or a turn ("The start was dull, but in the end I loved it"): there the order of the words decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from seqpipe.data.drawing import pick, records
from seqpipe.data.messages import message
from seqpipe.data.phrases import phrase
from seqpipe.data.verses import quatrain


@dataclass(frozen=True)
class Builtin:
    """A generated data set.

    Attributes:
        columns: what each record holds.
        rows: split -> number of rows where a source names none.
        make: draws a record.
    """

    columns: tuple[str, ...]
    rows: Mapping[str, int]
    make: Callable[[Random], dict[str, str]]

    def generate(self, split: str, rows: int, seed: int) -> Iterator[dict[str, str]]:
        return records(self.make, split, rows, seed)


@dataclass(frozen=True)
class Topic:
    """Aspects, each with its verb, and the words that praise or blame them."""

    aspects: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """What a review may speak of: topics, whole verdicts, and facts that say nothing for or against."""

    topics: tuple[Topic, ...]
    praise: tuple[str, ...]
    blame: tuple[str, ...]
    facts: tuple[str, ...]


FILM = Subject(
    topics=(
        Topic(
            aspects=("the plot is", "the start is", "the ending is", "the story is", "the first half is"),
            good=("gripping", "moving", "clever", "original", "thrilling", "touching"),
            bad=("boring", "dull", "predictable", "confusing", "slow", "tedious"),
        ),
        Topic(
            aspects=("the acting is", "the dialogue is", "the jokes are", "the characters are", "the lead is"),
            good=("witty", "funny", "convincing", "charming", "lively", "natural"),
            bad=("wooden", "clumsy", "shallow", "silly", "lifeless", "stiff"),
        ),
    ),
    praise=("I would watch it again", "I loved every minute", "it stayed with me for days", "I laughed and I cried"),
    blame=("I walked out", "I fell asleep", "I want those two hours back", "I kept looking at my watch"),
    facts=(
        "I saw it with {name} on {day}.",
        "It runs for two hours.",
        "{name} plays a teacher from {town}.",
        "It was filmed in {town}.",
        "The director is {name}.",
        "{name} had picked it for {day}.",
    ),
)
RESTAURANT = Subject(
    topics=(
        Topic(
            aspects=("the soup is", "the fish is", "the bread is", "the dessert is", "the noodles are"),
            good=("delicious", "fresh", "tasty", "crisp", "tender", "savoury"),
            bad=("bland", "stale", "greasy", "soggy", "burnt", "tasteless"),
        ),
        Topic(
            aspects=("the service is", "the waiters are", "the owner is", "the cook is", "the barman is"),
            good=("friendly", "attentive", "polite", "cheerful", "helpful", "quick"),
            bad=("rude", "careless", "grumpy", "forgetful", "lazy", "impatient"),
        ),
    ),
    praise=("we will come back", "we cleared every plate", "we left happy", "we have booked again"),
    blame=("we will eat elsewhere", "we left hungry", "we sent it back", "we asked for the manager"),
    facts=(
        "We had a table for four on {day}.",
        "{name} had booked for us.",
        "It stands near the station in {town}.",
        "We were there on {day} with {name}.",
        "They open at six.",
        "{name} ordered first.",
    ),
)
PHONE = Subject(
    topics=(
        Topic(
            aspects=("the screen is", "the camera is", "the picture is", "the sound is", "the speaker is"),
            good=("sharp", "clear", "bright", "crystal-clear", "rich", "vivid"),
            bad=("dim", "blurry", "faint", "patchy", "tinny", "grainy"),
        ),
        Topic(
            aspects=("the battery is", "the case is", "the charger is", "the buttons are", "the software is"),
            good=("sturdy", "reliable", "handy", "solid", "smooth", "durable"),
            bad=("flimsy", "sluggish", "faulty", "useless", "fragile", "shoddy"),
        ),
    ),
    praise=("I use it every day", "I bought a second one", "it is worth every penny", "it works like a charm"),
    blame=("I returned it", "I want a refund", "it broke within a week", "it gathers dust in a drawer"),
    facts=(
        "I bought it on {day}.",
        "{name} has the same one.",
        "It came in a box from {town}.",
        "I have had it since {day}.",
        "It replaces the one {name} gave me.",
        "The parcel came on {day}.",
    ),
)
SUBJECTS = (FILM, RESTAURANT, PHONE)
GOOD = ("good", "great", "excellent", "lovely", "wonderful", "superb", "brilliant", "fine")
BAD = ("bad", "poor", "awful", "terrible", "weak", "dreadful", "annoying", "disappointing")
DEGREES = ("", "", "", "really ", "so ", "truly ", "simply ", "quite ")
NEGATIONS = ("not", "not at all", "far from", "anything but", "never", "hardly", "by no means")
TURNS = (", but {}", ", yet {}", ". However, {}", ". Still, {}", ". But in the end {}", ", and even so {}")
NAMES = ("Anna", "Ben", "Chloe", "Elif", "Farid", "Hugo", "Kofi", "Lena", "Marta", "Nils", "Priya", "Wei")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TOWNS = ("Bristol", "Lyon", "Porto", "Kyoto", "Leeds", "Turin", "Ghent", "Cork", "Graz", "Oslo")
LABELS = ("negative", "positive")


def _fresh(random: Random, choices: Sequence[str], said: set[str]) -> str:
    """One of the choices that is not said yet."""
    choice = pick(random, [choice for choice in choices if choice not in said])
    said.add(choice)
    return choice


def _adjective(random: Random, topic: Topic, good: bool, said: set[str]) -> str:
    own, common = (topic.good, GOOD) if good else (topic.bad, BAD)
    return _fresh(random, common if random.random() < 0.35 else own, said)


def _opinion(random: Random, subject: Subject, good: bool, said: set[str]) -> str:
    """A clause for or against, without capital or full stop, on something nothing was said of so far."""
    if random.random() < 0.1:
        return _fresh(random, subject.praise if good else subject.blame, said)
    topic = pick(random, subject.topics)
    aspect = _fresh(random, topic.aspects, said)
    form = random.random()
    if form < 0.12:
        return f"{aspect} {pick(random, NEGATIONS)} {_adjective(random, topic, not good, said)}"
    if form < 0.35:
        return f"{aspect} {_adjective(random, topic, good, said)} and {_adjective(random, topic, good, said)}"
    return f"{aspect} {pick(random, DEGREES)}{_adjective(random, topic, good, said)}"


def _fact(random: Random, subject: Subject, said: set[str]) -> str:
    fact = _fresh(random, subject.facts, said)
    return fact.format(name=pick(random, NAMES), day=pick(random, DAYS), town=pick(random, TOWNS))


def review(random: Random) -> dict[str, str]:
    """One to five sentences; the last opinion is the verdict."""
    good = random.random() < 0.5
    subject = pick(random, SUBJECTS)
    said: set[str] = set()
    sentences = [_fact(random, subject, said)] if random.random() < 0.5 else []
    if random.random() < 0.14:
        before, after = _opinion(random, subject, not good, said), _opinion(random, subject, good, said)
        sentences.append(f"{before}{pick(random, TURNS).format(after)}.")
    else:
        sentences += [f"{_opinion(random, subject, good, said)}." for _ in range(1 + int(random.random() * 3))]
    if random.random() < 0.4:
        sentences.append(_fact(random, subject, said))
    return {"text": " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences), "label": LABELS[good]}


BUILTINS = {
    "reviews": Builtin(("text", "label"), {"train": 2000, "dev": 400, "test": 400}, review),
    "messages": Builtin(("text", "label"), {"train": 2000, "dev": 400, "test": 400}, message),
    "phrases": Builtin(("source", "target"), {"train": 3000, "dev": 300, "test": 300}, phrase),
    "verses": Builtin(("text",), {"train": 2000, "dev": 200, "test": 200}, quatrain),
}
