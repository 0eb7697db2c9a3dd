"""What lies beside a SavedModel for people: card.md (facts at its head as YAML, then prose) and pipeline.yaml."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import yaml

from seqpipe.config import file as pipeline_file
from seqpipe.config.pipeline import Pipeline
from seqpipe.data.findings import counted
from seqpipe.evaluation.measures import Report
from seqpipe.export.artefact import CARD, PIPELINE, Parity
from seqpipe.startup import machine
from seqpipe.storage import write_text
from seqpipe.training.position import Step

STREAMS = "It streams: `stream` answers piece by piece."
STEPS = "It goes on from a state that is kept: `start` reads a beginning, `step` what comes next."
STREAMS_NOT = "It does not stream: it answers whole inputs."


def write(
    directory: Path,
    *,
    config: Pipeline,
    report: Report,
    parity: Parity,
    steps: Mapping[str, Step],
    headline: str,
    sections: str,
    limits: list[str],
    parameters: int,
    version: int,
) -> None:
    """Write card.md and pipeline.yaml into a staged artefact.

    Args:
        report, headline: of the task. parity: what the proof measured. parameters: of the Keras model.
        steps: of the run, as its state has them.
        sections: Markdown of the report.
        limits: what the model is not for, one sentence each.
    """
    write_text(directory / PIPELINE, pipeline_file.to_yaml(config))
    facts = {
        "name": config.name,
        "version": version,
        "task": config.task,
        "figure": headline,
        "date": datetime.date.today().isoformat(),
        "size_mb": _size_mb(directory),
        "parameters": parameters,
        "seed": config.seed,
        "streaming": "stream" in parity["signatures"],
        **_made_with(parity),
    }
    text = f"""---
{_yaml(facts)}
---

# {config.name}, version {version}

{config.description or "No description was given in the pipeline file."}

{headline[0].upper()}{headline[1:]}.

{_data(config, report["findings"])}

## Figures

{sections}
{_training(config, parity, steps)}

## Proof

{_proof(parity)}

## Limits

{_lines([*limits, _streams(parity["signatures"])])}
"""
    write_text(directory / CARD, text)


def _size_mb(directory: Path) -> float:
    return round(sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6, 2)


def _made_with(parity: Parity) -> dict[str, str]:
    versions = {name: parity[name] for name in ("tensorflow", "keras")}
    return {"seqpipe": importlib.metadata.version("seqpipe"), **versions}


def _yaml(tree: dict[str, object]) -> str:
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=1000).strip()


def _streams(signatures: Collection[str]) -> str:
    return STREAMS if "stream" in signatures else STEPS if "step" in signatures else STREAMS_NOT


def _lines(items: list[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _data(config: Pipeline, findings: list[str]) -> str:
    data = {key: value for key, value in config.model_dump(mode="json")["data"].items() if value is not None}
    return f"""## Data

```yaml
{_yaml(data)}
```

What validation found:

{_lines(findings or ["nothing"])}"""


def _training(config: Pipeline, parity: Parity, steps: Mapping[str, Step]) -> str:
    training, again = steps["train"], f"\n{steps['refit']['summary']}." if "refit" in steps else ""
    on = f" on {training['machine']}" if "machine" in training else ""  # runs of before do not say
    return f"""## Training

Seed {config.seed}; {counted(training["epochs"], "epoch")} in {training["seconds"]:,.0f} s{on}, by the configuration
in `{PIPELINE}` beside this card.{before_training(config, steps)}{again}"""


def before_training(config: Pipeline, steps: Mapping[str, Step]) -> str:
    """What the weights were before training: nothing to say where they were random."""
    start = pipeline_file.flatten(config.model_dump(mode="json")).get("model.start_from")
    if start is None:
        pretrained = steps.get("pretrain")
        return f"\n{pretrained['summary']}." if pretrained else ""
    said = f"\nIt started from the encoder in `{start}`"
    state = Path(start).parent / "state.json"
    if Path(start).name != "pretrain" or not state.is_file():
        return f"{said}."
    pretrained = json.loads(state.read_text())["steps"].get("pretrain")  # none of a run that was begun anew since
    return f"{said}. {pretrained['summary']}." if pretrained else f"{said}."


def _proof(parity: Parity) -> str:
    rows = "\n".join(
        f"| `{name}` | {figure['probes']} | {_exponent(figure['alone_against_batch'])} | "
        f"{_exponent(figure.get('against_keras'))} | {figure['latency_ms']:.2f} |"
        for name, figure in parity["signatures"].items()
    )
    return f"""The directory was moved and loaded in a fresh process without seqpipe. Each signature answered its
probes, real and hostile, alone and batched; differences are the largest ones, as a share of an answer's largest
number where that is beyond 1; allowed is {parity["tolerance"]:g}. Latency is the median of one warm request with
the first probe, on {machine()}.

| signature | probes | alone against batched | against Keras | latency, ms |
|---|---:|---:|---:|---:|
{rows}"""


def exported_again(text: str, directory: Path, *, parity: Parity, version: int, note: str) -> str:
    """The card of an earlier version as that of a new one with the same weights.

    Args:
        text: card.md of the earlier version.
        directory: of the new one, staged.
        parity: what the proof measured.
        note: what is to be said of the earlier version, before the proof.
    """
    text = re.sub(r"(?m)^(# .*, version )\d+$", rf"\g<1>{version}", text, count=1)
    today = datetime.date.today().isoformat()
    text = resized(text, directory, version=version, date=today, **_made_with(parity))
    return with_section(text, "Proof", f"{note}\n\n{_proof(parity)}")


def resized(text: str, directory: Path, **changed: object) -> str:
    """A card whose `size_mb` is that of its directory now, what was added behind it included; with other facts."""
    _, head, body = text.split("---\n", 2)
    facts = {**yaml.safe_load(head), "size_mb": _size_mb(directory), **changed}
    return f"---\n{_yaml(facts)}\n---\n{body}"


def with_section(text: str, title: str, section: str) -> str:
    """A card with a section of level two before its limits, in the place of one of that title.

    >>> with_section("# A\\n\\n## Limits\\n\\n- none\\n", "Size", "Small.")
    '# A\\n\\n## Size\\n\\nSmall.\\n\\n## Limits\\n\\n- none\\n'
    """
    before, limits, after = text.rpartition("## Limits\n")
    before = before.split(f"## {title}\n")[0]
    return f"{before}## {title}\n\n{section.strip()}\n\n{limits}{after}"


def _exponent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}"
