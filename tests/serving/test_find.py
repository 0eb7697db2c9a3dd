"""Where models are looked for, and what their cards say."""

from __future__ import annotations

import pytest
import tensorflow as tf

from seqpipe.errors import DataError, ModelError
from seqpipe.serving.find import describe_signatures, find_model, pipeline_of, read_card
from seqpipe.serving.model import load


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


def test_find_knows_what_lies_beside_the_directory_that_one_stands_in(tmp_path, monkeypatch):
    for version in ("1", "2"):
        (tmp_path / "mine" / version).mkdir(parents=True)
        (tmp_path / "mine" / version / "saved_model.pb").touch()
    monkeypatch.chdir(tmp_path / "mine" / "1")
    assert find_model(".") == tmp_path / "mine" / "1"
    assert find_model("..") == tmp_path / "mine" / "2"


def test_find_names_a_run_that_was_not_exported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"nor the name of a model\. Known"):
        find_model("mine")
    (tmp_path / "runs" / "mine" / "pipeline.yaml").touch()
    with pytest.raises(ModelError, match=r"runs/mine is a run whose model was not exported: seqpipe export FILE"):
        find_model("mine")


def test_find_of_a_text_in_place_of_a_model_says_that_it_is_no_name():
    with pytest.raises(DataError, match=r"'a film a film [^']*' cannot be looked up: File name too long"):
        find_model("a film " * 60)


def test_find_takes_a_head_of_no_facts_for_none(tmp_path):
    (tmp_path / "card.md").write_text("---\nA rule, and no facts\n---\n# Mine\n")
    assert read_card(tmp_path) == {}


def test_find_names_the_file_of_a_model_that_is_damaged(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"half")
    (tmp_path / "card.md").write_text("---\ntask: [\n---\n# Mine\n")
    for damage in ("", "data: [", "a word"):
        (tmp_path / "pipeline.yaml").write_text(damage)
        with pytest.raises(ModelError, match=r"pipeline\.yaml is damaged: it is no YAML of keys"):
            pipeline_of(tmp_path)
    for call, name in ((read_card, "card.md"), (describe_signatures, "saved_model.pb"), (find_model, "parity.json")):
        (tmp_path / "parity.json").write_text('{"format": 1' if call is find_model else "{}")
        with pytest.raises(ModelError, match=f"{name} is damaged: "):
            call(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelError, match="it holds no whole SavedModel"):
        describe_signatures(tmp_path)


def test_load_says_that_variables_are_cut_short(tmp_path):
    module = tf.Module()
    module.weights = tf.Variable(tf.ones([1000]))
    tf.saved_model.save(module, str(tmp_path))
    (tmp_path / "variables" / "variables.data-00000-of-00001").write_bytes(b"half")
    with pytest.raises(ModelError, match="cannot be loaded: "):
        load(tmp_path)
