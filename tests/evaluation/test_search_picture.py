from __future__ import annotations

import pytest
from matplotlib.image import imread

from seqpipe.evaluation.search_picture import Trial, search


def trials(count, **values):
    return [
        Trial(i, {"a.rate": 10.0 ** -(i % 4), "a.kind": f"$k$ 好{i % 3}", **values}, i / 40, i % 5 == 4)
        for i in range(count)
    ]


@pytest.mark.parametrize(
    ("tried", "monitor"),
    [
        (trials(1), "accuracy"),
        (trials(20, **{f"b.k{i}": i for i in range(12)}), "accuracy"),
        (trials(20, flag=None), "loss"),
        ([Trial(0, {"a.rate": 0.1}, 0.5, True)], "accuracy"),
    ],
    ids=["one", "many keys", "loss", "all pruned"],
)
def test_search_picture_draws_any_search_without_a_warning(tmp_path, caplog, tried, monitor):
    importances = {key: 1 / len(tried[0].values) for key in tried[0].values} if len(tried) > 8 else {}
    path = search(tried, monitor=monitor, importances=importances, logarithmic=["a.rate"], path=tmp_path / "s.png")
    image = imread(path)
    assert image.shape[0] >= 600
    assert image[..., :3].std() > 0.02
    assert not caplog.records
