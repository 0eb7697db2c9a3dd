"""Radicals of Han characters."""

from __future__ import annotations

from seqpipe.text.radicals import radicals


def test_radicals_are_those_of_the_dictionary():
    water, tree, bird = 85, 75, 196
    assert radicals("水江清柳樹鳥鶴").tolist() == [water, water, water, tree, tree, bird, bird]
    assert radicals("一丁龠").tolist() == [1, 1, 214], "the first and the last"


def test_radicals_of_what_has_none():
    assert radicals("a，。éア한\u3400\U00020000\u4dff\u9fa6").tolist() == [0] * 10
    assert radicals("").shape == (0,)
