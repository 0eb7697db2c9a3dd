"""What the documentation shows is run: code blocks are copied out of the pages."""

from __future__ import annotations

import importlib.util
import itertools
import json
import random
import re
import subprocess
from pathlib import Path
from types import ModuleType
from typing import get_args, get_origin

import numpy as np
import pytest
import typer
from finished import quick_proof
from pydantic import BaseModel
from typer.testing import CliRunner

import seqpipe
from seqpipe import tasks
from seqpipe.cli import app
from seqpipe.serving.find import describe_signatures, find_model

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))]
COMMANDS = typer.main.get_command(app).commands


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/experiments.md"])
def test_a_released_model_named_with_its_version_is_there(page):
    named = re.findall(r"saved_models/(\w+)/(\d+)", (ROOT / page).read_text(encoding="utf-8"))
    models = ROOT / "saved_models"
    assert [
        f"{name}/{version}"
        for name, version in named
        if (models / name).is_dir() and not (models / name / version).is_dir()
    ] == []


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
    """The page's task, from the places it names and no others: commands, in a directory of its own."""
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


@pytest.fixture(scope="module")
def two_seeds(example_task):
    """What the run of two seeds said."""
    return example_task("run", "stars.yaml", "--seeds", "2")


def test_docs_adding_a_task_runs_and_compares_seeds(example_task, two_seeds):
    assert "dev mean absolute error over 2 seeds" in two_seeds
    report = json.loads(Path("runs/stars-seed1/report/report.json").read_text())["splits"]["dev"]
    assert report["measures"]["absolute_error"]["value"] < 0.5 < report["baseline"]
    summary = json.loads(Path("runs/stars-seeds.json").read_text())
    best = min(summary["runs"], key=lambda run: run["dev"])
    assert summary["chosen"] == best["seed"], "an error is better the lower it is"
    narrow = ("--set", "name=narrow", "--set", "model.recurrent.units=2", "--set", "training.epochs=2")
    for step in ("train", "evaluate"):
        example_task(step, "stars.yaml", *narrow)
    compared = example_task("compare", "stars-seed1", "narrow")
    assert "Mean absolute error: lower is better" in compared


@pytest.mark.usefixtures("two_seeds")
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


@pytest.mark.parametrize("page", PAGES)
def test_docs_name_files_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for name in re.findall(
        r"\b((?:seqpipe|tests|docs|pipelines|tools|benchmarks)/[\w./]+\.(?:py|md|yaml|sh|json))\b", text
    ):
        if "text_regression" not in name and name != "pipelines/stars.yaml":
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES)
def test_docs_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, place = target.partition("#")
        linked = (ROOT / page).parent / file if file else ROOT / page
        assert linked.exists(), target
        assert not place or place in anchors(linked.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """What a link may name after #: headings as GitHub writes them, and explicit anchors."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    written = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return written | set(re.findall(r'<a id="([\w-]+)">', text))


def test_docs_index_lists_every_page():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").iterdir():
        assert page.name == "README.md" or page.suffix == ".png" or f"]({page.name})" in index, page.name


def test_docs_pipelines_load_and_say_how_they_are_run():
    for file in sorted((ROOT / "pipelines").glob("*.yaml")):
        lines = file.read_text().splitlines()
        command = f"# seqpipe run pipelines/{file.name}"
        assert lines[0] == command or lines[0].startswith(f"{command} --")
        assert lines[1] == "# yaml-language-server: $schema=../docs/pipeline.schema.json"
        assert tasks.load_pipeline(file).config.name == file.stem


def options_of(command: str) -> set[str]:
    """The options of a command, as its help has them."""
    return {option for parameter in COMMANDS[command].params for option in parameter.opts if option.startswith("--")}


def shell_lines(text: str) -> list[str]:
    """What a page has one type: lines of console blocks and of indented ones, and code within a sentence."""
    text = re.sub(r"\\\n\s*", " ", text)  # a command that goes on in the next line
    lines = re.findall(r"^(?:\$ | {4})(.*)$", text, re.MULTILINE)
    return lines + re.findall(
        r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    )


def commands_in(text: str) -> list[list[str]]:
    """The words of every `seqpipe COMMAND ...` and `make TARGET` that a page names."""
    found = []
    for line in shell_lines(text):
        for part in re.split(r"\s(?:&&|\||>)\s", line.partition(" # ")[0]):
            words = part.partition(" -- ")[0].replace("'", "").replace('"', "").split()  # what follows is another's
            if len(words) > 1 and words[0] in ("seqpipe", "make", ".venv/bin/seqpipe"):
                found.append([Path(words[0]).name, *words[1:]])
    return found


def test_docs_commands_are_found_where_pages_name_them():
    page = """In `seqpipe check FILE`:\n\n```console\n$ seqpipe run a.yaml \\\n      --seeds 3  # three\n```\n
    seqpipe list | head\n"""
    assert [found[1:] for found in commands_in(page)] == [
        ["run", "a.yaml", "--seeds", "3"],
        ["list"],
        ["check", "FILE"],
    ]


def test_docs_make_help_is_there_in_a_directory_with_blanks(tmp_path):
    place = tmp_path / "a b"
    place.mkdir()
    (place / "Makefile").write_text((ROOT / "Makefile").read_text())
    command = ["make", "--no-print-directory", "-f", str(place / "Makefile"), "help"]  # also within `make test`
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("setup: ")


@pytest.mark.parametrize("page", [*PAGES, "tools/quickstart.sh"])
def test_docs_commands_and_their_options_exist(page):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for program, command, *words in commands_in((ROOT / page).read_text(encoding="utf-8")):
        if program == "make":
            assert command in targets, command
            continue
        if command.startswith("COMMAND"):
            continue
        assert command in COMMANDS, f"{page}: seqpipe {command}"
        for word in words:
            option = word.partition("=")[0].rstrip(".,;:")
            if option.startswith("--"):
                assert option in options_of(command), f"{page}: seqpipe {command} {option}"


@pytest.mark.parametrize("page", PAGES)
def test_docs_keys_that_are_set_exist(page):
    for _, _, *words in commands_in((ROOT / page).read_text(encoding="utf-8")):
        for before, word in itertools.pairwise(words):
            key = word.partition("=")[0]
            if before == "--set" and "=" in word and key.isidentifier() | ("." in key):
                assert any(has_key(schema, key.split(".")) for schema in tasks.schemas().values()), f"{page}: {key}"


def has_key(section: type[BaseModel], path: list[str]) -> bool:
    """Whether a section has a key, given as its parts; what stands below a name of the user's own is not looked at."""
    key, *rest = path
    if key not in section.model_fields:
        return False
    annotation = section.model_fields[key].annotation
    if get_origin(annotation) is dict:
        return True
    below = [
        kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type) and issubclass(kind, BaseModel)
    ]
    return not rest or not below or has_key(below[0], rest)


def test_docs_readme_has_every_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| command | does |") : readme.index("## Five tasks")]
    named = re.findall(r"`([a-z]+)[ `]", "".join(line.split("|")[1] for line in table.splitlines() if "|" in line))
    assert set(named) == set(COMMANDS)


PYTHON_PAGES = [page for page in PAGES if blocks(page, "python") and page != "docs/adding_a_task.md"]


PRINTED = {"README.md": ["'label': 'positive'", "[b'positive']"]}  # what code of a page must print


@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_docs_code_runs(page, monkeypatch, capsys):
    """Blocks of a page, one after the other; those that read a model which is not in this checkout are left out."""
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    if page == "docs/recurrent.md":  # its block is about layers, not about their input
        names = {"x": np.ones([2, 3, 4], "float32"), "lengths": np.array([3, 1]), "mask": np.tri(2, 3, 1) > 0}
    left_out = False
    for block in blocks(page, "python"):
        models = re.findall(r"saved_models/[\w./]+", block)
        models += [f"saved_models/{name}" for name in re.findall(r'seqpipe\.load\("(\w+)"\)', block)]
        if all(Path(model).exists() for model in models):
            exec(compile(block, page, "exec"), names)
        else:
            left_out = True
    printed = capsys.readouterr().out
    assert left_out or all(text in printed for text in PRINTED.get(page, ()))


def test_docs_signatures_are_those_of_released_models():
    """Each signature, input and output of a released model stands in its task's section of the page."""
    text = (ROOT / "docs" / "signatures.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    titles = {
        "sentiment_en": "Text classification",
        "commands_streaming": "Spoken commands",
        "translate_en_fr": "Translation",
    }
    for model, title in titles.items():
        if not (ROOT / "saved_models" / model).is_dir():
            continue
        for line in describe_signatures(find_model(ROOT / "saved_models" / model)):
            name, _, shapes = line.partition(": ")
            for word in [name, *re.findall(r"(\w+) (?:string|float|int32|int64|bool)\b", shapes)]:
                assert f"`{word}`" in sections[title], f"{title}: {word}"


def tool(name: str) -> ModuleType:
    """A program of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_docs_reference_and_schema_are_what_their_command_writes(monkeypatch):
    monkeypatch.delitem(tasks.TASKS, "text_regression", raising=False)  # the page's task, which stays for this module
    for file, text in tool("reference").files().items():
        assert file.read_text(encoding="utf-8") == text, f"{file.name}: run make schema"


def test_docs_reference_has_every_key_and_says_what_it_does(monkeypatch):
    monkeypatch.delitem(tasks.TASKS, "text_regression", raising=False)
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert not [row for row in rows if row.endswith("|  |")], "a key without a description"
    headings = set(re.findall(r'<a id="([\w-]+)">', text))
    assert set(re.findall(r"\(#(section-[\w-]+)\)", text)) <= headings
    keys = {row.split("`")[1] for row in rows}
    for schema in tasks.json_schema()["$defs"].values():
        assert set(schema["properties"]) <= keys, schema["title"]


def test_docs_readme_table_is_what_its_command_writes():
    module = tool("results_table")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert module.with_table(readme) == readme, "run python tools/results_table.py"
