"""Run flows, blocking and awaited, over an HTTP client: the only place that sends, sleeps and reads a clock."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from inspect import isawaitable
from io import BytesIO, UnsupportedOperation
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit

from fine_tuning_client.arguments import is_async, require_bytes
from fine_tuning_client.config import ResolvedConfig, check_key, merge_headers
from fine_tuning_client.effects import (
    Command,
    Emit,
    Failure,
    FilePart,
    Flow,
    OnProgress,
    Outcome,
    RawResponse,
    Request,
    Sleep,
    Stream,
)
from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.secret_rules import is_secret_header
from fine_tuning_formats.text import is_loopback

if TYPE_CHECKING:
    import ssl

    import httpx

T = TypeVar("T")

# Names, not classes: httpx is imported when first needed, and httpx2 has its own classes.
NEVER_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}
HOPELESS = {"UnsupportedProtocol", "LocalProtocolError", "DecodingError"}
MIN_SECRET = 9  # characters; a shorter text may not be a secret, and stand anywhere


class HttpClient(Protocol):
    """A client of httpx or httpx2, blocking or async as the case may be."""

    @property
    def request(self) -> Callable[..., Any]:
        """Send a request; called as ``httpx.Client.request`` is."""


def is_awaited(http: HttpClient) -> bool:
    """Return whether *http* is surely async."""
    return is_async(http.request)


def is_blocking(http: HttpClient) -> bool:
    """Return whether *http* surely blocks; a wrapper may hide what it wraps."""
    kind = type(http)
    return hasattr(kind, "__enter__") and not hasattr(kind, "__aenter__") and not is_awaited(http)


def exchange(request: Request, config: ResolvedConfig, http: HttpClient, timeout: float) -> RawResponse | Failure:
    """Send *request*, blocking."""
    arguments = to_http_arguments(request, config, check_key(config.key))
    with _NO_FORM if request.file is None else _open_form(request.form, request.file) as form:
        try:
            response = http.request(**arguments, **form, timeout=timeout)
        except Exception as error:
            return _to_failure(error, config.provider)
    return _to_raw_response(response, config.provider, arguments["headers"])


async def exchange_async(
    request: Request, config: ResolvedConfig, http: HttpClient, timeout: float
) -> RawResponse | Failure:
    """Send *request*."""
    arguments = to_http_arguments(request, config, check_key(config.key))
    with _NO_FORM if request.file is None else _open_form(request.form, request.file) as form:
        try:
            response = await http.request(**arguments, **form, timeout=timeout)
        except Exception as error:
            return _to_failure(error, config.provider)
    return _to_raw_response(response, config.provider, arguments["headers"])


_NO_FORM = nullcontext[dict[str, Any]]({})


@contextmanager
def _open_form(form: Mapping[str, str] | None, part: FilePart) -> Iterator[dict[str, Any]]:
    """Yield an upload's arguments for the HTTP client, with its file open; a file of the caller's stays open."""
    if isinstance(part.source, str | os.PathLike):
        with open(part.source, "rb") as file:
            yield _form_arguments(form, part, file)
    else:
        yield _form_arguments(form, part, BytesIO(part.source) if isinstance(part.source, bytes) else part.source)


def _form_arguments(form: Mapping[str, str] | None, part: FilePart, source: BinaryIO) -> dict[str, Any]:
    file = (part.filename, ProgressReader(source, part.on_progress), "application/octet-stream")
    return {"data": form, "files": {"file": file}}


def to_http_arguments(request: Request, config: ResolvedConfig, key: str | None) -> dict[str, Any]:
    """Return the arguments for an HTTP client.

    Raises:
        UnsupportedOperationError: The provider does not offer the operation.
        TypeError: A value of the body cannot be written as JSON; or ValueError.
    """
    config.require_capability(request)
    query = [*config.query.items(), *request.query]
    headers = {"Accept": "*/*", "User-Agent": "fine-tuning-client"}
    if key:
        headers[config.key_header] = f"Bearer {key}" if config.key_header == "Authorization" else key
    arguments: dict[str, Any] = {
        "method": request.method,
        "url": f"{config.base_url}{request.path}" + (f"?{urlencode(query)}" if query else ""),
        "follow_redirects": False,  # a redirect must not carry the key elsewhere
    }
    if request.json is not None:
        defaults = config.create_defaults if request.capability == "create" else {}
        arguments["content"] = json.dumps({**defaults, **request.json}, allow_nan=False).encode()
        headers["Content-Type"] = "application/json"
    arguments["headers"] = merge_headers(headers, config.headers) if config.headers else headers
    return arguments


def _to_raw_response(response: Any, provider: str, sent_headers: Mapping[str, str]) -> RawResponse:
    secrets = [value.rpartition(" ")[2] for name, value in sent_headers.items() if is_secret_header(name)]
    hidden = tuple([secret for secret in secrets if len(secret) >= MIN_SECRET])
    return RawResponse(response.status_code, response.headers, response.content, provider, hidden)


def _to_failure(error: Exception, provider: str) -> Failure:
    """Classify an error of the transport; any other is a bug, and is raised."""
    names = {each.__name__ for each in type(error).__mro__}
    if "RequestError" not in names:
        raise error
    return Failure(
        error,
        sent=not names & NEVER_SENT,
        timed_out="TimeoutException" in names,
        hopeless=bool(names & HOPELESS),
        provider=provider,
    )


class ProgressReader:
    """A file that reports how much of it was sent.

    The HTTP client reads the next chunk once it has handed on the one before, so what it has read by then was sent.
    It has no ``fileno``: the system reports 0 as the size of a pipe.
    """

    def __init__(self, source: BinaryIO, on_progress: OnProgress | None) -> None:
        self._source = source
        self._on_progress = on_progress
        self._sent = 0
        self._total: int | None
        try:
            start = self.tell()
            self._total = self.seek(0, os.SEEK_END)
            self.seek(start)
        except (AttributeError, OSError):
            self._total = None

    def read(self, size: int = -1) -> bytes:
        """Return the next chunk."""
        if self._on_progress is not None:
            self._on_progress(self._sent, self._total)
        chunk = require_bytes(self._source.read(size))
        self._sent += len(chunk)
        return chunk

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move: to the beginning for each attempt, and to the end to learn the size."""
        if not hasattr(self._source, "seek") or (hasattr(self._source, "seekable") and not self._source.seekable()):
            raise UnsupportedOperation("a stream without seek")  # an unbuffered pipe would say OSError
        self._sent = self._source.seek(offset, whence)
        return self._sent

    def tell(self) -> int:
        """Return the position."""
        return self._source.tell()


def open_http(base_url: str) -> httpx.Client:
    """Open a blocking connection pool."""
    import httpx

    return httpx.Client(verify=_tls(), trust_env=_may_use_proxy(base_url))


def open_http_async(base_url: str) -> httpx.AsyncClient:
    """Open an async connection pool."""
    import httpx

    return httpx.AsyncClient(verify=_tls(), trust_env=_may_use_proxy(base_url))


def _may_use_proxy(base_url: str) -> bool:
    # A proxy named in the environment has no way to this machine's own loopback.
    return not is_loopback(urlsplit(base_url).hostname)


@cache
def _tls() -> ssl.SSLContext:
    """Load the certificates once: that takes far longer than all the rest of opening a pool."""
    import httpx

    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class EffectContext:
    """The settings with which the effects of one operation are performed."""

    config: ResolvedConfig
    http: HttpClient
    timeout: float
    sleep: Callable[[float], object]
    clock: Callable[[], float]


def run(flow: Flow[T], context: EffectContext) -> T:
    """Run *flow* to its end, blocking."""
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration as done:
            result: T = done.value
            return result
        outcome = _perform(command, context)


def stream(flow: Stream[T], context: EffectContext) -> Generator[T, None, None]:
    """Run *flow* as far as the caller iterates, blocking."""
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration:
            return
        outcome = None
        if isinstance(command, Emit):
            yield command.item
        else:
            outcome = _perform(command, context)


async def run_async(flow: Flow[T], context: EffectContext) -> T:
    """Run *flow* to its end."""
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration as done:
            result: T = done.value
            return result
        outcome = await _perform_async(command, context)


async def stream_async(flow: Stream[T], context: EffectContext) -> AsyncGenerator[T, None]:
    """Run *flow* as far as the caller iterates."""
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration:
            return
        outcome = None
        if isinstance(command, Emit):
            yield command.item
        else:
            outcome = await _perform_async(command, context)


def _perform(command: Command, context: EffectContext) -> Outcome:
    if isinstance(command, Request):
        return exchange(command, context.config, context.http, context.timeout)
    if isinstance(command, Sleep):
        context.sleep(command.seconds)
        return None
    return context.clock()


async def _perform_async(command: Command, context: EffectContext) -> Outcome:
    if isinstance(command, Request):
        return await exchange_async(command, context.config, context.http, context.timeout)
    if isinstance(command, Sleep):
        slept = context.sleep(command.seconds)
        if isawaitable(slept):
            await slept
        return None
    return context.clock()
