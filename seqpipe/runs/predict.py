"""What `seqpipe predict` does: rows in, answers out, as the model's task shows them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from seqpipe.data.files import BadRow
from seqpipe.errors import DataError, ModelError
from seqpipe.serving.answers import Answer, Presentation, presentation_of
from seqpipe.serving.explain import alignments, as_line, explain, visible, write_page
from seqpipe.serving.find import pipeline_of
from seqpipe.serving.model import HIGHEST_PENALTY, WIDEST_BEAM, Model, load
from seqpipe.serving.reading import Kept
from seqpipe.serving.rows import ERROR, Row, answers_to, beside, predict_rows, stop_at_bad
from seqpipe.serving.series import SeriesInput
from seqpipe.storage import apart
from seqpipe.tasks import TASKS, task_class

MOST_REMARKS = 10  # on rows, that are shown
TEXT_WIDTH = 100  # characters of a row in a printed table

Format = Literal["table", "jsonl", "csv", "lines"]


def presentation(model: Model) -> Presentation:
    """How the model's task shows answers; without a task that is known, as its outputs fit."""
    task = pipeline_of(model.path).get("task")
    if task in TASKS:
        return task_class(task).answer.for_model(lambda: model.call("info", {}))
    return presentation_of(list(model.signature("serving_default").structured_outputs))


def output_format(format: Literal["auto"] | Format, output: Path | None, *, html: Path | None, explain: bool) -> Format:
    """The format that is written, by the ending of a file where it is not named.

    Raises:
        DataError: the ending says nothing, or what is asked for excludes each other.
    """
    if html is not None and (output is not None or format != "auto"):
        raise DataError("--html FILE excludes --output and --format: the page is all that is written.")
    if format == "table" and output is not None:
        raise DataError(f"--output {output}: a table is for reading. Allowed: --format csv, --format jsonl.")
    if format == "auto":
        endings: dict[str, Format] = {".jsonl": "jsonl", ".csv": "csv", ".txt": "lines"}
        if output is None:
            return "table"
        if output.suffix.lower() not in endings:
            raise DataError(
                f"--output {output}: the ending says no format. Allowed: .csv, .jsonl, .txt; or name --format."
            )
        format = endings[output.suffix.lower()]
    if explain and format == "csv":
        raise DataError("--explain: a CSV row has no place for pieces. Allowed: --format jsonl, --format table.")
    return format


def beam_options(width: int | None, length_penalty: float | None) -> dict[str, int | float] | None:
    """What the signature `beam` takes beside texts; None where no beam is asked for.

    Raises:
        ModelError: a number outside its range, or a length penalty without a beam.
    """
    if width is None:
        if length_penalty is not None:
            raise ModelError(
                f"--length-penalty {length_penalty:g}: it belongs to a beam search. Name --beam-width too."
            )
        return None
    if not 1 <= width <= WIDEST_BEAM:
        raise ModelError(f"--beam-width {width}: beam_width must be 1 to {WIDEST_BEAM}.")
    penalty = 1.0 if length_penalty is None else length_penalty
    if not 0 <= penalty <= HIGHEST_PENALTY:  # false for NaN too
        raise ModelError(f"--length-penalty {penalty:g}: length_penalty must be 0 to {HIGHEST_PENALTY:g}.")
    return {"beam_width": width, "length_penalty": penalty}


@dataclass(frozen=True)
class Wanted:
    """What is to be made of the answers.

    options: of the signature `beam`; without them it is greedy search, or whatever the model's default is.
    keep_going: past rows that cannot be answered.
    horizon: steps that are forecast. plot: where forecasts are drawn too.
    keep: columns of the input that are written too.

    Raises:
        DataError: two of explanation, beam and horizon are asked for, or a picture of what is explained, or columns
            where none are written.
    """

    format: Format
    output: Path | None = None
    html: Path | None = None
    explain: bool = False
    options: dict[str, int | float] | None = None
    keep_going: bool = False
    horizon: int | None = None
    plot: Path | None = None
    keep: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.keep and (self.format not in ("csv", "jsonl") or self.html is not None):
            raise DataError(f"--keep {self.keep[0]}: columns are kept in --output FILE.csv or FILE.jsonl.")
        explains = "--explain" if self.html is None else "--html"
        ways = {
            explains: self.explain or self.html is not None,
            "--beam-width": self.options is not None,
            "--horizon": self.horizon is not None,
        }
        given = [option for option, wished in ways.items() if wished]
        if len(given) > 1:
            raise DataError(f"{' and '.join(given)} exclude each other: an answer is made in one of these ways.")
        if self.plot is not None and (self.html is not None or (self.explain and self.format == "table")):
            raise DataError(f"--plot and {explains} exclude each other but for --format jsonl: no answers are made.")

    @property
    def signature(self) -> str:
        if self.horizon is not None:
            return "longer"
        return "explain" if self.explain else "beam" if self.options else "serving_default"

    @property
    def settings(self) -> dict[str, int | float] | None:
        """What the signature takes beside the rows."""
        return self.options if self.horizon is None else {"steps": self.horizon}


def predict(
    name: str,
    words: list[str] | None,
    source: str | None,
    *,
    column: str | None,
    encoding: str,
    wanted: Wanted,
    out: Console,
    err: Console,
) -> None:
    """Answer words of the command line, or the rows of a source, with a model by name or directory.

    Raises:
        DataError: what is read would be replaced by what is written.
    """
    for option, place in {"--output": wanted.output, "--html": wanted.html, "--plot": wanted.plot}.items():
        apart(option, place, Path(source) if source is not None else None)
    with _as_exported() if words else nullcontext():  # which a few words are answered with sooner
        model = load(name)
        if wanted.horizon is not None:
            look_ahead(model, wanted.horizon)
        if words:
            rows: Iterable[object] = map(model.input.from_word, words)
        else:
            rows = model.input.from_file(str(source), column=column, encoding=encoding, keep=wanted.keep)
        _show(model, rows, wanted, out, err)


@contextmanager
def _as_exported() -> Iterator[None]:
    """Graphs run as they were exported: optimizing one takes longer than a few answers."""
    import tensorflow as tf

    option = "disable_meta_optimizer"
    kept = tf.config.optimizer.get_experimental_options().get(option, False)
    tf.config.optimizer.set_experimental_options({option: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({option: kept})


def _show(model: Model, rows: Iterable[Any], wanted: Wanted, out: Console, err: Console) -> None:
    rows = _remarked(model, rows if wanted.keep_going else stop_at_bad(rows), err)
    if wanted.html is not None:
        write_explanations(model, rows, wanted.html, out)
        return
    if wanted.explain and wanted.format == "table":
        print_explanations(model, rows, out)
        return
    answers: Iterable[tuple[object, Answer]] = predict_rows(
        model, rows, signature=wanted.signature, options=wanted.settings, keep_going=wanted.keep_going
    )
    if wanted.plot is not None:
        answers = list(answers)
        plot_answers(model, answers, wanted.plot)
    if wanted.format == "table":
        print_answers(model, answers, out)
    else:
        write_answers(model, answers, wanted, err)


def _remarked(model: Model, rows: Iterable[Row], err: Console) -> Iterator[Row]:
    """The rows; what is strange about them is said meanwhile."""
    told = 0
    for row in rows:
        if not isinstance(row, BadRow) and (remark := model.input.remark(row)):
            told += 1
            if told <= MOST_REMARKS:
                err.print(f"warning: {remark}.", markup=False, highlight=False)
        yield row
    if told > MOST_REMARKS:
        err.print(f"warning: so have {told - MOST_REMARKS:,} more rows something strange.")


def print_answers(model: Model, answers: Iterable[tuple[object, Answer]], out: Console) -> None:
    """A line a row: the answer and, where it is not a text itself, the row."""
    shows = presentation(model)
    widths: list[int] = []
    for row, answer in answers:
        if ERROR in answer:
            out.print(visible(f"error: {answer[ERROR]}"))
            continue
        cells = shows.cells(answer)
        if len(cells) == 1:
            out.print(cells[0])
            continue
        widths = [max(pair) for pair in zip(widths or [0] * len(cells), map(len, cells), strict=True)]
        shown = visible(" ".join(model.input.shown(row).split()))
        shown = shown if len(shown) <= TEXT_WIDTH else shown[: TEXT_WIDTH - 1] + "…"
        padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)]
        out.print("  ".join([*padded, shown]))


def write_answers(model: Model, answers: Iterable[tuple[object, Answer]], wanted: Wanted, err: Console) -> None:
    """Answers to a file, or to standard output, with the count of rows on a terminal meanwhile."""
    if wanted.format == "table":
        raise ValueError("a table is printed")
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} rows, {task.speed:,.0f} rows/s"))
    with (
        Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar,
        answers_to(
            wanted.output,
            wanted.format,
            sys.stdout,
            presentation=presentation(model),
            errors=wanted.keep_going,
        ) as write,
    ):
        for row, answer in bar.track(answers):
            write(before_answer(model, row), answer)


def before_answer(model: Model, row: object) -> dict[str, str]:
    """What is written before the answer to a row: the row, or where it could not be read, and columns kept of it."""
    column = model.input.column
    if isinstance(row, BadRow):
        return {column: row.place}
    return {column: model.input.shown(row), **beside(row.beside if isinstance(row, Kept) else {}, {column})}


def look_ahead(model: Model, steps: int) -> None:
    """Ask for so many steps.

    Raises:
        ModelError: it forecasts nothing.
    """
    model.signature("longer")
    if isinstance(model.input, SeriesInput):
        model.input.ahead = steps


def plot_answers(model: Model, answers: Iterable[tuple[object, Answer]], file: Path) -> None:
    """Answers as a picture, as the model's task draws them."""
    good = [(model.input.shown(row), row, answer) for row, answer in answers if ERROR not in answer]
    if not good:
        raise DataError("--plot: there is no answer to draw.")
    presentation(model).plot(good, file)


def print_explanations(model: Model, rows: Iterable[str | BadRow], out: Console) -> None:
    """Each row with what weighed in its answer; for texts that become texts, with where they looked.

    Raises:
        DataError: the model explains otherwise.
    """
    if _aligns(model):
        for lines in alignments(model, rows):
            out.print("\n".join(lines))
        return
    colour = out.color_system is not None and not out.no_color
    for explanation in explain(model, rows):
        out.print(as_line(explanation, colour=colour))


def write_explanations(model: Model, rows: Iterable[str | BadRow], file: Path, out: Console) -> None:
    """The explained texts as one page.

    Raises:
        DataError: the model has no weights of pieces in a label.
    """
    if _aligns(model):
        raise DataError("--html FILE shows what pieces weigh in a label; this model has an alignment: --explain.")
    count = write_page(file, explain(model, rows), title=f"{model.name}, version {model.path.name}")
    out.print(f"{count:,} texts explained in {file}")


def _aligns(model: Model) -> bool:
    """Whether the model explains by an alignment; else it does by weights of pieces in a label.

    Raises:
        DataError: it does by neither.
    """
    outputs = sorted(model.signature("explain").structured_outputs)
    if "alignment" not in outputs and not {"label", "pieces", "weights"} <= {*outputs}:
        raise DataError(
            f"{model.path} has neither an alignment nor weights of pieces in a label to show; its explain has "
            f"{', '.join(outputs)}. Allowed: --explain --format jsonl, which writes them all."
        )
    return "alignment" in outputs
