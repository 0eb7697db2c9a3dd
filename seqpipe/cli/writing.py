"""The commands of models that write: parse, call, print."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from seqpipe.cli.console import ModelName, err, out, start
from seqpipe.errors import DataError


def write(
    model: ModelName,
    prompt: Annotated[str, typer.Argument(help="What the text begins with; - is standard input.")] = "",
    length: Annotated[int | None, typer.Option(help="Most characters.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 takes the likeliest, 1 draws as learned.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw among so many likeliest; 0 is all.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw among the likeliest of this share together.")] = None,
    min_p: Annotated[float | None, typer.Option(help="Only what is this share as likely as the likeliest.")] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="Above 1: less of what stands there.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed writes the same text; without it a new one.")] = None,
    samples: Annotated[int, typer.Option(min=1, max=1000, help="Texts, of one seed after the other.")] = 1,
    stop: Annotated[list[str] | None, typer.Option(help="End before this string; repeatable.")] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Show the text as it is written.")] = False,
    format: Annotated[Literal["text", "jsonl"], typer.Option(help="Text to read, or JSON lines.")] = "text",
) -> None:
    """Write what follows a beginning. What is not named is as the model's pipeline has it."""
    if stream and format == "jsonl":
        raise DataError("--stream and --format jsonl exclude each other: a JSON line is written when it is whole.")
    from seqpipe.serving import writing
    from seqpipe.serving.find import find_model
    from seqpipe.serving.model import load

    prompt = sys.stdin.read() if prompt == "-" else prompt
    first = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    wishes = writing.Wishes(length, temperature, top_k, top_p, min_p, repetition_penalty)
    find_model(model)
    start()
    seeds = [first + number for number in range(samples)]
    writing.print_written(
        load(model), prompt, wishes, out, err, stop=stop or [], seeds=seeds, stream=stream, as_json=format == "jsonl"
    )


def score(
    model: ModelName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A text, UTF-8; - is standard input.")],
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page instead of printing.")] = None,
) -> None:
    """How surprised a model that writes is by a text: bits a character of each line, surprising places marked."""
    from seqpipe.data.files import find_files
    from seqpipe.serving import writing
    from seqpipe.serving.find import find_model
    from seqpipe.serving.model import load

    text = sys.stdin.buffer.read() if str(file) == "-" else find_files(str(file))[0].read_bytes()
    find_model(model)
    start()
    writing.print_score(load(model), text.decode("utf-8", "replace"), out, page=html)
