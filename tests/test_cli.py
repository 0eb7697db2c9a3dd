"""The command line as a user meets it: output, errors in one block, exit codes, files."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import fresh
import pytest
import typer
from finished import finished
from typer.testing import CliRunner

from pipelines import write_tiny
from seqpipe.cli import app, main


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A working directory with a finished run and its model."""
    directory = finished("text_classification", tmp_path_factory)
    assert "seqpipe predict saved_models/tiny/1" in (directory / "said.txt").read_text()
    return directory


def seqpipe(*arguments, cwd):
    return fresh.run("seqpipe", *arguments, cwd=cwd, COLUMNS="160", NO_COLOR="1")


def refused(*arguments, cwd):
    """The message of a command that ends with code 2: in this process, which takes a tenth of the time of another."""
    said = io.StringIO()
    with contextlib.chdir(cwd), pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said):
        patch.setattr(sys, "argv", ["seqpipe", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
    assert stop.value.code == 2, said.getvalue()
    return said.getvalue()


def test_cli_help_and_mistakes_do_not_import_tensorflow(tmp_path):
    write_tiny(tmp_path, training__epoch=3)
    code = (
        "import sys, seqpipe.cli\n"
        "sys.argv = ['seqpipe', *{arguments!r}]\n"
        "try:\n    seqpipe.cli.main()\nexcept SystemExit as stop: print('code', stop.code)\n"
        "print([m for m in ('tensorflow', 'keras', 'pandas', 'sklearn', 'tensorflow_datasets') if m in sys.modules])"
    )
    for arguments, expected in ((["--help"], "code 0"), (["run", "tiny.yaml"], "code 2"), (["list"], "code 0")):
        done = subprocess.run(
            [sys.executable, "-c", code.format(arguments=arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert expected in done.stdout
        assert done.stdout.strip().endswith("[]")


def test_cli_knows_what_tasks_measure_without_tensorflow():
    """`compare` and `info` ask each task for it."""
    code = "import sys\nfrom seqpipe.tasks import TASKS, task_class\n"
    code += "print([task_class(name).measures[0].name for name in TASKS], {'tensorflow', 'keras'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("] set()")


def test_cli_is_also_python_m_seqpipe(tmp_path):
    command = [sys.executable, "-m", "seqpipe", "run", "none.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: none.yaml does not exist")


def test_cli_puts_away_what_was_begun_when_it_is_ended():
    """On SIGTERM, whatever the command does."""
    code = (
        "import os, signal, time\n"
        "import seqpipe.cli\n"
        "from seqpipe.__main__ import main\n"
        "def command():\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)\n"
        "    finally:\n        print('put away')\n"
        "seqpipe.cli.main = command\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGTERM, "put away\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["schema"], ["show", "tiny.yaml"], ["list"]])
def test_cli_says_that_its_output_cannot_be_written(tmp_path, arguments, unbuffered):
    write_tiny(tmp_path)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "seqpipe", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "error: standard output cannot be written: the disk is full.\n"


def test_cli_interrupted_while_it_is_imported_ends_without_a_word():
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Stop:\n    @staticmethod\n    def find_spec(name, *_):\n"
        "        if name == 'seqpipe.cli': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Stop)\n"
        "from seqpipe.__main__ import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")  # 130 in a shell


def test_cli_every_command_has_help():
    listing = fresh.run("seqpipe", "--help", cwd=".", NO_COLOR="1", COLUMNS="160").stdout
    commands = typer.main.get_command(app).commands
    assert {"run", "train", "evaluate", "export", "predict", "listen", "serve", "tune", "compare"} < set(commands)
    for name, command in commands.items():
        assert f" {name} " in listing
        assert len(command.help) > 20
        assert all(option.help for option in command.params if option.name != "help"), name
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "160"}).stdout
        assert command.help.split(".")[0] in " ".join(shown.split())


def test_cli_show_names_every_default_and_origin(home):
    text = seqpipe("show", "tiny.yaml", "--set", "training.epochs=2", cwd=home).stdout
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert rows["training.epochs"].split()[1:] == ["2", "--set", "training.epochs=2"]
    assert rows["training.optimizer"].split()[1:] == ['"adam"', "default"]
    assert "tiny.yaml:" in rows["training.batch_size"]


def test_cli_check_reports_data_padding_and_receptive_fields(home, tmp_path):
    done = seqpipe("check", str(home / "tiny.yaml"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "320 rows" in done.stdout
    assert "of the steps in a batch" in done.stdout
    assert "convolution_1" in done.stdout
    assert not list(tmp_path.iterdir()), "check keeps nothing"


def test_cli_check_refuses_a_kernel_longer_than_every_input(home):
    text = refused("check", "tiny.yaml", "--set", "model.convolution.0.kernel_size=301", cwd=home)
    assert "convolution_1 sees 30" in text
    assert "the longest training row has" in text


def test_cli_predict_texts(home):
    done = seqpipe("predict", "tiny", "a superb meal", "a dull film", "--format", "jsonl", cwd=home)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["text"] for row in rows] == ["a superb meal", "a dull film"]
    assert set(rows[0]) == {"text", "label", "probability", "probabilities"}
    table = seqpipe("predict", "tiny", "a superb meal", cwd=home).stdout
    assert table.split()[0] == rows[0]["label"]


def test_cli_predict_explains(home, tmp_path):
    marked = seqpipe("predict", "tiny", "--explain", "a superb meal", "<b>&\x1b[31m", cwd=home).stdout.splitlines()
    assert marked[0].count("[") == 3
    assert "superb meal" in marked[0].replace("[", "").replace("]", "")
    assert "\x1b" not in marked[1]
    (row,) = seqpipe("predict", "tiny", "--explain", "--format", "jsonl", "a superb meal", cwd=home).stdout.splitlines()
    assert len(json.loads(row)["pieces"]) == len(json.loads(row)["weights"]) > 1
    (tmp_path / "in.txt").write_text("a superb meal\n<script>\n")
    arguments = ("--input", str(tmp_path / "in.txt"), "--html", str(tmp_path / "page.html"))
    assert "2 texts explained in" in seqpipe("predict", "tiny", *arguments, cwd=home).stdout
    page = (tmp_path / "page.html").read_text()
    assert "tiny, version 1" in page
    assert "<script" not in page


def test_cli_predict_files_keep_order_and_agree(home, tmp_path):
    texts = [f"the film number {i} was {'good ' * (i % 40)}" for i in range(300)]
    with (tmp_path / "in.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "body"])
        writer.writerows(enumerate(texts))
    with gzip.open(tmp_path / "in.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"body": text}) + "\n" for text in texts)
    (tmp_path / "in.txt").write_text("\n".join(texts) + "\n")
    answers = {}
    for name, options in {"in.csv": ["--column", "body"], "in.jsonl.gz": ["--column", "body"], "in.txt": []}.items():
        done = seqpipe(
            "predict",
            "tiny",
            "--input",
            str(tmp_path / name),
            *options,
            "--output",
            str(tmp_path / "out.csv"),
            cwd=home,
        )
        assert done.returncode == 0, done.stderr
        with (tmp_path / "out.csv").open(newline="") as file:
            answers[name] = list(csv.DictReader(file))
    assert [row["text"] for row in answers["in.csv"]] == texts
    assert list(answers["in.csv"][0]) == ["text", "label", "probability", "negative", "positive"]
    assert answers["in.csv"] == answers["in.jsonl.gz"] == answers["in.txt"]


def test_cli_predict_interrupted_output_is_not_there(home, tmp_path):
    (tmp_path / "long.txt").write_text("".join(f"a film {i}\n" for i in range(300_000)))
    arguments = ("predict", "tiny", "--input", str(tmp_path / "long.txt"), "--output", str(tmp_path / "out.jsonl"))
    started = fresh.start("seqpipe", *arguments, cwd=home)
    while started.process.is_alive() and not list(tmp_path.glob(".out.jsonl.*.part")):
        time.sleep(0.02)
    os.kill(started.pid, signal.SIGINT)
    assert started.wait().returncode != 0
    assert [path.name for path in tmp_path.iterdir()] == ["long.txt"]


def test_cli_evaluate_a_model_on_labelled_rows(home, tmp_path):
    rows = [("positive", "a superb film , i loved it"), ("negative", "a dull film and a waste of time")] * 4
    (tmp_path / "rows.txt").write_text("".join(f"{label} {text}\n" for label, text in rows))
    done = seqpipe(
        "evaluate", "tiny", "--data", f"files:{tmp_path}/rows.txt", "--output", str(tmp_path / "report"), cwd=home
    )
    assert done.returncode == 0, done.stderr
    assert "95 % interval" in done.stdout
    assert {p.name for p in (tmp_path / "report").iterdir()} >= {
        "report.json",
        "report.md",
        "confusion.png",
        "reliability.png",
    }
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["measures"]["accuracy"]["n"] == 8


def test_cli_list_and_info(home):
    listing = seqpipe("list", cwd=home).stdout
    assert "tiny" in listing
    assert "text_classification" in listing
    text = seqpipe("info", "tiny", cwd=home).stdout
    assert (
        "serving_default: text string [?] -> label string [?], probabilities float [?, 2], probability float [?]"
        in text
    )
    assert "## Proof" in text


def test_cli_list_shows_what_a_foreign_card_has(tmp_path):
    place = tmp_path / "saved_models" / "mine" / "1"
    place.mkdir(parents=True)
    (place / "saved_model.pb").touch()
    for head, shown in (("license: mit", "mine  version 1  no task named"), ("size_mb: 3", "\n    3 MB\n")):
        (place / "card.md").write_text(f"---\n{head}\n---\n# Mine\n")
        assert shown in seqpipe("list", cwd=tmp_path).stdout
    (place / "card.md").write_text("---\ntask: [\n---\n# Mine\n")
    listing = seqpipe("list", cwd=tmp_path)
    assert "mine  version 1  no task named" in listing.stdout
    assert "card.md is damaged: " in listing.stderr


def test_cli_schema_is_the_committed_one():
    printed = fresh.run("seqpipe", "schema", cwd=".").stdout
    committed = Path(__file__).parent.parent / "docs" / "pipeline.schema.json"
    assert json.loads(printed) == json.loads(committed.read_text()), "run `make schema`"


def test_cli_run_refuses_what_contradicts_a_finished_run(home):
    text = refused("run", "tiny.yaml", "--set", "training.epochs=9", cwd=home)
    assert "The configuration contradicts the run in runs/tiny:" in text
    assert "training.epochs = 9 here, 3 in the run" in text
    assert "Use --fresh to start over" in text


@pytest.mark.slow
def test_cli_run_repeats_only_what_changed(home, tmp_path):
    shutil.copytree(home, tmp_path / "home")
    done = seqpipe("run", "tiny.yaml", "--set", "evaluation.bootstrap_samples=200", cwd=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert "Training is finished" in done.stdout
    assert "Evaluating on dev, test" in done.stdout
    assert "Published: saved_models/tiny/2" in done.stdout


def test_cli_run_says_what_to_try_though_its_file_is_gone(tmp_path, monkeypatch):
    file = write_tiny(tmp_path)
    opened = SimpleNamespace(all=lambda: file.unlink() or tmp_path)
    monkeypatch.setattr("seqpipe.cli.runs._run", lambda *_, **__: contextlib.nullcontext(opened))
    assert "Try it:  seqpipe predict" in CliRunner().invoke(app, ["run", str(file)]).output
    write_tiny(tmp_path)
    monkeypatch.setattr("seqpipe.cli.runs.which", lambda name: None)
    monkeypatch.setattr("sys.argv", [".venv/bin/seqpipe"])
    assert "Try it:  .venv/bin/seqpipe predict" in CliRunner().invoke(app, ["run", str(file)]).output


def test_cli_train_says_what_was_found_in_the_data_until_it_is_done(tmp_path, monkeypatch):
    file = write_tiny(tmp_path)
    done: list[str] = []
    opened = SimpleNamespace(
        finished=lambda step: step in done,
        say_findings=lambda: print("warning: odd"),
        train=lambda: done.append("train"),
    )
    monkeypatch.setattr("seqpipe.cli.runs._run", lambda *_, **__: contextlib.nullcontext(opened))
    said = [CliRunner().invoke(app, ["train", str(file)]).output for _ in range(2)]
    assert said == ["warning: odd\n", ""]


def test_cli_second_process_in_a_run_directory(home):
    from seqpipe.storage import locked

    with locked(home / "runs" / "tiny"):
        done = seqpipe("train", "tiny.yaml", cwd=home)
    assert done.returncode == 2
    assert f"in use by another process (pid {os.getpid()})" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "none.yaml"], "none.yaml does not exist"),
        (["run", "."], ". is a directory. A pipeline file is a YAML file."),
        (["train", "tiny.yaml", "--set", "name=x", "--set", "data.train=files:nope.csv"], "nope.csv does not exist"),
        (["predict", "tinny", "text"], "Did you mean tiny?"),
        (["predict", "tiny.yaml", "text"], "It is a file; a model is a directory."),
        (["predict", "runs", "text"], "runs holds no model: there is no saved_model.pb in it"),
        (
            ["predict", "tiny", "--input", "tiny.yaml", "--output", "./tiny.yaml", "--format", "csv"],
            "tiny.yaml is the file that is read.",
        ),
        (["predict", "tiny"], "predict takes texts or --input FILE, one of them."),
        (["predict", "tiny", "a", "--output", "out.pdf"], "the ending says no format. Allowed: .csv, .jsonl, .txt"),
        (["predict", "tiny", "a", "--output", "no/such/../../dev/full/x.csv", "--format", "csv"], "cannot be written"),
        (["predict", "tiny", "--input", "nope.csv"], "nope.csv does not exist"),
        (["run", "tiny.yaml", "--seeds", "1,1"], "1 stands twice. The same seed gives the same run again."),
        (["train", "tiny.yaml", "--seeds", "x"], "write how many, such as --seeds 3"),
        (["tune", "tiny.yaml"], "tiny.yaml: the key tune is missing. It says what to search"),
        (["compare", "tiny"], "compare takes two runs or more."),
        (["compare", "tiny", "tinny"], "Did you mean tiny?"),
        (["predict", "tiny", "a", "--html", "x.html", "--output", "x.csv"], "--html FILE excludes --output"),
        (["predict", "tiny", "a", "--explain", "--format", "csv"], "a CSV row has no place for pieces"),
        (["predict", "tiny", "a", "--column", "text"], "--column is of the rows of --input FILE or of standard input"),
        (["predict", "tiny", "a", "--encoding", "latin-1"], "--encoding is of the rows of --input FILE or of"),
        (["evaluate", "tiny"], "name labelled rows for a model with --data SOURCE"),
        (["evaluate", "tiny", "--data", "files:nope.csv"], "nope.csv does not exist"),
        (["evaluate", "tiny.yaml", "--output", "report"], "--output report is of a model and --data"),
        (["predict", "tiny", "-", "--input", "a.csv"], "predict takes texts or --input FILE, one of them."),
        (
            ["write", "tiny", "--form", "7", "--top-k", "0", "--min-p", "0"],
            "acrostic exclude --top-k, --min-p: the form",
        ),
        (["listen", "typo.wav"], "typo.wav is no file. Allowed: recordings"),
        (["serve", "tiny", "--max-body-mb", "4000"], "--max-body-mb 4000 is not allowed. Allowed: 0.001 to 2047."),
        (["serve", "tiny", "--max-body-mb", "nan"], "--max-body-mb nan is not allowed."),
        (["serve", "tiny", "--token", ""], "--token is empty: anybody could name it."),
        (["schema", "speech"], '"speech" is not a task.'),
    ],
)
def test_cli_message(home, arguments, expected):
    (home / "dev").mkdir(exist_ok=True)
    (home / "dev" / "full").touch()
    (home / "no" / "such").mkdir(parents=True, exist_ok=True)
    assert expected in refused(*arguments, cwd=home)


def test_cli_message_for_a_model_of_a_newer_version(home, tmp_path):
    shutil.copytree(home / "saved_models" / "tiny" / "1", tmp_path / "newer")
    facts = json.loads((tmp_path / "newer" / "parity.json").read_text())
    (tmp_path / "newer" / "parity.json").write_text(json.dumps({**facts, "format": 99}))
    text = refused("predict", str(tmp_path / "newer"), "text", cwd=tmp_path)
    assert "was made by a newer seqpipe (format 99; this one reads up to 1)" in text


def test_cli_shows_warnings_below_the_error_that_may_come_of_them(tmp_path):
    (tmp_path / "days.csv").write_text("time,value\n01/02/2016,1\n02/02/2016,1\n12/09/3016,1\n")
    (tmp_path / "series.yaml").write_text("task: forecasting\nname: days\ndata: {train: 'files:days.csv'}\n")
    error, *notes = refused("check", "series.yaml", cwd=tmp_path).strip().split("\n")
    assert error.startswith("error: ")
    assert any("read as day/month/year" in note for note in notes if note.startswith("warning: "))


def test_cli_unwritable_run_directory(tmp_path):
    (tmp_path / "runs").write_text("a file where a directory should be")
    write_tiny(tmp_path)
    assert "cannot be written" in refused("train", "tiny.yaml", cwd=tmp_path)


def test_cli_names_a_path_that_yaml_cut_at_a_comment(tmp_path):
    file = write_tiny(tmp_path)
    file.write_text(
        file.read_text().replace("train: builtin:reviews?split=train&rows=320", "train: files:notes #2.csv")
    )
    said, hint = refused("check", str(file), cwd=tmp_path).strip().split("\n")
    assert said.startswith("error: train: notes does not exist")
    assert hint.endswith('Did you mean data.train: "files:notes #2.csv"? Put it in quotes.')
