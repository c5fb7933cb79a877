"""One run of a command of `jobs`: its options, client and output, and the exit codes of ft.

The client is imported when a command runs, so that help and completion are quick.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from fine_tuning_formats.lazy_dataclass import dataclass

from ..commands import HIDDEN_OPTIONS, Command
from ..output import INTERRUPTED, Writer, discard, print_error

if TYPE_CHECKING:
    from fine_tuning_client import FineTuningClient

REFUSED, MISUSED, TIMED_OUT = 1, 2, 124
"""Exit codes; the last one is that of `timeout`: a job that goes on has not failed."""


def parse_metadata(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Return the pairs of ``--metadata``."""
    metadata: dict[str, str] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not key or not equals or key in metadata:
            raise click.BadParameter(f"must be KEY=VALUE, each key once, got {text!r}")
        metadata[key] = value
    return metadata


def refuse_key(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Refuse an API key without showing it."""
    if value is not None:
        message = "a key cannot be an argument, as `ps` shows these; set OPENAI_API_KEY, or the provider's own variable"
        raise click.UsageError(message, ctx)


JOB = click.argument("job_id", metavar="ID")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the service's own objects, one a line.")
PROVIDER = "openai, azure, openai_compatible, fake, or one of fine_tuning.toml (default: FINE_TUNING_PROVIDER)."
SERVICE = (
    click.Option(["--provider"], metavar="NAME", help=PROVIDER),
    click.Option(["--base-url"], metavar="URL", help="Where the provider is, with its /v1."),
    click.Option(HIDDEN_OPTIONS, hidden=True, is_eager=True, expose_value=False, callback=refuse_key),
)
"""Options that may stand before or after the name of a command of `jobs`."""


@dataclass(frozen=True, slots=True)
class Context:
    """The client and the output that a command of `jobs` uses."""

    client: FineTuningClient
    out: Writer
    service: tuple[str, ...]
    provider: str | None = None

    def command_line(self, *words: str) -> str:
        """Return the command that does something else with the same service."""
        return command_line(*words, *self.service)


def command_line(*words: str) -> str:
    """Return a command of `jobs` as it is typed."""
    return shlex.join(["fake-fine-tuning", "jobs", *words])


class JobsCommand(Command):
    """A command that works with a client of the service that its options choose."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += SERVICE

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; return its exit code, after a line on stderr about an error."""
        import fine_tuning_client as ft

        group = ctx.parent.params if ctx.parent else {}
        own = {name: ctx.params.pop(name) for name in ("provider", "base_url")}
        provider, base_url = (group.get(name) if value is None else value for name, value in own.items())
        service = (*(["--provider", provider] if provider else []), *(["--base-url", base_url] if base_url else []))
        out = Writer(sys.stdout)
        try:
            with ft.FineTuningClient(provider, base_url=base_url) as client:
                ctx.params["context"] = Context(client, out, service, provider)
                code = super().invoke(ctx)
            out.stream.flush()
            return code
        except KeyboardInterrupt:  # click would write an empty line after it
            return INTERRUPTED
        except BrokenPipeError:  # `| head` has seen enough
            discard(out.stream)
            return 0
        except (ft.ConfigurationError, ft.UnsupportedOperationError, ValueError) as error:
            return print_error(error, MISUSED)
        except ft.WaitTimeout as error:
            return print_error(error, TIMED_OUT)
        except ft.FineTuningError as error:
            advice = ""
            if isinstance(error, ft.APIConnectionError) and provider == "fake":
                advice = "; `fake-fine-tuning serve` starts one"
            elif isinstance(error, ft.NotFoundError) and "job_id" in ctx.params:
                advice = f"; look with: {command_line('list', *service)}"
            return print_error(f"{error}{advice}", REFUSED)
        except OSError as error:
            if error.filename:  # a file that is named by an argument
                return print_error(f"{error.filename}: {error.strerror}", MISUSED)
            discard(out.stream)
            return print_error(error, REFUSED)
