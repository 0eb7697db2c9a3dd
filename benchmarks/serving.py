"""Figures of `seqpipe serve`, beside a plain handler around the same model, in one run: python benchmarks/serving.py

Wants the extra [serve]; a figure that wants more (Chromium for the page) is left out and says so. Times on a machine
that does other work are pessimistic; the load is printed, and ratios and CPU within the run are sounder. --quick asks a
tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
TEXT = "The plot makes little sense, yet I could not look away."
LONG = (TEXT + " ") * 180  # 10,000 characters
TICKS = os.sysconf("SC_CLK_TCK")
COMMAND = [sys.executable, "-m", "seqpipe"]
ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}


def say(name: str, value: str) -> None:
    print(f"{name:<58} {value}", flush=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(*command: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server, from when it answers until it is told to stop."""
    started = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if started.poll() is not None:
                raise SystemExit(f"{' '.join(command)} ended with {started.returncode}")
            time.sleep(0.02)
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGTERM)
            started.wait()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Client:
    """Requests one after another on one connection; times of answers in ms, and how many were lost."""

    def __init__(self, port: int, name: str, text: str):
        self.port, self.times, self.lost = port, [], 0
        body = json.dumps({"instances": [text]}).encode()
        head = f"POST /v1/models/{name}:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.request = head.encode() + body

    async def ask(self, count: int | None = None, until: asyncio.Event | None = None) -> None:
        while count is None or len(self.times) < count:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                return
            try:
                await self._connection(reader, writer, count, until)
            except (OSError, asyncio.IncompleteReadError):
                self.lost += 1
                return
            finally:
                writer.close()
            if until is not None and until.is_set():
                return

    async def _connection(self, reader, writer, count, until) -> None:
        while (count is None or len(self.times) < count) and not (until is not None and until.is_set()):
            begun = time.perf_counter()
            writer.write(self.request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            self.times.append(1000 * (time.perf_counter() - begun))
            self.lost += b" 200 " not in head.split(b"\r\n")[0]
            if b"connection: close" in head:
                return


def load(port: int, name: str, *, clients: int, requests: int, text: str = TEXT) -> tuple[list[float], float]:
    """Times of answers in ms, and seconds it all took."""
    crowd = [Client(port, name, text) for _ in range(clients)]

    async def all_of_them() -> None:
        await asyncio.gather(*(client.ask(requests // clients) for client in crowd))

    begun = time.perf_counter()
    asyncio.run(all_of_them())
    took_s = time.perf_counter() - begun
    assert not sum(client.lost for client in crowd)
    return [each for client in crowd for each in client.times], took_s


def percentile(times: list[float], share: float) -> float:
    return float(np.percentile(times, share))


def plain_handler(model: Path, port: int) -> None:
    """What one writes in an afternoon: Starlette, a thread pool, the loaded signature; no batches."""
    import tensorflow as tf
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    signature = tf.saved_model.load(str(model)).signatures["serving_default"]

    def answer(texts):
        found = signature(text=tf.constant(texts))
        plain = {name: value.numpy().tolist() for name, value in found.items()}
        return {"predictions": {name: str(value) for name, value in plain.items()}}

    async def predict(request):
        return JSONResponse(await run_in_threadpool(answer, (await request.json())["instances"]))

    app = Starlette(routes=[Route("/v1/models/{name}", predict, methods=["POST"])])
    answer([TEXT])
    uvicorn.run(app, port=port, log_level="error", access_log=False)


def one_call(model: Path) -> Callable[[], object]:
    """The model alone, as the server calls it, on the same text."""
    from seqpipe.serving.server.servable import Servable

    servable = Servable("model", model)
    inputs = {"text": np.array([TEXT.encode()], object)}
    return lambda: servable.run("serving_default", inputs)


def one_client(pid: int, port: int, model: Path, calls: int, rounds: int = 5) -> None:
    """A client alone; the CPU of its calls beside that of the model's, turn by turn, medians."""
    name, call = model.parent.name, one_call(model)
    for _ in range(20):
        call()
    load(port, name, clients=1, requests=50)
    times, served, alone = [], [], []
    for _ in range(rounds):
        before = cpu_s(pid)
        times += load(port, name, clients=1, requests=calls // rounds)[0]
        served.append(1000 * (cpu_s(pid) - before) / (calls // rounds))
        before = time.process_time()
        for _ in range(calls // rounds):
            call()
        alone.append(1000 * (time.process_time() - before) / (calls // rounds))
    both = statistics.median(served), statistics.median(alone)
    say("CPU that the server adds to one call", f"{both[0] - both[1]:.2f} ms ({both[0]:.2f} - {both[1]:.2f})")
    say("one short text, 1 client", f"p50 {percentile(times, 50):.1f} ms, p99 {percentile(times, 99):.1f} ms")


def text_figures(model: Path, scale: int) -> None:
    name, port, calls = model.parent.name, free_port(), 200 * scale
    serve = (*COMMAND, "serve", str(model.parent), "--port", str(port), "--grpc-port", "0")
    begun = time.perf_counter()
    with process(*serve, port=port) as server:
        say("serve: until it answers, beyond TensorFlow", beyond((time.perf_counter() - begun, cpu_s(server.pid))))
        one_client(server.pid, port, model, calls)
        load(port, name, clients=64, requests=640)
        before = cpu_s(server.pid)
        times, took_s = load(port, name, clients=64, requests=10 * calls)
        each = 1000 * (cpu_s(server.pid) - before) / len(times)
        rate = len(times) / took_s
        say("64 clients", f"{rate:,.0f} a second, {each:.2f} ms CPU each, p99 {percentile(times, 99):.0f} ms")
        long_beside_short(port, name, calls)
        memory(server.pid, port, name, scale)
    plain_port = free_port()
    with process(sys.executable, __file__, "--plain", str(model), str(plain_port), port=plain_port) as server:
        load(plain_port, name, clients=64, requests=128)
        before = cpu_s(server.pid)
        times, took_s = load(plain_port, name, clients=64, requests=4 * calls)
        plain = len(times) / took_s
        each_plain = 1000 * (cpu_s(server.pid) - before) / len(times)
    say("64 clients, a plain handler around the same model", f"{plain:,.0f} a second, {each_plain:.2f} ms CPU each")
    say("serve against the plain handler", f"{rate / plain:.1f} times the requests, {each_plain / each:.1f} less CPU")


def long_beside_short(port: int, name: str, calls: int) -> None:
    usual, _ = load(port, name, clients=8, requests=2 * calls)

    async def both() -> list[float]:
        short, over = [Client(port, name, TEXT) for _ in range(8)], asyncio.Event()
        long = asyncio.create_task(Client(port, name, LONG).ask(until=over))
        await asyncio.gather(*(client.ask(calls // 4) for client in short))
        over.set()
        await long
        return [each for client in short for each in client.times]

    beside = asyncio.run(both())
    ratio = percentile(beside, 99) / percentile(usual, 99)
    say(f"p99 of 8 clients beside one of {len(LONG):,} characters", f"{ratio:.1f} times the usual")


def memory(pid: int, port: int, name: str, scale: int) -> None:
    first, last = 2_000 * scale, 10_000 * scale
    load(port, name, clients=64, requests=first)
    early = resident_mb(pid)
    load(port, name, clients=64, requests=last - first)
    grown = 100 * (resident_mb(pid) / early - 1)
    say(f"memory from request {first:,} to {last:,}", f"{grown:+.1f} % of {early:.0f} MB")


def reload_figures(model: Path, reloads: int = 10) -> None:
    """Versions published, and SIGTERM, while eight clients ask."""
    with tempfile.TemporaryDirectory() as place:
        directory, port = Path(place) / model.parent.name, free_port()
        shutil.copytree(model, directory / "1")
        serve = (*COMMAND, "serve", str(directory), "--port", str(port), "--grpc-port", "0")
        with process(*serve, port=port) as server:
            sizes = []

            async def under_load() -> list[Client]:
                crowd = [Client(port, directory.name, TEXT) for _ in range(8)]
                asking = [asyncio.create_task(client.ask()) for client in crowd]
                for number in range(2, reloads + 2):
                    shutil.copytree(model, directory / ".part")
                    (directory / ".part").rename(directory / str(number))
                    while f'"version": "{number - 1}", "state": "END"' not in await status(port, directory.name):
                        await asyncio.sleep(0.2)
                    sizes.append(resident_mb(server.pid))
                server.send_signal(signal.SIGTERM)
                await asyncio.gather(*asking)
                return crowd

            crowd = asyncio.run(under_load())
            code = server.wait()
    answered, lost = sum(len(each.times) for each in crowd), sum(each.lost for each in crowd)
    say(f"{reloads} reloads and SIGTERM under load", f"{lost} of {answered:,} requests lost, exit code {code}")
    say(f"memory over reloads 2 to {reloads}", f"{sizes[-1] - sizes[0]:+.0f} MB")


async def status(port: int, name: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /v1/models/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    text = (await reader.read()).decode()
    writer.close()
    return text


def microphone_figures(model: Path, clients: int = 16, pieces: int = 150) -> None:
    from websockets.asyncio.client import connect

    name, port = model.parent.name, free_port()
    sound = (0.1 * np.random.default_rng(0).standard_normal(640)).astype("<f4").tobytes()
    times: list[float] = []

    async def microphone(first_s: float) -> None:
        async with connect(f"ws://127.0.0.1:{port}/v1/models/{name}:stream") as stream:
            begun = time.perf_counter() + first_s
            for number in range(pieces):
                due = begun + 0.04 * number
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                await stream.send(sound)
                while "probabilities" not in json.loads(await stream.recv()):
                    pass
                times.append(1000 * (time.perf_counter() - due))  # what is late makes the next one late

    async def all_of_them() -> None:
        await asyncio.gather(*(microphone(0.04 * number / clients) for number in range(clients)))

    serve = (*COMMAND, "serve", str(model.parent), "--port", str(port), "--grpc-port", "0")
    with process(*serve, port=port):
        asyncio.run(all_of_them())
    late = times[clients * 10 :]
    say(
        f"{clients} microphones, piece to answer",
        f"p50 {percentile(late, 50):.0f} ms, p99 {percentile(late, 99):.0f} ms",
    )


def page_figures(model: Path) -> None:
    from seqpipe.errors import SeqpipeError
    from seqpipe.serving.device_page.make import make

    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright

        page_text = make(model, int8=False)
    except (ImportError, SeqpipeError) as error:
        say("page on the device", f"left out: {error}")
        return
    if chromium is None:
        say("page on the device", "left out: there is no Chromium")
        return
    script = """async () => {
        const stream = new Stream(model), times = [], samples = new Float32Array(piece);
        for (let i = 0; i < 500; i++) {
            const begun = performance.now();
            await stream.hear(samples.map(() => Math.random() / 5 - 0.1));
            times.push(performance.now() - begun);
        }
        return times;
    }"""
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        file = Path(place) / "page.html"
        file.write_text(page_text, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(file.as_uri())
        page.wait_for_selector("#microphone:enabled", timeout=60_000)
        ready, times = page.text_content("#status"), page.evaluate(script)
        browser.close()
    size_mb = len(page_text.encode()) / 1e6
    say("page on the device", f"step p50 {statistics.median(times):.2f} ms; {str(ready).lower()}; {size_mb:.1f} MB")


def run(*command: str) -> tuple[float, float]:
    """Seconds that a process took, and those of CPU."""
    used, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
    took_s, now = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took_s, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


IMPORTS: list[tuple[float, float]] = []


def beyond(taken: tuple[float, float]) -> str:
    """What a process took beyond importing TensorFlow."""
    return f"{taken[0] - median(IMPORTS)[0]:.1f} s, CPU {taken[1] - median(IMPORTS)[1]:.1f} s"


def median(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(each[0] for each in pairs), statistics.median(each[1] for each in pairs)


def start_figures(model: Path, rounds: int) -> None:
    predicts = []
    for _ in range(rounds):  # turn by turn
        IMPORTS.append(run(sys.executable, "-c", "import tensorflow"))
        predicts.append(run(*COMMAND, "predict", str(model), TEXT))
    say("importing TensorFlow", "{:.1f} s, CPU {:.1f} s".format(*median(IMPORTS)))
    say("predict MODEL TEXT, beyond importing TensorFlow", beyond(median(predicts)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument(
        "--text", type=Path, default=ROOT / "saved_models/sentiment_en", help="a model that takes texts"
    )
    parser.add_argument("--sound", type=Path, default=ROOT / "saved_models/commands_streaming", help="one that streams")
    parser.add_argument("--plain", nargs=2, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.plain:
        plain_handler(Path(wanted.plain[0]), int(wanted.plain[1]))
        return
    import uvloop

    from seqpipe.serving.find import find_model

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # a client that costs little beside the server
    text, sound = find_model(wanted.text), find_model(wanted.sound)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the beginning; {text}, {sound}")
    start_figures(text, 1 if wanted.quick else 5)
    text_figures(text, 1 if wanted.quick else 10)
    reload_figures(text)
    microphone_figures(sound)
    page_figures(sound)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
