"""`fake-fine-tuning exec -- COMMAND`: run a command against a fake of its own, in any language."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from .commands import ACCOUNT_OPTIONS, Command, create_fake
from .output import print_error

if TYPE_CHECKING:
    from ..fake.fake_fine_tuning import FakeFineTuning

NOT_FOUND, KILLED = 127, 128
"""What a shell returns for an unknown command, and adds to the number of the signal that ended one."""

EXAMPLE = "fake-fine-tuning exec -- npm test"
USAGE = "[OPTIONS] -- COMMAND [ARGUMENT]..."
EPILOG = """\
The fake's address and a key are in the command's environment, under the names that SDKs read, OpenAI's and Azure's.
Sleeps of the command are real: a pace such as 3600 makes them worth more. The exit code is the command's; 2 for wrong
usage, 127 if there is no such command.
"""


class ExecCommand(Command):
    """Takes what follows the first ``--`` as it is."""

    allow_interspersed_args = False  # where -- is missing, the flags after the command are not taken for ours

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what comes before ``--``."""
        end = args.index("--") if "--" in args else len(args)
        ctx.params["words"] = args[end + 1 :]
        if click.Command.parse_args(self, ctx, args[:end]) and not ctx.resilient_parsing:
            raise click.UsageError(f"the command must follow --, as in {EXAMPLE}", ctx)
        return []


@click.command(cls=ExecCommand, params=[*ACCOUNT_OPTIONS], options_metavar=USAGE, epilog=EPILOG)
def command(words: Sequence[str], **account: Any) -> int:
    """Run a command against a fake of its own."""
    if not words:
        raise click.UsageError(f"missing command; put -- before it, as in {EXAMPLE}")
    fake, stops = create_fake(**account), list[int]()
    # A terminal sends Ctrl-C to both processes: whether it ends the command is the command's decision.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.signal(signal.SIGTERM, lambda number, frame: stops.append(number))  # until there is a process to pass it to
    program = shutil.which(words[0]) or words[0]  # Windows runs npm.cmd for npm only by its whole name
    with fake.serving():
        try:
            process = subprocess.Popen([program, *words[1:]], env={**os.environ, **_variables(fake)})
        except OSError as error:
            return print_error(f"{words[0]}: {error.strerror}", NOT_FOUND)
        signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
        if stops:
            process.terminate()
        code = process.wait()
    return code if code >= 0 else KILLED - code


def _variables(fake: FakeFineTuning) -> dict[str, str]:
    """Return the fake's address under every name that leads to a service, so that no real key leads to a real one."""
    from ..fake.clients import API_KEY
    from ..web.dialect_adapter import account_root

    return {
        "OPENAI_BASE_URL": fake.base_url,
        "OPENAI_API_KEY": API_KEY,
        "AZURE_OPENAI_ENDPOINT": account_root(fake.base_url),
        "AZURE_OPENAI_API_KEY": API_KEY,
        "FINE_TUNING_PROVIDER": "azure" if "AZURE_OPENAI_ENDPOINT" in fake.env else "openai",
        **fake.env,
    }
