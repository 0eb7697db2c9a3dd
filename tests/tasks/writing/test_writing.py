"""Writing: what signatures promise, and training of streams that goes on where it stopped."""

from __future__ import annotations

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from testing import is_picture

from pipelines import VERSES
from seqpipe.config.networks import Writer
from seqpipe.errors import DataError
from seqpipe.models.character_model import Reader, character_model
from seqpipe.models.sampling import Settings
from seqpipe.tasks import make_task, schemas
from seqpipe.tasks.writing import pictures
from seqpipe.tasks.writing.config import Sampling, WritingData
from seqpipe.tasks.writing.data import read_splits
from seqpipe.tasks.writing.proof import NumpyWriter
from seqpipe.tasks.writing.signatures import WritingModel
from seqpipe.tasks.writing.surprisal import Surprisal
from seqpipe.text.bytes import Bytes
from seqpipe.text.characters import Characters
from seqpipe.text.units import Pieces
from seqpipe.training.devices import precision
from seqpipe.training.loop import Trainer

CHARACTERS = Characters(list("abcdefg \nhé春"))
DEFAULTS = {
    "length": 30,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    config = Writer.model_validate({"embedding": {"units": 8}, "recurrent": {"units": 16, "layers": 2}, "tied": True})
    built = character_model(config, vocabulary_size=CHARACTERS.size)
    built.set_weights([3 * weight for weight in built.get_weights()])
    return built


@pytest.fixture(scope="module")
def writer(model):
    return WritingModel(model, CHARACTERS, first=0, ends=True, sampling=Sampling(length=40), version=1)


def write(writer, texts, seeds, stop=(), **changes):
    values = {**DEFAULTS, **changes}
    answer = writer.functions["write"](
        tf.constant(texts, tf.string),
        *(tf.constant(value) for value in values.values()),
        tf.constant(list(stop), tf.string),
        tf.constant(seeds, tf.int64),
    )
    return {name: value.numpy().tolist() for name, value in answer.items()}


def test_writing_is_the_same_alone_and_beside_others(writer):
    texts, seeds = ["abc", "", "a longer beginning", "é春"], [5, 6, 5, 2**40]
    together = write(writer, texts, seeds)
    for row, (text, seed) in enumerate(zip(texts, seeds, strict=True)):
        alone = write(writer, [text], [seed])
        assert alone["text"] == [together["text"][row]]
        assert alone["nats"][0] == pytest.approx(together["nats"][row], abs=1e-3)
    assert len(set(write(writer, ["abc"] * 4, [1, 2, 3, 1])["text"])) == 3


def test_writing_of_no_texts_is_none(writer):
    assert write(writer, [], [])["text"] == []
    assert writer.functions["serving_default"](tf.zeros([0], tf.string))["text"].shape == [0]


def test_writing_repeats_in_numpy(writer, model):
    of_numpy = NumpyWriter(model, CHARACTERS, first=0, ends=True)
    settings = {"temperature": 0.9, "top_k": 9, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.2}
    wanted = [of_numpy.write(text, 30, Settings(**settings), seed)[0] for text, seed in ((b"abc", 3), (b"\xff", 4))]
    assert [text.decode() for text in write(writer, [b"abc", b"\xff"], [3, 4], **settings)["text"]] == wanted


def test_writing_in_steps_is_the_same_text(writer):
    whole = write(writer, ["abc", ""], [5, 9])
    state = writer.functions["start"](tf.constant(["abc", ""]))
    settings = [tf.constant(DEFAULTS[name]) for name in Settings._fields]
    texts = ["", ""]
    for number in range(30):
        seeds = tf.constant([5, 9], tf.int64)
        state = writer.functions["sample"](
            state["tokens"], state["state"], state["seen"], tf.constant(number), seeds, *settings
        )
        texts = [text + part.decode() for text, part in zip(texts, state["text"].numpy(), strict=True)]
    for text, of_whole in zip(texts, whole["text"], strict=True):
        assert text.startswith(of_whole.decode())


def test_writing_ends_before_a_stop_string_and_says_how_it_finished(writer):
    plain = write(writer, [""] * 8, range(8))
    assert set(plain["finished"]) <= {b"length", b"end"}
    stopped = write(writer, [""] * 8, range(8), stop=["b", "\n春c"])
    for text, before, how in zip(stopped["text"], plain["text"], stopped["finished"], strict=True):
        if b"b" in before:
            assert how == b"stop"
            assert text == before.split(b"b")[0]
        else:
            assert text == before


def test_writing_names_unknown_characters_of_a_prompt_and_never_writes_them(writer):
    answer = write(writer, ["axbyx", "abc", b"\xff"], [1, 2, 3], temperature=10.0)
    assert [unknown.decode() for unknown in answer["unknown"]] == ["xyx", "", "\ufffd"]
    many = write(writer, [""] * 64, range(64), temperature=10.0)
    whole = [text.decode() for text, how in zip(many["text"], many["finished"], strict=True) if how == b"length"]
    assert whole
    assert all(len(text) == DEFAULTS["length"] for text in whole), "an unknown character would be no text"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"length": 0}, "length must be 1 to 100,000 characters, not"),
        ({"length": 2**31 - 1}, "length must be 1 to 100,000 characters, not"),
        ({"length": -3}, "length must be 1 to 100,000 characters, not"),
        ({"temperature": -1.0}, "temperature must be 0"),
        ({"temperature": float("nan")}, "temperature must be 0"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, not"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1, not"),
        ({"top_k": -1}, "top_k must be 0"),
        ({"min_p": 2.0}, "min_p must be 0 to 1, not"),
        ({"repetition_penalty": 0.5}, "repetition_penalty must be 1"),
        ({"stop": [""]}, "stop strings must have 1 to 100 characters, not"),
        ({"stop": ["a" * 101]}, "stop strings must have 1 to 100 characters, not"),
    ],
)
def test_writing_refuses_settings_by_their_rule(writer, change, rule):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        write(writer, ["abc"], [1], **change)
    assert rule in str(caught.value)


def test_writing_greedy_takes_the_likeliest_whatever_the_seed(writer):
    assert len(set(write(writer, ["ab"] * 3, [1, 2, 3], temperature=0.0)["text"])) == 1


def test_score_agrees_with_the_carried_measure(writer, model):
    text = "abcdefg h\n" * 7
    answer = writer.functions["score"](tf.constant([text, ""]))
    carried = Surprisal(model).carried(CHARACTERS.encode(text), 0)
    np.testing.assert_allclose(answer["surprisal"].numpy()[0], carried, atol=1e-4)
    assert answer["bits_per_byte"].numpy()[0] == pytest.approx(carried.sum() / np.log(2) / 70, rel=1e-4)
    assert answer["characters"].numpy().tolist() == [70, 0]


def test_surprisal_in_streams_is_close_to_one_stream():
    model = character_model(Writer.model_validate({"recurrent": {"units": 16}}), vocabulary_size=CHARACTERS.size)
    ids = np.random.default_rng(1).integers(2, CHARACTERS.size, 3001)
    measure = Surprisal(model)
    one, several = measure.carried(ids, 0), measure.carried(ids, 0, streams=4)
    assert one.shape == several.shape == ids.shape
    np.testing.assert_allclose(one, several, atol=1e-3)


@pytest.mark.parametrize("tied", [False, True])
def test_surprisal_is_float32_whatever_the_precision(tied):
    with precision("mixed_bfloat16"):
        model = character_model(Writer.model_validate({"recurrent": {"units": 8}, "tied": tied}), vocabulary_size=9)
    found = Surprisal(model).carried(np.arange(1200) % 7 + 2, 0)  # more than a chunk: the state is handed on
    assert found.dtype == np.float32


def test_writing_of_lines_is_watched_by_the_characters_of_all_of_them(tmp_path):
    (tmp_path / "train.txt").write_text("".join(f"{letter}abcdef\n" for letter in "defghijklmnopqrstuvwxyz"))
    (tmp_path / "dev.txt").write_text("a\n" + 40 * "abc" + "\n")
    data = {"train": f"files:{tmp_path}/train.txt", "dev": f"files:{tmp_path}/dev.txt", "layout": "lines"}
    task = make_task(schemas()["writing"].model_validate({**VERSES, "data": data}))
    task.read()
    task.fit_features(tmp_path / "features")
    model = task.build()
    by_text = Surprisal(model).rows([task.examples("dev").columns["ids"].row(row) for row in range(2)])
    assert [len(nats) for nats in by_text] == [2, 121]
    assert task.dev_figures(model) == {"loss": pytest.approx(np.concatenate(by_text).mean(), abs=1e-6)}


def test_reader_steps_agree_with_reading(model):
    reader = Reader(model)
    ids = np.array([[0, 3, 4, 5], [2, 2, 9, 7]], np.int32)
    hidden, after = reader.read(tf.constant(ids), tf.constant([4, 4]), reader.zero_state(2))
    state = reader.zero_state(2)
    for place in range(4):
        logits, state = reader.step(tf.constant(ids[:, place]), state)
        np.testing.assert_allclose(logits, reader.scores(hidden[:, place]), atol=1e-5)
    for one, other in zip(state, after, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def trained(directory, steps=None):
    """The weights and carried state after the tiny pipeline's epochs, or after a stop in between and going on."""
    task = make_task(schemas()["writing"].model_validate(VERSES))
    task.read()
    task.fit_features(directory / "features")

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, step, logs=None):
            if trainer.position.total_steps == steps:
                raise KeyboardInterrupt

    for callbacks in ([Stop()], []) if steps else ([],):
        trainer = Trainer(
            task.build,
            objective=task,
            config=task.config.training,
            train=task.examples("train"),
            dev=task.examples("dev"),
            seed=1,
            directory=directory,
            say=lambda line: None,
        )
        with contextlib.suppress(KeyboardInterrupt):
            trainer.run(callbacks)
    return [*trainer.model.get_weights(), *(variable.numpy() for state in task.states for variable in state)]


def test_writing_training_goes_on_bit_for_bit_where_it_stopped(tmp_path):
    whole, resumed = trained(tmp_path / "whole"), trained(tmp_path / "stopped", steps=21)
    assert len(whole) == len(resumed)
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(whole[-1]).max() > 0, "the state is carried"


def test_writing_plan_runs_streams_side_by_side(tmp_path):
    task = make_task(schemas()["writing"].model_validate(VERSES))
    task.read()
    task.fit_features(tmp_path)
    examples = task.examples("train")
    plan = task.plan(examples, batch_size=16, seed=1, epoch=0)
    one, other = (task.training_batch(examples, rows, 0) for rows in plan[:2])
    np.testing.assert_array_equal(one["ids"][:, -1], other["ids"][:, 0])
    assert one["goes_on"].tolist() == [0.0] * 16
    assert other["goes_on"].tolist() == [1.0] * 16
    assert (task.training_batch(examples, plan[0], 1)["ids"] != one["ids"]).any(), "epochs begin elsewhere"


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "train: 0 characters. A split needs at least 100"),
        ("a" * 5000, "train: one character, again and again"),
        ("ab\0c" * 500, "NUL characters: this is no text"),
        ("the same line again\n" * 200, "spans of 200 characters stand in train"),
    ],
)
def test_writing_data_refuses_what_is_no_text(tmp_path, content, rule):
    (tmp_path / "a.txt").write_text(content)
    data = WritingData(train=f"files:{tmp_path}/a.txt")
    with pytest.raises(DataError) as caught:
        read_splits(data, "none")
    assert rule in str(caught.value)


PIECES = Pieces.fit(["The fox sat by the sea,\nand the owl saw the fox.\n" * 40], vocabulary_size=300)


@pytest.fixture(scope="module", params=[Bytes(), PIECES], ids=["bytes", "pieces"])
def spelled(request):
    """Units that may be parts of a character, an untrained model of them, and its signatures."""
    keras.utils.set_random_seed(2)
    model = character_model(Writer.model_validate({"recurrent": {"units": 8}}), vocabulary_size=request.param.size)
    module = WritingModel(model, request.param, first=0, ends=True, sampling=Sampling(length=40), version=1)
    return request.param, model, module


def test_writing_in_parts_of_characters_is_whole_utf8_whatever_the_length(spelled):
    units, _, writer = spelled
    for length in (1, 2, 3, 17):
        texts = [text.decode() for text in write(writer, [""] * 64, range(64), length=length)["text"]]
        assert all(len(units.encode(text)) <= 4 * length for text in texts)
    assert max(map(ord, "".join(texts))) > 0x7FF, "untrained, it writes anything"
    assert write(writer, ["é春😀", b"\xff"], [1, 2])["unknown"] == [b"", b""]


def test_writing_in_parts_of_characters_repeats_in_numpy_and_in_steps(spelled):
    units, model, writer = spelled
    of_numpy = NumpyWriter(model, units, first=0, ends=True)
    whole = [text.decode() for text in write(writer, ["é", ""], [3, 4])["text"]]
    settings = Settings(*(DEFAULTS[name] for name in Settings._fields))
    asked = (("é".encode(), 3), (b"", 4))
    assert [of_numpy.write(text, 30, settings, seed)[0] for text, seed in asked] == whole
    state = writer.functions["start"](tf.constant(["é", ""]))
    values = [tf.constant(DEFAULTS[name]) for name in Settings._fields]
    texts = ["", ""]
    for number in range(30):
        seeds, held = tf.constant([3, 4], tf.int64), state["held"]
        state = writer.functions["sample"](
            state["tokens"], state["state"], state["seen"], tf.constant(number), seeds, *values, held
        )
        texts = [text + part.decode() for text, part in zip(texts, state["text"].numpy(), strict=True)]
    for text, of_whole in zip(texts, whole, strict=True):
        assert text.startswith(of_whole)


def test_writing_in_parts_of_characters_ends_before_the_first_stop_string(spelled):
    _, _, writer = spelled
    plain = [text.decode() for text in write(writer, [""] * 64, range(64))["text"]]
    wide = next(character for text in plain for character in text[1:] if ord(character) > 0x7F)
    stops = [wide, "o", "fo", "\n"]
    answer = write(writer, [""] * 64, range(64), stop=stops)
    cut = 0
    for text, before, how in zip(answer["text"], plain, answer["finished"], strict=True):
        ends = [(before.index(stop) + len(stop), -len(stop)) for stop in stops if stop in before]
        expected = before[: sum(min(ends))] if ends else before
        assert text.decode() == expected
        assert (how == b"stop") == bool(ends)
        cut += bool(ends)
    assert any(wide in before for before in plain)
    assert cut


def test_score_in_parts_of_characters_is_of_whole_characters(spelled):
    units, model, writer = spelled
    texts = ["aé春😀The fox", "", "b"]
    answer = {name: value.numpy() for name, value in writer.functions["score"](tf.constant(texts)).items()}
    assert answer["characters"].tolist() == [11, 0, 1]
    assert [piece.decode() for piece in answer["pieces"][0]] == list(texts[0])
    each = Surprisal(model).carried(units.encode(texts[0]), 0)
    assert answer["nats"][0] == pytest.approx(each.sum(), rel=1e-4)
    np.testing.assert_allclose(answer["surprisal"][0, :4], np.add.reduceat(each, [0, 1, 3, 6, 10])[:4], atol=1e-4)
    (expected,) = NumpyWriter(model, units, first=0, ends=True).score([{"text": np.array(texts[0].encode())}])
    np.testing.assert_allclose(answer["surprisal"][0], expected["surprisal"], atol=1e-4)
    assert answer["end_nats"][0] == pytest.approx(expected["end_nats"], abs=1e-4)
    ended = [*units.encode(texts[0]).tolist(), 0]
    assert answer["end_nats"][0] == pytest.approx(Surprisal(model).carried(np.array(ended), 0)[-1], abs=1e-4)


def test_step_and_sample_name_what_does_not_belong_together(spelled):
    _, _, writer = spelled
    state = {name: value.numpy() for name, value in writer.functions["start"](tf.constant(["a"])).items()}
    fits = {**state, "number": np.int32(0), "seed": np.array([1], np.int64)}
    settings = (np.float32(1), np.int32(0), np.float32(1), np.float32(0), np.float32(1))

    def sample(**others):
        tokens, state, seen, number, seed, held = (
            {**fits, **others}[name] for name in ("tokens", "state", "seen", "number", "seed", "held")
        )
        return writer.functions["sample"](tokens, state, seen, number, seed, *settings, held)

    assert sample()["tokens"].shape == (1,)
    for wrong, message in (
        ({"state": fits["state"] * np.nan}, "state must be as the call before gave it"),
        ({"state": np.repeat(fits["state"], 2, 0)}, "state must have as many rows as tokens, not"),
        ({"seed": np.array([1, 2], np.int64)}, "seed must have as many rows as tokens, not"),
        ({"seen": np.repeat(fits["seen"], 2, 0)}, "seen must have as many rows as tokens, not"),
        ({"held": np.repeat(fits["held"], 2, 0)}, "held must have as many rows as tokens, not"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            sample(**wrong)


def test_writing_pictures_show_every_character_they_can(tmp_path):
    nats = np.random.default_rng(0).exponential(2, 300)
    pictures.passage("The $fox$\n春江, it went on and on. " * 9, nats[:250], tmp_path / "passage.png")
    pictures.passage("春", nats[:1], tmp_path / "short.png")
    pictures.loss_by_place(nats, tmp_path / "by_place.png")
    assert is_picture(tmp_path / "passage.png")
    assert is_picture(tmp_path / "by_place.png")


def test_writing_data_is_normalised_where_asked(tmp_path):
    (tmp_path / "a.txt").write_text(
        "cafe\u0301 and more of it, " * 20 + "".join(f"line {n} of {n * n} " for n in range(400)), "utf-8"
    )
    data = WritingData(train=f"files:{tmp_path}/a.txt")
    assert "e\u0301" in read_splits(data, "none").train[0]
    assert "caf\u00e9" in read_splits(data, "NFC").train[0]


def test_writing_data_names_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\ntwo \xff three" * 100)
    with pytest.raises(DataError) as caught:
        read_splits(WritingData(train=f"files:{tmp_path}/a.txt"), "none")
    assert "a.txt, line 2: byte 8 (0xff) is not utf-8" in str(caught.value)


def test_writing_lines_have_no_text_in_two_splits(tmp_path):
    lines = [f"line number {number} of the poem" for number in range(100)]
    (tmp_path / "train.txt").write_text("\n".join([*lines, *lines[:9]]))
    (tmp_path / "dev.txt").write_text("\n".join(lines[:20]))
    cut = read_splits(WritingData(train=f"files:{tmp_path}/train.txt", layout="lines"), "none")
    assert not set(cut.train) & set(cut.dev)
    assert len(cut.dev) == 10
    data = WritingData(train=f"files:{tmp_path}/train.txt", dev=f"files:{tmp_path}/dev.txt", layout="lines")
    named = read_splits(data, "none")
    assert len(named.train) == 80
    assert any("stand in dev or test too and are left out" in finding.text for finding in named.findings)


def test_writing_dev_and_test_share_no_text(tmp_path):
    lines = [f"line number {number} of the poem" for number in range(100)]
    for name, chosen in {"train": lines[:60], "dev": lines[50:80], "test": lines[70:]}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(chosen))
    sources = {name: f"files:{tmp_path}/{name}.txt" for name in ("train", "dev", "test")}
    found = read_splits(WritingData(**sources, layout="lines"), "none")
    assert (found.train, found.dev, found.test) == (lines[:50], lines[50:70], lines[70:])
    assert any("10 texts of dev stand in test too and are left out" in one.text for one in found.findings)
    with pytest.raises(DataError, match="test: 1 of 4 spans of 200 characters stand in dev"):
        read_splits(WritingData(**sources), "none")


@pytest.mark.parametrize("share", [0.1, 0.25, 0.4, 0.9])
def test_writing_dev_is_its_share_of_the_texts(tmp_path, share):
    texts = [f"line {number:03} " + "of a text that goes on for a while " * 3 for number in range(200)]
    (tmp_path / "texts.txt").write_text("\n".join([*texts, *texts[:20], ""]))
    found = read_splits(WritingData(train=f"files:{tmp_path}/texts.txt", layout="lines", dev_fraction=share), "none")
    assert len(found.dev) == pytest.approx(200 * share)
    assert not set(found.dev) & set(found.train)
    assert set(found.dev) | set(found.train) == set(texts)
