"""`seqpipe page`: one HTML file that hears words on the device, by LiteRT.js, from file:// too."""

from __future__ import annotations

import base64
import gzip
import html
import json
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seqpipe.config.sound import SILENCE, UNKNOWN
from seqpipe.errors import ModelError
from seqpipe.export.lite import DIRECTORY, REPORT
from seqpipe.serving.find import pipeline_of, read_card
from seqpipe.serving.listening import PIECE_MS, QUIET_S, Detector

HERE = Path(__file__).parent
LITERT = HERE / "litert-2.5.3.tar.xz"  # made by tools/litert.sh
SHARED = HERE.parent / "server" / "page"  # with the served page


def make(artefact: Path, *, int8: bool) -> str:
    """The page of a model that streams.

    Args:
        artefact: a directory of one version.
        int8: the file whose large weights are held in eight bits.
    Raises:
        ModelError: it has no LiteRT file that takes a stream, or one that no browser takes.
    """
    content, report = stream_file(artefact, int8=int8)
    artefact = artefact.absolute()
    facts, name = read_card(artefact), artefact.parent.name if artefact.name.isdecimal() else artefact.name
    with tarfile.open(LITERT, "r:xz") as archive:
        runtime = {member.name: archive.extractfile(member) for member in archive.getmembers() if member.isfile()}
        parts = {Path(path).name: file.read() for path, file in runtime.items() if file is not None}
    about = [f"Version {artefact.name}" if artefact.name.isdecimal() else "", str(facts.get("figure", ""))]
    words = [label for label in report["classes"] if label not in (UNKNOWN, SILENCE)]
    fields = {
        "name": html.escape(name),
        "about": html.escape("; ".join(filter(None, about)) + "."),
        "words": html.escape(", ".join(words)),
        "licence": html.escape(f"{parts['NOTICE'].decode()}\n{parts['LICENSE'].decode()}"),
        "facts": json.dumps(page_facts(report)).replace("<", "\\u003c"),
        "style": _read(SHARED / "style.css", HERE / "page.css"),
        "worklet": _read(SHARED / "worklet.js"),
        "script": _read(SHARED / "microphone.js", HERE / "page.js"),
        "litert": packed(parts["litert.js"]),
        "loader": packed(parts["loader.js"]),
        "wasm": packed(parts["litert.wasm"]),
        "model": packed(content),
    }
    head, *rest = _read(HERE / "page.html").split("{{")
    filled = (field.partition("}}") for field in rest)
    return head + "".join(fields[name] + after for name, _, after in filled)


def stream_file(artefact: Path, *, int8: bool) -> tuple[bytes, dict[str, Any]]:
    """A LiteRT file that takes a stream, and the report beside it.

    Raises:
        ModelError: there is none, or it is of types that no browser takes.
    """
    pipeline = pipeline_of(artefact)
    if pipeline and not (pipeline.get("model") or {}).get("streaming"):
        raise ModelError(f"{artefact} does not stream. A page hears by a model that was trained with model.streaming.")
    place = artefact / DIRECTORY
    file = place / f"stream_{'int8' if int8 else 'float'}.tflite"
    if not (place / REPORT).is_file():
        raise ModelError(
            f"{artefact} has no LiteRT files, which run in a page. A model that hears gets them by "
            f"seqpipe export {artefact} --lite."
        )
    if not file.is_file():
        raise ModelError(
            f"{artefact} does not stream: it has no {DIRECTORY}/{file.name}. Train one with model.streaming."
        )
    report = json.loads((place / REPORT).read_text(encoding="utf-8"))
    if "classes" not in report:
        raise ModelError(
            f"{file} was made by an older seqpipe, with types that no browser takes. Export the model again: "
            "seqpipe export --again."
        )
    return file.read_bytes(), report


def page_facts(report: dict[str, object]) -> dict[str, object]:
    """What the page's script needs to know: the classes, and how words are made of their probabilities."""
    return {
        "labels": report["classes"],
        "no_words": [UNKNOWN, SILENCE],
        "piece_ms": PIECE_MS,
        "quiet_s": QUIET_S,
        **asdict(Detector()),
    }


def packed(content: bytes) -> str:
    """Base 85 of its gzip: text that ends no script element, since it has no slash."""
    return base64.b85encode(gzip.compress(content, 9, mtime=0)).decode()


def _read(*files: Path) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
