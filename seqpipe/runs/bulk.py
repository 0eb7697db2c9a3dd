"""`seqpipe predict --beam`: files of rows answered by an Apache Beam pipeline, on this machine or on many.

Files are read whole, each by one worker; their rows are dealt out again, so that one large file keeps all workers busy
too. A process of a worker loads the model once.
"""

from __future__ import annotations

import contextlib
import glob
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser
from apache_beam.utils.shared import Shared

from seqpipe.data.files import BadRow, as_on_disk, find_files
from seqpipe.errors import DataError, ModelError, SeqpipeError, nearest
from seqpipe.runs.predict import Wanted, before_answer, look_ahead, presentation
from seqpipe.serving.find import find_model
from seqpipe.serving.model import Model, load
from seqpipe.serving.rows import ERROR, beside, predict_rows
from seqpipe.storage import apart

MOST_ROWS = 256  # that are answered together
NAMES = "names"  # the output of _Read beside its rows


def predict_by_beam(
    name: str, source: str, output: str | None, flags: list[str], *, column: str | None, encoding: str, wanted: Wanted
) -> None:
    """Answer the rows of all files that a pattern names: JSON lines, in no order; each says its file and its row.

    Args:
        source, output: on whatever Beam reads and writes. With a `*` in its name the output is in several files.
        flags: Beam's own, such as --runner=FlinkRunner.
    Raises:
        DataError: no file is there, something else is asked for than JSON lines, the output is a directory or has parts
            of an earlier run or is what is read, a flag is not Beam's, or a row cannot be read or answered.
        ModelError: the model does not answer what is asked.
    """
    if output is None or wanted.format != "jsonl" or wanted.plot is not None:
        raise DataError("--beam writes JSON lines alone: --output answers.jsonl, or --output 'answers-*.jsonl'.")
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # which tells every error with its traceback first
    options = _options(flags)
    files = _files(source)
    shared, path = Shared(), str(find_model(name).resolve())
    before, star, after = _target(output)
    for file in files:
        apart("--output", None if star else Path(before), Path(file))
    try:
        with _no_leftovers(before), beam.Pipeline(options=options) as pipeline:
            read = (
                pipeline
                | beam.Create(files)
                | "Deal out files" >> beam.Reshuffle()
                | "Read" >> beam.ParDo(_Read(path, shared, wanted, column, encoding)).with_outputs(NAMES, main="rows")
            )
            _ = read[NAMES] | beam.GroupByKey() | "Look at names" >> beam.MapTuple(_in_one_file)
            _ = (
                read.rows
                | "Deal out rows" >> beam.Reshuffle()
                | beam.BatchElements(min_batch_size=1, max_batch_size=MOST_ROWS)
                | "Answer" >> beam.ParDo(_Answer(path, shared, wanted))
                | "Write"
                >> beam.io.WriteToText(
                    before,
                    after,
                    num_shards=0 if star else 1,
                    shard_name_template="SSSSS-of-NNNNN" if star else "",
                )
            )
    except Exception as error:
        raise _told(error) from error


def _told(error: Exception) -> SeqpipeError:
    """What a worker says of its own, or in the traceback that an error of Beam holds as text; else what Beam says."""
    kinds = {kind.__name__: kind for kind in (DataError, ModelError)}
    found = [(type(error).__name__, str(error))] if isinstance(error, tuple(kinds.values())) else []
    found = found or re.findall(rf"\b({'|'.join(kinds)}): (.+)", str(error))
    if not found:
        last = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
        return DataError(f"Beam: {last.strip().partition(' [while running ')[0]}")
    kind, text = found[-1]
    return kinds[kind](text.partition(" [while running ")[0])


def _target(output: str) -> tuple[str, str, str]:
    """(what stands before the `*`, the `*` if there is one, what stands behind it) of an output that can be written.

    Raises:
        DataError: a directory, a pattern of another kind, files of an earlier run, or no place that Beam writes.
    """
    local = FileSystems.get_scheme(output) is None
    if local and os.path.isdir(output):
        here = os.path.join(output, "answers-*.jsonl")
        raise DataError(f"--output {output} is a directory. Name a file, or several by {here}.")
    if odd := re.findall(r"[\[\]?]", output) or ["*"] * (output.count("*") > 1):
        raise DataError(f"--output {output}: {odd[0]} is of a pattern. Allowed: one *, for several files.")
    before, star, after = (os.path.realpath(output) if local and os.path.islink(output) else output).partition("*")
    parts = f"{glob.escape(before) if local else before}?????-of-?????{after}"
    earlier = [] if not star else sorted(glob.glob(parts)) if local else _matching(parts, "--output")
    if earlier:
        raise DataError(
            f"--output {output}: there are files of an earlier run, {len(earlier)} such as {earlier[0]}, beside which "
            "those of this one would stand. Remove them, or name another output."
        )
    return before, star, after


@contextlib.contextmanager
def _no_leftovers(before: str) -> Iterator[None]:
    """Removes what Beam leaves beside a local output when it fails."""
    if FileSystems.get_scheme(before) is not None:
        yield
        return
    pattern = os.path.join(glob.escape(os.path.dirname(before)), f"beam-temp-{glob.escape(os.path.basename(before))}-*")
    others = set(glob.glob(pattern))
    try:
        yield
    finally:
        for directory in set(glob.glob(pattern)) - others:
            shutil.rmtree(directory, ignore_errors=True)


def _options(flags: list[str]) -> PipelineOptions:
    """Raises DataError: Beam has no such flag, which it would pass over."""
    known = _known_flags(PipelineOptions)
    for flag in flags:
        if not flag.startswith("--"):
            raise DataError(f"{flag!r:.60}: behind -- stand Beam's own flags, such as --runner=FlinkRunner.")
        name = flag.partition("=")[0].removeprefix("--")
        if not {name, name.removeprefix("no_")} & known:
            raise DataError(f"--{name} is no flag of Beam.{nearest(name, sorted(known))}")
    return PipelineOptions(flags)


def _known_flags(options: type[PipelineOptions]) -> set[str]:
    """The names of flags of all kinds of options, which are not always those of their values."""
    parser = _BeamArgumentParser(add_help=False)
    if "_add_argparse_args" in vars(options):
        options._add_argparse_args(parser)
    own = {name.removeprefix("--") for action in parser._actions for name in action.option_strings}
    return own.union(*map(_known_flags, options.__subclasses__()))


def _files(source: str) -> list[str]:
    if FileSystems.get_scheme(source) is None:
        return [source] if as_on_disk(source).is_dir() else [str(path) for path in find_files(source)]
    found = _matching(source, "--input")
    if not found:
        raise DataError(f"--input {source}: there is no such file.")
    return found


def _matching(pattern: str, option: str) -> list[str]:
    """Raises DataError: Beam has no access to files of this kind."""
    try:
        return sorted(file.path for match in FileSystems.match([pattern]) for file in match.metadata_list)
    except (ValueError, beam.io.filesystem.BeamIOError) as error:
        raise DataError(f"{option} {pattern}: {error}") from error


class _WithModel(beam.DoFn):
    """Loads the model once in a process, whichever of its threads and steps asks first."""

    def __init__(self, path: str, shared: Shared, wanted: Wanted):
        self.path, self.shared, self.wanted = path, shared, wanted

    def setup(self) -> None:
        self.model: Model = self.shared.acquire(self._load)

    def _load(self) -> Model:
        model = load(self.path)
        if self.wanted.horizon is not None:
            look_ahead(model, self.wanted.horizon)
        return model


class _Read(_WithModel):
    """A file -> its rows, each with its file and its number from 1; beside them, names that no other file may have."""

    def __init__(self, path: str, shared: Shared, wanted: Wanted, column: str | None, encoding: str):
        super().__init__(path, shared, wanted)
        self.column, self.encoding = column, encoding

    def process(self, file: str) -> Iterator[tuple[str, int, object] | beam.pvalue.TaggedOutput]:
        with _at_hand(file) as here:
            rows = self.model.input.from_file(here, column=self.column, encoding=self.encoding, keep=self.wanted.keep)
            for number, row in enumerate(rows, start=1):
                if isinstance(row, BadRow):  # is named as the file is, not as what was fetched of it
                    row = replace(row, file=row.file.replace(here, file, 1))
                elif (name := self.model.input.part_of(row)) is not None:
                    yield beam.pvalue.TaggedOutput(NAMES, (name, file))
                yield file, number, row


def _in_one_file(name: str, files: Iterable[str]) -> None:
    first, *others = sorted(set(files))
    if others:
        raise DataError(
            f"{name} stands in {first} and {others[0]}, and --beam reads each file alone. Give it one file, or leave "
            "out --beam: all files are one table then."
        )


class _Answer(_WithModel):
    """Rows -> a line of JSON each."""

    def setup(self) -> None:
        super().setup()
        self.shows = presentation(self.model)

    def process(self, batch: list[tuple[str, int, object]]) -> Iterator[str]:
        model, wanted = self.model, self.wanted
        answers = predict_rows(
            model,
            [row for _, _, row in batch],
            signature=wanted.signature,
            options=wanted.settings,
            keep_going=wanted.keep_going,
        )
        for (file, number, _), (row, answer) in zip(batch, answers, strict=True):
            place = {"source": file, "row": number}
            shown = answer if ERROR in answer else self.shows.as_json(answer)
            line = {**place, **beside(before_answer(model, row), {*place, *shown}), **shown}
            yield json.dumps(line, ensure_ascii=False)


@contextlib.contextmanager
def _at_hand(file: str) -> Iterator[str]:
    """A file on this machine, of its own name; one of elsewhere is fetched."""
    if FileSystems.get_scheme(file) is None:
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="seqpipe-beam-") as place:
        here = Path(place) / Path(file).name
        with (
            FileSystems.open(file, compression_type=CompressionTypes.UNCOMPRESSED) as source,
            here.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)
        yield str(here)
