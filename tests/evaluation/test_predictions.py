from __future__ import annotations

import numpy as np

from seqpipe.evaluation.predictions import Predictions


def test_predictions_are_read_as_they_were_written(tmp_path):
    logits = np.array([[0.5, -1.0], [2.0, 3.0]], np.float64)
    Predictions(logits, np.array([0, 0]), "key").write(tmp_path / "dev")
    found = Predictions.read(tmp_path / "dev")
    assert found.logits.dtype == np.float32
    np.testing.assert_array_equal(found.logits, logits)
    assert found.rows_key == "key"
    assert found.correct.tolist() == [True, False]
    assert [path.name for path in (tmp_path / "dev").iterdir()] == ["predictions.npz"]


def test_predictions_that_were_not_kept_are_none(tmp_path):
    assert Predictions.read(tmp_path) is None
