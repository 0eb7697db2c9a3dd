"""What the documentation shows is run: code blocks are copied out of the pages."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import sys
from pathlib import Path

import pytest
from finished import quick_proof

import seqpipe
from seqpipe import tasks
from seqpipe.runs.run import open_run

ROOT = Path(__file__).parent.parent


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def test_docs_adding_a_task_works_as_written(tmp_path, monkeypatch):
    code, _ = blocks("docs/adding_a_task.md", "python")
    (pipeline,) = blocks("docs/adding_a_task.md", "yaml")
    (tmp_path / "text_regression.py").write_text(code)
    (tmp_path / "stars.yaml").write_text(pipeline)
    rng = random.Random(1)
    for split, count in (("train", 400), ("dev", 60)):
        with (tmp_path / f"{split}.jsonl").open("w") as file:
            for _ in range(count):
                stars = rng.randrange(5)
                words = ["good"] * stars + ["film"] * rng.randrange(1, 5)
                rng.shuffle(words)
                file.write(json.dumps({"text": " ".join(words), "stars": stars}) + "\n")
    spec = importlib.util.spec_from_file_location("text_regression", tmp_path / "text_regression.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "text_regression", module)
    spec.loader.exec_module(module)
    registered = tasks.Registered(module.Pipeline, "text_regression:TextRegression")
    monkeypatch.setitem(tasks.TASKS, "text_regression", registered)
    monkeypatch.chdir(tmp_path)
    with quick_proof(), open_run(tasks.load_pipeline("stars.yaml").config, say=lambda line: None) as run:
        path = run.all()
        assert run._report()["absolute_error"] < 0.5 < run._report()["baseline"]
    answers = seqpipe.load(path)(["film film", "good good good good film"])
    assert answers[0]["value"] < 1 < 3 < answers[1]["value"]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/adding_a_task.md"])
def test_docs_name_files_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for name in re.findall(r"`((?:seqpipe|tests|docs|pipelines|tools|benchmarks)/[\w./]+\.\w+)`", text):
        if name not in ("seqpipe/tasks/text_regression.py", "pipelines/stars.yaml"):
            assert (ROOT / name).exists(), name


def test_docs_pipelines_load_and_say_how_they_are_run():
    for file in sorted((ROOT / "pipelines").glob("*.yaml")):
        lines = file.read_text().splitlines()
        command = f"# seqpipe run pipelines/{file.name}"
        assert lines[0] in (command, f"{command} --seeds 3")
        assert lines[1] == "# yaml-language-server: $schema=../docs/pipeline.schema.json"
        assert tasks.load_pipeline(file).config.name == file.stem


def test_docs_readme_code_runs(monkeypatch, capsys):
    if not (ROOT / "saved_models" / "sentiment_en").is_dir():
        pytest.skip("the released model is not in this checkout")
    monkeypatch.chdir(ROOT)
    code = blocks("README.md", "python")
    assert len(code) == 4
    names: dict[str, object] = {}
    for block in code:
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "'label': 'positive'" in printed
    assert "[b'positive']" in printed


def test_docs_readme_table_is_what_its_command_writes():
    spec = importlib.util.spec_from_file_location("results_table", ROOT / "tools" / "results_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert module.with_table(readme) == readme, "run python tools/results_table.py"
