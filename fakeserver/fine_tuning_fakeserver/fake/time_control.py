"""How virtual time passes: by itself, by request, and for code under test that sleeps."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fine_tuning_formats.text import Duration

from ..account.world import VirtualWaits, World
from ..clock import Pace, async_wait, is_own_thread, wait
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
        self._note_moved_clock()
        self._world.sender.flush()
        return now

    def advance_to(self, status: str | None = None, job: str | None = None, *, step: int | None = None) -> float:
        """Move time to where a job has a status or has done a step; return the new time.

        Without *job* it is the newest unfinished one.

        Raises:
            FakeUsageError: the job does not exist, or it never gets there.
        """
        now = steering.advance_to(self._world.service, status, job, step)
        self._note_moved_clock()
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
        self._note_moved_clock()

    async def async_sleep(self, seconds: float) -> None:
        """Wait as an async client does: other tasks have their turn, also where no real time passes."""
        await async_wait(self._sleep(seconds))
        self._note_moved_clock()

    def _sleep(self, seconds: float) -> float:
        """Let virtual time pass for a client that sleeps; return how many real seconds are left to sleep.

        The fake's own server sleeps through a replaced `asyncio.sleep` as well, and is no client.
        """
        if is_own_thread():
            return max(seconds, 0)
        return steering.sleep_as_client(self._world, seconds)

    def pass_waited_time(self, seconds: float) -> None:
        """Move time by what the code under test has waited, at once, and send webhooks that come due meanwhile.

        For whoever makes waits virtual (see `bind_waits`). At another pace than "manual" time moves by its own rule.
        """
        if self.pace == "manual":
            self._sleep(seconds)
            self._world.sender.wake()

    def _note_moved_clock(self) -> None:
        if self._world.virtual_waits:
            self._world.virtual_waits.catch_up()

    @property
    def is_sending(self) -> bool:
        """Whether a webhook is being delivered, or about to be."""
        return self._world.sender.is_busy

    def bind_waits(self, waits: VirtualWaits | None) -> None:
        """Take *waits* for what makes waits of this process virtual, in findings and in `real_time`; None: nothing."""
        self._world.virtual_waits = waits

    def real_time(self) -> AbstractContextManager[None]:
        """Let waits take real time while the context lasts, in a test with virtual time; elsewhere they do anyway.

        Time of the account stands meanwhile. For what virtual time cannot see, such as the work of another process.
        """
        waits = self._world.virtual_waits
        return waits.real_time() if waits else nullcontext()

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
