"""The command `fake-fine-tuning`: show the fake to a person, or serve it to a program in any language.

Exit codes: 0 all went well, and `serve` was stopped; 1 the job of `demo` or `jobs` failed, or a service refused; 2 the
command was used wrongly; 130 interrupted on the way. Some commands have further ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from ..version import VERSION

COMMANDS = {
    "serve": "run the fake as a local server, for any language",
    "exec": "run a command against a fake of its own: fake-fine-tuning exec -- npm test",
    "jobs": "create, watch and steer fine-tuning jobs, with the fake or a real service",
    "demo": "run a whole fine-tuning session against the fake, here in the terminal",
    "verify": "hold the fake against recorded exchanges with the service, or these against it",
    "fidelity": "show how much of what the fake answers is backed by what",
}
"""Each is a module of this package with a ``main``; it is imported when it is asked for, so that help is quick."""

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code.

    Args:
        argv: what follows the command's name; the default is the process's own.

    Raises:
        SystemExit: help was asked for (0), or the arguments are no good (2).
    """
    parser = _parser()
    words = sys.argv[1:] if argv is None else argv
    command = parser.parse_args(words[:1]).command  # what follows is its own: argparse would take a -- out of it
    if command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        code: int = import_module(f".{command}", __name__).main(words[1:])
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {name:10}{text}" for name, text in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="fake-fine-tuning",
        usage="%(prog)s [-h] [--version] {" + ",".join(COMMANDS) + "} ...",
        description="The twin of OpenAI's fine-tuning API: a stateful fake on a virtual clock.",
        epilog="\n".join(["commands:", *lines, "", "fake-fine-tuning COMMAND -h says more about one."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    parser.add_argument("command", nargs="?", choices=tuple(COMMANDS), help=argparse.SUPPRESS)
    return parser
