"""The hook for tests: send every client of this process somewhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fine_tuning_client.config import checked_url

if TYPE_CHECKING:
    from fine_tuning_client.transport import HttpClient


@dataclass(frozen=True, slots=True, eq=False)
class Redirect:
    """Where requests go instead, and how time passes meanwhile; None leaves it to the client."""

    base_url: str | None
    api_key: str = field(default="fake-key", repr=False)
    http_client: HttpClient | None = None
    async_http_client: HttpClient | None = None
    sleep: Callable[[float], object] | None = None
    clock: Callable[[], float] | None = None


# Process-wide and no ContextVar: code under test may use threads, which would not see it.
_redirects: list[Redirect] = []


def active() -> Redirect | None:
    """Tell which redirect holds now: the innermost one."""
    return _redirects[-1] if _redirects else None


@contextmanager
def redirect(
    base_url: str | None,
    *,
    api_key: str = "fake-key",
    http_client: HttpClient | None = None,
    async_http_client: HttpClient | None = None,
    sleep: Callable[[float], object] | None = None,
    clock: Callable[[], float] | None = None,
) -> Iterator[Redirect]:
    """Send what any client does, those made earlier included, to *base_url*.

    Who the provider is and what it offers is still checked; its key and address are not needed.

    Args:
        base_url: Address of a fake, with its ``/v1``; None leaves providers, their keys and their
            addresses as they are, and changes only how time passes.
        api_key: Key to send, always as ``Authorization: Bearer``.
        http_client: Used by blocking clients, for a fake without a socket.
        async_http_client: The same for async clients.
        sleep: Called with seconds instead of sleeping; async clients await what it returns, if
            that can be awaited.
        clock: Gives the time in seconds that timeouts are measured by.
    """
    address = None if base_url is None else checked_url(base_url)
    entry = Redirect(address, api_key, http_client, async_http_client, sleep, clock)
    _redirects.append(entry)
    try:
        yield entry
    finally:
        _redirects.remove(entry)  # not pop: two of them may end in another order
