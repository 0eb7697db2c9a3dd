"""Our recurrent layers beside Keras' and torch's, on this machine's CPU: one table, everything in one run.

    python benchmarks/recurrent.py            # all rows; about half an hour
    python benchmarks/recurrent.py --quick    # two sizes, full lengths, one direction; prints only
    python benchmarks/recurrent.py --forms    # the ways a layer can compute; writes its tables into docs/recurrent.md

All columns of a row are measured in turns, so that a busy moment of the machine meets each of them. Torch is measured
where it can be imported. Writes docs/recurrent_benchmark.md.

Axes: B batch, T time, C channels, U units.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parents[1]))
from seqpipe.layers import recurrent
from seqpipe.layers.recurrent_form import Form, Runner, traced_for

THREADS = 2
PAUSE_S = 0.003  # before each measurement: idle threads of the column before it stop spinning
SIZES = [(100, 128, 128), (30, 256, 512), (200, 64, 64), (400, 128, 64)]  # T, C, U
GATES = {"LSTM": 4, "GRU": 3}
DOCS = Path(__file__).parents[1] / "docs"
# name, work, cells, directions, our columns, against which columns, at least, aim; of several columns the quickest
BOTH, ONE_WAY, TWO_WAYS, ANY_WAY = ("LSTM", "GRU"), (1,), (2,), (1, 2)
TRAINED = ("ours", "ours XLA")  # training measures both and takes the quicker one
TARGETS = [
    ("training step / Keras as fit runs it", "train 64", BOTH, ONE_WAY, TRAINED, ("keras",), 1.4, 1.9),
    ("training step / the better Keras", "train 64", BOTH, ONE_WAY, TRAINED, ("keras", "keras XLA"), 1.25, 1.6),
    ("training step / torch", "train 64", BOTH, ONE_WAY, TRAINED, ("torch",), 1.0, 1.4),
    ("bidirectional training step / Keras", "train 64", BOTH, TWO_WAYS, TRAINED, ("keras",), 1.5, 2.0),
    ("one LSTM request as served / Keras", "forward 1", ("LSTM",), ANY_WAY, ("ours",), ("keras",), 2.0, 3.0),
    ("one GRU request as served / Keras", "forward 1", ("GRU",), ANY_WAY, ("ours",), ("keras",), 1.3, 2.0),
    ("forward, batch 64 / Keras", "forward 64", BOTH, ANY_WAY, ("ours",), ("keras",), 1.2, 2.0),
]


@dataclass
class Row:
    """One row of the table.

    Args:
        work: forward 1, forward 64 or train 64; the number is B.
        size: (T, C, U).
        milliseconds: for each column all measurements, in turn.
    """

    cell: str
    directions: int
    work: str
    size: tuple[int, int, int]
    ragged: bool
    milliseconds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, column: str) -> float:
        return statistics.median(self.milliseconds[column])

    def spread(self, column: str) -> float:
        """Half the distance between the quartiles."""
        low, _, high = statistics.quantiles(self.milliseconds[column], n=4)
        return (high - low) / 2

    def quickest(self, columns: tuple[str, ...]) -> float | None:
        return min((self.median(column) for column in columns if column in self.milliseconds), default=None)

    def ratio(self, ours: tuple[str, ...], against: tuple[str, ...]) -> float | None:
        our_ms, other_ms = self.quickest(ours), self.quickest(against)
        return other_ms / our_ms if our_ms and other_ms else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two sizes, full lengths, one direction; writes nothing")
    parser.add_argument("--rounds", type=int, help="measurements of each figure, at least 2; 15, quick 7")
    parser.add_argument("--forms", action="store_true", help="the ways a layer can compute; into docs/recurrent.md")
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 2:
        parser.error(f"--rounds {arguments.rounds}: a spread takes at least 2.")
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    quick = arguments.quick
    if arguments.forms:
        compare_forms(arguments.rounds or 15)
        return
    rows = [
        Row(cell, directions, work, size, ragged)
        for directions, work, cell, size, ragged in itertools.product(
            (1,) if quick else (1, 2),
            ("forward 1", "forward 64", "train 64"),
            GATES,
            SIZES[::2] if quick else SIZES,
            (False,) if quick else (False, True),
        )
    ]
    for row in rows:
        measure(row, arguments.rounds or (7 if quick else 15))
        print(markdown_row(row), flush=True)
    print("\n" + markdown_targets(rows))
    if not quick:
        write(rows)


def measure(row: Row, rounds: int) -> None:
    batch = int(row.work.split()[1])
    steps, channels, _ = row.size
    random = np.random.default_rng(0)
    x = random.normal(size=(batch, steps, channels)).astype("float32")
    lengths = random.integers(steps // 4, steps + 1, size=batch).astype("int32") if row.ragged else None
    contenders = training_steps(row, x, lengths) if row.work.startswith("train") else forwards(row, x, lengths)
    contenders["one matmul"] = one_matmul(row, batch)
    row.milliseconds = in_turns(contenders, rounds)


def in_turns(contenders: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call, rounds times each, after a warm-up."""
    for call in contenders.values():
        for _ in range(3):
            call()
    milliseconds: dict[str, list[float]] = {column: [] for column in contenders}
    for _, (column, call) in itertools.product(range(rounds), contenders.items()):
        time.sleep(PAUSE_S)
        start = time.perf_counter()
        call()
        milliseconds[column].append(1e3 * (time.perf_counter() - start))
    return milliseconds


def make(row: Row, module: Any, **options: Any) -> keras.layers.Layer:
    layer = getattr(module, row.cell)(row.size[2], return_sequences=True, **options)
    layer = module.Bidirectional(layer) if row.directions == 2 else layer
    layer.build((None, *row.size[:2]))
    return layer


def forwards(row: Row, x: np.ndarray, lengths: np.ndarray | None) -> dict[str, Callable[[], Any]]:
    """Ours and Keras' as a loaded SavedModel answers; torch."""
    calls: dict[str, Callable[[], Any]] = {}
    tensors = [tf.constant(x), *([] if lengths is None else [tf.constant(lengths)])]
    for column, module in {"ours": recurrent, "keras": keras.layers}.items():
        layer = make(row, module)
        with traced_for("serving"):
            traced = exported(layer, with_lengths(layer, row.size[0], ours=module is recurrent), tensors)
        calls[column] = lambda traced=traced: np.asarray(traced(*tensors))
    if importlib.util.find_spec("torch"):
        calls["torch"] = torch_forward(row, x, lengths)
    return calls


def with_lengths(layer: keras.layers.Layer, steps: int, *, ours: bool) -> Callable[..., Any]:
    """layer as a function of (x) or (x, lengths): lengths for ours, a mask for Keras'."""

    def run(x, lengths=None, **call):
        if lengths is None:
            return layer(x, **call)
        return layer(x, lengths, **call) if ours else layer(x, mask=tf.sequence_mask(lengths, steps), **call)

    return run


def exported(layer: keras.layers.Layer, function: Callable[..., Any], tensors: list[tf.Tensor]) -> Callable[..., Any]:
    """function after a journey through a SavedModel with any batch and any time."""
    module = tf.Module()
    module.layer = layer
    signature = [tf.TensorSpec([None] * min(2, t.ndim) + t.shape[2:], t.dtype) for t in tensors]
    module.run = tf.function(function, input_signature=signature)
    with tempfile.TemporaryDirectory() as place:
        tf.saved_model.save(module, place)
        loaded = tf.saved_model.load(place)
    return lambda *inputs: loaded.run(*inputs)  # holds `loaded`, whose variables live as long as it does


def training_steps(row: Row, x: np.ndarray, lengths: np.ndarray | None) -> dict[str, Callable[[], Any]]:
    """Forward, gradients by inputs and weights, Adam; as fit runs it and with XLA; torch."""
    columns: dict[str, tuple[Runner, Any, dict[str, Any], bool]] = {
        "ours": ("any", recurrent, {}, False),
        "ours XLA": ("xla_loops", recurrent, {}, False),
        "keras": ("any", keras.layers, {}, False),
        "keras XLA": ("any", keras.layers, {"use_cudnn": False}, True),
    }
    found = {}
    for column, (runner, module, options, jit) in columns.items():
        layer = make(row, module, **options)
        with traced_for(runner):
            found[column] = training_step(layer, row, x, lengths, ours=module is recurrent, jit=jit)
    if importlib.util.find_spec("torch"):
        found["torch"] = torch_training_step(row, x, lengths)
    return found


def training_step(layer, row: Row, x: np.ndarray, lengths: np.ndarray | None, *, ours: bool, jit: bool):
    function = with_lengths(layer, row.size[0], ours=ours)
    optimizer = keras.optimizers.Adam()
    optimizer.build(layer.trainable_variables)
    tensors = [tf.constant(x), *([] if lengths is None else [tf.constant(lengths)])]

    @tf.function(jit_compile=jit)
    def step(x, *lengths):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x, *lengths, training=True)
            loss = tf.reduce_mean(y * y)
        dx, *gradients = tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])
        optimizer.apply(gradients)
        return loss, dx

    traced = step.get_concrete_function(*tensors)
    return lambda: np.asarray(traced(*tensors)[1])


def torch_layer(row: Row) -> Any:
    import torch

    torch.set_num_threads(THREADS)
    _, channels, units = row.size
    return getattr(torch.nn, row.cell)(channels, units, batch_first=True, bidirectional=row.directions == 2)


def torch_forward(row: Row, x: np.ndarray, lengths: np.ndarray | None) -> Callable[[], Any]:
    import torch

    layer = torch_layer(row)

    def run():
        with torch.inference_mode():
            return torch_run(layer, torch.from_numpy(x), lengths)

    return run


def torch_training_step(row: Row, x: np.ndarray, lengths: np.ndarray | None) -> Callable[[], Any]:
    import torch

    layer = torch_layer(row)
    optimizer = torch.optim.Adam(layer.parameters())
    inputs = torch.from_numpy(x).requires_grad_()

    def run():
        optimizer.zero_grad()
        inputs.grad = None
        (torch_run(layer, inputs, lengths) ** 2).mean().backward()
        optimizer.step()

    return run


def torch_run(layer: Any, x: Any, lengths: np.ndarray | None) -> Any:
    from torch.nn.utils import rnn

    if lengths is None:
        return layer(x)[0]
    packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return rnn.pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=x.shape[1])[0]


def one_matmul(row: Row, batch: int) -> Callable[[], Any]:
    """One product with as many operations as the row's products have over full lengths; training has three times."""
    steps, channels, units = row.size
    rows = steps * batch * (3 if row.work.startswith("train") else 1)
    a = tf.random.normal([rows, channels + units])
    b = tf.random.normal([channels + units, GATES[row.cell] * units * row.directions])
    return lambda: np.asarray(tf.matmul(a, b)[0, 0])


FIRST, BY_TURN, BY_HAND = Form.INPUTS_FIRST, Form.INPUTS_BY_TURN, Form.GRADIENT_BY_HAND
FORMS = {  # work -> what its row is called -> form, steps a turn; in training INPUTS_BY_TURN has TensorFlow's gradient
    "forward 1": {
        "1 step a turn": (FIRST, 1),
        "5 steps a turn": (FIRST, 5),
        "10 steps a turn": (FIRST, 10),
        "input product in the loop": (BY_TURN, 5),
        "a product for each gate": (Form.INPUTS_FIRST_BY_GATE, 5),
        "BlockLSTMV2": (Form.FUSED, 5),
    },
    "forward 64": {
        "input product before the loop": (FIRST, 5),
        "1 step a turn": (BY_TURN, 1),
        "5 steps a turn": (BY_TURN, 5),
        "10 steps a turn": (BY_TURN, 10),
        "BlockLSTMV2": (Form.FUSED, 5),
    },
    "train 64": {
        "TensorFlow's gradient": (BY_TURN, 5),
        "1 step a turn": (BY_HAND, 1),
        "5 steps a turn": (BY_HAND, 5),
        "10 steps a turn": (BY_HAND, 10),
        "1 step a turn, loops by XLA": (Form.GRADIENT_BY_HAND_XLA, 1),
    },
}


def compare_forms(rounds: int) -> None:
    """One table a kind of work: milliseconds of each form, over the sizes, beside Keras' layer."""
    lines = [f"Milliseconds, median of {rounds}; {processor()}, {THREADS} threads, TensorFlow {tf.__version__}."]
    for work, forms in FORMS.items():
        sizes = " | ".join("x".join(map(str, size)) for size in SIZES)
        lines += ["", f"| {work} | {sizes} |", "|---" * (len(SIZES) + 1) + "|"]
        for cell in GATES:
            columns = [form_times(Row(cell, 1, work, size, ragged=False), forms, rounds) for size in SIZES]
            for form in columns[0]:
                lines.append(f"| {cell}: {form} | " + " | ".join(f"{column[form]:.2f}" for column in columns) + " |")
                print(lines[-1], flush=True)
    page = DOCS / "recurrent.md"
    before, begin, rest = page.read_text(encoding="utf-8").partition("<!-- forms -->\n")
    _, end, after = rest.partition("<!-- end of forms -->")
    page.write_text(before + begin + "\n".join(lines) + "\n" + end + after, encoding="utf-8")


def form_times(row: Row, forms: dict[str, tuple[Form, int]], rounds: int) -> dict[str, float]:
    batch = int(row.work.split()[1])
    x = np.random.default_rng(0).normal(size=(batch, *row.size[:2])).astype("float32")
    contenders = {"Keras": form_call(make(row, keras.layers), row, x, ours=False)}
    for name, (form, steps) in forms.items():
        if form is Form.FUSED and row.cell != "LSTM":
            continue
        chosen = mock.patch.object(recurrent, "choose_form", lambda rows, form=form, **_: form)
        with chosen, mock.patch.object(recurrent, "STEPS_A_TURN", steps):
            contenders[name] = form_call(make(row, recurrent), row, x, ours=True)
    return {name: statistics.median(times) for name, times in in_turns(contenders, rounds).items()}


def form_call(layer: keras.layers.Layer, row: Row, x: np.ndarray, *, ours: bool) -> Callable[[], Any]:
    if row.work.startswith("train"):
        return training_step(layer, row, x, None, ours=ours, jit=False)
    traced = tf.function(layer).get_concrete_function(tf.constant(x))
    return lambda: np.asarray(traced(tf.constant(x)))


COLUMNS = ["ours", "ours XLA", "keras", "keras XLA", "torch"]
HEADER = ["layer", "work, B", "T x C x U", "lengths", *COLUMNS, "ours / keras", "share of one matmul"]


def markdown_row(row: Row) -> str:
    name = f"Bidirectional({row.cell})" if row.directions == 2 else row.cell
    figures = [f"{row.median(c):.2f} ± {row.spread(c):.2f}" if c in row.milliseconds else "" for c in COLUMNS]
    share = row.median("one matmul") / row.median("ours")
    gain = row.ratio(("ours",), ("keras",))
    size = "x".join(map(str, row.size))
    cells = [name, row.work, size, "ragged" if row.ragged else "full", *figures, f"{gain:.2f}", f"{share:.2f}"]
    return "| " + " | ".join(cells) + " |"


def markdown_targets(rows: list[Row]) -> str:
    """Medians over the sizes, for full and for ragged lengths; and the row in which ours does worst against Keras."""
    lines = ["| work | full | ragged | at least | aim |", "|---|---|---|---|---|"]
    for name, work, cells, directions, ours, against, least, aim in TARGETS:
        found = []
        for ragged in (False, True):
            ratios = [
                ratio
                for row in rows
                if (row.work, row.ragged) == (work, ragged) and row.cell in cells and row.directions in directions
                if (ratio := row.ratio(ours, against)) is not None
            ]
            found.append(f"{statistics.median(ratios):.2f}" if ratios else "")
        lines.append(f"| {name} | {found[0]} | {found[1]} | {least} | {aim} |")
    worst = min(rows, key=lambda row: row.ratio(("ours",), ("keras",)) or 0)
    lines += ["", f"Least against Keras as exported or as fit runs it: {worst.ratio(('ours',), ('keras',)):.2f}, in"]
    return "\n".join([*lines, "", markdown_row(worst)])


def write(rows: list[Row]) -> None:
    where = {
        "processor": processor(),
        "threads": THREADS,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "torch": importlib.import_module("torch").__version__ if importlib.util.find_spec("torch") else None,
    }
    text = [
        "# Recurrent layers on a CPU: the measurements",
        "",
        f"Written by `python benchmarks/recurrent.py`; {', '.join(f'{k} {v}' for k, v in where.items())}.",
        "Milliseconds, median ± half the distance between the quartiles. `ours` and `keras` are a loaded SavedModel in",
        "forward rows, and a step with Adam in training rows, gradients by the inputs included. XLA compiles the whole",
        "step of Keras, and of ours the loops, each for itself. Ragged lengths are uniform between T/4 and T. The last",
        "column is the time of one `tf.matmul` with as many operations as the row's products over full lengths.",
        "",
        markdown_targets(rows),
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + "---|" * len(HEADER),
        *map(markdown_row, rows),
        "",
    ]
    (DOCS / "recurrent_benchmark.md").write_text("\n".join(text), encoding="utf-8")


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
