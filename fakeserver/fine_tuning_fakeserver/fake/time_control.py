"""How virtual time passes: by itself, by request, and for code under test that sleeps."""

from __future__ import annotations

import time
from typing import Any

from fine_tuning_formats.text import Duration

from ..account.world import World
from ..clock import Pace, async_wait, wait
from ..control import steering


class TimeControl:
    """The account's time."""

    _world: World

    @property
    def now(self) -> float:
        """Virtual time, in Unix seconds."""
        return self._world.now

    @property
    def pace(self) -> Pace:
        """How virtual time passes: "polls", "manual", "instant", or virtual seconds a real second. Can be set."""
        return self._world.account.pace

    @pace.setter
    def pace(self, pace: Pace) -> None:
        self._world.service.set_pace(pace)
        self._world.sender.wake()

    def advance(self, duration: Duration) -> float:
        """Move time forward by ``90``, ``"90s"`` or a timedelta; return the new time. Works at every pace.

        Webhooks that come due are tried before this returns, as by `deliver_webhooks`.
        """
        now = steering.advance(self._world.service, duration)
        self._world.sender.flush()
        return now

    def advance_to(self, status: str | None = None, job: str | None = None, *, step: int | None = None) -> float:
        """Move time to where a job has a status or has done a step; return the new time.

        Without *job* it is the newest unfinished one.

        Raises:
            FakeUsageError: the job does not exist, or it never gets there.
        """
        now = steering.advance_to(self._world.service, status, job, step)
        self._world.sender.flush()
        return now

    def sleep(self, seconds: float) -> None:
        """Wait as a client does that polls.

        In virtual time this takes no real time; at the pace "polls" the next poll moves time, unless no job has
        anything ahead (one is paused, say), when a client's timeout must still come. At a numeric pace it takes real
        time.
        """
        if real_s := self._sleep(seconds):
            wait(real_s)

    async def async_sleep(self, seconds: float) -> None:
        """Wait as an async client does: other tasks have their turn, also where no real time passes."""
        await async_wait(self._sleep(seconds))

    def _sleep(self, seconds: float) -> float:
        """Let virtual time pass for a client that sleeps; return how many real seconds are left to sleep."""
        self._world.requests.slept_s += max(seconds, 0)
        if not isinstance(self.pace, str):
            return max(seconds, 0) / self.pace
        steering.sleep(self._world.service, seconds)
        return 0.0

    @property
    def time_module(self) -> FakeTimeModule:
        """A stand-in for the module `time` with the account's time, for code under test that sleeps."""
        return FakeTimeModule(self)


class FakeTimeModule:
    """A stand-in for the module `time`: its sleeps and its times, of all kinds, are virtual.

    As in ``monkeypatch.setattr("mypackage.train.time", fake.time_module)``, where ``train.py`` says ``import time``.
    For code that says ``from time import sleep`` there is `TimeControl.sleep`, and for ``asyncio.sleep``
    `TimeControl.async_sleep`. Everything else is the real module's, such as `gmtime` and `strftime`.
    """

    def __init__(self, control: TimeControl) -> None:
        self._control = control

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass, as `TimeControl.sleep` does."""
        self._control.sleep(seconds)

    def time(self) -> float:
        """Return virtual Unix seconds."""
        return self._control.now

    def time_ns(self) -> int:
        """Return virtual Unix nanoseconds."""
        return int(self._control.now * 1e9)

    monotonic = perf_counter = time
    monotonic_ns = perf_counter_ns = time_ns

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(time)})
