"""What backs the texts of events, by the kind of moment that shows them."""

from __future__ import annotations

from ..evidence import Evidence, inferred, printed, vendor

_SESSIONS = printed("events of supervised jobs", "2024-02 to 2025-04")
_HELD = inferred("nothing about a held job's events was found")

EVENTS: dict[str, Evidence] = {
    "created": _SESSIONS,
    "validating": _SESSIONS,
    "validated": _SESSIONS,
    "started": _SESSIONS,
    "checkpoint": _SESSIONS,
    "model": _SESSIONS,
    "completed": _SESSIONS,
    "failed": inferred("the job's own error, as the event's text"),
    "stopping": vendor("a third party's reference"),
    "paused": _HELD,
    "resumed": _HELD,
    "restarted": _HELD,
}
STEPS: dict[str, Evidence] = {
    "supervised": _SESSIONS,
    "dpo": inferred("supervised jobs"),
    "reinforcement": vendor("the guide to reinforcement", "2025-05"),
}
"""The text of a step's event, by method."""
