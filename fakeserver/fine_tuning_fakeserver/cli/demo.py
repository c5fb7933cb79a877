"""`fake-fine-tuning demo`: a whole session against the fake, in the terminal."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import click

from .commands import Command
from .output import print_error

EXAMPLE = Path(__file__).with_name("bicycle_workshop.jsonl")
EPILOG = "Nothing leaves this machine. Exit codes: 0 the job succeeded, 1 it did not, 2 the file is unusable."


@click.command(cls=Command, epilog=EPILOG)
@click.argument("file", metavar="[FILE.jsonl]", default=EXAMPLE, type=click.Path(path_type=Path))
def command(file: Path) -> int:
    """Run a whole fine-tuning session against the fake, here in the terminal: upload, train, look.

    FILE.jsonl is a training file of at least 10 chats; by default the customers of a bicycle workshop.
    """
    from rich.console import Console  # here, so that help is quick

    from fine_tuning_client import BadRequestError, FineTuningError

    from .demo_session import DemoOutput, run

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # where a terminal cannot show the chart, one mark a dot
    try:
        return run(file, DemoOutput(Console()))
    except BadRequestError as error:
        return print_error(f"{file}: {error.body['error']['message']}")  # without the request's id
    except OSError as error:
        if not error.filename:  # it was not the file
            raise
        return print_error(f"{file}: {error.strerror or error}")
    except FineTuningError as error:  # for instance a configuration in this folder that cannot be read
        return print_error(error)
