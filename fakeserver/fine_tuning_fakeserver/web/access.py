"""Who may use the fake over a socket: rules against other machines, and against web pages that a browser runs.

A page can send requests to a port of this machine. Two rules stop it:

- **By origin.** What a page of another site sends is refused where it would steer the fake or run code.
- **By host.** A site can make its own name lead to this machine (DNS rebinding); the browser then takes the fake for
  the site, which may send and read anything. Only the Host header tells, so a server on loopback takes no other names.

Requests in process have no peer, and no rule concerns them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import field
from functools import lru_cache
from hmac import compare_digest
from ipaddress import ip_address
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import is_loopback

from ..domain.checks import is_collection
from ..usage_errors import FakeUsageError, wrong_value
from .request import ApiRequest, ClientGoneError, api_key_of, drop_body
from .response import usage_error_response

ACCESS_KEY = "fine_tuning_fakeserver.access"
"""Where a request's ``scope["state"]`` has the rules of the fake's own server."""

TEST_CLIENT = "testclient"
"""Starlette's test client, which is in process, calls itself so."""

ZIP = "application/zip"
"""The media type of a saved account. Like JSON, no page of another site may send it without being asked."""

_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^:@/\[\]\s]+))(?::\d*)?")
_HOST_NAME = re.compile(r"[\w.-]+|[0-9a-f:.]+", re.ASCII)
_TOKEN = re.compile(r"[!-~]+")


class AccessDeniedError(FakeUsageError):
    """A request of somebody who may not make it."""

    status = 403


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one server.

    Args:
        is_local: whether it listens on loopback; then no other machine reaches it.
        allowed_hosts: names that a Host header may have besides this machine's own, in lower case.
        control_token: the bearer token of clients that loopback does not vouch for; empty for none.
    """

    is_local: bool
    allowed_hosts: frozenset[str] = frozenset()
    control_token: str = field(default="", repr=False)

    def check_host(self, scope: Scope) -> None:
        """Refuse a request for another host; HTTP/1.0 can do without one, and no browser speaks it.

        Raises:
            AccessDeniedError: the Host header names neither this machine nor an allowed host.
        """
        if not self.is_local:  # other machines know it by names of their own
            return
        for host in _headers(scope, b"host"):
            if host and not _is_this_machine(host) and _name_in(host) not in self.allowed_hosts:
                raise AccessDeniedError(
                    f"the Host header must name this machine or an allowed host, got {host!r}; allow another with "
                    "--allowed-host, in Python serving(allowed_hosts=[…])"
                )

    def check_control(self, peer: str, authorization: str) -> None:
        """Refuse to be steered by a client that has to have the token, and does not send it.

        Raises:
            AccessDeniedError: the token is missing or wrong.
        """
        if self.is_local and is_loopback(peer):
            return
        if not self.control_token:
            raise AccessDeniedError(
                "control routes need a token where the server listens for other machines, or a proxy forwards; set one "
                "with --control-token, in Python serving(control_token=…)"
            )
        if not authorization:
            raise AccessDeniedError("control routes need the control token; send it as Authorization: Bearer TOKEN")
        if not compare_digest(_digest(api_key_of(authorization)), _digest(self.control_token)):
            raise AccessDeniedError("wrong token: the Authorization header must have the server's control token")


def new_access(is_local: bool, allowed_hosts: Iterable[str] = (), control_token: str | None = None) -> Access:
    """Return the rules of a server.

    Raises:
        FakeUsageError: a host is not a name, or the token cannot be sent in a header.
    """
    names: tuple[Any, ...] = tuple(allowed_hosts) if is_collection(allowed_hosts) else (None,)
    if not all(isinstance(name, str) and _HOST_NAME.fullmatch(_without_brackets(name)) for name in names):
        raise wrong_value("allowed_hosts", "a collection of host names without scheme and port", allowed_hosts)
    hosts = frozenset(_without_brackets(name).rstrip(".") for name in names)
    return Access(is_local, hosts, check_control_token(control_token))


def check_control_token(token: object) -> str:
    """Return a control token; an empty text for none.

    Raises:
        FakeUsageError: it cannot be sent in a header.
    """
    if not token and (token is None or isinstance(token, str)):
        return ""
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise FakeUsageError("control_token must be printable ASCII without spaces")  # it is not shown: it is a secret
    return token


class HostGuard:
    """ASGI middleware of the fake's own server: refuse foreign hosts, and hand the server's rules on."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._access.check_host(scope)
        except AccessDeniedError as error:
            try:
                await drop_body(receive)
            except ClientGoneError:
                return
            await usage_error_response(str(error), 403).send(send)
            return
        scope.setdefault("state", {})[ACCESS_KEY] = self._access  # a server copies it for each request
        await self._app(scope, receive, send)


def check_control(request: ApiRequest) -> None:
    """Refuse a request for a control route from another machine or from a page of another site.

    Raises:
        AccessDeniedError: its sender may not steer the fake.
    """
    peer = _peer_of(request.scope)
    if peer is None:
        return
    check_page(request)
    access = request.scope.get("state", {}).get(ACCESS_KEY)
    if isinstance(access, Access):
        access.check_control(peer, request.header(b"authorization"))
    elif not is_loopback(peer):  # somebody else's server, which knows of no token
        raise AccessDeniedError(
            f"control routes accept loopback clients only, got {peer}; others need `serve --control-token`"
        )


def check_page(request: ApiRequest) -> None:
    """Refuse what a page of another site sends, and of a page of the fake's own what is not JSON.

    Raises:
        AccessDeniedError: a browser says that it comes from elsewhere.
        FakeUsageError: a page may send such a body anywhere without being asked.
    """
    scope = request.scope
    if _peer_of(scope) is None:
        return
    host = request.header(b"host").lower()
    origins = _headers(scope, b"origin")
    foreign = [origin for origin in origins if origin.lower().partition("://")[2] != host]
    if foreign or "cross-site" in _headers(scope, b"sec-fetch-site"):
        origin = foreign[0] if foreign else "another site"
        raise AccessDeniedError(f"{scope['path']} must not be requested by a web page of another origin, got {origin}")
    media_type = request.header(b"content-type").partition(";")[0].strip().lower()
    if origins and scope["method"] in ("POST", "PUT", "PATCH") and media_type not in ("application/json", ZIP):
        raise FakeUsageError(f"the content type of a web page's request must be application/json, got {media_type!r}")


def check_code_runner(request: ApiRequest) -> None:
    """Refuse a request that runs code if a web page sends it that may be of another site.

    On a server for other machines any Host is answered, so a page whose name was rebound to it looks like its own. Only
    one of an address, or of an allowed host, cannot be that.

    Raises:
        AccessDeniedError: a page may not run code here.
        FakeUsageError: as `check_page`.
    """
    if _peer_of(request.scope) is None:
        return
    check_page(request)
    access = request.scope.get("state", {}).get(ACCESS_KEY)
    name = _name_in(request.header(b"host"))
    is_named = isinstance(access, Access) and not _is_address(name) and name not in access.allowed_hosts
    if is_named and not is_loopback(name) and _headers(request.scope, b"origin"):
        raise AccessDeniedError(
            f"python graders must not be run by a web page of a host that could be another site's, got {name!r}; allow "
            "it with --allowed-host, in Python serving(allowed_hosts=[…])"
        )


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _peer_of(scope: Scope) -> str | None:
    """Return the address of the client; None in process, and an empty text where the fake's own server has none."""
    client = scope.get("client")
    name = str(client[0]) if client else ""
    is_over_socket = ACCESS_KEY in scope.get("state", {})  # then it may be what a proxy forwards, which is any text
    return name if is_over_socket or name not in ("", TEST_CLIENT) else None


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for known, value in scope["headers"] if known == name]


def _name_in(host: str) -> str:
    """Return the name or the address in a Host header; an empty text for what is neither."""
    match = _HOST.fullmatch(host.lower())
    return (match["address"] or match["name"].rstrip(".")) if match else ""


@lru_cache(maxsize=256)  # clients send the same one each time
def _is_this_machine(host: str) -> bool:
    return is_loopback(_name_in(host))


def _without_brackets(name: str) -> str:
    return name.lower().removeprefix("[").removesuffix("]")


def _digest(text: str) -> bytes:
    """Return something of one length, so that comparing it does not tell how long *text* is."""
    return hashlib.sha256(text.encode()).digest()
