"""The pages in a real browser: every view of the served one, and the one that hears on the device, from file://."""

from __future__ import annotations

import dataclasses
import shutil
import time

import browser
import composer_model
import numpy as np
import pytest
import soundfile
from browser import answered, by_curl, chosen, refused
from finished import finished
from poems import FORM
from streaming_model import CLASSES, melody, on_a_device

import seqpipe
from seqpipe.export import lite
from seqpipe.serving.device_page.make import make
from seqpipe.serving.listening import Detector, listen, read_blocks
from seqpipe.serving.server.batching import Batcher
from seqpipe.serving.server.metrics import Metrics
from seqpipe.serving.server.rest import Server, Settings, application
from seqpipe.serving.server.stream import Streams
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
    return on_a_device(tmp_path_factory)


@pytest.fixture(scope="module")
def server():
    return made()


def made(**settings):
    metrics = Metrics()
    batcher = Batcher(most_rows=64, metrics=metrics)
    return Server(Models({}, metrics), batcher, metrics, Settings(max_body_mb=0.1, **settings))


@pytest.fixture(scope="module")
def address(server):
    with browser.listening(application(server)) as found:
        yield found


@pytest.fixture(scope="module")
def host(server, hearing, tmp_path_factory):
    """Has the server serve a model by its name, from when it is first asked for."""

    def add(name):
        if name not in server.models.hosted:
            if name == "poems":
                path = tmp_path_factory.mktemp("models") / "poems"
                composer_model.save(path / "1", "write", "start", "sample")
            else:
                path = (
                    hearing.parent
                    if name == "hearing"
                    else finished(TASKS[name], tmp_path_factory) / "saved_models/tiny"
                )
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


def shown_words(page, rows):
    return [row.split("\t") for row in page.locator(rows).all_inner_texts()]


def as_shown(words):
    """Rows of the table, and how far apart the same may be."""
    near = [
        (pytest.approx(word.start_s, abs=0.011), pytest.approx(word.end_s, abs=0.011), word.label) for word in words
    ]
    return [[*row, pytest.approx(word.confidence, abs=2e-3)] for row, word in zip(near, words, strict=True)]


PATIENCE_S = 120  # of tests that wait for a browser on a busy machine


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


def test_page_of_a_version_that_was_swapped_asks_the_next(served, server, tmp_path_factory):
    path = finished("text_classification", tmp_path_factory) / "saved_models/tiny"
    server.models.hosted["swapped"] = Hosted("swapped", path)
    server.models.look()
    page = chosen(served, "swapped")
    shutil.copytree(path / "1", path / "2")
    server.models.look()
    page.fill("#text", "a fine film")
    assert refused(page)[0] == "Version 2 is served now. Ask again."
    answered(page)
    assert page.text_content("#facts").startswith("version 2")
    assert "version 2" in page.text_content("#took")
    del server.models.hosted["swapped"]


def test_page_translation_shows_where_it_looked_and_the_beam(served):
    page = chosen(served, "phrases")
    answered(page)
    page.click("text=All of it as a table")
    page.locator("button.piece").first.focus()
    spans = page.locator("#answer .pieces").nth(1).locator("span")
    looked = spans.evaluate_all("spans => spans.map(span => Number(span.style.getPropertyValue('--w')))")
    assert sum(looked) == pytest.approx(1, abs=0.05)
    served.look("phrases")
    page.fill("#width", "3")
    answered(page)
    assert page.locator("#answer th").all_inner_texts() == ["answer", "score"]
    assert page.locator("#answer tbody tr").count() >= 1


def test_page_forecast_takes_rows_and_names_a_bad_one(served):
    page = chosen(served, "shops")
    answered(page)
    assert page.locator("#answer svg polygon").count() == 2
    assert page.locator("#answer tbody tr").count() == 12
    served.look("shops")
    rows = page.input_value("#text")
    page.fill("#text", rows.replace("55.3", "many"))
    assert refused(page) == ('Row 2: "many" is not a number.', ["text"])
    assert "many" in page.input_value("#text")
    served.look("shops-error")
    days = [f"2026-05-{day:02d}T00:00" for day in range(1, 31)]
    table = ["time,value,offer,visitors", *(f"{day},{number},0,{number}" for number, day in enumerate(days))]
    page.fill("#text", "\n".join([*table[:19], *(f"{day},,1," for day in days[18:])]))
    answered(page)
    assert page.locator("#answer tbody tr").first.inner_text().split("\t")[1].startswith("2026-05-18")


def test_page_writes_step_by_step_what_write_answers(served):
    page = chosen(served, "verses")
    page.fill("#text", "The ")
    page.fill("#length", "12")
    answered(page)
    served.look("verses")
    assert page.text_content("#answer .pieces") == "The " + by_curl(page)["text"][0]
    assert page.input_value("#seed") == "2"


def test_page_composes_texts_of_a_form(served):
    page = chosen(served, "poems")
    assert page.get_by_label("Form").locator("option").all_inner_texts()[:2] == ["4 lines of 3", "4 lines of 4"]
    page.get_by_label("Form").select_option("4 lines of 3")
    page.get_by_label("Acrostic").fill("stuv")
    page.get_by_label("seed").fill("7")
    page.get_by_label("how many").fill("2")
    page.get_by_label("no character twice").check()
    answered(page, by_key_in="#acrostic")
    texts = page.locator("#answer li").all_inner_texts()
    assert [text.split("\n")[-1] for text in texts] == ["seed 7", "seed 8"]
    texts = ["".join(text.split("\n")[:-1]) for text in texts]
    assert texts == by_curl(page)
    lines = [FORM.split(text) for text in texts]
    assert [[(line[0], len(line)) for line in each] for each in lines] == [[(first, 3) for first in "stuv"]] * 2
    assert texts[0] != texts[1]
    assert page.get_by_label("seed").input_value() == "9"
    served.look("poems")


def test_page_says_what_of_a_form_cannot_be_had(served):
    page = chosen(served, "poems")
    page.fill("#acrostic", "stu")
    answer = "acrostic must have no character, or 4: one for each line, not 3"
    assert refused(page) == (answer, ["acrostic"])
    assert page.input_value("#acrostic") == "stu"
    served.look("poems-error")
    page.fill("#acrostic", "")
    page.fill("#temperature", "11")
    assert refused(page) == ("temperature must be 0 (the likeliest) to 10, not 11", ["temperature"])
    page.fill("#temperature", "1")
    answered(page)
    assert not page.locator("[aria-invalid]").count()


def test_page_of_a_model_with_forms_writes_on_as_well(served):
    page = chosen(served, "poems")
    answered(page)
    page.get_by_label("Form").select_option("none: on from a beginning")
    assert not page.locator("#answer *, #took:not(:empty)").count()
    page.get_by_label("How the text begins").fill("stuv")
    answered(page)
    assert page.text_content("#answer .pieces").startswith("stuv")
    served.look("poems-free")
    page.get_by_label("Form").select_option("4 lines of 3")
    answered(page)
    assert page.locator("#answer li div").first.inner_text()[3] == ","


def test_page_shows_the_servers_refusal_and_keeps_the_text(served):
    page = chosen(served, "sentences")
    page.fill("#text", "x" * 200_000)
    assert refused(page) == ("The body is larger than 0.1 MB.", ["text"])
    assert len(page.input_value("#text")) == 200_000


@pytest.fixture
def guarded(chromium, server, host):
    """A page of a server that wants the token t/ö?."""
    for name in ("hearing", "poems"):
        host(name)
    wanting = made(token="t/ö?")
    wanting.models.hosted = {name: server.models.hosted[name] for name in ("hearing", "poems")}
    with browser.listening(application(wanting)) as address:
        watched = browser.Watched(chromium, address)
        watched.server = wanting
        yield watched
        watched.close()


def named(page, token):
    page.wait_for_selector("#token:focus")
    page.fill("#token", token)
    page.press("#token", "Enter")


def test_page_asks_for_the_token_and_names_it(guarded, recording, words):
    page = guarded.page
    page.goto(guarded.home)
    page.wait_for_selector("#who:visible")
    guarded.look("token")
    named(page, "other")
    page.wait_for_selector("#refused:not(:empty)")
    assert page.text_content("#refused") == "The server does not take this token."
    guarded.look("token-error")
    named(page, "t/ö?")
    page.wait_for_selector("#title:focus")
    assert not page.is_visible("#who")
    page.set_input_files("#file", recording)
    answered(page)
    assert as_numbers(shown_words(page, ".words tbody tr")) == as_shown(words)
    assert page.url == guarded.home
    page.get_by_role("button", name="poems").click()
    answered(page)
    assert page.text_content("#curl").startswith('curl -H "Authorization: Bearer $TOKEN" -d ')
    assert "t/ö?" not in page.url
    assert not page.evaluate("sessionStorage.length + localStorage.length + document.cookie.length")


def test_page_whose_token_is_no_longer_taken_asks_for_another_and_keeps_the_input(guarded, recording):
    page = guarded.page
    page.goto(guarded.home)
    named(page, "t/ö?")
    page.wait_for_selector("#title:focus")
    page.set_input_files("#file", recording)
    guarded.server.settings = dataclasses.replace(guarded.server.settings, token="new")
    assert refused(page)[0].startswith("Name the token")
    named(page, "new")
    page.wait_for_selector("#who", state="hidden")
    answered(page)
    assert page.locator(".words tbody tr").count()


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
    assert refused(page) == ("no.wav is no recording that this browser can read.", ["file"])


def test_page_hears_the_microphone(served, words):
    page = chosen(served, "hearing")
    page.click("#microphone")
    wait_for_first(page, ".words tbody tr", words)
    page.click("#microphone")
    page.wait_for_selector("#took:not(:empty)")
    assert page.text_content("#error") == ""


@pytest.mark.parametrize(
    ("code", "said"),
    [(1011, "The connection was lost."), (1001, "The server stopped before it had heard the whole recording.")],
)
def test_page_says_that_a_recording_was_not_heard_to_its_end(served, recording, monkeypatch, code, said):
    async def lost(streams, socket, servable):
        await socket.close(code)

    monkeypatch.setattr(Streams, "_listen", lost)
    page = chosen(served, "hearing")
    page.set_input_files("#file", recording)
    assert refused(page) == (said, ["file"])


SOON = "() => new Promise((done) => setTimeout(done, 50))"  # when what was promised has been used


def test_page_forgets_a_recording_that_is_decoded_after_something_else_was_asked(served, recording):
    served.host("sentences")
    page = chosen(served, "hearing")
    page.set_input_files("#file", recording)
    page.evaluate("() => { samplesOf = () => new Promise((ready) => { self.decoded = ready; }); void ask(heard.ask); }")
    page.get_by_role("button", name="sentences").click()
    page.fill("#text", "A fine film.")
    answered(page)
    answer = page.inner_html("#answer")
    page.evaluate("() => decoded(new Float32Array(16000))")
    page.evaluate(SOON)
    assert page.inner_html("#answer") == answer


def test_page_asks_by_the_table_that_was_dropped_last(served):
    page = chosen(served, "shops")
    rows = page.input_value("#text")
    page.evaluate("() => forecast.drop([{text: () => new Promise((ready) => { self.read_late = ready; })}])")
    page.evaluate("(rows) => forecast.drop([{text: async () => rows}])", rows.replace("55.3", "77.7"))
    page.wait_for_selector("#took:not(:empty)")
    page.evaluate("(rows) => read_late(rows)", rows)
    page.evaluate(SOON)
    assert page.input_value("#text") == rows.replace("55.3", "77.7")


def test_page_takes_no_emptied_number_for_0_and_any_address(served):
    page = chosen(served, "phrases")
    page.fill("#width", "")
    assert not page.evaluate("() => $('ask').checkValidity()")
    page.evaluate("() => { location.hash = '#%E0%A4%A'; }")
    until(page, "$('title').textContent !== 'phrases'")
    assert page.text_content("#error") == ""


SLOW_MICROPHONE = """() => {
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    window.tracks = [], window.wished = 0;
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        wished++;
        await new Promise((ready) => setTimeout(ready, 500));
        const media = await open(wanted);
        tracks.push(...media.getTracks());
        return media;
    };
}"""


def until(page, condition):
    """Wait for a condition; the page's policy forbids what `wait_for_function` does."""
    end = time.monotonic() + PATIENCE_S
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.05)


LIVE = "tracks.filter((track) => track.readyState === 'live').length"


def test_page_stopped_before_the_microphone_opens_and_asked_again_hears_one(served):
    page = chosen(served, "hearing")
    page.evaluate(SLOW_MICROPHONE)
    page.click("#microphone")
    until(page, "wished === 1")
    for _ in ("stop", "listen"):
        page.click("#microphone")
    until(page, "tracks.length === 2")
    until(page, f"{LIVE} === 1")
    page.wait_for_selector(".words td:text-is('gu')", timeout=1000 * PATIENCE_S)
    assert page.evaluate(LIVE) == 1
    page.click("#microphone")
    until(page, f"{LIVE} === 0")
    assert page.text_content("#microphone") == "Listen to the microphone"


def wait_for_first(page, rows, words):
    """Until the first word is there; a microphone begins when it likes, and its samples are not the file's."""
    first, end = words[0], time.monotonic() + PATIENCE_S
    length, confidence = pytest.approx(first.end_s - first.start_s, abs=0.2), pytest.approx(first.confidence, abs=0.05)

    def there(start_s, end_s, label, share):
        return label == first.label and end_s - start_s == length and share == confidence

    while not any(there(*row) for row in as_numbers(shown_words(page, rows))):
        assert time.monotonic() < end, shown_words(page, rows)
        time.sleep(0.05)


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
    wait_for_first(page, "#heard tbody tr", words)
    page.click("#stop")
    assert page.text_content("#error") == ""


LAST_OF_THREE = """async () => {
    const first = take(file);
    while (!stop) await wait();
    await Promise.all([first, take(other), take(new File(["no recording"], "no.wav")), take(file)]);
}"""


def test_page_on_the_device_reads_the_last_file_that_was_asked_for(device, recording, words, tmp_path):
    page, other = device.page, tmp_path / "other.wav"
    soundfile.write(other, melody()[:32_000], 16_000)
    for file in (other, recording):
        page.set_input_files("#file", file)
        page.evaluate("() => { self.other = self.file; self.file = $('file').files[0]; }")
    until(page, "!stop && listener && !listener.open")  # nothing is read any more
    page.evaluate(LAST_OF_THREE)
    assert as_numbers(shown_words(page, "#heard tbody tr")) == as_shown(words)
    assert page.text_content("#error") == ""
    assert page.is_hidden("#stop")


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
