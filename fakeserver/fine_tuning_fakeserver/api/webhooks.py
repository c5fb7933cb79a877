"""Webhooks of an account: its endpoints and deliveries. They are sent by `web.webhook_sender`."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import show_value

from ..account.account import Account
from ..account.records import DeliveryAttempted, WebhookAdded, WebhookRemoved
from ..account.service import Service, operation
from ..clock import real_now
from ..domain.webhook_events import DeliveryAttempt, WebhookConfig, WebhookDelivery, WebhookEndpoint, check_webhook_url
from ..usage_errors import FakeUsageError

WAIT_AT_MOST_S = 3600.0
"""The longest wait, however far the next delivery is: platforms limit the time-out of a wait."""


@operation
def add(service: Service, now: float, config: WebhookConfig) -> WebhookEndpoint:
    """Register an endpoint for the jobs that end from now on.

    Raises:
        FakeUsageError: it is on another machine, and that is not allowed.
    """
    check_webhook_url(config, remote_allowed=service.settings.allow_remote_webhooks)
    endpoint = service.account.outbox.endpoint_for(config, now)
    service.commit(WebhookAdded(endpoint))
    return endpoint


@operation
def remove(service: Service, now: float, identifier: str) -> dict[str, Any]:
    """Remove an endpoint and drop its pending deliveries.

    Raises:
        FakeUsageError: no endpoint has this id.
    """
    known = service.account.outbox.endpoints
    if identifier not in known:
        raise FakeUsageError(
            f"unknown webhook {show_value(identifier)}; expected one of: {', '.join(known) or 'none yet'}"
        )
    service.commit(WebhookRemoved(now, identifier))
    return {"id": identifier, "deleted": True}


@operation
def list_endpoints(service: Service, now: float) -> list[WebhookEndpoint]:
    """Return the endpoints, oldest first."""
    return list(service.account.outbox.endpoints.values())


@operation
def list_deliveries(service: Service, now: float) -> list[WebhookDelivery]:
    """Return the deliveries that were due by now, in the order in which they were due."""
    _deliver_unsent(service)
    return service.account.outbox.in_order()


@dataclass(frozen=True, slots=True)
class NextDeliveries:
    """The sender's next step: send what is `due`, at most one to each endpoint, and look again after `wait_s`.

    These are real seconds; None if nothing will be due by itself.
    """

    account: Account
    due: Sequence[WebhookDelivery]
    wait_s: float | None


def next_deliveries(service: Service, busy: Container[str] = ()) -> NextDeliveries:
    """Return what to send now to endpoints that are not *busy*, and when to look again if time passes by itself.

    No operation: the sender reads at any time, and must not move time, as a request does at the pace "instant".
    """
    with service.lock:
        now = service.clock.now()
        service.account.materialize(now)
        _deliver_unsent(service)
        outbox, pace = service.account.outbox, service.account.pace
        targets = [each.id for each in outbox.endpoints.values() if each.url is not None]
        pending = [delivery for each in targets if each not in busy and (delivery := outbox.next_delivery(each))]
        times = [at for each in pending if (at := each.next_attempt_at) is not None]
        due = [each for each, at in zip(pending, times, strict=True) if at <= now]
        if targets and (end := outbox.next_end()) is not None:
            times.append(end)
        later = [at for at in times if at > now]
        wait_s = None
        if later and not isinstance(pace, str):
            wait_s = min(service.clock.real_seconds_until(min(later)), WAIT_AT_MOST_S)
        return NextDeliveries(service.account, due, wait_s)


def _deliver_unsent(service: Service) -> None:
    """Let deliveries arrive that have no URL to be sent to."""
    for delivery in service.account.outbox.uncollected():
        service.commit(DeliveryAttempted(delivery.id, DeliveryAttempt(delivery.due_at, int(real_now()), status=200)))


def record_attempt(service: Service, account: Account, delivery: WebhookDelivery, attempt: DeliveryAttempt) -> None:
    """Record the result of sending for *account*, unless it was reset or the endpoint removed meanwhile."""
    with service.lock:
        if service.account is account and service.account.outbox.is_pending(delivery.id):
            service.commit(DeliveryAttempted(delivery.id, attempt))
