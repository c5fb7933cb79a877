"""Judge a run against the undisturbed one."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from json import JSONDecodeError

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import duration_words

from ...virtual_time.callers import package_of, place_in
from ...virtual_time.scheduler import WaitLimitError
from .disturbance import Combination, RequestLimitError
from .runs import RunRecord

WRONG, SUSPICIOUS, ALLOWED, GOOD, NOT_REACHED = "✗", "△", "!", "✓", "–"
MARKS = {
    WRONG: "wrong",
    SUSPICIOUS: "suspicious",
    ALLOWED: "ended with an error that it may end with",
    GOOD: "ended well",
    NOT_REACHED: "its request never came, or there was nothing to do it to",
}
"""The marks of a run, the worst first, and what they say."""

CLIENT_PACKAGES = frozenset(
    {
        "aiohttp",
        "azure",
        "fine_tuning_client",
        "h11",
        "h2",
        "httpcore",
        "httpcore2",
        "httpx",
        "httpx2",
        "litellm",
        "openai",
        "requests",
        "tenacity",
        "urllib",
        "urllib3",
        "urllib3_future",
    }
)
"""Packages whose exceptions say that a request failed: SDKs, HTTP libraries, and what gives up retrying them."""
CONNECTION_ERRORS = (ConnectionError, TimeoutError, ssl.SSLError, socket.gaierror, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run has shown.

    Args:
        combination: what went wrong.
        mark: one of `MARKS`.
        problems: a sentence for each thing that is wrong or suspicious.
        run: the run.
    """

    combination: Combination
    mark: str
    problems: tuple[str, ...]
    run: RunRecord

    @property
    def boundary(self) -> int:
        """The number of the earliest request that something happened to, or after."""
        return min(each.boundary for each in self.combination.occurrences)


def judge(run: RunRecord, base: RunRecord, allow: tuple[type[BaseException], ...]) -> Verdict:
    """Judge *run*; what *base*, the undisturbed run, shows as well is never counted."""
    assert run.combination is not None
    if not run.happened:
        if run.error is not None:
            error = f"is not repeatable: nothing went wrong, and {describe_error(run.error)}"
            return Verdict(run.combination, WRONG, (error,), run)
        return Verdict(run.combination, NOT_REACHED, tuple(_never_came(run.combination, base)), run)
    if wrong := tuple(_wrong(run, base, allow)):
        return Verdict(run.combination, WRONG, wrong, run)
    if suspicious := tuple(_suspicious(run, base)):
        return Verdict(run.combination, SUSPICIOUS, suspicious, run)
    return Verdict(run.combination, GOOD if run.error is None else ALLOWED, (), run)


def _never_came(combination: Combination, base: RunRecord) -> Iterator[str]:
    for occurrence in combination.occurrences:
        if occurrence.boundary > base.requests:
            yield f"request {occurrence.boundary} never came: the undisturbed run has {base.requests}"


def _wrong(run: RunRecord, base: RunRecord, allow: tuple[type[BaseException], ...]) -> Iterator[str]:
    known = [str(error) for error in base.broken_checks]
    yield from (f"always: {describe_error(error)}" for error in run.broken_checks if str(error) not in known)
    yield from (error for error in run.usage_errors if error not in base.usage_errors)
    if isinstance(run.error, RequestLimitError):
        yield f"does not end: more than {run.requests - 1} requests, {base.requests} without misfortune"
    elif isinstance(run.error, WaitLimitError):
        usual = {"seconds": duration_words(base.elapsed_s), "waits": f"{base.waits:,}"}.get(run.error.quantity or "")
        yield f"does not end: {run.error}" + (f", {usual} without misfortune" if usual else "")
    elif run.error is not None and not is_allowed(run.error, allow, breaks_body=run.breaks_body):
        if not _is_assertion(run.error):
            yield describe_error(run.error)
        elif run.endings == base.endings:
            endings = ", ".join(run.endings) or "no job"
            yield f"{describe_error(run.error)}, although the jobs ended as ever ({endings})"


def _suspicious(run: RunRecord, base: RunRecord) -> Iterator[str]:
    if (extra := run.paid_jobs - base.paid_jobs) > 0:
        yield f"{extra} more paid job{'s' if extra > 1 else ''} than without misfortune"
    if len(run.left_running) > len(base.left_running):
        yield f"job {run.left_running[-1]} was left running, although the service answered"
    known = {finding.code for finding in base.findings}
    yield from (str(finding) for finding in run.findings if finding.code not in known)


def is_allowed(error: BaseException, allow: tuple[type[BaseException], ...], *, breaks_body: bool = False) -> bool:
    """Return whether code under test may end with an error: an SDK's, a connection's, a program's exit, or allowed.

    Args:
        error: what it has raised.
        allow: what it may raise besides.
        breaks_body: whether a misfortune has broken a body, so that reading it as JSON fails, whoever does so.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_allowed(each, allow, breaks_body=breaks_body) for each in error.exceptions)
    if isinstance(error, (*CONNECTION_ERRORS, SystemExit, *allow)):
        return True
    if breaks_body and isinstance(error, JSONDecodeError | UnicodeDecodeError):
        return True
    return any(package_of(kind.__module__) in CLIENT_PACKAGES for kind in type(error).__mro__)


def _is_assertion(error: BaseException) -> bool:
    """Whether *error* is an assertion's; pytest's own kind is known by name, as pytest may not be installed."""
    return isinstance(error, AssertionError) or type(error).__qualname__ in ("Failed", "fail.Exception")


def describe_error(error: BaseException) -> str:
    """Return type, first line and place of an error."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    place = place_in(error.__traceback__)
    return f"{text} at {place}" if place else text
