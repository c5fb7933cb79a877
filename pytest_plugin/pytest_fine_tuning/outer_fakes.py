"""The fakes of fixtures that outlive a test: those of a module, and of the session.

What a test did wrong with one fails that test; findings and unfired faults, which take the whole account, are reported
when the fixture ends.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.fake.clients import NOWHERE

from .fixture import (
    SessionServer,
    description,
    directed_clients,
    fail_on_usage_errors,
    fresh_account,
    is_to_describe,
    options_or_fail,
    report_findings,
)
from .layers import layer, restore_after_test
from .markers import FINDINGS, NOT_PASSED, OUTER_FAKES, OUTER_FINDINGS_ATTRIBUTE, SECTION


def outer_server(fixture: str) -> SessionServer:
    """Return the server of a *fixture*, whose account has an address of its own even where there are no sockets."""
    return SessionServer(NOWHERE.replace("://", f"://{fixture.rpartition('_')[2]}."))


class OuterFake:
    """A fake that outlives a test.

    Args:
        fixture: the name of its fixture.
        fake: the fake.
        node: the module or session that it is for.
    """

    def __init__(self, fixture: str, fake: FakeFineTuning, node: pytest.Collector) -> None:
        self.fixture, self.fake, self.node = fixture, fake, node
        self.is_over = False
        self.begin_test()

    def begin_test(self) -> None:
        """Forget what the last test did wrong, and count requests from here."""
        self.has_failed = False
        self.fake.take_usage_errors()
        self._before = self.fake.requests_log.find(limit=1)

    def describe(self) -> str:
        """Return the fake's state as text, with the numbers of this test's requests."""
        numbers = self._numbers()
        which = f"{numbers[0]} to {numbers[-1]}" if numbers else "none"
        return f"{self.fixture}, requests of this test: {which}\n{description(self.fake)}"

    @property
    def title(self) -> str:
        """What findings are listed under."""
        return f"{self.node.nodeid} ({self.fixture})" if self.node.nodeid else self.fixture

    def is_used_by(self, item: pytest.Item) -> bool:
        """Return whether *item* has the fixture, or sent a request to the fake."""
        return self.fixture in getattr(item, "fixturenames", ()) or bool(self._numbers())

    def _numbers(self) -> list[int]:
        requests = self.fake.requests
        # by the last entry, not by its number: a test may reset the account
        known = [index for index, entry in enumerate(requests) if entry in self._before]
        return [entry.number for entry in requests[known[0] + 1 if known else 0 :]]


@contextmanager
def fake_for_scope(request: pytest.FixtureRequest, server: SessionServer) -> Generator[FakeFineTuning, None, None]:
    """Provide a fresh account for the module or session of a fixture, and direct clients there while it lasts."""
    fixture, node = str(request.fixturename), request.node
    options = options_or_fail(node, name=fixture)
    with ExitStack() as stack:
        fake = stack.enter_context(fresh_account(server, options))
        stack.enter_context(layer(request.config, request.scope, lambda: directed_clients(fake, options, server)))
        outer = OuterFake(fixture, fake, node)
        request.config.stash.setdefault(OUTER_FAKES, []).append(outer)
        node.stash[NOT_PASSED], node.stash[FINDINGS] = False, []
        try:
            yield fake
            if outer.has_failed:
                fake.take_usage_errors()  # they are in the report of the failure
            report_findings(node, fake, options)
        finally:
            outer.is_over = True


def fail_on_misuse(item: pytest.Item) -> None:
    """Fail a passed test that used a fake wrongly which goes on."""
    for outer in item.config.stash[OUTER_FAKES]:
        if not outer.is_over and not item.stash[NOT_PASSED]:
            fail_on_usage_errors(outer.fake)


def add_outer_sections(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add the state of the fakes that *item* used to the report of a failed phase; clean up after teardown."""
    outers = item.config.stash[OUTER_FAKES]
    for outer in outers:
        outer.has_failed |= report.failed
        if is_to_describe(item, report) and outer.is_used_by(item):
            report.sections.append((SECTION, outer.describe()))
    if report.when != "teardown":
        return
    restore_after_test()
    findings = {outer.title: lines for outer in outers if outer.is_over and (lines := outer.node.stash[FINDINGS])}
    setattr(report, OUTER_FINDINGS_ATTRIBUTE, findings)
    outers[:] = [outer for outer in outers if not outer.is_over]
    for outer in outers:
        outer.begin_test()
