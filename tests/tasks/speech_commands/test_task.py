from __future__ import annotations

import functools
import json

import numpy as np
import pytest
import tensorflow as tf
from sound.wav_cases import REFUSED, chirp, wav

from pipelines import TONES
from seqpipe.config.networks import RecogniserModel, RecogniserRecurrent, SpectrogramConvolution
from seqpipe.config.sound import AudioFeatures
from seqpipe.errors import DataError, ProofError
from seqpipe.models import commands_model
from seqpipe.serving.model import Model
from seqpipe.sound.log_mel import LogMel
from seqpipe.tasks.speech_commands.config import SpeechCommandsPipeline
from seqpipe.tasks.speech_commands.data import empty_bands
from seqpipe.tasks.speech_commands.probes import probes
from seqpipe.tasks.speech_commands.scores import without_distance
from seqpipe.tasks.speech_commands.signatures import CommandRecogniser, best_window, ranked
from seqpipe.tasks.speech_commands.streaming import StreamingRecogniser, prove_stream, whole_clip
from seqpipe.tasks.speech_commands.task import SpeechCommands, fit_clip
from seqpipe.training.predict import predict

CLASSES = ["yes", "no", "unknown", "silence"]
MEL = LogMel(AudioFeatures(bands=16))


def make(*, streaming, seed=0, stride=2, cell="gru"):
    tf.keras.utils.set_random_seed(seed)
    config = RecogniserModel(
        streaming=streaming,
        convolution=[
            SpectrogramConvolution(filters=4, kernel_frames=5, stride_frames=stride),
            SpectrogramConvolution(filters=4),
        ],
        projection=8,
        recurrent=RecogniserRecurrent(cell=cell, units=6, bidirectional=not streaming),
    )
    mean, deviation = np.full(16, -40, np.float32), np.full(16, 15, np.float32)
    model = commands_model(
        config,
        bands=16,
        clip_frames=MEL.clip_frames,
        classes=4,
        mean=mean,
        deviation=deviation,
    )
    for layer in model.layers:
        if layer.name.startswith("convolution"):  # a normalisation that is not the identity
            gamma, beta, average, variance = layer.norm.get_weights()
            layer.norm.set_weights([gamma * 1.5, beta + 0.3, average + 0.1, variance * 0.5])
    return model


def test_commands_of_a_telephone_have_empty_bands():
    mean = np.where(MEL.centres_hz < 3_600, -30.0, -60.0)
    (said,) = empty_bands(mean, MEL.centres_hz, floor_db=-60.0)
    first = MEL.centres_hz[MEL.centres_hz >= 3_600][0]
    assert f"nothing stands in {(mean == -60).sum()} of 16 mel bands, from {first:,.0f} Hz on" in said
    assert f"features.highest_hz = {first:.0f}" in said
    for whole in (np.full(16, -30.0), np.full(16, -60.0)):
        assert empty_bands(whole, MEL.centres_hz, floor_db=-60.0) == []


def test_commands_of_a_telephone_are_not_blown_up(tmp_path):
    task = SpeechCommands(SpeechCommandsPipeline.model_validate(TONES))
    task.read()
    wide = task._decibels
    task._decibels = lambda waveforms: np.where(np.arange(task.config.features.bands) < 30, wide(waveforms), -60)
    task.fit_features(tmp_path)
    assert (task.deviation[30:] == 5).all()
    assert (task.deviation >= 5).all()
    assert "mel bands" in task.features_found()[0]


@functools.cache
def functions_of(module):
    """What a streaming module would be saved with; tracing it takes seconds."""
    return {name: function.get_concrete_function() for name, function in module.functions().items()}


def served(module):
    """A `Model` without the directory."""

    class Loaded:
        signatures = functions_of(module)

    return Model("here/1", Loaded())


@pytest.fixture(scope="module")
def recogniser():
    model = make(streaming=False)
    return model, served(CommandRecogniser(model, MEL, classes=CLASSES, temperature=0.3, version=1))


@pytest.fixture(scope="module", params=[(4, "gru"), (2, "lstm")])
def streaming(request):
    stride, cell = request.param
    model = make(streaming=True, stride=stride, cell=cell)
    return model, StreamingRecogniser(model, MEL, classes=CLASSES, temperature=0.3, version=1)


def sounds():
    rng = np.random.default_rng(1)
    loud = [(rng.normal(size=n) * np.sin(np.arange(n) / 900) ** 2 * 0.2).astype(np.float32) for n in (16_000, 11_111)]
    return probes(loud, 16_000)


def test_recogniser_answers_the_best_window(recogniser):
    model, loaded = recogniser
    for waveform in sounds():
        (answer,) = loaded([waveform])
        expected = best_window(model, MEL, waveform, 0.3, CLASSES)
        assert answer["label"] == expected["label"].item().decode()
        assert list(answer["probabilities"].values()) == pytest.approx(expected["probabilities"].tolist(), abs=1e-5)
        assert answer["start_s"] == pytest.approx(float(expected["start_s"]))


def test_ranked_puts_commands_before_unknown_before_silence():
    rows = tf.constant([[[0.4, 0.3, 0.2, 0.1], [0.0, 0.0, 0.9, 0.1], [0.0, 0.0, 0.0, 1.0]]])
    np.testing.assert_allclose(ranked(rows)[0], [2.4, 1.9, 1.0])


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.array([0.1, np.nan]), "waveform holds NaN or infinity"),
        (np.array([0.1, np.inf]), "waveform holds NaN or infinity"),
        (np.array([0.1, 12_000.0]), "far outside -1..1 .*divide 16-bit samples by 32,768.* 12000"),
        (np.array([3, 12_000], np.int16), "int16 .2. is not a waveform"),
        (np.zeros((100, 2)), r"float64 .100, 2. is not a waveform. Allowed: .*one channel"),
    ],
)
def test_recogniser_names_the_rule_that_a_waveform_breaks(recogniser, waveform, message):
    with pytest.raises(DataError, match=message):
        recogniser[1]([waveform])


def test_recogniser_names_the_bad_files_of_a_batch_and_answers_the_others(recogniser, streaming):
    good, other = wav(), wav(0.3 * chirp(44_100), 44_100)
    bad = [REFUSED[name][0] for name in ("nothing", "Git LFS", "NaN", "floats as 16 bits")]
    for functions in (recogniser[1].loaded.signatures, functions_of(streaming[1])):
        answer = functions["wav"](wav=tf.constant([bad[0], good, *bad[1:], other]))
        alone = [functions["wav"](wav=tf.constant([file])) for file in (good, other)]
        assert [bool(error) for error in answer["error"].numpy()] == [True, False, True, True, True, False]
        assert answer["error"].numpy()[3] == b"holds NaN or infinity"
        for name, values in answer.items():
            np.testing.assert_array_equal(values.numpy()[[1, 5]], np.concatenate([row[name] for row in alone]))
            for row in (0, 2, 3, 4):
                assert name == "error" or not np.any(values.numpy()[row]), name
        assert answer["label"].numpy()[1].decode() in CLASSES


def test_recogniser_answers_no_files_with_none(recogniser):
    answer = recogniser[1].loaded.signatures["wav"](wav=tf.zeros([0], tf.string))
    assert {name: value.shape[0] for name, value in answer.items()} == dict.fromkeys(answer, 0)


def test_recogniser_streams_as_it_answers_the_whole(streaming):
    model, module = streaming
    expected = [whole_clip(model, MEL, waveform, 0.3, CLASSES) for waveform in sounds()]
    assert prove_stream(module, sounds(), [row["probabilities"] for row in expected]) < 1e-5
    loaded = served(module)
    for waveform, row in zip(sounds(), expected, strict=True):
        (answer,) = loaded([waveform])
        assert list(answer["probabilities"].values()) == pytest.approx(row["probabilities"].tolist(), abs=1e-5)


@pytest.mark.parametrize("samples", [0, 100, 20_000])
def test_recogniser_answers_no_rows_with_none(recogniser, streaming, samples):
    for function in (recogniser[1].loaded.signatures["serving_default"], functions_of(streaming[1])["serving_default"]):
        answer = function(waveform=tf.zeros([0, samples]))
        assert answer["label"].shape == (0,)
        assert answer["probabilities"].shape == (0, len(CLASSES))


def test_recogniser_stream_calls_the_branch_it_takes(streaming):
    library = functions_of(streaming[1])["stream"].graph.as_graph_def().library
    cases = [node for function in library.function for node in function.node_def if node.op == "Case"]
    assert cases
    assert not any(node.attr["_lower_using_switch_merge"].b for node in cases)


def test_recogniser_that_looks_ahead_is_not_published():
    model = make(streaming=True)
    module = StreamingRecogniser(model, MEL, classes=CLASSES, temperature=0.3, version=1)
    model.get_layer("convolution_2").padding = "same"
    expected = [whole_clip(model, MEL, waveform, 0.3, CLASSES)["probabilities"] for waveform in sounds()]
    with pytest.raises(ProofError, match=r"stream: fed piece by piece, probe \d+ is answered otherwise"):
        prove_stream(module, sounds(), expected)


def test_recogniser_stream_wants_rows_of_one_age(streaming):
    _, module = streaming
    state = {name: np.zeros([2, *spec.shape[1:]], spec.dtype.as_numpy_dtype) for name, spec in module.state.items()}
    state["samples"] = np.array([0, 320])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have heard equally many samples"):
        functions_of(module)["stream"](np.zeros((2, 100), np.float32), *state.values())


def test_fit_clip_takes_the_loudest_stretch_and_pads_on_both_sides():
    wave = np.concatenate([np.zeros(500), np.ones(100), np.zeros(400)])
    np.testing.assert_array_equal(fit_clip(wave, 100), np.ones(100))
    np.testing.assert_array_equal(fit_clip(np.ones(2), 5), [0, 1, 1, 0, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "needs recurrent.bidirectional = false"),
        ({"recurrent": {"bidirectional": False}, "pooling": "max"}, 'needs pooling = "attention" or "mean"'),
    ],
)
def test_streaming_models_must_be_causal(changes, message):
    with pytest.raises(ValueError, match=message):
        RecogniserModel.model_validate({"streaming": True, **changes})


def test_class_weights_go_by_the_rows_that_are_trained_on(tmp_path):
    tree = {**TONES, "data": {**TONES["data"], "unknown_copies": 3}, "training": {"class_weights": "balanced"}}
    task = SpeechCommands(SpeechCommandsPipeline.model_validate(tree))
    task.read()
    task.fit_features(tmp_path)
    rows = np.bincount(task.examples("train").columns["label"], minlength=len(task.classes))
    np.testing.assert_allclose(task.class_weights * rows, rows.sum() / len(task.classes), rtol=1e-6)


def test_logit_adjustment_takes_the_share_of_a_class_off_its_score(tmp_path):
    tree = {**TONES, "data": {**TONES["data"], "unknown_copies": 3}, "training": {"logit_adjustment": 0.5}}
    task = SpeechCommands(SpeechCommandsPipeline.model_validate(tree))
    task.read()
    task.fit_features(tmp_path)
    model, dev = task.build(), task.examples("dev")
    before = predict(model, task, dev)
    fitted = task.fit(model, {"dev": dev})
    rows = np.bincount(task.examples("train").columns["label"])
    for _ in range(2):  # once more changes nothing
        task.finish(model, fitted)
        wanted = before - 0.5 * np.log(rows / rows.sum())
        np.testing.assert_allclose(predict(model, task, dev), wanted, atol=1e-5)


def test_distance_weight_lowers_the_commands_of_what_is_far_from_all_of_them(tmp_path):
    tree = {**TONES, "training": {"distance_weight": 2.0}}
    task = SpeechCommands(SpeechCommandsPipeline.model_validate(tree))
    task.read()
    task.fit_features(tmp_path)
    model, examples = task.build(), {split: task.examples(split) for split in ("train", "dev")}
    before = predict(model, task, examples["dev"])
    fitted = task.fit(model, examples)
    np.testing.assert_array_equal(predict(model, task, examples["dev"]), before)  # until it is finished
    task.finish(model, json.loads(json.dumps(fitted)))
    fallen = before - predict(model, task, examples["dev"])
    commands = len(task.classes) - 2
    np.testing.assert_allclose(fallen[:, commands:], 0, atol=1e-5)
    np.testing.assert_allclose(fallen[:, :commands], np.tile(fallen[:, :1], commands), atol=1e-4)
    clips = np.asarray(examples["dev"].columns["label"]) < commands
    assert abs(np.median(fallen[clips, 0])) < 1e-4
    np.testing.assert_allclose(predict(without_distance(model), task, examples["dev"]), before, atol=1e-5)


def test_seeds_are_judged_by_the_same_silence_and_trained_on_others():
    heard = {}
    for seed in (1, 2):
        task = SpeechCommands(SpeechCommandsPipeline.model_validate({**TONES, "seed": seed}))
        task.read()
        heard[seed] = {split: task.waveforms(split)[0] for split in ("train", "dev")}
    np.testing.assert_array_equal(heard[1]["dev"], heard[2]["dev"])
    silent = len(heard[1]["train"]) - 120
    assert silent > 0
    assert (heard[1]["train"][-silent:] != heard[2]["train"][-silent:]).any()
