"""The proof: for each way it can fail, an artefact with that fault, and nothing published."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import fresh
import keras
import numpy as np
import pytest
import tensorflow as tf
from finished import quick_proof
from tensorflow.core.protobuf import saved_model_pb2

from seqpipe.errors import ProofError, RunError
from seqpipe.export import fresh_process as proof
from seqpipe.export.artefact import Artefact, next_version
from seqpipe.export.graph import used_ops
from seqpipe.export.proof import _against_keras, difference
from seqpipe.export.publish import publish
from seqpipe.export.warmup import FILE, read_warmup, write_warmup


def text_spec():
    return [tf.TensorSpec([None], tf.string, name="text")]


class Lengths(tf.Module):
    """An honest artefact: the number of bytes of a text, times a variable."""

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(2.0)

    @tf.function(input_signature=text_spec())
    def answer(self, text):
        return {"score": self.scale * tf.cast(tf.strings.length(text), tf.float32)}


class Foreign(Lengths):
    @tf.function(input_signature=text_spec())
    def answer(self, text):
        return {"score": tf.numpy_function(lambda t: np.zeros(len(t), np.float32), [text], tf.float32)}


class MustCompile(Lengths):
    @tf.function(input_signature=text_spec())
    def answer(self, text):
        return {"score": self.inner(tf.cast(tf.strings.length(text), tf.float32))}

    @tf.function(jit_compile=True)
    def inner(self, x):
        return x * self.scale


class BatchDependent(Lengths):
    @tf.function(input_signature=text_spec())
    def answer(self, text):
        lengths = tf.cast(tf.strings.length(text), tf.float32)
        return {"score": lengths / tf.reduce_max(lengths + 1.0)}


class NotANumber(Lengths):
    @tf.function(input_signature=text_spec())
    def answer(self, text):
        return {"score": tf.math.log(-tf.cast(tf.strings.length(text), tf.float32))}


class HalfACharacter(Lengths):
    @tf.function(input_signature=text_spec())
    def answer(self, text):
        half = tf.where(tf.strings.length(text) > 5, b"\xc3", b"\xc3\xa9")
        return {"score": self.scale * tf.cast(tf.strings.length(text), tf.float32), "piece": half}


class Retracing(Lengths):
    @tf.function
    def answer(self, text):
        return {"score": self.scale * tf.cast(tf.strings.length(text), tf.float32)}

    @property
    def signatures(self):
        return {"serving_default": self.answer}


class Immovable(Lengths):
    """Reads a number from a checkpoint in the run directory, by its path."""

    def __init__(self, run):
        super().__init__()
        self.prefix = tf.train.Checkpoint(scale=self.scale).write(str(run / "checkpoint"))

    @tf.function(input_signature=text_spec())
    def answer(self, text):
        (scale,) = tf.raw_ops.RestoreV2(
            prefix=self.prefix,
            tensor_names=["scale/.ATTRIBUTES/VARIABLE_VALUE"],
            shape_and_slices=[""],
            dtypes=[tf.float32],
        )
        return {"score": scale * tf.cast(tf.strings.length(text), tf.float32)}


def artefact(module, *, expected=lambda text: 2.0 * len(text)):
    rows = [{"text": np.array(text, object)} for text in (b"one", b"three", b"", b"fifteen letters")]
    x = keras.Input((1,))
    return Artefact(
        module=module,
        model=keras.Model(x, x),
        signatures={"serving_default": module.answer},
        probes={"serving_default": rows},
        reference={"serving_default": lambda rows: [{"score": np.float32(expected(r["text"].item()))} for r in rows]},
    )


@pytest.fixture(autouse=True)
def quick_process():
    with quick_proof():
        yield


@pytest.fixture
def place(tmp_path):
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    (run / "kept.txt").write_text("kept")
    return tmp_path


def publish_to(place: Path, made: Artefact) -> Path:
    return publish(
        made,
        place / "models" / "mine" / "1",
        run_directory=place / "runs" / "mine",
        facts={"temperature": 0.5},
        files=lambda directory, parity: None,
    )


def test_export_publishes_a_sound_artefact(place):
    path = publish_to(place, artefact(Lengths()))
    parity = json.loads((path / "parity.json").read_text())
    assert parity["signatures"]["serving_default"]["probes"] == 4
    assert parity["signatures"]["serving_default"]["against_keras"] == 0.0
    assert parity["signatures"]["serving_default"]["alone_against_batch"] == 0.0
    assert parity["facts"] == {"temperature": 0.5}
    assert sorted(p.name for p in path.parent.iterdir()) == ["1"]
    assert (place / "runs" / "mine" / "kept.txt").exists()
    assert tf.saved_model.load(str(path)).signatures["serving_default"](text=tf.constant(["ab"]))["score"].numpy() == [
        4.0
    ]


def test_export_warmup_requests_are_what_tensorflow_serving_reads(place):
    from tensorflow_serving.apis import prediction_log_pb2

    path = publish_to(place, artefact(Lengths()))
    records = tf.data.TFRecordDataset(str(path / "assets.extra" / "tf_serving_warmup_requests"))
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records.as_numpy_iterator()]
    requests = [log.predict_log.request for log in logs]
    assert [r.model_spec.signature_name for r in requests] == ["serving_default"] * 2
    assert [len(tf.make_ndarray(r.inputs["text"])) for r in requests] == [1, 4]
    loaded = tf.saved_model.load(str(path)).signatures["serving_default"]
    for request in requests:
        loaded(text=tf.constant(tf.make_ndarray(request.inputs["text"])))


@pytest.mark.parametrize(
    ("texts", "rows"),
    [
        ([b"a" * n for n in range(1, 12)], [1, 8]),
        ([b"ab"], [1, 1]),
        ([b"x" * 10_000] * 8, [1, 3]),  # exactly as many bytes as may lie beside a model
        ([b"x" * 10_001] * 8, [1, 2]),
        ([b"x" * 40_000] * 2, [1, 1]),
    ],
    ids=["many", "one", "as large as may be", "larger", "one too large"],
)
def test_export_warmup_has_one_row_and_eight_as_far_as_they_are_small(tmp_path, texts, rows):
    from tensorflow_serving.apis import prediction_log_pb2

    probes = {"serving_default": [{"text": np.array(text, object)} for text in texts]}
    write_warmup(SimpleNamespace(probes=probes, shared={}), tmp_path)
    records = tf.data.TFRecordDataset(str(tmp_path / FILE)).as_numpy_iterator()
    requests = [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]
    found = [tf.make_ndarray(request.inputs["text"]).tolist() for request in requests]
    assert found == [texts[:count] for count in rows]
    assert [row["text"].item() for row in read_warmup(tmp_path, "serving_default")] == texts[: max(rows)]


FAULTS = {
    "a foreign op": (
        lambda place: artefact(Foreign()),
        r"ops that stock TensorFlow Serving does not run everywhere: .*PyFunc",
    ),
    "a function XLA must compile": (lambda place: artefact(MustCompile()), "does not run everywhere: XlaMustCompile"),
    "an answer that depends on the batch": (
        lambda place: artefact(BatchDependent(), expected=lambda text: len(text) / (len(text) + 1)),
        "depends on the rows beside it .* A layer lets padding through",
    ),
    "an answer that differs from Keras": (
        lambda place: artefact(Lengths(), expected=lambda text: 2.001 * len(text)),
        "answers probe 0 otherwise than the Keras model",
    ),
    "a NaN": (lambda place: artefact(NotANumber()), "the output score holds NaN or infinity"),
    "half a character": (
        lambda place: artefact(HalfACharacter()),
        r"the output piece holds b'.xc3', which is no UTF-8",
    ),
    "retracing": (lambda place: artefact(Retracing()), "serving_default is traced anew for inputs of different shapes"),
    "a directory that cannot be moved": (
        lambda place: artefact(Immovable(place / "runs" / "mine")),
        "Moved to another place, with the run hidden .* does not load and answer: .*checkpoint",
    ),
}


@pytest.mark.parametrize(("make", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_export_refuses(place, make, message):
    with pytest.raises(ProofError, match=message):
        publish_to(place, make(place))
    assert not (place / "models" / "mine").exists()
    assert (place / "runs" / "mine" / "kept.txt").exists()


def test_export_refuses_a_graph_that_needs_seqpipe(place):
    """As the test above does for a file: here the model would be found only with seqpipe importable."""
    path = publish_to(place, artefact(Lengths()))
    done = fresh.run(Path(__file__).parents[1] / "imports_seqpipe.py", str(proof.__file__), str(path), cwd=place)
    assert "seqpipe is not there when the artefact is served" in done.stderr


def test_export_never_changes_a_published_version(place):
    path = publish_to(place, artefact(Lengths()))
    before = (path / "saved_model.pb").read_bytes()
    with pytest.raises(RunError, match="is published already, and a published version never changes"):
        publish_to(place, artefact(Lengths()))
    assert (path / "saved_model.pb").read_bytes() == before
    assert next_version(path.parent) == 2


def test_export_removes_what_a_killed_one_left(place):
    """Before its proof or in the middle of it, when the SavedModel is moved."""
    models = place / "models" / "mine"
    for left in (".1.12345678.part", "..1.12345678.part.87654321.part"):
        (models / left / "variables").mkdir(parents=True)
    publish_to(place, artefact(Lengths()))
    assert [path.name for path in models.iterdir()] == ["1"]


def test_export_names_the_ops_of_functions_too(place):
    ops = used_ops(publish_to(place, artefact(Lengths())))
    assert {"StringLength", "Mul", "ReadVariableOp"} <= ops
    assert not any(op.startswith("__inference") for op in ops)


def test_export_graph_holds_no_shapes_that_loading_infers(place):
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((publish_to(place, artefact(Lengths())) / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    nodes = [node for function in functions for node in function.node_def]
    assert nodes
    assert not any("_output_shapes" in node.attr for node in nodes)


def test_proof_needs_a_reference_for_each_probe():
    made = artefact(Lengths())
    made.reference["serving_default"] = lambda rows: []
    alone = {number: {"score": np.float32(2.0)} for number in range(4)}
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        _against_keras(made, "serving_default", alone)


def test_proof_measures_a_difference_of_large_numbers_by_their_size():
    expected = {"median": np.float32([4000.0, 5000.0]), "weights": np.float32([0.002, 0.0])}
    actual = {"median": np.float32([4000.0, 5000.0]), "weights": np.float32([0.004, 0.0])}
    assert difference(expected, actual, {}) == pytest.approx(0.002)
    assert difference(expected, actual, {"weights": "median"}) == pytest.approx(0.002 / 5000)
    assert difference({"weights": expected["weights"]}, actual, {"weights": "median"}) == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("expected", "actual", "apart"),
    [
        ([1.0, np.nan], [1.0, np.nan], 0.0),
        ([2.0, -np.inf], [3.0, -np.inf], 0.5),
        ([1.0, 2.0], [1.0, np.nan], np.inf),
        ([np.nan, 2.0], [1.0, 2.0], np.inf),
        ([np.inf, 2.0], [-np.inf, 2.0], np.inf),
        ([1e30, np.inf], [1e30, 1e30], np.inf),
        ([1.0], [1.0, np.nan], np.inf),
        (np.nan, 1.0, np.inf),
        (1.0, 1.5, 0.5),
    ],
)
def test_proof_counts_what_is_no_number_as_far_away(expected, actual, apart):
    assert difference({"y": np.float32(expected)}, {"y": np.float32(actual)}, {}) == apart
