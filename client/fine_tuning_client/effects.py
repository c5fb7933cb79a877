"""The commands of a flow, and their outcomes.

A flow is an operation written once, without I/O: a generator that yields commands and is sent their outcomes. The
runner decides whether a command blocks, is awaited, or ends up in a test's list.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import field
from os import PathLike
from typing import Any, BinaryIO, Generic, TypeAlias, TypeVar

from fine_tuning_formats.lazy_dataclass import dataclass

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

OnProgress: TypeAlias = Callable[[int, int | None], object]  # bytes sent, bytes in all if known


@dataclass(frozen=True, slots=True)
class FilePart:
    """The file of an upload; a path is opened when it is sent, and read in chunks."""

    source: bytes | str | PathLike[str] | BinaryIO
    filename: str
    on_progress: OnProgress | None = None

    def can_be_sent_again(self) -> bool:
        """Return whether it can be read a second time."""
        if isinstance(self.source, bytes | str | PathLike):
            return True
        return hasattr(self.source, "seekable") and self.source.seekable()


@dataclass(frozen=True, slots=True)
class Request:
    """Send an HTTP request; the outcome is a `RawResponse` or a `Failure`.

    Attributes:
        path: Relative to the provider's base URL.
        capability: The capability of the provider that it takes.
        already: Finds out whether it has taken effect after all; returns the response it would have had.
        until: The time, by the clock, after which it is not repeated.
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
    """Let time pass; the outcome is None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """Read the clock; the outcome is in seconds, and only differences mean anything."""


@dataclass(frozen=True, slots=True)
class Emit(Generic[T_co]):
    """Yield an item to the caller, who iterates; the outcome is None."""

    item: T_co


@dataclass(frozen=True, slots=True)
class RawResponse:
    """An HTTP response; header names are asked for in lower case. ``secrets`` are texts that no message may show."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    provider: str = "openai"
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def request_id(self) -> str | None:
        """The id to quote to the provider's support."""
        return self.redact(self.headers.get("x-request-id") or self.headers.get("apim-request-id") or "") or None

    @property
    def text(self) -> str:
        """The content, fit to be shown to a person."""
        return self.redact(self.content.decode("utf-8", "replace"))

    def redact(self, text: str) -> str:
        """Remove secrets from *text*: some gateways quote the key back, plain or as JSON writes it."""
        for secret in self.secrets:
            text = text.replace(secret, "***").replace(secret.replace("/", r"\/"), "***")
        return text


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without a complete response; ``sent`` is false only if the service cannot have seen it."""

    cause: Exception
    sent: bool = True
    timed_out: bool = False
    hopeless: bool = False
    provider: str = "openai"


Command: TypeAlias = Request | Sleep | Now
Outcome: TypeAlias = RawResponse | Failure | float | None
# Each command has an outcome of its own type, which a generator's type cannot say.
Flow: TypeAlias = Generator[Command, Any, T]
Stream: TypeAlias = Generator[Command | Emit[T], Any, None]


def send(request: Request) -> Flow[RawResponse | Failure]:
    """Send *request*, typed."""
    outcome: RawResponse | Failure = yield request
    return outcome


def now() -> Flow[float]:
    """Read the clock, typed."""
    seconds: float = yield Now()
    return seconds
