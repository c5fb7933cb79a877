"""The command `fake-fine-tuning`: show the fake to a person, or serve it to a program in any language.

Exit codes: 0 success; 1 the job of `demo` or `jobs` failed, a service refused, or a server is not `ready`; 2 wrong
usage; 130 interrupted.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import StringIO, TextIOWrapper
from typing import Any

import click

from ..version import VERSION
from .commands import CommandGroup, reworded
from .output import INTERRUPTED, discard, print_note

PROG = "fake-fine-tuning"
COMPLETE = "_FAKE_FINE_TUNING_COMPLETE"
"""The variable by which a shell asks for completions."""

COMMANDS = {
    "serve": "Run the fake as a local server, for any language.",
    "ready": "Exit with 0 once a server answers.",
    "exec": "Run a command against a fake of its own: exec -- npm test",
    "env": "Print the variables for clients of a running server.",
    "accounts": "List, export, import and delete accounts of a server or a store.",
    "jobs": "Create, watch and steer jobs, of the fake or a real service.",
    "demo": "Run a whole fine-tuning session here in the terminal.",
    "verify": "Compare the fake with recorded exchanges with the service.",
    "conform": "Hold any server that claims this API to its contract.",
    "fidelity": "Show which evidence backs the fake's responses.",
}
"""The modules with a ``command``, and what the help says of each."""

EPILOG = f"""\
Each command has its own --help. Completion in bash (in zsh and fish: zsh_source, fish_source):

\b
  eval "$({COMPLETE}=bash_source {PROG})"
"""


class LazyCommand(click.Command):
    """A command whose module is imported when it is used, so that help and other commands are quick."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        """Parse the arguments as the command of the module does."""
        command: click.Command = import_module(f".{self.name}", __name__).command
        return command.make_context(info_name, args, parent, **extra)


@click.group(
    commands=[LazyCommand(name, help=text) for name, text in COMMANDS.items()],
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)
@click.version_option(VERSION, message="%(prog)s %(version)s")
def cli() -> None:
    """The twin of OpenAI's fine-tuning API: a stateful fake on a virtual clock."""


def _end_output(error: OSError | SystemExit) -> int:
    """Return the exit code after an *error* of stdout, which gets nothing more; say what it was."""
    if isinstance(error, SystemExit) and COMPLETE in os.environ:
        raise error
    discard(sys.stdout)
    if isinstance(error, SystemExit | BrokenPipeError):  # `| head` has seen enough; click may turn one into the other
        return 0
    print_note(f"{PROG}: {error}")
    return 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        argv: the arguments after the command's name; by default the process's own.
    """
    if argv is None:  # the process ends with the command: it need not look for garbage once more
        atexit.register(gc.freeze)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal can show all that is printed
    try:
        code: int | None = cli.main(argv, PROG, COMPLETE, standalone_mode=False, windows_expand_args=False)
        print(end="", flush=True)  # to stdout, unless it was closed before the process began
    except (OSError, SystemExit) as error:  # stdout takes nothing
        code = _end_output(error)
    except click.Abort:  # by Ctrl-C
        code = INTERRUPTED
    except click.ClickException as error:
        text = StringIO()
        reworded(error).show(text)
        for line in text.getvalue().removesuffix("\n").split("\n"):
            print_note(line)
        code = error.exit_code
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:  # the interpreter would flush it again, and exit with 120
        discard(sys.stderr)
    return code or 0
