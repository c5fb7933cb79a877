"""The wall clock: `time.time` and `datetime` of the whole process are the fake's clock, by time-machine."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ..usage_errors import FakeUsageError
from .scheduler import AccountClock, VirtualTime


@contextmanager
def wall_clock(virtual: VirtualTime, fake: AccountClock) -> Generator[None, None, None]:
    """Let the wall clock of the process be the clock of *fake* while the context lasts.

    Raises:
        FakeUsageError: time-machine is not installed.
    """
    try:
        import time_machine
    except ModuleNotFoundError:
        raise FakeUsageError("wall_clock needs time-machine: pip install 'fake-fine-tuning[wall-clock]'") from None
    with time_machine.travel(fake.now, tick=False) as traveller:
        virtual.on_move = lambda: traveller.move_to(fake.now)
        yield
