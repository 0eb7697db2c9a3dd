from __future__ import annotations

import pytest
from matplotlib.image import imread

from seqpipe.evaluation import comparison_pictures as pictures
from seqpipe.evaluation.measures import ACCURACY, LOSS, Measure


def epochs(*figures):
    best = max(range(len(figures)), key=lambda i: figures[i])
    return [
        {"epoch": i, "dev_accuracy": figure, "dev_loss": 1 - figure, "best_epoch": best}
        for i, figure in enumerate(figures)
    ]


def is_picture(path):
    image = imread(path)
    return image.shape[0] >= 200 and image.shape[1] >= 600 and image[..., :3].std() > 0.02


@pytest.mark.parametrize("monitor", [ACCURACY, LOSS], ids=["accuracy", "loss"])
def test_comparison_pictures_of_runs_and_seeds(tmp_path, caplog, monitor):
    curves = [
        ("$a$_好", [epochs(0.5, 0.7, 0.6), epochs(0.55, 0.6)]),
        *((f"run {i}", [epochs(0.5 + i / 40)]) for i in range(12)),
    ]
    assert is_picture(pictures.learning_curves(curves, monitor, tmp_path / "curves.png"))
    assert not caplog.records


@pytest.fixture
def drawn(monkeypatch):
    figures = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: figures.append(figure) or path)
    return figures


def test_comparison_pictures_of_seeds_have_their_mean_and_each_run_its_kept_epoch(tmp_path, drawn):
    curves = [("a", [epochs(0.5, 0.75, 0.625), epochs(0.5, 0.25)]), ("b", [epochs(0.125)])]
    pictures.learning_curves(curves, ACCURACY, tmp_path / "curves.png")
    axes = drawn[0].axes[0]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines] == [
        ([1, 2, 3], [0.5, 0.75, 0.625]),
        ([2], [0.75]),
        ([1, 2], [0.5, 0.25]),
        ([1], [0.5]),
        ([1, 2], [0.5, 0.5]),
        ([1], [0.125]),
        ([1], [0.125]),
    ]
    first, *rest = [line.get_color() for line in axes.lines]
    assert [colour == first for colour in rest] == [True] * 4 + [False] * 2
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["a, mean of 2 seeds", "b"]
    assert axes.get_xlim()[0] < 1
    assert 3 < axes.get_xlim()[1] < 4


def test_comparison_pictures_of_differences_are_grey_where_the_interval_holds_zero(tmp_path, drawn):
    bounds = [(0.0, 0.2), (-0.2, 0.0), (0.1, 0.2), (-0.2, -0.1)]
    rows = [(f"{low}", 0, {"value": (low + high) / 2, "low": low, "high": high}) for low, high in bounds]
    pictures.differences(rows, "b", "dev", LOSS, tmp_path / "d.png")
    axes = drawn[0].axes[0]
    assert [line.get_color() == pictures.GREY for line in axes.lines[1::2]] == [True, True, False, False]
    assert [list(line.get_ydata()) for line in axes.lines[1::2]] == [[place, place] for place in range(4)]
    assert axes.get_ylim() == (3.5, -0.5)  # the first above


def test_comparison_pictures_of_differences(tmp_path, caplog):
    rows = [
        ("$a$_好", 0, {"value": 0.02, "low": 0.01, "high": 0.03}),
        ("b", 9, {"value": 0.0, "low": -0.1, "high": 0.1}),
    ]
    assert is_picture(pictures.differences(rows, "$c$", "dev", ACCURACY, tmp_path / "differences.png"))
    assert not caplog.records


def test_comparison_pictures_of_differences_say_unit_and_direction(tmp_path, drawn):
    rows = [("a", 0, {"value": -0.2, "low": -0.3, "high": -0.1})]
    error = Measure("error", "mean absolute error", higher_is_better=False, unit="stars")
    for measure in (ACCURACY, error):
        pictures.differences(rows, "b", "dev", measure, tmp_path / "d.png")
    first, second = (figure.axes[0] for figure in drawn)
    assert first.get_xlabel().startswith("points,")
    assert first.get_xlabel().endswith("right is better")
    assert [list(line.get_xdata()) for line in first.lines[1:]] == [[-30.0, -10.0], [-20.0]]
    assert second.get_xlabel().startswith("stars,")
    assert second.get_xlabel().endswith("left is better")
    assert second.get_title(loc="left") == "dev mean absolute error minus that of b"
    assert [list(line.get_xdata()) for line in second.lines[1:]] == [[-0.3, -0.1], [-0.2]]


def test_comparison_pictures_tell_many_apart():
    assert len({str(pictures.style(number)) for number in range(28)}) == 28
