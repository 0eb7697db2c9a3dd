"""What every test module shares."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


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
