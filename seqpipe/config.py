"""The schema of a pipeline file: the only place where a default is written.

Each task joins the parts below to a `Pipeline` of its own. `load` reads a file, applies `--set`, checks
everything at once, and remembers where each value came from. TensorFlow is never imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from seqpipe.errors import ConfigError, nearest, not_allowed

Source = str
SCHEMES = ("files", "tfds", "builtin")
SEED_LIMIT = 2**31
SEARCHED = ("features", "model", "training")  # sections whose keys `seqpipe tune` may search
Fraction = float


class Section(BaseModel):
    """A part of a pipeline file: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassificationData(Section):
    """Labelled text."""

    train: Source = Field(description="Where training rows come from: files:PATH, tfds:NAME or builtin:NAME.")
    dev: Source | None = Field(None, description="Rows to choose by; without it every dev_every-th training row.")
    test: Source | None = Field(None, description="Rows to report on at the end, never to choose by.")
    dev_every: int = Field(10, ge=2, description="Without dev: rows of train with index % dev_every == 0 are dev.")
    text_column: str = Field("text", description="Column, JSON key or TFDS feature that holds the text.")
    label_column: str = Field("label", description="Column, JSON key or TFDS feature that holds the label.")
    labels: dict[str, str] | None = Field(
        None, description="From a label in the data to a class name, in class order; other labels are errors."
    )
    format: Literal["auto", "csv", "tsv", "jsonl", "label_text"] = Field(
        "auto",
        description="auto: by the file's ending (.csv .tsv .jsonl; .txt is `label sentence`), .gz and .xz allowed.",
    )
    encoding: str = Field("utf-8", description="Encoding of files.")
    max_bad_fraction: Fraction = Field(0.0, ge=0, le=1, description="Stop when more than this share of rows is bad.")

    @field_validator("train", "dev", "test")
    @classmethod
    def _known_scheme(cls, value: str | None) -> str | None:
        if value is None:
            return None
        scheme, colon, rest = value.partition(":")
        if scheme not in SCHEMES or not colon or not rest:
            raise ValueError(
                f"is not a source. Allowed: files:PATH, tfds:NAME, builtin:NAME.{nearest(scheme, SCHEMES)}"
            )
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        import codecs

        try:
            codecs.lookup(value)
        except LookupError as error:
            raise ValueError("is not an encoding Python knows, such as utf-8, latin-1 or gb18030.") from error
        return value


class TextFeatures(Section):
    """SentencePiece unigram with byte fallback, trained on the training split."""

    vocabulary_size: int = Field(
        8000, ge=300, le=64000, description="Pieces, 256 byte pieces included; an upper bound."
    )
    lowercase: bool = Field(False, description="Lower-case before cutting into pieces.")
    character_coverage: Fraction = Field(
        0.9995, gt=0, le=1, description="Share of characters that get pieces of their own."
    )
    max_pieces: int = Field(400, ge=1, le=100_000, description="A longer text is cut to its first max_pieces pieces.")


class Embedding(Section):
    units: int = Field(64, ge=1, description="Size of a piece's vector.")
    dropout: Fraction = Field(0.1, ge=0, lt=1)


class Convolution(Section):
    """One convolution block: pad, convolve, normalise, activate, drop, add, pool."""

    filters: int = Field(ge=1)
    kernel_size: int = Field(3, ge=1, description="Steps a filter sees.")
    dilation: int = Field(1, ge=1, description="Distance between the steps a filter sees.")
    stride: int = Field(1, ge=1, description="Output step i stands at input step i * stride.")
    pool: int = Field(1, ge=1, description="Steps pooled into one after the activation; 1 pools nothing.")
    pool_kind: Literal["max", "average"] = "max"
    padding: Literal["same", "causal"] = Field("same", description="causal: a step sees no later step.")
    normalisation: Literal["none", "layer", "batch"] = "none"
    activation: Literal["relu", "gelu", "silu", "tanh", "linear"] = "relu"
    residual: bool = Field(False, description="Add the block's input to its output before pooling.")
    dropout: Fraction = Field(0.0, ge=0, lt=1)


class Recurrent(Section):
    cell: Literal["lstm", "gru", "simple"] = "gru"
    units: int = Field(64, ge=1, description="Size of the state, in each direction.")
    layers: int = Field(1, ge=1)
    bidirectional: bool = True
    dropout: Fraction = Field(0.0, ge=0, lt=1, description="Dropout on the input of each layer.")
    recurrent_dropout: Fraction = Field(0.0, ge=0, lt=1, description="Dropout on the state, one mask a sequence.")


class Ngrams(Section):
    """A linear expert on n-grams of pieces beside the network, fitted before it trains."""

    longest: int = Field(3, ge=1, le=5, description="Pieces in the longest n-gram.")
    entries: int = Field(131_072, ge=1, le=4_000_000, description="N-grams kept: those in the most rows.")


class Classifier(Section):
    """Embedding -> convolutions -> recurrence -> pooling -> classes; or a model of the user's own."""

    builder: str | None = Field(None, description="module:function of your own that returns a keras.Model.")
    keras: str | None = Field(None, description="A saved .keras file of your own.")
    word_dropout: Fraction = Field(
        0.0, ge=0, lt=1, description="Share of pieces replaced by the unknown one in training."
    )
    embedding: Embedding = Embedding()
    convolution: list[Convolution] = [Convolution(filters=64)]
    recurrent: Recurrent | None = Recurrent()
    pooling: Literal["attention", "mean", "max"] = "attention"
    dropout: Fraction = Field(0.3, ge=0, lt=1, description="Dropout before the last layer.")
    ngrams: Ngrams | None = Field(None, description="Add a linear expert on n-grams to the network's scores.")

    @model_validator(mode="after")
    def _one_origin(self) -> Classifier:
        if self.builder is not None and self.keras is not None:
            raise ValueError("builder and keras exclude each other: name one.")
        if self.builder is not None and self.builder.count(":") != 1:
            raise ValueError(f'builder = "{self.builder}" is not module:function, such as mymodule:build.')
        return self


class Training(Section):
    epochs: int = Field(10, ge=1)
    batch_size: int = Field(64, ge=1, description="Rows a step, over all workers.")
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0, description="Decoupled decay; adamw only.")
    schedule: Literal["constant", "linear", "cosine"] = Field("constant", description="Course down to zero at the end.")
    warmup_steps: int = Field(0, ge=0, description="Steps of linear growth before the schedule.")
    clip_norm: float | None = Field(1.0, gt=0, description="Bound on the norm of all gradients together.")
    label_smoothing: Fraction = Field(0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] | dict[str, float] = Field(
        "none", description="balanced: each class weighs the same in the loss; or a weight for each class name."
    )
    average_decay: Fraction = Field(
        0.0,
        ge=0,
        lt=1,
        description="Moving average of the weights, used to evaluate and export; closer at first. 0 is off.",
    )
    patience: int | None = Field(None, ge=1, description="Stop after so many epochs without a better dev figure.")
    monitor: Literal["accuracy", "loss"] = Field("accuracy", description="Dev figure the best epoch is chosen by.")
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    xla: Literal["auto", "always", "never"] = Field(
        "auto", description="Compile the step with XLA; auto: in long runs, where it is faster on the first batches."
    )
    save_every_steps: int = Field(200, ge=1, description="The position is saved so often, and after each epoch.")
    tensorboard: bool = Field(False, description="Write summaries for TensorBoard to the run directory.")

    @model_validator(mode="after")
    def _decay_needs_adamw(self) -> Training:
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(f'weight_decay = {self.weight_decay} needs optimizer = "adamw", not "{self.optimizer}".')
        return self


class Evaluation(Section):
    baseline: bool = Field(True, description="Also train a TF-IDF linear SVM on the same rows.")
    bootstrap_samples: int = Field(2000, ge=100, description="Resamples behind the interval of a difference.")


class Export(Section):
    directory: str = Field("saved_models", description="The artefact is published as DIRECTORY/NAME/VERSION.")
    version: int | None = Field(None, ge=1, description="Without it the next free number.")


class Search(Section):
    """The values `seqpipe tune` tries for a key: a range, or choices."""

    low: int | float | None = Field(None, description="Lowest value tried.")
    high: int | float | None = Field(None, description="Highest value tried.")
    log: bool = Field(False, description="Even over orders of magnitude instead of over values.")
    choices: list[bool | int | float | str | None] | None = Field(None, description="The values tried, in no order.")

    @model_validator(mode="after")
    def _range_or_choices(self) -> Search:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("choices exclude low, high and log.")
            if len(self.choices) < 2 or any(self.choices.count(choice) > 1 for choice in self.choices):
                raise ValueError("choices must be two or more different values.")
            return self
        if self.low is None or self.high is None:
            raise ValueError("name low and high, or choices.")
        if self.low >= self.high:
            raise ValueError(f"low = {self.low} is not below high = {self.high}.")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs low above 0, not {self.low}.")
        return self


class Tune(Section):
    """What `seqpipe tune` searches; no other command uses it."""

    trials: int = Field(20, ge=1, description="Trainings of the search, pruned ones included; may grow later.")
    space: dict[str, Search] = Field(
        min_length=1, description="Dotted keys of features, model and training, each with low and high, or choices."
    )


class Pipeline(Section):
    """What every pipeline file has; a task's own adds data, features and model."""

    task: str
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Names the run directory and the artefact.")
    description: str = ""
    seed: int = Field(1, ge=0, lt=SEED_LIMIT)
    run_directory: str = Field("runs", description="The run lives in RUN_DIRECTORY/NAME.")
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    export: Export = Export()
    tune: Tune | None = Field(None, description="Search space of `seqpipe tune`.")

    @property
    def run_path(self) -> Path:
        return Path(self.run_directory) / self.name


class TextClassification(Pipeline):
    """A text in; one of several labels out."""

    task: Literal["text_classification"] = "text_classification"
    data: ClassificationData
    features: TextFeatures = TextFeatures()
    model: Classifier = Classifier()


P = TypeVar("P", bound=Pipeline)


@dataclass(frozen=True)
class Loaded:
    """A checked configuration, and for each dotted path the place its value came from."""

    config: Pipeline
    file: Path
    origin: dict[str, str]


def load(file: str | Path, overrides: list[str], schemas: Mapping[str, type[Pipeline]]) -> Loaded:
    """Read, override and check a pipeline file.

    Args:
        file: a YAML file.
        overrides: `dotted.key=value`, the value read as YAML.
        schemas: the Pipeline of each task by its name.
    Raises:
        ConfigError: with every mistake in file and overrides at once.
    """
    file = Path(file)
    tree, origin = _read_yaml(file)
    problems = _apply_overrides(tree, origin, overrides)
    task = str(tree.get("task", ""))
    if not task:
        problems.append(f"{file}: the key task is missing. Allowed: {', '.join(schemas)}.")
    elif task not in schemas:
        problems.append(f"{_where(file, origin, 'task')}: task = {not_allowed(task, 'task', schemas)}")
    if problems:
        raise ConfigError(problems)
    config = _validated(schemas[task], tree, file, origin)
    problems = [f"{_where(file, origin, f'tune.space.{key}')}: {text}" for key, text in _search_problems(config)]
    if problems:
        raise ConfigError(problems)
    return Loaded(config, file, origin)


def load_again(
    file: Path, changes: dict[str, Any], overrides: list[str], schemas: Mapping[str, type[Pipeline]]
) -> Pipeline:
    """The configuration kept beside a model, with other data.

    Args:
        file: pipeline.yaml of an artefact.
        changes: keys of `data` that differ.
        overrides: as in `load`.
    Raises:
        ConfigError: as in `load`.
    """
    tree, origin = _read_yaml(file)
    tree["data"] |= changes
    problems = _apply_overrides(tree, origin, overrides)
    if problems:
        raise ConfigError(problems)
    return _validated(schemas[tree["task"]], tree, file, origin)


def with_values(config: P, values: Mapping[str, Any]) -> P:
    """The configuration with other values at dotted keys, checked like a file.

    Raises:
        ConfigError: a value is not allowed.
    """
    tree, origin = config.model_dump(mode="json"), dict[str, str]()
    overrides = [as_override(key, value) for key, value in values.items()]
    problems = _apply_overrides(tree, origin, overrides)
    if problems:
        raise ConfigError(problems)
    return _validated(type(config), tree, Path("the configuration"), origin)


def as_override(key: str, value: Any) -> str:
    """`dotted.key=value` as `--set` takes it."""
    return f"{key}={yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix('...' + chr(10)).strip()}"


def _search_problems(config: Pipeline) -> list[tuple[str, str]]:
    """(key of the search space, what is wrong with it): no key of the pipeline, or a value that it does not take."""
    if config.tune is None:
        return []
    tree = config.model_dump(mode="json", include=set(SEARCHED))
    known = [key for key in _leaves(tree) if key != "training.monitor"]
    problems = []
    for key, search in config.tune.space.items():
        if key not in known:
            text = f"tune.space.{key} is not a key to search: it must be one of features, model or training."
            if key == "training.monitor":
                text = "tune.space.training.monitor: the figure that trials are compared by cannot be searched."
            problems.append((key, f"{text}{nearest(key, known)}"))
            continue
        for value in search.choices if search.choices is not None else (search.low, search.high):
            try:
                with_values(config, {key: value})
            except ConfigError as error:
                text = error.problems[0].partition(": ")[2]
                # A value that another key forbids is no mistake yet: that key may be searched too.
                if text.startswith(f"{key} ="):
                    problems.append((key, f"tune.space.{key}: {text}"))
    return problems


def _leaves(tree: Any, prefix: str = "") -> list[str]:
    """Dotted paths of all leaves; items of a list of sections by their number."""
    if isinstance(tree, dict) and tree:
        pairs: list[tuple[Any, Any]] = list(tree.items())
    elif isinstance(tree, list) and tree and isinstance(tree[0], dict):
        pairs = list(enumerate(tree))
    else:
        return [prefix]
    return [leaf for key, value in pairs for leaf in _leaves(value, f"{prefix}.{key}" if prefix else str(key))]


def _validated(schema: type[P], tree: dict[str, Any], file: Path, origin: dict[str, str]) -> P:
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        raise ConfigError([_message(item, schema, file, origin) for item in error.errors()]) from None


def origin_of(loaded: Loaded, path: str) -> str:
    """Where the value at a dotted path came from: file and line, --set, or default."""
    return loaded.origin.get(path, "default")


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted path -> leaf, for each leaf of nested dicts (a list is a leaf)."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return leaves


def to_yaml(config: Pipeline) -> str:
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)


def _read_yaml(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    if file.is_dir():
        raise ConfigError([f"{file} is a directory. A pipeline file is a YAML file."])
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        beside = sorted(str(path) for path in file.parent.glob("*.yaml")) if file.parent.is_dir() else []
        raise ConfigError(
            [f"{file} does not exist (looked in {file.parent.resolve()}).{nearest(file, beside)}"]
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            [f"{file}:{line}: byte {error.start} is not UTF-8 (0x{error.object[error.start]:02x})."]
        ) from None
    except OSError as error:
        raise ConfigError([f"{file} cannot be read: {error.strerror}."]) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        origin: dict[str, str] = {}
        problems: list[str] = []
        if node is not None:
            _locate(node, "", file, origin, problems)
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        raise ConfigError([f"{place}: not YAML: {getattr(error, 'problem', None) or error}."]) from None
    if problems:
        raise ConfigError(problems)
    if not isinstance(tree, dict):
        raise ConfigError([f"{file}: a pipeline file is a mapping of keys, this is {type(tree).__name__}."])
    return tree, origin


def _locate(node: yaml.Node, path: str, file: Path, origin: dict[str, str], problems: list[str]) -> None:
    """Fill origin with file:line of each key; a key that stands twice is a problem."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            child = f"{path}.{key.value}" if path else str(key.value)
            line = key.start_mark.line + 1
            if key.value in seen:
                problems.append(f"{file}:{line}: the key {child} stands twice.")
            seen.add(key.value)
            origin[child] = f"{file}:{line}"
            _locate(value, child, file, origin, problems)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            child = f"{path}.{index}"
            origin[child] = f"{file}:{value.start_mark.line + 1}"
            _locate(value, child, file, origin, problems)


def _apply_overrides(tree: dict[str, Any], origin: dict[str, str], overrides: list[str]) -> list[str]:
    problems = []
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path:
            problems.append(f"--set {override}: write it as key=value, such as --set training.epochs=3.")
            continue
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            problems.append(f"--set {override}: the value is not YAML: {getattr(error, 'problem', error)}.")
            continue
        *parents, leaf = path.split(".")
        branch: Any = tree
        for parent in parents:
            if isinstance(branch, list) and parent.isdigit() and int(parent) < len(branch):
                branch = branch[int(parent)]
            elif isinstance(branch, dict):
                if not isinstance(branch.get(parent), (dict, list)):
                    branch[parent] = {}
                branch = branch[parent]
            else:
                branch = None
                break
        if isinstance(branch, dict):
            branch[leaf] = value
        elif isinstance(branch, list) and leaf.isdigit() and int(leaf) < len(branch):
            branch[int(leaf)] = value
        else:
            problems.append(f"--set {override}: {path} leads nowhere in this file.")
            continue
        for key in [key for key in origin if key.startswith(f"{path}.")]:
            del origin[key]
        origin |= dict.fromkeys([path, *flatten(value, path)], f"--set {override}")
    return problems


def _where(file: Path, origin: dict[str, str], path: str) -> str:
    """The place of a path, or of the nearest parent that is written down."""
    while path:
        if path in origin:
            return origin[path]
        path = path.rpartition(".")[0]
    return str(file)


def _section_at(schema: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The section in which the last key of a location stands."""
    current: type[BaseModel] | None = schema
    for key in location[:-1]:
        if isinstance(key, int) or current is None:
            continue
        field = current.model_fields.get(key)
        if field is None:
            continue
        current = next((part for part in _parts(field.annotation) if issubclass(part, BaseModel)), None)
    return current


def _parts(annotation: Any) -> list[type]:
    """The classes inside an annotation such as `list[Convolution] | None`."""
    arguments = getattr(annotation, "__args__", None)
    if arguments:
        return [part for argument in arguments for part in _parts(argument)]
    return [annotation] if isinstance(annotation, type) else []


def _message(error: ErrorDetails, schema: type[BaseModel], file: Path, origin: dict[str, str]) -> str:
    keys = [key for key in error["loc"] if isinstance(key, int) or not key.startswith(("literal[", "dict["))]
    location = tuple(keys)
    path = ".".join(str(key) for key in location)
    place = _where(file, origin, path)
    kind = error["type"]
    section = _section_at(schema, location)
    if kind == "extra_forbidden":
        allowed = list(section.model_fields) if section else []
        return f"{place}: {path} is not a key. Allowed: {', '.join(allowed)}.{nearest(location[-1], allowed)}"
    if kind == "missing":
        description = (section.model_fields[str(location[-1])].description or "") if section else ""
        return f"{place}: the key {path} is missing. {description}".rstrip()
    value = error["input"]
    shown = f'"{value}"' if isinstance(value, str) else str(value) if not isinstance(value, dict) else "{...}"
    if kind == "literal_error":
        allowed = [part.strip("' ") for part in error["ctx"]["expected"].replace(" or ", ", ").split(",")]
        return f"{place}: {path} = {not_allowed(value, str(location[-1]), allowed)}"
    if kind == "value_error":
        text = str(error["ctx"]["error"])
        return f"{place}: {path} = {shown} {text}" if not isinstance(value, dict) else f"{place}: {path}: {text}"
    return f"{place}: {path} = {shown}: {error['msg'][0].lower()}{error['msg'][1:]}."
