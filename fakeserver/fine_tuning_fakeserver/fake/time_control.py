"""How time passes: by itself, by request, and for code under test that sleeps."""

from __future__ import annotations

import time
from typing import Any

from ..clock import Pace, async_wait, wait
from ..control import steering
from ..domain.durations import Duration
from ..web.webhook_sender import WebhookSender
from .base import FakeBase


class TimeControl(FakeBase):
    """The account's time."""

    _courier: WebhookSender

    @property
    def now(self) -> float:
        """Virtual time, in Unix seconds."""
        return self._service.clock.now()

    @property
    def pace(self) -> Pace:
        """How virtual time passes: "polls", "manual", "instant", or virtual seconds a real second. Can be set."""
        return self._service.account.pace

    @pace.setter
    def pace(self, pace: Pace) -> None:
        self._service.set_pace(pace)
        self._courier.wake()

    def advance(self, duration: Duration) -> float:
        """Move time forward by ``90``, ``"90s"`` or a timedelta; return the new time. Works at every pace.

        Webhooks that come due are tried before this returns, as by `deliver_webhooks`.
        """
        now = steering.advance(self._service, duration)
        self._courier.flush()
        return now

    def sleep(self, seconds: float) -> None:
        """Wait as a client does that polls.

        In virtual time, which passes at once; at the pace "polls" it is the next look that moves it, unless nothing is
        ahead of any job (one is paused, say), when a client's timeout must still come. At a numeric pace, in real time.
        """
        if real_s := self._rest(seconds):
            wait(real_s)

    async def async_sleep(self, seconds: float) -> None:
        """The same for an async client: other tasks have their turn, also where no real time passes."""
        await async_wait(self._rest(seconds))

    def _rest(self, seconds: float) -> float:
        """Let virtual time pass as *seconds* of a client's sleep do; return how many real ones are left to sleep."""
        self.requests_log.slept_s += max(seconds, 0)
        if not isinstance(self.pace, str):
            return max(seconds, 0) / self.pace
        steering.sleep(self._service, seconds)
        return 0.0

    def advance_to(self, status: str | None = None, job: str | None = None, *, step: int | None = None) -> float:
        """Move time to where a job has a status or has done a step; return the new time.

        Without *job* it is the newest unfinished one.

        Raises:
            FakeUsageError: there is no such job, or it never gets there.
        """
        now = steering.advance_to(self._service, status, job, step)
        self._courier.flush()
        return now

    @property
    def time_module(self) -> FakeTimeModule:
        """The account's time in the place of the module `time`, for code under test that sleeps and has deadlines."""
        return FakeTimeModule(self)


class FakeTimeModule:
    """What stands in for the module `time`: sleeping is `Timing.sleep`, and the time, of all kinds, is virtual.

    As in ``monkeypatch.setattr("mypackage.train.time", fake.clock)``, where ``train.py`` says ``import time``. For code
    that says ``from time import sleep`` there is `Timing.sleep` itself, and for ``asyncio.sleep`` there is
    `Timing.async_sleep`. All that is not a method here is the module's own, `gmtime` and `strftime` among it.
    """

    def __init__(self, timing: TimeControl) -> None:
        self._timing = timing

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass, as `Timing.sleep` does."""
        self._timing.sleep(seconds)

    def time(self) -> float:
        """Virtual Unix seconds."""
        return self._timing.now

    def time_ns(self) -> int:
        """Virtual Unix nanoseconds."""
        return int(self._timing.now * 1e9)

    monotonic = perf_counter = time
    monotonic_ns = perf_counter_ns = time_ns

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
