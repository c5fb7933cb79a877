"""The revision of what the page shows of an account: while it stays the same, nothing that is shown has changed."""

from __future__ import annotations

import os

from ..account.named_accounts import Accounts
from ..account.world import World

_PROCESS = os.urandom(4).hex()
"""Tells this process from the one before it on the same port."""


def revision(world: World, accounts: Accounts | None = None) -> bytes:
    """Return the revision as an entity tag; the account's lock is held.

    Time counts to the second, and only while something is ahead: the page itself lets the clock tick on.

    Args:
        world: the account.
        accounts: those of its server, whose names are shown as well.
    """
    service, log, scripts = world.service, world.requests, world.scripts
    account, now = service.account, service.clock.now()
    account.materialize(now)
    is_ahead = now < max(account.nothing_ahead_from(), service.awaited_until)
    parts = (
        _PROCESS,
        service.generation,
        len(service.journal),
        len(account.file_shelf),
        log.count,
        log.completed,
        hash(tuple(log.failed_assertions)),
        len(scripts.scripts),
        len(scripts.ended),
        int(now) if is_ahead else "",
        len(account.active),
        accounts.changes if accounts else "",
    )
    return b'"%s"' % "-".join(map(str, parts)).encode()
