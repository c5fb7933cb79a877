"""`fake-fine-tuning serve`: the fake on a socket, until it is stopped."""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, TextIO

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fine_tuning_formats.network import is_loopback

from ..domain.dialects import dialect_named
from ..fake.clients import API_KEY
from ..fake.fake_fine_tuning import FakeFineTuning
from ..usage_errors import FakeUsageError
from ..version import VERSION
from ..web.dialect_adapter import base_url_for
from ..web.server import bind, config, url_of
from .options import AS_OF, CONTROL_TOKEN, DIALECT, HOST, ORGANIZATION, PACE, PORT, SEED, WEBHOOK, WEBHOOK_SECRET, parse


class AccessLog:
    """The fake's application, with each of its answers written to *out*; no header is, so no key is.

    A line has the time, the virtual time since the account's birth, the answer's status, how long it took, and the
    request: ``12:03:41 +0:06:17 200     1.2 ms  GET /v1/fine_tuning/jobs?limit=2``.
    """

    def __init__(self, fake: FakeFineTuning, out: TextIO) -> None:
        self._fake = fake
        self._app: ASGIApp = fake.asgi_app
        self._out = out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, then write its line."""
        status = "---"  # the client went away before there was an answer

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, noting)
        finally:
            if scope["type"] == "http":
                self._write(f"{status} {1000 * (time.perf_counter() - began):7.1f} ms  {_request(scope)}")

    def _write(self, text: str) -> None:
        age = timedelta(seconds=int(self._fake.now - self._fake.born))
        try:
            print(f"{datetime.now():%H:%M:%S} +{age} {text}", file=self._out, flush=True)
        except OSError:
            pass  # nobody reads the log any more, which is no reason to fail the request


def _request(scope: Scope) -> str:
    path, query = scope["raw_path"], scope["query_string"]  # as sent: what is escaped there cannot harm a terminal
    target = path + b"?" + query if query else path
    return f"{scope['method']} {target.decode('ascii', 'backslashreplace')}"


CONTROL = "/_fake"
HERE = ("127.0.0.1", 0)


class ControlTokenMiddleware:
    """Takes whoever sends the token with a control call for somebody on this machine.

    Args:
        app: the fake's.
        token: sent as ``Authorization: Bearer …``.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"].startswith(CONTROL) and self._has_token(scope):
            scope = {**scope, "client": HERE}
        await self._app(scope, receive, send)

    def _has_token(self, scope: Scope) -> bool:
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return compare_digest(sent, self._wanted)


OPTIONS = (HOST, PORT, PACE, SEED, DIALECT, AS_OF, ORGANIZATION, WEBHOOK, WEBHOOK_SECRET, CONTROL_TOKEN)

EPILOG = """\
The first line on stdout is the base URL; from then on it answers. Two lines
to paste into a shell follow, with --webhook a third: its secret. Requests are
logged on stderr. Ctrl-C stops the server, with exit code 0.

paces:
  60       a minute passes each second; any positive number will do
  polls    a job moves to its next status when it is retrieved
  manual   time stands still until POST /_fake/clock/advance
  instant  a created job is finished at the next request"""


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal comes; 0 then, 2 when the address cannot be had."""
    parser = _parser()
    given = parse(parser, OPTIONS, arguments, os.environ)
    try:
        fake = FakeFineTuning(**_settings(given))
    except FakeUsageError as error:
        parser.error(str(error))
    try:
        listener = bind(given.host, given.port)
    except OSError as error:
        print(f"{parser.prog}: {_reason(error, given.host, given.port)}", file=sys.stderr)
        return 2
    with listener:
        _serve(fake, listener, given.quiet, given.control_token)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fake-fine-tuning serve",
        description="Run the fake as a local server, for any language.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no log on stderr")
    parser.add_argument("--allow-remote-webhooks", action="store_true", help="let webhooks leave this machine")
    return parser


def _settings(given: argparse.Namespace) -> dict[str, Any]:
    if given.webhook_secret and not given.webhook:
        raise FakeUsageError("--webhook-secret is of no use without --webhook")
    return {
        "pace": given.pace,
        "seed": given.seed,
        "dialect": given.dialect,
        "as_of": given.as_of,
        "organization_class": given.organization,
        "webhooks": [{"url": given.webhook, "secret": given.webhook_secret}] if given.webhook else [],
        "allow_remote_webhooks": given.allow_remote_webhooks,
    }


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: stop what runs there, or choose another with --port (0: a free one)"
    return f"cannot listen on {host} port {port}: {error.strerror or error}"


def _serve(fake: FakeFineTuning, listener: socket.socket, quiet: bool, token: str | None) -> None:
    app = fake.asgi_app if quiet else AccessLog(fake, sys.stderr)
    server = uvicorn.Server(config(ControlTokenMiddleware(app, token) if token else app))

    def stop(number: int, frame: object) -> None:
        server.should_exit = True

    # uvicorn has handlers of its own while it runs, and afterwards raises again what it has caught. These are for
    # before and after: to stop a server is no failure, from the moment its URL is known.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    _announce(listener, fake, quiet, bool(token))
    server.run(sockets=[listener])


def _announce(listener: socket.socket, fake: FakeFineTuning, quiet: bool, has_token: bool) -> None:
    url, dialect = _reachable(url_of(listener)), dialect_named(fake.settings.dialect)
    variable, path = dialect.http.base_url_variable
    exports = {variable: url.removesuffix("/v1") + path, dialect.http.key_variable: API_KEY}
    if webhooks := fake.webhooks:
        exports["OPENAI_WEBHOOK_SECRET"] = webhooks[0].secret
    lines = (f"export {name}={shlex.quote(value)}" for name, value in exports.items())
    print(base_url_for(url, dialect), *lines, sep="\n", flush=True)
    host = listener.getsockname()[0]
    if not is_loopback(host):
        others = "and those that have the token" if has_token else "only"
        print(f"warning: {host} lets other machines in; control (/_fake) answers this one {others}", file=sys.stderr)
    if not quiet:
        pace = fake.pace if isinstance(fake.pace, str) else f"{fake.pace:g}"
        text = f"fake-fine-tuning {VERSION}: pace {pace}, seed {fake.settings.seed}; Ctrl-C stops it"
        print(text, file=sys.stderr, flush=True)


def _reachable(url: str) -> str:
    """*url* with an address that a client can connect to, where the server listens on all of them."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
