"""An artefact on disk: DIRECTORY/NAME/VERSION with a SavedModel and what lies beside it."""

from __future__ import annotations

from pathlib import Path

FORMAT = 1  # of an artefact's directory; a reader refuses a higher one


def versions(directory: Path) -> list[Path]:
    """The published versions in DIRECTORY/NAME, lowest first."""
    found = [path for path in directory.glob("*") if path.name.isdecimal() and (path / "saved_model.pb").is_file()]
    return sorted(found, key=lambda path: int(path.name))


def next_version(directory: Path) -> int:
    """One more than the highest number in DIRECTORY/NAME, whole model or not; at least 1."""
    taken = [int(path.name) for path in directory.glob("*") if path.name.isdecimal()]
    return max(taken, default=0) + 1
