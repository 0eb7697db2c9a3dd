"""What the documentation shows is run: code blocks are copied out of the pages."""

from __future__ import annotations

import importlib.util
import json
import random
import re
from pathlib import Path

import pytest
from finished import quick_proof
from typer.testing import CliRunner

import seqpipe
from seqpipe import tasks
from seqpipe.cli import app

ROOT = Path(__file__).parent.parent


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def write_stars(directory: Path) -> None:
    """Texts whose number is how often they say good."""
    rng = random.Random(1)
    for split, count in (("train", 400), ("dev", 60), ("later", 40)):
        with (directory / f"{split}.jsonl").open("w") as file:
            for _ in range(count):
                stars = rng.randrange(5)
                words = ["good"] * stars + ["film"] * rng.randrange(1, 5)
                rng.shuffle(words)
                file.write(json.dumps({"text": " ".join(words), "stars": stars}) + "\n")


@pytest.fixture(scope="module")
def example_task(tmp_path_factory):
    """The page's task, from the places it names and no others, and a directory in which it has run."""
    directory = tmp_path_factory.mktemp("example")
    config, task, _ = blocks("docs/adding_a_task.md", "python")
    (pipeline,) = blocks("docs/adding_a_task.md", "yaml")
    folder = directory / "tasks" / "text_regression"
    folder.mkdir(parents=True)
    (folder / "config.py").write_text(config)
    (folder / "task.py").write_text(task)
    (directory / "stars.yaml").write_text(pipeline)
    write_stars(directory)
    with pytest.MonkeyPatch.context() as patch, quick_proof():
        patch.setattr(tasks, "__path__", [*tasks.__path__, str(directory / "tasks")])
        patch.setitem(tasks.TASKS, "text_regression", "TextRegression")
        patch.chdir(directory)
        runner = CliRunner()

        def seqpipe_command(*arguments: str) -> str:
            done = runner.invoke(app, arguments, catch_exceptions=False)
            assert done.exit_code == 0, done.output
            return done.output

        yield seqpipe_command


def test_docs_adding_a_task_runs_and_compares_seeds(example_task):
    said = example_task("run", "stars.yaml", "--seeds", "2")
    assert "dev mean absolute error over 2 seeds" in said
    report = json.loads(Path("runs/stars-seed1/report/report.json").read_text())["splits"]["dev"]
    assert report["measures"]["absolute_error"]["value"] < 0.5 < report["baseline"]
    summary = json.loads(Path("runs/stars-seeds.json").read_text())
    best = min(summary["runs"], key=lambda run: run["dev"])
    assert summary["chosen"] == best["seed"], "an error is better the lower it is"
    example_task(
        "run", "stars.yaml", "--set", "name=narrow", "--set", "model.recurrent.units=2", "--set", "training.epochs=2"
    )
    compared = example_task("compare", "stars-seed1", "narrow")
    assert "Mean absolute error: lower is better" in compared


def test_docs_adding_a_task_predicts_and_evaluates(example_task):
    answers = seqpipe.load("stars")(["film film", "good good good good film"])
    assert answers[0]["value"] < 1 < 3 < answers[1]["value"]
    line = example_task("predict", "stars", "good good good good film").splitlines()[-1]
    assert line.split()[0] == f"{answers[1]['value']:.2f}"
    example_task("predict", "stars", "--input", "later.jsonl", "--output", "answers.csv")
    header, *rows = Path("answers.csv").read_text().splitlines()
    assert header == "text,value"
    assert len(rows) == 40
    said = example_task("evaluate", "stars", "--data", "files:later.jsonl", "--output", "later")
    assert "### test" in said
    assert "Mean absolute error 0." in said


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/adding_a_task.md"])
def test_docs_name_files_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for name in re.findall(r"`((?:seqpipe|tests|docs|pipelines|tools|benchmarks)/[\w./]+\.\w+)`", text):
        if "text_regression" not in name and name != "pipelines/stars.yaml":
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
