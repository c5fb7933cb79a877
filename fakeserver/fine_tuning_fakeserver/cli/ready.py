"""`fake-fine-tuning ready`: whether a server answers, for health checks and for scripts that have just started one."""

from __future__ import annotations

import json
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

import click

from fine_tuning_formats.text import parse_http_url

from ..web import DEFAULT_PORT
from .commands import PORT_VARIABLE, Command, Number, local_url
from .output import print_error

ATTEMPT_WITHIN_S = 5.0
"""How long one attempt may take."""
PAUSE_S = 0.1
"""How long to wait between attempts."""

EPILOG = f"""\
Without a URL it is this machine's server, on the port of {PORT_VARIABLE} or {DEFAULT_PORT}. A base URL such as that of
OPENAI_BASE_URL will do: only its host and port matter. Proxies of the environment are not asked.

Exit codes: 0 the server answers, 1 it does not, 2 wrong usage.
"""


@click.command(
    cls=Command,
    params=[
        click.Argument(["url"], required=False),
        click.Option(
            ["--wait"],
            metavar="SECONDS",
            default=0,
            show_default=True,
            type=Number(float, 0),
            help="How long to try again; 0: try once.",
        ),
    ],
    epilog=EPILOG,
)
def command(url: str | None, wait: float) -> int:
    """Exit with 0 once a server answers."""
    place = _parse_url(url) if url else urlsplit(local_url())
    deadline = time.monotonic() + wait
    while (problem := _problem(place)) and (left_s := deadline - time.monotonic()) > 0:
        time.sleep(min(PAUSE_S, left_s))
    if not problem:
        return 0
    where = f"{place.scheme}://{place.netloc.rpartition('@')[2]}/ready"
    return print_error(f"{where} is not ready: {problem}", 1)


def _parse_url(url: str) -> SplitResult:
    if place := parse_http_url(url):
        return place
    # not shown: it could be a key
    raise click.UsageError("URL must be an address such as http://127.0.0.1:4355", click.get_current_context())


def _problem(place: SplitResult) -> str:
    """Ask once; return what is wrong, or ""."""
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    try:
        with closing(kind(place.hostname or "", place.port, timeout=ATTEMPT_WITHIN_S)) as connection:
            connection.request("GET", "/ready")
            answer = connection.getresponse()
            body = answer.read(10_000)
    except (OSError, HTTPException, ValueError) as error:
        return str(getattr(error, "strerror", None) or error or type(error).__name__)
    if answer.status != 200:
        return f"it answers {answer.status}"
    try:
        is_ours = json.loads(body)["status"] == "ok"
    except (ValueError, LookupError, TypeError):
        is_ours = False
    return "" if is_ours else "another server answers there"
