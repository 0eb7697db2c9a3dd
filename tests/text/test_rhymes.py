"""Groups of rhymes: learned from what closes lines, or read."""

from __future__ import annotations

import pytest
from poems import FORM, RHYMES, poems

from seqpipe.errors import DataError
from seqpipe.text.rhymes import learn_groups, read_groups, rhyme


def test_rhymes_are_learned_from_what_closes_lines():
    closings = [FORM.closings(FORM.split(text)) for text in poems(400, seed=3)]
    assert {frozenset(group) for group in learn_groups(closings)} == {frozenset(group) for group in RHYMES}


def test_rhymes_leave_out_characters_that_rhyme_by_chance():
    closings = [list(pair) for group in RHYMES for pair in zip(group, group[1:] + group[0], strict=True)] * 4
    wrong = [["a", "z"], ["z", "j"], ["z", "A"], ["z", "b"]]
    assert not any("z" in group for group in learn_groups([*closings, *wrong]))
    assert learn_groups(closings[:2]) == [], "groups of two are no groups"


def test_rhymes_judge_pairs_by_groups():
    assert rhyme(["a", "b"], RHYMES)
    assert rhyme(["a", "j"], RHYMES) is False
    assert rhyme(["a", "a"], RHYMES) is False, "nothing rhymes with itself"
    assert rhyme(["a", "!"], RHYMES) is None


def test_rhymes_are_read_from_a_file(tmp_path):
    file = tmp_path / "rhymes.txt"
    file.write_text("# a remark\n東 同 銅 東\n\nx\n支枝移 # another\n", encoding="utf-8")
    assert read_groups(file) == ["東同銅", "支枝移"]


@pytest.mark.parametrize(
    ("content", "rule"),
    [(b"a\nb\n", "holds no group: a line of two or more characters"), (b"\xff\xff", "cannot be read as a UTF-8 file")],
)
def test_rhymes_of_a_bad_file_are_named(tmp_path, content, rule):
    (tmp_path / "rhymes.txt").write_bytes(content)
    with pytest.raises(DataError, match=rule):
        read_groups(tmp_path / "rhymes.txt")
    with pytest.raises(DataError, match=r"no\.txt is no file\. Allowed: learned, FILE\."):
        read_groups(tmp_path / "no.txt")
