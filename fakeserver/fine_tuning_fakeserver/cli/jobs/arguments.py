"""The verbs of `fake-fine-tuning jobs` and their arguments, as data."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from fine_tuning_formats.job_rules import MAX_METADATA_KEY, MAX_METADATA_PAIRS, MAX_METADATA_VALUE

from ...domain.training_methods import METHODS
from ..options import whole

AUTO: Literal["auto"] = "auto"
UNSET = " (is a variable of the shell not set?)"


@dataclass(frozen=True, slots=True)
class Argument:
    """What `argparse` is told of an argument."""

    flags: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verb:
    """What can be done; `run` is ``module:function`` of this package, imported when it is asked for."""

    help: str
    run: str
    arguments: tuple[Argument, ...]
    more: str = ""


def argument(*flags: str, **settings: Any) -> Argument:
    """An argument, as ``add_argument`` takes it."""
    return Argument(flags, settings)


def name(text: str) -> str:
    """What something is called."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no name{UNSET}")
    return text


def address(text: str) -> str:
    """Where a service is; the client looks into it."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no address{UNSET}")
    return text


def count(text: str) -> int:
    """A whole number of at least 1 as it is typed."""
    number = whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is less than 1")
    return number


def seconds(text: str) -> float:
    """A time in seconds as it is typed."""
    number = _number(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is negative: a time in seconds is wanted")
    return number


def count_or_auto(text: str) -> int | str:
    """A whole number of at least 1, or "auto"."""
    return text if text == AUTO else count(text)


def factor_or_auto(text: str) -> float | str:
    """A number above 0, or "auto"."""
    if text == AUTO:
        return text
    number = _number(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return number


def pair(text: str) -> tuple[str, str]:
    """A key and a value of metadata."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no KEY=VALUE")
    return key, value


def metadata_of(given: argparse.Namespace) -> dict[str, str]:
    """The pairs that were given.

    Raises:
        ValueError: a key was given twice.
    """
    found: dict[str, str] = {}
    for key, value in given.metadata:
        if key in found:
            raise ValueError(f"--metadata has {key!r} twice")
        found[key] = value
    return found


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not finite")
    return number


SERVICE = (
    argument(
        "--provider",
        metavar="NAME",
        type=name,
        default=argparse.SUPPRESS,
        help="openai, azure, openai_compatible, fake, or one of fine_tuning.toml (default: FINE_TUNING_PROVIDER, "
        "else the file's, else openai)",
    ),
    argument(
        "--base-url",
        metavar="URL",
        type=address,
        default=argparse.SUPPRESS,
        help="where the provider is, with its /v1",
    ),
)
"""Suppressed defaults: either of them may stand before or after the verb."""

JOB = argument("job", metavar="ID", type=name, help="id of a job (ftjob-…)")
JSON = argument("--json", action="store_true", help="print what the service said, an object a line")
METADATA = argument("--metadata", metavar="K=V", type=pair, action="append", default=[])

CREATE = (
    argument("file", metavar="FILE", type=name, help="training file (JSONL), or the id of an uploaded one (file-…)"),
    argument("--model", metavar="M", type=name, required=True, help="the model to start from"),
    argument("--suffix", metavar="S", type=name, help="goes into the new model's name"),
    argument("--validation-file", metavar="F", type=name, help="file to measure with, or the id of an uploaded one"),
    argument(
        "--method", choices=tuple(METHODS), help="how to train (default: left to the service, which takes supervised)"
    ),
    argument("--grader", metavar="FILE", type=Path, help="JSON file with the grader that reinforcement wants"),
    argument("--n-epochs", metavar="N", type=count_or_auto, help="how often to go through the file, or auto"),
    argument("--batch-size", metavar="N", type=count_or_auto, help="examples a step, or auto"),
    argument("--learning-rate-multiplier", metavar="X", type=factor_or_auto, help="a factor above 0, or auto"),
    argument("--seed", metavar="N", type=whole, help="makes two equal jobs train equally"),
    argument(*METADATA.flags, **METADATA.settings, help="a pair to find the job by; may be repeated"),
    argument("--idempotency-key", metavar="K", type=name, help="start no second job where one was started with K"),
    argument("--no-check", action="store_true", help="send it all without looking into the files and options"),
    argument("--follow", action="store_true", help="print events until the job is over; Ctrl-C leaves it running"),
)

LIST = (
    argument("--limit", metavar="N", type=count, help="how many at most (default: the service's own, 20)"),
    argument("--after", metavar="ID", type=name, help="id of the last job already seen"),
    argument("--all", action="store_true", help="all jobs, page after page"),
    argument(*METADATA.flags, **METADATA.settings, help="only jobs with this pair; may be repeated"),
    JSON,
)

EVENTS = (
    JOB,
    argument("--follow", action="store_true", help="go on until the job is over; Ctrl-C leaves it running"),
    argument("--limit", metavar="N", type=count, help="only the newest N (default: 20; with --follow all)"),
    JSON,
)

TIMEOUT = argument("--timeout", metavar="S", type=seconds, help="seconds to wait at most (default: for ever)")
CSV = argument("--csv", action="store_true", help="print the numbers of all steps as CSV")

VERBS = {
    "create": Verb(
        "upload a file and start a job with it",
        "create:create",
        CREATE,
        "The job's id goes to stdout; with --follow its events do, too, and its model's name at the end.",
    ),
    "list": Verb("show jobs, newest first", "show:jobs", LIST),
    "show": Verb("show a job as it is now", "show:show", (JOB, JSON)),
    "events": Verb("show what happened to a job, newest last", "watch:events", EVENTS),
    "checkpoints": Verb("show a job's checkpoints, newest last", "show:checkpoints", (JOB, JSON)),
    "cancel": Verb("stop a job for good", "show:cancel", (JOB,)),
    "pause": Verb("stop a running job until it is resumed", "show:pause", (JOB,)),
    "resume": Verb("let a paused job go on", "show:resume", (JOB,)),
    "wait": Verb(
        "wait until a job is over",
        "watch:wait",
        (JOB, TIMEOUT),
        "Its model's name goes to stdout. Ctrl-C and --timeout leave the job running.",
    ),
    "metrics": Verb("show how a job's loss went", "show:metrics", (JOB, CSV)),
}


KEY = "idempotency_key"
"""The client keeps the key of a creation under this name in the job's metadata."""

# spec: CreateFineTuningJobRequest, Metadata
NUMBERS = {"n_epochs": (1, 50), "batch_size": (1, 256), "seed": (0, 2147483647)}
LONGEST_SUFFIX = 64


def check_limits(given: argparse.Namespace) -> None:
    """Hold the options of a creation against the limits of OpenAI.

    Raises:
        ValueError: one of them is beyond its limit.
    """
    for name, (least, most) in NUMBERS.items():
        number = getattr(given, name)
        if isinstance(number, int) and not least <= number <= most:
            auto = "" if name == "seed" else '"auto" or '
            raise ValueError(f"{name} must be {auto}{least} to {most}, not {number}")
    _check_length("suffix", given.suffix or "", LONGEST_SUFFIX)
    _check_pairs(metadata_of(given) | ({KEY: given.idempotency_key} if given.idempotency_key else {}))


def _check_pairs(pairs: dict[str, str]) -> None:
    if len(pairs) > MAX_METADATA_PAIRS:
        raise ValueError(
            f"metadata has {len(pairs)} pairs, and may have {MAX_METADATA_PAIRS}; an idempotency key is one"
        )
    for name, value in pairs.items():
        _check_length("a key of metadata", name, MAX_METADATA_KEY)
        _check_length(f"metadata {name!r}", value, MAX_METADATA_VALUE)


def _check_length(what: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise ValueError(f"{what} has {len(text)} characters, and may have {longest}")
