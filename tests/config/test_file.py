from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqpipe.config import file as pipeline_file
from seqpipe.config.networks import Recurrent
from seqpipe.errors import ConfigError
from seqpipe.tasks import json_schema, load_pipeline, schemas
from seqpipe.tasks.text_classification.config import TextClassificationPipeline

GOOD = """\
task: text_classification
name: mine
data:
  train: builtin:reviews
model:
  recurrent:
    cell: lstm
  convolution:
    - filters: 8
"""


def write(tmp_path, text, name="mine.yaml"):
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def problems(tmp_path, text, overrides=()):
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_pipeline(file, list(overrides))
    return [line.replace(str(file), "mine.yaml") for line in caught.value.problems]


def test_config_load_fills_defaults_and_remembers_origins(tmp_path):
    file = write(tmp_path, GOOD)
    loaded = load_pipeline(file, ["training.epochs=3", "model.convolution.0.filters=16"])
    assert loaded.config.training.epochs == 3
    assert loaded.config.model.convolution[0].filters == 16
    assert loaded.config.model.recurrent.units == Recurrent().units
    assert loaded.origin["model.recurrent.cell"] == f"{file}:7"
    assert loaded.origin["model.convolution.0"] == f"{file}:9"
    assert loaded.origin["training.epochs"] == "--set training.epochs=3"
    assert "model.recurrent.units" not in loaded.origin


def test_config_effective_yaml_loads_to_itself(tmp_path):
    config = load_pipeline(write(tmp_path, GOOD)).config
    assert load_pipeline(write(tmp_path, pipeline_file.to_yaml(config), "again.yaml")).config == config


def test_config_reports_all_mistakes_at_once(tmp_path):
    text = GOOD.replace("cell: lstm", "cell: grru").replace("filters: 8", "filter: 8") + "training:\n  epochs: many\n"
    lines = problems(tmp_path, text)
    assert len(lines) == 4
    joined = "\n".join(lines)
    assert (
        'mine.yaml:7: model.recurrent.cell = "grru" is not a cell. Allowed: lstm, gru, simple. Did you mean gru?'
        in joined
    )
    assert "mine.yaml:9: model.convolution.0.filter is not a key. Allowed: filters, kernel_size" in joined
    assert "Did you mean filters?" in joined
    assert "the key model.convolution.0.filters is missing." in joined
    assert 'mine.yaml:11: training.epochs = "many": input should be a valid integer' in joined


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD.replace("model:", "modle:"), "mine.yaml:5: modle is not a key. Allowed: task, name,"),
        (GOOD.replace("text_classification", "text_clasification"), "Did you mean text_classification?"),
        (
            GOOD.replace("task: text_classification\n", ""),
            "mine.yaml: the key task is missing. Allowed: forecasting, speech_commands, text_class",
        ),
        (
            GOOD.replace("builtin:reviews", "file:train.csv"),
            "Allowed: files:PATH, tfds:NAME, builtin:NAME. Did you mean files?",
        ),
        (GOOD.replace("name: mine", "name: a/b"), 'mine.yaml:2: name = "a/b": string should match pattern'),
        (GOOD + "model:\n  dropout: 0\n", "mine.yaml:10: the key model stands twice."),
        (GOOD + "training:\n  weight_decay: 0.1\n", 'weight_decay = 0.1 needs optimizer = "adamw", not "adam".'),
        (
            GOOD.replace("filters: 8", "{filters: 8, stride: 2, dilation: 2}"),
            "mine.yaml:9: model.convolution.0: stride = 2 and dilation = 2 exclude each other: one must be 1.",
        ),
        (GOOD + "  builder: ':build'\n", 'builder = ":build" is not module:function, such as mymodule:build.'),
        (GOOD + "training:\n  class_weights: {a: -1}\n", "greater than 0"),
        (GOOD + "  builder: mymodule\n", 'builder = "mymodule" is not module:function, such as mymodule:build.'),
        (GOOD + "  builder: a:b\n  keras: c.keras\n", "builder and keras exclude each other: name one."),
        (
            GOOD.replace("  train: ", "  encoding: utf-9\n  train: "),
            'encoding = "utf-9" is not an encoding Python knows',
        ),
        ("[1, 2]", "mine.yaml: a pipeline file is a mapping of keys, this is a list."),
        ("", "mine.yaml: a pipeline file is a mapping of keys, this is empty."),
        ("3", "mine.yaml: a pipeline file is a mapping of keys, this is a single value."),
        (GOOD + "? [a, b]\n: 3\n", "mine.yaml:10: a key is a text, not a list or a mapping."),
        (GOOD + "training:\n  ? {a: b}\n  : 3\n", "mine.yaml:11: a key is a text, not a list or a mapping."),
        (GOOD + "training: {<<: {epochs: 3, epochs: 4}}\n", "mine.yaml:10: the key training.<<.epochs stands twice."),
        (GOOD.replace("text_classification", "no"), 'mine.yaml:1: task = "no" is not a task. Allowed: forecasting,'),
        (GOOD.replace("text_classification", ""), "mine.yaml: the key task is missing."),
        ("task: [\n", "mine.yaml:2:1: not YAML: "),
        ("a: b: c\n", "mine.yaml:1:5: not YAML: mapping values are not allowed here."),
        (b"task: text\nname: \xff\n", "mine.yaml:2: byte 17 is not UTF-8 (0xff)."),
    ],
)
def test_config_message(tmp_path, text, expected):
    assert expected in "\n".join(problems(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training:\n", "training is empty: name a key below it, or remove it."),
        ("training:\n  epochs:\n", "training.epochs is empty: give it a value, or remove it."),
        ("training: 3\n", "training is a section of keys, not 3."),
        (
            "training: {class_weights: balance}\n",
            'training.class_weights = "balance" is not a class_weights. Allowed: none, balanced, a section of keys. '
            "Did you mean balanced?",
        ),
        (
            "training: {class_weights: {a: -1}}\n",
            "training.class_weights.a = -1: input should be greater than 0.",
        ),
        ("training: {optimizer: no}\n", 'training.optimizer = "no" is not a optimizer. Allowed: adam, adamw, sgd.'),
        (
            "training: {class_weights: no}\n",
            'training.class_weights = "no" is not a class_weights. Allowed: none, balanced,'
            " a section of keys. Did you mean none?",
        ),
        (
            "training: {optimizer: {a: b}}\n",
            "training.optimizer = \"{'a': 'b'}\" is not a optimizer. Allowed: adam, adamw, sgd.",
        ),
        ("training: {epochs: yes}\n", "training.epochs = true: a whole number, not a truth value."),
        ("training: {learning_rate: on}\n", "training.learning_rate = true: a number, not a truth value."),
        ("training: {patience: no}\n", "training.patience = false: a whole number, not a truth value."),
        ("seed: yes\n", "seed = true: a whole number, not a truth value."),
        (
            "training: {class_weights: {a: yes}}\n",
            "training.class_weights = {...}: a number, not a truth value.",
        ),
    ],
)
def test_config_message_for_a_value_of_another_kind(tmp_path, text, expected):
    (said,) = problems(tmp_path, GOOD + text)
    assert said.partition(": ")[2] == expected


def test_config_search_names_values_that_a_key_does_not_take(tmp_path):
    lines = problems(tmp_path, GOOD + "tune: {space: {training.epochs: {choices: [null, yes, 3]}}}\n")
    assert [line.partition("tune.space.training.epochs: ")[2] for line in lines] == [
        "training.epochs is empty: give it a value, or remove it.",
        "training.epochs = true: a whole number, not a truth value.",
    ]


def test_config_truth_values_where_they_belong(tmp_path):
    text = GOOD + "training: {tensorboard: yes}\ntune: {space: {training.tensorboard: {choices: [yes, no]}}}\n"
    config = load_pipeline(write(tmp_path, text)).config
    assert config.training.tensorboard is True
    assert config.tune.space["training.tensorboard"].choices == [True, False]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.epochs", "--set training.epochs: write it as key=value, such as --set training.epochs=3."),
        ("training.epoch=3", "--set training.epoch=3: training.epoch is not a key."),
        ("trainin.epochs=3", "--set trainin.epochs=3: trainin is not a key."),
        ("training.epochs=[", "--set training.epochs=[: the value is not YAML:"),
        ("model.convolution.0.padding=full", '"full" is not a padding. Allowed: same, causal.'),
        ("training.learning_rate=.inf", "training.learning_rate = inf: input should be a finite number"),
        ("model.convolution.7.filters=3", "leads nowhere in this file."),
        ("training.epochs.x=3", "--set training.epochs.x=3: training.epochs is no section."),
        ("model.convolution.0.filters.x=3", "model.convolution.0.filters is no section."),
        ("training.class_weights.a=0", "--set training.class_weights.a=0: training.class_weights.a = 0: input should"),
        ("data.train.x=3", "--set data.train.x=3: data.train: is not a source"),
        (
            "training.epochs=0",
            "--set training.epochs=0: training.epochs = 0: input should be greater than or equal to 1.",
        ),
    ],
)
def test_config_override_message(tmp_path, override, expected):
    assert expected in "\n".join(problems(tmp_path, GOOD, [override]))


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("data.train=files:notes #2.csv", "data.train", "files:notes #2.csv"),
        ("data.train=files:a: b.csv", "data.train", "files:a: b.csv"),
        ("data.train=[files:a.csv, 'files:b #1.csv']", "data.train", ["files:a.csv", "files:b #1.csv"]),
        ("data.train='files:a.csv'", "data.train", "files:a.csv"),
        ("description=- a", "description", "- a"),
        ("description=*.csv", "description", "*.csv"),
        ("name=2024", "name", "2024"),
        ("name=1e3", "name", "1e3"),
        ("name=2024-01-02", "name", "2024-01-02"),
        ("description=yes", "description", "yes"),
        ("data.labels={0: good, no: 1}", "data.labels", {"0": "good", "no": "1"}),
        ("data.text_column=body", "data.text_column", "body"),
        ("data.dev=", "data.dev", None),
        ("data.separator=\\t", "data.separator", "\t"),
        ("training.epochs=3", "training.epochs", 3),
    ],
)
def test_config_override_is_taken_as_it_is_written(tmp_path, override, key, value):
    config = load_pipeline(write(tmp_path, GOOD), [override]).config.model_dump()
    for part in key.split("."):
        config = config[part]
    assert config == value


def test_config_takes_numbers_and_truth_values_where_a_text_belongs(tmp_path):
    text = GOOD.replace("name: mine", "name: 2024") + "description: 1.50\n"
    text = text.replace("train: builtin:reviews", "train: builtin:reviews\n  labels: {0: 1, yes: no, 1.0: 2024-01-01}")
    config = load_pipeline(write(tmp_path, text)).config
    assert (config.name, config.description) == ("2024", "1.50")
    assert config.data.labels == {"0": "1", "yes": "no", "1.0": "2024-01-01"}
    assert problems(tmp_path, GOOD.replace("name: mine", "name:")) == ["mine.yaml:2: name is empty: give it a value."]


def test_config_takes_texts_as_they_are_written_through_merges(tmp_path):
    text = GOOD.replace("train: builtin:reviews", "train: builtin:reviews\n  labels: {<<: {0: no}, 1: 2024-01-01}")
    assert load_pipeline(write(tmp_path, text)).config.data.labels == {"0": "no", "1": "2024-01-01"}


@pytest.mark.parametrize(("written", "column"), [("no", "no"), ("2024-01-01", "2024-01-01"), ("3", 3), ("'3'", "3")])
def test_config_column_is_what_is_written(tmp_path, written, column):
    text = GOOD.replace("train: builtin:reviews", f"train: builtin:reviews\n  text_column: {written}")
    other = "label" if isinstance(column, str) else "1"
    data = load_pipeline(write(tmp_path, text), [f"data.label_column={other}"]).config.data
    assert data.text_column == column


def test_config_origin_of_merged_keys_is_where_they_are_written(tmp_path):
    text = GOOD + (
        "training:\n  <<: [{epochs: 3, batch_size: 8},\n    {batch_size: 9,\n    patience: 2}]\n  epochs: 4\n"
        "evaluation:\n  other_domains:\n    a: &a {source: 'files:a'}\n    b:\n      <<: *a\n"
    )
    file = write(tmp_path, text)
    loaded = load_pipeline(file)
    lines = {key: place.rpartition(":")[2] for key, place in loaded.origin.items()}
    assert (loaded.config.training.epochs, loaded.config.training.batch_size) == (4, 8)
    assert [lines[f"training.{key}"] for key in ("epochs", "batch_size", "patience")] == ["14", "11", "13"]
    assert lines["evaluation.other_domains.b.source"] == "17"
    assert not [key for key in lines if "<<" in key]


def test_config_origin_of_a_changed_list_is_what_changed_it(tmp_path):
    origin = load_pipeline(write(tmp_path, GOOD), ["model.convolution.0.filters=7"]).origin
    assert origin["model.convolution"] == "--set model.convolution.0.filters=7"
    assert origin["model.convolution.0"].endswith("mine.yaml:9")


def test_config_of_a_model_says_that_its_data_was_named_beside_it(tmp_path):
    file = write(tmp_path, GOOD)
    for source in ("nope.csv", "file:a.csv"):
        with pytest.raises(ConfigError) as caught:
            pipeline_file.load_again(file, {"train": source, "dev": None}, [], schemas())
        assert str(caught.value).startswith(f"--data {source} is not a source. Allowed: files:PATH, tfds:NAME, builtin")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("data.train=file:a", '"file:a" is not a source. Allowed: files:PATH, tfds:NAME, builtin:NAME. Did you mean f'),
        ("data.train=[files:a, b]", 'holds "b", which is not a source. Allowed: files:PATH'),
        ("data.train=[]", "is an empty list. Name one source or more."),
        ("data.dev=[3]", "is not a source (3 is no text). Allowed: files:PATH"),
        ("data.separator=ab", '"ab" is not a separator: one character, such as ; or | or \\t, and not ".'),
        ("data.encoding=rot13", 'encoding = "rot13" is not an encoding Python knows'),
        ("data.encoding=unicode_escape", 'encoding = "unicode_escape" is not an encoding Python knows'),
        (
            "data.text_column=0",
            "is not a column: its name, or its number counted from 1 in a file without a header.",
        ),
        ("data.text_column=-1", "data.text_column = -1 is not a column"),
        ("name={a: 2024-13-45}", "the value is not YAML: month must be in 1..12"),
    ],
)
def test_config_sources_and_files_message(tmp_path, override, expected):
    lines = problems(tmp_path, GOOD, [override])
    assert len(lines) == 1
    assert expected in lines[0]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=20) | st.lists(st.sampled_from("[]{}:#-'\"\n,& *!%0.\0"), max_size=12).map("".join))
def test_config_any_override_is_taken_or_an_error(tmp_path, text):
    file = write(tmp_path, GOOD)
    for override in (f"data.train={text}", f"data.labels={text}", f"name={text}", text):
        with contextlib.suppress(ConfigError):
            load_pipeline(file, [override])


def test_config_missing_file_names_the_nearest(tmp_path):
    write(tmp_path, GOOD, "sentiment.yaml")
    with pytest.raises(
        ConfigError, match=r"sentimnt\.yaml does not exist \(looked in .*\)\. Did you mean .*sentiment\.yaml\?"
    ):
        load_pipeline(tmp_path / "sentimnt.yaml")


def test_config_directory_instead_of_file(tmp_path):
    with pytest.raises(ConfigError, match=r"is a directory\. A pipeline file is a YAML file."):
        load_pipeline(tmp_path)


def test_config_schema_names_every_key_and_no_other():
    known = json_schema()
    sections = [part for part in known["$defs"].values() if part.get("type") == "object"]
    assert all(part["additionalProperties"] is False for part in sections)
    recurrent = known["$defs"]["Recurrent"]["properties"]
    assert {"cell", "units", "layers", "bidirectional", "recurrent_dropout"} < set(recurrent)
    assert recurrent["cell"]["enum"] == ["lstm", "gru", "simple"]
    assert set(schemas()) == {part["properties"]["task"]["const"] for name, part in _pipelines(known)}
    assert all(part["required"][0] == "task" for name, part in _pipelines(known))


def test_config_schema_takes_what_is_taken_and_no_more():
    defs = json_schema("text_classification")["$defs"]
    data = defs["ClassificationData"]["properties"]
    source, sources = data["train"]["anyOf"]
    assert sources["items"] == source
    assert re.search(source["pattern"], "files:reviews.csv")
    assert not re.search(source["pattern"], "reviews.csv")
    assert data["text_column"]["anyOf"][1]["minimum"] == 1
    separators = re.compile(data["separator"]["anyOf"][0]["pattern"])
    assert [bool(separators.search(text)) for text in (";", "\t", "\\t", "tab", "ab")] == [
        True,
        True,
        True,
        True,
        False,
    ]
    assert "number" in json_schema("text_classification")["properties"]["description"]["type"]


def _pipelines(known):
    parts = {**known.get("$defs", {}), "root": known}
    return [(name, part) for name, part in parts.items() if "const" in part.get("properties", {}).get("task", {})]


def test_config_schema_of_an_unknown_task():
    with pytest.raises(
        ConfigError, match=r'"sentiment" is not a task\. Allowed: forecasting, speech_commands, text_classification'
    ):
        json_schema("sentiment")


def test_config_changed_keys_are_those_with_another_value():
    config = tiny_config(training={"epochs": 3}, model={"ngrams": {"longest": 2}})
    before = pipeline_file.flatten(config.model_dump(mode="json"))
    assert pipeline_file.changed_keys(before, config) == []
    assert pipeline_file.changed_keys({**before, "training.epochs": 4}, config) == ["training.epochs"]
    unknown_then = {
        key: value for key, value in before.items() if key not in ("training.tensorboard", "training.epochs")
    }
    assert pipeline_file.changed_keys(unknown_then, config) == [
        "training.epochs"
    ]  # tensorboard is at its default, epochs is not
    without = {key: value for key, value in before.items() if not key.startswith("model.ngrams.")}
    assert pipeline_file.changed_keys({**without, "model.ngrams": None}, config) == [
        "model.ngrams",
        "model.ngrams.longest",
    ]
    assert pipeline_file.changed_keys({**before, "model.gone": 1}, config) == ["model.gone"]


def tiny_config(**sections):
    tree = {"task": "text_classification", "name": "tiny", "data": {"train": "builtin:reviews"}, **sections}
    return TextClassificationPipeline.model_validate(tree)


def test_file_paths_that_end_at_a_comment_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path("m.yaml")
    file.write_text(
        "data:\n  train: [files:a #1.csv\n    ]\n  dev: files:notes #2.csv\n  test: 'files:b' # a remark\n"
        "other: files:b.en,b.fr # a remark\n"
    )
    Path("b.en").touch()
    hint = 'm.yaml:4: in YAML " #" begins a comment. Did you mean data.dev: "files:notes #2.csv"? Put it in quotes.'
    first, second = pipeline_file.cut_at_comments(file)
    assert first.startswith('m.yaml:2: in YAML " #" begins a comment. Did you mean data.train: "files:a #1.csv"?')
    assert second == hint
    assert pipeline_file.cut_at_comments(file, ["data.train"]) == [hint]
    assert pipeline_file.cut_at_comments(file, ["data"]) == []
    for name in ("a", "notes"):  # where the short name is there too, the longer one must be
        Path(name).mkdir()
    assert pipeline_file.cut_at_comments(file) == []
    Path("notes #2.csv").touch()
    assert pipeline_file.cut_at_comments(file) == [hint]


def test_config_message_lists_allowed_signs(tmp_path):
    file = write(tmp_path, "task: forecasting\nname: mine\ndata:\n  train: builtin:series\n  decimal: x\n")
    with pytest.raises(ConfigError, match=r'data.decimal = "x" is not a decimal. Allowed: \., ,\.'):
        load_pipeline(file, [])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.test_windows=abc", 'data.test_windows = "abc". Allowed: auto, or a whole number.'),
        ("features.lower=x", 'features.lower = "x". Allowed: auto, or a number.'),
        ("features.seasons_steps=[a]", 'features.seasons_steps = "a". Allowed: auto, or a list of whole numbers.'),
        (
            "features.seasons_steps=[0]",
            "features.seasons_steps = [0] holds a season of no step. Allowed: auto, or whole numbers from 1.",
        ),
        ("model.segment_steps=0", "model.segment_steps = 0 is too small. Allowed: auto, or whole numbers from 1."),
        (
            "conformal.window_steps=0",
            "conformal.window_steps = 0 is too small. Allowed: auto, or whole numbers from 1.",
        ),
    ],
)
def test_config_what_may_be_auto_is_told_once(tmp_path, override, message):
    series = "task: forecasting\nname: mine\ndata:\n  train: builtin:series\n"
    assert problems(tmp_path, series, [override]) == [f"--set {override}: {message}"]


def test_config_a_model_is_exported_beside_its_run(tmp_path):
    series = "task: forecasting\nname: mine\ndata:\n  train: builtin:series\n"
    (found,) = problems(tmp_path, series, ["export.directory=runs/mine/models"])
    assert "export.directory = runs/mine/models lies in the run directory runs/mine, which is hidden" in found
    load_pipeline(write(tmp_path, series), ["export.directory=runs/models"])
