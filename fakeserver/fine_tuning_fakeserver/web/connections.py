"""The connection to a client: delay it, close it, reset it, as far as the server lets the fake do so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar

from starlette.types import Receive, Scope

CONNECTION_KEY = "fine_tuning_fakeserver.connection"
"""Where a request's ``scope["state"]``, which a server copies for each request, has its connection."""

T = TypeVar("T")

Ending: TypeAlias = Literal["timeout", "disconnect", "refuse"]
"""How a request ends without a whole response: the client has waited too long, was disconnected, or never let in."""


class Connection:
    """The connection of a server that is not the fake's own: it can be delayed, and not closed."""

    __slots__ = ()

    can_close = False

    def set_client_error(self, names: tuple[str, ...], text: str) -> None:
        """Set what the client raises if it gets no response: the first of *names* that its library has.

        This works in process only; over a socket a client raises what it makes of the connection.
        """

    async def delay(self, seconds: float, receive: Receive, pass_time: Callable[[float], object]) -> bool:
        """Delay the response; return False if the client does not wait that long.

        On a socket these are real seconds. In process nobody waits: virtual time passes, by a call of *pass_time*.
        """
        try:
            async with asyncio.timeout(seconds):
                await wait_disconnected(receive)
        except TimeoutError:
            return True
        return False

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """Run *work*, which takes long, while other requests go on; in process, where nothing may wait, at once."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # a server that runs on another library, or none
            return work()
        return await asyncio.to_thread(work)

    async def close(self, receive: Receive, *, reset: bool) -> None:
        """Close the connection, or with *reset* abort it, as if nobody had listened."""
        raise NotImplementedError


class InProcessConnection(Connection):
    """No connection at all: it keeps what would have become of one.

    Args:
        patience_s: how many seconds the client waits for a response; None for no limit.
    """

    __slots__ = ("client_error", "ending", "patience_s")

    can_close = True

    def __init__(self, patience_s: float | None = None) -> None:
        self.patience_s = patience_s
        self.ending: Ending | None = None
        self.client_error: tuple[tuple[str, ...], str] = ((), "")

    def set_client_error(self, names: tuple[str, ...], text: str) -> None:
        """Keep it for the transport."""
        self.client_error = (names, text)

    async def delay(self, seconds: float, receive: Receive, pass_time: Callable[[float], object]) -> bool:
        """Let virtual time pass until the response comes or the client's timeout is over."""
        # a script that names what the client raises does not wait for one that would wait for ever
        patience_s = 0.0 if self.patience_s is None and self.client_error[0] else self.patience_s
        if patience_s is not None and seconds > patience_s:
            pass_time(patience_s)
            self.ending = "timeout"
            return False
        pass_time(seconds)
        return True

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """Run it here: there are no other requests."""
        return work()

    async def close(self, receive: Receive, *, reset: bool) -> None:
        """Keep how the request ended."""
        self.ending = "refuse" if reset else "disconnect"


_FOREIGN = Connection()


def connection_of(scope: Scope) -> Connection:
    """Return the connection of a request."""
    connection = scope.get("state", {}).get(CONNECTION_KEY)
    return connection if isinstance(connection, Connection) else _FOREIGN


async def wait_disconnected(receive: Receive) -> None:
    """Wait until the client, whose request has been read, disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
