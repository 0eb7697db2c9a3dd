"""The pages in a real browser: every view of the served one, and the one that hears on the device, from file://."""

from __future__ import annotations

import threading
import time

import browser
import numpy as np
import pytest
import soundfile
from finished import finished
from streaming_model import CLASSES, melody, save

import seqpipe
from seqpipe.export import lite
from seqpipe.runs import lite as on_device
from seqpipe.serving.device_page.make import make
from seqpipe.serving.listening import Detector, listen, read_blocks
from seqpipe.serving.server.batching import Batcher
from seqpipe.serving.server.metrics import Metrics
from seqpipe.serving.server.rest import Server, Settings, application
from seqpipe.serving.server.versions import Hosted, Models

PIECE = 640
SHORT_S = 4.0  # of the melody, in which two words are heard: what the microphone plays
TASKS = {"sentences": "text_classification", "phrases": "translation", "shops": "forecasting", "verses": "writing"}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    file = tmp_path_factory.mktemp("sound") / "short.wav"
    soundfile.write(file, melody()[: round(SHORT_S * 16_000)], 16_000)
    yield from browser.launched(file)


@pytest.fixture(scope="module")
def hearing(tmp_path_factory):
    pytest.importorskip("ai_edge_litert")
    directory = tmp_path_factory.mktemp("models") / "hearing" / "1"
    save(directory, temperature=0.1)
    place, config = on_device.find(str(directory), [])
    on_device.add_lite(place, config, data_named=False, say=lambda text: None)
    return directory


@pytest.fixture(scope="module")
def server():
    metrics = Metrics()
    return Server(Models({}, metrics), Batcher(most_rows=64, metrics=metrics), metrics, Settings(max_body_mb=0.1))


@pytest.fixture(scope="module")
def address(server):
    import uvicorn

    config = uvicorn.Config(application(server), port=0, log_level="error", lifespan="off", ws="websockets-sansio")
    web = uvicorn.Server(config)
    running = threading.Thread(target=web.run)
    running.start()
    while not web.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}/"
    web.should_exit = True
    running.join()


@pytest.fixture(scope="module")
def host(server, hearing, tmp_path_factory):
    """Has the server serve a model by its name, from when it is first asked for."""

    def add(name):
        if name not in server.models.hosted:
            made = hearing.parent if name == "hearing" else None
            path = made or finished(TASKS[name], tmp_path_factory) / "saved_models" / "tiny"
            server.models.hosted[name] = Hosted(name, path)
            server.models.look()

    return add


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    file = tmp_path_factory.mktemp("sound") / "melody.wav"
    soundfile.write(file, melody()[: 199 * PIECE + PIECE // 2], 16_000)  # with the quiet after it whole pieces
    return file


@pytest.fixture(scope="module")
def words(hearing, recording):
    """What `seqpipe listen` hears in it."""
    heard = list(listen(seqpipe.load(hearing), read_blocks(recording), Detector()))
    assert len({word.label for word in heard}) > 1
    return heard


@pytest.fixture
def served(chromium, address, host):
    watched = browser.Watched(chromium, address)
    watched.host = host
    yield watched
    watched.close()


def chosen(watched, name):
    """The view of a model, by the keyboard alone."""
    watched.host(name)
    watched.page.goto(watched.home)
    watched.page.get_by_role("button", name=name).focus()
    watched.page.keyboard.press("Enter")
    assert watched.page.evaluate("document.activeElement.id") == "title"
    return watched.page


def answered(page):
    page.click("#send")
    page.wait_for_selector("#took:not(:empty), #error:not(:empty)")
    assert page.text_content("#error") == ""
    assert page.text_content("#took")


def shown_words(page, rows):
    return [row.split("\t") for row in page.locator(rows).all_inner_texts()]


def as_shown(words):
    """Rows of the table, and how far apart the same may be."""
    near = [
        (pytest.approx(word.start_s, abs=0.011), pytest.approx(word.end_s, abs=0.011), word.label) for word in words
    ]
    return [[*row, pytest.approx(word.confidence, abs=2e-3)] for row, word in zip(near, words, strict=True)]


def as_numbers(rows):
    return [[float(start), float(end), label, float(confidence)] for start, end, label, confidence in rows]


def test_page_sentiment_shows_label_pieces_and_curl(served):
    page = chosen(served, "sentences")
    page.fill("#text", "A fine film, <b>great</b>.")
    answered(page)
    assert page.text_content("#answer b") in ("positive", "negative")
    assert "great" in page.text_content("#answer .pieces")
    page.click("text=Weights as a table")
    page.click("text=The same by curl")
    assert f"{served.home}v1/models/sentences:predict" in page.text_content("#curl")
    served.look("sentences")


def test_page_translation_shows_where_it_looked_and_the_beam(served):
    page = chosen(served, "phrases")
    answered(page)
    page.click("text=All of it as a table")
    page.locator("button.piece").first.focus()
    looked = (
        page.locator("#answer .pieces")
        .nth(1)
        .locator("span")
        .evaluate_all("spans => spans.map(span => Number(span.style.getPropertyValue('--w')))")
    )
    assert sum(looked) == pytest.approx(1, abs=0.05)
    served.look("phrases")
    page.fill("#width", "3")
    answered(page)
    assert page.locator("#answer tbody tr").count() >= 1


def test_page_forecast_takes_rows_and_names_a_bad_one(served):
    page = chosen(served, "shops")
    answered(page)
    assert page.locator("#answer svg polygon").count() == 2
    assert page.locator("#answer tbody tr").count() == 12
    served.look("shops")
    rows = page.input_value("#text")
    page.fill("#text", rows.replace("55.3", "many"))
    page.click("#send")
    page.wait_for_selector("#error:not(:empty)")
    assert page.text_content("#error") == 'Row 2: "many" is not a number.'
    assert "many" in page.input_value("#text")
    assert page.get_attribute("#text", "aria-invalid") == "true"
    served.look("shops-error")
    days = [f"2026-05-{day:02d}T00:00" for day in range(1, 31)]
    table = ["time,value,offer,visitors", *(f"{day},{number},0,{number}" for number, day in enumerate(days))]
    page.fill("#text", "\n".join([*table[:19], *(f"{day},,1," for day in days[18:])]))
    answered(page)
    assert page.locator("#answer tbody tr").first.inner_text().split("\t")[1].startswith("2026-05-18")


def test_page_writes_step_by_step_what_write_answers(served, address):
    import httpx2 as httpx

    page = chosen(served, "verses")
    page.fill("#text", "The ")
    page.fill("#length", "12")
    answered(page)
    served.look("verses")
    body = page.text_content("#curl").split("-d '")[1].split("' http")[0].replace("'\\''", "'")
    answer = httpx.post(f"{address}v1/models/verses:predict", content=body).json()["outputs"]
    assert page.text_content("#answer .pieces") == "The " + answer["text"][0]


def test_page_shows_the_servers_refusal_and_keeps_the_text(served):
    page = chosen(served, "sentences")
    page.fill("#text", "x" * 200_000)
    page.click("#send")
    page.wait_for_selector("#error:not(:empty)")
    assert page.text_content("#error") == "The body is larger than 0.1 MB."
    assert len(page.input_value("#text")) == 200_000


def test_page_may_be_asked_of_another_model_before_the_first_has_answered(served):
    page = chosen(served, "hearing")
    page.evaluate("void ask(() => new Promise(() => {}))")  # which never answers
    assert page.is_disabled("#send")
    page.get_by_role("button", name="hearing").click()
    assert page.is_enabled("#send")


def test_page_hears_a_recording_as_listen_does(served, recording, words, tmp_path):
    page = chosen(served, "hearing")
    page.set_input_files("#file", recording)
    answered(page)
    assert as_numbers(shown_words(page, ".words tbody tr")) == as_shown(words)
    served.look("hearing")
    (tmp_path / "no.wav").write_bytes(b"no recording")
    page.set_input_files("#file", tmp_path / "no.wav")
    page.click("#send")
    page.wait_for_selector("#error:not(:empty)")
    assert page.text_content("#error") == "no.wav is no recording that this browser can read."


def test_page_hears_the_microphone(served, words):
    page = chosen(served, "hearing")
    page.click("#microphone")
    page.wait_for_selector(".words td:text-is('gu')", timeout=20_000)
    page.click("#microphone")
    page.wait_for_selector("#took:not(:empty)")
    assert page.text_content("#error") == ""
    assert_first(as_numbers(shown_words(page, ".words tbody tr")), words)


def assert_first(rows, words):
    """The first word is there; a microphone begins when it likes, and its samples are not the file's."""
    found = next(row for row in rows if row[2] == words[0].label)
    assert found[3] == pytest.approx(words[0].confidence, abs=0.05)
    assert found[1] - found[0] == pytest.approx(words[0].end_s - words[0].start_s, abs=0.2)


@pytest.fixture(scope="module")
def file(hearing, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(make(hearing, int8=False), encoding="utf-8")
    assert path.stat().st_size < 5e6
    return path


@pytest.fixture
def device(chromium, file):
    watched = browser.Watched(chromium, file.as_uri())
    watched.context.set_offline(True)
    watched.page.goto(watched.home)
    watched.page.wait_for_selector("#microphone:enabled, #error:not(:empty)")
    yield watched
    watched.close()


def test_page_on_the_device_computes_what_the_interpreter_does(device, hearing):
    pieces = melody()[: 50 * PIECE].reshape(-1, PIECE)
    script = """async (pieces) => {
        const stream = new Stream(model), answers = [];
        for (const piece of pieces) answers.push(Array.from(await stream.hear(Float32Array.from(piece))));
        return answers;
    }"""
    answers = device.page.evaluate(script, pieces.tolist())
    interpreter = lite.Interpreter((hearing / "lite" / "stream_float.tflite").read_bytes())
    state, expected = {name: np.zeros(*facts) for name, facts in interpreter.inputs.items()}, []
    for piece in pieces:
        state = interpreter(waveform=piece[None], **{name: state[name] for name in ("samples", "state")})
        expected.append(state["probabilities"][0])
    assert np.ptp(expected, axis=0).max() > 0.5
    np.testing.assert_allclose(answers, expected, atol=2e-5)


def test_page_on_the_device_hears_a_recording_as_listen_does(device, recording, words, tmp_path):
    page = device.page
    page.set_input_files("#file", recording)
    page.wait_for_selector("#player:visible")
    page.wait_for_selector("#stop", state="hidden")
    assert as_numbers(shown_words(page, "#heard tbody tr")) == as_shown(words)
    assert page.locator("#bars span").all_inner_texts()[::2] == CLASSES
    device.look("device")
    (tmp_path / "no.wav").write_bytes(b"no recording")
    page.set_input_files("#file", tmp_path / "no.wav")
    page.wait_for_selector("#error:not(:empty)")
    assert page.text_content("#error") == "no.wav is no recording that this browser can read."
    page.click("text=Licences")
    assert "Apache License" in page.text_content("details pre")


def test_page_on_the_device_hears_the_microphone(device, words):
    page = device.page
    page.click("#microphone")
    page.wait_for_selector("#heard td:text-is('gu')", timeout=20_000)
    page.click("#stop")
    assert page.text_content("#error") == ""
    assert_first(as_numbers(shown_words(page, "#heard tbody tr")), words)


@pytest.mark.parametrize("rate_hz", [48_000, 44_100, 8_000])
def test_page_resamples_a_microphone_that_the_browser_does_not(device, rate_hz):
    script = """(rate) => {
        const resampler = new Resampler(rate), out = [];
        const sound = (start) => (_, i) => Math.sin(2 * Math.PI * 1000 * (start + i) / rate);
        for (let start = 0; start < rate; start += 100) {
            out.push(...resampler.next(Float32Array.from({length: 100}, sound(start))));
        }
        return out;
    }"""
    found = np.array(device.page.evaluate(script, rate_hz))
    assert len(found) == pytest.approx(16_000, abs=40)
    expected = np.sin(2 * np.pi * 1000 * np.arange(len(found)) / 16_000)
    np.testing.assert_allclose(found[200:], expected[200:], atol=2e-3)
