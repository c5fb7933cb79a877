"""Accounts in a store, as a server has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..account.named_accounts import MAIN
from ..account.script_queue import StoredScripts
from ..account.stored_accounts import StoredAccounts
from ..account.stored_world import StoredWorld
from ..account.world import World
from ..stores import Store
from ..web.script_format import read_scripts, write_scripts
from ..web.webhook_sender import WebhookSender


class JsonScripts:
    """Writes scripts as JSON, and reads them, for `StoredWorld`."""

    def write(self, stored: StoredScripts) -> Mapping[str, Any]:
        """Return the scripts as JSON."""
        return write_scripts(stored)

    def read(self, members: Mapping[str, Any]) -> StoredScripts:
        """Return the scripts of what `write` has returned."""
        return read_scripts(members)


def accounts_in_store(store: Store, main: World, at_most: int, worker: int) -> StoredAccounts:
    """Return the accounts of a store; the account *main* begins as the world *main* is, others as it begins.

    Args:
        store: the store.
        main: a world in memory.
        at_most: how many accounts the store has at most besides ``main``.
        worker: the number of this server among those that share the store, from 0.
    """

    def new_world(name: str) -> StoredWorld:
        return StoredWorld(store, name, main, JsonScripts(), worker, WebhookSender)

    is_resumed = store.head(MAIN).generation > 0
    stored = new_world(MAIN)
    stored.adopt(main.store())
    return StoredAccounts(stored, new_world, store, at_most=at_most, is_resumed=is_resumed)
