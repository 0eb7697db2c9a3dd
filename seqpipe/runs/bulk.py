"""`seqpipe predict --beam`: files of rows answered by an Apache Beam pipeline, on this machine or on many.

Files are read whole, each by one worker; their rows are dealt out again, so that one large file keeps all workers busy
too. A process of a worker loads the model once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.shared import Shared

from seqpipe.data.files import as_on_disk, find_files
from seqpipe.errors import DataError, nearest
from seqpipe.runs.predict import Wanted, before_answer, look_ahead, presentation
from seqpipe.serving.find import find_model
from seqpipe.serving.model import Model, load
from seqpipe.serving.rows import ERROR, beside, predict_rows

MOST_ROWS = 256  # that are answered together


def predict_by_beam(
    name: str, source: str, flags: list[str], *, column: str | None, encoding: str, wanted: Wanted
) -> None:
    """Answer the rows of all files that a pattern names: JSON lines, in no order; each says its file and its row.

    Args:
        source, wanted.output: on whatever Beam reads and writes. With a `*` in its name the output is in several files.
        flags: Beam's own, such as --runner=FlinkRunner.
    Raises:
        DataError: no file is there, something else is asked for than JSON lines, a flag is not Beam's, or a row cannot
            be read or answered.
    """
    if wanted.output is None or wanted.format != "jsonl" or wanted.plot is not None:
        raise DataError("--beam writes JSON lines alone: --output answers.jsonl, or --output 'answers-*.jsonl'.")
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # which tells every error with its traceback first
    options = _options(flags)
    files = _files(source)
    shared, path = Shared(), str(find_model(name).resolve())
    before, star, after = str(wanted.output).partition("*")
    try:
        with beam.Pipeline(options=options) as pipeline:
            _ = (
                pipeline
                | beam.Create(files)
                | "Deal out files" >> beam.Reshuffle()
                | "Read" >> beam.ParDo(_Read(path, shared, wanted, column, encoding))
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
    except Exception as error:  # a worker's own, or one that holds its traceback as text
        said = [str(error)] if isinstance(error, DataError) else re.findall(r"\bDataError: (.+)", str(error))
        if not said:
            raise
        raise DataError(said[-1].partition(" [while running ")[0]) from None


def _options(flags: list[str]) -> PipelineOptions:
    """Raises DataError: Beam has no such flag, which it would pass over."""
    known = PipelineOptions(flags).get_all_options()
    for flag in flags:
        if not flag.startswith("--"):
            raise DataError(f"{flag!r:.60}: behind -- stand Beam's own flags, such as --runner=FlinkRunner.")
        name = flag.partition("=")[0].removeprefix("--")
        if name.removeprefix("no_") not in known:
            raise DataError(f"--{name} is no flag of Beam.{nearest(name, known)}")
    return PipelineOptions(flags)


def _files(source: str) -> list[str]:
    if FileSystems.get_scheme(source) is None:
        return [source] if as_on_disk(source).is_dir() else [str(path) for path in find_files(source)]
    found = [file.path for match in FileSystems.match([source]) for file in match.metadata_list]
    if not found:
        raise DataError(f"--input {source}: there is no such file.")
    return sorted(found)


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
    """A file -> its rows, each with its file and its number from 1."""

    def __init__(self, path: str, shared: Shared, wanted: Wanted, column: str | None, encoding: str):
        super().__init__(path, shared, wanted)
        self.column, self.encoding = column, encoding

    def process(self, file: str) -> Iterator[tuple[str, int, Any]]:
        with _at_hand(file) as here:
            rows = self.model.input.from_file(here, column=self.column, encoding=self.encoding, keep=self.wanted.keep)
            for number, row in enumerate(rows, start=1):
                yield file, number, row


class _Answer(_WithModel):
    """Rows -> a line of JSON each."""

    def setup(self) -> None:
        super().setup()
        self.shows = presentation(self.model)

    def process(self, batch: list[tuple[str, int, Any]]) -> Iterator[str]:
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
            if ERROR not in answer:
                shown = self.shows.as_json(answer)
                answer = {**beside(before_answer(model, row), {*place, *shown}), **shown}
            yield json.dumps({**place, **answer}, ensure_ascii=False)


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
