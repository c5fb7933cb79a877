"""Control what the service does not let its users control: time, and how jobs go; and summarize an account."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from fine_tuning_formats.job_rules import JOB_STATUSES
from fine_tuning_formats.text import Duration, show_value

from ..account.account import Account
from ..account.records import JobIntervened, PlanRuleAdded, PlanSet
from ..account.service import Service, operation
from ..account.world import World
from ..api import webhooks
from ..domain.checks import parse_seconds, require_id
from ..domain.job import Job
from ..domain.job_spec import with_outcome
from ..domain.plan import JobFilter, Plan, PlanRule, parse_plan
from ..domain.timeline import TERMINAL, Replan
from ..usage_errors import FakeUsageError, wrong_value

STATUSES = JOB_STATUSES


@operation
def advance(service: Service, now: float, duration: Duration) -> float:
    """Move time forward; return the new time, in Unix seconds.

    Raises:
        FakeUsageError: *duration* is not one, or is negative.
    """
    return service.advance_clock(now + parse_seconds(duration, "advance"))


@operation
def sleep(service: Service, now: float, duration: float) -> None:
    """Let *duration* seconds pass where nothing else would ever move time: no unfinished job has anything ahead."""
    if not duration:
        return  # a loop that sleeps so does not wait
    service.looks.excuse()
    jobs = (service.account.jobs[identifier] for identifier in service.account.active)
    if service.account.pace == "manual" or all(job.timeline().next_milestone(now) is None for job in jobs):
        service.advance_clock(now + parse_seconds(duration, "sleep"))


def sleep_as_client(world: World, seconds: float) -> float:
    """Let virtual time pass for a client that waits *seconds*; return how many real seconds are left to wait."""
    slept_s, pace = max(seconds, 0), world.account.pace
    world.requests.slept_s += slept_s
    if isinstance(pace, str):
        sleep(world.service, seconds)
        return 0.0
    world.service.keep_pace_until(world.now + slept_s)
    return slept_s / pace


@operation
def clock_state(service: Service, now: float) -> dict[str, Any]:
    """Return time and pace."""
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

    A job that is already there moves nothing. Without *job_id* it is the newest unfinished job, or the newest of all.

    Raises:
        FakeUsageError: the job does not exist, or it never gets there.
    """
    if (status is None) == (step is None):
        raise FakeUsageError("advance_to needs either a status or a step: advance_to('running'), advance_to(step=40)")
    job = target_job(service.account, job_id)
    if status is not None:
        at = _time_of_status(job, status, now)
    elif not isinstance(step, int) or isinstance(step, bool) or step < 1:
        raise wrong_value("step", "a training step from 1", step)
    elif (done_at := job.timeline().time_of_step(step)) is not None:
        at = done_at
    else:
        raise FakeUsageError(f"job {job.id} does not reach step {step}: it has {job.current_spec.steps} steps")
    return service.advance_clock(at) if at > now else now


def target_job(account: Account, identifier: str | None) -> Job:
    """Return the job with this id; without one, the newest unfinished job, or the newest of all."""
    if identifier is None:
        newest = next(reversed(account.active or account.jobs), None)
        if newest is None:
            raise FakeUsageError("there is no job yet; create one first")
        return account.jobs[newest]
    require_id(identifier, "job")
    if identifier not in account.jobs:
        known = ", ".join(list(account.jobs)[-3:]) or "none yet"
        raise FakeUsageError(f"unknown job {show_value(identifier)}; the newest are: {known}")
    return account.jobs[identifier]


def require_status(status: object) -> None:
    """Refuse what is not a status of a job.

    Raises:
        FakeUsageError: it is not.
    """
    if status not in STATUSES:
        raise wrong_value("status", f"one of {', '.join(STATUSES)}", status)


def _time_of_status(job: Job, status: str, now: float) -> float:
    require_status(status)
    timeline = job.timeline()
    if timeline.status(now) == status:
        # The last events come with the status, or a moment later.
        return timeline.end if status in TERMINAL else now
    later = [(at, reached) for at, reached in timeline.milestones if at > now]
    for at, reached in later:
        if reached == status:
            return timeline.end if status in TERMINAL else at
    path = " → ".join([timeline.status(now), *(reached for _, reached in later)])
    raise FakeUsageError(f"job {job.id} does not reach {status!r} from here: its way is {path}")


@operation
def set_plan(service: Service, now: float, plan: Plan | Mapping[str, Any]) -> Plan:
    """Set the plan of the jobs created from now on, or the plan with these fields.

    Raises:
        FakeUsageError: it makes no plan.
    """
    parsed = parse_plan(plan)
    service.commit(PlanSet(parsed))
    return parsed


@operation
def plan_next(service: Service, now: float, changes: Mapping[str, Any]) -> Plan:
    """Set the plan of the next job: the account's with these *changes*.

    Raises:
        FakeUsageError: they make no plan.
    """
    plan = service.account.plan.changed(changes)
    service.commit(PlanSet(plan, once=True))
    return plan


@operation
def plan_when(service: Service, now: float, when: object, changes: Mapping[str, Any]) -> PlanRule:
    """Set the plan of the new jobs that *when*, fields of `JobFilter`, is for: the account's with these *changes*.

    Raises:
        FakeUsageError: *when* is no filter, or *changes* make no plan.
    """
    rule = PlanRule(JobFilter.parse(when), service.account.plan.changed(changes))
    service.commit(PlanRuleAdded(rule))
    return rule


@operation
def list_plan_rules(service: Service, now: float) -> list[PlanRule]:
    """Return the plans that are for some jobs, in the order in which they are tried: the newest first."""
    return list(service.account.plan_rules)


@operation
def set_job_plan(service: Service, now: float, identifier: str, changes: Mapping[str, Any]) -> Plan:
    """Change how a job goes on; what has happened stays.

    Raises:
        FakeUsageError: the job is over or past its training, or *changes* make no plan.
    """
    job = target_job(service.account, identifier)
    timeline = job.timeline()
    if timeline.status(now) in TERMINAL or timeline.has_happened("trained", now):
        raise FakeUsageError(
            f"job {identifier} is {timeline.status(now)} and its training is over: nothing is left to plan"
        )
    old, plan = job.current_spec, job.current_spec.plan.changed(changes)
    next_step = timeline.steps_done(now) + 1
    if plan.failure and timeline.has_happened("validated", now):
        plan = replace(plan, fail_at=max(plan.fail_step or 0, next_step))
    # An error that no plan has caused is the file's, and stays.
    file_error = old.error if old.fail_step is None and not old.plan.failure else None
    spec = with_outcome(old, plan, file_error)
    if plan.curve != old.plan.curve:
        spec = replace(spec, curves=(*old.curves, (next_step, plan.curve)))
    service.commit(JobIntervened(identifier, Replan(now, spec)))
    return spec.plan


@operation
def account_summary(service: Service, now: float) -> dict[str, Any]:
    """Summarize the account: settings, clock, plan, counts, and the newest hundred jobs with their status."""
    account = service.account
    newest, _ = account.job_shelf.page(None, 100)
    return {
        "account": {
            "seed": account.settings.seed,
            "dialect": account.dialect.name,
            "organization_id": account.organization_id,
            "organization": account.settings.organization,
            "project": account.project,
        },
        "clock": {"now": now, "pace": account.pace},
        "plan": account.plan.as_json(),
        "counts": {
            "files": len(account.file_shelf),
            "jobs": len(account.job_shelf),
            "models": account.model_count,
            "by_status": account.status_counts.by_status(now),
        },
        "jobs": [{"id": each, "status": account.jobs[each].timeline().status(now)} for each in newest],
    }


def account_outcome(service: Service) -> dict[str, Any]:
    """Return what assertions and findings go by besides the requests: which things there are, and how jobs ended."""
    webhooks.list_endpoints(service)  # at the pace "instant" this ends the jobs, as any request does
    with service.lock:
        return outcome_at(service.account, service.clock.now())


def outcome_at(account: Account, now: float, only: Collection[str] | None = None) -> dict[str, Any]:
    """Return the `account_outcome` at a time, for those jobs *only* if they are given; the account's lock is held."""
    jobs = account.jobs.values()
    told = jobs if only is None else [account.jobs[each] for each in only if each in account.jobs]
    statuses = {job.id: job.timeline().status(now) for job in told}
    return {
        "jobs": [job.id for job in told],
        "files": [*account.files],
        "results": account.file_shelf.results(),
        "deleted": sorted(account.deleted),
        "over": {job.id: job.timeline().end for job in told if statuses[job.id] in TERMINAL},
        "errors": {job.id: job.error.code for job in told if statuses[job.id] == "failed" and job.error},
        "paused": [job_id for job_id, status in statuses.items() if status == "paused"],
        "used_files": [
            *(job.training_file for job in jobs),
            *(job.validation_file for job in jobs if job.validation_file),
        ],
        "has_webhooks": bool(account.outbox.endpoints),
    }
