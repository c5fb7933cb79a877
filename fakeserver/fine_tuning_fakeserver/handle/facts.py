"""What the account knows that the requests log does not: how its jobs stand, which files there are."""

from __future__ import annotations

from ..domain.timeline import TERMINAL
from ..findings.finding import Facts
from ..service import Service
from ..verbs import webhooks


def facts(service: Service) -> Facts:
    """The account as it stands now; looking moves no time but at the pace "instant"."""
    endpoints = webhooks.list_endpoints(service)
    with service.lock:
        now, jobs = service.clock.now(), list(service.account.jobs.values())
        return Facts(
            over={job.id: job.life().end for job in jobs if job.life().status(now) in TERMINAL},
            paused=frozenset(job.id for job in jobs if job.life().status(now) == "paused"),
            files=frozenset(service.account.files) - service.account.deleted,
            used_files=frozenset(file for job in jobs for file in (job.training_file, job.validation_file) if file),
            has_webhooks=bool(endpoints),
        )
