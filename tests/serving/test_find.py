"""Where models are looked for, and what their cards say."""

from __future__ import annotations

import pytest

from seqpipe.errors import ModelError
from seqpipe.serving.find import find_model, read_card


def test_find_passes_over_a_folder_of_the_name_that_holds_no_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQPIPE_MODELS", str(tmp_path / "saved_models"))
    (tmp_path / "mine").mkdir()
    with pytest.raises(ModelError, match=r"^mine holds no model: there is no saved_model\.pb in it"):
        find_model("mine")
    for version in ("2", "10"):
        (tmp_path / "saved_models" / "mine" / version).mkdir(parents=True)
        (tmp_path / "saved_models" / "mine" / version / "saved_model.pb").touch()
    assert find_model("mine") == tmp_path / "saved_models" / "mine" / "10"
    (tmp_path / "mine" / "saved_model.pb").touch()
    assert find_model("mine").resolve() == tmp_path / "mine"


def test_find_takes_a_head_of_no_facts_for_none(tmp_path):
    (tmp_path / "card.md").write_text("---\nA rule, and no facts\n---\n# Mine\n")
    assert read_card(tmp_path) == {}
