"""The cassette that replays and records while a block of `use_cassette` lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from fine_tuning_formats.atomic_files import replace_file, temporary_path

from .errors import CassetteError, CassetteFileError, CassetteMissError, CassetteStuckError
from .messages import Interaction, RecordedRequest, RecordedResponse, decode_response
from .record import RecordOptions, build_metadata, redacted_key, render_cassette
from .replay_policy import NoAnswerLeft, PollingStuck, Replayer, remaining_interactions, replay_step
from .request_matching import RequestKey, find_nearest, render_differences
from .resources import is_api_url, provider_of
from .training_data import SCRUBBED_HEADER
from .yaml_format import CassetteFile, Metadata, load_metadata

Mode: TypeAlias = Literal["none", "once", "new_episodes", "all", "rewrite"]


def how_to_record(source: str) -> str:
    """Return how to record what a cassette lacks, from the provider that it was recorded from."""
    if source == "fake":  # whose account is new in each recording, so nothing can be added
        return f"to record: use_cassette(…, mode='rewrite') sends all anew {in_pytest('rewrite', source)}"
    return (
        "to record: use_cassette(…, mode='new_episodes') sends what is missing and adds it, mode='rewrite' all anew "
        f"{in_pytest('new_episodes, or rewrite', source)}"
    )


def in_pytest(modes: str, source: str) -> str:
    """Return the options of pytest that record in one of *modes*, in parentheses."""
    from_source = f"{',' if ',' in modes else ''} --fine-tuning-record-from={source}" if source else ""
    return f"(in pytest: --fine-tuning-record={modes}{from_source})"


class Cassette:
    """Replays and records inside `use_cassette`, which returns it.

    Attributes:
        path: the file.
        mode: how the file is used.
        header: the header of the file; None if nothing of the file is used.
        plays: whether requests that are in the file are answered from it.
        play_count: how many requests were answered from it.
        source: the provider that the file was recorded from; empty if that is not known.
        may_send: returns whether a request to a URL may be sent and recorded.
    """

    def __init__(
        self,
        path: Path,
        mode: Mode,
        file: CassetteFile | None,
        options: RecordOptions,
        hosts: frozenset[str],
        patience: int,
        source: str,
        *,
        change_source: bool,
    ) -> None:
        self.path = path
        self.mode: Mode = mode
        self.source = source
        self.header: Metadata | None = file.header if file else None
        self.play_count = 0
        self.may_send: Callable[[str], bool] = self._leads_to_source
        self._options = options
        self._hosts = hosts
        self._change_source = change_source
        self._lock = threading.Lock()
        self._old = file.interactions if file else ()
        self._keys = [self._key(interaction.request) for interaction in self._old]
        # Redaction changed these requests. Sent with what the cassette answered, such as ids, they look as stored.
        self._aliases = {replace(key, original_key="").key: key.key for key in self._keys if key.original_key}
        self.plays = mode in ("none", "new_episodes") or (mode == "once" and file is not None)
        steps = [replay_step(*pair) for pair in zip(self._old, self._keys, strict=True)] if self.plays else []
        self._replayer = Replayer(steps, patience)
        self._new: list[Interaction] = []
        self._replayed: list[RecordedRequest] = []
        self._misses: dict[str, CassetteMissError] = {}
        self._record_error: CassetteError | None = None
        self._scrubbed_lines: set[str] = set()
        self._last_was_replayed = self.plays

    @property
    def records(self) -> bool:
        """Whether a request that is not in the cassette is sent and recorded."""
        return self.mode != "none" and not (self.mode == "once" and self.plays)

    @property
    def is_azure(self) -> bool:
        """Whether it holds a request to Azure, by the path that only Azure has."""
        return any("/openai/" in urlsplit(interaction.request.uri).path for interaction in self._old)

    @property
    def replaying(self) -> bool:
        """Whether clients need not wait: responses come from the cassette, as the last one did."""
        return not self.records or (self.plays and self._last_was_replayed)

    @property
    def unused(self) -> list[str]:
        """The recordings that were not requested, a line each; further reads of one thing count as requested."""
        return [self._line(index) for index in self._replayer.unused]

    @property
    def misses(self) -> list[CassetteMissError]:
        """The requests that were refused, each once."""
        return list(self._misses.values())

    @property
    def recorded(self) -> int:
        """How many interactions have been recorded; they are written when the block ends."""
        return len(self._new)

    @property
    def scrubbed_answers(self) -> list[str]:
        """The requests that were answered with digests in place of training data, a line each."""
        return sorted(self._scrubbed_lines)

    def handles(self, url: str) -> bool:
        """Return whether a request to *url* is for the cassette; all others are sent as usual."""
        return is_api_url(url, self._hosts)

    def replay(self, request: RecordedRequest) -> RecordedResponse | None:
        """Return the recorded response; None if the request is to be sent.

        Raises:
            CassetteMissError: no recorded response matches, and the mode does not allow sending.
            CassetteError: the request may not be sent to where it goes.
        """
        try:
            response = self._answer(request) if self.plays else None
            if response is None:
                self._check_sending(request)
        except CassetteError as error:
            if not isinstance(error, CassetteMissError):
                self._record_error = self._record_error or error
            raise
        return response

    def check_source(self, source: str) -> None:
        """Raise unless recording from *source* was asked for by name, where the file has another source.

        Raises:
            CassetteError: it was not.
        """
        if self.source and source and source != self.source and not self._change_source:
            raise CassetteError(
                f"{self.path}: the source must be {self.source}, which this cassette was recorded from, got {source}; "
                f"record it from {self.source} {in_pytest('rewrite', self.source)}, or with change_source=True from "
                f"{source} (in pytest: --fine-tuning-change-source, beside --fine-tuning-record-from={source})"
            )

    def _leads_to_source(self, url: str) -> bool:
        """Return whether *url* may lead to the provider that is to be recorded."""
        return not self._options.source or provider_of(url) in ("", self._options.source)

    def _check_sending(self, request: RecordedRequest) -> None:
        if not self.may_send(request.uri):
            raise CassetteError(
                f"{self.path}: recorded requests must go to the chosen service, got {request.method} "
                f"{urlsplit(request.uri).netloc}; give this client the address in OPENAI_BASE_URL"
            )
        self.check_source(self._options.source or provider_of(request.uri))

    def _answer(self, request: RecordedRequest) -> RecordedResponse | None:
        """Return the recorded response; None if nothing matches and the request may be sent.

        Raises:
            CassetteMissError: nothing matches, and the mode does not allow sending.
        """
        key = self._key(request)
        with self._lock:
            reason: NoAnswerLeft | None = None
            index = None
            try:
                index = self._replayer.answer(key.key)
                if index is None and key.key in self._aliases:
                    index = self._replayer.answer(self._aliases[key.key])
            except NoAnswerLeft as error:
                reason = error
            self._last_was_replayed = index is not None
            if index is None:
                if self.records:
                    return None
                raise self._miss(key, reason)
            self.play_count += 1
            if self.records:
                self._replayed.append(request)
            response = self._old[index].response
            if SCRUBBED_HEADER in response.headers:
                self._scrubbed_lines.add(self._line(index))
            return response

    def record(self, request: RecordedRequest, response: RecordedResponse) -> None:
        """Keep a new interaction until the block ends."""
        with self._lock:
            try:
                self._new.append(Interaction(request, decode_response(response, request.uri)))
            except CassetteError as error:
                self._record_error = self._record_error or error

    def check(self) -> None:
        """Raise the refusals again: a client may have taken them for a broken connection.

        Raises:
            CassetteMissError: requests are not in the cassette.
            CassetteError: something could not be recorded.
        """
        if self._record_error:
            raise self._record_error
        if len(self._misses) > 1:
            misses = "\n".join(self._misses)
            raise CassetteMissError(f"{len(self._misses)} requests were not in the cassette.\n{misses}")
        for miss in self._misses.values():
            raise miss

    def finish(self, now: float, is_age_limited: bool) -> None:
        """Write what was recorded, if anything was.

        Unless the age is limited, a recording that came out as the one before keeps its time, and so the same bytes.

        Raises:
            CassetteError: something may not be, or cannot be, written; the file is as it was.
        """
        if not self._new:
            return
        old: list[Interaction] = []
        if self.mode == "new_episodes":
            old = list(self._old)
        elif self.mode == "all":
            old = remaining_interactions(self._old, self._keys, {self._key(new.request).key for new in self._new})
        metadata = build_metadata(self._options, self.mode, now, self.header if old else None, self._new)
        text = render_cassette(str(self.path), self._options, metadata, old, self._new, self._replayed)
        if not is_age_limited:
            text, metadata = _keep_time(text, metadata, self.path)
        write_atomically(self.path, text)
        self.header, self.source = metadata, metadata.source

    def _miss(self, key: RequestKey, reason: NoAnswerLeft | None) -> CassetteMissError:
        """Return the error for a request that has no response: with the nearest one, and how to record."""
        problem = f"{key.method} /{key.path} cannot be answered from the cassette {self.path}"
        lines = [f"{problem}: {reason or 'nothing recorded matches it'}"]
        nearest = None if reason else find_nearest(self._keys, key)
        if nearest:
            lines.append(f"nearest is {self._line(nearest[0])}, which differs in")
            lines += [f"  {line}" for line in render_differences(nearest[1])]
        header = self.header or Metadata()
        if self.path.parent == FOLDER:
            lines.append(f"this session comes with fine_tuning_cassettes and is only read. It has: {header.about}")
        else:
            lines += [f"it was recorded by {header.test}"] if header.test else []
            lines.append(how_to_record(self.source))
        kind = CassetteStuckError if isinstance(reason, PollingStuck) else CassetteMissError
        error = kind("\n  ".join(lines))
        return self._misses.setdefault(str(error), error)

    def _key(self, request: RecordedRequest) -> RequestKey:
        return redacted_key(request, self._options.scrub)

    def _line(self, index: int) -> str:
        key = self._keys[index]
        return f"#{index + 1} {key.method} /{key.path} ({self._old[index].response.status})"


FOLDER = Path(__file__).with_name("sessions")


def session(name: str) -> Path:
    """Return the path of a session, for `use_cassette`.

    Raises:
        CassetteFileError: the session does not exist.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise CassetteFileError(f"unknown session {name!r}; expected one of: {', '.join(sessions())}")
    return path


def sessions() -> dict[str, str]:
    """Return the name of every session, with one line about it."""
    return {path.stem: load_metadata(read_text(path) or "", str(path)).about for path in sorted(FOLDER.glob("*.yaml"))}


def training_file() -> Path:
    """Return the file that sessions upload as ``train.jsonl``: ten examples. Any other file would not match."""
    return FOLDER / "train.jsonl"


def read_text(path: Path) -> str | None:
    """Read a file as UTF-8 with LF line ends; return None if it does not exist.

    Raises:
        CassetteFileError: it cannot be read, or is not UTF-8.
    """
    try:
        # git and editors may have changed line ends and added a byte-order mark
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise CassetteFileError(f"{path}: must be UTF-8 text: {error}; record it anew") from None
    except OSError as error:
        raise CassetteFileError(f"{path}: cannot be read: {error.strerror or error}") from None


def read_metadata(path: Path) -> Metadata:
    """Return the header of a cassette; an empty one if it is missing or cannot be read."""
    try:
        return load_metadata(read_text(path) or "", str(path))
    except CassetteFileError:
        return Metadata()


def check_writable(path: Path) -> None:
    """Raise unless a cassette can be written at *path*; leave nothing behind.

    Raises:
        CassetteFileError: its folder, or the closest one that exists, takes no file.
    """
    if path.is_dir():
        raise CassetteFileError(f"{path}: must be a file, got a folder; use {path / 'cassette.yaml'}")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    probe = temporary_path(folder / path.name)
    try:
        probe.open("x").close()
        probe.unlink()
    except OSError as error:
        raise CassetteFileError(
            f"{path}: cannot be recorded: nothing can be written to {folder}: {error.strerror or error}"
        ) from None


def write_atomically(path: Path, text: str) -> None:
    """Replace a cassette's file by *text* in one step, with the folders that it needs.

    Raises:
        CassetteFileError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode())
    except OSError as error:
        raise CassetteFileError(
            f"{path}: cannot be written: {error.strerror or error}; the file is unchanged"
        ) from None


def _keep_time(text: str, metadata: Metadata, path: Path) -> tuple[str, Metadata]:
    """Return *text* and its header with the time of the file at *path*, if they differ in nothing else."""
    with suppress(CassetteFileError):
        before = read_text(path) or ""
        old = replace(metadata, recorded_at=load_metadata(before, str(path)).recorded_at)
        if text.replace(f"recorded_at: '{metadata.recorded_at}'", f"recorded_at: '{old.recorded_at}'", 1) == before:
            return before, old
    return text, metadata
