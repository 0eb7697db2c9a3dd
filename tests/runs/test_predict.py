"""What `seqpipe predict` does around a model."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import tensorflow as tf

from seqpipe.errors import ModelError
from seqpipe.runs import predict


def test_predict_optimizes_graphs_for_many_rows_alone(monkeypatch):
    seen = []
    reads = SimpleNamespace(from_word=str, from_file=lambda path, **_: [path])

    def look(*_, **__):
        seen.append(tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False))
        return SimpleNamespace(input=reads)

    def answer(words, source):
        wanted = SimpleNamespace(horizon=None)
        predict.predict("m", words, source, column=None, encoding="utf-8", wanted=wanted, out=None, err=None)

    monkeypatch.setattr(predict, "load", look)
    monkeypatch.setattr(predict, "_show", look)
    answer(["a text"], None)
    answer(None, "rows.txt")
    assert seen == [True, True, False, False]
    monkeypatch.undo()
    with pytest.raises(ModelError):
        answer(["a text"], None)  # of no model
    look()
    assert not seen[-1]
