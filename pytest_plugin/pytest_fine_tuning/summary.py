"""The sections of pytest's summary.

Every pytest run on the machine imports this module at its end, so it imports pytest and typing only.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .markers import CASSETTE_ATTRIBUTE, FINDINGS_ATTRIBUTE, CassetteReport

SHOWN_FILES = 20


def write_summary(terminal: pytest.TerminalReporter) -> None:
    """Write the findings by test, what was recorded, and the cassettes that no test has."""
    reports = [report for several in terminal.stats.values() for report in several]
    findings = {report.nodeid: lines for report in reports if (lines := getattr(report, FINDINGS_ATTRIBUTE, None))}
    if findings:
        terminal.section("fine-tuning findings")
    for nodeid, lines in findings.items():
        terminal.line(nodeid)
        for line in lines:
            terminal.line("  " + line.replace("\n", "\n  "))
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
