"""`fake-fine-tuning serve`: the fake on a socket, until it is stopped."""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

import uvicorn

from ..domain.dialects import dialect_named
from ..domain.usage import FakeUsageError
from ..edge.control import is_loopback
from ..edge.manners import told
from ..edge.serving import bind, config, url_of
from ..fake import FakeFineTuning
from ..handle.doors import API_KEY
from ..version import VERSION
from .access_log import AccessLog
from .options import (
    AS_OF,
    CONTROL_TOKEN,
    DIALECT,
    HOST,
    ORGANIZATION,
    PACE,
    PORT,
    SEED,
    WEBHOOK,
    WEBHOOK_SECRET,
    parse,
)
from .steered import Steered

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
    server = uvicorn.Server(config(Steered(app, token) if token else app))

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
    variable, path = dialect.manner.place
    exports = {variable: url.removesuffix("/v1") + path, dialect.manner.key_variable: API_KEY}
    if webhooks := fake.webhooks:
        exports["OPENAI_WEBHOOK_SECRET"] = webhooks[0].secret
    lines = (f"export {name}={shlex.quote(value)}" for name, value in exports.items())
    print(told(url, dialect), *lines, sep="\n", flush=True)
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
