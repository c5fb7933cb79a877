"""Webhooks: who is told that a job is over, in which words, and when it is tried again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from fine_tuning_formats.network import is_loopback

from ..usage_errors import FakeUsageError
from . import ids


def is_secret(secret: object) -> bool:
    """Whether deliveries can be signed with *secret*."""
    if not isinstance(secret, str) or not secret or not (secret.isascii() and secret.isprintable()):
        return False
    try:
        return bool(_key(secret))
    except ValueError:  # after whsec_ there is no base64
        return False


def derived_secret(*parts: object) -> str:
    """A secret that depends on *parts*, as the service makes them: ``whsec_`` and 32 bytes in base64."""
    return "whsec_" + base64.b64encode(ids.draw("webhook-secret", *parts).to_bytes(32)).decode()


def _key(secret: str) -> bytes:
    encoded = secret.removeprefix("whsec_")
    return secret.encode() if encoded == secret else base64.b64decode(encoded, validate=True)


def signature(secret: str, identifier: str, sent_at: int, body: bytes) -> str:
    """The ``webhook-signature`` of a delivery: Standard Webhooks, version 1.

    Source: sdk (openai-python lib/_webhooks.py, and the vector in its tests).
    """
    signed = b"%s.%d.%s" % (identifier.encode(), sent_at, body)
    return "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()


# vendor: exponential backoff for up to 72 hours. Where it begins, and that it doubles, is inferred.
RETRY_AFTER, GIVE_UP_AFTER = 10.0, 72 * 3600.0

# vendor: the guide's example of a delivery
_FIXED_HEADERS = {
    "content-type": "application/json",
    "user-agent": "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)",
}


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """A target that an account has; it is told of jobs that end from `created_at` on, in virtual Unix seconds."""

    id: str
    url: str | None
    secret: str
    events: tuple[str, ...]
    created_at: float

    def as_json(self) -> dict[str, Any]:
        """All of it, for the fake's own user."""
        return {
            "id": self.id,
            "url": self.url,
            "secret": self.secret,
            "events": list(self.events),
            "created_at": int(self.created_at),
        }


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """A delivery was tried: `at` in virtual Unix seconds, `sent_at` in real ones; what came of it is one of the others.

    The real time is in the headers: receivers refuse what was sent more than five minutes from their own now.
    """

    at: float
    sent_at: int
    status: int | None = None
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the target took it (vendor: any 2xx; a redirect is a failure)."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """An event on its way to an endpoint. `id` is its ``webhook-id``, the same at every attempt."""

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
        """Pending while it will be tried, delivered, or failed when it was given up."""
        if self.attempts and self.attempts[-1].succeeded:
            return "delivered"
        return "pending" if self.next_attempt_at is not None else "failed"

    @property
    def next_attempt_at(self) -> float | None:
        """When it will be tried, in virtual Unix seconds; None when it will not."""
        if not self.attempts:
            return self.due_at
        last = self.attempts[-1]
        again = last.at + RETRY_AFTER * 2 ** (len(self.attempts) - 1)
        return None if last.succeeded or again > self.due_at + GIVE_UP_AFTER else again

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the last attempt; none before the first."""
        return self.signed(self.attempts[-1].sent_at) if self.attempts else {}

    def signed(self, sent_at: int) -> dict[str, str]:
        """The headers of an attempt at this real time."""
        return {
            **_FIXED_HEADERS,
            "webhook-id": self.id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": signature(self.endpoint.secret, self.id, sent_at, self.body),
        }

    def as_json(self) -> dict[str, Any]:
        """All of it, for the fake's own user."""
        return {
            "id": self.id,
            "webhook": self.endpoint.id,
            "url": self.endpoint.url,
            "type": self.type,
            "job": self.job,
            "status": self.status,
            "next_attempt_at": self.next_attempt_at,
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "headers": self.headers,
            "body": self.body.decode(),
        }


def build_delivery(seed: int, endpoint: WebhookEndpoint, job: str, status: str, at: float) -> WebhookDelivery:
    """The delivery that tells *endpoint* of the end of a job; same seed, same ids."""
    kind = f"fine_tuning.job.{status}"
    event = ids.timed_id("evt_", at, seed, job, status)
    return WebhookDelivery(ids.timed_id("wh_", at, seed, endpoint.id, job), endpoint, event, kind, job, at)


EVENTS = ("fine_tuning.job.succeeded", "fine_tuning.job.failed", "fine_tuning.job.cancelled")
"""What is told; spec: there are no others of jobs."""


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """Where webhooks are to go.

    Args:
        url: an HTTP URL; None to have deliveries collected, and sent nowhere.
        secret: what they are signed with: ``whsec_`` and base64, or any text. None for one derived from the seed.
        events: which of `EVENTS` are told.

    Raises:
        FakeUsageError: a value is no good.
    """

    url: str | None = None
    secret: str | None = None
    events: tuple[str, ...] = EVENTS

    def __post_init__(self) -> None:
        if self.url is not None:
            _check_url(self.url)
        if self.secret is not None and not is_secret(self.secret):
            raise FakeUsageError("a webhook's secret is text in printable ASCII; what follows 'whsec_' is base64")
        object.__setattr__(self, "events", _checked_events(self.events))

    @classmethod
    def of(cls, given: object) -> WebhookConfig:
        """*given* as a target: one, its URL, or a mapping of its fields."""
        if isinstance(given, WebhookConfig):
            return given
        if isinstance(given, str):
            return cls(given)
        names = [field.name for field in fields(cls)]
        if not isinstance(given, Mapping) or not set(given) <= set(names):
            raise FakeUsageError(f"a webhook is {given!r}: a URL is wanted, or a mapping with {', '.join(names)}")
        return cls(**given)

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine."""
        return not self.url or is_loopback(urlsplit(self.url).hostname)


def check_webhook_url(target: WebhookConfig, *, remote_allowed: bool) -> None:
    """Refuse a target on another machine, unless that is allowed: a fake talks to nobody unasked.

    Raises:
        FakeUsageError: it is on another machine.
    """
    if not remote_allowed and not target.is_here:
        raise FakeUsageError(f"webhook {target.url}: only with allow_remote_webhooks may it be on another machine")


def _check_url(url: object) -> None:
    try:
        parts = urlsplit(url) if isinstance(url, str) and url.isascii() and url.isprintable() else None
        sound = parts is not None and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, or half an IPv6 address
        sound = False
    if not sound or " " in str(url):
        raise FakeUsageError(f"a webhook's url is {url!r}: an HTTP URL is wanted, or None to collect its deliveries")


def _checked_events(given: object) -> tuple[str, ...]:
    events = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else ()
    if not events or not set(events) <= set(EVENTS):
        raise FakeUsageError(f"a webhook's events are {given!r}: some of {', '.join(EVENTS)} are wanted")
    return events
