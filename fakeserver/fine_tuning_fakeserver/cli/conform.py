"""`fake-fine-tuning conform`: hold any server that claims the fine-tuning API to its contract."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import click

from fine_tuning_formats.text import parse_http_url, printable

from ..domain.dialects import DIALECTS
from ..domain.dialects.dialect import RECORDED
from ..usage_errors import FakeUsageError
from .commands import Command, Number, OneOf
from .output import print_error, print_note

if TYPE_CHECKING:
    from ..conform.answer_checks import CheckResult
    from ..conform.target import Target

EPILOG = """\
The same requests go to the server and to a fake in this process; what the fake answers is wanted of the server. Reads
and refusals are asked for always. Files and jobs are created at a fake of this project, in an account of their own, as
its request log proves it; at any other server only with --budget-jobs, and one that is not on loopback wants
--i-know-this-costs as well: a gateway on this machine may forward to a service that is paid for.

Exit codes: 0 all checks that were run passed, 1 some failed, 2 wrong usage, or nobody answers.
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("url", metavar="URL")
@click.option("--key-env", metavar="NAME", help="The variable with the API key.")
@click.option("--dialect", metavar="NAME", type=OneOf(tuple(DIALECTS)), help="What it claims; a fake's own by default.")
@click.option("--model", metavar="NAME", help="The model to train; by default one that the dialect knows.")
@click.option("--budget-jobs", metavar="N", default=0, type=Number(int, 0), help="How many jobs may be created.")
@click.option("--i-know-this-costs", is_flag=True, help="Create them on another machine, too.")
@click.option("--timeout", metavar="SECONDS", default=3600.0, type=Number(float, 0), help="How long a job may take.")
@click.option("--json", "output", flag_value="json", help="Print one JSON document for machines.")
@click.option("--junit", "output", flag_value="junit", help="Print JUnit XML.")
@click.option("--badge", "output", flag_value="badge", help="Print JSON for a badge of shields.io.")
def command(url: str, output: str | None, key_env: str | None, **options: Any) -> int:
    """Hold the server at URL, a base URL such as http://127.0.0.1:8080/v1, to the contract of the fine-tuning API."""
    from ..conform.answer_checks import conform

    key = _key_of(key_env)
    try:
        with _target(url, key, **options) as target:
            results = conform(target, options["model"])
            _print(results, target, output)
    except FakeUsageError as error:
        return print_error(error)
    except ConnectionError as error:
        return print_error(error)
    return 1 if any(result.outcome == "failed" for result in results) else 0


def _key_of(variable: str | None) -> str:
    """Return the API key in *variable*, or a word for servers that take any."""
    if variable is None:
        return "conform"
    if not (key := os.environ.get(variable)):
        raise click.UsageError(f"--key-env must name a variable that is set, got {variable!r}")
    return key


@contextmanager
def _target(url: str, key: str, **options: Any) -> Generator[Target, None, None]:
    """Provide the server with what it may be asked; forget the account that was made for it at the end."""
    import httpx

    from ..conform.target import NO_LIMIT, Target, is_loopback

    if not parse_http_url(url) or urlsplit(url).query:
        raise click.UsageError("URL must be an address such as http://127.0.0.1:8080/v1")  # not shown: it may be a key
    is_near, budget = is_loopback(url), int(options["budget_jobs"])
    if budget and not is_near and not options["i_know_this_costs"]:
        raise click.UsageError("--budget-jobs needs --i-know-this-costs where the host is not on loopback")
    dialect = DIALECTS[options["dialect"] or RECORDED.name]
    base_url = url.rstrip("/") if urlsplit(url).path.strip("/") else url.rstrip("/") + dialect.http.root
    with httpx.Client(trust_env=not is_near, timeout=60.0) as http:
        target = Target(http, base_url, dialect, key, budget, float(options["timeout"]))
        if (first := target.ask("GET", "/models")).status == 0:
            raise ConnectionError(f"{urlsplit(url).netloc.rpartition('@')[2]} does not answer: {first.error}")
        own = target.prove_fake()
        if own is None:
            target.request_ids.clear()
            yield target
            return
        fake = Target(http, base_url, DIALECTS[options["dialect"] or own], key, NO_LIMIT, target.timeout_s, True)
        with _fresh_account(fake):
            yield fake


@contextmanager
def _fresh_account(fake: Target) -> Generator[None, None, None]:
    """Let *fake* be a new account of the server while the context lasts, if it has several."""
    from ..web.dialect_adapter import account_root, base_url_for

    root, name = account_root(fake.base_url), f"conform-{uuid4().hex[:8]}"
    made = not urlsplit(root).path.strip("/") and fake.control("PUT", f"/_fake/accounts/{name}").status < 300
    if not made:
        fake.base_url = base_url_for(f"{root}/v1", fake.dialect)
        yield
        return
    fake.base_url = base_url_for(f"{root}/accounts/{name}/v1", fake.dialect)
    try:
        yield
    finally:
        fake.base_url = base_url_for(f"{root}/v1", fake.dialect)
        fake.control("DELETE", f"/_fake/accounts/{name}")


def _print(results: list[CheckResult], target: Target, output: str | None) -> None:
    from ..conform import score

    if output == "json":
        print(json.dumps(score.as_json(results, target.base_url, target.dialect.name, target.is_fake), indent=2))
    elif output == "junit":
        print(score.as_junit(results, target.base_url))
    elif output == "badge":
        print(json.dumps(score.as_badge(results)))
    else:
        if not target.is_fake and not target.may_create:
            print_note("reads and refusals only; --budget-jobs 2 lets files and two jobs be created, which may cost")
        for line in score.lines(results):
            print(printable(line))
