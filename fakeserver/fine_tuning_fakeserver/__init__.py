"""The twin of OpenAI's fine-tuning API: a stateful fake on a virtual clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .domain.plan import JobError, Plan, PlanFields
    from .fake.fake_fine_tuning import FakeFineTuning
    from .findings import Finding
    from .settings import Settings, SettingsFields
    from .usage_errors import FakeUsageError
    from .web.fault_injector import ArmedFault
    from .web.recorded_calls import Call
    from .web.scripting.items import InvalidScriptItem
    from .web.scripting.script import ScriptedCall, UnexpectedCallError

__all__ = [
    "ArmedFault",
    "Call",
    "FakeFineTuning",
    "FakeUsageError",
    "Finding",
    "InvalidScriptItem",
    "JobError",
    "Plan",
    "PlanFields",
    "ScriptedCall",
    "Settings",
    "SettingsFields",
    "UnexpectedCallError",
]

_HOMES = {
    "Call": "web.recorded_calls",
    "FakeFineTuning": "fake.fake_fine_tuning",
    "InvalidScriptItem": "web.scripting.items",
    "FakeUsageError": "usage_errors",
    "ArmedFault": "web.fault_injector",
    "Finding": "findings",
    "JobError": "domain.plan",
    "Plan": "domain.plan",
    "PlanFields": "domain.plan",
    "ScriptedCall": "web.scripting.script",
    "Settings": "settings",
    "SettingsFields": "settings",
    "UnexpectedCallError": "web.scripting.script",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: the package itself costs nothing to import."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
