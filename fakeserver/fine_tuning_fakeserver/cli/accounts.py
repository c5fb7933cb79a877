"""`fake-fine-tuning accounts`: the accounts of a running server or of a store, one file each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from fine_tuning_formats.text import show_value

from ..usage_errors import FakeUsageError
from .commands import Command, CommandGroup, local_url, option, sqlite_url
from .output import print_error

if TYPE_CHECKING:
    from ..account.stored_world import StoredWorld
    from ..fake.control_client import ControlClient

EPILOG = """\
With --data or --store the accounts of that store, whether a server runs on it or not; otherwise those of a running
server. A file has the account without API keys and without secrets of webhooks.
"""
OPTIONS = (
    click.Option(["--url"], metavar="URL", help="The server's URL; otherwise this machine's."),
    option("--control-token", metavar="TOKEN", help="The server's control token, if it has one."),
    option("--data", metavar="DIR", help="The folder of `serve --data`."),
    option("--store", metavar="URL", help="The store of `serve --store`."),
)


class AccountKeeper(Protocol):
    """A place that has accounts."""

    def listing(self) -> Iterable[Mapping[str, Any]]:
        """Return the accounts: name, files, jobs, requests."""
        ...

    def export_account(self, name: str) -> bytes:
        """Return an account as a file."""
        ...

    def import_account(self, name: str, raw: bytes) -> None:
        """Make an account of a file."""
        ...

    def delete(self, name: str) -> None:
        """Forget an account."""
        ...

    def close(self) -> None:
        """Close what the accounts were reached by."""
        ...


class ServerKeeper:
    """The accounts of a running server."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url, self._token = url, token

    def _client(self, name: str | None = None) -> ControlClient:
        from ..fake.control_client import ControlClient

        return ControlClient(self._url, self._token, name)

    def listing(self) -> Iterable[Mapping[str, Any]]:
        """Return the accounts: name, files, jobs, requests."""
        with closing(self._client()) as client:
            accounts: list[dict[str, Any]] = client.send("GET", "/accounts", of_server=True)["accounts"]
            return accounts

    def export_account(self, name: str) -> bytes:
        """Return an account as a file."""
        if name not in {account["name"] for account in self.listing()}:
            raise FakeUsageError(f"there is no account {show_value(name)}")
        with closing(self._client(name)) as client:
            return client.download("/export")

    def import_account(self, name: str, raw: bytes) -> None:
        """Make an account of a file."""
        with closing(self._client(name)) as client:
            client.upload("/import", raw)

    def delete(self, name: str) -> None:
        """Forget an account."""
        with closing(self._client()) as client:
            client.send("DELETE", f"/accounts/{name}", of_server=True)

    def close(self) -> None:
        """Do nothing: each request had a connection of its own."""


class StoreKeeper:
    """The accounts of a store, whether a server runs on it or not."""

    def __init__(self, url: str) -> None:
        from ..stores import open_store

        self._store = open_store(url)

    def _world(self, name: str) -> StoredWorld:
        from ..account.named_accounts import check_account_name
        from ..account.stored_world import StoredWorld
        from ..fake.fake_fine_tuning import FakeFineTuning
        from ..fake.kept_accounts import JsonScripts

        return StoredWorld(self._store, check_account_name(name), FakeFineTuning()._world, JsonScripts())

    def listing(self) -> Iterable[Mapping[str, Any]]:
        """Return the accounts: name, files, jobs, requests."""
        from ..account.named_accounts import NamedAccount

        return [NamedAccount(name, self._world(name)).as_json(0.0) for name in self._store.accounts()]

    def export_account(self, name: str) -> bytes:
        """Return an account as a file."""
        from ..web.account_file import account_file

        world = self._world(name)
        if not world.is_kept:
            raise FakeUsageError(f"there is no account {show_value(name)}")
        return account_file(world.store())

    def import_account(self, name: str, raw: bytes) -> None:
        """Make an account of a file."""
        from ..web.account_file import read_account

        world = self._world(name)
        if world.is_kept:
            raise FakeUsageError(f"there is an account {show_value(name)} already; delete it, or take another name")
        world.adopt(read_account(BytesIO(raw)))

    def delete(self, name: str) -> None:
        """Forget an account."""
        if name not in self._store.accounts():
            raise FakeUsageError(f"there is no account {show_value(name)}")
        self._store.delete(name)

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def _opened(url: str | None, control_token: str | None, data: str | None, store: str | None) -> AccountKeeper:
    if sum(map(bool, (url, data, store))) > 1:
        raise click.UsageError("give one of --url, --data and --store", click.get_current_context())
    if data or store:
        return StoreKeeper(store or sqlite_url(str(data)))
    return ServerKeeper(url or local_url(), control_token)


def _with_accounts(work: Callable[..., None]) -> Callable[..., int]:
    """Return what runs *work* on the accounts that the group's options name, and prints what is wrong."""

    def run(**arguments: Any) -> int:
        context = click.get_current_context()
        try:
            with closing(_opened(**context.find_root().meta[OPTIONS_KEY])) as accounts:
                work(accounts, **arguments)
        except (FakeUsageError, OSError) as error:
            return print_error(str(error), 1)
        return 0

    return run


def _list(accounts: AccountKeeper) -> None:
    rows = [[each["name"], *(str(each[column]) for column in COUNTS)] for each in accounts.listing()]
    for row in [["name", *COUNTS], *rows]:
        print("\t".join(row))


def _export(accounts: AccountKeeper, name: str, file: str) -> None:
    from ..fake.saving import write_file

    write_file(file, accounts.export_account(name))


def _import(accounts: AccountKeeper, name: str, file: str) -> None:
    accounts.import_account(name, Path(file).read_bytes())


def _delete(accounts: AccountKeeper, name: str) -> None:
    accounts.delete(name)


OPTIONS_KEY = "fine_tuning_fakeserver.accounts"
COUNTS = ("files", "jobs", "requests")
NAME, FILE = click.Argument(["name"]), click.Argument(["file"])
_COMMANDS = [
    Command("list", callback=_with_accounts(_list), help="List the accounts."),
    Command("export", params=[NAME, FILE], callback=_with_accounts(_export), help="Write an account to a file."),
    Command("import", params=[NAME, FILE], callback=_with_accounts(_import), help="Make an account of a file."),
    Command("delete", params=[NAME], callback=_with_accounts(_delete), help="Forget an account."),
]


def _note_options(**options: Any) -> None:
    click.get_current_context().find_root().meta[OPTIONS_KEY] = options


command = CommandGroup(
    "accounts",
    _COMMANDS,
    params=[*OPTIONS],
    callback=_note_options,
    help="List, export, import and delete the accounts of a server or a store.",
    epilog=EPILOG,
)
