"""The views of jobs: the list, one job with its course, its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from fine_tuning_formats.job_rules import JOB_STATUSES
from fine_tuning_formats.text import show_value

from ..account.account import Account
from ..account.indexes import UnknownCursorError
from ..api.response_objects import checkpoint_objects, event_object, job_object
from ..api.schemas import job_schemas
from ..domain.dialects.dialect import to_dialect
from ..domain.job import Job
from ..domain.metrics import result_csv
from ..domain.timeline import Event, Timeline, TrainingSegment
from ..domain.training_methods import METHODS
from ..domain.webhook_events import build_delivery
from ..evidence import Evidence
from ..usage_errors import FakeUsageError, wrong_value
from ..web.request import ApiRequest
from .curves import curves
from .queries import PAGE_AT_MOST, parse_query, whole_number

LISTED = 50
"""How many jobs or events a page has by default."""
SEARCHED_AT_MOST = 500
"""How many jobs one request compares with a filter: a look must not cost more the more jobs there are."""
RESULT_ROWS = 50
EVENT_KINDS = ("all", "messages", "problems")


def list_jobs(request: ApiRequest) -> Any:
    """Return jobs, newest first; with a filter those among the next so many, and where to search on."""
    query = parse_query(request, "after", "limit", "status", "text")
    status, text = query.get("status"), query.get("text", "").casefold()
    if status is not None and status not in JOB_STATUSES:
        raise wrong_value("status", f"one of {', '.join(JOB_STATUSES)}", status)
    limit = whole_number(query, "limit", LISTED, PAGE_AT_MOST) or 1
    account, now = request.service.account, request.service.clock.now()
    is_filtered = bool(status or text)
    try:
        page, has_more = account.job_shelf.page(query.get("after"), SEARCHED_AT_MOST if is_filtered else limit)
    except UnknownCursorError:
        raise FakeUsageError(f"after must be the id of a job, got {show_value(query['after'])}") from None
    rows: list[dict[str, Any]] = []
    searched = 0
    for identifier in page:
        job = account.jobs[identifier]
        searched += 1
        if (not status or job.timeline().status(now) == status) and (not text or text in _searched_text(job)):
            rows.append(_row(job, now))
            if len(rows) == limit:
                break
    has_more = has_more or searched < len(page)
    return {
        "jobs": rows,
        "searched": searched,
        "total": len(account.jobs),
        "next": page[searched - 1] if has_more and searched else None,
    }


def _searched_text(job: Job) -> str:
    metadata = (text for pair in (job.metadata or {}).items() for text in pair)
    words = (job.id, job.model, job.suffix or "", job.training_file, job.validation_file or "", *metadata)
    return "\n".join(words).casefold()


def _row(job: Job, now: float) -> dict[str, Any]:
    timeline, spec = job.timeline(), job.current_spec
    status = timeline.status(now)
    error = job.error if status == "failed" else None
    return {
        "id": job.id,
        "status": status,
        "model": job.model,
        "suffix": job.suffix,
        "method": spec.method,
        "steps_done": timeline.steps_done(now),
        "steps": spec.steps,
        "created_at": job.created_at,
        "ended_at": _ended_at(timeline, now),
        "error": error and error.code,
    }


def _ended_at(timeline: Timeline, now: float) -> float | None:
    at, status = timeline.milestones[-1]
    return at if status in ("succeeded", "failed", "cancelled") and at <= now else None


def get_job(request: ApiRequest) -> Any:
    """Return one job: its course so far and ahead, curves, checkpoints, result, deliveries, evidence."""
    parse_query(request)
    account, now = request.service.account, request.service.clock.now()
    job = _find(account, request.path["job_id"])
    timeline, spec = job.timeline(), job.current_spec
    status, done = timeline.status(now), timeline.steps_done(now)
    checkpoints = checkpoint_objects(job, timeline, account.dialect) if status == "succeeded" else []
    members = METHODS[spec.method].members
    shown = to_dialect(account.dialect, job_object(job, now, account.dialect))
    return {
        **_row(job, now),
        "object": shown,
        "now": now,
        "error": asdict(job.error) if status == "failed" and job.error else None,
        "phases": _phases(timeline, now),
        "marks": _marks(timeline, now),
        "curves": curves(spec, done),
        "checkpoints": [to_dialect(account.dialect, each) for each in checkpoints],
        "hyperparameters": [
            {"name": name, "asked": getattr(job.requested, name), "decided": getattr(spec.hyperparameters, name)}
            for name in members
        ],
        "n_epochs": spec.n_epochs,
        "tokens": spec.tokens,
        "seed": job.seed,
        "plan": spec.plan.as_json(),
        "result": _result(account, job),
        "deliveries": _deliveries(account, job, timeline),
        "evidence": {
            "statuses": _evidence(job_schemas.STATUSES, {reached for _, reached in timeline.milestones}),
            "members": _evidence({name: backing for name, _, backing in job_schemas.JOB.members()}, shown),
        },
    }


def _find(account: Account, identifier: str) -> Job:
    if identifier not in account.jobs:
        raise FakeUsageError(f"there is no job {show_value(identifier)}")
    return account.jobs[identifier]


def _phases(timeline: Timeline, now: float) -> list[dict[str, Any]]:
    """Return each status with its time; one that ends the job, or has no end in sight, ends never."""
    ends: list[float | None] = [at for at, _ in timeline.milestones[1:]]
    return [
        {"status": status, "from": at, "to": end, "is_ahead": at > now}
        for (at, status), end in zip(timeline.milestones, [*ends, None], strict=True)
    ]


def _marks(timeline: Timeline, now: float) -> list[dict[str, Any]]:
    """Return what happens besides changes of status, and the runs of training steps."""
    marks: list[dict[str, Any]] = []
    for segment in timeline.segments:
        if isinstance(segment, TrainingSegment):
            run = {"first": segment.first, "last": segment.last, "seconds_per_step": segment.seconds_per_step}
            since = segment.completion_time(segment.first - 1)
            marks.append({"kind": "training", "at": since, "to": segment.end, "is_ahead": since > now, **run})
        elif not timeline.kinds[segment.kind].status:
            marks.append({"kind": segment.kind, "at": segment.at, "is_ahead": segment.at > now, "step": segment.step})
    return marks


def _result(account: Account, job: Job) -> dict[str, Any] | None:
    """Return the beginning of the result file, as a table; its size is not looked up, since it takes long."""
    if account.file_shelf.job_of(job.result_file) != job.id:
        return None
    names, *rows = (line.rstrip("\n").split(",") for line in islice(result_csv(job.current_spec), RESULT_ROWS + 1))
    return {"id": job.result_file, "columns": names, "rows": rows}


def _deliveries(account: Account, job: Job, timeline: Timeline) -> list[dict[str, Any]]:
    """Return the deliveries to the webhooks that there are; ids are derived, so none is searched for."""
    at, status = timeline.milestones[-1]
    endpoints = account.outbox.endpoints.values()
    ids = (build_delivery(account.settings.seed, endpoint, job.id, status, at).id for endpoint in endpoints)
    return [account.outbox.deliveries[each].as_json() for each in ids if each in account.outbox.deliveries]


def _evidence(known: Mapping[str, Evidence], names: Iterable[str]) -> dict[str, Any]:
    return {name: _shown(known[name]) for name in names if name in known}


def _shown(evidence: Evidence) -> dict[str, str]:
    return {"kind": evidence.kind, "source": evidence.source, "date": evidence.date}


def list_events(request: ApiRequest) -> Any:
    """Return events, newest first: all, those that are no training step's, or warnings and errors."""
    query = parse_query(request, "before", "limit", "kind")
    if (kind := query.get("kind", "all")) not in EVENT_KINDS:
        raise wrong_value("kind", f"one of {', '.join(EVENT_KINDS)}", kind)
    service = request.service
    account, now = service.account, service.clock.now()
    job = _find(account, request.path["job_id"])
    timeline = job.timeline()
    visible = timeline.event_count(now)
    end = min(whole_number(query, "before", visible), visible)
    limit = whole_number(query, "limit", LISTED, PAGE_AT_MOST) or 1
    ordinals: Sequence[int] = range(visible)
    if kind != "all":
        ordinals = [
            each for each in timeline.message_ordinals(now) if kind == "messages" or _is_problem(timeline, each)
        ]
    end = sum(each < end for each in ordinals) if kind != "all" else end
    page = ordinals[max(end - limit, 0) : end]
    events = [_event(account, job, timeline, ordinal) for ordinal in reversed(page)]
    return {"events": events, "total": len(ordinals), "next": page[0] if page and page[0] != ordinals[0] else None}


def _is_problem(timeline: Timeline, ordinal: int) -> bool:
    return timeline.kinds[timeline.event(ordinal).kind].level != "info"


def _event(account: Account, job: Job, timeline: Timeline, ordinal: int) -> dict[str, Any]:
    event: Event = timeline.event(ordinal)
    backing = job_schemas.EVENT_TEXTS.get(event.kind) or job_schemas.STEP_TEXTS[job.spec.method]
    shown = to_dialect(account.dialect, event_object(job, timeline, ordinal))
    return {"ordinal": ordinal, "at": event.at, "event": shown, "evidence": _shown(backing)}
