"""Webhooks: where the end of a job is sent, its payload and signature, and when it is tried again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any
from urllib.parse import urlsplit

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import is_loopback, parse_http_url

from ..usage_errors import FakeUsageError, wrong_value
from . import ids
from .checks import check_fields, check_names, is_collection, is_printable_ascii


def is_valid_secret(secret: object) -> bool:
    """Return whether deliveries can be signed with *secret*."""
    try:
        return is_printable_ascii(secret) and bool(_signing_key(str(secret)))
    except ValueError:  # the part after whsec_ is not base64
        return False


def derived_secret(*parts: object) -> str:
    """Return a secret that depends on *parts*, in the service's form: ``whsec_`` and 32 bytes in base64."""
    return "whsec_" + base64.b64encode(ids.derived_number("webhook-secret", *parts).to_bytes(32)).decode()


def _signing_key(secret: str) -> bytes:
    encoded = secret.removeprefix("whsec_")
    return secret.encode() if encoded == secret else base64.b64decode(encoded, validate=True)


def signature(secret: str, identifier: str, sent_at: int, body: bytes) -> str:
    """Return the ``webhook-signature`` of a delivery: Standard Webhooks, version 1.

    Source: sdk (openai-python lib/_webhooks.py, and the vector in its tests).
    """
    signed = b"%s.%d.%s" % (identifier.encode(), sent_at, body)
    return "v1," + base64.b64encode(hmac.new(_signing_key(secret), signed, hashlib.sha256).digest()).decode()


# vendor: exponential backoff for up to 72 hours. Where it begins, and that it doubles, is inferred.
RETRY_AFTER, GIVE_UP_AFTER = 10.0, 72 * 3600.0

# vendor: the guide's example of a delivery
_FIXED_HEADERS = {
    "content-type": "application/json",
    "user-agent": "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)",
}


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """A registered webhook; it gets the jobs that end from `created_at` on, in virtual Unix seconds."""

    id: str
    url: str | None
    secret: str
    events: tuple[str, ...]
    created_at: float

    def as_json(self) -> dict[str, Any]:
        """Return all of it, for the control API."""
        return {
            "id": self.id,
            "url": self.url,
            "secret": self.secret,
            "events": list(self.events),
            "created_at": int(self.created_at),
        }


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One attempt, `at` in virtual Unix seconds, `sent_at` in real ones, with the status or the error it ended with.

    The real time is in the headers: receivers refuse what was sent more than five minutes from their own now.
    """

    at: float
    sent_at: int
    status: int | None = None
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the endpoint took it (vendor: any 2xx; a redirect is a failure)."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """An event for an endpoint. `id` is its ``webhook-id``, the same at every attempt."""

    id: str
    endpoint: WebhookEndpoint
    event_id: str
    type: str
    job: str
    due_at: float
    """When the job was over, in virtual Unix seconds."""
    attempts: tuple[DeliveryAttempt, ...] = ()

    @property
    def body(self) -> bytes:
        """The body, as bytes. Source: spec; member order and spacing are those of the SDK's test vector."""
        data = {"id": self.job}
        event = {"id": self.event_id, "object": "event", "created_at": int(self.due_at), "type": self.type}
        return json.dumps({**event, "data": data}).encode()

    @property
    def status(self) -> str:
        """``pending`` while it will be tried, then ``delivered`` or ``failed``."""
        if self.attempts and self.attempts[-1].succeeded:
            return "delivered"
        return "pending" if self.next_attempt_at is not None else "failed"

    @property
    def next_attempt_at(self) -> float | None:
        """When it will be tried, in virtual Unix seconds; None if it will not."""
        if not self.attempts:
            return self.due_at
        last = self.attempts[-1]
        again = last.at + RETRY_AFTER * 2 ** (len(self.attempts) - 1)
        return None if last.succeeded or again > self.due_at + GIVE_UP_AFTER else again

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the last attempt; empty before the first."""
        return self.signed_headers(self.attempts[-1].sent_at) if self.attempts else {}

    def signed_headers(self, sent_at: int) -> dict[str, str]:
        """Return the headers of an attempt at this real time."""
        return {
            **_FIXED_HEADERS,
            "webhook-id": self.id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": signature(self.endpoint.secret, self.id, sent_at, self.body),
        }

    def as_json(self) -> dict[str, Any]:
        """Return all of it, for the control API."""
        return {
            "id": self.id,
            "webhook": self.endpoint.id,
            "url": self.endpoint.url,
            "type": self.type,
            "job": self.job,
            "due_at": self.due_at,
            "status": self.status,
            "next_attempt_at": self.next_attempt_at,
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "headers": self.headers,
            "body": self.body.decode(),
        }


def build_delivery(seed: int, endpoint: WebhookEndpoint, job: str, status: str, at: float) -> WebhookDelivery:
    """Return the delivery to *endpoint* of the end of a job; same seed, same ids."""
    kind = f"fine_tuning.job.{status}"
    event = ids.timed_id("evt_", at, seed, job, status)
    return WebhookDelivery(ids.timed_id("wh_", at, seed, endpoint.id, job), endpoint, event, kind, job, at)


EVENTS = ("fine_tuning.job.succeeded", "fine_tuning.job.failed", "fine_tuning.job.cancelled")
"""The events of jobs; spec: there are no others."""


def _check_url(value: Any, name: str) -> Any:
    is_plain = is_printable_ascii(value) and " " not in value
    if value is not None and not (is_plain and parse_http_url(value)):
        raise wrong_value(name, "an HTTP URL, or None to collect its deliveries", value)
    return value


def _check_secret(value: Any, name: str) -> Any:
    if value is not None and not is_valid_secret(value):  # which is not shown: it may be a real one
        raise FakeUsageError(f"{name} must be printable ASCII, and base64 after 'whsec_'")
    return value


def _parse_events(value: Any, name: str) -> tuple[str, ...]:
    events = tuple(value) if is_collection(value) else ()
    if not events or not all(event in EVENTS for event in events):
        raise wrong_value(name, f"some of {', '.join(EVENTS)}", value)
    return events


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """The targets of webhooks.

    Args:
        url: an HTTP URL; None to have deliveries collected, and sent nowhere.
        secret: what they are signed with: ``whsec_`` and base64, or any text. None for one derived from the seed.
        events: which of `EVENTS` are sent.

    Raises:
        FakeUsageError: a value does not fit.
    """

    url: Annotated[str | None, _check_url] = None
    secret: Annotated[str | None, _check_secret] = None
    events: Annotated[tuple[str, ...], _parse_events] = EVENTS

    def __post_init__(self) -> None:
        check_fields(self, "webhook")

    @classmethod
    def parse(cls, value: object) -> WebhookConfig:
        """Return *value*, a config, its URL, or a mapping of its fields, as a config."""
        if isinstance(value, WebhookConfig):
            return value
        if isinstance(value, str):
            return cls(value)
        names = [field.name for field in fields(cls)]
        if not isinstance(value, Mapping):
            raise wrong_value("a webhook", f"a URL, or a mapping with {', '.join(names)}", value)
        check_names("webhook field", value, names)
        return cls(**value)

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return not self.url or is_loopback(urlsplit(self.url).hostname)


def check_webhook_url(webhook: WebhookConfig, *, remote_allowed: bool) -> None:
    """Check that a webhook is on this machine, or may be on another: a fake sends nothing elsewhere unasked.

    Raises:
        FakeUsageError: it is on another machine.
    """
    if not remote_allowed and not webhook.is_local:
        raise FakeUsageError(f"webhook {webhook.url}: only with allow_remote_webhooks may it be on another machine")
