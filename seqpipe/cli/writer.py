"""The commands of models that write: parse, call, print."""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seqpipe.cli.console import ModelName, err, out, start
from seqpipe.errors import DataError
from seqpipe.storage import apart

if TYPE_CHECKING:
    from seqpipe.serving.writer import Wishes


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
    form: Annotated[
        int | None, typer.Option(metavar="LENGTH", help="Compose in the model's form, so many characters a line.")
    ] = None,
    acrostic: Annotated[
        str | None, typer.Option(help="Compose in the model's form: a character for the beginning of each line.")
    ] = None,
    rhyme: Annotated[
        bool | None, typer.Option("--rhyme/--no-rhyme", help="Composing: whether lines rhyme; else as the form has it.")
    ] = None,
    no_repeats: Annotated[bool, typer.Option("--no-repeats", help="Composing: no character stands twice.")] = False,
    format: Annotated[Literal["text", "jsonl"], typer.Option(help="Text to read, or JSON lines.")] = "text",
) -> None:
    """Write what follows a beginning. What is not named is as the model's pipeline has it."""
    if stream and format == "jsonl":
        raise DataError("--stream and --format jsonl exclude each other: a JSON line is written when it is whole.")
    from seqpipe.serving import composing, writer
    from seqpipe.serving.find import find_model
    from seqpipe.serving.model import load
    from seqpipe.serving.reading import read_text

    first = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    seeds = [first + number for number in range(samples)]
    wishes = writer.Wishes(length, temperature, top_k, top_p, min_p, repetition_penalty)
    in_form = form is not None or acrostic is not None
    _check_form(in_form, prompt=prompt, wishes=wishes, stop=stop, stream=stream, rhyme=rhyme, no_repeats=no_repeats)
    prompt = read_text("-") if prompt == "-" else prompt
    find_model(model)
    start()
    as_json = format == "jsonl"
    if in_form:
        asked = composing.FormWishes(form, temperature, rhyme, no_repeats)
        composing.print_composed(load(model), acrostic or "", asked, err, seeds=seeds, as_json=as_json)
    else:
        how = {"stop": stop or [], "seeds": seeds, "stream": stream, "as_json": as_json}
        writer.print_written(load(model), prompt, wishes, err, **how)


def _check_form(
    in_form: bool,
    *,
    prompt: str,
    wishes: Wishes,
    stop: list[str] | None,
    stream: bool,
    rhyme: bool | None,
    no_repeats: bool,
) -> None:
    """Raises DataError: options of composing without it, or others with it."""
    if not in_form:
        named = {"--rhyme": rhyme is True, "--no-rhyme": rhyme is False, "--no-repeats": no_repeats}
        given = [option for option, wished in named.items() if wished]
        if given:
            raise DataError(f"{', '.join(given)} needs --form or --acrostic: a prompt is gone on with as it comes.")
        return
    others = {"a prompt": bool(prompt), "--stop": bool(stop), "--stream": stream}
    named = {name: wish is not None for name, wish in asdict(wishes).items() if name != "temperature"}
    others |= {f"--{name.replace('_', '-')}": wished for name, wished in named.items()}
    given = [name for name, wished in others.items() if wished]
    if given:
        raise DataError(
            f"--form and --acrostic exclude {', '.join(given)}: the form decides. Allowed beside them: --temperature, "
            "--seed, --samples, --rhyme, --no-rhyme, --no-repeats, --format."
        )


def score(
    model: ModelName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A text, UTF-8; - is standard input.")],
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page instead of printing.")] = None,
) -> None:
    """How surprised a model that writes is by a text: bits a character of each line, surprising places marked."""
    from seqpipe.serving import writer
    from seqpipe.serving.find import find_model
    from seqpipe.serving.model import load
    from seqpipe.serving.reading import read_text

    apart("--html", html, file)
    text = read_text(str(file))
    find_model(model)
    start()
    writer.print_score(load(model), text, out, err, page=html)
