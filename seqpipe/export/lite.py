"""LiteRT (TFLite) files: converting a function with builtin ops alone, running it, and putting files beside a model."""

from __future__ import annotations

import importlib.metadata
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.config.pipeline import DeviceExport, Pipeline
from seqpipe.errors import ProofError, require_extra
from seqpipe.evaluation.measures import Report
from seqpipe.export.card import resized, with_section
from seqpipe.storage import remove_leftovers_of_the_dead, whole_directory, write_json, write_text

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

DIRECTORY = "lite"  # in an artefact
REPORT = "report.json"


def wanted(config: Pipeline) -> bool:
    """Whether a pipeline file asks for LiteRT files."""
    return isinstance(config.export, DeviceExport) and config.export.lite


def require_interpreter(asked_by: str) -> None:
    """Raises RunError: LiteRT is not installed."""
    require_extra("lite", "ai_edge_litert", needs=f"{asked_by} needs LiteRT, which proves the files")


def frozen(model: keras.Model) -> keras.StatelessScope:
    """A scope, for use while a function is traced, in which the model's weights are constants.

    LiteRT cannot read a variable in a loop.
    """
    import keras
    import tensorflow as tf

    with tf.init_scope():
        values = [variable.numpy() for variable in model.variables]
    constants = [(variable, tf.constant(value)) for variable, value in zip(model.variables, values, strict=True)]
    return keras.StatelessScope(state_mapping=constants)


def convert(function: object, *, int8: bool, variables: Sequence[tf.Variable] = ()) -> bytes:
    """A LiteRT file with one signature, named serving_default.

    Args:
        function: a `tf.function` with an input signature that returns tensors by name.
        variables: those it reads; none of them in a loop.
        int8: hold large weights in eight bits, and compute with what they stand for (dynamic-range quantisation).
    Raises:
        ProofError: an op is none of LiteRT's own.
    """
    import tensorflow as tf

    from seqpipe.startup import quietly

    module = tf.Module()
    module.function, module.read = function, list(variables)
    with tempfile.TemporaryDirectory(prefix="seqpipe-lite-") as place, quietly(shown_on_failure=False):
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, place, signatures={"serving_default": function}, options=options)
        converter = tf.lite.TFLiteConverter.from_saved_model(place)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.optimizations = [tf.lite.Optimize.DEFAULT] if int8 else []
        try:
            content = converter.convert()
        except Exception as error:  # the converter's own class is not public
            reason = next((line for line in str(error).split("\n") if line.strip()), type(error).__name__)
            raise ProofError(f"LiteRT cannot hold the model with its own ops: {reason[:1000]}") from error
    foreign = [name for name in used_ops(content) if name.startswith(CUSTOM)]
    if foreign:
        raise ProofError(f"The LiteRT file holds ops that are not its own: {', '.join(foreign)}. Allowed: builtin ops.")
    return content


CUSTOM = "CUSTOM"


def used_ops(content: bytes) -> list[str]:
    """Names of the ops in a LiteRT file; what is not builtin begins with CUSTOM."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAsModel(content, 0)
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    ops = set()
    for code in map(model.OperatorCodes, range(model.OperatorCodesLength())):
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # the first is newer, and 0 for a low number
        ops.add(f"{CUSTOM} {code.CustomCode()}" if names[builtin] == CUSTOM else names[builtin])
    return sorted(ops)


LABELS = "labels.txt"  # in a file, as LiteRT's metadata has it: a zip behind the model, which any unzip finds


def with_labels(content: bytes, labels: list[str]) -> bytes:
    """A LiteRT file that holds the names of its classes, in the order of the probabilities, a line each."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as packed:
        packed.writestr(zipfile.ZipInfo(LABELS), "\n".join(labels))
    return file.getvalue()


class Interpreter:
    """A LiteRT file on one thread; call it with arrays by name, it answers with arrays by name."""

    def __init__(self, content: bytes):
        from ai_edge_litert import interpreter

        from seqpipe.startup import quietly

        with quietly():
            loaded = interpreter.Interpreter(model_content=content, num_threads=1)
            loaded.allocate_tensors()
        self._runner = loaded.get_signature_runner()
        self.inputs: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
            name: (tuple(facts["shape"].tolist()), facts["dtype"])
            for name, facts in self._runner.get_input_details().items()
        }

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        return self._runner(**inputs)


@dataclass(frozen=True)
class Figures:
    """What the proof of a file found.

    bytes: size. difference: the largest of its answers from the SavedModel's, of which `allowed` is the bound.
    latency_ms: median of one answer on one thread. accuracy: {value, low, high, n}, or None without labels.
    ops: LiteRT's names of what it is made of.
    """

    bytes: int
    difference: float
    allowed: float
    latency_ms: float
    accuracy: dict[str, float] | None
    ops: list[str]


@dataclass(frozen=True)
class LiteFiles:
    """Proved LiteRT files.

    contents, figures: by file name.
    classes: in the order of the probabilities.
    takes: what goes in and comes out, a sentence for the card.
    rows: what the answers were compared on, in words.
    served: accuracy of the SavedModel on the same rows.
    """

    contents: dict[str, bytes]
    figures: dict[str, Figures]
    classes: list[str]
    takes: str
    rows: str
    served: dict[str, float] | None

    def report(self) -> dict[str, object]:
        return {
            "classes": self.classes,
            "takes": self.takes,
            "rows": self.rows,
            "interpreter": f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}",
            "savedmodel": {"accuracy": self.served},
            "files": {name: asdict(figures) for name, figures in self.figures.items()},
        }


def add(artefact: Path, make: Callable[[Path], LiteFiles]) -> Path:
    """Put LiteRT files in ARTEFACT/lite, all or none, and into its card; files that are there already stay.

    Args:
        artefact: a directory with a SavedModel and card.md.
        make: makes and proves them.
    Raises:
        ProofError, RunError: there is none, or they cannot be written; the artefact is as it was.
    """
    place = artefact / DIRECTORY
    card = artefact / "card.md"
    before = card.read_text(encoding="utf-8")
    remove_leftovers_of_the_dead(artefact)
    if not place.exists():
        files = make(artefact)
        with whole_directory(place) as directory:
            for name, content in files.contents.items():
                (directory / name).write_bytes(content)
            write_json(directory / REPORT, files.report())
    report = json.loads((place / REPORT).read_text(encoding="utf-8"))
    after = with_section(resized(before, artefact), "On a device", to_markdown(report))
    if after != before:
        write_text(card, after)
    return place


def to_markdown(report: Report) -> str:
    """A report as the text of a card's section."""

    def row(name: str, accuracy: dict[str, float] | None, figures: dict[str, object] | None = None) -> str:
        share = "–" if accuracy is None else f"{100 * accuracy['value']:.2f} %"
        if figures is None:
            return f"| {name} | – | – | {share} | – |"
        difference = f"{figures['difference']:.1e} ({figures['allowed']:g})"
        return f"| `{name}` | {figures['bytes']:,} | {difference} | {share} | {figures['latency_ms']:.2f} |"

    rows = [row(name, figures["accuracy"], figures) for name, figures in report["files"].items()]
    return "\n".join(
        [
            f"`{DIRECTORY}/` holds the model for LiteRT (TFLite), in LiteRT's own ops alone. {report['takes']}",
            f"Probabilities were compared with the SavedModel's on {report['rows']}.",
            f"Latency is the median of one answer on one thread ({report['interpreter']}).",
            "",
            "| file | bytes | largest difference (allowed) | balanced accuracy | latency, ms |",
            "|---|---:|---:|---:|---:|",
            row("SavedModel", report["savedmodel"]["accuracy"]),
            *rows,
        ]
    )
