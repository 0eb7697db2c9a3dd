"""What every test module shares."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The same examples everywhere, and no limit of time: a machine may be busy.
hypothesis.settings.register_profile("seqpipe", deadline=None, derandomize=True)
hypothesis.settings.load_profile("seqpipe")

LONGEST = (  # are begun first, so that in the end no worker waits for the other
    "tasks/test_tasks.py",  # makes what others start from: meanwhile come such as need nothing of it
    "training/test_loop.py",
    "layers/test_recurrent.py",
    "runs/test_seeds.py",
    "training/test_resuming.py",
    "tasks/translation/test_task.py",
    "test_docs.py",
    "tasks/forecasting/test_task.py",
    "tasks/speech_commands/test_task.py",
    "tasks/text_classification/test_task.py",
    "tasks/text_classification/test_label_set_task.py",
    "serving/test_page_browser.py",
    "training/test_pretraining.py",
    "runs/test_tune.py",
    "tasks/writing/test_writing.py",
    "test_cli.py",
)


def pytest_collection_modifyitems(items):
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_terminal_summary(terminalreporter):
    """What no browser has looked at is said where everybody sees it."""
    import browser

    skipped = terminalreporter.stats.get("skipped", [])
    reasons = {report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)}
    said = [reason.removeprefix("Skipped: ") for reason in sorted(reasons) if browser.UNTESTED in reason]
    looked = any("browser" in report.nodeid for report in terminalreporter.stats.get("passed", []))
    if looked and not browser.AXE.is_file():
        said.append(f"{browser.UNTESTED} by axe: there is no {browser.AXE}. tools/browser.sh fetches it")
    for line in said:
        terminalreporter.write_line(line, red=True, bold=True)
