"""The findings of all tests, at the end of a run. Imports nothing heavy: every run comes here."""

from __future__ import annotations

import pytest

from .keys import REPORTED


def summarize(terminal: pytest.TerminalReporter) -> None:
    """Write down the findings, under the names of their tests."""
    reports = (report for several in terminal.stats.values() for report in several)
    found = {report.nodeid: lines for report in reports if (lines := getattr(report, REPORTED, None))}
    if found:
        terminal.section("fine-tuning findings")
    for nodeid, lines in found.items():
        terminal.line(nodeid)
        for line in lines:
            terminal.line("  " + line.replace("\n", "\n  "))
