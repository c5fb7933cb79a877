"""One run of the command: a client, a place for results, and what becomes of errors."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from fine_tuning_client import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    FineTuningClient,
    FineTuningError,
    NotFoundError,
    UnsupportedOperationError,
    WaitTimeout,
)
from fine_tuning_formats.network import is_loopback

from .output import Output, note

REFUSED, MISUSED, TIMED_OUT = 1, 2, 124
"""Exit codes; the last one as `timeout` has it: a job that goes on has not failed."""

POLL_S, FAKE_POLL_S = 5.0, 0.5

KEYS = {"openai": "OPENAI_API_KEY", "azure": "AZURE_OPENAI_API_KEY"}
ADDRESSES = {"openai": "OPENAI_BASE_URL", "azure": "AZURE_OPENAI_ENDPOINT"}
"""Variables of the providers, as the client reads them."""

IN_A_COMMAND = {"pass api_key or set": "set", "pass base_url": "pass --base-url"}
"""The client's advice to a program, as advice to a person."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a verb works with."""

    given: argparse.Namespace
    client: FineTuningClient
    out: Output

    @property
    def poll_s(self) -> float:
        """Seconds from the first look at a job to the second: in a fake, or on this machine, it is over in some."""
        provider = self.given.provider or os.environ.get("FINE_TUNING_PROVIDER") or "openai"
        url = self.given.base_url or os.environ.get(ADDRESSES.get(provider, ""), "")
        return FAKE_POLL_S if provider == "fake" or _is_here(url) else POLL_S

    def command(self, *words: str) -> str:
        """How to ask the same service for something else."""
        flags = {"--provider": self.given.provider, "--base-url": self.given.base_url}
        service = [word for flag, value in flags.items() if value for word in (flag, value)]
        return shlex.join(["fake-fine-tuning", "jobs", *words, *service])


def run(verb: Callable[[Session], int], given: argparse.Namespace) -> int:
    """Do *verb*; return the exit code, having said in a line what went wrong."""
    out = Output(sys.stdout)
    try:
        with FineTuningClient(given.provider, base_url=given.base_url) as client:
            code = verb(Session(given, client, out))
        out.flush()
    except BrokenPipeError:  # `| head` has seen enough
        out.abandon()
        return 0
    except (FineTuningError, OSError, ValueError, httpx.InvalidURL) as error:
        note(f"fake-fine-tuning jobs {given.verb}: {_said(error, given)}")
        if _is_io(error):
            out.abandon()
        return _code(error)
    return code


def _is_here(url: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        return is_loopback(urlsplit(url).hostname)
    except ValueError:
        return False


def _is_io(error: Exception) -> bool:
    """Whether something could not be read or written; where a file is named, it is the argument that is wrong."""
    return isinstance(error, OSError) and not isinstance(error, FineTuningError) and not error.filename


def _code(error: Exception) -> int:
    if isinstance(error, WaitTimeout):
        return TIMED_OUT
    if _is_io(error):
        return REFUSED
    is_refusal = isinstance(error, FineTuningError)
    return REFUSED if is_refusal and not isinstance(error, ConfigurationError | UnsupportedOperationError) else MISUSED


def _said(error: Exception, given: argparse.Namespace) -> str:
    text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    if isinstance(error, httpx.InvalidURL):  # passes for an address until its host is encoded
        return f"the base URL cannot be used: {text}"
    if isinstance(error, ConfigurationError):
        for program, person in IN_A_COMMAND.items():
            text = text.replace(program, person)
    advice = _advice(error, given)
    return f"{text}; {advice}" if advice else text


def _advice(error: Exception, given: argparse.Namespace) -> str:
    if isinstance(error, NotFoundError) and "job" in given:
        return "`fake-fine-tuning jobs list` shows the jobs there are"
    if isinstance(error, AuthenticationError):
        return f"is {KEYS.get(error.provider or '', 'the variable with the key')} right?"
    if isinstance(error, APIConnectionError):
        return _how_to_reach(error.provider, given)
    return ""


def _how_to_reach(provider: str | None, given: argparse.Namespace) -> str:
    if given.base_url:
        return f"is {given.base_url} right?"
    if provider == "fake":
        return "`fake-fine-tuning serve` starts one"
    return "is the network up, and the address right?"
