"""What the fake's own user may do that nobody can do to the service: move time, choose how jobs go, look inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fine_tuning_formats.job_rules import JOB_STATUSES

from ..account.account import Account
from ..account.records import JobIntervened, PlanSet
from ..account.service import Service, operation
from ..domain import plan as plans
from ..domain.durations import Duration, parse_seconds
from ..domain.job_spec import JobSpec, with_outcome
from ..domain.jobs import Job
from ..domain.plan import Plan
from ..domain.timeline import TERMINAL, Replan, Timeline
from ..usage_errors import FakeUsageError

STATUSES = JOB_STATUSES


@operation
def advance(service: Service, now: float, duration: Duration) -> float:
    """Move time forward; return the new time, in Unix seconds.

    Raises:
        FakeUsageError: it is no length of time, or negative.
    """
    return service.advance_clock(now + parse_seconds(duration, "advance"))


@operation
def sleep(service: Service, now: float, duration: float) -> None:
    """Let *duration* seconds pass where nothing else would ever move time: no unfinished job has anything ahead."""
    jobs = (service.account.jobs[identifier] for identifier in service.account.active)
    if service.account.pace == "manual" or all(job.timeline().next_milestone(now) is None for job in jobs):
        service.advance_clock(now + parse_seconds(duration, "sleep"))


@operation
def clock_state(service: Service, now: float) -> dict[str, Any]:
    """Time and pace."""
    return {"now": now, "pace": service.account.pace}


@operation
def advance_to(
    service: Service,
    now: float,
    status: str | None = None,
    job_id: str | None = None,
    step: int | None = None,
) -> float:
    """Move time to where a job gets a status, or has done a step; return the new time.

    A job that is already there moves nothing. Without *job_id* it is the only unfinished job, or the newest.

    Raises:
        FakeUsageError: there is no such job, or it never gets there.
    """
    if (status is None) == (step is None):
        raise FakeUsageError("advance_to wants a status or a step: advance_to('running'), advance_to(step=40)")
    job = target_job(service.account, job_id)
    life = job.timeline()
    at = _time_of_status(job, life, status, now) if status is not None else _time_of_step(job, life, step)
    return service.advance_clock(at) if at > now else now


def target_job(account: Account, identifier: str | None) -> Job:
    """The job with this id; without one, the newest unfinished job, or the newest of all."""
    if identifier is None:
        newest = next(reversed(account.active or account.jobs), None)
        if newest is None:
            raise FakeUsageError("there is no job yet: create one first")
        return account.jobs[newest]
    if identifier not in account.jobs:
        known = ", ".join(list(account.jobs)[-3:]) or "none yet"
        raise FakeUsageError(f"there is no job {identifier!r}; the newest are: {known}")
    return account.jobs[identifier]


def _time_of_status(job: Job, life: Timeline, status: str, now: float) -> float:
    if status not in STATUSES:
        raise FakeUsageError(f"status is {status!r}: one of {', '.join(STATUSES)}")
    if life.status(now) == status:
        # the last events come with the status, or a moment later
        return life.end if status in TERMINAL else now
    later = [(at, reached) for at, reached in life.milestones if at > now]
    for at, reached in later:
        if reached == status:
            return life.end if status in TERMINAL else at
    way = " → ".join([life.status(now), *(reached for _, reached in later)])
    raise FakeUsageError(f"job {job.id} does not get to {status!r} from here: its way is {way}")


def _time_of_step(job: Job, life: Timeline, step: Any) -> float:
    if not isinstance(step, int) or isinstance(step, bool) or step < 1:
        raise FakeUsageError(f"step is {step!r}: a training step from 1 is wanted")
    at = life.time_of_step(step)
    if at is None:
        raise FakeUsageError(f"job {job.id} does not get to step {step}: it has {job.current.steps} steps")
    return at


@operation
def set_plan(service: Service, now: float, plan: Plan | Mapping[str, Any]) -> Plan:
    """Let jobs created from now on go by *plan*, or by the plan with these fields.

    Raises:
        FakeUsageError: it makes no plan.
    """
    if isinstance(plan, Mapping):
        plan = Plan().changed(plan)
    if not isinstance(plan, Plan):
        raise FakeUsageError(f"plan is {plan!r}: a Plan, or a mapping of its fields, is wanted")
    service.commit(PlanSet(plan))
    return plan


@operation
def plan_next(service: Service, now: float, changes: Mapping[str, Any]) -> Plan:
    """Let the next job that is made go by the account's plan with these *changes*.

    Raises:
        FakeUsageError: they make no plan.
    """
    plan = service.account.plan.changed(changes)
    service.commit(PlanSet(plan, once=True))
    return plan


@operation
def set_job_plan(service: Service, now: float, identifier: str, changes: Mapping[str, Any]) -> Plan:
    """Change how a job goes on; what has happened stays.

    Raises:
        FakeUsageError: the job is over or past its training, or *changes* make no plan.
    """
    job = target_job(service.account, identifier)
    life = job.timeline()
    if life.status(now) in TERMINAL or life.event_count("trained", now):
        raise FakeUsageError(
            f"job {identifier} is {life.status(now)} and its training is over: nothing is left to plan"
        )
    plan = job.current.plan.changed(changes)
    script = _rewritten(job.current, plan, life, now)
    service.commit(JobIntervened(identifier, Replan(now, script)))
    return script.plan


def _rewritten(script: JobSpec, plan: Plan, life: Timeline, now: float) -> JobSpec:
    """*script* by another plan: a failure comes at the next step at the earliest, a curve from there on."""
    done = life.steps_done(now)
    if plan.failure and life.event_count("validated", now):
        plan = replace(plan, fail_at=max(plan.fail_step or 0, done + 1))
    found = script.error if script.fail_step is None and not script.plan.failure else None
    rewritten = with_outcome(script, plan, found)
    if plan.curve == script.plan.curve:
        return rewritten
    return replace(rewritten, curves=(*script.curves, (done + 1, plan.curve)))


@operation
def state(service: Service, now: float) -> dict[str, Any]:
    """A summary of the account: settings, clock, plan, counts, and the newest hundred jobs with their status."""
    account = service.account
    newest, _ = account.job_shelf.page(None, 100)
    statuses = {identifier: account.jobs[identifier].timeline().status(now) for identifier in account.jobs}
    return {
        "account": {
            "seed": account.settings.seed,
            "dialect": account.dialect.name,
            "organization_id": account.organization_id,
            "organization": account.settings.organization,
            "project": account.project,
        },
        "clock": {"now": now, "pace": account.pace},
        "plan": plans.as_json(account.plan),
        "counts": {
            "files": len(account.file_shelf),
            "jobs": len(account.jobs),
            "models": len(account.models),
            "by_status": dict(Counter(statuses.values())),
        },
        "jobs": [{"id": identifier, "status": statuses[identifier]} for identifier in newest],
    }
