"""What became of one run of the code under test."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence

from fine_tuning_formats.lazy_dataclass import dataclass

from ...account.recorded_calls import Call, recorded_call
from ...account.world import World
from ...control.steering import account_outcome
from ...domain.timeline import TERMINAL
from ...findings import FinalState, Finding, find
from ..explore_control import broken_checks
from ..report import usage_errors_in
from .disturbance import Combination, Occurrence, RunDisturbance
from .misfortunes import Situation

UNAVAILABLE = frozenset({0, 401, 403, 429, 500, 502, 503, 504})
"""Statuses of a request by which its client cannot clean up; 0: no answer."""
LEFTOVERS = frozenset({"leaked_job", "leaked_file"})


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What became of one run.

    Args:
        combination: what went wrong; None for the undisturbed run.
        error: what ended the code under test; None where it ended well.
        broken_checks: what the checks of `FakeFineTuning.always` raised.
        situations: the account at each request.
        aftermaths: the account after each; of the undisturbed run only.
        happened: which occurrences came about.
        paid_jobs: how many jobs the requests have created, known to the code or not.
        endings: the statuses of the jobs that the code knows to have created, oldest first, at the end.
        left_running: the ids of those that still run although the code knew them, and the service answered.
        findings: the findings of the run; where the service was out of reach at the end, not those of what was left.
        usage_errors: what the fake itself refused.
        calls: the requests.
        elapsed_s: virtual seconds from the beginning to the end.
        waits: how often it has waited for virtual time.
    """

    combination: Combination | None
    error: BaseException | None
    broken_checks: Sequence[Exception]
    situations: Sequence[Situation]
    aftermaths: Sequence[Situation]
    happened: Sequence[Occurrence]
    paid_jobs: int
    endings: tuple[str, ...]
    left_running: tuple[str, ...]
    findings: Sequence[Finding]
    usage_errors: Sequence[str]
    calls: Sequence[Call]
    elapsed_s: float
    waits: int

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return len(self.situations)

    @property
    def breaks_body(self) -> bool:
        """Whether what went wrong has broken the body of an answer."""
        return any(each.misfortune.breaks_body for each in self.happened)


def record_run(world: World, disturbance: RunDisturbance, error: BaseException | None, waits: int) -> RunRecord:
    """Return what became of the run that has just ended with *error*, before its account is reset.

    Args:
        world: the account's.
        disturbance: what went wrong.
        error: what the code under test raised.
        waits: how often it has waited.
    """
    entries, now = world.requests.find(), world.now
    calls = [recorded_call(entry) for entry in entries]
    created = {call.job_id: call for call in calls if call.operation == "create_job" and call.accepted and call.job_id}
    jobs = world.account.jobs
    statuses = {job: jobs[job].timeline().status(now) for job in created if job in jobs}
    known = {job for job, call in created.items() if call.answered and call.number not in disturbance.unlearned}
    known |= {call.job_id for call in calls if call.operation != "create_job" and call.job_id}
    could_clean_up = _could_clean_up(calls, disturbance)
    return RunRecord(
        combination=disturbance.combination,
        error=error,
        broken_checks=broken_checks(world.checks),
        situations=tuple(disturbance.situations),
        aftermaths=tuple(
            disturbance.aftermaths.get(number, situation) for number, situation in enumerate(disturbance.situations, 1)
        ),
        happened=tuple(disturbance.happened),
        paid_jobs=sum(call.operation == "create_job" and call.accepted for call in calls),
        endings=tuple(statuses.values()),
        left_running=tuple(
            job for job, status in statuses.items() if status not in TERMINAL and job in known and could_clean_up
        ),
        findings=[
            finding
            for finding in find(calls, FinalState.of(account_outcome(world.service)))
            if could_clean_up or finding.code not in LEFTOVERS
        ],
        usage_errors=[*(text for _, text in usage_errors_in(entries)), *world.requests.notes],
        calls=calls,
        elapsed_s=now - world.service.created_at,
        waits=waits,
    )


def _could_clean_up(calls: Sequence[Call], disturbance: RunDisturbance) -> bool:
    """Whether the service was there for the client at the end: what goes wrong with one request only is no excuse."""
    if not calls or disturbance.keeps_out:
        return False
    return calls[-1].status not in UNAVAILABLE or disturbance.has_hit_once_and_last


def run_program(program: Callable[[], object]) -> None:
    """Run the code under test, which may be a coroutine function."""
    if inspect.iscoroutinefunction(program):
        asyncio.run(program())
    else:
        program()


Runner = Callable[[Combination | None], RunRecord]
"""Runs the code under test once, in an account of its own."""
