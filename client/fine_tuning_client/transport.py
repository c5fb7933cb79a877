"""Send one request through an HTTP client, and take whatever comes of it for an outcome."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode, urlsplit

from fine_tuning_client.arguments import is_async
from fine_tuning_client.config import check_key
from fine_tuning_client.effects import Failure, RawResponse, Request
from fine_tuning_client.providers import Endpoint
from fine_tuning_client.upload_progress import opened

if TYPE_CHECKING:
    import ssl

    import httpx

# Names, not classes: httpx is imported when first needed, and httpx2 has its own classes.
NEVER_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}
HOPELESS = {"UnsupportedProtocol", "LocalProtocolError", "DecodingError"}
SECRET = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)  # in the names of headers
SHORT = 8  # characters; a shorter text may be no secret, and stand anywhere
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class HttpClient(Protocol):
    """A client of httpx or httpx2, blocking or async as the case may be."""

    @property
    def request(self) -> Callable[..., Any]:
        """Send a request; called as ``httpx.Client.request`` is."""


def is_awaited(http: HttpClient) -> bool:
    """Tell whether *http* is surely async."""
    return is_async(http.request)


def is_blocking(http: HttpClient) -> bool:
    """Tell whether *http* surely blocks; a wrapper may hide what it wraps."""
    kind = type(http)
    return hasattr(kind, "__enter__") and not hasattr(kind, "__aenter__") and not is_awaited(http)


def exchange(request: Request, endpoint: Endpoint, http: HttpClient, timeout: float) -> RawResponse | Failure:
    """Send *request*."""
    key = check_key(endpoint.key)
    with _opened(request, endpoint, key) as arguments:
        try:
            response = http.request(**arguments, timeout=timeout)
        except Exception as error:
            return _failure(error, endpoint.provider)
    return _reply(response, endpoint.provider, arguments["headers"])


async def exchange_async(
    request: Request, endpoint: Endpoint, http: HttpClient, timeout: float
) -> RawResponse | Failure:
    """Send *request*."""
    key = check_key(endpoint.key)
    with _opened(request, endpoint, key) as arguments:
        try:
            response = await http.request(**arguments, timeout=timeout)
        except Exception as error:
            return _failure(error, endpoint.provider)
    return _reply(response, endpoint.provider, arguments["headers"])


@contextmanager
def _opened(request: Request, endpoint: Endpoint, key: str | None) -> Iterator[dict[str, Any]]:
    """Give the arguments for the HTTP client, with the file of an upload open."""
    arguments = to_http_arguments(request, endpoint, key)
    if request.file is None:
        yield arguments
        return
    with opened(request.file) as file:
        part = (request.file.filename, file, "application/octet-stream")
        yield arguments | {"data": request.form, "files": {"file": part}}


def to_http_arguments(request: Request, endpoint: Endpoint, key: str | None) -> dict[str, Any]:
    """Turn a request into arguments for an HTTP client.

    Raises:
        UnsupportedOperationError: The provider does not offer it.
        TypeError: A value of the body cannot be written as JSON; or ValueError.
    """
    endpoint.require_capability(request)
    query = urlencode([*endpoint.query.items(), *request.query])
    headers = {"Accept": "*/*", "User-Agent": "fine-tuning-client"}
    if key:
        headers[endpoint.key_header] = f"Bearer {key}" if endpoint.key_header == "Authorization" else key
    arguments: dict[str, Any] = {
        "method": request.method,
        "url": f"{endpoint.base_url}{request.path}" + (f"?{query}" if query else ""),
        "follow_redirects": False,  # a redirect must not carry the key elsewhere
    }
    if request.json is not None:
        defaults = endpoint.create_defaults if request.capability == "create" else {}
        arguments["content"] = json.dumps({**defaults, **request.json}, allow_nan=False).encode()
        headers["Content-Type"] = "application/json"
    return arguments | {"headers": merge_headers(headers, endpoint.headers)}


def merge_headers(*layers: Mapping[str, str]) -> dict[str, str]:
    """Unite headers, whose names have no case; the last of each name is sent."""
    found = {name.lower(): (name, value) for layer in layers for name, value in layer.items()}
    return dict(found.values())


def _reply(response: Any, provider: str, sent: Mapping[str, str]) -> RawResponse:
    headers = {name.lower(): value for name, value in response.headers.items()}
    secrets = (value.rpartition(" ")[2] for name, value in sent.items() if SECRET.search(name))
    hidden = tuple(each for each in secrets if len(each) > SHORT)
    return RawResponse(response.status_code, headers, response.content, provider, hidden)


def _failure(error: Exception, provider: str) -> Failure:
    """Take the transport's errors for an outcome; others are bugs and go up."""
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


def open_http(base_url: str) -> httpx.Client:
    """Open a blocking connection pool."""
    import httpx

    return httpx.Client(verify=_tls(), trust_env=_is_remote(base_url))


def open_http_async(base_url: str) -> httpx.AsyncClient:
    """Open an async connection pool."""
    import httpx

    return httpx.AsyncClient(verify=_tls(), trust_env=_is_remote(base_url))


def _is_remote(base_url: str) -> bool:
    # A proxy named in the environment has no way to this machine's own loopback.
    return urlsplit(base_url).hostname not in LOOPBACK


@cache
def _tls() -> ssl.SSLContext:
    """Load the certificates once: that takes far longer than all the rest of opening a pool."""
    import httpx

    return httpx.create_ssl_context()
