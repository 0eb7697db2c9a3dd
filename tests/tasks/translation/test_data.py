from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import pytest

from seqpipe.data.sources import read_rows
from seqpipe.errors import DataError
from seqpipe.tasks.translation.config import TranslationData
from seqpipe.tasks.translation.data import read_pair_splits, read_pairs

ENGLISH = [f"a sentence about number {number}" for number in range(20)]
FRENCH = [f"une phrase sur le nombre {number}" for number in range(20)]


def parallel(directory, english=ENGLISH, french=FRENCH, name="train"):
    (directory / f"{name}.en").write_text("".join(f"{line}\n" for line in english))
    with gzip.open(directory / f"{name}.fr.gz", "wt") as file:
        file.write("".join(f"{line}\n" for line in french))
    return f"files:{directory}/{name}.en,{directory}/{name}.fr.gz"


def warnings(findings):
    return [finding.text for finding in findings if finding.severity == "warning"]


def test_translation_reads_two_parallel_files(tmp_path):
    pairs, findings = read_pairs(parallel(tmp_path), TranslationData(train="builtin:phrases"))
    assert (pairs.sources, pairs.targets) == (ENGLISH, FRENCH)
    assert pairs.places[16] == f"{tmp_path}/train.en:17"
    assert [finding.severity for finding in findings] == ["info"]
    assert findings[0].text.startswith("test: 20 pairs of 26 and 26 characters (median), the longest 27 in ")


def test_translation_reads_columns_and_json_lines(tmp_path):
    (tmp_path / "pairs.tsv").write_text("I see.\t\u6211\u660e\u767d\u3002\nYou see.\t\u4f60\u660e\u767d\u3002\n")
    data = TranslationData(train="builtin:phrases", source_column=1, target_column=2)
    pairs, _ = read_pairs(f"files:{tmp_path}/pairs.tsv", data)
    assert pairs.targets == ["\u6211\u660e\u767d\u3002", "\u4f60\u660e\u767d\u3002"]
    (tmp_path / "pairs.jsonl").write_text('{"en": "I see.", "fr": "Je vois."}\n')
    data = TranslationData(train="builtin:phrases", source_column="fr", target_column="en")
    pairs, _ = read_pairs(f"files:{tmp_path}/pairs.jsonl", data)
    assert (pairs.sources, pairs.targets) == (["Je vois."], ["I see."])


def test_translation_unequal_line_counts_are_an_error(tmp_path):
    source = parallel(tmp_path, french=FRENCH[:-1])
    with pytest.raises(DataError, match=r"train\.en has 20 lines and .*train\.fr\.gz has 19\. Line n of one must be"):
        read_pairs(source, TranslationData(train="builtin:phrases"))


def test_translation_passes_over_lines_that_are_blank_on_both_sides(tmp_path):
    source = parallel(tmp_path, ["a b", " ", "c d", "", "", ""], ["e f", "", "g h", ""])
    pairs, findings = read_pairs(source, TranslationData(train="builtin:phrases"))
    assert (pairs.sources, pairs.targets) == (["a b", "c d"], ["e f", "g h"])
    assert pairs.places[1] == f"{tmp_path}/train.en:3"
    assert warnings(findings) == []


def test_translation_takes_a_comma_in_the_name_of_one_file(tmp_path):
    (tmp_path / "one, two.tsv").write_text("source\ttarget\nI see.\tJe vois.\n")
    pairs, _ = read_pairs(f"files:{tmp_path}/one, two.tsv", TranslationData(train="builtin:phrases"))
    assert pairs.targets == ["Je vois."]


@pytest.mark.parametrize("header", [True, False])
def test_translation_knows_tab_separated_pairs(tmp_path, header):
    rows = [*(["source\ttarget\tby"] if header else []), "I see.\tJe vois.\tx", "You see.\tTu vois.\ty"]
    (tmp_path / "fra.txt").write_text("\n".join(rows))
    columns = {} if header else {"source_column": 1, "target_column": 2}
    pairs, _ = read_pairs(f"files:{tmp_path}/fra.txt", TranslationData(train="builtin:phrases", **columns))
    assert pairs.targets == ["Je vois.", "Tu vois."]
    if not header:
        with pytest.raises(DataError, match=r"fra\.txt: plain lines hold one column, .* Then name data\.format = tsv"):
            read_pairs(f"files:{tmp_path}/fra.txt", TranslationData(train="builtin:phrases"))


def test_translation_reads_keys_inside_keys(tmp_path):
    (tmp_path / "hf.jsonl").write_text('{"translation": {"en": "I see.", "fr": "Je vois."}}\n')
    data = TranslationData(train="builtin:phrases", source_column="translation.en", target_column="translation.fr")
    pairs, _ = read_pairs(f"files:{tmp_path}/hf.jsonl", data)
    assert (pairs.sources, pairs.targets) == (["I see."], ["Je vois."])
    with pytest.raises(
        DataError, match=r'"en" is not a column\. Allowed: translation, translation\.en, translation\.fr'
    ):
        read_pairs(f"files:{tmp_path}/hf.jsonl", data.model_copy(update={"source_column": "en"}))


def test_translation_names_escapes_of_other_tools(tmp_path):
    marks = ["it &apos;s here", "well @-@ known", "low@@ er", "&#91; x", "\u2581the"]
    _, findings = read_pairs(parallel(tmp_path, ENGLISH[:5], marks), TranslationData(train="builtin:phrases"))
    assert any(
        finding.text.startswith("test: 5 of 5 targets have escapes of other tools, such as &apos; or @-@, such as ")
        for finding in findings
    )


def test_translation_several_sources_and_a_part(tmp_path):
    sources = [parallel(tmp_path), parallel(tmp_path, ["new a"], ["neuf b"], "more")]
    splits = read_pair_splits(TranslationData(train=sources, max_rows=7))
    assert (len(splits.train), len(splits.dev)) == (6, 1)
    assert "train: 7 of 21 pairs are used (data.max_rows)." in warnings(splits.findings)


def test_translation_more_than_two_files_are_an_error():
    with pytest.raises(DataError, match=r"names 3 files\. Parallel texts are two: files:A,B with a line a pair"):
        read_pairs("files:a,b,c", TranslationData(train="builtin:phrases"))


def test_translation_empty_sides_are_named_by_line(tmp_path):
    source = parallel(tmp_path, [*ENGLISH, " ", "x", ""], [*FRENCH, "y", "", ""])
    with pytest.raises(DataError, match=r"test: 2 of 22 pairs .* cannot be used, data\.max_bad_fraction = 0") as error:
        read_pairs(source, TranslationData(train="builtin:phrases"))
    for said in ("train.en:21: the source is empty", "train.fr.gz:22: the target is empty"):
        assert said in str(error.value)
    pairs, findings = read_pairs(source, TranslationData(train="builtin:phrases", max_bad_fraction=0.2))
    assert len(pairs) == 20
    assert "and are skipped" in warnings(findings)[0]


@pytest.mark.parametrize(
    ("english", "french", "expected"),
    [
        ("left as it was", "left as it was", r"1 pair with the source copied into the target: .*train\.en:21\."),
        ("a short one", "une phrase " * 30, r"1 pair with sides of outlying lengths, .* \(11 and 329 characters\)\."),
        (
            "written otherwise",
            "\u043d\u0435 \u043f\u043e-\u0444\u0440\u0430\u043d\u0446\u0443\u0437\u0441\u043a\u0438",
            r"1 target in another script than LATIN: .*train\.en:21 \(CYRILLIC\)\.",
        ),
        (ENGLISH[3], FRENCH[3], r"1 pair repeats an earlier one, such as: .*train\.en:21 repeats .*train\.en:4\."),
        (ENGLISH[3], "tout autre chose", r"1 source with several targets, such as: .*train\.en:4 and .*train\.en:21\."),
    ],
)
def test_translation_odd_pairs_are_named_by_line(tmp_path, english, french, expected):
    source = parallel(tmp_path, [*ENGLISH, english], [*FRENCH, french])
    _, findings = read_pairs(source, TranslationData(train="builtin:phrases"))
    assert [bool(re.search(expected, text)) for text in warnings(findings)] == [True], warnings(findings)


def test_translation_sources_of_one_split_in_another(tmp_path):
    train, dev = parallel(tmp_path), parallel(tmp_path, [ENGLISH[5], "new"], ["autre", "neuf"], "dev")
    splits = read_pair_splits(TranslationData(train=train, dev=dev))
    (warning,) = warnings(splits.findings)
    assert warning.startswith("dev: 1 of 2 sources also stand in train, 1 of them with another target, such as: ")
    assert warning.endswith("dev.en:1 is " + f"{tmp_path}/train.en:6.")


def test_translation_dev_is_every_tenth_pair_without_a_source_of_its_own(tmp_path):
    splits = read_pair_splits(TranslationData(train=parallel(tmp_path)))
    assert splits.dev.sources == [ENGLISH[0], ENGLISH[10]]
    assert len(splits.train) == 18
    said = "\n".join(one.text for one in splits.findings)
    assert "train: 18 pairs" in said
    assert "dev: 2 pairs" in said
    with pytest.raises(DataError, match=r'"test" is not a split of this pipeline\. Allowed: train, dev\.'):
        splits.get("test")


def test_translation_all_errors_at_once(tmp_path):
    with pytest.raises(DataError) as error:
        read_pair_splits(TranslationData(train=parallel(tmp_path, french=FRENCH[1:]), dev="files:none.tsv"))
    assert "train: " in str(error.value)
    assert "dev: none.tsv does not exist" in str(error.value)


def test_phrases_are_the_same_for_a_seed_and_share_nothing_between_splits():
    def pairs(options):
        rows = read_rows(f"builtin:phrases{options}", columns={"source": "source", "target": "target"}, role="train")
        return [tuple(row.values.values()) for row in rows]

    train, dev = pairs("?rows=500"), pairs("?split=dev&rows=200&seed=5")
    assert train == pairs("?rows=500")
    assert train != pairs("?rows=500&seed=2")
    assert not {source for source, _ in train} & {source for source, _ in dev}
    assert len({source for source, _ in train}) == 500
    assert train[1] == (
        "The big man draws the big houses on Monday.",
        "Lundi, le grand homme dessine les grandes maisons.",
    )


def test_phrases_reorder_agree_and_elide():
    rows = read_rows("builtin:phrases?rows=3000", columns={"source": "source", "target": "target"}, role="train")
    known = [(row.values["source"], row.values["target"]) for row in rows]

    def some(english, french):
        return any(english in source and french in target for source, target in known)

    assert some("black house", "maison noire")  # behind its noun, feminine
    assert some("small house", "petite maison")  # before it
    assert some("green cars", "voitures vertes")
    assert some("The man", "L'homme")
    assert some("not love", "n'aime pas")
    assert some("some big", "de grand")
    assert some("every day.", "Chaque jour, ")


@pytest.mark.slow
@pytest.mark.skipif("SEQPIPE_TEST_DATA" not in os.environ, reason="names no folder with public data sets")
def test_translation_finds_what_is_wrong_with_multi30k_and_tatoeba():
    folder = Path(os.environ["SEQPIPE_TEST_DATA"])
    captions = [
        ",".join(f"{folder}/multi30k/{split}.{language}.gz" for language in ("en", "fr")) for split in ("train", "val")
    ]
    splits = read_pair_splits(TranslationData(train=f"files:{captions[0]}", dev=f"files:{captions[1]}"))
    assert (len(splits.train), len(splits.dev)) == (29_000, 1_014)
    found = " ".join(warnings(splits.findings))
    assert "train: 5 pairs repeat an earlier one" in found
    assert "dev: 1 of 1,014 sources also stand in train" in found
    data = TranslationData(train="builtin:phrases", source_column=1, target_column=2)
    pairs, findings = read_pairs(f"files:{folder}/tatoeba_en_zh/train.tsv.gz", data)
    assert len(pairs) == 25_055
    assert "17 targets in another script than CJK" in " ".join(warnings(findings))
    assert any("zero-width spaces" in finding.text for finding in findings)
