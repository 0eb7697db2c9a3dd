"""Requests beside a model, written and read again."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from seqpipe.export.warmup import read_warmup, write_warmup

FILE = "assets.extra/tf_serving_warmup_requests"


def requests(directory):
    """Name and inputs of each, as TensorFlow Serving reads them."""
    records = tf.data.TFRecordDataset(str(directory / FILE)).as_numpy_iterator()
    found = [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]
    return [
        (one.model_spec.signature_name, {name: tf.make_ndarray(value) for name, value in one.inputs.items()})
        for one in found
    ]


def write(directory, probes, shared=None):
    write_warmup(SimpleNamespace(probes=probes, shared=shared or {}), directory)
    return requests(directory)


def waves(*lengths):
    return [{"wave": np.full(n, n, np.float32), "id": np.int64(place)} for place, n in enumerate(lengths)]


def test_warmup_asks_one_row_and_up_to_eight_of_the_shape_of_the_first(tmp_path):
    (name, one), (_, more) = write(tmp_path, {"serve": waves(3, 5, 3, *[3] * 9)})
    assert name == "serve"
    np.testing.assert_array_equal(one["wave"], np.full((1, 3), 3))
    assert one["wave"].dtype == np.float32
    assert more["wave"].shape == (8, 3)
    assert more["id"].tolist() == [0, 2, 3, 4, 5, 6, 7, 8]
    assert more["id"].dtype == np.int64


def test_warmup_rows_are_alike_in_every_input(tmp_path):
    rows = [{"a": np.zeros(2), "b": np.zeros(n)} for n in (1, 2, 1)]
    _, (_, more) = write(tmp_path, {"serve": rows})
    assert more["b"].shape == (2, 1)


def test_warmup_asks_each_signature_with_what_it_has_once_for_all_rows(tmp_path):
    shared = {"second": {"limit": np.array(7, np.int32)}}
    found = write(tmp_path, {"first": waves(2, 2), "second": waves(4)}, shared)
    assert [(name, sorted(inputs)) for name, inputs in found] == [
        *[("first", ["id", "wave"])] * 2,
        *[("second", ["id", "limit", "wave"])] * 2,
    ]
    assert found[2][1]["limit"].tolist() == 7
    assert found[2][1]["wave"].shape == (1, 4)


def test_warmup_requests_hold_at_most_thirty_thousand_bytes_of_rows_but_one_row(tmp_path):
    for count, wave, rows in ((8, 937, 8), (8, 938, 7), (2, 9000, 1), (3, 3749, 2), (3, 3750, 1)):
        directory = tmp_path / f"{count}-{wave}"
        directory.mkdir()
        probes = [{"wave": np.zeros(wave, np.float32), "text": np.array(b"12", object)}] * count
        _, (_, more) = write(directory, {"serve": probes})
        assert len(more["wave"]) == len(more["text"]) == rows, (count, wave)
    texts = [{"text": np.array(b"x" * size, object)} for size in (15_000, 15_001)]
    (tmp_path / "one byte more").mkdir()
    assert len(write(tmp_path / "one byte more", {"serve": texts})[1][1]["text"]) == 1


def test_warmup_read_gives_the_rows_of_the_largest_request_of_a_signature(tmp_path):
    write(tmp_path, {"first": waves(2, 2, 2), "second": waves(4, 4, 5)})
    found = read_warmup(tmp_path, "second")
    assert [sorted(row) for row in found] == [["id", "wave"]] * 2
    assert [row["id"].item() for row in found] == [0, 1]
    assert all(isinstance(value, np.ndarray) for row in found for value in row.values())
    np.testing.assert_array_equal(found[1]["wave"], [4, 4, 4, 4])
    assert len(read_warmup(tmp_path, "first")) == 3
    assert read_warmup(tmp_path, "third") == []
