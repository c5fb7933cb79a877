"""The accounts of one server by name: made by the first request that is accepted, forgotten on request or when idle."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import show_value

from ..clock import steady
from ..usage_errors import FakeUsageError, wrong_value
from . import ACCOUNTS_AT_MOST
from .forking import complete_before_fork
from .world import World

MAIN = "main"
"""The account under ``/v1``. It is always there."""

NAME_CHARACTERS_AT_MOST = 64
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_CHARACTERS_AT_MOST - 1}}}")


def check_account_name(name: object) -> str:
    """Return *name* if an account can be called so.

    Raises:
        FakeUsageError: it cannot.
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    wanted = f"1 to {NAME_CHARACTERS_AT_MOST} letters, digits, '.', '_' or '-', beginning with a letter or digit"
    raise wrong_value("account name", wanted, name)


def name_of_key(api_key: str) -> str:
    """Return the name of the account that belongs to an API key, which does not tell the key."""
    return f"key-{hashlib.sha256(api_key.encode()).hexdigest()[:32]}"


def below_account(url: str, name: str) -> str:
    """Return the base URL of an account, given that of `MAIN`, which ends in ``/v1``."""
    return url if name == MAIN else f"{url.removesuffix('/v1')}/accounts/{name}/v1"


@dataclass(slots=True, eq=False)
class NamedAccount:
    """An account of a server, or what becomes one as soon as a request is accepted.

    Args:
        name: its name.
        world: its world.
        used_at: when a request for it last began or ended, in real seconds; None for `MAIN`, which is never idle.
        users: how many requests for it are under way.
        is_claimed: whether one of these may make it.
    """

    name: str
    world: World
    used_at: float | None = None
    users: int = 0
    is_claimed: bool = False

    def as_json(self, now: float) -> dict[str, Any]:
        """Return the account as the control API lists it, at real second *now*."""
        service = self.world.service
        idle_s = None if self.used_at is None else 0.0 if self.users else round(max(now - self.used_at, 0.0), 3)
        with service.lock:
            return {
                "name": self.name,
                "now": service.clock.now(),
                "pace": service.account.pace,
                "files": len(service.account.file_shelf),
                "jobs": len(service.account.jobs),
                "requests": self.world.requests.count,
                "idle_seconds": idle_s,
            }


class Accounts:
    """The accounts of one server.

    Requests for a name that is not known share a world which is kept once one of them is accepted, and else dropped:
    so looking makes no account, and of two first requests at the same time none is lost.

    Args:
        main: the world of `MAIN`.
        new_world: makes the world of another account, by its name.
        at_most: how many accounts are kept besides `MAIN`.
        idle_at_most_s: after how many real seconds without a request an account is forgotten; None: never.

    Attributes:
        changes: how many accounts were kept or forgotten.
    """

    def __init__(
        self,
        main: World,
        new_world: Callable[[str], World],
        *,
        at_most: int = ACCOUNTS_AT_MOST,
        idle_at_most_s: float | None = None,
    ) -> None:
        self._main = NamedAccount(MAIN, main)
        self._new_world = new_world
        self._at_most = at_most
        self._idle_at_most_s = idle_at_most_s
        self._kept: dict[str, NamedAccount] = {}
        """Without `MAIN`; the one that was used last is the last."""
        self._candidates: dict[str, NamedAccount] = {}
        self._urls: list[str] = []
        self.changes = 0
        self.renew_locks()
        complete_before_fork(self)

    is_resumed = False
    """Whether `MAIN` goes on with what was kept of it, instead of beginning."""

    def renew_locks(self) -> None:
        """Replace the lock, in a forked child."""
        self.lock = threading.RLock()

    @property
    def main(self) -> World:
        """The world of `MAIN`."""
        return self._main.world

    @property
    def names(self) -> list[str]:
        """The names of all accounts, `MAIN` first."""
        with self.lock:
            self._forget_idle()
            return [MAIN, *sorted(self._kept)]

    def find(self, name: str) -> World | None:
        """Return the world of an account, if there is one; this does not count as use."""
        return self.peek(name)

    @property
    def loaded(self) -> dict[str, World]:
        """The worlds that this process has of accounts, by name, `MAIN` first."""
        with self.lock:
            self._forget_idle()
            return {MAIN: self.main, **{name: self._kept[name].world for name in sorted(self._kept)}}

    def peek(self, name: str) -> World | None:
        """Return the world of an account, if this process has it."""
        with self.lock:
            account = self._main if name == MAIN else self._kept.get(name)
        return account.world if account else None

    def make(self, name: str) -> World:
        """Return the world of an account; make the account if no account has this name.

        Raises:
            FakeUsageError: no account can be called so, or there are too many.
        """
        if check_account_name(name) == MAIN:
            return self.main
        with self.use(name, may_make=True) as account:
            self.keep(account)
        return account.world

    @contextmanager
    def use(self, name: str, *, may_make: bool) -> Generator[NamedAccount, None, None]:
        """Use an account other than `MAIN` for one request; one that is not there yet has a world all the same.

        Args:
            name: the account's name.
            may_make: whether the request is more than a look, so that an account may come of it (see `keep`).

        Raises:
            FakeUsageError: no account can be called so, or there are too many.
        """
        check_account_name(name)
        with self.lock:
            account = self._begin_use(name, may_make)
        try:
            yield account
        finally:
            with self.lock:
                self._end_use(account)

    def _begin_use(self, name: str, may_make: bool) -> NamedAccount:
        self._forget_idle()
        account = self._kept.get(name)
        if account is None:
            account = self._candidates.get(name)
            if may_make and not (account and account.is_claimed):
                self._require_room()
            if account is None:
                account = self._candidates[name] = NamedAccount(name, self._world_for(name))
            account.is_claimed |= may_make
        account.users += 1
        self._note_use(account)
        return account

    def _end_use(self, account: NamedAccount) -> None:
        account.users -= 1
        self._note_use(account)
        if not account.users and self._candidates.get(account.name) is account:
            del self._candidates[account.name]
            account.world.sender.stop()

    def _note_use(self, account: NamedAccount) -> None:
        account.used_at = steady()
        if self._kept.get(account.name) is account:
            self._kept[account.name] = self._kept.pop(account.name)

    def keep(self, account: NamedAccount) -> None:
        """Keep an account in use, since a request for it was accepted."""
        with self.lock:
            if self._candidates.get(account.name) is account:
                self._kept[account.name] = self._candidates.pop(account.name)
                self.changes += 1

    def forget(self, name: str) -> None:
        """Forget an account; requests that are under way end as if it were still there.

        Raises:
            FakeUsageError: it is `MAIN`, or no account has this name.
        """
        self._require_not_main(name)
        with self.lock:
            account = self._kept.pop(name, None)
            self.changes += 1
        if account is None:
            raise FakeUsageError(f"there is no account {show_value(name)}")
        account.world.sender.stop()

    def _require_not_main(self, name: str) -> None:
        if check_account_name(name) == MAIN:
            raise FakeUsageError(f"account name must be another than {MAIN!r}, which is always there; reset it instead")

    def needs_loading(self, name: str) -> bool:
        """Return whether the account is yet to be read from where it is kept, by `load`."""
        return False

    def load(self, name: str) -> None:
        """Read an account from where it is kept."""

    def close(self) -> None:
        """Close what the accounts are kept in."""

    def listing(self) -> list[dict[str, Any]]:
        """Return all accounts as the control API lists them, `MAIN` first; looking at them is no use."""
        with self.lock:
            self._forget_idle()
            kept = [self._kept[name] for name in sorted(self._kept)]
        now = steady()
        return [account.as_json(now) for account in (self._main, *kept)]

    @contextmanager
    def reached_at(self, url: str) -> Generator[None, None, None]:
        """Make *url*, which ends in ``/v1``, `MAIN`'s address while the context lasts; others have theirs below it."""
        with self.lock:
            self._urls.append(url)
            for account in self._all():
                account.world.urls.append(below_account(url, account.name))
        try:
            yield
        finally:
            with self.lock:
                self._urls.remove(url)
                for account in self._all():
                    account.world.urls.remove(below_account(url, account.name))

    def _all(self) -> Iterable[NamedAccount]:
        return [self._main, *self._kept.values(), *self._candidates.values()]

    def _world_for(self, name: str) -> World:
        return self._reachable(self._new_world(name), name)

    def _reachable(self, world: World, name: str) -> World:
        world.urls.extend(below_account(url, name) for url in self._urls)
        world.is_reachable = world.is_handed_out = True
        return world

    def _require_room(self) -> None:
        claimed = sum(account.is_claimed for account in self._candidates.values())
        if self._accounts_made() + claimed >= self._at_most:
            raise FakeUsageError(
                f"this server keeps at most {self._at_most} accounts besides {MAIN}, and has them; forget one with "
                "DELETE /_fake/accounts/NAME, or start it with a higher --max-accounts, or with --account-ttl"
            )

    def _accounts_made(self) -> int:
        """Return how many accounts are kept besides `MAIN`."""
        return len(self._kept)

    def _forget_idle(self) -> None:
        """Forget what has been idle for too long; those in use, and those used last, stay."""
        if self._idle_at_most_s is None:
            return
        since = steady() - self._idle_at_most_s
        for account in list(self._idle_before(since)):
            del self._kept[account.name]
            self.changes += 1
            account.world.sender.stop()

    def _idle_before(self, since: float) -> Generator[NamedAccount, None, None]:
        for account in self._kept.values():
            if account.used_at is not None and account.used_at >= since:
                return
            if not account.users:
                yield account
