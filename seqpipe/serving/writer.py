"""What `seqpipe write` and `seqpipe score` do with a model that writes."""

from __future__ import annotations

import html
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.text import Text

from seqpipe.errors import DataError, ModelError
from seqpipe.serving.inputs import as_tensor
from seqpipe.storage import write_text

if TYPE_CHECKING:
    import tensorflow as tf

    from seqpipe.serving.model import Answer, Model

LONGEST = 100_000  # characters that are written at once
SCORED = 8_000  # characters of a file that are scored at once
BEFORE = 500  # of them, characters that are read again, so that a piece does not begin with nothing
ENDED = 0  # the token after which a text has ended
SURPRISING = (2.0, 5.0, 8.0)  # bits from which a character is marked, in three steps
STYLES = ("", "yellow", "bold yellow", "bold white on red")
COLOURS = ("", "#fff3c4", "#ffd479", "#ff8f70")


@dataclass(frozen=True)
class Wishes:
    """How to write; what is None is as the model's pipeline has it."""

    length: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None


def require(model: Model, signature: str) -> None:
    """Raises ModelError: the model does not write."""
    if signature not in model.signatures:
        raise ModelError(
            f"{model.path} does not write: it has no signature {signature}. It has: {', '.join(model.signatures)}."
        )


def settings(model: Model, wishes: Wishes) -> dict[str, tf.Tensor]:
    """Tensors by the names that `write` has for them."""
    known = model.call("info", {})
    specs = model.takes("write")
    chosen = {name: known[name] if wish is None else wish for name, wish in asdict(wishes).items()}
    if isinstance(chosen["top_k"], int):  # above the vocabulary it is all of it
        chosen["top_k"] = min(chosen["top_k"], specs["top_k"].dtype.max)
    try:
        return {name: as_tensor(value, specs[name]) for name, value in chosen.items()}
    except (TypeError, ValueError, OverflowError):
        types = ", ".join(f"{name} {specs[name].dtype.name}" for name in chosen)
        raise DataError(f"write takes {types}, not {chosen}.") from None


def shown(text: str) -> str:
    """A text as it can be shown: bytes of a command line that are no UTF-8 are U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _seeds(seeds: Sequence[int]) -> tf.Tensor:
    import tensorflow as tf

    try:
        return tf.constant(list(seeds), tf.int64)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"seeds are whole numbers of 64 bits, not {', '.join(map(str, seeds))}.") from None


def written(
    model: Model, prompt: str, wishes: Wishes, *, stop: Sequence[str] = (), seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """A text for each seed: text, nats, finished, unknown, seed."""
    import tensorflow as tf

    require(model, "write")
    outputs = model.call(
        "write",
        {
            **settings(model, wishes),
            "text": tf.constant([shown(prompt)] * len(seeds)),
            "stop": tf.constant([shown(text) for text in stop], tf.string),
            "seed": _seeds(seeds),
        },
    )
    return [
        {
            "text": outputs["text"][row].decode(),
            "nats": float(outputs["nats"][row]),
            "finished": outputs["finished"][row].decode(),
            "unknown": outputs["unknown"][row].decode(),
            "seed": seed,
        }
        for row, seed in enumerate(seeds)
    ]


def streamed(model: Model, prompt: str, wishes: Wishes, *, stop: Sequence[str] = (), seed: int) -> Iterator[str]:
    """The same text as `written`, in parts as they come; what may be the beginning of a stop string is held back."""
    import tensorflow as tf

    require(model, "sample")
    if not all(stop):
        raise DataError("stop strings must have 1 character or more; one is empty.")
    options = settings(model, wishes)
    length = int(options.pop("length"))
    if length > LONGEST:
        raise DataError(f"length must be 1 to {LONGEST:,} characters, not {length:,}.")
    state = model.call("start", {"text": tf.constant([shown(prompt)])})
    seeds, stop, held = _seeds([seed]), [shown(text) for text in stop], ""
    for number in range(length):
        inputs = {**state, "number": tf.constant(number), "seed": seeds, **options}
        state = model.call("sample", inputs)
        part = state.pop("text")[0].decode()
        if state["tokens"][0] == ENDED:
            break
        found: list[str] = []
        for character in part:
            held += character
            found = [text for text in stop if held.endswith(text)]
            if found:
                break
        if found:
            held = held[: -max(map(len, found))]
            break
        kept = max((size for text in stop for size in range(1, len(text)) if held.endswith(text[:size])), default=0)
        ready = len(held) - kept
        if ready:
            yield held[:ready]
            held = held[ready:]
    if held:
        yield held


def print_written(model: Model, prompt: str, wishes: Wishes, err: Console, **how: Any) -> None:
    """Texts below each other, or JSON lines.

    Args:
        how: stop, seeds, stream, as_json.
    """
    stop, seeds, prompt = how["stop"], how["seeds"], shown(prompt)
    if how["stream"]:
        first = replace(wishes, length=1 if wishes.length is None else min(wishes.length, 1))
        answers = written(model, prompt, first, stop=stop, seeds=seeds[:1])  # refuses what streaming would not
        for seed in seeds:
            sys.stdout.write(prompt)
            for part in streamed(model, prompt, wishes, stop=stop, seed=seed):
                sys.stdout.write(part)
                sys.stdout.flush()
            sys.stdout.write("\n")
    else:
        answers = written(model, prompt, wishes, stop=stop, seeds=seeds)
        for number, answer in enumerate(answers):
            if how["as_json"]:
                print(json.dumps({"prompt": prompt, **answer}, ensure_ascii=False))
            else:
                print(("\n" if number else "") + prompt + answer["text"])  # rich would change tabs
    unknown = answers[0]["unknown"]
    if unknown:
        err.print(f"warning: {len(unknown)} characters of the prompt are unknown to this model: {_names(unknown)}")
    err.print(f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}")


def _names(unknown: str) -> str:
    """Each character once; such as have no shape, by their number."""
    return " ".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in dict.fromkeys(unknown))


class Scored(NamedTuple):
    """A text as it was read, the bits of each of its characters, float64 [N], and those it has that are unknown."""

    text: str
    bits: np.ndarray
    unknown: str


def scored(model: Model, text: str) -> Scored:
    """A text of any length, read in parts."""
    import tensorflow as tf

    require(model, "score")
    pieces, bits, unknown = [], [], ""
    for start in range(0, len(text), SCORED):
        before = text[max(0, start - BEFORE) : start]
        part = (before + text[start : start + SCORED]).encode("utf-8", "replace")
        outputs = model.call("score", {"text": tf.constant([part])})
        pieces += [piece.decode() for piece in outputs["pieces"][0][len(before) :]]
        bits.append(outputs["surprisal"][0][len(before) :] / math.log(2))
        unknown += outputs["unknown"][0].decode()
    return Scored("".join(pieces), np.concatenate(bits).astype(np.float64) if bits else np.zeros(0), unknown)


def texts_end(model: Model) -> bool:
    """Whether its texts end by themselves, so that each line of a file is one."""
    require(model, "score")
    return "end_nats" in model.gives("score")


def surprisals(answer: Answer) -> np.ndarray:
    """Nats of each character of a text that ends, and of its end: float64 [N + 1]."""
    return np.array([*answer["surprisal"][: int(answer["characters"])], answer["end_nats"]], np.float64)


def _by_line(model: Model, text: str) -> tuple[list[tuple[str, np.ndarray]], str]:
    """Lines with the bits of their characters and of what ends them; and characters that are unknown."""
    if texts_end(model):
        answers = model.score([line for line in text.split("\n") if line])
        lines = ["".join(answer["pieces"][: int(answer["characters"])]) for answer in answers]
        bits = [surprisals(answer) / math.log(2) for answer in answers]
        return list(zip(lines, bits, strict=True)), "".join(answer["unknown"] for answer in answers)
    read, of_text, unknown = scored(model, text)
    found, start = [], 0
    for line in read.split("\n"):
        found.append((line, of_text[start : start + len(line) + 1]))
        start += len(line) + 1
    return found, unknown


def print_score(model: Model, text: str, out: Console, err: Console, *, page: Path | None) -> None:
    """Bits a character of each line, with surprising characters marked; or a page."""
    lines, unknown = _by_line(model, text)
    bits = np.concatenate([np.zeros(0), *(of_line for _, of_line in lines)])
    if not len(bits):
        raise DataError("there is no text to score: the file is empty.")
    ends = len(lines) if texts_end(model) else len(lines) - 1  # of texts, or line breaks between lines: a byte each
    size = len("".join(line for line, _ in lines).encode()) + ends
    whole = f"{bits.mean():.3f} bits a character, {bits.sum() / max(1, size):.3f} a byte; {len(bits):,} characters"
    if page is not None:
        write_text(page, _page(lines, whole))
        out.print(f"Written: {page}")
    else:
        for line, of_line in lines:
            if len(of_line):
                shown_line = Text(f"{of_line.mean():6.2f}  ")
                for character, surprise in zip(line, of_line, strict=False):
                    shown_line.append(character, STYLES[_mark(surprise)])
                out.print(shown_line)
    if unknown:
        err.print(f"warning: characters that are unknown to this model: {_names(unknown)}")
    out.print(whole)


def _mark(bits: float) -> int:
    return sum(bits >= least for least in SURPRISING)


def _page(lines: Sequence[tuple[str, np.ndarray]], whole: str) -> str:
    rows = []
    for line, bits in lines:
        if len(bits):
            marked = "".join(
                f'<span style="background:{COLOURS[_mark(b)]}" title="{b:.1f} bits">{html.escape(c)}</span>'
                if _mark(b)
                else html.escape(c)
                for c, b in zip(line, bits, strict=False)
            )
            rows.append(f"<tr><td>{bits.mean():.2f}</td><td>{marked}</td></tr>")
    body = "\n".join(rows)
    return f"""<!doctype html>
<html><head><meta charset="utf-8"><title>Surprising places</title>
<style>body {{ font: 16px serif; margin: 2em }} td {{ padding: 0 .6em; white-space: pre-wrap }}
td:first-child {{ text-align: right; color: #777; font: 12px monospace }}</style></head>
<body><h1>Surprising places</h1>
<p>{whole}. Marked from {SURPRISING[0]:g}, {SURPRISING[1]:g} and {SURPRISING[2]:g} bits.</p>
<table>
{body}
</table></body></html>
"""
