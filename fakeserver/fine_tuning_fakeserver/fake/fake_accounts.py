"""`FakeAccounts`: many accounts on one server, which is what `fake-fine-tuning serve` runs."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Self, Unpack

from fine_tuning_formats.text import Duration

from ..account import ACCOUNTS_AT_MOST
from ..account.named_accounts import Accounts
from ..account.world import World
from ..clock import steady
from ..domain.checks import boolean, parse_seconds, whole
from ..settings import SettingsFields
from ..usage_errors import wrong_value
from ..web.accounts_app import AccountsApp
from ..web.app import NormalizePath
from .clients import Served, page_router
from .fake_fine_tuning import FakeFineTuning

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ..stores import Store


class AccountMoment(NamedTuple):
    """The time of one account.

    Args:
        now: virtual time in Unix seconds.
        age_s: how many virtual seconds ago it began.
    """

    now: float
    age_s: float


class FakeAccounts(Served):
    """Fakes of the fine-tuning API on one server: each account has its own time, jobs, files, faults and request log.

    The account ``main`` is under ``/v1``, another under ``/accounts/NAME/v1``. That one is made, with the server's
    settings, by the first request for it that is accepted; looking makes none.

    Args:
        account_per_key: whether each API key has an account of its own under ``/v1``; see `name_of_key`.
        account_ttl: after how much real time without a request an account is forgotten; None: never.
        max_accounts: how many accounts are kept besides ``main``; one more is refused.
        faults: what goes wrong in each account from its beginning, as `FakeFineTuning` takes it.
        settings: of each account: any field of `Settings`, by name.

    Attributes:
        main: the handle of the account ``main``.

    Example::

        with FakeAccounts(pace="polls") as accounts:
            mine = openai.OpenAI(base_url=accounts.account("mine").base_url, api_key="any")
    """

    def __init__(
        self,
        *,
        account_per_key: bool = False,
        account_ttl: Duration | None = None,
        max_accounts: int = ACCOUNTS_AT_MOST,
        faults: Iterable[Mapping[str, Any]] = (),
        **settings: Unpack[SettingsFields],
    ) -> None:
        self._begin(FakeFineTuning(faults=faults, **settings), account_per_key, account_ttl, max_accounts)

    @classmethod
    def around(
        cls,
        main: FakeFineTuning,
        *,
        account_per_key: bool = False,
        account_ttl: Duration | None = None,
        max_accounts: int = ACCOUNTS_AT_MOST,
        store: Store | None = None,
        worker: int = 0,
    ) -> Self:
        """Return accounts beside *main*, which begin as that one does after a reset.

        Args:
            main: the account ``main``, of a setup file perhaps, or one that was saved.
            account_per_key: see the class; so are the others.
            account_ttl: after how much real time without a request an account is forgotten.
            max_accounts: how many accounts are kept besides ``main``.
            store: where the accounts are kept, and shared with other servers; None: in memory. If it has an account
                ``main``, that is used instead of *main*.
            worker: the number of this server among those that share the store, from 0.

        Raises:
            FakeUsageError: an argument makes no sense.
        """
        accounts = cls.__new__(cls)
        accounts._begin(main, account_per_key, account_ttl, max_accounts, store, worker)
        return accounts

    def _begin(
        self,
        main: FakeFineTuning,
        account_per_key: bool,
        account_ttl: Duration | None,
        max_accounts: int,
        store: Store | None = None,
        worker: int = 0,
    ) -> None:
        boolean(account_per_key, "account_per_key")
        whole(0)(max_accounts, "max_accounts")
        idle_at_most_s = None if account_ttl is None else parse_seconds(account_ttl, "account_ttl")
        world = main._world
        if store is None:
            self._accounts = Accounts(
                world, lambda name: world.sibling(), at_most=max_accounts, idle_at_most_s=idle_at_most_s
            )
        else:
            from .kept_accounts import accounts_in_store  # imported on demand: most servers keep nothing

            if account_ttl is not None:
                raise wrong_value("account_ttl", "None for accounts in a store", account_ttl)
            self._accounts = accounts_in_store(store, world, max_accounts, worker)
            main = FakeFineTuning.of_world(self._accounts.main)
        self._per_key = account_per_key
        self._servers: list[ExitStack] = []
        self.main = main

    def account(self, name: str) -> FakeFineTuning:
        """Return the handle of an account; make the account if no account has this name.

        Raises:
            FakeUsageError: no account can be called so, or there are too many.
        """
        return FakeFineTuning.of_world(self._accounts.make(name))

    def forget(self, name: str) -> None:
        """Forget an account; the next request for it makes a fresh one.

        Raises:
            FakeUsageError: it is ``main``, or no account has this name.
        """
        self._accounts.forget(name)

    @property
    def names(self) -> list[str]:
        """The names of all accounts, ``main`` first."""
        return self._accounts.names

    @cached_property
    def _app(self) -> AccountsApp:
        return AccountsApp(self._accounts, per_key=self._per_key, page_router=page_router)

    @cached_property
    def asgi_app(self) -> ASGIApp:
        """The ASGI application, for a server of your own."""
        self._accounts.main.is_reachable = self._accounts.main.is_handed_out = True
        return NormalizePath(self._app)

    @property
    def _served_app(self) -> ASGIApp:
        return self.asgi_app

    @property
    def base_url(self) -> str:
        """The API's base URL of ``main`` while it is served."""
        return self.main.base_url

    def moment_of(self, name: str | None) -> AccountMoment:
        """Return the time of an account; of ``main`` if no account has this name."""
        world = (name and self._accounts.peek(name)) or self._accounts.main
        now = world.now
        return AccountMoment(now, now - world.service.created_at)

    @property
    def worlds(self) -> Mapping[str, World]:
        """The worlds of all accounts by name, ``main`` first; of those in a store, the ones that were used here."""
        return self._accounts.loaded

    def deliver_webhooks(self, timeout_s: float) -> None:
        """Wait until every webhook that is due has been tried, in all accounts, or for *timeout_s* in all."""
        until = steady() + timeout_s
        for world in self.worlds.values():
            world.sender.flush(max(until - steady(), 0.0))

    @property
    def is_resumed(self) -> bool:
        """Whether ``main`` goes on with what a store has of it, instead of beginning."""
        return self._accounts.is_resumed

    def close(self) -> None:
        """Close the store that the accounts are in, if they are in one."""
        self._accounts.close()

    @contextmanager
    def reached_at(self, url: str) -> Generator[None, None, None]:
        """Make *url*, which ends in ``/v1``, the server's while the context lasts; see `FakeFineTuning.reached_at`."""
        with self._accounts.reached_at(url):
            yield
