"""The outbox: the endpoints of an account, and what they are to be told."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..domain import ids
from ..domain.job import Job
from ..domain.timeline import TERMINAL
from ..domain.webhook_events import (
    DeliveryAttempt,
    WebhookConfig,
    WebhookDelivery,
    WebhookEndpoint,
    build_delivery,
    derived_secret,
)


class WebhookQueue:
    """Deliveries come of the jobs' lives and of time, as result files do: `settle` makes known those that are due.

    Args:
        seed: ids depend on it.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.endpoints: dict[str, WebhookEndpoint] = {}
        self._endpoints_made = 0
        self.deliveries: dict[str, WebhookDelivery] = {}
        self._pending: dict[str, WebhookDelivery] = {}
        self._ends: list[tuple[float, str]] = []
        """When jobs will be over, as far as is known; an end that a job does not come to any more is passed over."""

    @property
    def has_targets(self) -> bool:
        """Whether anything is to be sent, and not collected only."""
        return any(endpoint.url is not None for endpoint in self.endpoints.values())

    def endpoint_for(self, target: WebhookConfig, at: float) -> WebhookEndpoint:
        """*target* as the account's next endpoint; what was not given is derived."""
        identifier = ids.timed_id("webhook_", at, self._seed, self._endpoints_made)
        secret = target.secret or derived_secret(self._seed, self._endpoints_made)
        return WebhookEndpoint(identifier, target.url, secret, target.events, at)

    def add(self, endpoint: WebhookEndpoint, unfinished: Iterable[Job] = ()) -> None:
        """Tell *endpoint* of the jobs that end from now on."""
        self.endpoints[endpoint.id] = endpoint
        self._endpoints_made += 1
        for job in unfinished:
            if job.timeline().status(endpoint.created_at) not in TERMINAL:
                self.schedule(job)

    def remove(self, identifier: str) -> None:
        """Tell an endpoint nothing more, not even what it is still to be told."""
        del self.endpoints[identifier]
        for delivery in list(self._pending.values()):
            if delivery.endpoint.id == identifier:
                del self._pending[delivery.id], self.deliveries[delivery.id]

    def schedule(self, job: Job) -> None:
        """Look at *job* when it will be over."""
        at, status = job.timeline().milestones[-1]
        if self.endpoints and status in TERMINAL:
            heapq.heappush(self._ends, (at, job.id))

    def materialize(self, now: float, jobs: Mapping[str, Job]) -> None:
        """Make known what is to be told by *now*."""
        while self._ends and self._ends[0][0] <= now:
            expected_at, identifier = heapq.heappop(self._ends)
            at, status = jobs[identifier].timeline().milestones[-1]
            if at == expected_at and status in TERMINAL:
                self._add_deliveries(identifier, status, at)

    def _add_deliveries(self, job: str, status: str, at: float) -> None:
        for endpoint in self.endpoints.values():
            delivery = build_delivery(self._seed, endpoint, job, status, at)
            is_told = endpoint.created_at <= at and delivery.type in endpoint.events
            if is_told and delivery.id not in self.deliveries:
                self.deliveries[delivery.id] = self._pending[delivery.id] = delivery

    def record_attempt(self, identifier: str, attempt: DeliveryAttempt) -> None:
        """Put down what came of an attempt."""
        known = self.deliveries[identifier]
        delivery = replace(known, attempts=(*known.attempts, attempt))
        self.deliveries[identifier] = self._pending[identifier] = delivery
        if delivery.next_attempt_at is None:
            del self._pending[identifier]

    def is_pending(self, identifier: str) -> bool:
        """Whether a delivery will be tried again."""
        return identifier in self._pending

    def next_delivery(self, *, sent: bool) -> WebhookDelivery | None:
        """The pending delivery that is to be tried first, of those to be sent or of those that are collected only."""
        fitting = (each for each in self._pending.values() if (each.endpoint.url is not None) == sent)
        return min(fitting, key=lambda each: (each.next_attempt_at or 0.0, each.id), default=None)

    def in_order(self) -> list[WebhookDelivery]:
        """All deliveries, by when they were due; when they were made known depends on who looked when."""
        return sorted(self.deliveries.values(), key=lambda each: (each.due_at, each.id))

    def next_end(self) -> float | None:
        """When a job will be over next, if there is anybody to tell; it may turn out to be later."""
        return self._ends[0][0] if self._ends else None
