from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from seqpipe.errors import RunError
from seqpipe.evaluation import metrics, pictures
from seqpipe.evaluation.measures import ACCURACY, LOSS, Measure

BLEU = Measure("bleu", "BLEU")

HISTORY = [
    row
    for epoch in range(3)
    for row in (
        *({"epoch": epoch, "step": step, "loss": 1 / (1 + epoch + step / 400)} for step in range(400)),
        {
            "epoch": epoch,
            "loss": 1 / (epoch + 1),
            "dev_loss": 0.5 + epoch,
            "dev_accuracy": 0.5,
            "best_epoch": 0,
        },
    )
]


def _is_picture(path) -> bool:
    """A PNG with ink on white, of at least 600 x 400 points at 150 dpi, and nothing left beside it."""
    image = imread(path)
    height, width = image.shape[:2]
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return width >= 600 and height >= 400 and image[..., :3].max() == 1 and image[..., :3].std() > 0.02


@pytest.mark.parametrize(
    "classes",
    [
        ["only"],
        ["bad", "good"],
        ["好", "坏", "中"],
        ["$a$_b", "$\\nope$", "tab\tnewline\n", "", "a name that is much longer than a picture has room for"],
        [f"class {index}" for index in range(30)],
        [f"class {index}" for index in range(70)],
    ],
    ids=["one", "two", "chinese", "hostile", "30", "70"],
)
def test_pictures_confusion_matrix_draws_any_classes_without_a_warning(tmp_path, caplog, classes):
    matrix = np.random.default_rng(1).integers(0, 2000, (len(classes), len(classes)))
    path = pictures.confusion_matrix(matrix, classes, tmp_path / "confusion.png", "dev: $5 or 好")
    assert path == tmp_path / "confusion.png"
    assert _is_picture(path)
    assert not caplog.records


def test_pictures_confusion_matrix_of_a_class_without_rows(tmp_path):
    assert _is_picture(pictures.confusion_matrix([[3, 0], [0, 0]], ["a", "b"], tmp_path / "c.png", "dev"))


def test_pictures_names_are_short_lines_or_indices():
    assert pictures._tick_names(["good", "two\nlines", "é"]) == ["good", "two lines", "é"]
    assert pictures._tick_names(["good", "好"]) == ["0", "1"]
    assert pictures._tick_names(["x" * 40]) == ["x" * 21 + "…"]


@pytest.mark.parametrize(("rows", "classes"), [(1, 2), (400, 2), (400, 12), (3, 1)])
def test_pictures_reliability_diagram(tmp_path, rows, classes):
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(size=(rows, classes)), rng.integers(0, classes, rows)
    certain = np.eye(classes)[logits.argmax(axis=1)]
    for after in (metrics.softmax(logits), None):
        assert _is_picture(pictures.reliability_diagram(certain, after, labels, tmp_path / "reliability.png"))


@pytest.mark.parametrize(
    "history",
    [
        HISTORY,
        [{"epoch": 0, "loss": 0.5, "dev_loss": 0.4, "dev_accuracy": 1.0, "best_epoch": 0}],
        [{"epoch": 0, "loss": 0.5}, {"epoch": 1, "loss": 0.4, "dev_loss": None}],
        [{"epoch": 0, "loss": float("nan"), "dev_loss": 0.4, "dev_accuracy": 0.0, "best_epoch": None}],
    ],
    ids=["three", "one", "no dev", "nan"],
)
def test_pictures_learning_curves(tmp_path, history):
    assert _is_picture(pictures.learning_curves(history, tmp_path / "learning.png", [ACCURACY]))


def test_pictures_learning_curves_ring_the_kept_epoch(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: drawn.append(figure) or path)
    pictures.learning_curves(HISTORY, tmp_path / "learning.png", [ACCURACY])
    left, right = drawn[0].axes
    assert left.get_title(loc="left") == "loss: 0.500 on dev in epoch 1, kept"
    assert right.get_title(loc="left") == "dev accuracy: 50.00 % in epoch 1, kept"
    steps, training, dev, ring = left.lines
    assert (len(steps.get_xdata()), steps.get_xdata()[-1]) == (300, pytest.approx(3, abs=0.01))
    assert list(training.get_xdata()) == list(dev.get_xdata()) == [1, 2, 3]
    assert (list(ring.get_xdata()), list(ring.get_ydata())) == ([1], [0.5])


@pytest.mark.parametrize("history", [[], [{"epoch": 0, "step": 0, "loss": 1.0}]])
def test_pictures_learning_curves_need_a_finished_epoch(tmp_path, history):
    with pytest.raises(ValueError, match="no finished epoch"):
        pictures.learning_curves(history, tmp_path / "learning.png", [ACCURACY])


def test_pictures_are_equal_files_and_replace_the_old_one(tmp_path):
    path = tmp_path / "c.png"
    path.write_bytes(b"old")
    first = pictures.confusion_matrix([[3, 1], [0, 2]], ["a", "b"], path, "dev").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert pictures.confusion_matrix([[3, 1], [0, 2]], ["a", "b"], path, "dev").read_bytes() == first


def test_pictures_keep_the_old_file_when_drawing_fails(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def half(self, file, **settings):
        file.write(b"half")
        raise OSError("the device is gone")

    (tmp_path / "c.png").write_bytes(b"old")
    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(RunError, match="the device is gone"):
        pictures.confusion_matrix([[1]], ["a"], tmp_path / "c.png", "dev")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"c.png": b"old"}


def test_pictures_touch_no_pyplot_and_importing_evaluation_needs_no_heavy_library(tmp_path):
    code = (
        "import sys\n"
        "import seqpipe.evaluation.classification, seqpipe.tasks.text_classification.baseline\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from seqpipe.evaluation import pictures\n"
        f"pictures.learning_curves([{{'epoch': 0, 'loss': 1.0}}], {str(tmp_path / 'l.png')!r}, [])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("measures", "titles"),
    [
        ([LOSS, BLEU], ["loss: 2.500 on dev in epoch 3, kept", "dev BLEU: 40.00 in epoch 3, kept"]),
        ([ACCURACY], ["loss: 2.500 on dev in epoch 3, kept"]),
    ],
)
def test_pictures_learning_curves_draw_the_first_measure_that_epochs_hold(tmp_path, monkeypatch, measures, titles):
    history = [{"epoch": n, "loss": 3.0 - n, "dev_loss": 2.5, "dev_bleu": 20.0 * n, "best_epoch": n} for n in range(3)]
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: drawn.append(figure) or path)
    pictures.learning_curves(history, tmp_path / "curves.png", measures)
    assert [axes.get_title(loc="left") for axes in drawn[0].axes] == titles
