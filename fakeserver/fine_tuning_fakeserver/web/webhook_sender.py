"""The courier: sends webhooks over HTTP, from a thread that lives as long as there is something to send or wait for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..account.service import Service
from ..api import webhooks
from ..clock import real_now
from ..domain.webhook_events import DeliveryAttempt, WebhookDelivery

if TYPE_CHECKING:
    import httpx

ANSWER_WITHIN_S = 10.0
"""How long a target may take (inferred: the guide says "a few seconds")."""

PATIENCE_S = 5.0
"""How long `deliver` waits. Less than a target may take: one that waits for who waits here gets its turn in time."""


class WebhookSender:
    """Sends what is due whenever it is told to look, and of itself where virtual time passes by itself.

    It has a thread of its own, so that neither a server's event loop nor a request driven by hand ever waits for a
    target; a target in the same loop, or in the test's own thread, can answer.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._changed = threading.Condition()
        self._asked = self._answered = 0
        """How many times it was told to look; up to which of these all that was due has been tried."""
        self._thread: threading.Thread | None = None
        self._is_stopped = False

    def reset(self) -> None:
        """Forget what there was to send: the account is a new one."""
        self._wake(is_stopped=False)

    def stop(self) -> None:
        """Send nothing more, and end the thread as soon as nothing is on its way."""
        self._wake(is_stopped=True)

    def _wake(self, *, is_stopped: bool) -> None:
        with self._changed:
            self._is_stopped = is_stopped
            self._asked += self._thread is not None  # it looks again, and finds nothing
            self._changed.notify_all()

    def wake(self) -> None:
        """Send what is due, soon; this waits for nothing."""
        if self._is_stopped or not self._service.account.outbox.endpoints:
            return
        if webhooks.next_delivery(self._service) is None:
            return
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="fake-fine-tuning webhooks", daemon=True)
                self._thread.start()

    def flush(self, timeout_s: float = PATIENCE_S) -> None:
        """Send what is due, and wait until all of it has been tried, or for *timeout_s*."""
        self.wake()
        with self._changed:
            asked = self._asked
            self._changed.wait_for(lambda: self._answered >= asked, timeout_s)

    def _work(self) -> None:
        import httpx  # here, since few fakes send anything

        try:
            # Nothing of the environment (proxies), and no connection kept: a target may be gone at any time.
            limits = httpx.Limits(max_keepalive_connections=0)
            with httpx.Client(trust_env=False, timeout=ANSWER_WITHIN_S, limits=limits) as client:
                while self._run(client):
                    pass
        finally:
            with self._changed:
                if self._thread is threading.current_thread():  # after a bug: let nobody wait for this thread
                    self._answered, self._thread = self._asked, None
                    self._changed.notify_all()

    def _run(self, client: httpx.Client) -> bool:
        """Do one errand, or wait for the next; False when there is none."""
        asked = self._asked
        errand = None if self._is_stopped else webhooks.next_delivery(self._service)
        if errand and errand.delivery:
            webhooks.record_attempt(self._service, errand, errand.delivery, _attempt(client, errand.delivery))
            return True
        with self._changed:
            if self._asked != asked:
                return True
            self._answered = asked
            self._changed.notify_all()
            if errand is None:
                self._thread = None  # here, so that who looks from now on starts another
                return False
            self._changed.wait(errand.wait_s)
            return True


def _attempt(client: httpx.Client, delivery: WebhookDelivery) -> DeliveryAttempt:
    import httpx

    at, sent_at = delivery.next_attempt_at or delivery.due_at, int(real_now())
    headers = delivery.signed_headers(sent_at)
    try:
        # The answer's body is nobody's concern, and may be endless.
        with client.stream("POST", delivery.endpoint.url or "", content=delivery.body, headers=headers) as answer:
            return DeliveryAttempt(at, sent_at, answer.status_code)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return DeliveryAttempt(at, sent_at, error=f"{type(error).__name__}: {error}")
