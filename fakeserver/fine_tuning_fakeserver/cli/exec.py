"""`fake-fine-tuning exec -- COMMAND`: run a command against a fake of its own, in any language."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from ..fake.clients import API_KEY
from ..fake.fake_fine_tuning import FakeFineTuning
from ..usage_errors import FakeUsageError
from .options import AS_OF, DIALECT, ORGANIZATION, PACE, SEED, parse

OPTIONS = (PACE, SEED, DIALECT, AS_OF, ORGANIZATION)

EPILOG = """\
The command finds the fake's address and a key in its environment, under the
names that SDKs read, OpenAI's and Azure's; the server listens on a free port
of this machine, and is gone when the command ends. Sleeps of the command are
real: a pace such as 3600 makes them worth more. The exit code is the
command's; 2 for wrong usage, 127 where there is no such command."""

NOT_FOUND, KILLED = 127, 128
"""What a shell says of a command that is none, and adds to the number of the signal that ended one."""


def main(arguments: Sequence[str]) -> int:
    """Run the command to its end; return its exit code."""
    parser = _parser()
    ours, command = _split(arguments)
    given = parse(parser, OPTIONS, ours, os.environ)
    if not command:
        parser.error("no command: put -- before it, as in fake-fine-tuning exec -- npm test")
    try:
        fake = FakeFineTuning(
            pace=given.pace,
            seed=given.seed,
            dialect=given.dialect,
            as_of=given.as_of,
            organization_class=given.organization,
        )
    except FakeUsageError as error:
        parser.error(str(error))
    return _run(fake, command)


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="fake-fine-tuning exec",
        usage="%(prog)s [options] -- COMMAND [ARGUMENT ...]",
        description="Run a command against a fake of its own.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """What stands before the first ``--``, and what after it."""
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:place], arguments[place + 1 :]


def _run(fake: FakeFineTuning, command: Sequence[str]) -> int:
    stops: list[int] = []
    # A terminal's Ctrl-C reaches both: whether it ends the command is the command's to say. The other is passed on.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.signal(signal.SIGTERM, lambda number, frame: stops.append(number))  # until there is somebody to pass it to
    program = shutil.which(command[0]) or command[0]  # Windows runs npm.cmd for npm only by its whole name
    with fake.serving():
        try:
            process = subprocess.Popen([program, *command[1:]], env={**os.environ, **_variables(fake)})
        except OSError as error:
            print(f"fake-fine-tuning exec: {command[0]}: {error.strerror}", file=sys.stderr)
            return NOT_FOUND
        signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
        if stops:
            process.terminate()
        code = process.wait()
    return code if code >= 0 else KILLED - code


def _variables(fake: FakeFineTuning) -> dict[str, str]:
    """The fake's address under every name that leads to a service: a real key beside it must lead to none."""
    own, place = fake.env, urlsplit(fake.base_url)
    every = {
        "OPENAI_BASE_URL": fake.base_url,
        "OPENAI_API_KEY": API_KEY,
        "AZURE_OPENAI_ENDPOINT": f"{place.scheme}://{place.netloc}",
        "AZURE_OPENAI_API_KEY": API_KEY,
        "FINE_TUNING_PROVIDER": "azure" if "AZURE_OPENAI_ENDPOINT" in own else "openai",
    }
    return {**every, **own}
