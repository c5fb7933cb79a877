"""The twin of OpenAI's fine-tuning API: a stateful fake on a virtual clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .account.armed_faults import ArmedFault
    from .account.recorded_calls import Call
    from .account.script_queue import Script, ScriptedCall
    from .domain.plan import JobError, Plan, PlanFields
    from .fake.fake_accounts import FakeAccounts
    from .fake.fake_fine_tuning import FakeFineTuning
    from .findings import Finding
    from .settings import Settings, SettingsFields
    from .usage_errors import FakeUsageError
    from .web.script_items import InvalidScriptItem
    from .web.script_player import UnexpectedCallError

__all__ = [
    "ArmedFault",
    "Call",
    "FakeAccounts",
    "FakeFineTuning",
    "FakeUsageError",
    "Finding",
    "InvalidScriptItem",
    "JobError",
    "Plan",
    "PlanFields",
    "Script",
    "ScriptedCall",
    "Settings",
    "SettingsFields",
    "UnexpectedCallError",
]

_HOMES = {
    "Call": "account.recorded_calls",
    "FakeAccounts": "fake.fake_accounts",
    "FakeFineTuning": "fake.fake_fine_tuning",
    "InvalidScriptItem": "web.script_items",
    "FakeUsageError": "usage_errors",
    "ArmedFault": "account.armed_faults",
    "Finding": "findings",
    "JobError": "domain.plan",
    "Plan": "domain.plan",
    "PlanFields": "domain.plan",
    "Script": "account.script_queue",
    "ScriptedCall": "account.script_queue",
    "Settings": "settings",
    "SettingsFields": "settings",
    "UnexpectedCallError": "web.script_player",
}


if not TYPE_CHECKING:  # a type checker knows the names

    def __getattr__(name: str) -> object:
        """Import a public name when it is first asked for: the package itself costs nothing to import."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    """List the public names, imported or not: editors and notebooks complete them."""
    return sorted({*globals(), *__all__})
