"""Send webhooks over HTTP, in a thread that lives as long as there is something to send or to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from ..account.account import Account
from ..account.forking import renew_after_fork
from ..account.service import Service
from ..account.world import FLUSH_WITHIN_S, World
from ..api import webhooks
from ..api.webhooks import NextDeliveries
from ..clock import own_thread, real_now, steady
from ..domain.webhook_events import DeliveryAttempt, WebhookDelivery
from ..usage_errors import FakeUsageError

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("fine_tuning_fakeserver")

ANSWER_WITHIN_S = 10.0
"""How long a target may take for its whole answer (inferred: the guide says "a few seconds")."""

LOOK_AGAIN_S = 1.0
"""How many real seconds until a delivery that another process has begun to send is looked at again."""

T = TypeVar("T")

TARGETS_AT_ONCE = 100
"""To how many targets something is sent at the same time: each takes a descriptor."""


class WebhookSender:
    """Sends the webhooks of one account when woken, and on a timer if virtual time runs by itself.

    It has a thread of its own, so that neither a server's event loop nor a request driven by hand ever waits for a
    target; a target in the same loop, or in the test's own thread, can answer. In that thread an event loop has a task
    for each target that is being sent to, so that none waits for another.
    """

    def __init__(self, service: Service, world: World) -> None:
        self._service, self._world = service, world
        self._is_stopped = False
        self._forget_thread()
        renew_after_fork(self)

    def _forget_thread(self) -> None:
        self._changed = threading.Condition()
        self._wakes = self._tried = 0
        """How many times it was woken; up to which of these all that was due has been tried."""
        self._thread: threading.Thread | None = None
        self._woken: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        """The thread's loop, and what it waits for, while it can be woken."""

    def renew_locks(self) -> None:
        """Stop, in a forked child: what was due is the parent's to send."""
        self._forget_thread()
        self._is_stopped = True

    def stop(self) -> None:
        """Send nothing more, and end the thread as soon as nothing is under way."""
        with self._changed:
            self._is_stopped = True
            if self._thread is not None:  # it looks again, and finds nothing
                self._wake_thread()

    def wake(self) -> None:
        """Send what is due, soon; return at once."""
        if self._is_stopped or not self._service.account.outbox.endpoints:
            return
        if not self._world.is_stored:  # of one in a store, the thread finds out
            step = webhooks.next_deliveries(self._service)
            if not step.due and step.wait_s is None:
                return
        with self._changed:
            self._wake_thread()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fake-fine-tuning webhooks", daemon=True)
                self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether there is, or may be, something due that has not been tried."""
        return self._tried < self._wakes

    def _wake_thread(self) -> None:
        """Count a wake, and tell the thread; the lock is held."""
        self._wakes += 1
        if self._woken is not None:
            loop, event = self._woken
            loop.call_soon_threadsafe(event.set)

    def flush(self, timeout_s: float = FLUSH_WITHIN_S) -> None:
        """Send what is due, and wait until all of it has been tried, or for *timeout_s*."""
        self.wake()
        with self._changed:
            wakes = self._wakes
            self._changed.wait_for(lambda: self._tried >= wakes, timeout_s)

    def _run(self) -> None:
        try:
            with own_thread():
                asyncio.run(self._send_all())
        finally:
            with self._changed:
                if self._thread is threading.current_thread():  # after a bug, nothing may wait for this thread
                    self._tried, self._thread = self._wakes, None
                    self._changed.notify_all()

    async def _send_all(self) -> None:
        """Send what is due, to one target beside another, until nothing is due and nothing will be by itself."""
        import httpx  # here, since few fakes send anything

        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        # a test that freezes the clock must not freeze the loop's timers
        with contextlib.suppress(AttributeError):  # uvloop has a clock of its own
            loop.time = steady  # type: ignore[method-assign]
        self._turns = asyncio.Semaphore(TARGETS_AT_ONCE)
        with self._changed:
            self._woken = loop, woken
        under_way: dict[str, asyncio.Task[None]] = {}
        try:
            # Nothing of the environment (proxies), and no connection kept: a target may be gone at any time.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
            async with httpx.AsyncClient(trust_env=False, timeout=None, limits=limits) as client:
                while await self._send_or_wait(client, under_way, woken):
                    pass
        finally:
            with self._changed:
                self._woken = None

    async def _send_or_wait(
        self, client: httpx.AsyncClient, under_way: dict[str, asyncio.Task[None]], woken: asyncio.Event
    ) -> bool:
        """Begin to send what is due, then wait for more or for what is *under_way*; return False at the end."""
        woken.clear()
        wakes = self._wakes
        for endpoint in [endpoint for endpoint, task in under_way.items() if task.done()]:
            under_way.pop(endpoint).result()  # a crash is raised here
        step = await self._on_account(lambda: webhooks.next_deliveries(self._service, under_way))
        if self._is_stopped or step is None:
            step = NextDeliveries(self._service.account, [], None if self._is_stopped else LOOK_AGAIN_S)
        own = [each for each in step.due if await self._on_account(partial(self._world.may_deliver, each.id))]
        is_all = len(own) == len(step.due)
        # what another process sends is looked at again, as that may end before
        wait_s = step.wait_s if is_all else min(inf if step.wait_s is None else step.wait_s, LOOK_AGAIN_S)
        for delivery in own:
            task = asyncio.create_task(self._send(client, step.account, delivery))
            task.add_done_callback(lambda _: woken.set())
            under_way[delivery.endpoint.id] = task
        with self._changed:
            if self._wakes != wakes:
                return True
            if not under_way and is_all:
                self._tried = wakes
                self._changed.notify_all()
                if wait_s is None:
                    self._thread = self._woken = None  # under the lock, so that a later wake starts another
                    return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), wait_s)
        return True

    async def _send(self, client: httpx.AsyncClient, account: Account, delivery: WebhookDelivery) -> None:
        async with self._turns:
            attempt = await _attempt(client, delivery)
        await self._on_account(lambda: webhooks.record_attempt(self._service, account, delivery, attempt))

    async def _on_account(self, work: Callable[[], T]) -> T | None:
        """Run *work* on the account; on one in a store not after a reset, or while the store does not answer."""
        world = self._world
        if not world.is_stored:
            return work()
        try:
            return await asyncio.to_thread(world.run, lambda: work() if world.service is self._service else None)
        except FakeUsageError as error:
            log.error("webhooks wait: %s", error)
            return None


async def _attempt(client: httpx.AsyncClient, delivery: WebhookDelivery) -> DeliveryAttempt:
    """Send a delivery once; log the result if it was not accepted."""
    attempt = await _post(client, delivery)
    if not attempt.succeeded:
        target = urlsplit(delivery.endpoint.url or "")
        at = f"{target.scheme}://{target.netloc.rpartition('@')[2]}{target.path}"  # without what may be secret
        reason = attempt.error or f"answered {attempt.status}"
        again = replace(delivery, attempts=(*delivery.attempts, attempt)).next_attempt_at
        then = "given up" if again is None else f"again in {again - attempt.at:g} virtual seconds"
        members = {"webhook": delivery.type, "job": delivery.job, "url": at, "reason": reason}
        text = "webhook %s of %s not delivered to %s: %s; %s"
        log.info(text, delivery.type, delivery.job, at, reason, then, extra={"members": members})
    return attempt


async def _post(client: httpx.AsyncClient, delivery: WebhookDelivery) -> DeliveryAttempt:
    import httpx

    at, sent_at = delivery.next_attempt_at or delivery.due_at, int(real_now())
    headers = delivery.signed_headers(sent_at)
    url = delivery.endpoint.url or ""
    try:
        # The answer's body does not matter, and may be endless. httpx limits each read, not all of them together.
        request = client.stream("POST", url, content=delivery.body, headers=headers)
        async with asyncio.timeout(ANSWER_WITHIN_S), request as answer:
            return DeliveryAttempt(at, sent_at, answer.status_code)
    except TimeoutError:
        return DeliveryAttempt(at, sent_at, error=f"Timeout: no answer within {ANSWER_WITHIN_S:g} seconds")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return DeliveryAttempt(at, sent_at, error=f"{type(error).__name__}: {error}")
