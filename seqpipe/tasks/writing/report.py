"""The report on a writer: nats a character beside n-grams, what it copied, and texts from fixed seeds.

Axes: N characters of a split, R rows: texts, or blocks of a stream.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from seqpipe.data.examples import content_key
from seqpipe.evaluation.figures import interval, number, percent
from seqpipe.evaluation.metrics import side, sign_p
from seqpipe.evaluation.paired import with_interval
from seqpipe.evaluation.rows import RowFigures
from seqpipe.evaluation.tables import Table
from seqpipe.storage import write_text
from seqpipe.tasks.protocol import Report
from seqpipe.tasks.writing import form_report, pictures
from seqpipe.tasks.writing.data import as_rows
from seqpipe.tasks.writing.measures import NATS, bits_per_byte, counted, read_how, rows_of
from seqpipe.tasks.writing.signatures import WritingModel
from seqpipe.tasks.writing.surprisal import Surprisal, windows
from seqpipe.text.characters import EDGE, UNKNOWN
from seqpipe.text.copying import SPAN, Source, distinct_fraction
from seqpipe.text.kneser_ney import KneserNey, choose_order, unigram_nats
from seqpipe.text.units import by_character

if TYPE_CHECKING:
    from seqpipe.data.examples import Examples
    from seqpipe.tasks.writing.task import Writing

TEMPERATURES = (0.5, 0.8, 1.0)
TUNED_FRACTION = 0.2  # of a split, from its beginning, that the weight of the mixture is chosen on


def evaluate(task: Writing, model: keras.Model, examples: dict[str, Examples], directory: Path) -> Report:
    """The report on each split, with `samples.txt`, the figures of rows and pictures in the directory."""
    module = WritingModel(
        model, task.characters, first=task.first, ends=not task.stream, sampling=task.config.sampling, version=0
    )
    surprisal = Surprisal(model)
    ngrams = _fit_ngrams(task) if task.config.evaluation.baseline else None
    splits = {split: _of_split(task, surprisal, ngrams, split, directory / split) for split in examples}
    written = _written(task, module)
    report: Report = {"splits": splits, "written": written, "copies": _copies(task, written)}
    composed: list[str] = []
    if task.form is not None:
        freely = _write(module, task.config.sampling.length, form_report.TEMPERATURE, task.config.evaluation.poems)
        report["form"] = form_report.evaluate(task, task.form, model, freely)
        composed = report["form"].pop("composed")[: task.config.evaluation.samples]
    write_text(directory / "samples.txt", _samples_text(written, composed))
    return report


def _fit_ngrams(task: Writing) -> tuple[int, KneserNey]:
    size, edge = task.characters.size, None if task.stream else EDGE
    order = choose_order(task.train_ids, vocabulary_size=size, edge=edge)
    return order, KneserNey.fit(task.train_ids, order=order, vocabulary_size=size, edge=edge)


def _of_split(
    task: Writing, surprisal: Surprisal, ngrams: tuple[int, KneserNey] | None, split: str, directory: Path
) -> Report:
    directory.mkdir(parents=True, exist_ok=True)
    wanted = task.config.evaluation
    by_unit, ids, bounds = _nats(task, surprisal, split)
    begun = task.characters.begun[ids]
    nats = by_character(by_unit, begun)
    texts = task.texts(split)
    figures: Report = {
        "read": read_how(task.stream),
        "characters": len(nats),
        "unknown": int((ids == UNKNOWN).sum()),
        "units": task.characters.unit,
        "bits_per_byte": bits_per_byte(nats, texts, stream=task.stream),
        "perplexity": float(np.exp(nats.mean())),
    }
    if task.stream:
        cold = surprisal.rows(windows(np.concatenate([[task.first], task.ids(split)]), wanted.window))
        figures["cold"] = float(np.concatenate(cold).sum() / len(nats))
        by_place = [row for row in cold if len(row) == wanted.window]
        if by_place:
            pictures.loss_by_place(np.mean(by_place, axis=0), directory / "loss_by_place.png")
    pictures.passage(texts[0], nats[: len(texts[0])], directory / "surprisal.png")
    rows = rows_of(nats, bounds, content_key(texts))
    rows.write(directory)
    measured = with_interval(NATS, [rows], samples=wanted.bootstrap_samples, seed=1)
    figures["measures"] = {NATS.name: counted(measured, rows, stream=task.stream)}
    if ngrams is not None:
        figures["baselines"] = _baselines(task, ngrams, by_unit, ids, bounds, rows)
    return figures


def _nats(task: Writing, surprisal: Surprisal, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Surprisal of each id, ids of a split, and the characters that its rows begin with.

    Rows are blocks of a stream, or texts with their end.
    """
    begun = task.characters.begun
    if task.stream:
        ids = task.ids(split)
        return surprisal.carried(ids, task.first), ids, np.arange(0, begun[ids].sum(), task.config.evaluation.block)
    rows = [row[1:] for row in as_rows(task.characters, task.texts(split))]
    nats = surprisal.rows(as_rows(task.characters, task.texts(split)))
    sizes = [begun[row].sum() for row in rows]
    return np.concatenate(nats), np.concatenate(rows), np.cumsum([0, *sizes])[:-1]


def _baselines(
    task: Writing,
    ngrams: tuple[int, KneserNey],
    by_unit: np.ndarray,
    ids: np.ndarray,
    bounds: np.ndarray,
    rows: RowFigures,
) -> Report:
    order, model = ngrams
    # What stands before dev is not known to the n-grams either: they begin as the network does.
    by_ngrams = model.nats(np.concatenate([[task.first], ids]))[1:]
    begun = task.characters.begun[ids]
    other = rows_of(by_character(by_ngrams, begun), bounds, rows.rows_key)
    difference = with_interval(NATS, [other], [rows], samples=task.config.evaluation.bootstrap_samples, seed=1)
    difference["sign_p"] = sign_p(other.columns["nats"] - rows.columns["nats"])
    unigram = unigram_nats(task.train_ids, ids, vocabulary_size=task.characters.size)
    return {
        "order": order,
        "kneser_ney": float(by_ngrams.sum() / begun.sum()),
        "unigram": float(unigram.sum() / begun.sum()),
        "kneser_ney_less_network": difference,
        "mixture": _mixture(by_unit, by_ngrams, begun),
    }


def _mixture(by_unit: np.ndarray, by_ngrams: np.ndarray, begun: np.ndarray) -> Report:
    """Of both, the weight chosen on the first part and the figures on the rest, in nats a character."""
    cut = int(len(by_unit) * TUNED_FRACTION)
    p, q = np.exp(-by_unit.astype(np.float64)), np.exp(-by_ngrams)
    weights = np.linspace(0, 1, 21)
    weight = min(weights, key=lambda w: -np.log((1 - w) * p[:cut] + w * q[:cut]).mean())
    mixed = -np.log((1 - weight) * p[cut:] + weight * q[cut:])
    characters = begun[cut:].sum()
    return {
        "weight": float(weight),
        "mixture": float(mixed.sum() / characters),
        "network": float(by_unit[cut:].sum() / characters),
        "kneser_ney": float(by_ngrams[cut:].sum() / characters),
    }


def _written(task: Writing, module: WritingModel) -> list[Report]:
    """Texts from nothing, of seeds 1, 2, 3 ... at each temperature; none is left out."""
    count = task.config.evaluation.samples
    length = task.config.sampling.length
    found = []
    for temperature in TEMPERATURES:
        texts = _write(module, length, temperature, count)
        found += [{"temperature": temperature, "seed": seed, "text": text} for seed, text in enumerate(texts, start=1)]
    return found


def _write(module: WritingModel, length: int, temperature: float, count: int) -> list[str]:
    """Texts from nothing, of seeds 1, 2, 3 ..."""
    answer = module.functions["write"](
        tf.constant([""] * count),
        tf.constant(length),
        tf.constant(temperature),
        tf.constant(0),
        tf.constant(1.0),
        tf.constant(0.0),
        tf.constant(1.0),
        tf.zeros([0], tf.string),
        tf.range(1, count + 1, dtype=tf.int64),
    )
    return [text.decode() for text in answer["text"].numpy()]


def _copies(task: Writing, written: list[Report]) -> list[Report]:
    """Of texts at each temperature, and of as many and as long ones cut from dev."""
    source = Source("\n".join(task.texts("train")))
    by_name = {
        f"temperature {temperature:g}": [row["text"] for row in written if row["temperature"] == temperature]
        for temperature in TEMPERATURES
    }
    length, count = task.config.sampling.length, task.config.evaluation.samples
    dev = task.texts("dev")
    if task.stream:
        dev = [dev[0][int(at) :] for at in np.linspace(0, max(0, len(dev[0]) - length), count)]
    units = [task.characters.encode(text)[:length] for text in dev[:count]]
    by_name["dev itself"] = [
        text[: int(task.characters.begun[ids].sum())] for text, ids in zip(dev, units, strict=False)
    ]
    rows = []
    for name, texts in by_name.items():
        copies = [source.longest_copy(text) for text in texts]
        longest = max(copies, key=len, default="")
        rows.append(
            {
                "name": name,
                "longest_copy": len(longest),
                "copy": longest,
                "copied_fraction": float(np.mean([source.copied_fraction(text) for text in texts])),
                "known_words_fraction": source.known_words_fraction("\n".join(texts)),
                "distinct_2": distinct_fraction(texts, 2),
                "distinct_4": distinct_fraction(texts, 4),
            }
        )
    return rows


def _samples_text(written: list[Report], composed: list[str]) -> str:
    parts = [f"== temperature {row['temperature']:g}, seed {row['seed']}\n\n{row['text']}\n" for row in written]
    parts += [f"== composed, seed {seed}\n\n{text}\n" for seed, text in enumerate(composed, start=1)]
    return "\n".join(parts)


def describe(report: Report) -> str:
    """Sections of a card; of an exported model's report, what it has."""
    sections = [_split_section(split, figures) for split, figures in report["splits"].items()]
    if "form" in report:
        sections.append(form_report.describe(report["form"]))
    if "copies" in report:
        sections.append(_copies_section(report["copies"]))
    if "written" in report:
        middle = next(row for row in report["written"] if row["temperature"] == TEMPERATURES[1])
        quoted = "\n".join(f"    {line}" for line in middle["text"][:600].split("\n"))
        sections.append(
            f"### A text\n\nFrom nothing, temperature {middle['temperature']:g}, seed {middle['seed']}; "
            f"fixed beforehand, not picked.\n\n{quoted}\n"
        )
    return "\n\n".join(sections)


def _copies_section(copies: list[Report]) -> str:
    rows = []
    for row in copies:
        shown = [percent(row[name], 1) for name in ("copied_fraction", "known_words_fraction")]
        distinct = [number(row[name]) for name in ("distinct_2", "distinct_4")]
        rows.append([row["name"], str(row["longest_copy"]), *shown, *distinct])
    header = ["", "longest copy", f"spans of {SPAN} copied", "words of train", "distinct 2", "distinct 4"]
    return (
        "### What it copies\n\nLongest span, in characters, that stands in the training text word for word, beside "
        "that of held-back text cut as long.\n\n" + Table(header, rows, left=[""]).markdown()
    )


def _split_section(split: str, figures: Report) -> str:
    measured = figures["measures"][NATS.name]
    shown = interval(measured, decimals=4)
    rows = [[f"network, {figures['read']}", shown]]
    if "cold" in figures:
        rows.append(["network, cold windows", number(figures["cold"], decimals=4)])
    lines = []
    if "baselines" in figures:
        other = figures["baselines"]
        units = figures.get("units", "characters")
        rows.append([f"Kneser-Ney of {other['order']} {units}", number(other["kneser_ney"], decimals=4)])
        rows.append([f"single {units}", number(other["unigram"], decimals=4)])
        gap, mixture = other["kneser_ney_less_network"], other["mixture"]
        verdict = f"The network is {('not shown to be better', 'better', 'worse')[side(gap)]}"
        lines.append(
            f"{verdict} than the n-grams: {interval(gap, decimals=4, signed=True)} nats. Mixed, with "
            f"{mixture['weight']:.2f} for the n-grams, they reach {mixture['mixture']:.4f} on the last four fifths, "
            f"where the network alone has {mixture['network']:.4f}."
        )
    about = (
        f"{figures['characters']:,} characters, {figures['unknown']:,} of them unknown; perplexity "
        f"{figures['perplexity']:.2f}, {figures['bits_per_byte']:.3f} bits a byte."
    )
    table = Table(["", "nats a character"], rows, left=[""]).markdown()
    return "\n\n".join([f"### On {split}", about, table, *lines])
