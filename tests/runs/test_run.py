"""A run directory: begun afresh, shared with other workers, and asked again once it is finished."""

from __future__ import annotations

import json
import shutil
import sys
from types import SimpleNamespace

import pytest
import yaml

from pipelines import SHOPS, write_tiny
from seqpipe.errors import RunError
from seqpipe.runs import run as runs
from seqpipe.runs.run import Run, open_run
from seqpipe.tasks import load_pipeline


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


LABELLED = (("fine", "positive"), ("sad", "negative"))


def quiet(line):
    pass


def test_run_fresh_empties_the_directory_that_a_link_leads_to(here):
    config = load_pipeline(write_tiny(here)).config
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    (here / "runs").mkdir()
    (here / "runs" / "tiny").symlink_to(elsewhere)
    with open_run(config, say=quiet) as run:
        run._finish("train", {"summary": "done"})
    with open_run(config, say=quiet, fresh=True) as run:
        assert not run.finished("train")
    assert (here / "runs" / "tiny").is_symlink()
    assert json.loads((elsewhere / "state.json").read_text())["steps"] == {}


@pytest.mark.parametrize("step", ["train", "evaluate", "all"])
def test_run_that_is_finished_is_refused_once_its_data_changed(here, step):
    rows = ["text,label", *(f"a {word} film no. {i},{label}" for i in range(9) for word, label in LABELLED)]
    (here / "mine.csv").write_text("\n".join([*rows, ""]))
    config = load_pipeline(write_tiny(here, data__train="files:mine.csv")).config
    with open_run(config, say=quiet) as run:
        _ = run.findings
        run._finish("features", {"data_key": run.task.data_key()})
        for name in ("train", "evaluate", "export"):
            run._finish(name, {"summary": "done", "path": str(here)})
    (here / "mine.csv").write_text("\n".join([*rows, "a dull film,negative", ""]))
    with (
        open_run(config, say=quiet) as run,
        pytest.raises(RunError, match=r"The data is no longer what the run in runs/tiny was started with\."),
    ):
        getattr(run, step)()


def test_run_workers_read_the_examples_that_the_chief_makes(here, monkeypatch):
    config = load_pipeline(write_tiny(here)).config
    with open_run(config, say=quiet) as run:
        rows = len(run.prepare()["train"])
        shutil.rmtree(here / "runs" / "tiny" / "examples")
        waited = []

        def wait_for(condition, what):
            waited.append(what)
            if not condition():
                run.prepare()
            assert condition()

        monkeypatch.setattr(runs, "wait_for", wait_for)
        worker = Run(config, say=quiet, chief=False)
        made = worker.prepare()
    assert len(made["train"]) == rows
    splits = [f"make the examples of {split}" for split in ("train", "dev", "test")]
    assert waited == ["prepare features and examples", *splits]


def test_run_worker_with_other_data_than_the_chief_says_so(here, monkeypatch):
    config = load_pipeline(write_tiny(here)).config
    worker = Run(config, say=quiet, chief=False)

    def wait_for(condition, what):
        assert not condition()
        run._finish("features", {"data_key": "of other rows"})
        assert condition()

    monkeypatch.setattr(runs, "wait_for", wait_for)
    with (
        open_run(config, say=quiet) as run,
        pytest.raises(RunError, match=r"The data that this worker reads is not the first one's, whose run is in runs/"),
    ):
        worker.prepare()


def test_run_evaluates_what_is_trained_once_more_on_no_machine_alone(here, monkeypatch):
    cluster = {"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    (here / "tiny.yaml").write_text(yaml.safe_dump(SHOPS))
    with open_run(load_pipeline("tiny.yaml").config, say=quiet) as run:
        run._finish("train", {"summary": "done"})
        with pytest.raises(RunError, match=r"runs/tiny holds no finished training\. Run `seqpipe train` first"):
            run.evaluate()


def test_run_workers_of_a_finished_training_are_done(here, monkeypatch):
    config = load_pipeline(write_tiny(here)).config
    with open_run(config, say=quiet) as run:
        run._finish("train", {"summary": "done"})
    monkeypatch.setattr(Run, "prepare", None)  # which would wait for the chief, too
    monkeypatch.setitem(sys.modules, "seqpipe.training.loop", SimpleNamespace(Trainer=None))
    worker = Run(config, say=quiet, chief=False)
    worker.train()
    assert worker.finished("train")


def test_run_evaluates_anew_when_rows_that_only_evaluation_reads_change(here):
    def write(last):
        (here / "shop.tsv").write_text(f"text\tlabel\nthe kettle is fine\tpositive\n{last}\n")

    write("it broke\tnegative")
    file = write_tiny(here, evaluation__other_domains={"kettles": {"source": "files:shop.tsv"}})
    said = []
    with open_run(load_pipeline(file).config, say=said.append) as run:
        (run.directory / "report").mkdir()
        (run.directory / "report" / "report.json").write_text('{"kept": true}')
        run._finish("evaluate", {"summary": "good"})  # as older versions did
        assert run.evaluate() == {"kept": True}
        run._finish("evaluate", {"summary": "good", "rows_key": run.task.evaluation_key()})
        run._finish("export", {"path": "somewhere"})
        assert run.evaluate() == {"kept": True}
        for last in ("it broke\tpositive", "it broke twice\tnegative", "a line without a label"):
            write(last)
            with pytest.raises(RunError, match="holds no finished training"):
                run.evaluate()
            assert said[-1] == "Rows that only evaluation reads are others now; evaluating again"
        assert not run.finished("export")
