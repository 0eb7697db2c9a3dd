"""The report on translations: BLEU and chrF with signatures and interval, baselines, and each answer to look at."""

from __future__ import annotations

import csv
import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from seqpipe.data.findings import counted
from seqpipe.evaluation.figures import interval, number
from seqpipe.evaluation.paired import with_interval
from seqpipe.evaluation.pictures import drawable, new_figure, save
from seqpipe.evaluation.tables import Table
from seqpipe.serving.model import Model
from seqpipe.storage import whole_file, write_json, write_text
from seqpipe.tasks.protocol import Report
from seqpipe.tasks.translation.bleu import CORPUS_BLEU, OF_ROWS, bleu, bleu_rows, metric
from seqpipe.tasks.translation.config import TranslationEvaluation
from seqpipe.tasks.translation.data import Pairs

LENGTH_BINS = (1, 6, 11, 16, 21, 31)  # words of a source (characters where it has no spaces), the least of each bin
PICTURES = 8  # alignments drawn a split
INCHES_A_PIECE = 0.28  # of an alignment
NAMES = {"greedy": "greedy search", "beam": "beam search", "copy": "copy of the source", "nearest": "nearest sentence"}

Answer = Callable[[Sequence[str]], list[str]]
Align = Callable[[str], tuple[list[str], list[str], np.ndarray]]


def baselines(train: Pairs) -> dict[str, Answer]:
    """What takes no learning: the source itself, and the translation of the nearest training source."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    kind = {"token_pattern": r"(?u)\S+"} if _spaced(train.sources) else {"analyzer": "char"}
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **kind)
    known = vectorizer.fit_transform(train.sources)

    def nearest(sources: Sequence[str]) -> list[str]:
        found: list[str] = []
        for start in range(0, len(sources), 500):
            likeness = vectorizer.transform(sources[start : start + 500]) @ known.T
            found += [train.targets[row] for row in np.asarray(likeness.argmax(axis=1)).ravel()]
        return found

    return {"copy": list, "nearest": nearest}


def _spaced(texts: Sequence[str]) -> bool:
    """Whether most texts have blanks between words; in others characters stand for words."""
    return 2 * sum(" " in text for text in texts) >= len(texts)


def evaluate_translation(
    pairs: Pairs, answers: Mapping[str, list[str]], wanted: TranslationEvaluation, *, seed: int
) -> Report:
    """The report on one split.

    Args:
        answers: of each system, the model's greedy and beam search first.
        wanted: what the beam search was made with, how BLEU tokenises, and the resamples behind each interval.
    """
    from sacrebleu.metrics import CHRF

    metrics = metric(wanted.tokenize), CHRF()
    systems = {}
    for name, texts in answers.items():
        chrf = metrics[1].corpus_score(texts, [pairs.targets]).score
        rows = bleu_rows(texts, pairs.targets, wanted.tokenize)
        interval = with_interval(CORPUS_BLEU, [rows], samples=wanted.bootstrap_samples, seed=seed)
        systems[name] = {"bleu": interval, "chrf": chrf}
    metrics[0].corpus_score(pairs.targets, [pairs.targets])  # a signature names the references it has seen
    return {
        "rows": len(pairs),
        "beam_width": wanted.beam_width,
        "length_penalty": wanted.length_penalty,
        "systems": systems,
        "measures": {CORPUS_BLEU.name: {**systems["beam"]["bleu"], "n": len(pairs)}},
        "signatures": {"bleu": str(metrics[0].get_signature()), "chrf": str(metrics[1].get_signature())},
        "lengths_in": "words" if _spaced(pairs.sources) else "characters",
        "by_length": _by_length(pairs, answers["beam"], wanted.tokenize),
    }


def evaluate_served(model: Model, pairs: Pairs, wanted: TranslationEvaluation, directory: Path) -> Report:
    """The report on an exported model as it answers pairs, by greedy and beam search, with its pictures."""
    options = {"beam_width": wanted.beam_width, "length_penalty": wanted.length_penalty}
    answers = {
        "greedy": [answer["text"] for answer in model(pairs.sources)],
        "beam": [answer["texts"][0] for answer in model(pairs.sources, signature="beam", options=options)],
    }
    report = evaluate_translation(pairs, answers, wanted, seed=1)

    def align(source: str) -> tuple[list[str], list[str], np.ndarray]:
        (answer,) = model([source], signature="explain")
        return answer["source_pieces"], answer["target_pieces"], np.array(answer["alignment"])

    write_report(report, pairs, answers["beam"], directory, tokenize=wanted.tokenize, align=align)
    return {"splits": {"test": report}}


def _by_length(pairs: Pairs, answers: Sequence[str], tokenize: str) -> list[dict[str, object]]:
    spaced = _spaced(pairs.sources)
    words = np.array([len(text.split()) if spaced else len(text) for text in pairs.sources])
    rows = []
    for least, following in zip(LENGTH_BINS, (*LENGTH_BINS[1:], None), strict=True):
        chosen = np.flatnonzero((words >= least) & (words < (following or np.inf))).tolist()
        if chosen:
            score = bleu([answers[i] for i in chosen], [pairs.targets[i] for i in chosen], tokenize)
            label = f"{least} or more" if following is None else f"{least} to {following - 1}"
            rows.append({"words": label, "rows": len(chosen), "bleu": score})
    return rows


def write_report(
    report: Report, pairs: Pairs, answers: list[str], directory: Path, *, tokenize: str, align: Align
) -> None:
    """Write report.json, report.md, translations.tsv, translations.html (worst first) and alignment pictures.

    Args:
        answers: of the beam search.
        align: source -> its pieces, those of its translation by greedy search, and the alignment.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "report.json", report)
    write_text(directory / "report.md", to_markdown(report))
    kept = bleu_rows(answers, pairs.targets, tokenize)
    kept.write(directory)
    of_rows = kept.columns[OF_ROWS]
    order = np.argsort(of_rows, kind="stable")
    rows = [(of_rows[i], pairs.places[i], pairs.sources[i], pairs.targets[i], answers[i]) for i in order]
    write_text(directory / "translations.html", _page(rows))
    with whole_file(directory / "translations.tsv", "w") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(["source", "target", "answer"])
        table.writerows(zip(pairs.sources, pairs.targets, answers, strict=True))
    for picture, row in enumerate(np.linspace(0, len(order) - 1, min(PICTURES, len(order))).astype(int), start=1):
        source, target, weights = align(pairs.sources[order[row]])
        if source and target:
            _alignment_picture(source, target, weights, directory / f"alignment_{picture}.png")


def _alignment_picture(source: Sequence[str], target: Sequence[str], weights: np.ndarray, path: Path) -> None:
    """Draw an alignment; the darker a cell, the more the target piece (row) looked at the source piece (column).

    Args:
        source, target: pieces.
        weights: float [target, source], 0..1.
    """
    figure = new_figure(2.2 + INCHES_A_PIECE * len(source), 1.8 + INCHES_A_PIECE * len(target))
    axes = figure.subplots()
    axes.imshow(weights, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    axes.set_xticks(range(len(source)), [_shown(piece) for piece in source], rotation=90)
    axes.set_yticks(range(len(target)), [_shown(piece) for piece in target])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    save(figure, path)


def _shown(piece: str) -> str:
    """A piece with its word boundary visible; dollar signs would start a formula."""
    return drawable(piece.replace(" ", "_")).replace("$", r"\$")


def _page(rows: Sequence[tuple[float, str, str, str, str]]) -> str:
    body = "\n".join(
        f"<tr><td>{score:.1f}</td><td>{'<br>'.join(map(html.escape, texts))}</td><td>{html.escape(place)}</td></tr>"
        for score, place, *texts in rows
    )
    return f"""<!doctype html>
<html><head><meta charset="utf-8"><title>Translations, the worst first</title>
<style>body {{ font: 15px sans-serif; margin: 2em }}
td {{ padding: .4em; border-top: 1px solid #ccc; vertical-align: top }}
td:first-child {{ text-align: right }} td:last-child {{ color: #777; font-size: 80% }}</style></head>
<body><h1>Translations, the worst first</h1>
<p>Sentence BLEU; source, reference and answer below each other; place.</p>
<table>
{body}
</table></body></html>
"""


def to_markdown(report: Report) -> str:
    """The report of one split as Markdown."""
    systems = []
    for name, figures in report["systems"].items():
        label = f"{NAMES[name]}, width {report['beam_width']}" if name == "beam" else NAMES[name]
        systems.append([label, interval(figures["bleu"]), number(figures["chrf"])])
    lengths = [[row["words"], f"{row['rows']:,}", number(row["bleu"])] for row in report["by_length"]]
    words = f"{report['lengths_in']} of the source"
    return "\n\n".join(
        [
            f"{counted(report['rows'], 'row')}; intervals by resampling rows.",
            Table(["", "BLEU", "chrF"], systems, left=[""]).markdown(),
            f"BLEU: `{report['signatures']['bleu']}`; chrF: `{report['signatures']['chrf']}`; beam search with length "
            f"penalty {report['length_penalty']:g}.",
            Table([words, "rows", "BLEU, beam search"], lengths, left=[words]).markdown() + "\n",
        ]
    )
