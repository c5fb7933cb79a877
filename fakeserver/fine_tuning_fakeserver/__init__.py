"""The twin of OpenAI's fine-tuning API: a stateful fake on a virtual clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .calls import Call
    from .domain.plan import JobError, Plan, PlanFields
    from .domain.usage import FakeUsageError
    from .edge.faults import Fault
    from .edge.scripted.items import FakeResponseMismatch
    from .edge.scripted.queues import ScriptedCall, StrayOperation
    from .fake import FakeFineTuning
    from .findings import Finding
    from .settings import Settings, SettingsFields

__all__ = [
    "Call",
    "FakeFineTuning",
    "FakeResponseMismatch",
    "FakeUsageError",
    "Fault",
    "Finding",
    "JobError",
    "Plan",
    "PlanFields",
    "ScriptedCall",
    "Settings",
    "SettingsFields",
    "StrayOperation",
]

_HOMES = {
    "Call": "calls",
    "FakeFineTuning": "fake",
    "FakeResponseMismatch": "edge.scripted.items",
    "FakeUsageError": "domain.usage",
    "Fault": "edge.faults",
    "Finding": "findings",
    "JobError": "domain.plan",
    "Plan": "domain.plan",
    "PlanFields": "domain.plan",
    "ScriptedCall": "edge.scripted.queues",
    "Settings": "settings",
    "SettingsFields": "settings",
    "StrayOperation": "edge.scripted.queues",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: the package itself costs nothing to import."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
