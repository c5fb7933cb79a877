"""A client of the control API of a running server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fine_tuning_formats.text import parse_http_url, show_value

from ..account.named_accounts import check_account_name
from ..domain.plan import Plan
from ..usage_errors import FakeUsageError, wrong_value
from ..web.access import check_control_token
from ..web.dialect_adapter import account_root

if TYPE_CHECKING:
    import httpx

ANSWER_WITHIN_S = 60.0
"""How long an answer may take, in real seconds, besides what the call waits for."""

_ACCOUNT_ROOT = re.compile(r"(?P<server>.*)/accounts/(?P<name>[^/]+)")


class ControlClient:
    """Sends control requests for one account of a server.

    Args:
        url: the URL of the server, or of an account's API.
        token: the control token, if there is one.
        account: the account's name; None for the one that *url* leads to.

    Raises:
        FakeUsageError: *url* is no HTTP URL, or no account can be called so.
    """

    def __init__(self, url: str, token: str | None, account: str | None) -> None:
        import httpx  # here, since few handles are of another process

        try:
            httpx.URL(url)  # which knows more that no URL can be
            parts = parse_http_url(url)
        except (TypeError, httpx.InvalidURL):
            parts = None
        if parts is None:
            raise wrong_value("url", "the URL of a running server, such as http://127.0.0.1:4355", url)
        check_control_token(token)
        root = account_root(url)
        found = _ACCOUNT_ROOT.fullmatch(root)
        self.server = found["server"] if found else root
        if found and account is not None:
            raise FakeUsageError(f"url must be the server's where account is given, got {url!r}")
        name = found["name"] if found else account
        self.name = None if name is None else check_account_name(name)
        self.root = self.server if self.name is None else f"{self.server}/accounts/{self.name}"
        headers = {"authorization": f"Bearer {token}"} if token else {}
        # certificates are slow to load, and needed for https only
        self._http = httpx.Client(trust_env=False, verify=parts.scheme == "https", headers=headers)

    def send(
        self, method: str, path: str = "", body: object = None, *, of_server: bool = False, waits_s: float = 0.0
    ) -> Any:
        """Send one request; return the JSON of its answer.

        Args:
            method: the HTTP method.
            path: what follows ``/_fake``.
            body: what is sent as JSON; None for nothing.
            of_server: whether the route is the server's, and not the account's.
            waits_s: how many real seconds the server may wait before it answers.

        Raises:
            FakeUsageError: the server refuses, is no fake, or does not answer.
        """
        root, content = self.server if of_server else self.root, b"" if body is None else to_json(body)
        answer = self._request(method, f"{root}/_fake{path}", content, ANSWER_WITHIN_S + waits_s)
        value = _json_in(answer)
        if answer.is_success and isinstance(value, dict):
            return value
        raise self._error_of(answer)

    def download(self, path: str) -> bytes:
        """Return the bytes that the account's *path* answers.

        Raises:
            FakeUsageError: as `send` does.
        """
        answer = self._request("GET", f"{self.root}/_fake{path}", b"", ANSWER_WITHIN_S)
        if not answer.is_success:
            raise self._error_of(answer)
        return answer.content

    def upload(self, path: str, content: bytes) -> None:
        """Send bytes to the account's *path*.

        Raises:
            FakeUsageError: as `send` does.
        """
        answer = self._request("POST", f"{self.root}/_fake{path}", content, ANSWER_WITHIN_S)
        if not answer.is_success:
            raise self._error_of(answer)

    def _request(self, method: str, url: str, content: bytes, timeout_s: float) -> httpx.Response:
        import httpx

        if self.is_closed:
            raise FakeUsageError(f"the handle of {self.root} is closed: use it before, or connect again")
        try:
            return self._http.request(method, url, content=content, timeout=timeout_s)
        except httpx.HTTPError as error:
            raise FakeUsageError(
                f"no fake answers at {self.server} ({type(error).__name__}: {error}); "
                "start one by `fake-fine-tuning serve`"
            ) from None

    def _error_of(self, answer: httpx.Response) -> FakeUsageError:
        value, request = _json_in(answer), answer.request
        if isinstance(value, dict) and isinstance(value.get("fake_error"), str):
            return FakeUsageError(value["fake_error"])
        return FakeUsageError(
            f"what answers at {self.server} is no fake of this version: {request.method} {request.url} got "
            f"{answer.status_code}"
        )

    @property
    def is_closed(self) -> bool:
        """Whether it can send nothing any more."""
        return self._http.is_closed

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def _json_in(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def path_of(*parts: object) -> str:
    """Return a path of these parts, escaped."""
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


def to_json(value: object) -> bytes:
    """Return what a handle's caller has passed as JSON.

    Raises:
        FakeUsageError: it cannot be written as JSON, such as a function or an exception.
    """
    try:
        return json.dumps(value, default=_plain, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise FakeUsageError(f"what is sent to a running server must be JSON: {error}") from None


def _plain(value: object) -> object:
    """Return the form that the control API has for a value of the handle's."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Plan):
        return value.as_json()
    if isinstance(value, bytes):
        return value.decode()  # a UnicodeDecodeError is a ValueError
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | range):
        return list(value)
    raise FakeUsageError(
        f"what is sent to a running server must be JSON, got {show_value(value)}: functions, exceptions, iterators and "
        "objects of clients can be used with a fake in this process only"
    )


def list_of(value: object, name: str, wanted: str = "a collection") -> list[Any]:
    """Return a collection as a list.

    Raises:
        FakeUsageError: it is not a collection.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise wrong_value(name, wanted, value)
    return list(value)
