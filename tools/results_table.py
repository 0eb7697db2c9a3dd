"""Writes the table of released models into README.md, from their cards: python tools/results_table.py"""

from __future__ import annotations

import re
from pathlib import Path

from seqpipe.export.artefact import versions
from seqpipe.serving.find import read_card
from seqpipe.storage import write_text

ROOT = Path(__file__).parent.parent
START, END = "<!-- results -->", "<!-- end of results -->"


def table() -> str:
    lines = ["| model | version | figure | size | parameters | date |", "|---|---:|---|---:|---:|---|"]
    for model in sorted((ROOT / "saved_models").iterdir()):
        for path in versions(model)[-1:] if model.is_dir() and is_released(model.name) else []:
            card = read_card(path)
            size = f"{card['size_mb']} MB"
            cells = (f"`{model.name}`", path.name, card["figure"], size, f"{card['parameters']:,}", card["date"])
            lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)


def is_released(name: str) -> bool:
    """Released models are those that .gitignore lets through."""
    return f"!/saved_models/{name}" in (ROOT / ".gitignore").read_text(encoding="utf-8").split("\n")


def with_table(readme: str) -> str:
    pattern = re.compile(f"{START}.*?{END}" if END in readme else START, re.DOTALL)
    return pattern.sub(lambda _: f"{START}\n{table()}\n{END}", readme)


if __name__ == "__main__":
    file = ROOT / "README.md"
    write_text(file, with_table(file.read_text(encoding="utf-8")))
