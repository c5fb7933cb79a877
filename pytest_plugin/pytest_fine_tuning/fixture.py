"""Set up what the fixtures provide, the session's server and the fake of one test, and report after the test.

A report says what the fake saw if the test failed; usage errors, findings and unfired faults if it passed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from fine_tuning_client.testing import redirect
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.fake.clients import API_KEY, NOWHERE
from fine_tuning_fakeserver.fake.report import describe_fault
from fine_tuning_fakeserver.web.dialect_adapter import account_root

from .environment import AZURE_VARIABLES, EnvironmentPatch
from .layers import layer, restore_after_test
from .markers import (
    EXPLORED_RUN,
    FAKE_MARK,
    FINDINGS,
    FINDINGS_ATTRIBUTE,
    HANDLE,
    NOT_PASSED,
    REAL_WAITS_ATTRIBUTE,
    SECTION,
    VIRTUAL_TIME,
)
from .network_guard import install_guard, needs_guard
from .options import Options, fixture_options
from .remote_account import account_on_server, server_url
from .vcr_exemption import exempt_from_vcr

if TYPE_CHECKING:
    import httpx

    from fine_tuning_fakeserver.findings import Finding
    from fine_tuning_fakeserver.virtual_time import VirtualTime

Sleeps: TypeAlias = tuple[Callable[[float], object], Callable[[float], Awaitable[object]]]
"""How blocking and async clients wait."""

NO_PROXY_VARIABLES = ("NO_PROXY", "no_proxy")


class SessionServer:
    """A fake of the session: served on a socket where sockets work, with clients that need none.

    Args:
        nowhere: the base URL of its account where no socket can be had.
    """

    def __init__(self, nowhere: str = NOWHERE) -> None:
        self.fake = FakeFineTuning()
        self.nowhere = nowhere
        self.process = os.getpid()
        """The process that owns the account; a forked child has a copy."""
        self.http_client = LateHttpClient(self._open_http_client)
        self.async_http_client = LateHttpClient(self._open_async_http_client)
        self._stack = ExitStack()
        self._is_open = False

    def open(self) -> bool:
        """Start to serve if a socket can be had; return whether it serves."""
        if not self._is_open:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # pytest-socket warns where it refuses
                    self._stack.enter_context(self.fake.serving())
            except (OSError, RuntimeError):  # no network here, or pytest-socket
                return False
            self._is_open = True
        return True

    def close(self) -> None:
        """Stop the server and close the clients."""
        self._stack.close()

    def _open_http_client(self) -> httpx.Client:
        from .session_clients import open_client

        return self._stack.enter_context(open_client(self))

    def _open_async_http_client(self) -> httpx.AsyncClient:
        from .session_clients import open_async_client

        return open_async_client(self)


class LateHttpClient:
    """A client of httpx that is opened, and httpx imported, when it is first asked for."""

    def __init__(self, open_client: Callable[[], Any]) -> None:
        self._open_client = open_client

    @cached_property
    def request(self) -> Callable[..., Any]:
        """Send a request; called as ``httpx.Client.request`` is."""
        send: Callable[..., Any] = self._open_client().request
        return send


@contextmanager
def fake_for_test(
    item: pytest.Item, server: SessionServer, plan: object, in_process: bool = True, start: float | None = None
) -> Generator[FakeFineTuning, None, None]:
    """Provide a fresh account for *item*, direct its clients there, and report findings at the end.

    Args:
        item: the test.
        server: the session's server.
        plan: the value of the fixture `fake_fine_tuning_plan`.
        in_process: whether requests of this package's client bypass the socket; not if they are recorded.
        start: when the account begins, unless the test's options set it.
    """
    options = options_or_fail(item, plan)
    with ExitStack() as stack:
        if url := server_url(item.config):
            fake, in_process = stack.enter_context(account_on_server(url, options, start)), False
        else:
            fake = stack.enter_context(fresh_account(server, options, start))
        sleeps = stack.enter_context(_virtual_time(item, fake, options)) if options.virtual_time else None
        if run := item.stash.get(EXPLORED_RUN, None):
            stack.enter_context(run.active(fake, item.stash[VIRTUAL_TIME]))
        clients = server if in_process else None
        stack.enter_context(layer(item.config, "function", lambda: directed_clients(fake, options, clients, sleeps)))
        item.stash[HANDLE], item.stash[NOT_PASSED], item.stash[FINDINGS] = fake, False, []
        yield fake
        if run is None or run.combination is None:
            report_findings(item, fake, options)


def options_or_fail(node: pytest.Item | pytest.Collector, plan: object = None, name: str = FAKE_MARK) -> Options:
    """Return the options of a test, or of the module or session of a fixture; fail the test if they are invalid."""
    try:
        return fixture_options(node, plan)
    except FakeUsageError as error:
        raise pytest.fail.Exception(f"{name}: {error}", pytrace=False) from None


@contextmanager
def fresh_account(
    server: SessionServer, options: Options, start: float | None = None
) -> Generator[FakeFineTuning, None, None]:
    """Begin an account on *server*, and let nobody assert about it once the context has ended."""
    fake, server.process = server.fake, os.getpid()
    with ExitStack() as stack:
        if not server.open():
            stack.enter_context(fake.reached_at(server.nowhere))
        begin = {} if start is None else {"start": start}
        fake.reset(defaults={"faults": options.faults, **begin, **options.settings})
        stack.callback(fake.finish_test)
        yield fake


@contextmanager
def directed_clients(
    fake: FakeFineTuning, options: Options, clients: SessionServer | None, sleeps: Sleeps | None = None
) -> Generator[EnvironmentPatch, None, None]:
    """Direct clients to *fake* by environment, guard and redirect while the context lasts.

    Args:
        fake: the fake.
        options: its options.
        clients: whose clients this package's client uses, which need no socket; None: its own.
        sleeps: how this package's client waits, unless by the fake.
    """
    sleep, async_sleep = sleeps or (fake.sleep, fake.async_sleep)
    with ExitStack() as stack:
        environment = EnvironmentPatch(_environment_variables(fake, options))
        stack.callback(environment.restore)
        stack.enter_context(exempt_from_vcr(fake.base_url, options.hosts))
        if options.hosts is not None or needs_guard():
            stack.enter_context(install_guard(fake, options.hosts))
        stack.enter_context(
            redirect(
                fake.base_url,
                api_key=API_KEY,
                http_client=clients.http_client if clients else None,
                async_http_client=clients.async_http_client if clients else None,
                sleep=sleep,
                async_sleep=async_sleep,
                clock=lambda: fake.now,
            )
        )
        yield environment


@contextmanager
def _virtual_time(item: pytest.Item, fake: FakeFineTuning, options: Options) -> Generator[Sleeps, None, None]:
    """Make the waits of *item* virtual; yield how this package's client waits there: like everybody else."""
    from anyio import sleep as async_sleep

    from fine_tuning_fakeserver.virtual_time import sleep, virtual_time

    with ExitStack() as stack:
        try:
            virtual = stack.enter_context(virtual_time(fake, wall_clock=options.wall_clock))
        except FakeUsageError as error:
            raise pytest.fail.Exception(f"fake_fine_tuning: {error}", pytrace=False) from None
        item.stash[VIRTUAL_TIME] = virtual
        yield sleep, async_sleep


def virtual_time_of(request: pytest.FixtureRequest) -> VirtualTime:
    """Return the virtual time of a test that has the fixture `virtual_time`."""
    virtual: VirtualTime | None = request.node.stash.get(VIRTUAL_TIME, None)
    if virtual is None:
        remedy = "name it among the test's arguments, or use @pytest.mark.fake_fine_tuning(virtual_time=True)"
        raise pytest.fail.Exception(f"virtual_time must be requested before the test begins; {remedy}", pytrace=False)
    return virtual


def _environment_variables(fake: FakeFineTuning, options: Options) -> dict[str, str]:
    """Return OpenAI's variables, the dialect's, and Azure's where the environment has them already."""
    openai = {"OPENAI_BASE_URL": fake.base_url, "OPENAI_API_KEY": API_KEY}
    azure = dict(zip(AZURE_VARIABLES, (account_root(fake.base_url), API_KEY), strict=True))
    variables = {**openai, **{name: azure[name] for name in AZURE_VARIABLES if name in os.environ}, **fake.env}
    unproxied = options.hosts.unproxied if options.hosts else []
    # through a proxy, a client would not resolve the host, and so bypass the guard
    spared = {name: ",".join([variables[name], *unproxied]) for name in NO_PROXY_VARIABLES if variables[name] != "*"}
    return {**variables, **spared}


ERRORS_AT_MOST = 10


def report_findings(item: pytest.Item | pytest.Collector, fake: FakeFineTuning, options: Options) -> None:
    """Fail a passed test that misused the fake or has findings to fail on; warn of faults that hit nothing.

    A check of `always` that does not hold fails any test.
    """
    findings: list[Finding] = []
    rendered: list[str] = []
    if options.findings != "off":
        from fine_tuning_fakeserver.findings import render_findings

        findings = [finding for finding in fake.findings if finding.code not in options.ignored]
        rendered = render_findings(findings)
        item.stash[FINDINGS] = [*rendered]
        if lost := fake.requests_log.forgotten:
            count = "1 request" if lost == 1 else f"{lost} requests"
            item.stash[FINDINGS].append(f"warning: the log dropped {count}, in which findings may be missed")
    for error in fake.check_always():
        raise error
    if item.stash[NOT_PASSED]:
        return
    fail_on_usage_errors(fake)
    if options.findings == "fail" and findings:
        codes = ", ".join(dict.fromkeys(finding.code for finding in findings))
        remedy = "ignore some: @pytest.mark.fake_fine_tuning(findings_ignore=[…])"
        # codes first: pytest -q cuts a long line
        _fail_test(f"{codes}: fine-tuning findings", rendered, remedy)
    if lines := [describe_fault(fault) for fault in fake.unfired_faults]:
        from . import UnfiredFaultWarning  # defined in the package that imports this module

        one, several = f"a fault hit no request: {lines[0]}", "\n  ".join(["faults hit no request:", *lines])
        warning = UnfiredFaultWarning(one if len(lines) == 1 else several)
        try:
            item.warn(warning)
        except UnfiredFaultWarning:  # warnings are errors
            pytest.fail(f"{type(warning).__name__}: {warning}", pytrace=False)


def fail_on_usage_errors(fake: FakeFineTuning) -> None:
    """Fail the test if the fake was used wrongly."""
    if errors := fake.take_usage_errors():
        lines = errors[1:ERRORS_AT_MOST]
        if len(errors) > ERRORS_AT_MOST:
            lines.append(f"and {len(errors) - ERRORS_AT_MOST} more")
        # the error first: pytest -q cuts a long line
        remedy = "the fake was used wrongly; take_usage_errors() in the test if that is intended"
        _fail_test(errors[0], lines, remedy)


def _fail_test(head: str, lines: Iterable[str], remedy: str) -> None:
    indented = (f"  {line}".replace("\n", "\n  ") for line in lines)
    pytest.fail("\n".join([head, *indented, f"({remedy})"]), pytrace=False)


def add_report_section(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add the fake's state to the report of a failed phase; clean up and add findings after teardown."""
    if report.when == "teardown":
        restore_after_test()
        setattr(report, FINDINGS_ATTRIBUTE, item.stash[FINDINGS])
        if VIRTUAL_TIME in item.stash:
            from fine_tuning_fakeserver.virtual_time import remove_patches

            remove_patches()
            setattr(report, REAL_WAITS_ATTRIBUTE, [str(wait) for wait in item.stash[VIRTUAL_TIME].real_waits])
    if is_to_describe(item, report):
        fake = item.stash[HANDLE]
        report.sections.append((SECTION, "\n".join([description(fake), *saving(item, fake)])))


def is_to_describe(item: pytest.Item, report: pytest.TestReport) -> bool:
    """Return whether *report* is the one of a test that has failed to say what the fake saw: the first."""
    run = item.stash.get(EXPLORED_RUN, None)
    if run and not run.is_shown:
        return False
    return report.failed and (report.when != "teardown" or not item.stash[NOT_PASSED])


def saving(item: pytest.Item, fake: FakeFineTuning) -> list[str]:
    """Save the account of a failed test; return the lines that say how to open it."""
    from .saved_accounts import save_account  # here, since few tests fail

    try:
        return save_account(item, fake)
    except Exception as error:  # as for the description
        return [f"fake-fine-tuning has a bug, please report it: {type(error).__name__}: {error}"]


def description(fake: FakeFineTuning) -> str:
    """Return the fake's state as text."""
    try:
        return fake.describe()
    except Exception as error:  # a bug of ours must not hide the test's own failure
        return f"fake-fine-tuning has a bug, please report it: {type(error).__name__}: {error}"
