"""Values given as key=value: where they go, what they are, and what is said of those that go nowhere."""

from __future__ import annotations

import pytest
import yaml

from seqpipe.config.overrides import Loader, Written, apply_overrides, flatten


def applied(tree, *overrides):
    """(tree, problems)"""
    problems = apply_overrides(tree, {}, {}, list(overrides))
    return tree, problems


def test_overrides_are_put_into_the_tree_and_as_written_beside_it():
    tree, written = {"a": {"b": 1, "c": 2}}, {"a": {"b": "1", "c": "2"}}
    assert apply_overrides(tree, written, {}, ["a.b=0x10", "d.e=yes", "a.f= x=y "]) == []
    assert tree == {"a": {"b": 16, "c": 2, "f": "x=y"}, "d": {"e": True}}
    assert written == {"a": {"b": "0x10", "c": "2", "f": "x=y"}, "d": {"e": "yes"}}


def test_overrides_replace_the_origin_of_all_below_them():
    origin = {"a": "f:1", "a.b": "f:2", "a.b.c": "f:3", "a.bc": "f:4", "d": "f:5"}
    assert apply_overrides({"a": {"b": {"c": 1}, "bc": 2}, "d": 3}, {}, origin, ["a.b={x: {y: 1}, z: 2}", "d=4"]) == []
    said = "--set a.b={x: {y: 1}, z: 2}"
    assert origin == {
        "a": "f:1", "a.b": said, "a.b.x.y": said, "a.b.z": said, "a.bc": "f:4", "d": "--set d=4"
    }  # fmt: skip


def test_overrides_replace_the_origin_of_lists_and_values_on_the_way():
    tree, origin = (
        {"a": [{"b": 1}, {"b": 2}], "c": 3},
        {"a": "f:1", "a.0": "f:1", "a.0.b": "f:1", "a.1.b": "f:2", "c": "f:3"},
    )
    assert apply_overrides(tree, {}, origin, ["a.1.b=4", "c.d=5", "e.f=6"]) == []
    assert origin == {
        "a": "--set a.1.b=4", "a.0": "f:1", "a.0.b": "f:1", "a.1.b": "--set a.1.b=4",
        "c": "--set c.d=5", "c.d": "--set c.d=5", "e.f": "--set e.f=6",
    }  # fmt: skip


def test_overrides_that_are_wrong_are_all_told_and_the_others_taken():
    overrides = ["a", "=1", "b.c=[", "d=2024-13-45", "e.0.f=1", "g={[1]: 2}", "h=3"]
    origin = {"e": "f:1"}
    tree = {"e": [5]}
    assert apply_overrides(tree, {}, origin, overrides) == [
        "--set a: write it as key=value, such as --set training.epochs=3.",
        "--set =1: write it as key=value, such as --set training.epochs=3.",
        "--set b.c=[: the value is not YAML: expected the node content, but found '<stream end>'.",
        "--set d=2024-13-45: the value is not YAML: month must be in 1..12.",
        "--set e.0.f=1: e.0.f leads nowhere in this file.",
        "--set g={[1]: 2}: the value is not YAML: found unhashable key.",
    ]
    assert tree == {"e": [5], "h": 3}
    assert origin == {"e": "f:1", "h": "--set h=3"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("010", 10),
        ("-010", -10),
        ("0x10", 16),
        ("1_0", 10),
        ("0.5", 0.5),
        ("no", False),
        ("", None),
        ("~", None),
        ("\t", "\t"),
        ("#1", "#1"),
        ("a b", "a b"),
        ("a #b", "a #b"),
        ("a: b", "a: b"),
        ("- a", "- a"),
        ("*a", "*a"),
        ("&a b", "&a b"),
        ("'3'", "3"),
        ('"a\\tb" # c', "a\tb"),
        ("[1, no, 'x #1']", [1, False, "x #1"]),
        ("{0: a, yes: 1, ~: 2, 1.0: {2: b}}", {"0": "a", "yes": 1, "~": 2, "1.0": {"2": "b"}}),
    ],
)
def test_overrides_values_are_yaml_where_that_is_all_they_are(text, value):
    assert applied({}, f"a={text}") == ({"a": value}, [])


def test_overrides_written_values_are_texts():
    written = {}
    apply_overrides({}, written, {}, ["a=[1, no]", "b=~", "c='3'", "d=x #y"])
    assert written == {"a": ["1", "no"], "b": "~", "c": "3", "d": "x #y"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", 9),
        ("a.0", [9, {"b": 6}]),
        ("a.1", [5, 9]),
        ("a.1.b", [5, {"b": 9}]),
        ("a.1.c.d", [5, {"b": 6, "c": {"d": 9}}]),
        ("a.1.b.0", [5, {"b": {"0": 9}}]),
        ("a.2", None),
        ("a.-1", None),
        ("a.x", None),
        ("a.2.b", None),
        ("a.x.b", None),
        ("a.0.0", None),
        ("a.0.b.c", None),
        ("a.0.0.c", None),
    ],
)
def test_overrides_paths_lead_into_lists_by_number(path, expected):
    tree, problems = applied({"a": [5, {"b": 6}]}, f"{path}=9")
    assert tree == {"a": [5, {"b": 6}] if expected is None else expected}
    assert problems == ([f"--set {path}=9: {path} leads nowhere in this file."] if expected is None else [])


def test_overrides_make_the_sections_they_need():
    assert applied({"a": None, "b": 3}, "a.x=1", "b.y.z=2", "c.0=3") == (
        {"a": {"x": 1}, "b": {"y": {"z": 2}}, "c": {"0": 3}},
        [],
    )


def test_overrides_yaml_keys_are_as_written_through_merges():
    text = "base: &base {1: a, on: b}\nown:\n  <<: *base\n  0x1: c\n"
    assert yaml.load(text, Loader=Loader) == {
        "base": {"1": "a", "on": "b"},
        "own": {"1": "a", "on": "b", "0x1": "c"},
    }
    assert yaml.load(text, Loader=Written)["own"] == {"1": "a", "on": "b", "0x1": "c"}
    itself = yaml.load("x: &a {b: *a}", Loader=Loader)["x"]
    assert itself["b"] is itself


def test_overrides_flat_trees_have_a_key_for_each_leaf():
    assert flatten({"a": {"b": {"c": 1}, "d": [{"e": 2}]}, "f": {}, "g": None, 0: {1: "x"}}) == {
        "a.b.c": 1,
        "a.d": [{"e": 2}],
        "f": {},
        "g": None,
        "0.1": "x",
    }
    assert flatten({"a": 1}, "p.q") == {"p.q.a": 1}
    assert [flatten(3, "p"), flatten({}, "p"), flatten({})] == [{"p": 3}, {"p": {}}, {"": {}}]
