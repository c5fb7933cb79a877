"""`fake-fine-tuning serve`: the fake on a socket, until it is stopped."""

from __future__ import annotations

import errno
import shlex
import signal
import socket
import sys
import time
from contextlib import suppress
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

import click

from fine_tuning_formats.text import is_loopback

from ..version import VERSION
from ..web import REQUEST_TIMEOUT_S
from .commands import ACCOUNT_OPTIONS, Command, Number, create_fake, option
from .output import print_error, print_note
from .serve_log import address_for_others, show_logs

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ..fake.fake_fine_tuning import FakeFineTuning

EPILOG = """\
The first line on stdout is the base URL; from then on the server responds. Lines to paste into a shell follow: address
and key, with --webhook its secret, and NO_PROXY. Requests, and webhooks that cannot be delivered, are logged to stderr.
Ctrl-C stops the server, with exit code 0.

\b
  60       a minute passes each second; any positive number will do
  polls    when a job is retrieved, time moves to its next status, for every
           job of the account
  manual   time stands still until POST /_fake/clock/advance
  instant  a created job is finished at the next request
"""

TIMEOUT_HELP = "Close connections on which a request, or the next piece of its body, takes longer."

OPTIONS = (
    option("--host", metavar="ADDRESS", default="127.0.0.1", help="Address to listen on."),
    option("--port", "-p", metavar="PORT", default=4355, type=Number(int, 0, 65535), help="0: a free port."),
    *ACCOUNT_OPTIONS,
    option("--webhook", metavar="URL", help="Send an event to this URL when a job has ended."),
    option("--webhook-secret", metavar="SECRET", help="Sign webhooks with it; otherwise a secret is derived."),
    click.Option(["--allow-remote-webhooks"], is_flag=True, help="Let webhooks leave this machine."),
    option("--control-token", metavar="TOKEN", help="Let other machines that send this bearer token use /_fake."),
    option("--timeout", metavar="SECONDS", default=REQUEST_TIMEOUT_S, type=Number(float, 0.001), help=TIMEOUT_HELP),
    click.Option(["--quiet", "-q"], is_flag=True, help="No log on stderr."),
)


@click.command(cls=Command, params=[*OPTIONS], epilog=EPILOG)
def command(host: str, port: int, control_token: str | None, quiet: bool, timeout: float, **settings: Any) -> int:
    """Run the fake as a local server, for any language."""
    from ..web.server import bind

    url, secret = settings.pop("webhook"), settings.pop("webhook_secret")
    if secret and not url:
        raise click.UsageError("--webhook-secret requires --webhook", click.get_current_context())
    fake = create_fake(webhooks=[{"url": url, "secret": secret}] if url else [], **settings)
    try:
        listener = bind(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return print_error(f"port {port} on {host} is taken; pass another one with --port (0: a free one)")
        # without the address, which Python adds
        reason = str(error.strerror or error).partition(" (while ")[0]
        return print_error(f"cannot listen on {host} port {port}: {reason}")
    with listener:
        _serve(fake, listener, quiet, control_token, timeout)
    return 0


def _serve(fake: FakeFineTuning, listener: socket.socket, quiet: bool, token: str | None, timeout_s: float) -> None:
    from ..web.server import Server, config

    show_logs(quiet)
    app = fake.asgi_app if quiet or sys.stderr is None else AccessLog(fake, sys.stderr)
    server = Server(config(ControlTokenMiddleware(app, token) if token else app, timeout_s))

    def stop(number: int, frame: object) -> None:
        server.should_exit = True

    # uvicorn has handlers of its own while it runs, and afterwards raises again what it has caught. These are for
    # before and after: to stop a server is no failure, from the moment its URL is known.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    _announce(listener, fake, quiet, bool(token))
    server.run(sockets=[listener])


def _announce(listener: socket.socket, fake: FakeFineTuning, quiet: bool, has_token: bool) -> None:
    from ..web.server import url_of

    # A client can connect to no server at "all addresses": show one of them.
    url = url_of(listener).replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    with fake.reached_at(url):
        base_url, exports = fake.base_url, fake.env
    if webhooks := fake.webhooks:
        exports["OPENAI_WEBHOOK_SECRET"] = webhooks[0].secret
    names = sorted(exports, key=lambda name: name.upper() == "NO_PROXY")  # which come last
    print(base_url, *(f"export {name}={shlex.quote(exports[name])}" for name in names), sep="\n", flush=True)

    host = listener.getsockname()[0]
    if not is_loopback(host):
        clients = "this machine and clients with the token" if has_token else "this machine only"
        print_note(f"warning: {host} lets other machines in; control (/_fake) accepts {clients}")
        others_url = urlsplit(base_url)._replace(netloc=address_for_others(listener)).geturl()
        print_note(f"other machines reach it at {others_url}")
    if not quiet:
        pace = fake.pace if isinstance(fake.pace, str) else f"{fake.pace:g}"
        print_note(f"fake-fine-tuning {VERSION}: pace {pace}, seed {fake.settings.seed}; Ctrl-C stops it")


class AccessLog:
    """ASGI middleware that writes a line for each response to *out*; without headers, so without keys.

    A line has the time, the virtual time since the account began, the status, the duration, and the request:
    ``12:03:41 +0:06:17 200     1.2 ms  GET /v1/fine_tuning/jobs?limit=2``.
    """

    def __init__(self, fake: FakeFineTuning, out: TextIO) -> None:
        self._fake = fake
        self._app: ASGIApp = fake.asgi_app
        self._out = out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, then write its line."""
        status = "---"  # the client has closed the connection before there was a response

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        start = time.perf_counter()
        try:
            await self._app(scope, receive, send_noting_status)
        finally:
            if scope["type"] == "http":
                self._write(scope, f"{status} {1000 * (time.perf_counter() - start):7.1f} ms")

    def _write(self, scope: Scope, response: str) -> None:
        path, query = scope["raw_path"], scope["query_string"]  # as sent: escaped characters cannot harm a terminal
        target = (path + b"?" + query if query else path).decode("ascii", "backslashreplace")
        age = timedelta(seconds=int(self._fake.now - self._fake.born))
        with suppress(OSError):  # nobody reads the log any more, which is no reason to fail the request
            text = f"{datetime.now():%H:%M:%S} +{age} {response}  {scope['method']} {target}"
            print(text, file=self._out, flush=True)


class ControlTokenMiddleware:
    """ASGI middleware that takes clients that send the bearer *token* to /_fake for clients on this machine."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._authorization = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and scope["path"].startswith("/_fake"):
            sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            if compare_digest(sent, self._authorization):
                scope = {**scope, "client": ("127.0.0.1", 0)}
        await self._app(scope, receive, send)
