"""Small pipelines for tests: seconds to train."""

from __future__ import annotations

from pathlib import Path

import yaml

TINY = {
    "task": "text_classification",
    "name": "tiny",
    "data": {
        "train": "builtin:reviews?split=train&rows=320",
        "dev": "builtin:reviews?split=dev&rows=64",
        "test": "builtin:reviews?split=test&rows=64",
    },
    "features": {"vocabulary_size": 500, "max_pieces": 60},
    "model": {
        "embedding": {"units": 8},
        "convolution": [{"filters": 8, "pool": 2}],
        "recurrent": {"units": 8},
    },
    "training": {"epochs": 3, "batch_size": 32, "learning_rate": 0.01, "save_every_steps": 4, "average_decay": 0.9},
    "evaluation": {"bootstrap_samples": 100},
}

TONES = {
    "task": "speech_commands",
    "name": "tiny",
    "data": {
        "train": "builtin:tones?split=train&rows=120",
        "dev": "builtin:tones?split=dev&rows=48",
        "words": ["ba", "di", "gu", "aya"],
        "speaker": "^(.*)_nohash_",
    },
    "model": {
        "convolution": [{"filters": 8, "kernel_frames": 5, "kernel_bands": 5, "stride_frames": 2}, {"filters": 8}],
        "projection": 16,
        "recurrent": {"units": 8},
    },
    "training": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "save_every_steps": 4, "average_decay": 0.9},
    "evaluation": {"bootstrap_samples": 100},
    "export": {"lite": True},
}

PHRASES = {
    "task": "translation",
    "name": "tiny",
    "data": {
        "train": "builtin:phrases?split=train&rows=800",
        "dev": "builtin:phrases?split=dev&rows=48",
        "test": "builtin:phrases?split=test&rows=48",
    },
    "features": {"vocabulary_size": 450, "max_pieces": 16, "split_fraction": 0.05},
    "model": {
        "embedding": {"units": 32},
        "encoder": {"units": 16, "dropout": 0.0},
        "decoder": {"units": 32, "dropout": 0.0},
        "dropout": 0.0,
        "max_ratio": 1.0,
        "max_extra": 4,
    },
    "training": {"epochs": 2, "batch_size": 16, "learning_rate": 0.02, "average_decay": 0.9, "xla": "never"},
    "evaluation": {"bootstrap_samples": 100, "beam_width": 3},
}

SHOPS = {
    "task": "forecasting",
    "name": "tiny",
    "data": {
        "train": "builtin:series?rows=700&series=2",
        "known": ["offer"],
        "past": ["visitors"],
        "static": ["region"],
        "validation_windows": 4,
        "test_windows": 4,
    },
    "features": {"look_back_steps": 48, "seasons_steps": [24]},
    "model": {"horizon_steps": 12, "segment_steps": 12, "recurrent": {"units": 8}},
    "training": {"epochs": 2, "batch_size": 64, "learning_rate": 0.01, "save_every_steps": 4},
    "evaluation": {"bootstrap_samples": 100},
}

VERSES = {
    "task": "writing",
    "name": "tiny",
    "data": {"train": "builtin:verses?rows=300", "dev": "builtin:verses?rows=30"},
    "model": {"embedding": {"units": 16}, "recurrent": {"units": 32}, "dropout": 0.0},
    "training": {
        "epochs": 2,
        "batch_size": 16,
        "chunk_characters": 40,
        "learning_rate": 0.01,
        "save_every_steps": 4,
        "average_decay": 0.9,
    },
    "sampling": {"length": 60},
    "evaluation": {"bootstrap_samples": 100, "window": 64, "samples": 2, "block": 200},
}


def write_tiny(directory: Path, **changes: object) -> Path:
    """Write the tiny pipeline, with dotted keys changed (`training__epochs=1`), as DIRECTORY/tiny.yaml."""
    tree = yaml.safe_load(yaml.safe_dump(TINY))
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    file = directory / "tiny.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    return file
