"""All rules: what each is called, what it means in a line, and the function that looks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from ..account.recorded_calls import Call
from .finding import FinalState, Finding
from .leaks import leaked_file, leaked_job
from .model_use import ignored_job_error, read_model_before_success
from .pagination import cursor_by_time, ignored_has_more
from .polling import no_terminal_check, polled_without_pause, unknown_status_crashed
from .retries import create_retried_blindly, hot_loop_on_429
from .similar_calls import grouped

log = logging.getLogger("fine_tuning_fakeserver")

Rule: TypeAlias = Callable[[Sequence[Call], FinalState], Iterable[Finding]]

RULES: Mapping[str, tuple[Rule, str]] = {
    "polled_without_pause": (polled_without_pause, "an unfinished job was looked at over and over without a pause"),
    "no_terminal_check": (no_terminal_check, "a job was polled on after its end had been answered"),
    "unknown_status_crashed": (
        unknown_status_crashed,
        "a poller fell silent for good at a status such as paused, while the job was not over",
    ),
    "read_model_before_success": (
        read_model_before_success,
        "a request named no model, because the job that makes it was not over",
    ),
    "ignored_has_more": (ignored_has_more, "a list said has_more, and its further pages were never fetched"),
    "cursor_by_time": (cursor_by_time, "a page was asked for after a time, or after the id of another kind of thing"),
    "create_retried_blindly": (
        create_retried_blindly,
        "a create was sent again after a failure that may have created the job",
    ),
    "leaked_file": (leaked_file, "a file was uploaded, no job came of it, and it was left there for another"),
    "leaked_job": (leaked_job, "a job was waited for, given up, and left running"),
    "ignored_job_error": (
        ignored_job_error,
        "a job failed, and its model was used or the same job asked for all the same",
    ),
    "hot_loop_on_429": (hot_loop_on_429, "after a 429 the same request came again too soon"),
}

CODES: Mapping[str, str] = {code: line for code, (_, line) in RULES.items()}
"""Every code that a finding can have, and what it means in one line."""


def find(calls: Sequence[Call], facts: FinalState) -> list[Finding]:
    """All findings, by their first request.

    A rule sees the calls of one sender (by its User-Agent) at a time: what others do excuses and accuses nobody.
    """
    senders = grouped(calls, lambda call: call.user_agent).values()
    found = (finding for own in senders for code in RULES for finding in _by(code, own, facts))
    return sorted(found, key=lambda finding: finding.requests)


def _by(code: str, own: Sequence[Call], facts: FinalState) -> list[Finding]:
    """What one rule finds; one that breaks finds nothing, and says so in the log: no test may suffer from it."""
    rule, _ = RULES[code]
    try:
        return list(rule(own, facts))
    except Exception as error:
        log.error("fake-fine-tuning has a bug, please report it: its rule %s broke", code, exc_info=error)
        return []
