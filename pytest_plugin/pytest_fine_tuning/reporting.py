"""Report after a test: what the fake saw if it failed; usage errors, findings and unfired faults if it passed."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.fake.report import describe_fault
from fine_tuning_fakeserver.findings import render_findings

from .network_guard import remove_guard
from .options import Options
from .stash import ENVIRONMENT, FINDINGS, FINDINGS_ATTRIBUTE, HANDLE, NOT_PASSED

SECTION = "fake fine-tuning"
ERRORS_AT_MOST = 10


def report_findings(item: pytest.Item, fake: FakeFineTuning, options: Options) -> None:
    """Fail a passed test that misused the fake or has findings to fail on; warn of faults that hit nothing."""
    findings = []
    if options.findings != "off":
        findings = [finding for finding in fake.findings if finding.code not in options.ignored]
        item.stash[FINDINGS] = render_findings(findings)
        if lost := fake.requests_log.forgotten:
            count = "1 request" if lost == 1 else f"{lost} requests"
            item.stash[FINDINGS].append(f"warning: the log dropped {count}, in which findings may be missed")
    if item.stash[NOT_PASSED]:
        return
    if errors := fake.take_usage_errors():
        lines = errors[:ERRORS_AT_MOST]
        if len(errors) > ERRORS_AT_MOST:
            lines.append(f"and {len(errors) - ERRORS_AT_MOST} more")
        _fail_test("the fake was used wrongly:", lines, "take_usage_errors() in the test if that is intended")
    if options.findings == "fail" and findings:
        codes = ", ".join(dict.fromkeys(finding.code for finding in findings))
        remedy = "ignore some: @pytest.mark.fake_fine_tuning(findings_ignore=[…])"
        # codes first: pytest -q cuts a long line
        _fail_test(f"{codes}: fine-tuning findings", render_findings(findings), remedy)
    if lines := [describe_fault(fault) for fault in fake.unfired_faults]:
        from . import UnfiredFaultWarning  # defined in the package that imports this module

        one, several = f"a fault hit no request: {lines[0]}", "\n  ".join(["faults hit no request:", *lines])
        warning = UnfiredFaultWarning(one if len(lines) == 1 else several)
        try:
            item.warn(warning)
        except UnfiredFaultWarning:  # warnings are errors
            pytest.fail(f"{type(warning).__name__}: {warning}", pytrace=False)


def _fail_test(head: str, lines: Iterable[str], remedy: str) -> None:
    indented = (f"  {line}".replace("\n", "\n  ") for line in lines)
    pytest.fail("\n".join([head, *indented, f"({remedy})"]), pytrace=False)


def add_report_section(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add the fake's state to the report of a failed phase; clean up and add findings after teardown."""
    if report.when == "teardown":
        remove_guard()
        item.stash[ENVIRONMENT].restore_again()
        setattr(report, FINDINGS_ATTRIBUTE, item.stash[FINDINGS])
    if report.failed and (report.when != "teardown" or not item.stash[NOT_PASSED]):  # once per test
        try:
            text = item.stash[HANDLE].describe()
        except Exception as error:  # a bug of ours must not hide the test's own failure
            text = f"fake-fine-tuning has a bug, please report it: {type(error).__name__}: {error}"
        report.sections.append((SECTION, text))


def write_summary(terminal: pytest.TerminalReporter) -> None:
    """Write the findings to the terminal summary, by test."""
    reports = (report for several in terminal.stats.values() for report in several)
    findings = {report.nodeid: lines for report in reports if (lines := getattr(report, FINDINGS_ATTRIBUTE, None))}
    if findings:
        terminal.section("fine-tuning findings")
    for nodeid, lines in findings.items():
        terminal.line(nodeid)
        for line in lines:
            terminal.line("  " + line.replace("\n", "\n  "))
