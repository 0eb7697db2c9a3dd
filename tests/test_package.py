"""The wheel holds what the package needs, and runs from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_package_wheel_runs_outside_the_checkout(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = set(archive.namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "seqpipe").rglob("*.py")}
    assert modules <= names
    assert not [name for name in names if name.startswith(("tests/", "saved_models/", "runs/"))]
    done = subprocess.run(
        [sys.executable, "-c", "import seqpipe.cli; print(seqpipe.__file__); seqpipe.cli.main()", "schema"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path / "site"))
    assert '"text_classification"' in done.stdout
