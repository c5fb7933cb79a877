"""The log of `serve --log-format json`: a JSON object a line, on stderr."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson
from starlette.types import ASGIApp

from fine_tuning_formats.secret_rules import redact_known

from ..account.service import Service
from ..domain.job import Job
from ..domain.timeline import TERMINAL
from ..fake.fake_accounts import FakeAccounts
from ..web import is_page_path
from .line_queue import LineQueue
from .request_observer import PROBES, ObservedRequest, RequestObserver

log = logging.getLogger("fine_tuning_fakeserver")


def json_line(message: str, level: str = "info", **members: Any) -> str:
    """Return a line of the log."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    logged = {"time": now, "level": level, "message": message, **members}
    try:
        return orjson.dumps(logged, default=str).decode()
    except TypeError:  # half a surrogate pair, which is no UTF-8
        return json.dumps(logged, default=str)


def write_json_line(message: str, level: str = "info", **members: Any) -> None:
    """Write a line to stderr; where it cannot be written, that is no failure."""
    with suppress(OSError):
        if sys.stderr is not None:  # it is None if it was closed before the process began
            print(json_line(message, level, **members) + "\n", end="", file=sys.stderr, flush=True)  # in one piece


class JsonHandler(logging.Handler):
    """Writes log records; a record's ``members`` are members of its line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record*."""
        members = dict(getattr(record, "members", {}))
        if record.exc_info:
            members["traceback"] = logging.Formatter().formatException(record.exc_info)
        write_json_line(record.getMessage(), record.levelname.lower(), logger=record.name, **members)


class JsonAccessLog(RequestObserver):
    """ASGI middleware that writes a line for each request but health probes: without headers, and without keys."""

    def __init__(self, accounts: FakeAccounts, app: ASGIApp, lines: LineQueue) -> None:
        super().__init__(app)
        self._accounts = accounts
        self._lines = lines

    def observe(self, request: ObservedRequest) -> None:
        """Write the line of a request."""
        scope = request.scope
        if scope["path"] in PROBES or is_page_path(scope["path"]):
            return
        client, account = scope.get("client"), request.account
        self._lines.add(
            json_line(
                "request",
                client=f"{client[0]}:{client[1]}" if client else None,
                request_id=request.request_id,
                operation=request.operation,
                status=request.status,
                method=scope["method"],
                path=request.target,
                duration_ms=round(1000 * request.duration_s, 1),
                account=account and redact_known(account),
                virtual_time=round(self._accounts.moment_of(account).now, 3),
            )
        )


class JobLog:
    """Logs each new status of a job of any account, whenever `look` is called; that does not move time."""

    def __init__(self, accounts: FakeAccounts) -> None:
        self._accounts = accounts
        self._logs: dict[str, _AccountJobLog] = {}

    def look(self) -> None:
        """Log what has happened since the last look."""
        worlds = self._accounts.worlds
        self._logs = {name: self._logs.get(name) or _AccountJobLog(name) for name in worlds}
        for name, world in worlds.items():
            self._logs[name].look(world.service)


class _AccountJobLog:
    """Logs each new status of a job of one account."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._service: Service | None = None
        self._known = 0
        """How many jobs of the account were seen."""
        self._logged: dict[str, int] = {}
        """How many statuses were logged of each job that is not over."""

    def look(self, service: Service) -> None:
        """Log what has happened since the last look at *service*, the account's."""
        if service is not self._service:  # a new account
            self._service, self._known, self._logged = service, 0, {}
        with service.lock:
            now, jobs = service.clock.now(), service.account.jobs
            for identifier in islice(jobs, self._known, None):
                self._logged[identifier] = _old_news(jobs[identifier], service.created_at)
            self._known = len(jobs)
            for identifier, logged in list(self._logged.items()):
                job = jobs.get(identifier)
                reached = [(at, status) for at, status in job.timeline().milestones if at <= now] if job else []
                for at, status in reached[logged:]:
                    members = {
                        "account": redact_known(self._name),
                        "job": identifier,
                        "status": status,
                        "virtual_time": round(at, 3),
                    }
                    log.info("job %s is %s", identifier, status, extra={"members": members})
                self._logged[identifier] = len(reached)
                if job is None or (reached and reached[-1][1] in TERMINAL):  # None: a crash has undone its creation
                    del self._logged[identifier]


def _old_news(job: Job, born: float) -> int:
    """Return how many statuses a job had before the account began: those of a seeded one."""
    return sum(at <= born for at, _ in job.timeline().milestones) if job.created_at < born else 0
