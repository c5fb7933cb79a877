"""The accounts of a server that are in a store: as many as the store has, each loaded when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from fine_tuning_formats.text import show_value

from ..clock import steady
from ..stores import Store, StoreError
from ..usage_errors import FakeUsageError
from . import ACCOUNTS_AT_MOST
from .named_accounts import MAIN, Accounts, NamedAccount, check_account_name
from .stored_world import StoredWorld
from .world import World


class StoredAccounts(Accounts):
    """The accounts of one server among those that share a store.

    Args:
        main: the world of `MAIN`.
        new_world: returns the world of an account of the store, or of one that it may get.
        store: the store.
        at_most: how many accounts the store has at most besides `MAIN`.
        is_resumed: whether the store had `MAIN` before this server.
    """

    def __init__(
        self,
        main: StoredWorld,
        new_world: Callable[[str], StoredWorld],
        store: Store,
        *,
        at_most: int = ACCOUNTS_AT_MOST,
        is_resumed: bool = False,
    ) -> None:
        super().__init__(main, new_world, at_most=at_most)
        self._store = store
        self.is_resumed = is_resumed
        self._loaded: dict[str, World] = {}
        """Worlds that a request is about to use, and that the store does not have."""

    @property
    def names(self) -> list[str]:
        """The names of all accounts, `MAIN` first."""
        return [MAIN, *(name for name in self._store.accounts() if name != MAIN)]

    def needs_loading(self, name: str) -> bool:
        """Return whether the account is yet to be read from the store."""
        return name not in self._kept and name not in self._candidates

    def load(self, name: str) -> None:
        """Read an account from the store, which takes as long as it has records.

        Raises:
            FakeUsageError: no account can be called so, or the store does not answer.
        """
        world = self._new_world(check_account_name(name))
        with self.lock:
            if not self.needs_loading(name):
                world.sender.stop()
            elif isinstance(world, StoredWorld) and world.is_kept:
                self._kept[name] = NamedAccount(name, self._reachable(world, name), steady())
                self.changes += 1
            else:
                self._loaded[name] = world

    @contextmanager
    def use(self, name: str, *, may_make: bool) -> Generator[NamedAccount, None, None]:
        """Use an account other than `MAIN` for one request."""
        try:
            with super().use(name, may_make=may_make) as account:
                yield account
        finally:
            self._loaded.pop(name, None)  # of one that was refused

    def _world_for(self, name: str) -> World:
        world = self._loaded.pop(name) if name in self._loaded else self._new_world(name)
        return self._reachable(world, name)

    def find(self, name: str) -> World | None:
        """Return the world of an account, if there is one; this does not count as use."""
        if name != MAIN and self.needs_loading(name) and name in self._store.accounts():
            self.load(name)
        return super().find(name)

    def keep(self, account: NamedAccount) -> None:
        """Keep an account in use, since a request for it was accepted."""
        if isinstance(account.world, StoredWorld) and not account.world.is_kept:
            account.world.keep()
        super().keep(account)

    def forget(self, name: str) -> None:
        """Forget an account, in the store; on other servers, too, the next request for it makes a fresh one.

        Raises:
            FakeUsageError: it is `MAIN`, or no account has this name.
        """
        self._require_not_main(name)
        if name not in self._store.accounts():
            raise FakeUsageError(f"there is no account {show_value(name)}")
        self._store.delete(name)
        with self.lock:
            account = self._kept.pop(name, None)
            self.changes += 1
        if account:
            account.world.sender.stop()

    def listing(self) -> list[dict[str, Any]]:
        """Return all accounts as the control API lists them, `MAIN` first; each is read for that."""
        names = self.names
        return [self._as_json(name) for name in names]

    def _as_json(self, name: str) -> dict[str, Any]:
        try:
            world = self.find(name)
            if isinstance(world, StoredWorld):
                world.catch_up()
        except StoreError as error:  # the others can be used all the same
            return {"name": name, "error": str(error)}
        with self.lock:
            account = self._main if name == MAIN else self._kept[name]
        return account.as_json(steady())

    def _accounts_made(self) -> int:
        return len(self._store.accounts()) - 1

    def close(self) -> None:
        """Send nothing more, and close the store."""
        with self.lock:
            for account in self._all():
                account.world.sender.stop()
        self._store.close()
