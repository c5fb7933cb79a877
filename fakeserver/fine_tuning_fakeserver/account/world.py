"""The world: everything that makes up one account at run time, with one reset."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from ..clock import Pace
from ..domain.job import Job
from ..settings import Settings
from .account import Account
from .armed_faults import ArmedFault, ArmedFaults, parse_faults
from .forking import renew_after_fork
from .records import StoredFile
from .request_log import LogEntry, RequestLog
from .script_queue import ScriptStack
from .service import Service

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


class Disturbance(Protocol):
    """What goes wrong in one run of an exploration: it learns of every request before that is read."""

    def before_request(self, operation: str, *, in_callers_thread: bool) -> Mapping[str, Any] | None:
        """Return the fault that is to hit the request, as `ArmedFaults.arm` takes it; None: nothing.

        The account may be changed first. Control requests are not concerned.

        Args:
            operation: the name of the operation.
            in_callers_thread: whether the client is called in this thread, and would see an exception raised here.
        """
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
        jobs: oldest first.
        requests: the request log, newest last.
        faults: oldest first.
        files: those in the account, by id.
        is_scripted: whether a test has prepared answers.
    """

    settings: Settings
    born: float
    now: float
    pace: Pace
    jobs: Sequence[Job]
    requests: Sequence[LogEntry]
    faults: Sequence[ArmedFault]
    files: Mapping[str, StoredFile]
    is_scripted: bool


class World:
    """One account at run time: service, request log, faults, scripts, and what sends its webhooks.

    A reset replaces all of these, so that a request or a thread of the account before cannot reach the new one.

    Args:
        settings: the initial settings.
        faults: faults that are armed at the start, as mappings.
        paths: the path of every operation, by its name.
        sender: creates the sender for a service; without it webhooks are collected only.

    Attributes:
        service: the account, its clock and its journal.
        requests: the request log.
        faults: the armed faults.
        scripts: the scripts in use.
        sender: what sends webhooks.
        urls: the base URLs that lead here, the newest last; they outlive a reset.
        is_handed_out: whether the application or a transport was given out; it outlives a reset.
        checks: what must hold at the end of every run of the code under test.
        is_reachable: whether any client could have reached the account since it began.
        is_finished: whether the test that the account was for is over.
        virtual_waits: what makes waits of the code under test virtual, if anything does; outlives a reset.
        disturbance: what goes wrong while code under test is explored; outlives a reset.
    """

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
        sender: Callable[[Service], Sender] | None = None,
    ) -> None:
        self.urls: list[str] = []
        self.is_handed_out = False
        self.virtual_waits: VirtualWaits | None = None
        self.disturbance: Disturbance | None = None
        self._paths = paths
        self._new_sender = sender
        self.renew_locks()
        renew_after_fork(self)
        self._default_settings = settings or Settings()
        self._default_faults = parse_faults(faults, paths)
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
    ) -> None:
        """Begin a fresh account.

        Args:
            changes: settings that differ from the defaults.
            faults: faults to arm instead of the defaults.
            defaults: new default settings, for this and later resets. A mapping may also hold ``faults``; without
                them the account has no default faults any more.

        Raises:
            FakeUsageError: an argument makes no sense; then nothing has changed.
        """
        settings, specs = self._default_settings, self._default_faults
        if isinstance(defaults, Settings):
            settings, specs = defaults, []
        elif defaults is not None:
            settings = Settings().changed({name: value for name, value in defaults.items() if name != "faults"})
            specs = parse_faults(defaults.get("faults", ()), self._paths)
        chosen = settings.changed(changes or {})
        armed = specs if faults is None else parse_faults(faults, self._paths)
        with self._lock:
            self._default_settings, self._default_faults = settings, specs
            self.sender.stop()
            service = Service(chosen)
            self.requests = RequestLog()
            self.faults = ArmedFaults(self._paths, armed, service.created_at)
            self.scripts = ScriptStack()
            self.checks = []
            self.service = service
            self.sender = self._new_sender(service) if self._new_sender else NoSender()
            self.is_reachable = self.is_handed_out or bool(self.urls)
            self.is_finished = False

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

    def finish(self) -> None:
        """Send no more webhooks, and let assertions fail until the next reset: the test is over."""
        self.is_finished = True
        self.sender.stop()

    def snapshot(self) -> AccountSnapshot:
        """Return the account as it is now, with the requests it has had."""
        service, scripts = self.service, self.scripts
        with service.lock:
            now = service.clock.now()
            return AccountSnapshot(
                settings=service.settings,
                born=service.created_at,
                now=now,
                pace=service.account.pace,
                jobs=list(service.account.jobs.values()),
                requests=self.requests.find(),
                faults=self.faults.all(now),
                files=dict(service.account.files),
                is_scripted=bool(scripts.scripts or scripts.overrides or scripts.ended),
            )
