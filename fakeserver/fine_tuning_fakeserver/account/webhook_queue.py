"""The webhook queue: the endpoints of an account, and the deliveries to them."""

from __future__ import annotations

import heapq
from collections import defaultdict
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
        self._agendas: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
        """When the pending deliveries to an endpoint are to be tried, and their ids: a heap for each endpoint."""
        self.ends: list[tuple[float, str]] = []
        """When jobs will end, as far as is known; an end that a job does not reach any more is skipped."""

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
        for at, delivery in self._agendas.pop(identifier, ()):
            if self._is_current(at, delivery):
                del self.deliveries[delivery]

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
                    self.deliveries[delivery.id] = delivery
                    heapq.heappush(self._agendas[endpoint.id], (at, delivery.id))

    def record_attempt(self, identifier: str, attempt: DeliveryAttempt) -> None:
        """Add an attempt to its delivery."""
        known = self.deliveries[identifier]
        delivery = replace(known, attempts=(*known.attempts, attempt))
        self.deliveries[identifier] = delivery
        if delivery.next_attempt_at is not None:
            heapq.heappush(self._agendas[delivery.endpoint.id], (delivery.next_attempt_at, identifier))
        self.next_delivery(delivery.endpoint.id)  # forgets what has been tried

    def is_pending(self, identifier: str) -> bool:
        """Return whether a delivery will be tried again."""
        delivery = self.deliveries.get(identifier)
        return delivery is not None and delivery.next_attempt_at is not None

    def next_delivery(self, endpoint: str) -> WebhookDelivery | None:
        """Return the pending delivery to an endpoint that is due first."""
        agenda = self._agendas[endpoint]
        while agenda and not self._is_current(*agenda[0]):
            heapq.heappop(agenda)
        return self.deliveries[agenda[0][1]] if agenda else None

    def uncollected(self) -> list[WebhookDelivery]:
        """Return the pending deliveries to endpoints without a URL, by when they were due."""
        unsent = (self._agendas[endpoint.id] for endpoint in self.endpoints.values() if endpoint.url is None)
        entries = sorted(entry for agenda in unsent for entry in agenda if self._is_current(*entry))
        return [self.deliveries[identifier] for _, identifier in entries]

    def _is_current(self, at: float, identifier: str) -> bool:
        """Return whether this entry of an agenda still holds: a delivery that was tried has another, or none."""
        delivery = self.deliveries.get(identifier)
        return delivery is not None and delivery.next_attempt_at == at

    def in_order(self) -> list[WebhookDelivery]:
        """Return all deliveries, by when they were due."""
        return sorted(self.deliveries.values(), key=lambda delivery: (delivery.due_at, delivery.id))

    def next_end(self) -> float | None:
        """Return when the next job ends that an endpoint waits for, or None; it may turn out to end later."""
        return self.ends[0][0] if self.ends else None
