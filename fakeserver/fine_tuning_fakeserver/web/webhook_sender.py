"""Send webhooks over HTTP, in a thread that lives as long as there is something to send or to wait for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..account.service import Service
from ..account.world import FLUSH_WITHIN_S
from ..api import webhooks
from ..clock import own_thread, real_now
from ..domain.webhook_events import DeliveryAttempt, WebhookDelivery

if TYPE_CHECKING:
    import httpx

ANSWER_WITHIN_S = 10.0
"""How long a target may take (inferred: the guide says "a few seconds")."""


class WebhookSender:
    """Sends the webhooks of one account when woken, and on a timer if virtual time runs by itself.

    It has a thread of its own, so that neither a server's event loop nor a request driven by hand ever waits for a
    target; a target in the same loop, or in the test's own thread, can answer.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._changed = threading.Condition()
        self._wakes = self._tried = 0
        """How many times it was woken; up to which of these all that was due has been tried."""
        self._thread: threading.Thread | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """Send nothing more, and end the thread as soon as nothing is under way."""
        with self._changed:
            self._is_stopped = True
            self._wakes += self._thread is not None  # it looks again, and finds nothing
            self._changed.notify_all()

    def wake(self) -> None:
        """Send what is due, soon; return at once."""
        if self._is_stopped or not self._service.account.outbox.endpoints:
            return
        if webhooks.next_delivery(self._service) is None:
            return
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fake-fine-tuning webhooks", daemon=True)
                self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether there is, or may be, something due that has not been tried."""
        return self._tried < self._wakes

    def flush(self, timeout_s: float = FLUSH_WITHIN_S) -> None:
        """Send what is due, and wait until all of it has been tried, or for *timeout_s*."""
        self.wake()
        with self._changed:
            wakes = self._wakes
            self._changed.wait_for(lambda: self._tried >= wakes, timeout_s)

    def _run(self) -> None:
        import httpx  # here, since few fakes send anything

        try:
            # Nothing of the environment (proxies), and no connection kept: a target may be gone at any time.
            limits = httpx.Limits(max_keepalive_connections=0)
            with own_thread(), httpx.Client(trust_env=False, timeout=ANSWER_WITHIN_S, limits=limits) as client:
                while self._send_or_wait(client):
                    pass
        finally:
            with self._changed:
                if self._thread is threading.current_thread():  # after a bug: let nobody wait for this thread
                    self._tried, self._thread = self._wakes, None
                    self._changed.notify_all()

    def _send_or_wait(self, client: httpx.Client) -> bool:
        """Send one delivery, or wait for the next; return False when no delivery is pending."""
        wakes = self._wakes
        due = None if self._is_stopped else webhooks.next_delivery(self._service)
        if due and due.delivery:
            webhooks.record_attempt(self._service, due, due.delivery, _attempt(client, due.delivery))
            return True
        with self._changed:
            if self._wakes != wakes:
                return True
            self._tried = wakes
            self._changed.notify_all()
            if due is None:
                self._thread = None  # under the lock, so that a later wake starts another
                return False
            self._changed.wait(due.wait_s)
            return True


def _attempt(client: httpx.Client, delivery: WebhookDelivery) -> DeliveryAttempt:
    import httpx

    at, sent_at = delivery.next_attempt_at or delivery.due_at, int(real_now())
    headers = delivery.signed_headers(sent_at)
    try:
        # The answer's body does not matter, and may be endless.
        with client.stream("POST", delivery.endpoint.url or "", content=delivery.body, headers=headers) as answer:
            return DeliveryAttempt(at, sent_at, answer.status_code)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return DeliveryAttempt(at, sent_at, error=f"{type(error).__name__}: {error}")
