"""Changes operators of the package one at a time and says which changes the mirrored test file does not notice.

    python tools/mutants.py                                     # modules of ROOMS with a test file of its own; hours
    python tools/mutants.py seqpipe/sound --most 20             # so many drawn changes a module; minutes

Cosmic Ray (https://cosmic-ray.readthedocs.io) makes the changes, in a copy of the checkout, from an environment of its
own: .venv-mutants. Changes of types, decorators and strings are left out, and of `self.built`, which Keras sets too.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".venv-mutants"
REQUIREMENT = "cosmic-ray>=8.3,<9"
ROOMS = ("layers", "models/decoding.py", "sound/log_mel.py", "sound/augmentation.py", "data", "evaluation", "export")
LEFT_OUT = ("Decorator", "ZeroIterationForLoop", "ExceptionReplacer", "BitOr_")  # X | None is a type most often


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", nargs="*", default=[f"seqpipe/{room}" for room in ROOMS], help="modules or folders")
    parser.add_argument("--most", type=int, help="changes a module, drawn at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout-s", type=float, default=300.0, help="of the tests of one change")
    arguments = parser.parse_args()
    modules = [module for place in arguments.places for module in modules_in(ROOT / place)]
    if not modules:
        sys.exit(f"{', '.join(arguments.places)}: no module there has a test file of its own.")
    cosmic_ray = installed()
    caught = total = 0
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "copy"
        for part in ("seqpipe", "tests", "pipelines", "docs", "pyproject.toml"):
            source = ROOT / part
            (shutil.copytree if source.is_dir() else copy_file)(source, copy / part)
        for module in modules:
            survivors, made = mutate(module, copy, cosmic_ray, arguments)
            caught, total = caught + made - len(survivors), total + made
            print(f"{module}: {made - len(survivors)} of {made} changes noticed", flush=True)
            for survivor in survivors:
                print(f"  {survivor}", flush=True)
    print(f"\n{caught} of {total} changes noticed ({caught / max(1, total):.0%})")


def modules_in(place: Path) -> list[Path]:
    """Modules below a place that a test file mirrors, from the root of the checkout."""
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return [file.relative_to(ROOT) for file in files if (ROOT / tests_of(file.relative_to(ROOT))).is_file()]


def tests_of(module: Path) -> Path:
    return Path("tests", *module.parts[1:-1], f"test_{module.name}")


def copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def installed() -> Path:
    """The command cosmic-ray, installed at the first call."""
    command = ENVIRONMENT / "bin" / "cosmic-ray"
    if not command.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([ENVIRONMENT / "bin" / "pip", "install", "--quiet", REQUIREMENT], check=True)
    return command


def mutate(module: Path, copy: Path, cosmic_ray: Path, arguments: argparse.Namespace) -> tuple[list[str], int]:
    """Changes that the tests did not notice, as lines of the module, and how many were made."""
    session, config = copy / "session.sqlite", copy / "mutants.toml"
    session.unlink(missing_ok=True)
    tests = f"{sys.executable} -m pytest -n 0 -q -x -p no:cacheprovider {tests_of(module)}"
    config.write_text(
        f'[cosmic-ray]\nmodule-path = "{module}"\ntimeout = {arguments.timeout_s}\nexcluded-modules = []\n'
        f'test-command = "{tests}"\n[cosmic-ray.distributor]\nname = "local"\n'
    )

    def run(*command: str) -> None:
        subprocess.run([cosmic_ray, *command], cwd=copy, check=True, env={**os.environ, "PYTHONPATH": str(copy)})

    run("init", config.name, session.name)
    lines = (copy / module).read_text(encoding="utf-8").splitlines()
    made = choose(session, lines, arguments)
    run("--verbosity=ERROR", "exec", config.name, session.name)
    query = (
        "select m.start_pos_row, m.operator_name from mutation_specs m join work_results r on m.job_id = r.job_id "
        "where lower(r.test_outcome) like '%survived%' order by 1"
    )
    with sqlite3.connect(session) as database:
        found = database.execute(query).fetchall()
    return [f"{module}:{row}: {name.removeprefix('core/')}: {lines[row - 1].strip()}" for row, name in found], made


def choose(session: Path, lines: list[str], arguments: argparse.Namespace) -> int:
    """Leave in a session what is worth making; how many that is."""
    left_out = annotations("\n".join(lines))
    left_out |= {
        row for row, line in enumerate(lines, 1) if "self.built = True" in line or line.lstrip().startswith("@")
    }
    with sqlite3.connect(session) as database:
        rows = database.execute(
            "select job_id, operator_name, start_pos_row from mutation_specs order by 3, 2, occurrence"
        ).fetchall()
        wanted = [job for job, name, row in rows if not any(part in name for part in LEFT_OUT) and row not in left_out]
        if arguments.most is not None and len(wanted) > arguments.most:
            wanted = random.Random(arguments.seed).sample(wanted, arguments.most)
        for job in {row[0] for row in rows} - set(wanted):
            database.execute("delete from mutation_specs where job_id = ?", (job,))
            database.execute("delete from work_items where job_id = ?", (job,))
    return len(wanted)


def annotations(source: str) -> set[int]:
    """Lines on which a function says its types."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            parts = [node.returns, *(part.annotation for part in ast.walk(node.args) if isinstance(part, ast.arg))]
            for part in filter(None, parts):
                found |= set(range(part.lineno, (part.end_lineno or part.lineno) + 1))
    return found


if __name__ == "__main__":
    main()
