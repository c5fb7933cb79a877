"""A block in which calls of the fine-tuning API are replayed from a cassette, or recorded into it."""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias, TypeVar, get_args

from .cassette import Cassette, Mode
from .errors import CassetteError, CassetteExpiredError, CassetteFileError, CassetteUnusedError, CassetteWarning
from .files import check_writable, text_of
from .record import RecordOptions
from .redaction import is_secret_header
from .replay_policy import PATIENCE
from .yaml_format import CassetteFile, Metadata, load

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def seconds_of(age: float | str | timedelta) -> float:
    """Seconds in *age*: a number of them, a timedelta, or text such as ``"30d"``.

    Raises:
        ValueError: it is none, or not above 0.
    """
    if isinstance(age, timedelta):
        seconds = age.total_seconds()
    elif isinstance(age, str):
        found = re.fullmatch(rf"\s*(\d+(?:\.\d+)?)\s*([{''.join(UNITS)}])\s*", age)
        seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    else:
        seconds = float(age) if isinstance(age, int | float) else 0.0
    if not seconds > 0:
        raise ValueError(f"max_age is {age!r}: seconds above 0, a timedelta, or text such as '30d' (s, m, h, d, w)")
    return seconds


def format_age(recorded_at: str, now: float, at_most: float) -> str:
    """What is wrong with the age of a recording; empty where nothing is."""
    try:
        at = datetime.fromisoformat(recorded_at)
    except ValueError:
        return f"its `recorded_at` is {recorded_at!r}, so nobody knows how old it is"
    age = now - (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return f"it was recorded {_days(age)} ago, and may be {_days(at_most)} old" if age > at_most else ""


def _days(seconds: float) -> str:
    return f"{seconds / UNITS['d']:.1f} days" if seconds >= UNITS["d"] else f"{seconds:.0f} s"


HOW_TO_BEGIN = (
    "mode='once' records it (in pytest: --fine-tuning-record=once, and with fine_tuning_service --fine-tuning=record; "
    "where the fake will do, --fine-tuning-record-from=fake besides)"
)
OnExpiry: TypeAlias = Literal["fail", "warn", "rerecord"]
OnUnplayed: TypeAlias = Literal["ignore", "warn", "fail"]
T = TypeVar("T")
_HOST = re.compile(r"[\w.-]+|[0-9a-f:]+:[0-9a-f:.]+")
"""A name, or an address of IPv6, which has no colon and port behind it as a name would."""


class use_cassette:  # it reads as a verb, as vcrpy's does
    """Replay calls of the fine-tuning API from a file, or record them into it, while the block lasts.

    Requests to other paths and hosts go where they were sent. Nothing is written before the block ends, nothing if it
    raises, and never half a file.

    Args:
        path: the cassette.
        mode: ``"none"`` replays, and refuses what is not recorded; ``"once"`` records if there is no file, and else
            replays; ``"new_episodes"`` replays, and records what is missing; ``"all"`` sends everything, and replaces
            what was recorded of the same requests; ``"rewrite"`` records all anew.
        hosts: the only hosts whose requests are meant; there any base path will do. None given: all hosts, with a
            base path that ends in a version such as ``/v1``, or in ``/openai``.
        max_age: how old a recording may be that is replayed: seconds, a timedelta, or text such as ``"30d"``.
        on_expiry: what to do about an older one: ``"fail"``, ``"warn"``, or ``"rerecord"`` (as mode ``"rewrite"``; in
            mode ``"none"``, which never sends anything, as ``"fail"``).
        on_unplayed: what to do, at the end, about recordings that nobody asked for: ``"ignore"``, ``"warn"``,
            ``"fail"``. How often a job is looked at never matters.
        scrub_training_data: whether rows and prompts are written as digests. Requests match either way.
        keep_headers: names of headers to write besides the harmless ones; values are still searched for secrets.
        recorded_from: what the cassette says it was recorded from; the default tells it by the addresses.
        about: a line for the cassette's header on what is recorded.
        patience: how often the same answer is given to somebody who waits for another, before that is an error.
        test: the test that records, for the cassette's header.
        clock: gives Unix seconds, for the age of recordings.

    Raises:
        CassetteFileError: on entering, the file is missing, broken, or cannot be written; at the end, it could not be.
        CassetteExpiredError: the recording is older than it may be.
        CassetteMissError: at the end, if a request was refused, whatever the client made of it.
        CassetteUnusedError: at the end, if `on_unplayed` says so.
        CassetteLeakError: a secret would have been written.
        ValueError: an argument is none of what is said above.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: Mode = "none",
        *,
        hosts: Iterable[str] | None = None,
        max_age: float | str | timedelta | None = None,
        on_expiry: OnExpiry = "fail",
        on_unplayed: OnUnplayed = "ignore",
        scrub_training_data: bool = True,
        keep_headers: Iterable[str] = (),
        recorded_from: str = "",
        about: str = "",
        patience: int = PATIENCE,
        test: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = Path(path)
        self._mode: Mode = _one_of("mode", mode, get_args(Mode))
        self._hosts = _host_names(hosts)
        self._max_age = None if max_age is None else seconds_of(max_age)
        self._on_expiry = _one_of("on_expiry", on_expiry, get_args(OnExpiry))
        self._on_unplayed = _one_of("on_unplayed", on_unplayed, get_args(OnUnplayed))
        kept = tuple(sorted(_names("keep_headers", keep_headers)))
        self._manner = RecordOptions(scrub_training_data, checked_headers(kept), recorded_from, about, test)
        _check_type("scrub_training_data", scrub_training_data, bool)
        _check_type("patience", patience, int)
        for argument, text in (("recorded_from", recorded_from), ("about", about), ("test", test)):
            _check_type(argument, text, str)
        if patience < 1:
            raise ValueError(f"patience is {patience!r}: at least 1 is wanted")
        self._patience = patience
        self._clock = clock
        self._stack = ExitStack()
        self._cassette: Cassette | None = None
        self._is_used = False

    def opened(self) -> Cassette:
        """The cassette, read and checked, before anything is patched; entering the block uses the same one."""
        if self._cassette is not None:
            raise CassetteError(f"{self._path}: this use_cassette(…) is open already, or was used before: make another")
        cassette = self._read()
        if cassette.records:
            check_writable(self._path)
        self._cassette = cassette
        return cassette

    def __enter__(self) -> Cassette:
        from .vcr_adapter import playing  # vcrpy takes its time, and only who replays needs it

        cassette = self._cassette if self._cassette and not self._is_used else self.opened()
        self._is_used = True
        self._stack.enter_context(playing(str(self._path), cassette))
        return cassette

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        self.finish(error)

    def close(self) -> None:
        """Stop replaying and recording; nothing is written yet."""
        self._stack.close()

    def finish(self, error: BaseException | None = None) -> None:
        """Do what is due at the end: after an *error*, tell with it what else there is; else check, then write.

        Raises:
            CassetteError: as the class says.
        """
        assert self._cassette is not None  # entered
        if error is not None:
            _note(error, self._cassette)
            return
        self._cassette.check()
        self._check_played(self._cassette)
        self._cassette.finish(self._clock())
        if self._cassette.mode in ("once", "rewrite") and self._cassette.records and not self._cassette.recorded:
            said = f"{self._path}: nothing was recorded: no request of a client that vcrpy knows went to the API"
            warnings.warn(said, CassetteWarning, stacklevel=3)

    def _read(self) -> Cassette:
        stored = None if self._mode == "rewrite" else self._stored()
        mode = self._mode
        if stored and mode in ("none", "once", "new_episodes") and (old := self._expired(stored.header)):
            if self._on_expiry == "fail" or (self._on_expiry == "rerecord" and mode == "none"):
                raise CassetteExpiredError(old)
            if self._on_expiry == "warn":
                warnings.warn(old, CassetteWarning, stacklevel=4)
            else:
                stored, mode = None, "rewrite"
        return Cassette(self._path, mode, stored, self._manner, self._hosts, self._patience)

    def _stored(self) -> CassetteFile | None:
        text = text_of(self._path)
        if text is not None:
            return load(text, str(self._path))
        if self._mode == "none":
            raise CassetteFileError(f"{self._path}: there is no such cassette: {HOW_TO_BEGIN}")
        return None

    def _expired(self, head: Metadata) -> str:
        if self._max_age is None:
            return ""
        told_age = format_age(head.recorded_at, self._clock(), self._max_age)
        return f"{self._path}: {told_age}: mode='rewrite' records it anew" if told_age else ""

    def _check_played(self, cassette: Cassette) -> None:
        if scrubbed := cassette.scrubbed_answers():
            said = (
                f"{self._path}: a file's content was answered with digests in place of its rows: {', '.join(scrubbed)}"
            )
            warnings.warn(
                f"{said}; to replay content, record it with scrub_training_data=False", CassetteWarning, stacklevel=3
            )
        if self._on_unplayed == "ignore" or not cassette.unused:
            return
        said = f"{self._path}: recorded, and not asked for:\n  " + "\n  ".join(cassette.unused)
        if self._on_unplayed == "fail":
            raise CassetteUnusedError(said)
        warnings.warn(said, CassetteWarning, stacklevel=3)


def _note(error: BaseException, cassette: Cassette) -> None:
    """Tell with an error that ends the block what else there is to know."""
    for miss in cassette.misses:
        if miss is not error:
            error.add_note(str(miss))
    if cassette.recorded:
        error.add_note(
            f"{cassette.path}: {cassette.recorded} recorded interactions were not written, as the block raised"
        )


def checked_headers(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of headers that may be kept.

    Raises:
        ValueError: one has a secret.
    """
    for name in names:
        if is_secret_header(name):
            raise ValueError(f"keep_headers has {name!r}: what is sent there is a secret, and is never written")
    return names


def _check_type(argument: str, value: object, kind: type) -> None:
    if type(value) is not kind:
        raise ValueError(f"{argument} is {value!r}: it must be of type {kind.__name__}")


def _names(argument: str, names: Iterable[str] | None) -> frozenset[str]:
    if isinstance(names, str) or not isinstance(names, Iterable | None):
        raise ValueError(f"{argument} is {names!r}: several names are wanted, as in {argument}=[{names!r}]")
    given = list(names or ())
    if wrong := [each for each in given if not isinstance(each, str)]:
        raise ValueError(f"{argument} has {wrong[0]!r}: names are texts")
    return frozenset(each.lower() for each in given)


def _host_names(hosts: Iterable[str] | None) -> frozenset[str]:
    names = _names("hosts", hosts)
    if wrong := sorted(each for each in names if not _HOST.fullmatch(each)):
        raise ValueError(
            f"hosts has {wrong[0]!r}: a host's name is wanted, without scheme, port and path, as in 'api.openai.com'"
        )
    return names


def _one_of(argument: str, value: T, allowed: tuple[T, ...]) -> T:
    if value not in allowed:
        raise ValueError(f"{argument} is {value!r}: it must be one of {', '.join(map(repr, allowed))}")
    return value
