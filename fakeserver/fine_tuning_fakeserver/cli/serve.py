"""`fake-fine-tuning serve`: the fake on a socket, until it is stopped."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.util import find_spec
from ipaddress import ip_network
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from ..account import ACCOUNTS_AT_MOST
from ..usage_errors import FakeUsageError
from ..version import VERSION
from ..web import DEFAULT_PORT, DRAIN_S, REQUEST_TIMEOUT_S, is_page_path
from .commands import (
    ACCOUNT_OPTIONS,
    Command,
    Number,
    OneOf,
    create_accounts,
    create_fake,
    create_fake_from_setup,
    load_fake,
    option,
    sqlite_url,
    usage_error,
)
from .line_queue import LineQueue
from .output import export_lines, print_error, print_note
from .request_observer import ObservedRequest, RequestObserver
from .serve_log import address_for_others, show_logs

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ..fake.fake_accounts import AccountMoment, FakeAccounts
    from ..fake.fake_fine_tuning import FakeFineTuning
    from ..web.access import Access

EPILOG = """\
The first line on stdout is the base URL; from then on the server responds. Lines to paste into a shell follow: address
and key, with --webhook its secret, and NO_PROXY. Requests, and webhooks that cannot be delivered, are logged to stderr.
Ctrl-C stops the server, with exit code 0.

\b
  60       a minute passes each second while a job is unfinished; any
           positive number will do
  polls    when a job is retrieved or listed again, time moves to its next
           status, for every job of the account
  manual   time stands still until POST /_fake/clock/advance
  instant  a created job is finished at the next request
"""

TIMEOUT_HELP = "Close connections on which a request, or the next piece of its body, takes longer."

FORMAT_HELP = "text, or json: an object a line, without health probes, with jobs."
WORKERS_HELP = "Answer with so many processes; needs --data or --store."
DRAIN_HELP = "At SIGTERM, answer requests and try webhooks under way for so long."

OPTIONS = (
    option("--host", metavar="ADDRESS", default="127.0.0.1", help="Address to listen on."),
    option("--port", "-p", metavar="PORT", default=DEFAULT_PORT, type=Number(int, 0, 65535), help="0: a free port."),
    *ACCOUNT_OPTIONS,
    option("--setup", metavar="FILE", help="Begin with the settings, files, jobs, plans and faults of a file."),
    option("--load", metavar="FILE", help="Go on with a saved account; it brings its own settings."),
    option("--webhook", metavar="URL", help="Send an event to this URL when a job has ended."),
    option("--webhook-secret", metavar="SECRET", help="Sign webhooks with it; otherwise a secret is derived."),
    click.Option(["--allow-remote-webhooks"], is_flag=True, help="Let webhooks leave this machine."),
    option(
        "--allowed-host",
        "allowed_hosts",
        metavar="NAME",
        multiple=True,
        help="On loopback, answer requests for this host, too, such as host.docker.internal.",
    ),
    option("--control-token", metavar="TOKEN", help="On other addresses, let clients that send it use /_fake."),
    option(
        "--forwarded-allow-ips",
        metavar="ADDRESSES",
        help="Proxies whose X-Forwarded-For is believed; otherwise nobody's is.",
    ),
    click.Option(["--account-per-key"], is_flag=True, help="Give each API key an account of its own under /v1."),
    option("--account-ttl", metavar="DURATION", help="Forget accounts that no request was for as long, such as 12h."),
    option(
        "--max-accounts",
        metavar="N",
        default=ACCOUNTS_AT_MOST,
        type=Number(int, 0),
        help="Refuse more accounts than these, besides main.",
    ),
    option("--data", metavar="DIR", help="Keep accounts in this folder, so that they outlast the server."),
    option("--store", metavar="URL", help="Keep accounts in sqlite:///PATH or postgresql://…, and share them."),
    option("--workers", metavar="N", default=1, type=Number(int, 1, 64), help=WORKERS_HELP),
    option("--timeout", metavar="SECONDS", default=REQUEST_TIMEOUT_S, type=Number(float, 0.001), help=TIMEOUT_HELP),
    option("--drain", metavar="SECONDS", default=DRAIN_S, type=Number(float, 0), help=DRAIN_HELP),
    option("--log-format", metavar="FORMAT", default="text", type=OneOf(("text", "json")), help=FORMAT_HELP),
    click.Option(["--open", "open_page"], is_flag=True, help="Show the accounts in a browser."),
    click.Option(["--metrics"], is_flag=True, help="Show figures for Prometheus at /metrics."),
    click.Option(["--quiet", "-q"], is_flag=True, help="No log on stderr."),
)


@click.command(cls=Command, params=[*OPTIONS], epilog=EPILOG)
def command(
    host: str,
    port: int,
    allowed_hosts: Sequence[str],
    control_token: str | None,
    forwarded_allow_ips: str | None,
    quiet: bool,
    timeout: float,
    setup: str | None,
    drain: float,
    log_format: str,
    metrics: bool,
    open_page: bool,
    load: str | None,
    data: str | None,
    store: str | None,
    workers: int,
    **settings: Any,
) -> int:
    """Run the fake as a local server, for any language."""
    from ..web.access import new_access
    from ..web.server import is_local

    context = click.get_current_context()
    _check_proxies(forwarded_allow_ips or "", context)
    _check_metrics(metrics, context)
    store = _check_store(data, store, workers, metrics, context)
    shared = {name: settings.pop(name) for name in ("account_per_key", "account_ttl", "max_accounts")}
    # accounts in a store begin as this one does, and send webhooks themselves
    main = _create_main(load, setup, settings, context, sends_webhooks=store is None)
    accounts = create_accounts(main, store, **shared) if workers == 1 else None
    if isinstance(listener := _bind(host, port), int):
        return listener
    with listener:
        try:
            access = new_access(is_local(listener), allowed_hosts, control_token)
        except FakeUsageError as error:
            raise usage_error(error, context) from None
        limits = {"request_timeout_s": timeout, "forwarded_allow_ips": forwarded_allow_ips, "drain_s": drain}

        def serve(worker: int = 0, *, is_first: bool = True) -> None:
            own = accounts or create_accounts(main, store, worker=worker, **shared)
            announces = is_first and worker == 0  # what all workers would
            if announces and own.is_resumed and (setup or load):
                print_note(f"{'--setup' if setup else '--load'} is left out: the store has the account main already")
            with closing(own):
                _serve(own, listener, quiet, access, log_format, metrics, announces, open_page, **limits)

        if workers > 1:
            from .workers import Workers  # imported on demand, as it is seldom needed

            return Workers(workers, serve).run()
        serve()
    return 0


def _bind(host: str, port: int) -> socket.socket | int:
    """Return a listening socket; print what is wrong and return the exit code if there can be none."""
    from ..web.server import bind

    try:
        return bind(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return print_error(f"port {port} on {host} is taken; pass another one with --port (0: a free one)")
        # without the address, which Python adds
        reason = str(error.strerror or error).partition(" (while ")[0]
        return print_error(f"cannot listen on {host} port {port}: {reason}")


def _check_store(
    data: str | None, store: str | None, workers: int, metrics: bool, context: click.Context
) -> str | None:
    """Return the URL of the store that accounts are in; None for memory.

    Raises:
        click.UsageError: the options do not fit together, or the store cannot be used.
    """
    if data and store:
        raise click.UsageError("--data is a store in SQLite, and --store any: give one of them", context)
    url = sqlite_url(data) if data else store
    if workers > 1 and not url:
        text = "--workers needs --data or --store: accounts in the memory of one process cannot be shared by several"
        raise click.UsageError(text, context)
    if workers > 1 and metrics:
        raise click.UsageError("--metrics counts the requests of one process: leave out --workers", context)
    if workers > 1 and not hasattr(os, "fork"):
        raise click.UsageError("--workers needs a system with fork, which this is not", context)
    if url:
        from ..stores import open_store

        try:
            open_store(url).close()
        except FakeUsageError as error:
            raise click.UsageError(f"{'--data' if data else '--store'}: {error}", context) from None
    return url


def _create_main(
    load: str | None, setup: str | None, settings: dict[str, Any], context: click.Context, *, sends_webhooks: bool
) -> FakeFineTuning:
    """Create the account main, as which all accounts begin."""
    url, secret = settings.pop("webhook"), settings.pop("webhook_secret")
    if secret and not url:
        raise click.UsageError("--webhook-secret requires --webhook", context)
    webhooks = [{"url": url, "secret": secret}] if url else []
    if load and setup:
        raise click.UsageError("--load goes on with an account, and --setup begins one: give one of them", context)
    if load:
        return load_fake(load, webhooks, settings, sends_webhooks=sends_webhooks)
    settings |= {"webhooks": webhooks} if webhooks else {}
    defaults: dict[str, Any] = {"webhooks": [], "patience": None}  # people may look at a job as often as they like
    if setup:
        return create_fake_from_setup(setup, defaults, sends_webhooks=sends_webhooks, **settings)
    return create_fake(**{**defaults, **settings})


def _check_proxies(addresses: str, context: click.Context) -> None:
    for proxy in addresses.split(","):
        if proxy and not _is_network(proxy.strip()):  # not "*" either: clients would be whoever they claim to be
            raise click.UsageError(f"--forwarded-allow-ips must be the addresses of proxies, got {proxy!r}", context)


def _check_metrics(metrics: bool, context: click.Context) -> None:
    if metrics and not find_spec("prometheus_client"):
        text = "--metrics needs prometheus-client, not installed here: pip install 'fake-fine-tuning[metrics]'"
        raise click.UsageError(text, context)


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _serve(
    accounts: FakeAccounts,
    listener: socket.socket,
    quiet: bool,
    access: Access,
    log_format: str,
    metrics: bool,
    announces: bool,
    open_page: bool,
    **settings: Any,
) -> None:
    from ..clock import steady
    from ..web.access import HostGuard
    from ..web.server import Server, config

    app: ASGIApp = _measured_app(accounts, access) if metrics else HostGuard(accounts.asgi_app, access)
    lines = LineQueue(sys.stderr)
    app, note, look_at_jobs = _logged_app(accounts, app, quiet, log_format, lines, logs_jobs=announces)
    server = Server(config(app, is_fast=True, **settings), look_at_jobs)

    def stop(number: int, frame: object) -> None:
        server.stop()

    # uvicorn has handlers of its own while it runs, and afterwards raises again what it has caught. These are for
    # before and after: stopping a server is not a failure, from the moment its URL is known.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if announces:
        page = _announce(listener, accounts, quiet, access, note)
        if open_page:
            _open_in_browser(page)
    try:
        server.run(sockets=[listener])
    finally:
        lines.flush()
    if (left_s := server.drains_until - steady()) > 0:
        accounts.deliver_webhooks(left_s)
    if look_at_jobs:
        look_at_jobs()


def _logged_app(
    accounts: FakeAccounts, app: ASGIApp, quiet: bool, log_format: str, lines: LineQueue, *, logs_jobs: bool
) -> tuple[ASGIApp, Callable[[str], None], Callable[[], None] | None]:
    """Begin the log; return the app that logs its requests, what writes a line, and what logs the news of jobs."""
    if log_format == "json":
        from .json_log import JobLog, JsonAccessLog, JsonHandler, write_json_line

        show_logs(quiet, lines, JsonHandler())
        if quiet:
            return app, write_json_line, None
        return JsonAccessLog(accounts, app, lines), write_json_line, JobLog(accounts).look if logs_jobs else None
    show_logs(quiet, lines)
    if not quiet and sys.stderr is not None:
        app = AccessLog(accounts.moment_of, app, lines)
    return app, print_note, None


def _measured_app(accounts: FakeAccounts, access: Access) -> ASGIApp:
    from ..web.access import HostGuard
    from .prometheus import MetricsPage, RequestMetrics, new_registry

    registry = new_registry(accounts)
    return RequestMetrics(HostGuard(MetricsPage(accounts.asgi_app, registry), access), registry)


def _announce(
    listener: socket.socket, accounts: FakeAccounts, quiet: bool, access: Access, note: Callable[[str], None]
) -> str:
    """Say how clients and people reach the server; return the address of the page."""
    from ..fake.clients import page_address
    from ..web.server import url_of

    # A client can connect to no server at "all addresses": show one of them.
    url = url_of(listener).replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    fake = accounts.main
    with accounts.reached_at(url):
        base_url, (exports, unknown) = fake.base_url, _variables(fake)
    print(base_url, *export_lines(exports), sep="\n", flush=True)

    if unknown:
        note(f"set {' and '.join(unknown)} to a key of the account: its file has none, only digests of keys")
    if not access.is_local:
        clients = "clients with the token" if access.control_token else "nobody without --control-token"
        note(f"warning: {listener.getsockname()[0]} lets other machines in; control (/_fake) accepts {clients}")
        others_url = urlsplit(base_url)._replace(netloc=address_for_others(listener)).geturl()
        note(f"other machines reach it at {others_url}")
    if not quiet:
        pace = fake.pace if isinstance(fake.pace, str) else f"{fake.pace:g}"
        note(f"fake-fine-tuning {VERSION}: pace {pace}, seed {fake.settings.seed}; Ctrl-C stops it")
        note(f"see the jobs and move time: {page_address(base_url)}")
    return page_address(base_url)


def _open_in_browser(address: str) -> None:
    """Open a browser; in a thread, since some are programs of the terminal and return only at their end."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), name="browser", daemon=True).start()


def _variables(fake: FakeFineTuning) -> tuple[dict[str, str], list[str]]:
    """Return the variables for clients, and the names of those for a key that is not known."""
    from ..fake.clients import API_KEY
    from ..settings import is_digest

    variables = fake.env
    unknown: list[str] = []
    if accepted := fake.settings.api_keys:  # any other is refused
        keys = sorted(key for key in accepted if not is_digest(key))
        for name in [name for name, value in variables.items() if value == API_KEY]:
            del variables[name]
            if keys:
                variables[name] = keys[0]
            else:
                unknown.append(name)
    if webhooks := fake.webhooks:
        variables["OPENAI_WEBHOOK_SECRET"] = webhooks[0].secret
    return variables, unknown


class AccessLog(RequestObserver):
    """ASGI middleware that writes a line for each response, without headers and without keys in the query.

    A line has the time, the virtual time since the account began, the status, the duration, and the request:
    ``12:03:41 +0:06:17 200     1.2 ms  GET /v1/fine_tuning/jobs?limit=2``.

    Args:
        moment_of: returns the time of an account, by its name; None stands for no account.
        app: the application.
        lines: where the lines go.
    """

    def __init__(self, moment_of: Callable[[str | None], AccountMoment], app: ASGIApp, lines: LineQueue) -> None:
        super().__init__(app)
        self._moment_of = moment_of
        self._lines = lines

    def observe(self, request: ObservedRequest) -> None:
        """Write the line of a request; ``---`` for the status of one whose client did not wait for its response."""
        if is_page_path(request.scope["path"]):
            return
        age = _age(int(self._moment_of(request.account).age_s))
        response = f"{request.status or '---'} {1000 * request.duration_s:7.1f} ms"
        self._lines.add(f"{_time_of_day(int(time()))} +{age} {response}  {request.scope['method']} {request.target}")


@lru_cache(maxsize=1)
def _time_of_day(now: int) -> str:
    return f"{datetime.fromtimestamp(now):%H:%M:%S}"


@lru_cache(maxsize=1)
def _age(seconds: int) -> timedelta:
    return timedelta(seconds=seconds)
