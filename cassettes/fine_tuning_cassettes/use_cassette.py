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

from fine_tuning_formats.text import UNITS, duration_seconds

from .cassette import Cassette, Mode, check_writable, in_pytest, read_metadata, read_text
from .errors import CassetteError, CassetteExpiredError, CassetteFileError, CassetteUnusedError, CassetteWarning
from .record import RecordOptions
from .replay_policy import PATIENCE
from .scrub import Scrub, ScrubRule
from .yaml_format import SOURCES, Metadata, Source, load

OnExpiry: TypeAlias = Literal["fail", "warn", "rerecord"]
OnUnplayed: TypeAlias = Literal["ignore", "warn", "fail"]
T = TypeVar("T")

HOW_TO_BEGIN = (
    "mode='once' records it (in pytest: --fine-tuning-record=once, and with fine_tuning_service --fine-tuning=record; "
    "where the fake will do, --fine-tuning-record-from=fake besides)"
)
_HOST = re.compile(r"[\w.-]+|[0-9a-f:]+:[0-9a-f:.]+")
"""A name, or an address of IPv6; a name with a colon has a port."""


class use_cassette:  # it reads as a verb, as vcrpy's does
    """Replay calls of the fine-tuning API from a file, or record them into it, while the block lasts.

    Requests to other paths and hosts are sent as usual. Nothing is written before the block ends, nothing if it
    raises, and never half a file.

    Args:
        path: the cassette.
        mode: ``"none"`` replays, and refuses what is not recorded; ``"once"`` records if there is no file, and
            replays otherwise; ``"new_episodes"`` replays, and records what is missing; ``"all"`` sends everything, and
            replaces the recordings of equal requests; ``"rewrite"`` records all anew.
        hosts: the only hosts whose requests count, with any base path. None: all hosts, with a base path that ends in
            a version such as ``/v1``, or in ``/openai``.
        max_age: the age up to which a recording is replayed: seconds, a timedelta, or text such as ``"30d"``.
        on_expiry: what happens to an older one: ``"fail"``, ``"warn"``, or ``"rerecord"`` (as mode ``"rewrite"``; in
            mode ``"none"``, which never sends anything, as ``"fail"``).
        on_unplayed: what happens at the end about recordings that were not requested: ``"ignore"``, ``"warn"``,
            ``"fail"``. How often a job is polled never matters.
        scrub_training_data: whether rows and prompts are written as digests. Requests match either way.
        scrub: what else is not written, and does not count in matching: patterns, whose matches are replaced, and
            functions of a text and its name (of a member, field, parameter or header) that return the text to write.
        keep_headers: names of headers to write besides the harmless ones; secrets in their values are removed.
        recorded_from: the service that the cassette's header names; by default derived from the addresses.
        source: the provider that is recorded; by default derived from the addresses. It stands in the cassette, whose
            errors repeat it.
        change_source: whether a cassette may be recorded from another source than it was. It is refused otherwise.
        about: a line for the cassette's header on what is recorded.
        patience: how often the same unfinished state is answered before that is an error.
        test: the test that records, for the cassette's header.
        clock: returns Unix seconds, for the age of recordings.

    Raises:
        CassetteFileError: on entering, the file is missing, broken, or cannot be written; at the end, it could not be.
        CassetteExpiredError: the recording is older than `max_age`.
        CassetteMissError: at the end, if a request was refused, whatever the client made of it.
        CassetteUnusedError: at the end, if `on_unplayed` says so.
        CassetteLeakError: a secret would have been written.
        ValueError: an argument has a wrong type or value.
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
        scrub: Iterable[ScrubRule] = (),
        keep_headers: Iterable[str] = (),
        recorded_from: str = "",
        source: Source | None = None,
        change_source: bool = False,
        about: str = "",
        patience: int = PATIENCE,
        test: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = Path(path)
        self._mode: Mode = _require_one_of("mode", mode, get_args(Mode))
        self._hosts = _parse_names("hosts", hosts)
        self._max_age = None if max_age is None else parse_age(max_age)
        self._on_expiry = _require_one_of("on_expiry", on_expiry, get_args(OnExpiry))
        self._on_unplayed = _require_one_of("on_unplayed", on_unplayed, get_args(OnUnplayed))
        self._options = RecordOptions(
            scrub_training_data,
            tuple(sorted(_parse_names("keep_headers", keep_headers))),
            recorded_from,
            about,
            test,
            _require_one_of("source", source, (None, *SOURCES)) or "",
            Scrub.parse(scrub),
        )
        self._change_source = _require_one_of("change_source", change_source, (True, False))
        if type(patience) is not int or patience < 1:
            raise ValueError(f"patience must be an int of at least 1, got {patience!r}")
        for name in self._hosts:
            if not _HOST.fullmatch(name):
                raise ValueError(f"hosts must be names such as 'api.openai.com', without scheme and port, got {name!r}")
        self._patience = patience
        self._clock = clock
        self._stack = ExitStack()
        self._cassette: Cassette | None = None
        self._is_entered = False

    def open(self) -> Cassette:
        """Return the cassette, read and checked, before anything is patched; entering the block uses the same one."""
        if self._cassette is not None:
            raise CassetteError(f"{self._path}: this use_cassette(…) is open already, or was used before: make another")
        cassette = self._read()
        if cassette.records:
            if not cassette.plays:
                cassette.check_source(self._options.source)
            check_writable(self._path)
        self._cassette = cassette
        return cassette

    def __enter__(self) -> Cassette:
        from .vcr_adapter import patch_http  # importing vcrpy takes a while, and only a block needs it

        cassette = self._cassette if self._cassette and not self._is_entered else self.open()
        self._is_entered = True
        self._stack.enter_context(patch_http(str(self._path), cassette))
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
        """Check the recording, then write it; after an *error*, add to it what else went wrong, and write nothing.

        Raises:
            CassetteError: as the class says.
        """
        cassette = self._cassette
        assert cassette is not None  # entered
        if error is not None:
            for miss in cassette.misses:
                if miss is not error:
                    error.add_note(str(miss))
            if cassette.recorded:
                error.add_note(
                    f"{self._path}: {cassette.recorded} recorded interactions were not written: the block raised"
                )
            return
        cassette.check()
        if scrubbed := cassette.scrubbed_answers:
            self._warn(
                f"a file's content was answered with digests in place of its rows: {', '.join(scrubbed)}; to replay "
                "content, record it with scrub_training_data=False"
            )
        if cassette.unused and self._on_unplayed != "ignore":
            problem = "recorded, and not requested:\n  " + "\n  ".join(cassette.unused)
            if self._on_unplayed == "fail":
                raise CassetteUnusedError(f"{self._path}: {problem}")
            self._warn(problem)
        cassette.finish(self._clock(), is_age_limited=self._max_age is not None)
        if cassette.mode in ("once", "rewrite") and cassette.records and not cassette.recorded:
            self._warn("nothing was recorded: no request of a client that vcrpy knows went to the API")

    def _read(self) -> Cassette:
        """Return the cassette in the file, in the mode that its age leads to.

        Raises:
            CassetteFileError: the file is missing or broken.
            CassetteExpiredError: it is older than it may be.
        """
        mode, file = self._mode, None
        text = None if mode == "rewrite" else read_text(self._path)
        if text is not None:
            file = load(text, str(self._path))
        elif mode == "none":
            raise CassetteFileError(f"{self._path}: there is no such cassette: {HOW_TO_BEGIN}")
        if file and mode in ("none", "once", "new_episodes") and (problem := self._age_problem(file.header)):
            if self._on_expiry == "warn":
                self._warn(problem)
            elif self._on_expiry == "fail" or mode == "none":
                raise CassetteExpiredError(f"{self._path}: {problem}")
            else:
                file, mode = None, "rewrite"
        return Cassette(
            self._path,
            mode,
            file,
            self._options,
            self._hosts,
            self._patience,
            file.header.source if file else read_metadata(self._path).source,
            change_source=self._change_source,
        )

    def _age_problem(self, header: Metadata) -> str:
        """Return what is wrong with the age of a recording; empty if nothing is."""
        remedy = f"mode='rewrite' records it anew {in_pytest('rewrite', header.source)}"
        recorded_at = header.recorded_at
        if self._max_age is None:
            return ""
        try:
            at = datetime.fromisoformat(recorded_at)
        except ValueError:
            return f"recorded_at must be a time, so that its age is known, got {recorded_at!r}; {remedy}"
        age = self._clock() - (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        if age <= self._max_age:
            return ""
        return f"it was recorded {_render_age(age)} ago, and may be {_render_age(self._max_age)} old; {remedy}"

    def _warn(self, problem: str) -> None:
        # the caller of __enter__ or __exit__: _warn, _read or finish, open or __exit__, and __enter__
        warnings.warn(f"{self._path}: {problem}", CassetteWarning, stacklevel=4)


def parse_age(age: float | str | timedelta) -> float:
    """Return the seconds in *age*: a number of them, a timedelta, or text such as ``"30d"``.

    Raises:
        ValueError: it has another type or form, or is not above 0.
    """
    try:
        seconds = duration_seconds(age, default_unit=None)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise ValueError(
            f"max_age must be seconds above 0, a timedelta or text such as '30d' (s, m, h, d, w), got {age!r}"
        )
    return seconds


def _render_age(seconds: float) -> str:
    return f"{seconds / UNITS['d']:.1f} days" if seconds >= UNITS["d"] else f"{seconds:.0f} s"


def _parse_names(argument: str, names: Iterable[str] | None) -> frozenset[str]:
    if isinstance(names, str) or not isinstance(names, Iterable | None):
        raise ValueError(f"{argument} must be several names, got {names!r}; write {argument}=[{names!r}]")
    listed = list(names or ())
    for name in listed:
        if not isinstance(name, str):
            raise ValueError(f"{argument} must be strings, got {name!r}")
    return frozenset(name.lower() for name in listed)


def _require_one_of(argument: str, value: T, allowed: tuple[T, ...]) -> T:
    if value not in allowed:
        raise ValueError(f"{argument} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value
