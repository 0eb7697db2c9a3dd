"""English sentences with their French translations, generated from a seed by a small synchronous grammar.

A task with a point: words alone do not decide it. Adjectives move behind their nouns or stay before them, articles,
adjectives and participles agree with a gender the English does not show, articles lose their vowel, and a negation
stands around the verb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from seqpipe.data.drawing import pick

VOWELS = "aeiouéêhœ"


@dataclass(frozen=True)
class Noun:
    """English and French, each singular and plural; the French gender."""

    english: tuple[str, str]
    french: tuple[str, str]
    feminine: bool


@dataclass(frozen=True)
class Adjective:
    """English; French masculine and feminine singular, whose plurals take an s; before: it stands before its noun."""

    english: str
    french: tuple[str, str]
    before: bool = False


@dataclass(frozen=True)
class Verb:
    """Third persons: English (he, they), French (il, ils); intransitive verbs take a place instead of an object."""

    english: tuple[str, str]
    french: tuple[str, str]


NOUNS = (
    Noun(("boy", "boys"), ("garçon", "garçons"), False),
    Noun(("girl", "girls"), ("fille", "filles"), True),
    Noun(("woman", "women"), ("femme", "femmes"), True),
    Noun(("man", "men"), ("homme", "hommes"), False),
    Noun(("dog", "dogs"), ("chien", "chiens"), False),
    Noun(("cat", "cats"), ("chat", "chats"), False),
    Noun(("bird", "birds"), ("oiseau", "oiseaux"), False),
    Noun(("teacher", "teachers"), ("professeur", "professeurs"), False),
    Noun(("nurse", "nurses"), ("infirmière", "infirmières"), True),
    Noun(("child", "children"), ("enfant", "enfants"), False),
)
THINGS = (
    Noun(("ball", "balls"), ("balle", "balles"), True),
    Noun(("book", "books"), ("livre", "livres"), False),
    Noun(("house", "houses"), ("maison", "maisons"), True),
    Noun(("car", "cars"), ("voiture", "voitures"), True),
    Noun(("tree", "trees"), ("arbre", "arbres"), False),
    Noun(("apple", "apples"), ("pomme", "pommes"), True),
    Noun(("hat", "hats"), ("chapeau", "chapeaux"), False),
    Noun(("letter", "letters"), ("lettre", "lettres"), True),
    Noun(("picture", "pictures"), ("image", "images"), True),
    Noun(("boat", "boats"), ("bateau", "bateaux"), False),
)
ADJECTIVES = (
    Adjective("red", ("rouge", "rouge")),
    Adjective("black", ("noir", "noire")),
    Adjective("green", ("vert", "verte")),
    Adjective("small", ("petit", "petite"), before=True),
    Adjective("big", ("grand", "grande"), before=True),
    Adjective("pretty", ("joli", "jolie"), before=True),
    Adjective("strong", ("fort", "forte")),
    Adjective("sad", ("triste", "triste")),
    Adjective("empty", ("vide", "vide")),
    Adjective("hidden", ("caché", "cachée")),
)
TRANSITIVE = (
    Verb(("sees", "see"), ("voit", "voient")),
    Verb(("takes", "take"), ("prend", "prennent")),
    Verb(("draws", "draw"), ("dessine", "dessinent")),
    Verb(("loses", "lose"), ("perd", "perdent")),
    Verb(("finds", "find"), ("trouve", "trouvent")),
    Verb(("loves", "love"), ("aime", "aiment")),
)
INTRANSITIVE = (
    Verb(("sleeps", "sleep"), ("dort", "dorment")),
    Verb(("sings", "sing"), ("chante", "chantent")),
    Verb(("runs", "run"), ("court", "courent")),
    Verb(("waits", "wait"), ("attend", "attendent")),
    Verb(("arrives", "arrive"), ("arrive", "arrivent")),
)
PLACES = (("in the garden", "dans le jardin"), ("near the river", "près de la rivière"), ("at home", "à la maison"))
TIMES = (("today", "aujourd'hui"), ("tonight", "ce soir"), ("every day", "chaque jour"), ("on Monday", "lundi"))


def phrase(random: Random) -> dict[str, str]:
    """An English sentence as `source`, its French translation as `target`."""
    plural = random.random() < 0.4
    english, french = _noun_phrase(random, NOUNS, plural)
    negated = random.random() < 0.2
    transitive = random.random() < 0.6
    verb = pick(random, TRANSITIVE if transitive else INTRANSITIVE)
    if negated:
        english = f"{english} {'do' if plural else 'does'} not {verb.english[1]}"
        french = f"{french} {_elided('ne', verb.french[plural])} pas"
    else:
        english, french = f"{english} {verb.english[plural]}", f"{french} {verb.french[plural]}"
    if transitive:
        english_object, french_object = _noun_phrase(random, THINGS, random.random() < 0.4)
    else:
        english_object, french_object = pick(random, PLACES)
    english, french = f"{english} {english_object}", f"{french} {french_object}"
    if random.random() < 0.4:  # the time moves to the front in French
        english_time, french_time = pick(random, TIMES)
        english, french = f"{english} {english_time}", f"{french_time}, {french}"
    return {"source": f"{english[0].upper()}{english[1:]}.", "target": f"{french[0].upper()}{french[1:]}."}


def _noun_phrase(random: Random, nouns: Sequence[Noun], plural: bool) -> tuple[str, str]:
    noun = pick(random, nouns)
    adjectives = [pick(random, ADJECTIVES)] if random.random() < 0.6 else []
    definite = random.random() < 0.6
    english = " ".join([*(adjective.english for adjective in adjectives), noun.english[plural]])
    before, after = (
        [a.french[noun.feminine] + ("s" if plural else "") for a in adjectives if a.before is place]
        for place in (True, False)
    )
    french = " ".join([*before, noun.french[plural], *after])
    if definite:
        article = "les" if plural else "la" if noun.feminine else "le"
        return f"the {english}", f"les {french}" if plural else _elided(article, french)
    if plural:  # "de" before an adjective, else "des"
        return f"some {english}", f"{'de' if before else 'des'} {french}"
    return f"{'an' if english[0] in 'aeiou' else 'a'} {english}", f"{'une' if noun.feminine else 'un'} {french}"


def _elided(word: str, following: str) -> str:
    """le, la and ne lose their vowel before another: l'homme, n'aime."""
    return f"{word[0]}'{following}" if following[0] in VOWELS else f"{word} {following}"
