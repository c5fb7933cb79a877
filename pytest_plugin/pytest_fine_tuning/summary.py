"""The sections of pytest's summary.

Every pytest run on the machine imports this module at its end, so it imports pytest and typing only.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .markers import (
    CASSETTE_ATTRIBUTE,
    DIALECTS_FLAG,
    EXPLORATION_ATTRIBUTE,
    FINDINGS_ATTRIBUTE,
    OUTER_FINDINGS_ATTRIBUTE,
    REAL_WAITS_ATTRIBUTE,
    REHEARSAL_ATTRIBUTE,
    CassetteReport,
)

SHOWN_FILES = 20

BY_TEST = {
    "fine-tuning findings": FINDINGS_ATTRIBUTE,
    "fine-tuning explore": EXPLORATION_ATTRIBUTE,
    "waits that took real time in tests with virtual time": REAL_WAITS_ATTRIBUTE,
}
"""Sections that list lines by test, and where a report has them."""


def write_summary(terminal: pytest.TerminalReporter) -> None:
    """Write findings and real waits by test, what was recorded, and the cassettes that no test has."""
    reports = [report for several in terminal.stats.values() for report in several]
    for title, attribute in BY_TEST.items():
        noted = {report.nodeid: lines for report in reports if (lines := getattr(report, attribute, None))}
        for report in reports if attribute == FINDINGS_ATTRIBUTE else []:
            noted |= getattr(report, OUTER_FINDINGS_ATTRIBUTE, {})
        if noted:
            terminal.section(title)
        for nodeid, lines in noted.items():
            terminal.line(nodeid)
            for line in lines:
                terminal.line("  " + line.replace("\n", "\n  "))
    dialects = terminal.config.getoption(DIALECTS_FLAG)
    runs = [run for report in reports if (run := getattr(report, REHEARSAL_ATTRIBUTE, None))]
    if dialects and runs:
        from .rehearsal import table_lines

        terminal.section("fine-tuning dialects")
        for line in table_lines(runs, dialects):
            terminal.line(line)
    lines = list(_cassette_lines([note for report in reports if (note := getattr(report, CASSETTE_ATTRIBUTE, None))]))
    if lines:
        terminal.section("fine-tuning cassettes")
    for line in lines:
        terminal.line(line)


def _cassette_lines(notes: list[CassetteReport]) -> Iterator[str]:
    recorded = sorted(line for note in notes for line in note["recorded"])
    orphans = sorted({line for note in notes for line in note["orphans"]})
    if recorded:
        yield f"{len(recorded)} recorded:"
        yield from _shown(recorded)
    if orphans:
        yield f"{len(orphans)} {'orphan, which no test has' if len(orphans) == 1 else 'orphans, which no test has'}:"
        yield from _shown(orphans)


def _shown(lines: list[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:SHOWN_FILES])
    if len(lines) > SHOWN_FILES:
        yield f"  and {len(lines) - SHOWN_FILES} more"
