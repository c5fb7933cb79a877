"""Report after a test: what the fake saw if it failed; usage errors, findings and unfired faults if it passed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from fine_tuning_fakeserver import ArmedFault, FakeFineTuning
from fine_tuning_fakeserver.fake.report import describe_fault
from fine_tuning_fakeserver.findings import render_findings

from .network_guard import remove_guard
from .options import Options
from .stash import ENVIRONMENT, FINDINGS, FINDINGS_ATTRIBUTE, HANDLE, NOT_PASSED

SECTION = "fake fine-tuning"
ERRORS_AT_MOST = 10


def report_findings(item: pytest.Item, fake: FakeFineTuning, options: Options) -> None:
    """Fail a passed test that misused the fake or has findings to fail on; warn of faults that hit nothing."""
    found = [each for each in fake.findings if each.code not in options.ignored] if options.findings != "off" else []
    if options.findings != "off":
        item.stash[FINDINGS] = render_findings(found)
        if lost := fake.requests_log.forgotten:
            count = "1 request" if lost == 1 else f"{lost} requests"
            item.stash[FINDINGS].append(f"warning: the log dropped {count}, in which findings may be missed")
    if item.stash[NOT_PASSED]:
        return
    if errors := fake.take_usage_errors():
        shown = [
            *errors[:ERRORS_AT_MOST],
            *([f"and {more} more"] if (more := len(errors) - ERRORS_AT_MOST) > 0 else []),
        ]
        _fail_test("the fake was used wrongly:", shown, "take_usage_errors() in the test if that is intended")
    if options.findings == "fail" and found:
        codes = ", ".join(dict.fromkeys(each.code for each in found))
        way_out = "ignore some: @pytest.mark.fake_fine_tuning(findings_ignore=[…])"
        _fail_test(
            f"{codes}: fine-tuning findings", render_findings(found), way_out
        )  # codes first: pytest -q cuts a long line
    if faults := fake.unfired_faults:
        _warn_unfired(item, faults)


def _warn_unfired(item: pytest.Item, faults: Sequence[ArmedFault]) -> None:
    from . import UnfiredFaultWarning  # defined in the package that imports this module

    lines = [describe_fault(fault) for fault in faults]
    head = "a fault hit no request:" if len(lines) == 1 else "faults hit no request:"
    warning = UnfiredFaultWarning(f"{head} {lines[0]}" if len(lines) == 1 else "\n  ".join([head, *lines]))
    try:
        item.warn(warning)
    except UnfiredFaultWarning:  # warnings are errors
        pytest.fail(f"{type(warning).__name__}: {warning}", pytrace=False)


def _fail_test(head: str, lines: Iterable[str], way_out: str) -> None:
    indented = (f"  {line}".replace("\n", "\n  ") for line in lines)
    pytest.fail("\n".join([head, *indented, f"({way_out})"]), pytrace=False)


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
    found = {report.nodeid: lines for report in reports if (lines := getattr(report, FINDINGS_ATTRIBUTE, None))}
    if found:
        terminal.section("fine-tuning findings")
    for nodeid, lines in found.items():
        terminal.line(nodeid)
        for line in lines:
            terminal.line("  " + line.replace("\n", "\n  "))
