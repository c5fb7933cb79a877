"""`fake-fine-tuning env`: the variables for clients of a running server, as lines for a shell."""

from __future__ import annotations

import click

from ..usage_errors import FakeUsageError
from ..web import DEFAULT_PORT
from .commands import PORT_VARIABLE, Command, local_url, option
from .output import export_lines, print_error

OPTIONS = (
    click.Option(
        ["--url"],
        metavar="URL",
        help=f"The server's URL; otherwise this machine's, on the port of {PORT_VARIABLE} or {DEFAULT_PORT}.",
    ),
    click.Option(["--account"], metavar="NAME", help="The account; made if the server lacks it. Default: main."),
    option("--control-token", metavar="TOKEN", help="The server's control token, if it has one."),
)
EPILOG = 'As in: eval "$(fake-fine-tuning env --account mine)"'


@click.command(cls=Command, params=[*OPTIONS], epilog=EPILOG)
def command(url: str | None, account: str | None, control_token: str | None) -> int:
    """Print the variables for clients of a running server, to be evaluated by a shell."""
    from ..fake.fake_fine_tuning import FakeFineTuning

    try:
        with FakeFineTuning.connect(url or local_url(), token=control_token, account=account) as fake:
            print(*export_lines(fake.env), sep="\n")
    except FakeUsageError as error:
        return print_error(str(error))
    return 0
