"""The world: everything that makes up one account at run time, with one reset."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar, cast

from fine_tuning_formats.lazy_dataclass import dataclass

from ..clock import Pace
from ..domain.job import Job
from ..settings import DEFAULT_SETTINGS, Settings
from ..usage_errors import FakeUsageError
from .account import Account
from .armed_faults import ArmedFault, ArmedFaults, parse_faults
from .forking import renew_after_fork
from .request_log import LogEntry, RequestLog
from .script_queue import ScriptStack
from .service import Journal, MemoryJournal, Service
from .stored_account import StoredAccount, as_of_request, as_of_time

T = TypeVar("T")

FLUSH_WITHIN_S = 5.0
"""Default timeout of `Sender.flush`, in real seconds. Shorter than a webhook target may take to answer: a target that
itself waits for the flushing thread must not block it for as long."""


class Sender(Protocol):
    """The sender of one account's webhooks."""

    def wake(self) -> None:
        """Send what is due, soon; return at once."""
        ...

    @property
    def is_busy(self) -> bool:
        """Whether something is being sent, or about to be."""
        ...

    def flush(self, timeout_s: float = FLUSH_WITHIN_S) -> None:
        """Send what is due; wait until all of it was tried, or *timeout_s* has passed."""
        ...

    def stop(self) -> None:
        """Send nothing more."""
        ...


class VirtualWaits(Protocol):
    """What makes the waits of a whole process virtual, and passes an account's time by them."""

    @property
    def is_virtual(self) -> bool:
        """Whether waits are virtual now."""
        ...

    def catch_up(self) -> None:
        """Move its own clocks by what the account's clock was moved otherwise."""
        ...

    def real_time(self) -> AbstractContextManager[None]:
        """Let waits be real while the context lasts."""
        ...


@dataclass(frozen=True, slots=True)
class DisturbedRequest:
    """A request of code under test that is explored.

    Args:
        number: its place among the run's requests, from 1.
        operation: the name of the operation.
        in_callers_thread: whether the client is called in this thread, and would see an exception raised here.
        fault: what is to hit it, as `ArmedFaults.arm` takes it, unless the test itself has armed a fault that does;
            None: nothing.
    """

    number: int
    operation: str
    in_callers_thread: bool
    fault: Mapping[str, Any] | None = None


class Disturbance(Protocol):
    """What goes wrong in one run of an exploration. Control requests are not concerned."""

    def before_request(self, operation: str, *, in_callers_thread: bool) -> DisturbedRequest:
        """Count a request, before it is read; return it, with the fault that is to hit it."""
        ...

    def hit(self, request: DisturbedRequest) -> None:
        """Note that the request's fault hits it."""
        ...

    def after_request(self, request: DisturbedRequest) -> None:
        """Change the account, after the request was answered, or broken off by a fault."""
        ...


class NoSender:
    """A sender that sends nothing: webhooks are collected only."""

    is_busy = False

    def wake(self) -> None:
        """Do nothing."""

    def flush(self, timeout_s: float = FLUSH_WITHIN_S) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """An account at one moment, and the requests it has had.

    Args:
        settings: its initial settings.
        born: when, in virtual Unix seconds.
        now: virtual Unix seconds.
        pace: how time passes.
        dialect: what answers are in, by name.
        jobs: oldest first.
        requests: the request log, newest last.
        faults: oldest first.
    """

    settings: Settings
    born: float
    now: float
    pace: Pace
    dialect: str
    jobs: Sequence[Job]
    requests: Sequence[LogEntry]
    faults: Sequence[ArmedFault]


class World:
    """One account at run time: service, request log, faults, scripts, and what sends its webhooks.

    A reset replaces all of these, so that a request or a thread of the account before cannot reach the new one.

    Args:
        settings: the initial settings.
        faults: faults that are armed at the start, as mappings.
        paths: the path of every operation, by its name.
        sender: creates the sender for a service of this world; without it webhooks are collected only.

    Attributes:
        service: the account, its clock and its journal.
        requests: the request log.
        faults: the armed faults.
        scripts: the scripts in use.
        sender: what sends webhooks.
        urls: the base URLs that lead here, the newest last; they outlive a reset.
        is_handed_out: whether the application or a transport was given out; it outlives a reset.
        is_stored: whether the records are in a store, which other processes may change; see `StoredWorld`.
        checks: what must hold at the end of every run of the code under test.
        is_reachable: whether any client could have reached the account since it began.
        is_finished: whether the test that the account was for is over.
        virtual_waits: what makes waits of the code under test virtual, if anything does; outlives a reset.
        disturbance: what goes wrong while code under test is explored; outlives a reset.
    """

    is_stored = False
    service: Service
    requests: RequestLog
    faults: ArmedFaults
    scripts: ScriptStack
    sender: Sender
    checks: list[Callable[[], object]]
    is_reachable: bool
    is_finished: bool

    def __init__(
        self,
        settings: Settings | None = None,
        faults: Iterable[Mapping[str, Any]] = (),
        *,
        paths: Mapping[str, str],
        sender: Callable[[Service, World], Sender] | None = None,
    ) -> None:
        self.urls: list[str] = []
        self.is_handed_out = False
        self.virtual_waits: VirtualWaits | None = None
        self.disturbance: Disturbance | None = None
        self._paths = paths
        self._new_sender = sender
        self.renew_locks()
        renew_after_fork(self)
        self._default_settings = settings or DEFAULT_SETTINGS
        self._default_faults = parse_faults(faults, paths)
        self._fill: Callable[[Service], None] | None = None
        self.sender = NoSender()
        self.reset()

    def renew_locks(self) -> None:
        """Replace the lock, in a forked child."""
        self._lock = threading.Lock()

    def reset(
        self,
        changes: Mapping[str, Any] | None = None,
        faults: Iterable[Mapping[str, Any]] | None = None,
        defaults: Settings | Mapping[str, Any] | None = None,
        fill: Callable[[Service], None] | None = None,
    ) -> None:
        """Begin a fresh account.

        Args:
            changes: settings that differ from the defaults.
            faults: faults to arm instead of the defaults.
            defaults: new default settings, for this and later resets. A mapping may also hold ``faults``; without
                them the account has no default faults any more.
            fill: with new defaults, puts things into this account, and into those of later resets.

        Raises:
            FakeUsageError: an argument makes no sense; then nothing has changed.
        """
        settings, specs = self._default_settings, self._default_faults
        filling = self._fill if defaults is None else fill
        if isinstance(defaults, Settings):
            settings, specs = defaults, []
        elif defaults is not None:
            settings = DEFAULT_SETTINGS.changed({name: value for name, value in defaults.items() if name != "faults"})
            specs = parse_faults(defaults.get("faults", ()), self._paths)
        chosen = settings.changed(changes or {})
        armed = specs if faults is None else parse_faults(faults, self._paths)
        service = Service(chosen, self._new_journal, real=self._real)
        if filling:
            filling(service)
        with self._lock:
            self._default_settings, self._default_faults, self._fill = settings, specs, filling
            new_faults = ArmedFaults(self._paths, armed, service.created_at, service.commit_aside)
            self._replace(service, RequestLog(), new_faults, ScriptStack(), len(service.journal))
            self.checks = []
        if filling:  # there may be something to send, now or later
            self.sender.wake()

    def _replace(
        self, service: Service, requests: RequestLog, faults: ArmedFaults, scripts: ScriptStack, beginning: int
    ) -> None:
        """Go on with another account; the lock is held."""
        sender = self._new_sender(service, self) if self._new_sender else NoSender()
        self.sender.stop()
        self.requests, self.faults, self.scripts, self.service, self.sender = requests, faults, scripts, service, sender
        self._beginning = beginning
        self.is_reachable = self.is_handed_out or bool(self.urls)
        self.is_finished = False

    _new_journal: Callable[[], Journal] = MemoryJournal

    @property
    def _real(self) -> Callable[[], float] | None:
        """What returns the real time by which virtual time passes; None: this process's own."""
        return None

    def run(self, work: Callable[[], T]) -> T:
        """Run *work*, which may change the account, and return its result; what has changed is stored by then."""
        return work()

    def may_deliver(self, delivery: str) -> bool:
        """Return whether a webhook delivery is this process's to send now, by its id."""
        return True

    @property
    def has_happened(self) -> bool:
        """Whether a request has come, or anything has changed, since the account began."""
        return bool(self.requests.count) or self.has_changed or self.scripts.was_used

    @property
    def has_changed(self) -> bool:
        """Whether anything has been recorded since the account began."""
        return len(self.service.journal) > self._beginning

    def store(self) -> StoredAccount:
        """Return the account as it is now, to be saved or copied.

        Raises:
            FakeUsageError: a script is in use that is a function, or has one.
        """
        service = self.service
        with service.lock:
            now = service.clock.now()
            return StoredAccount(
                settings=service.settings,
                born=service.created_at,
                now=now,
                awaited=service.awaited_until,
                records=list(service.journal),
                beginning=self._beginning,
                log=self.requests.store(),
                scripts=self.scripts.store(),
                in_vain=service.looks.in_vain,
            )

    def restore(self, stored: StoredAccount, *, as_default: bool = False) -> None:
        """Go on with the account as it was stored, instead of this one.

        Args:
            stored: the account.
            as_default: whether later resets begin an account with its settings, and without faults.

        Raises:
            FakeUsageError: its records make no account; then nothing has changed.
        """
        try:
            service = self._service_of(stored)
        except (LookupError, ArithmeticError, AttributeError, TypeError, ValueError) as error:
            raise FakeUsageError(f"the records make no account: {type(error).__name__}: {error}") from error
        self._go_on(service, stored, as_default=as_default)

    def _service_of(self, stored: StoredAccount) -> Service:
        return Service.restored(
            stored.settings,
            stored.born,
            stored.records,
            stored.now,
            stored.awaited,
            journal=self._new_journal,
            real=self._real,
        )

    def _go_on(self, service: Service, stored: StoredAccount, *, as_default: bool = False) -> None:
        """Go on with *service*, which the records of *stored* have made."""
        service.looks.restore_in_vain(service.moment, stored.in_vain)
        faults = ArmedFaults(self._paths, commit=service.commit_aside)
        for record in stored.records:
            faults.apply(record)
        with self._lock:
            scripts, requests = ScriptStack.restored(stored.scripts), RequestLog.restored(stored.log)
            self._replace(service, requests, faults, scripts, stored.beginning)
            if as_default:
                self._default_settings, self._default_faults, self._fill = stored.settings, [], None
        self.sender.wake()

    def rewind(self, request: int | None = None, time: float | None = None) -> None:
        """Go back to the account as it was when a request was answered, or at a time in virtual Unix seconds.

        Raises:
            FakeUsageError: neither or both are given, or that account cannot be had; then nothing has changed.
        """
        if (request is None) == (time is None):
            raise FakeUsageError("rewind_to needs either a request or a time: rewind_to(request=3), rewind_to(time=…)")
        if self.waits_are_virtual:
            raise FakeUsageError("an account cannot be rewound while waits are virtual: their clock never goes back")
        if self.scripts.was_used:
            raise FakeUsageError("an account that has had scripts cannot be rewound: what they took is not recorded")
        with self.service.lock:
            stored, files, parts = self.store(), self.account.files, self.account.parts
            cut = as_of_request(stored, request) if request is not None else as_of_time(stored, cast(float, time))
            service = self._service_of(cut)
            past = service.account
            lost = [each for each, file in past.files.items() if file.content.is_dropped and each not in files]
            lost += [
                each
                for each, contents in past.parts.items()
                if each not in parts and any(content.is_dropped for content in contents.values())
            ]
            if lost:
                raise FakeUsageError(
                    f"an account cannot be rewound to where it had {lost[0]}: its bytes were dropped when it ended"
                )
            self._go_on(service, cut)

    def sibling(self, stored: StoredAccount | None = None) -> World:
        """Return another world, which begins as this one does at a reset, or goes on with the account that is given.

        Raises:
            FakeUsageError: the account's records make none.
        """
        world = World(self._default_settings, paths=self._paths, sender=self._new_sender)
        world._default_faults, world._fill = self._default_faults, self._fill
        if stored:
            world.restore(stored)
        elif self._default_faults or self._fill:
            world.reset()
        return world

    @property
    def account(self) -> Account:
        """The account, as it is now."""
        return self.service.account

    @property
    def now(self) -> float:
        """Virtual time, in Unix seconds."""
        return self.service.clock.now()

    @property
    def waits_are_virtual(self) -> bool:
        """Whether waits of the code under test are virtual now, and pass this account's time."""
        return self.virtual_waits is not None and self.virtual_waits.is_virtual

    def send_nothing(self) -> None:
        """Collect webhooks instead of sending them, from now on."""
        self._new_sender = None
        self.sender.stop()
        self.sender = NoSender()

    def finish(self) -> None:
        """Send no more webhooks, and let assertions fail until the next reset: the test is over."""
        self.is_finished = True
        self.sender.stop()

    def snapshot(self) -> AccountSnapshot:
        """Return the account as it is now, with the requests it has had."""
        service = self.service
        with service.lock:
            now = service.clock.now()
            return AccountSnapshot(
                settings=service.settings,
                born=service.created_at,
                now=now,
                pace=service.account.pace,
                dialect=service.account.dialect.name,
                jobs=list(service.account.jobs.values()),
                requests=self.requests.find(),
                faults=self.faults.all(now),
            )
