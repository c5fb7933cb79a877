"""An account whose records are in a store: it outlives the process, and several processes can answer for it."""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import orjson

from ..clock import steady
from ..domain.webhook_events import WebhookConfig
from ..settings import Settings
from ..stores import Head, HeadMovedError, Store, StoreError
from ..usage_errors import FakeUsageError
from .armed_faults import ArmedFaults
from .blobs import Blob
from .record_format import check_version, read_trusted_record, write_record
from .records import ClockAnchored, Record, ScriptsSet, content_of, content_owner
from .request_log import RequestLog, StoredLog
from .script_queue import ScriptStack, StoredScripts
from .service import Service
from .settings_format import read_settings, write_settings
from .stored_account import StoredAccount
from .stored_contents import StoredContents, StoredJournal
from .stored_log import StoredRequestLog
from .world import Sender, World

T = TypeVar("T")

HEADER_VERSION = 1
HEADER_VERSIONS: Mapping[int, object] = {1: "the first"}

LEASE_S = 15.0
"""How many real seconds a process has to send a webhook: more than its target may take to answer."""

TOGETHER = 16
"""How many operations are at most in one transaction."""

TRIES = 5
"""How often an operation is decided again since another server was faster."""


@contextmanager
def garbage_kept() -> Iterator[None]:
    """Look for no garbage while much is made that stays: that takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class ScriptFormat(Protocol):
    """Writes scripts as JSON, and reads them."""

    def write(self, stored: StoredScripts, /) -> Mapping[str, Any]:
        """Return the scripts as JSON.

        Raises:
            FakeUsageError: one of them is no data.
        """
        ...

    def read(self, members: Mapping[str, Any], /) -> StoredScripts:
        """Return the scripts of what `write` has returned."""
        ...


class _Turn:
    """An operation that waits to be run, and its result or error."""

    __slots__ = ("_error", "_result", "is_over", "may_begin", "work")

    def __init__(self, work: Callable[[], Any], may_begin: bool) -> None:
        self.work, self.may_begin = work, may_begin
        self.is_over = False

    def end(self, result: Any = None, error: Exception | None = None) -> None:
        """Note the result, or the error."""
        self._result, self._error, self.is_over = result, error, True

    def outcome(self) -> Any:
        """Return the result, or raise the error."""
        if self._error is not None:
            raise self._error
        return self._result


class StoredWorld(World):
    """One account at run time whose records are in a store.

    What is in memory follows the store: each operation first applies what other servers have added, and its own records
    are in the store before it is answered. An operation that another server has overtaken is decided again.

    Args:
        store: the store.
        name: the account's name there.
        like: a world that begins as this one does where the store has no account of this name.
        scripts: writes and reads scripts.
        worker: the number of this server among those of one command, from 0.
        sender: creates what sends webhooks; without it they are collected only.

    Raises:
        StoreError: the store does not answer, or what it has cannot be read.
    """

    is_stored = True
    _new_journal = StoredJournal

    def __init__(
        self,
        store: Store,
        name: str,
        like: World,
        scripts: ScriptFormat,
        worker: int = 0,
        sender: Callable[[Service, World], Sender] | None = None,
    ) -> None:
        self._store, self._name, self._script_format, self._worker = store, name, scripts, worker
        self._contents = StoredContents(store)
        self._generation = self._seq = 0
        """Of the records that are in memory; generation 0: the store has no account of this name."""
        self._is_stale = False
        """Whether what is in memory may be other than what is in the store."""
        self._is_attached = False
        self._depth = 0
        self._read_at = 0.0, inf
        """The store's time when its head was read last, and when that was."""
        self._read_head()
        self._scripts_state: Mapping[str, Any] | None = None
        self._awaited = 0.0
        """Until when clients wait, as far as other servers know."""
        self._holder = uuid4().hex
        self._step = threading.RLock()
        self._turns: deque[_Turn] = deque()
        """Operations that wait; a thread that holds the lock runs those of other threads, too."""
        super().__init__(like._default_settings, paths=like._paths, sender=sender)
        self._default_faults, self._fill = like._default_faults, like._fill
        if self._default_faults or self._fill:
            self.reset()
        self._is_attached = True
        self.catch_up()

    def renew_locks(self) -> None:
        """Replace the locks, in a forked child."""
        super().renew_locks()
        self._step = threading.RLock()

    @property
    def name(self) -> str:
        """The account's name in the store."""
        return self._name

    @property
    def suspends(self) -> bool:
        """Whether even a look at the store takes long enough to need a thread."""
        return self._store.suspends

    @property
    def is_busy(self) -> bool:
        """Whether another thread is at it, and perhaps waits for the store."""
        if not self._step.acquire(blocking=False):
            return True
        self._step.release()
        return False

    @property
    def is_kept(self) -> bool:
        """Whether the store had the account when it was last asked."""
        return self._generation > 0

    @property
    def _real(self) -> Callable[[], float]:
        return self._store_time

    def _store_time(self) -> float:
        """Return the store's time, in Unix seconds."""
        time, at = self._read_at
        return time + steady() - at

    def may_deliver(self, delivery: str) -> bool:
        """Return whether a webhook delivery is this process's to send now, rather than another's that has begun to."""
        return self._store.take_lease(self._name, delivery, self._holder, LEASE_S)

    # ---- operations

    def run(self, work: Callable[[], T], *, may_begin: bool = True) -> T:
        """Run *work* on the account as the store has it; what it has changed is in the store when this returns.

        Args:
            work: what to do.
            may_begin: whether an account that the store does not have may come of it.

        Raises:
            StoreError: the store does not answer, or has no room; then nothing has changed.
        """
        turn = _Turn(work, may_begin)
        self._turns.append(turn)
        with self._step:
            if self._depth or not self._is_attached:
                self._turns.remove(turn)
                return work()
            while not turn.is_over:
                self._take_turns()
        result: T = turn.outcome()
        return result

    def look(self, work: Callable[[], T]) -> T:
        """Do as `run` does, for *work* that seldom changes anything: others are not kept from changes meanwhile.

        No account comes of it.

        Raises:
            StoreError: the store does not answer, or has no room; then nothing has changed.
        """
        with self._step:
            if self._depth or not self._is_attached:
                return work()
            return self._run_alone(work, is_exclusive=False, may_begin=False)

    def _take_turns(self) -> None:
        """Run the operations that threads wait for in one transaction, whose commit takes most of the time.

        Where one of them fails, each gets a transaction of its own.
        """
        turns = [self._turns.popleft() for _ in range(min(len(self._turns), TOGETHER))]
        if not turns:
            raise RuntimeError("the thread that ran this operation was interrupted")
        try:
            if len(turns) > 1:
                self._run_together(turns)
        except StoreError as error:
            self._is_stale = True
            for turn in turns:
                turn.end(error=error)
            return
        except Exception:
            self._is_stale = True
        for turn in turns:
            if not turn.is_over:
                try:
                    turn.end(self._run_alone(turn.work, is_exclusive=True, may_begin=turn.may_begin))
                except Exception as error:
                    turn.end(error=error)

    def _run_together(self, turns: Sequence[_Turn]) -> None:
        with self._store.exclusive(self._name):
            results = [
                self._attempt(turn.work, turn.may_begin, is_behind=not place) for place, turn in enumerate(turns)
            ]
        for turn, result in zip(turns, results, strict=True):
            turn.end(result)

    def _run_alone(self, work: Callable[[], T], *, is_exclusive: bool, may_begin: bool) -> T:
        for _ in range(TRIES):
            try:
                if not is_exclusive:
                    return self._attempt(work, may_begin)
                with self._store.exclusive(self._name):
                    return self._attempt(work, may_begin)
            except HeadMovedError:
                is_exclusive = True  # others are at it
            except StoreError:
                self._is_stale = True
                raise
        raise StoreError(f"the account {self._name} was changed by others {TRIES} times while an operation was decided")

    def _attempt(self, work: Callable[[], T], may_begin: bool, *, is_behind: bool = True) -> T:
        """Run *work*; where it fails, what it has changed is read from the store again.

        Args:
            work: what to do.
            may_begin: see `run`.
            is_behind: whether other servers may have changed the account.
        """
        self._depth += 1
        try:
            if is_behind or self._is_stale:
                self._catch_up()
            result = work()
            if len(self.service.journal) != self._seq or self.scripts.was_used or self._is_awaited_longer:
                self._append(may_begin)
            return result
        except BaseException as error:
            has_changed = len(self.service.journal) != self._seq
            self._is_stale = self._is_stale or has_changed or isinstance(error, StoreError | HeadMovedError)
            raise
        finally:
            self._depth -= 1

    def catch_up(self) -> None:
        """Apply what other servers have added to the store.

        Raises:
            StoreError: the store does not answer, or what it has cannot be read.
        """
        self.look(lambda: None)

    def keep(self) -> None:
        """Put the account into the store, if it is not there yet."""

        def begin() -> None:
            if not self.is_kept:
                self._begin(self.service, self.requests.store(), self._beginning)

        self.run(begin)

    def adopt(self, stored: StoredAccount) -> None:
        """Begin with *stored*, here and in the store, unless the store has the account already."""

        def begin() -> None:
            if not self.is_kept:
                World.restore(self, stored)

        self.run(begin)

    def keep_contents(self, contents: Iterable[Blob]) -> None:
        """Put contents into the store that a record is going to have."""
        for content in contents:
            self._contents.put(content)

    def reset(
        self,
        changes: Mapping[str, Any] | None = None,
        faults: Iterable[Mapping[str, Any]] | None = None,
        defaults: Settings | Mapping[str, Any] | None = None,
        fill: Callable[[Service], None] | None = None,
    ) -> None:
        """Begin a fresh account, here and in the store."""
        self.run(lambda: World.reset(self, changes, faults, defaults, fill))

    def restore(self, stored: StoredAccount, *, as_default: bool = False) -> None:
        """Go on with the account as it was stored, here and in the store."""
        self.run(lambda: World.restore(self, stored, as_default=as_default))

    def rewind(self, request: int | None = None, time: float | None = None) -> None:
        """Go back to the account as it was, here and in the store."""
        self.run(lambda: World.rewind(self, request, time))

    # ---- from the store

    def _catch_up(self) -> None:
        head = self._read_head()
        if head.generation != self._generation or self._is_stale:
            self._load(head)
        elif head.seq > self._seq:
            lines = self._store.read(self._name, self._generation, self._seq)
            shown = self.now
            self._replay([self._read(line, self._seq + place) for place, line in enumerate(lines, 1)])
            if self.now < shown:  # what was shown does not go back
                self.service.clock.move_to(shown)
            self._seq += len(lines)

    def _read_head(self) -> Head:
        head, now = self._store.head(self._name), steady()
        self._read_at = max(head.time, self._store_time()), now
        return head

    def _read(self, line: bytes, seq: int) -> Record:
        try:
            return read_trusted_record(line, self._contents)
        except FakeUsageError as error:
            raise StoreError(f"record {seq} of the account {self._name} cannot be read: {error}") from None

    def _replay(self, records: Sequence[Record]) -> None:
        """Apply records that another server has added."""
        service = self.service
        with service.lock:
            service.replay(records)
            for record in records:
                self.faults.apply(record)
                if isinstance(record, ScriptsSet):
                    self._set_scripts(record.scripts)
                elif isinstance(record, ClockAnchored):
                    service.anchor_clock(record)
                    self._awaited = max(self._awaited, record.awaited)
        if service.account.outbox.endpoints:
            self.sender.wake()

    def _set_scripts(self, members: Mapping[str, Any]) -> None:
        self.scripts = ScriptStack.restored(self._script_format.read(members))
        self._scripts_state = members

    def _load(self, head: Head) -> None:
        """Take the account of the store instead of the one in memory."""
        self._is_stale = True  # until it is loaded
        if head.generation == 0:
            self._generation = self._seq = 0
            self._is_attached = False
            try:
                self.reset()
            finally:
                self._is_attached = True
        else:
            self._load_generation(head.generation)
        self._is_stale = False

    def _load_generation(self, generation: int) -> None:
        remote = self._default_settings.allow_remote_webhooks
        line = self._store.header(self._name, generation)
        header = _Header.read(line, self._name, allow_remote_webhooks=remote)
        lines = self._store.read(self._name, generation, 0)
        with garbage_kept():
            records = [self._read(line, place) for place, line in enumerate(lines, 1)]
            stored, later = header.account(records[: header.records]), records[header.records :]
            service = self._service_of(stored)
        service.anchor_clock(header.anchor)
        faults = ArmedFaults(self._paths, commit=service.commit_aside)
        for record in stored.records:
            faults.apply(record)
        with self._lock:
            self._generation, self._seq, self._scripts_state = generation, len(lines), None
            service.generation = -generation
            log = StoredRequestLog(self._store, self._name, generation, self._worker)
            super()._replace(service, log, faults, ScriptStack(), stored.beginning)
        self._awaited = header.anchor.awaited
        scripts = [record for record in stored.records if isinstance(record, ScriptsSet)]
        if scripts:
            self._set_scripts(scripts[-1].scripts)
        self._replay(later)

    # ---- to the store

    @property
    def _is_awaited_longer(self) -> bool:
        """Whether a client waits for longer than other servers know, at a pace at which time passes by itself."""
        service = self.service
        return not isinstance(service.account.pace, str) and service.awaited_until > self._awaited

    def _append(self, may_begin: bool) -> None:
        """Put what was committed into the store."""
        service = self.service
        with service.lock:
            if self.scripts.was_used:
                self._note_scripts()
            if not self.is_kept:
                if may_begin and self.has_changed:
                    self._begin(service, self.requests.store(), self._beginning)
                return
            pending = service.journal.since(self._seq)
            if not isinstance(service.account.pace, str) and (pending or self._is_awaited_longer):
                service.commit_aside(self._anchor(service))
                pending = service.journal.since(self._seq)
            if not pending:
                return
            lines = self._write(pending)
            self._store.append(self._name, self._generation, self._seq, lines)
            self._seq += len(lines)
            self._drop_contents(service)

    def _write(self, records: Sequence[Record]) -> list[bytes]:
        """Return records as lines, whose contents the store then has."""
        lines = [write_record(record, self._contents) for record in records]
        uses, contents = [], {}
        for record in records:
            content = content_of(record)
            if content is not None and not content.is_dropped:
                digest = self._contents.put(content)
                contents[digest] = content
                uses.append((content_owner(record) or "", digest))
        self._store.use_blobs(self._name, uses)
        for _, digest in uses:
            if not self._store.has_blob(digest):  # another account needed it until now
                self._contents.put_again(digest, contents[digest])
        return lines

    def _drop_contents(self, service: Service) -> None:
        journal = service.journal
        if isinstance(journal, StoredJournal) and journal.dropped:
            self._store.drop_blobs(self._name, journal.dropped)
            journal.dropped = []

    def _anchor(self, service: Service) -> ClockAnchored:
        real = self._store_time()
        anchor = ClockAnchored(service.clock.at(real), real, service.awaited_until)
        service.anchor_clock(anchor)
        self._awaited = anchor.awaited
        return anchor

    def _note_scripts(self) -> None:
        state = self._script_format.write(self.scripts.store())
        if state != self._scripts_state:
            self._scripts_state = state
            self.service.commit_aside(ScriptsSet(state))

    def _begin(self, service: Service, log: StoredLog, beginning: int) -> None:
        """Begin a generation of the account in the store."""
        records = list(service.journal)
        header = _Header.of(service, len(records), beginning, self._anchor(service)).write()
        self._store.drop_blobs(self._name)  # those that it still needs are kept below
        lines = self._write(records)
        self._generation = self._store.begin(self._name, self._generation, header, lines)
        self._seq = len(records)
        service.generation = -self._generation
        self.requests = StoredRequestLog(self._store, self._name, self._generation, self._worker, log)

    def _replace(
        self, service: Service, requests: RequestLog, faults: ArmedFaults, scripts: ScriptStack, beginning: int
    ) -> None:
        if self._is_attached:
            self._begin(service, requests.store(), beginning)
            requests, self._scripts_state = self.requests, None
        super()._replace(service, requests, faults, scripts, beginning)


class _Header:
    """What the store has of a generation besides its records: settings, and the time at which it began."""

    def __init__(self, members: Mapping[str, Any], settings: Settings, anchor: ClockAnchored) -> None:
        self._members, self._settings, self.anchor = members, settings, anchor
        self.records: int = members["records"]

    @classmethod
    def of(cls, service: Service, records: int, beginning: int, anchor: ClockAnchored) -> _Header:
        """Return that of an account which begins with so many records."""
        members = {
            "version": HEADER_VERSION,
            "settings": write_settings(service.settings),
            "secrets": [target.secret for target in service.settings.webhooks],
            "born": service.created_at,
            "records": records,
            "beginning": beginning,
            "at": anchor.at,
            "real": anchor.real,
            "awaited": anchor.awaited,
        }
        return cls(members, service.settings, anchor)

    def write(self) -> bytes:
        """Return it as JSON."""
        return orjson.dumps(self._members)

    @classmethod
    def read(cls, line: bytes, name: str, *, allow_remote_webhooks: bool) -> _Header:
        """Return the header that `write` has written.

        Raises:
            StoreError: it is damaged, or a newer version has written it.
        """
        try:
            members = orjson.loads(line)
            check_version(members["version"], "an account in a store", HEADER_VERSIONS)
            settings = read_settings(members["settings"], allow_remote_webhooks=allow_remote_webhooks)
            targets = zip(settings.webhooks, members["secrets"], strict=True)
            webhooks = tuple(WebhookConfig(each.url, secret, each.events) for each, secret in targets)
            anchor = ClockAnchored(members["at"], members["real"], members["awaited"])
            return cls(members, replace(settings, webhooks=webhooks), anchor)
        except (FakeUsageError, LookupError, TypeError, ValueError) as error:
            raise StoreError(f"the account {name} of the store cannot be read: {error}") from None

    def account(self, records: Sequence[Record]) -> StoredAccount:
        """Return the account as it began, with its first *records*."""
        return StoredAccount(
            settings=self._settings,
            born=self._members["born"],
            now=self.anchor.at,
            awaited=self.anchor.awaited,
            records=records,
            beginning=self._members["beginning"],
        )
