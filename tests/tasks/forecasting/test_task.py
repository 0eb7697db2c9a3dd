"""The forecaster's promises: no future read, units do not matter, gaps do not spread, a stream is like the whole."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict
from pathlib import Path

import fresh
import keras
import numpy as np
import pytest
import tensorflow as tf
from finished import finished
from rich.console import Console
from scipy.stats import norm

from pipelines import SHOPS
from seqpipe.errors import DataError, RunError
from seqpipe.evaluation.paired import difference, mean_with_interval
from seqpipe.evaluation.rows import RowFigures
from seqpipe.runs.check import check_pipeline
from seqpipe.runs.evaluate import evaluate_artefact
from seqpipe.runs.run import open_run
from seqpipe.series.builtin import builtin_rows
from seqpipe.serving.model import load
from seqpipe.tasks.forecasting.answers import ForecastPresentation
from seqpipe.tasks.forecasting.artefact import probes
from seqpipe.tasks.forecasting.config import ForecastingPipeline
from seqpipe.tasks.forecasting.data import fit_facts, usual_spread
from seqpipe.tasks.forecasting.describe import describe, verdict
from seqpipe.tasks.forecasting.oddities import without_logarithm
from seqpipe.tasks.forecasting.report import _in_units, fit_shares
from seqpipe.tasks.forecasting.ridge import refit_ridge
from seqpipe.tasks.forecasting.signatures import rank_of
from seqpipe.tasks.forecasting.task import MASE, Forecasting

KILLED = Path(__file__).parents[2] / "killed.py"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return finished("forecasting", tmp_path_factory)


@pytest.fixture(scope="module")
def model(home):
    return load(home / "saved_models" / "tiny" / "1")


def row(steps=60, seed=1, series=b"nobody", **changes):
    rng = np.random.default_rng(seed)
    values = 5 + np.sin(np.arange(steps) / 24 * 2 * np.pi) + 0.1 * rng.normal(size=steps)
    made = {
        "values": values.astype(np.float32)[None],
        "time": np.array([1_710_000_000 // 3600 * 3600], np.int64),
        "series": np.array([series], object),
        "known": np.zeros((1, steps + 12, 1), np.float32),
        "past": np.ones((1, steps, 1), np.float32),
        "static": np.array([[b"inland"]], object),
    }
    return made | changes


def ask(model, given, signature="serving_default", **more):
    return model.call(signature, {name: tf.constant(value) for name, value in (given | more).items()})


def test_task_future_changes_nothing(tmp_path):
    task = Forecasting(ForecastingPipeline.model_validate(SHOPS))
    task.read()
    task.fit_features(tmp_path / "one")
    other = Forecasting(task.config)
    other.read()
    for one, cut in zip(other.panel.series, other.panel.cuts, strict=True):
        one.values[cut.dev :] = -1e3
        one.past[cut.dev :] = -1e3
    other.fit_features(tmp_path / "other")
    assert (tmp_path / "one" / "facts.json").read_bytes() == (tmp_path / "other" / "facts.json").read_bytes()
    np.testing.assert_array_equal(task.ridge, other.ridge)
    examples = task.examples("dev")
    batch = {name: tf.constant(value) for name, value in examples.batch(np.arange(len(examples))).items()}
    keras_model = task.build()
    answers = [each.forward(keras_model, batch, False).numpy() for each in (task, other)]
    np.testing.assert_array_equal(*answers)


def test_task_facts_are_of_the_training_part_alone():
    tasks = [Forecasting(ForecastingPipeline.model_validate(SHOPS)) for _ in range(2)]
    for task in tasks:
        task.read()
    for one, cut in zip(tasks[1].panel.series, tasks[1].panel.cuts, strict=True):
        one.values[cut.train :] = 1e3
        one.past[cut.train :] = -1e3
    facts, others = (asdict(fit_facts(task.panel, task.config)) for task in tasks)
    assert facts == others


def test_task_bound_is_not_broken_by_what_it_is_trained_on_once_more():
    task = Forecasting(ForecastingPipeline.model_validate(SHOPS))
    task.read()
    one, cut = task.panel.series[0], task.panel.cuts[0]
    assert fit_facts(task.panel, task.config).lower == 0
    one.values[cut.dev :] = -1.0
    assert fit_facts(task.panel, task.config).lower == 0  # of what is tested nothing is known
    one.values[cut.dev - 1] = -1.0
    assert fit_facts(task.panel, task.config).lower is None


def test_task_series_that_stood_still_is_measured_by_its_windows():
    task = Forecasting(ForecastingPipeline.model_validate(SHOPS))
    task.read()
    task.panel.series[0].values[: task.panel.cuts[0].train] = 0.0
    facts = fit_facts(task.panel, task.config)
    assert facts.scale[1] == 0
    assert facts.scale[0] == np.median(facts.scale[2:]) > 0
    scaled = _in_units(task, np.ones((2, 3)), np.zeros(2), np.array([0.0, 2.0]))
    assert np.isnan(scaled[0]).all()
    np.testing.assert_allclose(scaled[1], 0.5)


def test_task_spread_of_a_series_is_that_of_its_usual_window():
    waves = np.tile([0.0, 2.0], 50)
    np.testing.assert_allclose(usual_spread(waves + np.arange(100) // 50 * 100, 10), 1.0)  # not of its levels
    np.testing.assert_allclose(usual_spread(np.r_[np.zeros(200), waves * 3], 10), 3.0)  # of windows that move
    np.testing.assert_allclose(usual_spread(np.r_[np.nan, waves[:5], np.nan], 10), 0.96)
    assert usual_spread(np.full(30, 4.0), 10) == usual_spread(np.full(30, np.nan), 10) == 0.0


def test_task_refit_learns_from_validation_and_never_from_test(tmp_path):
    def refitted(changed=lambda cut: slice(0, 0)):
        task = Forecasting(ForecastingPipeline.model_validate(SHOPS))
        task.read()
        for one, cut in zip(task.panel.series, task.panel.cuts, strict=True):
            one.values[changed(cut)] += 7
        task.fit_features(tmp_path)
        learned = task.examples("learned")
        ends = learned.columns["place"] + learned.columns["slack"] + task.horizon
        starts = task.store.offsets[learned.columns["series"] - 1]
        tests = np.array([cut.dev for cut in task.panel.cuts])[learned.columns["series"] - 1]
        assert (ends - starts).max() == tests.max() - 1  # the last target is the last of validation
        return task.ridge, refit_ridge(task, learned, 1e-3)

    first, first_again = refitted()
    _, of_dev_again = refitted(lambda cut: slice(cut.train + 12, cut.dev))
    of_test, of_test_again = refitted(lambda cut: slice(cut.dev, cut.end))
    assert np.abs(first_again - of_dev_again).max() > 1e-3
    np.testing.assert_array_equal(first_again, of_test_again)
    np.testing.assert_array_equal(first, of_test)


def saved(weights):
    with np.load(weights) as file:
        return [file[name] for name in file.files]


def test_task_publishes_what_was_trained_once_more(home):
    run = home / "runs" / "tiny"
    published = keras.saving.load_model(home / "saved_models" / "tiny" / "1" / "model.keras")
    for kernel in (published.get_layer("ridge").kernel.numpy(), published.get_layer("recurrent").get_weights()[0]):
        assert any(np.array_equal(kernel, weights) for weights in saved(run / "refit" / "best.npz"))
        assert not any(np.array_equal(kernel, weights) for weights in saved(run / "best.npz"))
    report = json.loads((run / "report" / "report.json").read_text())
    assert report["refit"]
    assert report["splits"]["dev"]["measures"]["mase"]["value"] > 0
    card = (home / "saved_models" / "tiny" / "1" / "card.md").read_text()
    assert "trained once more, on training and validation together" in card
    assert "Trained once more on training and validation: 2 epochs" in card


def test_task_killed_while_it_trains_once_more_ends_with_the_same_weights(home, tmp_path):
    (tmp_path / "tiny.yaml").write_bytes((home / "tiny.yaml").read_bytes())
    steps = len((home / "runs" / "tiny" / "history.jsonl").read_text().splitlines())
    killed = fresh.run(KILLED, "after a step", str(steps + 8), "train", "tiny.yaml", cwd=tmp_path)
    assert killed.returncode == -9, killed.stderr
    assert (tmp_path / "runs" / "tiny" / "refit" / "position.npz").is_file()
    done = fresh.run("seqpipe", "train", "tiny.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    refit = Path("runs") / "tiny" / "refit" / "best.npz"
    for one, other in zip(saved(tmp_path / refit), saved(home / refit), strict=True):
        np.testing.assert_array_equal(one, other)


def test_task_trains_once_where_that_is_asked_for(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = SHOPS | {
        "data": {"train": "builtin:series?rows=700&series=1", "validation_windows": 4, "test_windows": 4},
        "training": SHOPS["training"] | {"refit": False, "epochs": 1},
        "evaluation": {"baseline": False},
    }
    with open_run(ForecastingPipeline.model_validate(settings), say=lambda line: None) as run:
        run.train()
        report = run.evaluate()
    assert not (tmp_path / "runs" / "tiny" / "refit").exists()
    assert not report["refit"]


def test_task_answers_in_any_unit(model):
    given = row()
    plain = ask(model, given)
    moved = ask(model, given | {"values": given["values"] * 8.0 + 64.0})
    np.testing.assert_allclose(moved["quantiles"], plain["quantiles"] * 8.0 + 64.0, rtol=1e-4)


def test_task_quantiles_are_sorted_and_series_unheard_of_are_told(model):
    for seed in range(5):
        answer = ask(model, row(seed=seed))
        assert (np.diff(answer["quantiles"][0], axis=1) >= 0).all()
        assert not answer["known_series"][0]
    assert ask(model, row(series=b"market"))["known_series"][0]


def test_task_missing_steps_before_a_history_are_no_history(model):
    given = row(steps=20)
    padded = {
        name: np.concatenate([np.full((1, 9, *value.shape[2:]), np.nan, np.float32), value], axis=1)
        for name, value in given.items()
        if name in ("values", "known", "past")
    }
    np.testing.assert_array_equal(ask(model, given)["median"], ask(model, given | padded)["median"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 1e30, -1e30])
@pytest.mark.parametrize("steps", [0, 1, 60])
def test_task_answers_whatever_comes(model, value, steps):
    given = row(steps=steps)
    answer = ask(model, given | {"values": np.full((1, steps), value, np.float32)})
    assert all(np.isfinite(part).all() for part in answer.values() if part.dtype.kind == "f")


def test_task_stream_equals_the_whole_whatever_the_cuts(model):
    whole = row(steps=70)
    state = np.zeros((1, int(model.call("info", {})["state_size"])), np.float32)
    seen, done = np.zeros(1, np.int64), 0
    rng = np.random.default_rng(3)
    while done < 70:
        end = min(70, done + int(rng.integers(1, 20)))
        part = whole | {
            "values": whole["values"][:, done:end],
            "known": whole["known"][:, done : end + 12],
            "past": whole["past"][:, done:end],
            "time": whole["time"] - 3600 * (70 - end),
        }
        answer = ask(model, part, "stream", observations=seen, state=state)
        seen, state, done = answer["observations"], answer["state"], end
    assert seen[0] == 70
    np.testing.assert_allclose(answer["quantiles"], ask(model, whole)["quantiles"], atol=1e-5)


def test_task_longer_begins_as_the_answer_and_flags_the_rest(model):
    given = row()
    reaching = np.concatenate([given["known"], np.zeros((1, 18, 1), np.float32)], axis=1)
    longer = ask(model, given | {"known": reaching}, "longer", steps=np.int32(30))
    np.testing.assert_allclose(longer["median"][:, :12], ask(model, given)["median"], rtol=1e-5)
    assert longer["extrapolated"][0].tolist() == [False] * 12 + [True] * 18
    assert np.diff(longer["time"][0]).tolist() == [3600] * 29
    with pytest.raises(DataError, match="longer: steps must be 1 to 100,000"):
        ask(model, given, "longer", steps=np.int32(0))
    with pytest.raises(DataError, match="known must have a row for each value and each step to come"):
        ask(model, given, "longer", steps=np.int32(30))


def test_task_longer_is_the_less_sure_the_farther_it_reaches(model):
    given = row()
    reaching = np.concatenate([given["known"], np.zeros((1, 36, 1), np.float32)], axis=1)
    longer = ask(model, given | {"known": reaching}, "longer", steps=np.int32(48))
    widths = (longer["quantiles"][0, :, -1] - longer["quantiles"][0, :, 0]).reshape(4, 12)
    assert (widths[1:] >= widths[:-1, -1:] - 1e-3).all(), "each block at least as wide as the last step before it"
    assert (np.diff(longer["quantiles"][0], axis=1) >= 0).all()
    assert (longer["quantiles"] >= 0).all()


def test_task_ranks_of_what_stands_still():
    quantiles = tf.fill([3, 5], 5.0)
    levels = norm.ppf([0.025, 0.1, 0.5, 0.9, 0.975]).astype(np.float32)
    rank = rank_of(quantiles, tf.constant([5.0, 6.0, -1000.0]), levels).numpy()
    np.testing.assert_allclose(rank, [0.5, 1, 0], atol=1e-6)


def test_task_samples_follow_the_quantiles_and_the_seed(model):
    given = row()
    options = {"samples": np.int32(4000), "seed": np.array([1, 2], np.int32)}
    paths = ask(model, given, "samples", **options)["samples"][0]
    np.testing.assert_array_equal(paths, ask(model, given, "samples", **options)["samples"][0])
    answer = ask(model, given)
    below = (paths <= answer["median"][0]).mean(axis=0)
    assert np.abs(below - 0.5).max() < 0.05
    share = (paths <= answer["quantiles"][0][:, 3]).mean(axis=0)  # the 0.9 quantile
    assert np.abs(share - 0.9).max() < 0.05
    assert paths.min() >= 0, "no answer lies below data that never does"


def test_task_score_flags_a_spike_and_explain_sees_the_past(model):
    given = row(steps=80, series=b"market")
    given["values"][0, 70] += 1e3
    scored = ask(model, given, "score")
    assert scored["anomaly"][0, 70]
    assert scored["rank"].shape == (1, 80)
    explained = ask(model, given, "explain")
    assert explained["weights"].shape == (1, 12, 80)
    assert (explained["weights"][0, :, :32] == 0).all(), "48 steps are looked back on"
    assert explained["known_weights"].shape == (1, 12, 1)


def test_task_score_is_silent_where_nothing_came_before(model):
    given = row(steps=80, series=b"market")
    given["values"][0, :50] = np.nan
    given["values"][0, 55] = given["values"][0, 78] = 1e3
    scored = ask(model, given, "score")
    first = 80 - 2 * 12  # of the first block with a value before it
    assert not scored["anomaly"][0, :first].any()
    np.testing.assert_array_equal(scored["rank"][0, :first], 0.5)
    assert scored["anomaly"][0, 78]


def test_task_that_looks_back_two_steps_has_probes():
    task = Forecasting(ForecastingPipeline.model_validate({**SHOPS, "features": {"look_back_steps": 2}}))
    task.read()
    task.facts = fit_facts(task.panel, task.config)
    assert {len(probe["values"]) for probe in probes(task)} == {5, 2, 1, 0}


def test_task_whose_logarithm_leaves_values_out_says_so():
    task = Forecasting(ForecastingPipeline.model_validate({**SHOPS, "features": {"transform": "log"}}))
    assert "leaves out" not in " ".join(finding.text for finding in task.read())
    task.panel.series[0].values[:3] = [0.0, -1.0, np.nan]
    (found,) = without_logarithm(task.panel)
    assert found.severity == "warning"
    assert "harbour 2 of 674. log1p takes all values." in found.text
    task.panel.series[1].values[:] = -1.0
    assert [finding.severity for finding in without_logarithm(task.panel)] == ["error"]


def test_task_table_in_and_table_out(home, model, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from seqpipe.cli import app

    monkeypatch.chdir(home)
    lines = [f"market,2024-03-0{1 + h // 24}T{h % 24:02d}:00,{h % 24 + 0.5},0,1,inland" for h in range(72)]
    future = [f"market,2024-03-04T{h:02d}:00,,1,,inland" for h in range(12)]
    file = tmp_path / "history.csv"
    file.write_text("\n".join(["series,time,value,offer,visitors,region", *lines, *future]) + "\n")
    output, picture = tmp_path / "forecast.csv", tmp_path / "fan.png"
    arguments = ["predict", "tiny", "--input", str(file), "--output", str(output), "--plot", str(picture)]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    header, *rows = output.read_text().splitlines()
    assert header == "series,time,median,q0.025,q0.1,q0.5,q0.9,q0.975"
    assert len(rows) == 12
    assert rows[0].startswith("market,2024-03-04T00:00,")
    assert picture.stat().st_size > 1000
    file.write_text("\n".join(["series,time,value,offer,visitors,region", *lines, *future[:3]]) + "\n")
    with pytest.raises(
        DataError, match="series market has no offer at 2024-03-04T03:00, 4 steps behind its last value"
    ):
        list(model.input.from_file(str(file)))


def test_task_is_evaluated_on_some_of_its_series_as_on_all(home, tmp_path):
    names, rows = builtin_rows("builtin:series?rows=300&series=2&seed=2")
    rows = list(rows)

    def evaluated(*chosen):
        file = tmp_path / "rows.csv"
        lines = [",".join(row.values()) for row in rows if row["series"] in chosen]
        file.write_text("\n".join([",".join(names), *lines, ""]))
        console = Console(file=io.StringIO())
        report = evaluate_artefact(
            str(home / "saved_models" / "tiny" / "1"),
            f"files:{file}",
            overrides=[],
            directory=tmp_path,
            console=console,
        )
        said = console.file.getvalue()
        assert "### Verdict" in said
        assert "Whether the model learned from these values was not checked" in said
        assert "held back" not in said, "nothing is trained"
        assert ("1 of 3 series are not known: nobody." in said) == ("nobody" in chosen)
        assert json.loads((tmp_path / "report.json").read_text()) == report
        assert "### Verdict" in (tmp_path / "report.md").read_text()
        part = report["splits"]["test"]
        by_name = {row["name"]: row["mase"] for row in part["baselines"]}
        return part["windows"], part["measures"]["mase"]["value"], by_name["ridge"], set(by_name)

    first, second = dict.fromkeys(row["series"] for row in rows)
    parts = [evaluated(first), evaluated(second)]
    rows += [{**row, "series": "nobody"} for row in rows if row["series"] == first]
    whole = evaluated(second, first, "nobody")
    assert whole[0] == sum(part[0] for part in parts)
    for figure in (1, 2):
        assert whole[figure] == pytest.approx(np.mean([part[figure] for part in parts]), rel=1e-4)
    assert "climatology + AR" not in whole[3], "nothing here was learned from"


def test_task_is_not_evaluated_on_another_step(home, tmp_path):
    file = tmp_path / "days.csv"
    days = np.arange("2024-01-01", "2024-04-01", dtype="datetime64[D]")
    lines = [f"harbour,{day},1,0,1,coast" for day in days]
    file.write_text("\n".join(["series,time,value,offer,visitors,region", *lines, ""]))
    model = str(home / "saved_models" / "tiny" / "1")
    with pytest.raises(DataError, match=r"has a step of 1D; that of .* is 1h"):
        evaluate_artefact(model, f"files:{file}", overrides=[], directory=tmp_path, console=Console(file=io.StringIO()))


def test_task_card_claims_only_what_is_shown():
    simple = {"name": "last value", "mase": 1.0, "p_holm": 0.83}
    part = {"measures": {"mase": {"value": 0.99}}, "baselines": [simple]}
    assert verdict(part).startswith("No better than repeating the last value (MASE 0.990 against 1.000")
    simple["p_holm"] = 0.001
    assert verdict(part).startswith("Better than repeating the last value, the best simple baseline")
    part["measures"]["mase"]["value"] = 1.2
    assert verdict(part).startswith("Worse than repeating the last value")
    part["baselines"].append({"name": "ridge", "mase": 1.2, "p_holm": 1.0})
    assert "No better than its own ridge" in verdict(part)


def test_task_horizons_have_bounds():
    for horizon in (0, 100_000):
        with pytest.raises(ValueError, match="horizon_steps"):
            ForecastingPipeline.model_validate(SHOPS | {"model": {"horizon_steps": horizon}})


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_task_of_one_quantile_for_series_that_stand_still_under_a_name_that_is_no_formula(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "$BTC_$ETH_"
    days = np.arange("2020-01-01", 200, dtype="datetime64[D]")
    (tmp_path / "days.csv").write_text("\n".join(["series,time,value", *(f"{name},{day},5" for day in days), ""]))
    config = {
        "task": "forecasting",
        "name": "still",
        "data": {"train": "files:days.csv", "validation_windows": 2, "test_windows": 2},
        "model": {"horizon_steps": 5, "recurrent": {"units": 4}, "quantiles": [0.5]},
        "training": {"epochs": 1, "refit": False},
        "evaluation": {"bootstrap_samples": 100},
    }
    with open_run(ForecastingPipeline.model_validate(config), say=lambda line: None) as run:
        run.train()
        report = run.evaluate()
    part = report["splits"]["test"]
    assert part["measures"]["mase"]["value"] == pytest.approx(part["mae"])
    assert "All series are constant in training, where MASE is undefined: MAE stands in its place." in describe(report)
    answer = {"quantiles": np.zeros([5, 1]), "median": np.zeros(5)}
    ForecastPresentation([0.5]).plot([(name, {"values": np.ones(9)}, answer)], tmp_path / "fan.png")
    assert (tmp_path / "fan.png").is_file()


def test_task_card_and_pictures_are_there(home):
    card = (home / "saved_models" / "tiny" / "1" / "card.md").read_text()
    assert "### Verdict" in card
    assert "| ridge |" in card
    for name in ("fans.png", "by_step.png", "ranks.png", "coverage.png", "rows.npz"):
        assert (home / "runs" / "tiny" / "report" / "test" / name).is_file()


def test_task_check_says_how_far_it_looks_back_and_no_padding():
    out = Console(file=io.StringIO(), width=200)
    check_pipeline(ForecastingPipeline.model_validate(SHOPS), out)
    said = out.file.getvalue()
    assert re.search(r"info: it looks back \d+ steps, \d+ read at once, and forecasts \d+; seasons of 24", said)
    assert "padding" not in said


def test_task_asks_for_statsmodels_before_it_trains(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    task = Forecasting(ForecastingPipeline.model_validate({**SHOPS, "evaluation": {"statsmodels": True}}))
    with pytest.raises(RunError, match=r"statsmodels is not installed: pip install 'seqpipe\[forecasting\]'"):
        task.read()


def test_task_card_says_where_theta_and_ets_were_left_out(home):
    report = json.loads((home / "runs" / "tiny" / "report" / "report.json").read_text())
    assert "Theta" not in describe(report)
    report["splits"]["dev"]["statsmodels_left_out"] = True
    assert describe(report).count("Theta and ETS were left out") == 1
    (part, *_) = report["splits"].values()
    for row in part["intervals"]:
        row["exported"]["high"] = row["share"] + 0.01
    assert "cover less than they promise" not in describe(report)
    part["intervals"][0]["exported"]["high"] = 0.5
    assert "cover less than they promise here." in describe(report)


def test_task_card_has_the_series_where_it_forecasts_worst_and_best(home):
    report = json.loads((home / "runs" / "tiny" / "report" / "report.json").read_text())
    own = report["splits"]["dev"]["by_series"]
    assert np.mean(list(own.values())) == pytest.approx(report["splits"]["dev"]["measures"]["mase"]["value"])
    worst, best = sorted(own, key=own.get, reverse=True)
    told = describe(report).split("### test")[0]
    assert told.index(f"| {worst} | {own[worst]:.3f} |") < told.index(f"| {best} | {own[best]:.3f} |")
    report["splits"] = {"dev": report["splits"]["dev"] | {"by_series": {f"shop {n}": n / 8 for n in range(40)}}}
    told = describe(report)
    assert "Of 40 the 5 worst and the 5 best series by their MASE" in told
    assert re.findall(r"\| shop (\d+) \|", told) == [str(n) for n in (39, 38, 37, 36, 35, 4, 3, 2, 1, 0)]
    report["splits"]["dev"]["by_series"] = {"": 1.0}
    assert "by their MASE" not in describe(report)


def test_task_a_step_of_which_nothing_came_takes_its_share_from_the_others():
    wanted = np.random.default_rng(1).normal(size=(1, 12))
    wanted[0, 5] = np.nan
    shares = fit_shares(np.nan_to_num(wanted), np.full((1, 12), 9.0), wanted, np.ones(1), squared=False)
    assert shares.tolist() == [1.0] * 12
    assert fit_shares(wanted, wanted, np.full((1, 12), np.nan), np.ones(1), squared=True).tolist() == [1.0] * 12


def test_task_rows_of_windows_say_how_they_overlap_and_in_what_they_are_measured(home):
    rows = RowFigures.read(home / "runs" / "tiny" / "report" / "dev")
    layout = MASE.layout(rows)
    assert len(layout.origins) == len(layout.series) == len(rows)
    assert layout.overlap == 12 // max(1, int(np.median(np.diff(np.unique(layout.origins)))))
    assert MASE.layout(RowFigures("", {"mase": rows.columns["mase"]})) is None
    alike = difference(MASE, [rows], [RowFigures("", {"mase": rows.columns["mase"] + 1})])
    assert alike["value"] == pytest.approx(-1)
    walk = np.convolve(np.random.default_rng(1).normal(size=len(rows) + 11), np.ones(12), "valid")
    other = RowFigures("", {**rows.columns, "mase": rows.columns["mase"] + walk})
    told = difference(MASE, [other], [rows])
    naive = mean_with_interval(walk, samples=2000, seed=1)
    assert told["high"] - told["low"] > 1.3 * (naive[2] - naive[1])
