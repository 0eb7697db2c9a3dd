"""Sources of TensorFlow Datasets: prepared here, split, versioned, or impossible to prepare."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import pytest
from read_sources import BOTH, TEXT, message, read, values

from seqpipe.data.sources import read_rows
from seqpipe.errors import DataError
from seqpipe.sound.recordings import Bad, Recording, read_recordings

BUILDER = """
import numpy as np
import tensorflow_datasets as tfds

class TinyReviews(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({
            "text": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=["neg", "pos"]),
            "stars": np.int64,
            "picture": tfds.features.Image(shape=(2, 2, 3)),
        }))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(20), "test": self._generate_examples(4)}

    def _generate_examples(self, count):
        for i in range(count):
            text = b"bad \\xff" if i == 3 else f"Film {i}: très bien"
            label = -1 if i == 2 else i % 2
            yield i, {"text": text, "label": label, "stars": i, "picture": np.zeros((2, 2, 3), np.uint8)}

class TinyPairs(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.Translation(["en", "fr"]))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i in range(3):
            yield i, {"en": f"Film {i}", "fr": f"Un film {i}"}

class TinyWords(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({
            "audio": tfds.features.Audio(sample_rate=8000),
            "label": tfds.features.ClassLabel(names=["no", "yes"]),
        }))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        wave = np.round(8000 * np.sin(2 * np.pi * 200 * np.arange(4000) / 8000)).astype(np.int64)
        for i in range(3):
            yield i, {"audio": wave, "label": i - 1}

class FarReviews(TinyReviews):
    VERSION = tfds.core.Version("1.0.0")

    def _split_generators(self, dl_manager):
        return {"train": dl_manager.download("http://localhost:1/none.zip")}

class OddReviews(TinyReviews):
    url_infos = None

    def _split_generators(self, dl_manager):
        raise AssertionError("Put the files there\\nyourself, " + 400 * "please, ")
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with a small prepared data set, and its builder imported."""
    folder = tmp_path_factory.mktemp("tfds")
    (folder / "tiny_reviews_builder.py").write_text(BUILDER)
    (folder / "checksums.tsv").write_text(f"http://localhost:1/none.zip\t9\t{'0' * 64}\tnone.zip\n")
    sys.path.insert(0, str(folder))
    module = importlib.import_module("tiny_reviews_builder")
    sys.path.remove(str(folder))
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    for builder in (module.TinyReviews, module.TinyPairs, module.TinyWords):
        builder(data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture
def tfds_folder(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    return prepared


@pytest.mark.usefixtures("tfds_folder")
def test_tfds_reads_names_of_classes_and_decoded_text():
    rows = read("tfds:tiny_reviews")
    assert len(rows) == 20
    good = [row for _, row in rows if isinstance(row, dict)]
    assert values("Film 7: très bien", "pos") in good
    assert values("Film 6: très bien", "neg") in good
    bad = {reason for _, reason in rows if isinstance(reason, str)}
    assert bad == {"the label -1 is none of the 2 classes", "byte 4 of the text (0xff) is not utf-8"}
    assert rows[0][0] == "tfds:tiny_reviews/train:1"
    assert read("tfds:tiny_reviews") == rows


@pytest.mark.usefixtures("tfds_folder")
def test_tfds_recordings_are_brought_to_the_usual_rate():
    rows = list(read_recordings("tfds:tiny_words", "train"))
    good = sorted((row for row in rows if isinstance(row, Recording)), key=lambda row: row.folder)
    assert [row.folder for row in good] == ["no", "yes"]
    expected = 8000 * np.sin(2 * np.pi * 200 * np.arange(8000) / 16_000)
    np.testing.assert_allclose(good[0].samples[500:-500], expected[500:-500], atol=20)
    (bad,) = (row for row in rows if isinstance(row, Bad))
    assert bad.text.endswith("has the label -1, which is none of the 2 classes")


@pytest.mark.usefixtures("tfds_folder")
def test_tfds_splits_and_versions():
    assert len(read("tfds:tiny_reviews?split=train[:40%]")) == 8
    assert len(read("tfds:tiny_reviews:1.0.0?split=train[10:]+test")) == 14
    rows = read_rows("tfds:tiny_reviews", columns=TEXT, role="test")
    assert [row.file for row in rows] == ["tfds:tiny_reviews/test"] * 4
    stars = read("tfds:tiny_reviews?split=test", {"text": "text", "label": "stars"})
    assert sorted(row["label"] for _, row in stars if isinstance(row, dict)) == ["0", "1", "2"]


@pytest.mark.usefixtures("tfds_folder")
def test_tfds_translations_are_columns_by_language():
    rows = read_rows("tfds:tiny_pairs", columns={"source": "en", "target": "fr"}, role="train")
    assert sorted(tuple(row.values.values()) for row in rows) == [(f"Film {n}", f"Un film {n}") for n in range(3)]


@pytest.mark.usefixtures("tfds_folder")
def test_tfds_unknown_split():
    with pytest.raises(DataError) as caught:
        read_rows("tfds:tiny_reviews", columns=BOTH, role="dev")
    assert str(caught.value) == (
        'tfds:tiny_reviews: "validation" is not a split. Allowed: train, test. '
        "A part may be named too: tfds:tiny_reviews?split=train[90%:]"
    )
    assert '"trian[:9]" is not a split. Allowed: train, test.' in message("tfds:tiny_reviews?split=trian[:9]")


@pytest.mark.usefixtures("tfds_folder")
def test_tfds_unknown_column_or_kind():
    assert message("tfds:tiny_reviews", {"text": "texts"}) == (
        'tfds:tiny_reviews: "texts" is not a column. Allowed: text, label, stars, picture. Did you mean text?'
    )
    assert message("tfds:tiny_reviews", {"text": "picture"}) == (
        "tfds:tiny_reviews: the feature picture is of kind Image, not a text or a label."
    )
    assert message("tfds:tiny_reviews?splits=train") == (
        'tfds:tiny_reviews?splits=train: "splits" is not a key. Allowed: split. Did you mean split?'
    )


def test_tfds_unknown_name(tfds_folder):
    text = message("tfds:imdb_review")
    assert text.startswith("tfds:imdb_review: TensorFlow Datasets ")
    assert text.endswith(
        f" knows no data set of this name, and none is prepared in {tfds_folder} (TFDS_DATA_DIR)."
        " Did you mean imdb_reviews?"
    )


def test_tfds_unknown_version(tfds_folder):
    text = message("tfds:tiny_reviews:7.0.0")
    assert text.startswith(
        f"tfds:tiny_reviews:7.0.0 is not prepared (looked in {tfds_folder}; TFDS_DATA_DIR names another) and cannot be:"
    )
    assert text.endswith(". A local file may be named instead: files:PATH")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("far_reviews", "its files are at localhost, which cannot be reached."),
        ("odd_reviews", f"Put the files there yourself, {'please, ' * 40}"[:297] + " [...]."),
    ],
)
def test_tfds_cannot_be_prepared(tfds_folder, monkeypatch, capfd, name, reason):
    monkeypatch.setattr("seqpipe.data.sources.getproxies", dict)
    text = message(f"tfds:{name}")
    assert text == (
        f"tfds:{name} is not prepared (looked in {tfds_folder}/{name}; TFDS_DATA_DIR names another) and cannot be: "
        f"{reason} A local file may be named instead: files:PATH"
    )
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_tfds_reads_prepared_data_without_its_builder(tfds_folder):
    code = (
        "from seqpipe.data.sources import read_rows; "
        "print(len(list(read_rows('tfds:tiny_reviews', columns={'text': 'text'}, role='train'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "20"
