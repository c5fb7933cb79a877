"""The views of the request log, and of the findings in it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fine_tuning_formats.secret_rules import redact_known, redact_text
from fine_tuning_formats.text import show_value

from ..account.recorded_calls import recorded_call
from ..account.request_log import FailedAssertion, LogEntry, secrets_of
from ..control import steering
from ..findings import CODES, FinalState, Finding, find
from ..findings.observed_calls import observed_jobs
from ..usage_errors import FakeUsageError
from ..web.request import ApiRequest
from .queries import PAGE_AT_MOST, parse_query, whole_number

LISTED = 100
FINDINGS_AT_MOST = 100
DOCUMENTATION = "https://fake-fine-tuning.github.io/fake-fine-tuning/findings/"


def list_requests(request: ApiRequest) -> Any:
    """Return logged requests, newest first, without their bodies."""
    query = parse_query(request, "before", "limit", "operation", "status", "text")
    log = request.requests
    limit = whole_number(query, "limit", LISTED, PAGE_AT_MOST) or 1
    before, text = whole_number(query, "before", log.count + 1), query.get("text", "").casefold()
    status = whole_number(query, "status", 0) if "status" in query else None
    found = [
        entry
        for entry in reversed(log.find(query.get("operation"), status))
        if entry.number < before and (not text or text in _searched_text(entry))
    ]
    page = found[:limit]
    return {
        "requests": [_row(entry) for entry in page],
        "total": log.count,
        "forgotten": log.forgotten,
        "failed_assertions": [asdict(each) for each in reversed(_failed_assertions(request))],
        "next": page[-1].number if len(found) > limit else None,
    }


def _row(entry: LogEntry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "at": entry.at,
        "method": entry.method,
        "path": _redact(entry, entry.path),
        "query": entry.query,
        "operation": entry.operation,
        "status": entry.status,
        "client": entry.headers.get("user-agent", ""),
        "fault": entry.fault,
    }


def _failed_assertions(request: ApiRequest) -> list[FailedAssertion]:
    log = request.requests
    if not (failed := log.failed_assertions):
        return []
    known = secrets_of(log.find())
    return [each.redacted(known) for each in failed]


def _redact(entry: LogEntry, text: str) -> str:
    return redact_known(text, list(secrets_of([entry])))


def _searched_text(entry: LogEntry) -> str:
    words = (entry.method, entry.path, entry.query, entry.operation or "", entry.headers.get("user-agent", ""))
    return " ".join((*words, entry.fault or "", str(entry.status))).casefold()


def get_request(request: ApiRequest) -> Any:
    """Return one request with its answer, keys redacted."""
    parse_query(request)
    number = request.path["number"]
    entries = request.requests.find()
    entry = next((entry for entry in entries if str(entry.number) == number), None)
    if entry is None:
        raise FakeUsageError(f"request {show_value(number)} is not in the log, which has the last {len(entries)}")
    known = secrets_of(entries)
    form = entry.form and {
        name: redact_text(value, known) if isinstance(value, str) else value for name, value in entry.form.items()
    }
    missed = [asdict(each) for each in _failed_assertions(request) if each.request == entry.number]
    more = {"form": form, "begun_at": entry.begun_at, "head": entry.head, "failed_assertions": missed}
    return {**entry.as_json(known), **more}


def list_findings(request: ApiRequest) -> Any:
    """Return the findings in the requests that the log has kept, each with the page that explains it."""
    parse_query(request)
    service = request.service
    calls = [recorded_call(entry) for entry in request.requests.find()]
    mentioned = {call.job_id for call in calls if call.job_id} | {job.job_id for job in observed_jobs(calls)}
    outcome = steering.outcome_at(service.account, service.clock.now(), mentioned)
    found = find(calls, FinalState.of(outcome))
    return {
        "findings": [_finding(each) for each in found[:FINDINGS_AT_MOST]],
        "total": len(found),
        "forgotten": request.requests.forgotten,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "summary": CODES[finding.code],
        "message": finding.message,
        "hint": finding.hint,
        "requests": [{"number": call.number, "text": str(call).strip()} for call in finding.calls],
        "page": f"{DOCUMENTATION}{finding.code}/",
    }
