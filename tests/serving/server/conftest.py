"""A model that tests of the server share."""

from __future__ import annotations

import pytest
from lengths_model import publish


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The directory of a model in one version."""
    directory = tmp_path_factory.mktemp("models") / "lengths"
    directory.mkdir()
    publish(directory, 1)
    return directory
