"""The view of the account as a whole: time, counts, and what steers it."""

from __future__ import annotations

from math import inf
from typing import Any

from ..account.account import Account
from ..account.service import Service
from ..domain.loss_curves import CURVES
from ..domain.plan import FAILURES
from ..version import VERSION
from ..web.accounts_app import ACCOUNTS_KEY
from ..web.operations import BY_NAME
from ..web.request import ApiRequest

SHOWN_AT_MOST = 50
"""Of faults, scripts and plans the newest so many are shown."""
ACCOUNTS_SHOWN_AT_MOST = 500


def get_overview(request: ApiRequest) -> Any:
    """Return the account: its clock, its counts, and plans, faults and scripts in force."""
    service, world = request.service, request.world
    account, now = service.account, service.clock.now()
    faults = request.faults.all(now)
    scripts = [*world.scripts.scripts, *reversed(world.scripts.ended)]
    accounts = request.scope.get(ACCOUNTS_KEY)
    return {
        "version": VERSION,
        "account": {
            "seed": account.settings.seed,
            "dialect": account.dialect.name,
            "organization": account.settings.organization,
            "project": account.project,
            "born": service.created_at,
            "base_url": world.urls[-1] if world.urls else None,
        },
        "accounts": accounts.names[:ACCOUNTS_SHOWN_AT_MOST] if accounts else None,
        "clock": _clock(service, now),
        "counts": {
            "by_status": account.status_counts.by_status(now),
            "jobs": len(account.jobs),
            "files": len(account.file_shelf),
            "requests": request.requests.count,
            "forgotten_requests": request.requests.forgotten,
            "armed_faults": len(request.faults.active),
        },
        "plan": _plan(account),
        "faults": [fault.as_json() for fault in faults[-SHOWN_AT_MOST:]],
        "scripts": [script.as_json() for script in scripts[:SHOWN_AT_MOST]],
        "choices": {"errors": list(FAILURES), "curves": list(CURVES), "operations": list(BY_NAME)},
    }


def _clock(service: Service, now: float) -> dict[str, Any]:
    """Return the time, how it passes, and what comes next; *rate* is in virtual seconds a real second."""
    account = service.account
    change = account.next_change(now)
    end = account.nothing_ahead_from()
    rate: float = 0.0
    if not isinstance(account.pace, str):
        rate = account.pace if now < max(end, service.awaited_until) else min(account.pace, 1.0)
    return {
        "now": now,
        "pace": account.pace,
        "rate": rate,
        "next": change and dict(zip(("at", "job", "status"), change, strict=True)),
        "end": end if now < end < inf else None,
    }


def _plan(account: Account) -> dict[str, Any]:
    rules = list(account.plan_rules)
    return {
        "all": account.plan.as_json(),
        "next": [plan.as_json() for plan in list(account.next_plans)[:SHOWN_AT_MOST]],
        "rules": [rule.as_json() for rule in rules[:SHOWN_AT_MOST]],
    }
