"""The webhook queue: the endpoints of an account, and the deliveries to them."""

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
    """Webhook endpoints and their deliveries.

    Deliveries are derived from jobs, as result files are: `materialize` adds those that are due.

    Args:
        seed: ids depend on it.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.endpoints: dict[str, WebhookEndpoint] = {}
        self._endpoints_made = 0
        self.deliveries: dict[str, WebhookDelivery] = {}
        self._pending: dict[str, WebhookDelivery] = {}
        self.ends: list[tuple[float, str]] = []
        """When jobs will end, as far as is known; an end that a job does not reach any more is skipped."""

    @property
    def has_targets(self) -> bool:
        """Whether any endpoint has a URL."""
        return any(endpoint.url is not None for endpoint in self.endpoints.values())

    def endpoint_for(self, target: WebhookConfig, at: float) -> WebhookEndpoint:
        """Return *target* as the account's next endpoint; its id, and a secret that was not given, are derived."""
        identifier = ids.timed_id("webhook_", at, self._seed, self._endpoints_made)
        secret = target.secret or derived_secret(self._seed, self._endpoints_made)
        return WebhookEndpoint(identifier, target.url, secret, target.events, at)

    def add(self, endpoint: WebhookEndpoint, unfinished: Iterable[Job] = ()) -> None:
        """Add an endpoint for the jobs that end from now on."""
        self.endpoints[endpoint.id] = endpoint
        self._endpoints_made += 1
        for job in unfinished:
            if job.timeline().status(endpoint.created_at) not in TERMINAL:
                self.schedule(job)

    def remove(self, identifier: str) -> None:
        """Remove an endpoint, and drop its pending deliveries."""
        del self.endpoints[identifier]
        for delivery in list(self._pending.values()):
            if delivery.endpoint.id == identifier:
                del self._pending[delivery.id], self.deliveries[delivery.id]

    def schedule(self, job: Job) -> None:
        """Materialize the deliveries of *job* when it ends."""
        at, status = job.timeline().milestones[-1]
        if status in TERMINAL:
            heapq.heappush(self.ends, (at, job.id))

    def materialize(self, now: float, jobs: Mapping[str, Job]) -> None:
        """Add the deliveries that are due by *now*."""
        while self.ends and self.ends[0][0] <= now:
            expected_at, identifier = heapq.heappop(self.ends)
            at, status = jobs[identifier].timeline().milestones[-1]
            if at != expected_at or status not in TERMINAL:
                continue
            for endpoint in self.endpoints.values():
                delivery = build_delivery(self._seed, endpoint, identifier, status, at)
                is_wanted = endpoint.created_at <= at and delivery.type in endpoint.events
                if is_wanted and delivery.id not in self.deliveries:
                    self.deliveries[delivery.id] = self._pending[delivery.id] = delivery

    def record_attempt(self, identifier: str, attempt: DeliveryAttempt) -> None:
        """Add an attempt to its delivery."""
        known = self.deliveries[identifier]
        delivery = replace(known, attempts=(*known.attempts, attempt))
        self.deliveries[identifier] = self._pending[identifier] = delivery
        if delivery.next_attempt_at is None:
            del self._pending[identifier]

    def is_pending(self, identifier: str) -> bool:
        """Return whether a delivery will be tried again."""
        return identifier in self._pending

    def next_delivery(self, *, sent: bool) -> WebhookDelivery | None:
        """Return the pending delivery that is due first, of those to be *sent* or of those that are collected only."""
        fitting = (delivery for delivery in self._pending.values() if (delivery.endpoint.url is not None) == sent)
        return min(fitting, key=lambda delivery: (delivery.next_attempt_at or 0.0, delivery.id), default=None)

    def in_order(self) -> list[WebhookDelivery]:
        """Return all deliveries, by when they were due."""
        return sorted(self.deliveries.values(), key=lambda delivery: (delivery.due_at, delivery.id))

    def next_end(self) -> float | None:
        """Return when the next job ends that an endpoint waits for, or None; it may turn out to end later."""
        return self.ends[0][0] if self.ends else None
