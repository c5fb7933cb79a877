"""The application of a server with many accounts: find out which account a request is for, and hand it on.

``/v1`` is the account ``main``, or with `AccountsApp`'s *per_key* that of the API key; ``/accounts/NAME/v1`` is NAME.
What follows the name is routed as for ``main``, so each account has its own control routes, under the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cache
from typing import Any

from starlette.routing import Router
from starlette.types import Message, Receive, Scope, Send

from fine_tuning_formats.text import show_value

from ..account.named_accounts import MAIN, Accounts, NamedAccount, check_account_name, name_of_key
from ..usage_errors import FakeUsageError
from . import OBSERVED_KEY
from .app import INNER_SLASH, AccountApp, create_router
from .control_endpoints import CONTROL_OPERATIONS
from .dialect_adapter import PREFIXES, key_in_own_header
from .operation import CONTROL, Operation
from .operations import OPERATIONS
from .request import ApiRequest, ClientGoneError, api_key_of, drop_body
from .response import ROOT_KEY, usage_error_response

ACCOUNTS_KEY = "fine_tuning_fakeserver.accounts"
"""Where the scope of a request has the accounts of the server."""

PREFIX = "/accounts/"
_API_PREFIXES = ("/v1/", *PREFIXES)
_RAW_ROOT = re.compile(rb"/+[^/?]+/+[^/?]+")
"""``/accounts/NAME`` as it was sent: slashes that came encoded are none, and several are one."""


def list_accounts(request: ApiRequest) -> Any:
    """List the accounts of the server."""
    return {"accounts": _accounts_of(request).listing()}


def make_account(request: ApiRequest) -> Any:
    """Make an account of the server, if it is not there."""
    _accounts_of(request).make(name := request.path["account_name"])
    return {"name": name}


def forget_account(request: ApiRequest) -> Any:
    """Forget an account of the server."""
    _accounts_of(request).forget(name := request.path["account_name"])
    return {"name": name, "deleted": True}


def fork_account(request: ApiRequest) -> Any:
    """Make a copy of this account on the server; what happens to the one leaves the other as it is."""
    from ..api.request_models import parse_control
    from .control_bodies import ForkBody
    from .script_format import read_scripts, write_scripts

    accounts, name = _accounts_of(request), parse_control(ForkBody, request.body, "POST /_fake/fork").name
    if accounts.find(check_account_name(name)):
        raise FakeUsageError(
            f"name must be that of no account yet, got {show_value(name)}; GET /_fake/accounts lists them"
        )
    stored = request.world.store()
    copy = replace(stored, scripts=read_scripts(write_scripts(stored.scripts)))
    accounts.make(name).restore(copy)
    return {"name": name}


def _accounts_of(request: ApiRequest) -> Accounts:
    accounts: Accounts = request.scope[ACCOUNTS_KEY]
    return accounts


ACCOUNT_OPERATIONS = tuple(
    Operation(f"{method} {path}", method, path, run, CONTROL, of_server=True)
    for method, path, run in (
        ("GET", "/_fake/accounts", list_accounts),
        ("PUT", "/_fake/accounts/{account_name}", make_account),
        ("DELETE", "/_fake/accounts/{account_name}", forget_account),
    )
)
"""The operations on the accounts of a server, which only its own control API has, and no account's."""

FORK = Operation("POST /_fake/fork", "POST", "/_fake/fork", fork_account, CONTROL, of_server=True)
"""The operation that every account of a server has, and an account alone has not."""


@cache
def server_router() -> Router:
    """Return the routes of `MAIN`, which has those of the server besides."""
    return create_router((*OPERATIONS, *CONTROL_OPERATIONS, FORK, *ACCOUNT_OPERATIONS))


@cache
def named_router() -> Router:
    """Return the routes of an account that is reached by its name."""
    return create_router((*OPERATIONS, *CONTROL_OPERATIONS, FORK))


class AccountsApp:
    """Hands requests, whose paths are normalised, on to the account that they are for.

    Args:
        accounts: the accounts of this server.
        per_key: whether each API key has an account of its own under ``/v1``.
        page_router: returns the routes of the page that shows an account; None: no page.
    """

    def __init__(
        self, accounts: Accounts, *, per_key: bool = False, page_router: Callable[[], Router] | None = None
    ) -> None:
        self._accounts = accounts
        self._per_key = per_key
        self._page_router = page_router
        self._main_app = AccountApp(accounts.main, server_router(), page_router)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request."""
        path: str = scope["path"]
        scope[ACCOUNTS_KEY] = self._accounts
        if path.startswith(PREFIX):
            return self._serve_named(scope, receive, send)
        if self._per_key and path.startswith(_API_PREFIXES) and (key := self._key_in(scope)):
            return self._serve(name_of_key(key), scope, receive, send)
        _note_account(scope, MAIN)
        return self._main_app(scope, receive, send)

    def _key_in(self, scope: Scope) -> str:
        """Return the API key of a request, in the first header that may have it, as `check_api_key` reads it."""
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        own = key_in_own_header(self._accounts.main.account.spoken, headers)
        return own or api_key_of(headers.get(b"authorization", b"").decode("latin-1"))

    async def _serve_named(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, slash, rest = scope["path"].removeprefix(PREFIX).partition("/")
        name = name.replace(INNER_SLASH, "/")
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        root = _RAW_ROOT.match(raw_path)
        if not rest or root is None:
            text = "an account's API is under /accounts/NAME/v1, its control under /accounts/NAME/_fake"
            await _refuse(text, 404, receive, send)
            return
        own = {**scope, "path": slash + rest, "raw_path": raw_path[root.end() :], ROOT_KEY: root[0]}
        if name == MAIN:
            _note_account(scope, MAIN)
            await AccountApp(self._accounts.main, named_router(), self._page_router)(own, receive, send)
        else:
            await self._serve(name, own, receive, send)

    async def _serve(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for another account than `MAIN`, which it makes if it is the first that is accepted."""
        is_look = scope["method"] in ("GET", "HEAD")
        try:
            if self._accounts.needs_loading(name):
                from .stored_requests import in_thread  # imported on demand: most accounts are in memory

                await in_thread(scope, lambda: self._accounts.load(name))
            with self._accounts.use(name, may_make=not is_look) as account:
                _note_account(scope, name)
                app = AccountApp(account.world, named_router(), self._page_router)
                await app(scope, receive, send if is_look else self._keeping(account, send))
                if not is_look and account.world.has_changed:  # where a fault has spoilt the answer
                    self._accounts.keep(account)
        except FakeUsageError as error:  # of the name, or the store: what the account itself refuses, it has answered
            await _refuse(str(error), error.status, receive, send)

    def _keeping(self, account: NamedAccount, send: Send) -> Send:
        """Return a *send* that keeps the account before its client reads that a request was accepted."""

        async def send_after_keeping(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                self._accounts.keep(account)
            await send(message)

        return send_after_keeping


def _note_account(scope: Scope, name: str) -> None:
    """Tell whoever observes the request which account answers it."""
    if (observed := scope.get("state", {}).get(OBSERVED_KEY)) is not None:
        observed["account"] = name


async def _refuse(text: str, status: int, receive: Receive, send: Send) -> None:
    try:
        await drop_body(receive)
    except ClientGoneError:
        return
    await usage_error_response(text, status).send(send)
