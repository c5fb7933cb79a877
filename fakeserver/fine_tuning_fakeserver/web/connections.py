"""The line to a client: what a door lets the fake do with it besides answering."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar

from starlette.types import Receive, Scope

LINE = "fine_tuning_fakeserver.line"
"""Where a request's scope has its line: in ``scope["state"]``, which a server copies for each request."""

T = TypeVar("T")

Ending: TypeAlias = Literal["timeout", "disconnect", "refuse"]
"""What a client without a whole answer is left with: it has waited too long, is hung up on, or is not let in."""


class Connection:
    """The line that a server of another make has: it can be held, and cannot be cut."""

    __slots__ = ()

    can_hang_up = False

    def set_client_error(self, names: tuple[str, ...], text: str) -> None:
        """Name what the client is to raise, when it gets no answer: the first of *names* that its library has.

        That can be had in this process only; over a socket a client sees what it sees.
        """

    async def delay(self, seconds: float, receive: Receive, pass_time: Callable[[float], object]) -> bool:
        """Let the client wait; False when it does not wait so long.

        Here, and on a socket, these are real seconds; in this process nobody waits, and it is virtual time that
        passes, by a call of *pass_time*.
        """
        try:
            async with asyncio.timeout(seconds):
                await wait_disconnected(receive)
        except TimeoutError:
            return True
        return False

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """Do *work* that takes long, while other requests go on; in this process, where nobody may wait, at once."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # a server that runs on another library, or none
            return work()
        return await asyncio.to_thread(work)

    async def close(self, receive: Receive, *, reset: bool) -> None:
        """End the connection: in an orderly way, or with *reset* at once, as if nobody had ever listened."""
        raise NotImplementedError


class InProcessConnection(Connection):
    """No connection at all: what would have become of one is noted.

    Args:
        patience_s: how many seconds the client waits for an answer; None for no limit.
    """

    __slots__ = ("called", "ending", "patience_s")

    can_hang_up = True

    def __init__(self, patience_s: float | None = None) -> None:
        self.patience_s = patience_s
        self.ending: Ending | None = None
        self.called: tuple[tuple[str, ...], str] = ((), "")

    def set_client_error(self, names: tuple[str, ...], text: str) -> None:
        """Note it."""
        self.called = (names, text)

    async def delay(self, seconds: float, receive: Receive, pass_time: Callable[[float], object]) -> bool:
        """Let virtual time pass, until the answer comes or the client has had enough."""
        # a script that names what the client raises does not wait for one that would wait for ever
        patience_s = 0.0 if self.patience_s is None and self.called[0] else self.patience_s
        if patience_s is not None and seconds > patience_s:
            pass_time(patience_s)
            self.ending = "timeout"
            return False
        pass_time(seconds)
        return True

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """Do it: there is no one else."""
        return work()

    async def close(self, receive: Receive, *, reset: bool) -> None:
        """Note it."""
        self.ending = "refuse" if reset else "disconnect"


_OF_ANOTHER_MAKE = Connection()


def connection_of(scope: Scope) -> Connection:
    """The line of a request."""
    found = scope.get("state", {}).get(LINE)
    return found if isinstance(found, Connection) else _OF_ANOTHER_MAKE


async def wait_disconnected(receive: Receive) -> None:
    """Wait until the client is gone; its request has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
