"""What is said of a test after it: how its fake fared when it failed, and what it got away with when it passed."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.handle.story import describe_fault

from .guard import lift
from .keys import FINDINGS, HANDLE, REPORTED, UNPASSED
from .options import Options

SECTION = "fake fine-tuning"


def judge(item: pytest.Item, fake: FakeFineTuning, options: Options) -> None:
    """Fail a test that passed although the fake did not understand it; warn of faults that never fired."""
    if options.findings != "off":
        item.stash[FINDINGS] = _found(fake, options.ignored)
    if item.stash[UNPASSED]:
        return
    if errors := fake.take_usage_errors():
        _fail("the fake was asked for what it does not know", errors, "take_usage_errors() in the test, if it is meant")
    if options.findings == "fail" and (found := item.stash[FINDINGS]):
        _fail("fine-tuning findings", found, "ignore some: @pytest.mark.fake_fine_tuning(findings_ignore=[…])")
    from . import UnfiredFaultWarning  # late: it is defined where this module is imported from

    for fault in fake.unfired_faults:
        item.warn(UnfiredFaultWarning(f"a fault was armed that no call met: {describe_fault(fault)}"))


def _found(fake: FakeFineTuning, ignored: frozenset[str]) -> list[str]:
    """The findings, and what may have been missed."""
    found = [str(finding) for finding in fake.findings if finding.code not in ignored]
    if lost := fake.requests_log.forgotten:
        found.append(f"the log has forgotten {lost} requests: what they would show is not known")
    return found


def _fail(head: str, lines: Iterable[str], way_out: str) -> None:
    pytest.fail("\n".join([f"{head}:", *(f"  {line}" for line in lines), f"({way_out})"]), pytrace=False)


def complete(item: pytest.Item, report: pytest.TestReport) -> None:
    """Put into *report* what there is to say of its phase."""
    if report.when == "teardown":
        lift()
        setattr(report, REPORTED, item.stash[FINDINGS])
    elif not report.passed:
        item.stash[UNPASSED] = True
    if report.failed and report.when != "teardown":
        report.sections.append((SECTION, _told(item.stash[HANDLE])))


def _told(fake: FakeFineTuning) -> str:
    try:
        return fake.describe()
    except Exception as error:  # a bug of ours must not hide what the test has to say
        return f"fake-fine-tuning has a bug, please report it: {type(error).__name__}: {error}"
