"""What a flow may ask for, and what it is told in return.

A flow is an operation written once, without I/O: a generator that yields commands and is sent their
outcome. Whoever drives it decides whether that blocks, is awaited, or happens in a test's list.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, BinaryIO, Generic, TypeAlias, TypeVar, cast

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

OnProgress: TypeAlias = Callable[[int, int | None], object]  # bytes sent, bytes in all if known


@dataclass(frozen=True, slots=True)
class FilePart:
    """The file of an upload; a path is opened when it is sent and read in chunks."""

    source: bytes | str | PathLike[str] | BinaryIO
    filename: str
    on_progress: OnProgress | None = None

    def can_be_sent_again(self) -> bool:
        """Tell whether reading it once leaves something to read."""
        if isinstance(self.source, bytes | str | PathLike):
            return True
        return hasattr(self.source, "seekable") and self.source.seekable()


@dataclass(frozen=True, slots=True)
class Request:
    """Send this; the outcome is a `Reply` or a `Failure`.

    ``capability`` is what the provider must offer for it; ``path`` is relative to its address.
    ``already`` finds out whether it has taken effect, after all: it gives the reply it would have had.
    ``until`` is when, by the clock, nobody waits for it any more.
    """

    method: str
    path: str
    capability: str
    query: tuple[tuple[str, str], ...] = ()
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    file: FilePart | None = None
    already: Callable[[], Flow[RawResponse | None]] | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let this much time pass; the outcome is nothing."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """Read the clock; the outcome is in seconds, of use only as a difference."""


@dataclass(frozen=True, slots=True)
class Emit(Generic[T_co]):
    """Hand this item to whoever iterates; the outcome is nothing."""

    item: T_co


@dataclass(frozen=True, slots=True)
class RawResponse:
    """An answer; header names are in lower case. ``secrets`` are texts that no message may show."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    provider: str = "openai"
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def request_id(self) -> str | None:
        """The id to name when asking the provider about it."""
        return self.hiding(self.headers.get("x-request-id") or self.headers.get("apim-request-id") or "") or None

    @property
    def text(self) -> str:
        """The content to show to a person."""
        return self.hiding(self.content.decode("utf-8", "replace"))

    def hiding(self, text: str) -> str:
        """Take secrets out of *text*: some gateways quote the key back, plain or as JSON writes it."""
        for secret in self.secrets:
            text = text.replace(secret, "***").replace(secret.replace("/", r"\/"), "***")
        return text


@dataclass(frozen=True, slots=True)
class Failure:
    """No complete answer; ``sent`` is false only if the service cannot have seen the request."""

    cause: Exception
    sent: bool = True
    timed_out: bool = False
    hopeless: bool = False
    provider: str = "openai"


Command: TypeAlias = Request | Sleep | Now
Outcome: TypeAlias = RawResponse | Failure | float | None
Flow: TypeAlias = Generator[Command, Outcome, T]
Stream: TypeAlias = Generator[Command | Emit[T], Outcome, None]


def send(request: Request) -> Flow[RawResponse | Failure]:
    """Ask for *request* to be sent."""
    return cast("RawResponse | Failure", (yield request))


def now() -> Flow[float]:
    """Ask for the time."""
    return cast(float, (yield Now()))
