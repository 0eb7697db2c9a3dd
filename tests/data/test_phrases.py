"""English sentences and their French, which follows the rules of its grammar."""

from __future__ import annotations

import hashlib

import pytest

from seqpipe.data.drawing import records
from seqpipe.data.phrases import ADJECTIVES, INTRANSITIVE, NOUNS, PLACES, THINGS, TIMES, TRANSITIVE, phrase

PAIRS = """\
A strong bird waits in the garden. | Un oiseau fort attend dans le jardin.
The empty man waits at home on Monday. | Lundi, l'homme vide attend à la maison.
A sad girl does not sleep at home on Monday. | Lundi, une fille triste ne dort pas à la maison.
The children lose an apple. | Les enfants perdent une pomme.
A small teacher sees a strong apple every day. | Chaque jour, un petit professeur voit une pomme forte.
A sad bird does not find the pretty house tonight. | Ce soir, un oiseau triste ne trouve pas la jolie maison.
Some small cats do not find the houses tonight. | Ce soir, de petits chats ne trouvent pas les maisons.
The black nurse draws the hidden tree on Monday. | Lundi, l'infirmière noire dessine l'arbre caché.
The boy finds a pretty ball today. | Aujourd'hui, le garçon trouve une jolie balle.
Some birds lose a sad book. | Des oiseaux perdent un livre triste.
The red woman draws the hidden letters. | La femme rouge dessine les lettres cachées.
A strong cat does not wait in the garden. | Un chat fort n'attend pas dans le jardin.
The pretty child waits in the garden. | Le joli enfant attend dans le jardin.
An empty dog loses a green house tonight. | Ce soir, un chien vide perd une maison verte.
The big women do not take the big ball. | Les grandes femmes ne prennent pas la grande balle.
Some red dogs draw the black hats. | Des chiens rouges dessinent les chapeaux noirs.
The black nurse loses some big pictures. | L'infirmière noire perd de grandes images.
"""


def pairs_of(split, rows, seed):
    return [(row["source"], row["target"]) for row in records(phrase, split, rows, seed)]


def test_phrases_agree_elide_and_move_their_words():
    found = dict(pairs_of("train", 45, 3))
    wanted = dict(line.split(" | ") for line in PAIRS.splitlines())
    assert {english: found[english] for english in wanted} == wanted


def test_phrases_of_a_seed_are_these():
    assert pairs_of("train", 3, 3)[2] == ("A child waits in the garden.", "Un enfant attend dans le jardin.")
    written = "\n".join("\t".join(pair) for pair in pairs_of("train", 1000, 5))
    assert hashlib.sha256(written.encode()).hexdigest()[:16] == "de4f0838d6d9d649"


def test_phrases_have_each_word_once():
    assert len({*NOUNS, *THINGS, *TRANSITIVE, *INTRANSITIVE, *ADJECTIVES}) == 41


def test_phrases_use_every_word_there_is():
    pairs = pairs_of("train", 4000, 1)
    english, french = (" ".join(side).lower().replace(".", " ") for side in zip(*pairs, strict=True))
    french = french.replace("l'", "l' ").replace("n'", "n' ")
    words = [*NOUNS, *THINGS, *TRANSITIVE, *INTRANSITIVE]
    assert [form for word in words for form in word.english if f" {form} " not in english] == []
    assert [form for word in words for form in word.french if f" {form} " not in french] == []
    assert [word.english for word in ADJECTIVES if f" {word.english} " not in english] == []
    assert [form for word in ADJECTIVES for form in word.french if f" {form}s " not in french] == []
    assert [place for one, place in (*PLACES, *TIMES) if one.lower() not in english or place not in french] == []


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_phrases_are_as_many_as_asked_for_and_differ(rows):
    english = [source for source, _ in pairs_of("dev", rows, 1)]
    assert len(english) == len(set(english)) == rows


def test_phrases_splits_share_no_sentence_whatever_their_seeds():
    dev, test, train = ({source for source, _ in pairs_of(split, 1500, 1)} for split in ("dev", "test", "train"))
    other = {source for source, _ in pairs_of("train", 1500, 2)}
    assert not (train | other) & (dev | test)
    assert not dev & test
    assert train != other
