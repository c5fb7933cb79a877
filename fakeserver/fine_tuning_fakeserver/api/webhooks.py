"""Webhooks of an account: its endpoints, and what has become of deliveries. Sending is the edge's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..account.account import Account
from ..account.records import DeliveryAttempted, WebhookAdded, WebhookRemoved
from ..account.service import Service, operation
from ..clock import real_now
from ..domain.webhook_events import DeliveryAttempt, WebhookConfig, WebhookDelivery, WebhookEndpoint, check_webhook_url
from ..usage_errors import FakeUsageError


@operation
def add(service: Service, now: float, target: WebhookConfig) -> WebhookEndpoint:
    """Register a target: it is told of the jobs that are over from now on.

    Raises:
        FakeUsageError: it is on another machine, and that is not allowed.
    """
    check_webhook_url(target, remote_allowed=service.settings.allow_remote_webhooks)
    endpoint = service.account.outbox.endpoint_for(target, now)
    service.commit(WebhookAdded(endpoint))
    return endpoint


@operation
def remove(service: Service, now: float, identifier: str) -> dict[str, Any]:
    """Take an endpoint away, with what it is still to be told.

    Raises:
        FakeUsageError: there is none of this id.
    """
    known = service.account.outbox.endpoints
    if identifier not in known:
        raise FakeUsageError(f"there is no webhook {identifier!r}; there are: {', '.join(known) or 'none'}")
    service.commit(WebhookRemoved(now, identifier))
    return {"id": identifier, "deleted": True}


@operation
def list_endpoints(service: Service, now: float) -> list[WebhookEndpoint]:
    """The endpoints, oldest first."""
    return list(service.account.outbox.endpoints.values())


@operation
def list_deliveries(service: Service, now: float) -> list[WebhookDelivery]:
    """What endpoints have been told, or are to be told by now, by when it was due."""
    _collect(service, now)
    return service.account.outbox.in_order()


@dataclass(frozen=True, slots=True)
class NextDelivery:
    """What is to be done next for an account: send `delivery`, or look again in `wait_s` real seconds."""

    account: Account
    delivery: WebhookDelivery | None
    wait_s: float = 0.0


WAIT_AT_MOST_S = 3600.0
"""However far the next moment is: a platform cannot wait for any length."""


def next_delivery(service: Service) -> NextDelivery | None:
    """What is to be sent now, or later if time passes by itself; None when there is nothing of either.

    No verb: it may be asked at any time, so it must not move time, as a request does at the pace "instant".
    """
    with service.lock:
        now = service.clock.now()
        service.account.materialize(now)
        _collect(service, now)
        outbox, pace = service.account.outbox, service.account.pace
        delivery = outbox.next_delivery(sent=True)
        at = delivery.next_attempt_at if delivery else None
        if at is not None and at <= now:
            return NextDelivery(service.account, delivery)
        moments = [moment for moment in (at, outbox.next_end()) if moment is not None]
        if isinstance(pace, str) or not moments or not outbox.has_targets:
            return None
        return NextDelivery(service.account, None, min((min(moments) - now) / pace, WAIT_AT_MOST_S))


def _collect(service: Service, now: float) -> None:
    """Let deliveries arrive that are not sent."""
    while (delivery := service.account.outbox.next_delivery(sent=False)) is not None:
        service.commit(DeliveryAttempted(delivery.id, DeliveryAttempt(delivery.due_at, int(real_now()), status=200)))


def record_attempt(service: Service, errand: NextDelivery, delivery: WebhookDelivery, attempt: DeliveryAttempt) -> None:
    """Put down what came of sending; nothing when the account or the endpoint is not there any more."""
    with service.lock:
        if service.account is errand.account and service.account.outbox.is_pending(delivery.id):
            service.commit(DeliveryAttempted(delivery.id, attempt))
