"""Forms: what a text is made of, and what a network is told of it."""

from __future__ import annotations

import numpy as np
import pytest
from poems import CHARACTERS, FORM, RHYMES, WANTED, poems

from seqpipe.errors import DataError
from seqpipe.text.forms import Form

TEXT = "sta,uvb.wxy,STc."


def test_form_splits_texts_that_have_it():
    assert FORM.split(TEXT) == ["sta", "uvb", "wxy", "STc"]
    for other in ("", TEXT[:-1], TEXT + "\n", TEXT.replace(",", ".", 1), "st" + TEXT[3:], TEXT.replace("u", ",")):
        assert FORM.split(other) is None
    assert FORM.closings(FORM.split(TEXT)) == ["b", "c"]


def test_form_tells_place_rhyme_and_opening_of_each_character():
    told = FORM.told(TEXT, CHARACTERS)
    place, rhyme, opening = told.T
    assert len(told) == len(TEXT) + 1
    assert place.tolist() == [4, 3, 2, 1, 9, 8, 7, 6, 14, 13, 12, 11, 19, 18, 17, 16, FORM.places - 1]
    group = FORM.group(["b", "c"])
    to_come, now = 1 + group, 1 + group + 3
    assert rhyme.tolist() == [to_come] * 6 + [now] + [to_come] * 7 + [now, 0, 0]
    first, second, third, fourth = CHARACTERS.encode("suwS")
    assert opening.tolist() == [first, *[second] * 4, *[third] * 4, *[fourth] * 4, 0, 0, 0, 0]
    assert (told < [FORM.places, FORM.rhymes, CHARACTERS.size]).all()


def test_form_tells_nothing_of_what_it_cannot():
    assert not FORM.told("no form at all", CHARACTERS).any()
    place, rhyme, opening = FORM.told("éta,uvb.wxy,STj.", CHARACTERS).T
    assert place.all()
    assert not rhyme.any(), "b and j do not rhyme"
    assert opening[0] == 0, "é is not known"
    assert opening[1:13].all()


def test_form_learns_its_groups_and_how_often_they_rhyme():
    texts = poems(400, seed=5)
    form = Form.fit([*texts, "no form"], CHARACTERS, groups=None, **WANTED)
    assert {frozenset(group) for group in form.groups} == set(map(frozenset, RHYMES))
    assert sum(form.weights) == 400
    assert set(form.content) == set("".join(texts)) - set(WANTED["marks"])


def test_form_survives_saving(tmp_path):
    FORM.save(tmp_path)
    assert Form.load(tmp_path) == FORM


def test_form_members_are_those_of_its_groups():
    members = FORM.members(CHARACTERS)
    for group, row in zip(FORM.groups, members, strict=True):
        assert set(np.flatnonzero(row)) == set(CHARACTERS.encode(group))


@pytest.mark.parametrize(
    ("texts", "change", "rule"),
    [
        (["abc"], {}, "No text of train has the form: 4 lines of 3 or 4 characters, closed by , . , ."),
        (poems(5, seed=1), {"groups": None}, "No 2 characters that close lines 2, 4 of train are known to rhyme"),
        (poems(5, seed=1), {"groups": ["()"]}, "No 2 characters that close lines 2, 4 of train are known to rhyme"),
    ],
)
def test_form_that_train_does_not_have_is_refused(texts, change, rule):
    with pytest.raises(DataError) as caught:
        Form.fit(texts, CHARACTERS, **{**WANTED, "groups": RHYMES, **change})
    assert rule in str(caught.value)


def test_form_keeps_the_rhyme_in_mind_until_the_last_line_that_rhymes():
    first, second = 1 + FORM.group("j"), 1 + FORM.group("b")
    assert first != second
    kept = FORM.kept(TEXT.replace("sta", "stj"))
    assert kept.tolist() == [0] * 4 + [first] * 4 + [second] * 8 + [0], "line 2 rhymes, line 3 does not"
    assert FORM.kept(TEXT.replace("sta", "stu")).tolist() == [0] * 8 + [second] * 8 + [0], "u is in no group"
    assert not FORM.kept("no form at all").any()
