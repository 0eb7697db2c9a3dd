"""A small model to serve: how long a text is."""

from __future__ import annotations

import tensorflow as tf


class Lengths(tf.Module):
    """The length of a text; `explain` has an axis that varies; `slow` takes its time; `stream` adds up samples."""

    def __init__(self, version):
        super().__init__()
        self.version = tf.constant(version)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def answer(self, text):
        length = tf.strings.length(text)
        checked = tf.debugging.Assert(tf.reduce_all(length < 1000), ["text is longer than 999 bytes"])
        with tf.control_dependencies([checked]):
            share = tf.cast(length, tf.float32) / 10.0
        return {"label": tf.strings.as_string(length), "probabilities": tf.stack([share, 1.0 - share], 1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def explain(self, text):
        return {"pieces": tf.strings.bytes_split(text).to_tensor("")}

    @tf.function(input_signature=[])
    def labels(self):
        return {"labels": tf.constant(["a", "b"]), "version": self.version, "streaming": tf.constant(True)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, name="waveform"), tf.TensorSpec([None, 1], tf.float32, name="state")
        ]
    )  # fmt: skip
    def stream(self, waveform, state):
        after = state + tf.reduce_mean(waveform, axis=1, keepdims=True)
        share = tf.clip_by_value(after, 0.0, 1.0)
        return {"probabilities": tf.concat([share, 1.0 - share], axis=1), "state": after}


def publish(directory, version):
    module = Lengths(version)
    names = {
        "serving_default": module.answer,
        "explain": module.explain,
        "labels": module.labels,
        "stream": module.stream,
    }
    tf.saved_model.save(module, str(directory / f".part{version}"), signatures=names)
    (directory / f".part{version}").rename(directory / str(version))
