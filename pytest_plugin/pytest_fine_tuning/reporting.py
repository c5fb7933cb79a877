"""What is said of a test after it: how its fake fared when it failed, and what it got away with when it passed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from fine_tuning_fakeserver import ArmedFault, FakeFineTuning
from fine_tuning_fakeserver.fake.report import describe_fault
from fine_tuning_fakeserver.findings import render_findings

from .network_guard import remove_guard
from .options import Options
from .stash import ENVIRONMENT, FINDINGS, HANDLE, REPORTED, UNPASSED

SECTION = "fake fine-tuning"
ERRORS_AT_MOST = 10


def report_findings(item: pytest.Item, fake: FakeFineTuning, options: Options) -> None:
    """Fail a test that passed although the fake did not understand it; warn of faults that never fired."""
    found = [each for each in fake.findings if each.code not in options.ignored] if options.findings != "off" else []
    if options.findings != "off":
        item.stash[FINDINGS] = [*render_findings(found), *_unknown(fake)]
    if item.stash[UNPASSED]:
        return
    if errors := fake.take_usage_errors():
        shown = [
            *errors[:ERRORS_AT_MOST],
            *([f"and {more} more"] if (more := len(errors) - ERRORS_AT_MOST) > 0 else []),
        ]
        _fail("refused, as no service would:", shown, "take_usage_errors() in the test, if it is meant")
    if options.findings == "fail" and found:
        codes = ", ".join(dict.fromkeys(each.code for each in found))
        way_out = "ignore some: @pytest.mark.fake_fine_tuning(findings_ignore=[…])"
        _fail(
            f"{codes}: fine-tuning findings", render_findings(found), way_out
        )  # codes first: pytest -q cuts a long line
    if faults := fake.unfired_faults:
        _warn(item, faults)


def _warn(item: pytest.Item, faults: Sequence[ArmedFault]) -> None:
    from . import UnfiredFaultWarning  # late: it is defined where this module is imported from

    lines = [describe_fault(fault) for fault in faults]
    head = "a fault was armed that no call met:" if len(lines) == 1 else "faults were armed that no call met:"
    warning = UnfiredFaultWarning(f"{head} {lines[0]}" if len(lines) == 1 else "\n  ".join([head, *lines]))
    try:
        item.warn(warning)
    except UnfiredFaultWarning:  # warnings are errors
        pytest.fail(f"{type(warning).__name__}: {warning}", pytrace=False)


def _unknown(fake: FakeFineTuning) -> list[str]:
    """A warning where findings may have been missed: no finding, since nobody did anything wrong."""
    lost = fake.requests_log.forgotten
    count = "1 request" if lost == 1 else f"{lost} requests"
    return [f"warning: the log has forgotten {count}, in which there may be more to find"] if lost else []


def _fail(head: str, lines: Iterable[str], way_out: str) -> None:
    indented = (f"  {line}".replace("\n", "\n  ") for line in lines)
    pytest.fail("\n".join([head, *indented, f"({way_out})"]), pytrace=False)


def complete(item: pytest.Item, report: pytest.TestReport) -> None:
    """Put into *report* what there is to say of its phase."""
    if report.when == "teardown":
        remove_guard()
        item.stash[ENVIRONMENT].put_back_again()
        setattr(report, REPORTED, item.stash[FINDINGS])
    if report.failed and (report.when != "teardown" or not item.stash[UNPASSED]):  # told once
        report.sections.append((SECTION, _told(item.stash[HANDLE])))


def _told(fake: FakeFineTuning) -> str:
    try:
        return fake.describe()
    except Exception as error:  # a bug of ours must not hide what the test has to say
        return f"fake-fine-tuning has a bug, please report it: {type(error).__name__}: {error}"


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
