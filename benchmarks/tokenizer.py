"""How fast the tokeniser in the graph is: one row an input, one column an implementation.

    python benchmarks/tokenizer.py
    python benchmarks/tokenizer.py --input reviews.txt.gz

Columns: our graph (core TensorFlow ops), the SentencePiece library, and TF Text where tensorflow_text is installed
(it is no dependency of ours). Medians over repeated calls. The table goes into docs/tokenizer.md.
"""

from __future__ import annotations

import argparse
import gzip
import lzma
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import sentencepiece
import tensorflow as tf

from seqpipe.text.pieces import TextFeatures
from seqpipe.text.tokenizer import TextTokenizer

SHORT_CHARACTERS = 60
REVIEWS = 256


def random_reviews(count: int, *, words: int = 230, seed: int = 1) -> list[str]:
    """Reviews of made-up words, whose frequency falls with their rank as in a language (Zipf)."""
    draw = random.Random(seed)
    syllables = [a + b + c for a in ("", *"bcdfghlmnprstvw") for b in "aeiou" for c in ("", *"nrstl")]
    vocabulary = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(20_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]

    def sentence() -> str:
        return " ".join(draw.choices(vocabulary, weights, k=draw.randint(4, 25))).capitalize() + draw.choice(".,!?")

    return [" ".join(sentence() for _ in range(draw.randint(1, words // 7))) for _ in range(count)]


def read_lines(path: Path) -> list[str]:
    opened = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    with opened(path, "rt", encoding="utf-8") as file:
        return [line for line in file.read().split("\n") if line]


def median_ms(call: Callable[[], object], *, least_calls: int = 7, seconds: float = 1.5) -> float:
    call()
    times: list[float] = []
    while len(times) < least_calls or sum(times) < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def tf_text(model: bytes) -> Callable[[tf.Tensor], object] | None:
    try:
        import tensorflow_text
    except ImportError:
        return None
    tokenizer = tensorflow_text.SentencepieceTokenizer(model)
    return tf.function(
        lambda texts: tokenizer.tokenize(texts).to_tensor(), input_signature=[tf.TensorSpec([None], tf.string)]
    )


def saved_model_bytes(features: TextFeatures) -> int:
    tokenizer = TextTokenizer(features)
    with tempfile.TemporaryDirectory() as directory:
        tf.saved_model.save(tokenizer, directory, signatures=tokenizer.tokenize)
        return sum(path.stat().st_size for path in Path(directory).rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--input", type=Path, help="a text a line, .gz or .xz allowed; without it made-up words")
    parser.add_argument("--vocabulary-size", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)

    texts = read_lines(arguments.input) if arguments.input else random_reviews(4_000)
    features = TextFeatures.fit(
        texts[:4_000], vocabulary_size=arguments.vocabulary_size, lowercase=False, character_coverage=0.9995
    )
    with tempfile.TemporaryDirectory() as directory:
        features.save(Path(directory))
        model = (Path(directory) / "sentencepiece.model").read_bytes()
    graph, other = TextTokenizer(features), tf_text(model)
    library = sentencepiece.SentencePieceProcessor(model_proto=model)

    reviews = texts[:REVIEWS]
    short = [text[:SHORT_CHARACTERS].rpartition(" ")[0] or text[:SHORT_CHARACTERS] for text in reviews]
    inputs = {
        "one short text": short[:1],
        f"{REVIEWS} short texts": short,
        "one review": reviews[:1],
        f"{REVIEWS} reviews": reviews,
        "10,000 characters without a cut": ["a" * 10_000],
    }
    print(f"{arguments.threads} threads, {features.vocabulary_size} pieces, TensorFlow {tf.__version__}; ms\n")
    print("| input | characters | graph | library | TF Text |\n|---|---|---|---|---|")
    for name, batch in inputs.items():
        tensor = tf.constant(batch)
        columns = [
            median_ms(lambda: graph(tensor, 1_000_000)),  # noqa: B023  # called at once
            median_ms(lambda: library.encode(batch, return_type="numpy", num_threads=arguments.threads)),  # noqa: B023
        ]
        cells = [f"{column:.2f}" for column in columns]
        cells.append(f"{median_ms(lambda: other(tensor)):.2f}" if other else "-")  # noqa: B023
        print(f"| {name} | {sum(map(len, batch)):,} | {' | '.join(cells)} |", flush=True)
    print(f"\nSavedModel: {saved_model_bytes(features) / 1e6:.2f} MB; model file: {len(model) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
