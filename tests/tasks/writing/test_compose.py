"""Composing: texts have the form, whatever is wished for, and a network is told what is coming."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from poems import CHARACTERS, FORM, MARKS, RHYMES, poems
from pydantic import ValidationError

from seqpipe.config.networks import Writer
from seqpipe.errors import ProofError
from seqpipe.models.character_model import TOLD, Reader, Told, character_model, untold
from seqpipe.tasks import make_task, schemas
from seqpipe.tasks.writing import compose_proof, form_report
from seqpipe.tasks.writing.config import Sampling
from seqpipe.tasks.writing.signatures import WritingModel

SMALL = {"embedding": {"units": 8}, "recurrent": {"units": 16}, "tied": True}
WISHES = {"line_length": 4, "temperature": 1.0, "seed": [1], "rhyme": True, "no_repeats": False}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    told = Told(FORM.places, FORM.rhymes, 4, len(FORM.groups))
    built = character_model(Writer.model_validate(SMALL), vocabulary_size=CHARACTERS.size, told=told)
    built.set_weights([2 * weight for weight in built.get_weights()])
    return built


@pytest.fixture(scope="module")
def compose(model):
    writer = WritingModel(model, CHARACTERS, first=0, ends=True, sampling=Sampling(length=40), version=1, form=FORM)

    def compose(acrostics, **changes):
        length, temperature, seed, rhyme, no_repeats = {**WISHES, **changes}.values()
        answer = writer.functions["compose"](
            tf.constant(acrostics, tf.string),
            tf.constant(length),
            tf.constant(temperature, tf.float32),
            tf.constant(seed, tf.int64),
            tf.constant(rhyme),
            tf.constant(no_repeats),
        )
        return [text.decode() for text in answer["text"].numpy()]

    return compose


@pytest.mark.parametrize("length", [3, 4])
def test_compose_has_the_form_and_rhymes(compose, length):
    texts = compose([""] * 60, line_length=length, seed=range(60))
    found = [FORM.split(text) for text in texts]
    assert all(poem and len(poem[0]) == length for poem in found)
    for poem in found:
        assert any(poem[1][-1] in group and poem[3][-1] in group for group in RHYMES)
        assert poem[1][-1] != poem[3][-1]
    assert {next(group for group in RHYMES if poem[1][-1] in group) for poem in found} == set(RHYMES)
    free = [FORM.split(text) for text in compose([""] * 60, line_length=length, seed=range(60), rhyme=False)]
    assert len({poem[1][-1] for poem in free}) > len(set("".join(RHYMES))) / 2


def test_compose_without_repeats_keeps_acrostic_and_rhymes_in_store(compose):
    # Three of nine rhymes open lines, and 28 of 43 characters stand in a text: without a store this goes wrong.
    texts = compose(["", "abcw", "stuv"] * 20, seed=range(60), no_repeats=True)
    for text, acrostic in zip(texts, ["", "abcw", "stuv"] * 20, strict=True):
        letters = [character for character in text if character not in MARKS]
        assert len(set(letters)) == len(letters)
        poem = FORM.split(text)
        assert not acrostic or "".join(line[0] for line in poem) == acrostic
        assert any(poem[1][-1] in group and poem[3][-1] in group for group in RHYMES)


def test_compose_is_the_same_alone_and_beside_others(compose):
    acrostics, seeds = ["", "stuv", "", "abca"], [5, 6, 5, 2**40]
    together = compose(acrostics, seed=seeds)
    for row, (acrostic, seed) in enumerate(zip(acrostics, seeds, strict=True)):
        assert compose([acrostic], seed=[seed]) == [together[row]]
    assert together[0] == together[2]


def test_compose_repeats_in_numpy(compose, model):
    composer = compose_proof.NumpyComposer(model, CHARACTERS, FORM, first=0)
    rows = compose_proof.probes(FORM)
    wanted = [row["text"].item().decode() for row in composer.answers(rows)]
    acrostics = [row["acrostic"].item() for row in rows]
    assert compose(acrostics, seed=[int(row["seed"]) for row in rows], no_repeats=True) == wanted


def test_compose_probes_whose_text_rounding_decides_are_left_out():
    rows = [{"seed": np.array(seed)} for seed in range(4)]
    decided = {"text": np.array(b"a", object)}
    kept = compose_proof.settled(rows, [decided, {}, decided, decided], "write")
    assert [int(row["seed"]) for row in kept] == [0, 2, 3]
    with pytest.raises(ProofError, match="write: rounding decides what is drawn for all but 0 of 4 probes"):
        compose_proof.settled(rows, [{}] * 4, "write")


def test_compose_greedy_is_the_same_whatever_the_seed(compose):
    assert len(set(compose([""] * 3, seed=[1, 2, 3], temperature=0.0))) == 1


@pytest.mark.parametrize(
    ("acrostic", "change", "rule"),
    [
        ("stu", {}, "acrostic must have no character, or 4: one for each line, not"),
        ("stuvw", {}, "acrostic must have no character, or 4: one for each line, not"),
        ("stu春", {}, "acrostic must be of characters that the model knows, not"),
        (b"st\xff\xff", {}, "acrostic must be of characters that the model knows, not"),
        ("st,u", {}, "acrostic must be of characters that stand in lines of the training texts, no marks, not"),
        ("stus", {"no_repeats": True}, "acrostic must not have a character twice with no_repeats, not"),
        ("", {"line_length": 5}, "line_length must be 3 or 4, not"),
        ("", {"line_length": -1}, "line_length must be 3 or 4, not"),
        ("", {"line_length": 100_000}, "line_length must be 3 or 4, not"),
        ("", {"temperature": -1.0}, "temperature must be 0 (the likeliest) to 10, not"),
        ("", {"temperature": float("nan")}, "temperature must be 0 (the likeliest) to 10, not"),
        ("", {"seed": [1, 2]}, "seed must be as many numbers as there are acrostics, not"),
    ],
)
def test_compose_refuses_wishes_by_their_rule(compose, acrostic, change, rule):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        compose([acrostic], **change)
    assert rule in str(caught.value)


@pytest.mark.parametrize(
    ("acrostic", "rule"),
    [("stu春", "that the model knows, not"), ("st,u", "no marks, not"), ("stu", "one for each line, not")],
)
def test_compose_names_a_fault_of_several_rows_once(compose, acrostic, rule):
    said = []
    for rows in (1, 2):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            compose([acrostic] * rows, seed=list(range(rows)))
        said.append(caught.value.message.partition(rule)[2].split("\n")[0])
    assert said[0] == said[1] != ""


def test_compose_accepts_an_acrostic_with_repeats_where_they_are_allowed(compose):
    assert [line[0] for line in FORM.split(compose(["ssss"])[0])] == list("ssss")


def test_told_model_steps_agree_with_reading(model):
    reader = Reader(model)
    text = poems(1, seed=8)[0]
    ids = np.concatenate([[0], CHARACTERS.encode(text)])[None].astype(np.int32)
    codes = FORM.told(text, CHARACTERS)[None]
    told = [tf.constant(codes[..., part]) for part in range(3)]
    hidden, _ = reader.read(tf.constant(ids), tf.constant([ids.shape[1]]), reader.zero_state(1), told)
    bare, _ = reader.read(tf.constant(ids), tf.constant([ids.shape[1]]), reader.zero_state(1))
    state = reader.zero_state(1)
    for place in range(ids.shape[1]):
        logits, state = reader.step(tf.constant(ids[:, place]), state, [part[:, place] for part in told])
        np.testing.assert_allclose(logits, reader.scores(hidden[:, place]), atol=1e-5)
    assert np.abs(hidden - bare).max() > 0.01


def test_training_keeps_the_rhyme_in_mind_and_dev_does_not_count_it(task, model):
    train, dev = (task.examples(split).batch(np.arange(4)) for split in ("train", "dev"))
    assert train["kept"].shape == train["ids"].shape
    assert train["kept"].any()
    assert not dev["kept"].any()
    for arrays, counts in ((train, True), (dev, False)):
        batch = {name: tf.constant(array) for name, array in arrays.items()}
        outputs = task.forward(model, batch, False)
        assert outputs.kept.shape == (*outputs.next.shape[:2], len(task.form.groups))
        right = 100.0 * tf.one_hot(batch["kept"][:, :-1] - 1, len(task.form.groups))
        losses = task.loss(batch, outputs), task.loss(batch, outputs._replace(kept=right))
        assert bool(tf.reduce_all(losses[0] > losses[1])) == counts


def test_trained_model_answers_alike_without_what_only_training_needs(task):
    whole = task.build()
    whole.set_weights([2 * weight for weight in whole.get_weights()])
    found = task.trained(whole)
    given = [weight.path for weight in whole.weights]
    assert any("shared_0" in path for path in given)
    assert any("kept_rhyme" in path for path in given)
    assert not any("shared" in weight.path or "kept_rhyme" in weight.path for weight in found.weights)
    batch = {name: tf.constant(array) for name, array in task.examples("train").batch(np.arange(8)).items()}
    before, after = (task.forward(model, batch, False) for model in (whole, found))
    np.testing.assert_allclose(before.next, after.next, atol=1e-5)
    assert after.kept is None


def test_model_without_a_form_is_told_nothing():
    plain = character_model(Writer.model_validate(SMALL), vocabulary_size=CHARACTERS.size)
    assert not {spec.name for spec in plain.inputs} & set(TOLD)
    assert untold(plain, tf.zeros([1, 2], tf.int32)) == []
    assert [weight.path for weight in plain.weights if "told" in weight.path] == []


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    place = tmp_path_factory.mktemp("poems")
    (place / "train.txt").write_text("\n".join([*poems(300, seed=1), "a line of another form, " * 3]))
    (place / "dev.txt").write_text("\n".join(poems(60, seed=2)))
    pipeline = {
        "task": "writing",
        "name": "tiny",
        "data": {"train": f"files:{place}/train.txt", "dev": f"files:{place}/dev.txt", "layout": "lines"},
        "model": SMALL,
        "form": {"lengths": [3, 4], "marks": MARKS, "rhyme_lines": [2, 4], "told_units": 4},
        "evaluation": {"poems": 20},
    }
    made = make_task(schemas()["writing"].model_validate(pipeline))
    made.read()
    made.fit_features(place / "features")
    return made


def test_training_tells_parts_of_some_texts_and_nothing_of_dev(task):
    examples = task.examples("train")
    rows = np.arange(len(examples))
    batch, later = task.training_batch(examples, rows, 0), task.training_batch(examples, rows, 1)
    np.testing.assert_array_equal(batch["told"], task.training_batch(examples, rows, 0)["told"])
    assert (batch["told"] != later["told"]).any()
    parts = batch["told"][:300, 0] > 0  # of the first character, where all three may be told
    assert 0.4 < (~parts.any(axis=1)).mean() < 0.65, "half is hidden, and some more where each part is"
    assert 0.25 < parts[:, 0].mean() < 0.5
    assert 0.1 < parts.all(axis=1).mean() < 0.35
    assert not batch["told"][300].any(), "of another form"
    assert not task.examples("dev").batch(np.arange(60))["told"].any()
    some = task.training_batch(examples, rows[[7, 3]], 0)
    np.testing.assert_array_equal(some["told"], batch["told"][[7, 3], : some["told"].shape[1]])


def test_model_of_a_form_is_told_by_vectors_of_the_wanted_size(task):
    shapes = {weight.path.split("/")[-2]: tuple(weight.shape) for weight in task.build().weights}
    assert shapes["told_place"] == (task.form.places, 4)
    assert shapes["told_rhyme"] == (task.form.rhymes, 4)
    assert shapes["told_opening"] == (8, 4)


def test_form_report_counts_by_a_rule_of_its_own(task):
    report = form_report.evaluate(task, task.form, task.build(), ["abc", poems(1, seed=4)[0]])
    by_name = {row["name"]: row for row in report["rows"]}
    assert by_name["held-back texts"]["form"] == 1.0
    assert by_name["freely"]["form"] == 0.5
    assert by_name["composed, 4 a line"]["form"] == 1.0
    assert by_name["composed, 4 a line"]["rhyme"] == 1.0
    assert by_name["and an acrostic"]["no_repeats"] == 1.0
    assert by_name["told, no mask, 4 a line"]["form"] < 0.5, "nothing was learned"
    assert 0 < report["left_by_rhyme"]["told"] < 1
    said = form_report.describe(report)
    assert "| composed, 3 a line | 20 | 100.0 % | 100.0 % |" in said
    assert "Rhyme by groups learned from dev alone" in said


@pytest.mark.parametrize(
    ("form", "rule"),
    [
        ({"marks": "，。"}, 'marks = "，。" are 2. Allowed: one for each of 4 lines.'),
        ({"lengths": [1]}, "lengths = [1]. Allowed: different numbers of characters from 2 to 64."),
        ({"rhyme_lines": [2]}, "rhyme_lines = [2]. Allowed: two or more different lines, or none."),
        ({"rhyme_lines": [2, 5]}, "rhyme_lines = [2, 5]. Allowed: lines from 1 to 4."),
    ],
)
def test_form_section_refuses_what_contradicts_itself(form, rule):
    with pytest.raises(ValidationError) as caught:
        schemas()["writing"].model_validate(
            {"task": "writing", "name": "x", "data": {"train": "builtin:verses", "layout": "lines"}, "form": form}
        )
    assert rule in str(caught.value)


def test_form_has_the_marks_of_the_texts_as_they_are_read():
    values = {"task": "writing", "name": "x", "data": {"train": "builtin:verses", "layout": "lines"}, "form": {}}
    with pytest.raises(
        ValidationError, match=r'form\.marks = "，。，。" are ",。,。" under features\.normalise = NFKC'
    ):
        schemas()["writing"].model_validate({**values, "features": {"normalise": "NFKC"}})
    schemas()["writing"].model_validate({**values, "form": {"marks": ",。,。"}, "features": {"normalise": "NFKC"}})


def test_form_needs_a_text_on_each_line():
    with pytest.raises(ValidationError, match=r"form needs data\.layout = lines"):
        schemas()["writing"].model_validate(
            {"task": "writing", "name": "x", "data": {"train": "builtin:verses"}, "form": {}}
        )
