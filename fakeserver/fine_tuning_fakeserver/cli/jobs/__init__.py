"""`fake-fine-tuning jobs`: fine-tuning jobs from the terminal, with the fake, OpenAI, Azure, or a compatible service.

Exit codes: 0 all went well; 1 the service refused or cannot be reached, the job that was followed did not succeed, or
results could not be written; 2 the command was used or configured wrongly; 124 the time given to `wait` ran out; 130
interrupted.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from .arguments import SERVICE, VERBS, Argument, Verb

PROG = "fake-fine-tuning jobs"
VERB = "VERB"

FLAG = re.compile(r"--[\w-]+|-\w")
"""The name of a flag, without a value that is glued to it."""

EPILOG = """\
The key is never an argument, as `ps` shows these: it comes from the provider's
variable, OPENAI_API_KEY or AZURE_OPENAI_API_KEY, or from the one that key_env
names in fine_tuning.toml. `--provider fake` wants none, and talks to
`fake-fine-tuning serve` on its default port.

Results go to stdout, all else to stderr. In a terminal there are columns and
colours; elsewhere a tab stands between columns. --json prints what the service
said, an object a line.

exit codes: 0 all went well, 1 refused or not reached, or the job that was
followed did not succeed, or results could not be written, 2 wrong usage or
configuration, 124 the time given to wait ran out, 130 interrupted"""


def main(arguments: Sequence[str]) -> int:
    """Do what *arguments* say; return the exit code.

    Raises:
        SystemExit: help was asked for (0), or the arguments are no good (2).
    """
    parser = _parser()
    given, unknown = _parsed(parser, arguments)
    if unknown:
        parser.error(_complaint(unknown[0]))
    if given.verb is None:
        parser.print_help(sys.stderr)
        return 2
    module, _, name = VERBS[given.verb].run.partition(":")
    session = import_module(".session", __package__)
    code: int = session.run(getattr(import_module(f".{module}", __package__), name), given)
    return code


def _parsed(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    try:
        return parser.parse_known_args(arguments, argparse.Namespace(provider=None, base_url=None))
    except argparse.ArgumentError as error:
        known = f"unknown verb: one of {', '.join(VERBS)} is wanted"
        parser.error(known if error.argument_name == VERB else str(error))


def _complaint(unknown: str) -> str:
    """What to say of an argument that nobody knows, without its value: what is meant for a key must not be shown."""
    flag = FLAG.match(unknown)
    return f"unknown argument: {flag[0]}" if flag else "one argument too many; it is not shown, as it could be a key"


class _NoKey(argparse.Action):
    """Refuse a key, and say where one belongs."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Refuse it, without showing it."""
        parser.error("a key is no argument, as `ps` shows these: set OPENAI_API_KEY, or the provider's own variable")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROG,
        usage=f"{PROG} [-h] VERB ...",
        description="Create, watch and steer fine-tuning jobs.",
        epilog=f"{EPILOG}\n\n{PROG} VERB -h says more about one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        exit_on_error=False,  # what argparse says of an unknown verb shows it
    )
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar=VERB, prog=PROG)
    for name, verb in VERBS.items():
        _add(_verb_parser(verbs, name, verb), (*verb.arguments, *SERVICE))
    _add(parser, SERVICE)
    return parser


def _verb_parser(verbs: Any, name: str, verb: Verb) -> argparse.ArgumentParser:
    described = f"{verb.help[:1].upper()}{verb.help[1:]}."
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=verb.help, description=described, epilog=verb.more, allow_abbrev=False
    )
    return parser


def _add(parser: argparse.ArgumentParser, arguments: Sequence[Argument]) -> None:
    for argument in arguments:
        parser.add_argument(*argument.flags, **argument.settings)
    parser.add_argument("--api-key", "--key", action=_NoKey, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
