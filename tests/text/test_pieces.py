from __future__ import annotations

import gzip
import json
import lzma
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hostile_strings import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

from seqpipe.errors import DataError, ModelError
from seqpipe.text.pieces import (
    HEAD_QUARTERS,
    TextFeatures,
    clean_text,
    cut,
    head_pieces,
    normalisation_rules,
)
from seqpipe.text.tokenizer import TextTokenizer
from seqpipe.text.vocabulary import FIRST_BYTE, FIRST_PIECE

_WORDS = {
    "en": ["good", "film", "goodness", "filming", "2019", "don't", "re-make", "the", "of", "it's", "½", "naïve"],
    "zh": ["这家", "酒店", "很好", "下次", "还来", "电影", "不错", "的", "了", "服务", "，", "。", "《》", "２０１９"],
}


def _texts(language: str, *, count: int = 400, seed: int = 7) -> list[str]:
    draw = random.Random(seed)
    join = {"en": " ", "zh": ""}[language]
    words = _WORDS[language] + ["".join(draw.choices("abcdeghilmnorstu", k=draw.randint(2, 9))) for _ in range(100)]
    return [join.join(draw.choices(words, k=draw.randint(1, 12))) + draw.choice(".!?") for _ in range(count)]


def _fit(language: str, *, lowercase: bool = False, vocabulary_size: int = 700) -> TextFeatures:
    return TextFeatures.fit(
        _texts(language), vocabulary_size=vocabulary_size, lowercase=lowercase, character_coverage=0.9995
    )


@pytest.fixture(scope="module", params=["en", "en lowercase", "zh"])
def features(request: pytest.FixtureRequest) -> TextFeatures:
    language, *lowercase = request.param.split()
    return _fit(language, lowercase=bool(lowercase))


@pytest.fixture(scope="module")
def tokenizer(features: TextFeatures) -> TextTokenizer:
    return TextTokenizer(features)


def _rows(tokenizer: TextTokenizer, texts: Sequence[str | bytes]) -> list[list[int]]:
    """The graph's ids, without padding, which must be 0."""
    raw = [text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass") for text in texts]
    ids, lengths, truncated = (x.numpy() for x in tokenizer(tf.constant(raw, tf.string), 1_000_000))
    assert not truncated.any()
    assert ids.shape[1] == max(lengths, default=0)
    assert not ids[np.arange(ids.shape[1]) >= lengths[:, None]].any()
    return [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]


def _differences(features: TextFeatures, tokenizer: TextTokenizer, texts: Sequence[str | bytes]) -> list[str | bytes]:
    expected = [ids.tolist() for ids in features.encode(texts)]
    return [text for text, a, b in zip(texts, expected, _rows(tokenizer, texts), strict=True) if a != b]


def test_text_hostile_strings_are_many_and_distinct() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 300


def test_text_graph_equals_library_on_hostile_strings(features: TextFeatures, tokenizer: TextTokenizer) -> None:
    assert _differences(features, tokenizer, HOSTILE) == []


@pytest.mark.parametrize("rule", HEAD_QUARTERS)
@pytest.mark.parametrize("limit", [1, 2, 7, 8])
def test_text_cuts_long_texts_alike_in_graph_and_numpy(
    features: TextFeatures, tokenizer: TextTokenizer, rule: str, limit: int
) -> None:
    texts = ["", "a", "one two three four five six seven eight nine ten", "x" * 200, "ab cd ef"]
    whole = features.encode(texts)
    ids, lengths, truncated = (x.numpy() for x in tokenizer(tf.constant(texts), limit, head_pieces(limit, rule)))
    for row, pieces in enumerate(whole):
        expected = cut(pieces, limit, rule)
        assert ids[row, : lengths[row]].tolist() == expected.tolist()
        assert truncated[row] == (len(pieces) > limit)
        assert len(expected) == min(limit, len(pieces))
    long = whole[3].tolist()
    assert {"head": long[:8], "tail": long[-8:], "head_and_tail": long[:2] + long[-6:]}[rule] == cut(
        whole[3], 8, rule
    ).tolist()


def test_text_alone_equals_batched(features: TextFeatures, tokenizer: TextTokenizer) -> None:
    texts = HOSTILE[::5]
    assert [_rows(tokenizer, [text])[0] for text in texts] == _rows(tokenizer, texts)


def test_text_graph_equals_library_on_every_normalised_character(
    features: TextFeatures, tokenizer: TextTokenizer
) -> None:
    texts = [f"good{chr(code)}film{chr(code)}" for code in features.rules]
    assert _differences(features, tokenizer, texts) == []


_UNSEEN = st.text(st.characters(codec=None), max_size=30)
_SEEN = st.lists(st.sampled_from([*" go d fi lm ▁.!?½…´ﬁ這这家酒店很好ＡｂA\u0301\0\n", "good", "film"])).map("".join)


@settings(max_examples=150)
@given(texts=st.lists(_UNSEEN | _SEEN | st.binary(max_size=30), max_size=6))
def test_text_graph_equals_library_on_any_bytes(
    features: TextFeatures, tokenizer: TextTokenizer, texts: list[str | bytes]
) -> None:
    assert _differences(features, tokenizer, texts) == []


@settings(max_examples=150)
@given(data=st.data())
def test_text_detokenize_equals_library(features: TextFeatures, tokenizer: TextTokenizer, data: st.DataObject) -> None:
    bytes_of_utf8 = st.sampled_from(
        [4 + b for b in b"\xe2\x96\x81\xf0\x9f\x98\x80\xed\xa0\xf4\x90\xc0\xe0\xef\xbf\xbd \0a"]
    )
    space = st.sampled_from([i for i in range(features.vocabulary_size) if features.pieces([i]) == [b" "]])
    one = bytes_of_utf8 | space | st.integers(0, features.vocabulary_size - 1)
    rows = data.draw(st.lists(st.lists(one, max_size=9), min_size=1, max_size=6))
    longest = max(map(len, rows)) + 1
    padded = tf.constant([row + [FIRST_PIECE] * (longest - len(row)) for row in rows])  # beyond a length: ignored
    joined = tokenizer.detokenize(padded, tf.constant([len(row) for row in rows])).numpy()
    assert [text.decode() for text in joined] == [features.decode(row) for row in rows]


def test_text_detokenize_equals_library_on_broken_bytes(features: TextFeatures, tokenizer: TextTokenizer) -> None:
    rows = [[FIRST_BYTE + b for b in text] for text in HOSTILE if len(text) < 20]
    padded = tf.ragged.constant(rows, tf.int32)
    joined = tokenizer.detokenize(padded.to_tensor(), tf.cast(padded.row_lengths(), tf.int32)).numpy()
    assert [text.decode() for text in joined] == [features.decode(row) for row in rows]


def _made_up(pieces: dict[str, float]) -> TextFeatures:
    """A vocabulary with just these learnt pieces."""
    fitted = _fit("en", vocabulary_size=320)
    proto = sentencepiece_model_pb2.ModelProto.FromString(fitted.model)
    del proto.pieces[FIRST_PIECE:]
    for piece, score in pieces.items():
        proto.pieces.add(piece=piece, score=score)
    return TextFeatures(proto.SerializeToString(), fitted.rules_tsv)


@pytest.mark.parametrize("seed", range(6))
def test_text_graph_equals_library_where_paths_tie_and_characters_lack_a_piece(seed: int) -> None:
    """Few letters and whole scores: equal paths abound, and an unknown character competes with longer pieces."""
    draw = random.Random(seed)
    words = {"".join(draw.choices("fib", k=draw.choice((1, 2, 2, 3, 4, 7)))) for _ in range(12)} | {"\u2581", "\u2581f"}
    longest = "".join(draw.choices("fi", k=16))
    features = _made_up({word: -float(draw.randint(1, 4 * len(word))) for word in sorted(words)} | {longest: -2.0})
    texts = ["".join(draw.choices(["f", "i", "b", "ﬁ", "ﬃ", " ", longest], k=draw.randint(1, 12))) for _ in range(500)]
    assert _differences(features, TextTokenizer(features), texts) == []


def test_text_scores_add_up_exactly_in_float32(features: TextFeatures) -> None:
    model = sentencepiece_model_pb2.ModelProto.FromString(features.model)
    assert all((piece.score * 16).is_integer() for piece in model.pieces)


def test_text_decode_gives_the_text_back(features: TextFeatures) -> None:
    texts = ["good film", "这家酒店很好", "😀 naive \x00", "\ufffd"]
    assert [features.decode(ids) for ids in features.encode(texts)] == texts


def test_text_pieces_join_to_the_normalised_text(features: TextFeatures, tokenizer: TextTokenizer) -> None:
    (ids,) = features.encode([" good\u3000 fi\uff4c\uff4d \U0001f600"])
    assert b"".join(features.pieces(ids)) == " good film \U0001f600".encode()
    assert tokenizer.pieces(ids[None]).numpy()[0].tolist() == features.pieces(ids)
    assert features.pieces([0, 2, 3, 4 + 0xE2]) == [b"", b"", b"", b"\xe2"]


def test_text_graph_cuts_and_pads(features: TextFeatures, tokenizer: TextTokenizer) -> None:
    texts = ["good film, good film", "", "good", "\U0001f600"]
    expected = [ids.tolist() for ids in features.encode(texts)]
    ids, lengths, truncated = (x.numpy() for x in tokenizer(tf.constant(texts), 3))
    assert ids.dtype == lengths.dtype == np.int32
    assert ids.tolist() == [[*row, 0, 0, 0][:3] for row in expected]
    assert lengths.tolist() == [min(len(row), 3) for row in expected]
    assert truncated.tolist() == [len(row) > 3 for row in expected]
    assert truncated.any()
    assert lengths[1] == 0
    *_, truncated = tokenizer(tf.constant(texts[:1]), len(expected[0]))
    assert not truncated.numpy().any()


def test_text_graph_takes_no_text_and_only_empty_texts(tokenizer: TextTokenizer) -> None:
    for texts in ([], ["", "  "]):
        ids, lengths, truncated = tokenizer(tf.constant(texts, tf.string), 8)
        assert ids.shape == (len(texts), 0)
        assert lengths.numpy().tolist() == [0] * len(texts)
        assert truncated.numpy().tolist() == [False] * len(texts)
        assert tokenizer.detokenize(ids, lengths).numpy().tolist() == [b""] * len(texts)


def test_text_graph_is_traced_once() -> None:
    tokenizer = TextTokenizer(_fit("en", vocabulary_size=320))
    tokenize = tf.function(tokenizer, input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.int32)])
    for count, most in ((1, 5), (7, 9), (0, 2), (300, 5)):
        tokenizer(tf.constant(["good film"] * count, tf.string), most)
        tokenize(tf.constant(["good film"] * count, tf.string), most)
    assert tokenize.experimental_get_tracing_count() == 1
    assert tokenizer.tokenize.experimental_get_tracing_count() == 1


class _Served(tf.Module):
    def __init__(self, tokenizer: TextTokenizer):
        super().__init__()
        self.tokenizer = tokenizer

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        ids, lengths, truncated = self.tokenizer(text, 400)
        again = self.tokenizer.detokenize(ids, lengths)
        return {"ids": ids, "truncated": truncated, "text": again, "pieces": self.tokenizer.pieces(ids)}


def test_text_saved_model_gives_the_same(tmp_path: Path) -> None:
    served = _Served(TextTokenizer(_fit("zh")))
    tf.saved_model.save(served, tmp_path / "here", signatures=served.__call__)
    (tmp_path / "here").rename(tmp_path / "there")
    loaded = tf.saved_model.load(tmp_path / "there").signatures["serving_default"]
    texts = tf.constant(HOSTILE)
    for name, value in served(texts).items():
        np.testing.assert_array_equal(loaded(text=texts)[name].numpy(), value.numpy())


_NEEDS_A_LIBRARY = {"PyFunc", "EagerPyFunc", "StatefulPyFunc", "NumpyFunction"}


def test_text_graph_holds_core_ops_only(tokenizer: TextTokenizer) -> None:
    graph = tokenizer.tokenize.get_concrete_function().graph.as_graph_def()
    ops = {
        node.op for part in (graph, *graph.library.function) for node in getattr(part, "node", None) or part.node_def
    }
    functions = {function.signature.name for function in graph.library.function}
    core = {name for name in dir(tf.raw_ops) if not name.startswith("_")} | {"Placeholder"}
    assert ops - functions - core == set()
    assert not ops & _NEEDS_A_LIBRARY
    assert not {op for op in ops if "HashTable" in op or "Lookup" in op}  # a look-up table would need initialising


def test_text_fit_is_deterministic_and_survives_saving(tmp_path: Path) -> None:
    first, second = _fit("en"), _fit("en")
    first.save(tmp_path / "a")
    second.save(tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["normalisation.tsv", "sentencepiece.model"]
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)
    loaded = TextFeatures.load(tmp_path / "a")
    assert loaded.key == first.key == second.key != _fit("en", lowercase=True).key
    assert _ids(loaded) == _ids(first)


def test_text_that_repeats_itself_takes_no_longer_and_ordinary_ones_are_cut_without_a_trace() -> None:
    options = {"vocabulary_size": 400, "lowercase": False, "character_coverage": 1.0}
    sentences = [f"it was neither good nor bad, number {i}" for i in range(200)]
    before = time.process_time()
    repeated = TextFeatures.fit([*sentences, "a very long " * 5000], **options)
    assert time.process_time() - before < 20, "minutes where it is read in one"
    assert "very" in "".join(piece for piece, _ in repeated.scored_pieces)
    whole = " ".join(sentences)
    middle = whole.index(" ", 1000)
    assert len(whole) > 5000
    assert TextFeatures.fit([whole], **options).key == TextFeatures.fit([whole[:middle], whole[middle:]], **options).key


def _ids(features: TextFeatures) -> list[list[int]]:
    return [ids.tolist() for ids in features.encode(HOSTILE)]


def test_text_fit_is_the_same_in_another_process() -> None:
    code = """if True:
        import json, sys
        from seqpipe.text.pieces import TextFeatures
        print(TextFeatures.fit(**json.load(sys.stdin)).key)
    """
    arguments = {"texts": _texts("zh"), "vocabulary_size": 500, "lowercase": True, "character_coverage": 1.0}
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(arguments).encode(),
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == TextFeatures.fit(**arguments).key


def test_text_ids_never_hold_a_special_piece(features: TextFeatures) -> None:
    ids = np.concatenate(features.encode([*HOSTILE, "<pad> <s> </s> <unk>"]))
    assert ids.dtype == np.int32
    assert ids.min() >= 4
    assert ids.max() < features.vocabulary_size


def test_text_vocabulary_size_is_an_upper_bound() -> None:
    assert _fit("en", vocabulary_size=400).vocabulary_size == 400
    small = TextFeatures.fit(["a", "b a"], vocabulary_size=8000, lowercase=False, character_coverage=1.0)
    assert 260 < small.vocabulary_size < 300
    assert small.decode(small.encode(["b😀a"])[0]) == "b😀a"
    assert _differences(small, TextTokenizer(small), HOSTILE) == []


def test_text_fit_says_why_nothing_can_be_learnt() -> None:
    with pytest.raises(DataError, match="no training text holds a character"):
        TextFeatures.fit(["", " \n"], vocabulary_size=300, lowercase=False, character_coverage=1.0)
    many = ["".join(map(chr, range(0x4E00, 0x5000)))]
    with pytest.raises(
        DataError, match=r"no vocabulary of 300 pieces .* Allow more pieces, a smaller character_coverage"
    ):
        TextFeatures.fit(many, vocabulary_size=300, lowercase=False, character_coverage=1.0)


def test_text_load_names_the_directory(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="text features cannot be read"):
        TextFeatures.load(tmp_path)
    (tmp_path / "sentencepiece.model").write_bytes(b"nonsense")
    (tmp_path / "normalisation.tsv").write_text("")
    with pytest.raises(ModelError, match="text features cannot be read"):
        TextFeatures.load(tmp_path)


def test_text_normalisation_is_nfkc_but_no_spaces_inside() -> None:
    rules = normalisation_rules(lowercase=False)
    assert rules[ord("ﬁ")] == (ord("f"), ord("i"))
    assert rules[0x3000] == rules[ord("\n")] == rules[0x200B] == (ord(" "),)
    assert ord("´") not in rules
    assert ord("A") not in rules
    assert normalisation_rules(lowercase=True)[ord("Ａ")] == (ord("a"),)


@pytest.mark.parametrize(
    ("raw", "text"), [(b"\xe2\x96x", "\ufffdx"), (b"\xff\xff", "\ufffd\ufffd"), ("\ud800", "\ufffd" * 3), ("é", "é")]
)
def test_text_clean_text_replaces_what_is_no_utf8(raw: str | bytes, text: str) -> None:
    assert clean_text(raw) == text


def test_text_is_importable_without_tensorflow() -> None:
    code = "import sys, seqpipe.text.pieces, seqpipe.text.tokenizer_tables; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def _lines(path: Path) -> list[str]:
    opened = {".gz": gzip.open, ".xz": lzma.open}[path.suffix]
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        return [line for line in file.read().split("\n") if line]


def _corpora(data: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Name, texts to fit on, all texts."""
    reviews = [json.loads(line)["text"] for line in _lines(data / "imdb/train.jsonl.gz")]
    phrases = [line.partition(" ")[2] for path in sorted(data.glob("sst2/*.gz")) for line in _lines(path)]
    plays = _lines(data / "shakespeare.txt.gz")
    pairs = [line for split in ("train", "dev") for line in _lines(data / f"tatoeba_en_zh/{split}.tsv.gz")]
    english = [*reviews, *phrases, *plays, *(pair.split("\t")[0] for pair in pairs)]
    yield "english", english[::10], [*english, *_lines(data / "imdb/unlabelled.txt.xz")]
    captions = [line for path in sorted(data.glob("multi30k/*.gz")) for line in _lines(path)]
    yield "captions en, de, fr", captions[::2], captions
    hotels = [line.partition("\t")[2] for path in sorted(data.glob("chnsenticorp/*.gz")) for line in _lines(path)]
    poems = [line for path in sorted(data.glob("quatrains/*.gz")) for line in _lines(path)]
    chinese = [*hotels, *poems, *(pair.split("\t")[1] for pair in pairs)]
    yield "chinese", chinese[::3], chinese


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif("SEQPIPE_TEST_DATA" not in os.environ, reason="SEQPIPE_TEST_DATA names no folder")
def test_text_graph_equals_library_on_real_text() -> None:
    for name, training, texts in _corpora(Path(os.environ["SEQPIPE_TEST_DATA"])):
        features = TextFeatures.fit(training, vocabulary_size=8000, lowercase=False, character_coverage=0.9995)
        tokenizer = TextTokenizer(features)
        different = [
            text
            for start in range(0, len(texts), 256)
            for text in _differences(features, tokenizer, texts[start : start + 256])
        ]
        print(f"{name}: {len(different)} of {len(texts)} texts differ")
        assert different == [], name
