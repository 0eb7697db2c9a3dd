"""A real browser for tests of pages: Debian's Chromium, with a recording in place of a microphone."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = Path(os.environ.get("SEQPIPE_AXE", ROOT / ".venv" / "axe-core" / "axe.min.js"))
SHOTS = os.environ.get("SEQPIPE_SHOTS")  # a folder for pictures of every view, to look at
UNTESTED = "Not tested in a browser"  # what the end of a test run says aloud
NARROW = {"width": 320, "height": 640}


def launched(recording: Path) -> Iterator[Any]:
    """A browser whose microphone plays a recording over and over."""
    if CHROMIUM is None:
        pytest.skip(f"{UNTESTED}: there is no Chromium. apt-get install chromium, or tools/browser.sh")
    api = pytest.importorskip("playwright.sync_api", reason=f"{UNTESTED}: playwright is not installed")
    fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", *fake, f"--use-file-for-fake-audio-capture={recording}"],
        )
        yield browser
        browser.close()


class Watched:
    """A page, and what it asked for beyond `home` (which is not let through) or complained of.

    page: playwright's.
    """

    def __init__(self, browser: Any, home: str):
        self.context = browser.new_context(viewport={"width": 900, "height": 800})
        if AXE.is_file():
            self.context.add_init_script(path=AXE)
        self.page, self.wrong, self.home = self.context.new_page(), [], home
        self.page.route("**/*", self._let)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._console)

    def _let(self, route: Any) -> None:
        if route.request.url.startswith(self.home):
            route.continue_()
        else:
            self.wrong.append(f"asked for {route.request.url}")
            route.abort()

    def _console(self, message: Any) -> None:
        if message.type == "error" and "status of 4" not in message.text:  # an error that the page shows
            self.wrong.append(message.text)

    def look(self, name: str) -> None:
        """By axe and by what is wider than a phone, in light and dark; pictures where they are asked for."""
        for scheme, size in (("light", {"width": 900, "height": 800}), ("dark", NARROW)):
            self.page.set_viewport_size(size)
            self.page.emulate_media(color_scheme=scheme)
            if SHOTS:
                self.page.screenshot(path=f"{SHOTS}/{name}-{scheme}.png", full_page=True)
            found = self.page.evaluate("async () => self.axe ? (await axe.run()).violations : []")
            wrong = [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
            assert not wrong, wrong
        assert self.page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], name

    def close(self) -> None:
        self.context.close()
        assert not self.wrong, self.wrong


@contextlib.contextmanager
def listening(application: Any) -> Iterator[str]:
    """The address of a page that is served."""
    import uvicorn

    config = uvicorn.Config(application, port=0, log_level="error", lifespan="off", ws="websockets-sansio")
    web = uvicorn.Server(config)
    running = threading.Thread(target=web.run)
    running.start()
    while not web.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}/"
    web.should_exit = True
    running.join()


def chosen(watched: Any, name: str) -> Any:
    """The view of a model, by the keyboard alone."""
    watched.host(name)
    watched.page.goto(watched.home)
    watched.page.get_by_role("button", name=name).focus()
    watched.page.keyboard.press("Enter")
    assert watched.page.evaluate("document.activeElement.id") == "title"
    return watched.page


def answered(page: Any, *, by_key_in: str | None = None) -> None:
    """Ask by the button, or by a key in an input."""
    if by_key_in is None:
        page.click("#send")
    else:
        page.press(by_key_in, "Enter")
    page.wait_for_selector("#took:not(:empty), #error:not(:empty)")
    assert page.text_content("#error") == ""
    assert page.text_content("#took")


def refused(page: Any) -> tuple[str, list[str]]:
    """What is said of a mistake, and the inputs that it is said of."""
    page.click("#send")
    page.wait_for_selector("#error:not(:empty)")
    invalid = page.locator("[aria-invalid=true]").evaluate_all("inputs => inputs.map(input => input.id)")
    return page.text_content("#error"), invalid


def by_curl(page: Any) -> Any:
    """What the server answers to the `curl` that is shown."""
    import httpx2 as httpx

    body, address = re.fullmatch(r"curl -d '(.*)' (\S+)", page.text_content("#curl"), re.DOTALL).groups()
    return httpx.post(address, content=body.replace("'\\''", "'")).json()["outputs"]
