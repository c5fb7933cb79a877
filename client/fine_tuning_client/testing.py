"""The hook for tests: send every client of this process somewhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import field
from typing import TYPE_CHECKING, Self

from fine_tuning_client.config import check_url
from fine_tuning_formats.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from fine_tuning_client.transport import HttpClient


@dataclass(slots=True, eq=False)
class redirect:  # it reads as a verb: with redirect(url):
    """Send the requests of every client, those made earlier included, to *base_url* while the context lasts.

    The provider's name and capabilities are still checked; its key and address are not needed. What is None is left
    to the client.

    Args:
        base_url: Address of a fake, with its ``/v1``; None leaves providers, their keys and their
            addresses as they are, and changes only how time passes.
        api_key: Key to send, always as ``Authorization: Bearer``.
        http_client: Used by blocking clients, for a fake without a socket.
        async_http_client: The same for async clients.
        sleep: Called with seconds instead of sleeping; async clients await what it returns, if
            that can be awaited.
        async_sleep: The same for async clients only, which then do not call *sleep*. A wait in which
            other tasks are to have their turn must be awaited.
        clock: Returns the time in seconds that timeouts are measured by.
    """

    base_url: str | None
    api_key: str = field(default="fake-key", repr=False, kw_only=True)
    http_client: HttpClient | None = field(default=None, kw_only=True)
    async_http_client: HttpClient | None = field(default=None, kw_only=True)
    sleep: Callable[[float], object] | None = field(default=None, kw_only=True)
    async_sleep: Callable[[float], Awaitable[object]] | None = field(default=None, kw_only=True)
    clock: Callable[[], float] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self.base_url = None if self.base_url is None else check_url(self.base_url)

    def __enter__(self) -> Self:
        _redirects.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _redirects.remove(self)  # not pop: two of them may end in another order


# Process-wide, not a ContextVar: code under test may use threads, which would not see it.
_redirects: list[redirect] = []


def active() -> redirect | None:
    """Return the redirect that holds now: the innermost one."""
    return _redirects[-1] if _redirects else None
