"""Released models, as whoever clones the repository finds them."""

from __future__ import annotations

from pathlib import Path

import fresh
import pytest

ROOT = Path(__file__).parent.parent
NAMES = [
    line.removeprefix("!/saved_models/")
    for line in (ROOT / ".gitignore").read_text().splitlines()
    if line.startswith("!/saved_models/")
]
RELEASED = sorted(path.parent for name in NAMES for path in (ROOT / "saved_models" / name).glob("*/model.keras"))
SCRIPT = """
import sys
import keras
import seqpipe.layers
for path in sys.argv[1:]:
    print(keras.models.load_model(path).count_params())
"""


def test_released_keras_models_load_with_the_layers_alone(tmp_path):
    assert {path.parent.name for path in RELEASED} == set(NAMES)
    (tmp_path / "load.py").write_text(SCRIPT)
    done = fresh.run(tmp_path / "load.py", *(str(path / "model.keras") for path in RELEASED))
    assert done.returncode == 0, done.stderr
    counted = list(map(int, done.stdout.split()))
    said = [
        int(line.removeprefix("parameters: "))
        for path in RELEASED
        for line in (path / "card.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("parameters: ")
    ]
    assert counted == said


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.parent.name)
def test_released_models_are_of_one_version_and_small(path):
    assert len(list(path.parent.iterdir())) == 1
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < 17_000_000
