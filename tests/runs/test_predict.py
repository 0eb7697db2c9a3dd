"""What `seqpipe predict` does around a model."""

from __future__ import annotations

import pytest
import tensorflow as tf

from seqpipe.errors import ModelError
from seqpipe.runs import predict


def test_predict_optimizes_graphs_for_many_rows_alone(monkeypatch):
    seen = []

    def look(*_, **__):
        seen.append(tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False))

    def answer(words, source):
        predict.predict("m", words, source, column=None, encoding="utf-8", wanted=None, out=None, err=None)

    monkeypatch.setattr(predict, "load", look)
    monkeypatch.setattr(predict, "_predict", look)
    answer(["a text"], None)
    answer(None, "rows.txt")
    assert seen == [True, True, False, False]
    monkeypatch.undo()
    with pytest.raises(ModelError):
        answer(["a text"], None)  # of no model
    look()
    assert not seen[-1]
