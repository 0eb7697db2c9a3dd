"""Requests that TensorFlow Serving replays when it loads a model, so that the first client does not wait."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from seqpipe.export.artefact import Artefact, Row

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
SIZES = (1, 8)  # rows
MOST_BYTES = 30_000  # of the rows in a request; they lie beside the model


def write_warmup(artefact: Artefact, directory: Path) -> None:
    """Write requests of each signature's first probe, and of several of its shape, beside a SavedModel."""
    (directory / FILE).parent.mkdir()
    with tf.io.TFRecordWriter(str(directory / FILE)) as writer:
        for name, rows in artefact.probes.items():
            alike = [row for row in rows if all(row[key].shape == rows[0][key].shape for key in row)]
            for size in SIZES:
                inputs = _batch(alike[:size]) | artefact.shared.get(name, {})
                request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(signature_name=name))
                for key, value in inputs.items():
                    request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
                log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
                writer.write(log.SerializeToString())


def read_warmup(directory: Path, signature: str) -> list[Row]:
    """The rows in the largest request of a signature all of whose inputs have rows."""
    rows: list[Row] = []
    for record in tf.data.TFRecordDataset(str(directory / FILE)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        if request.model_spec.signature_name == signature:
            columns = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            found = [
                {name: np.asarray(value) for name, value in zip(columns, values, strict=True)}
                for values in zip(*columns.values(), strict=True)
            ]
            rows = max(rows, found, key=len)
    return rows


def _batch(rows: list[Row]) -> Row:
    """Rows of one shape side by side, as many as MOST_BYTES allows, at least one."""
    while len(rows) > 1 and sum(map(_bytes_of, rows)) > MOST_BYTES:
        rows = rows[:-1]
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def _bytes_of(row: Row) -> int:
    return sum(len(value.item()) if value.dtype == object else value.nbytes for value in row.values())
