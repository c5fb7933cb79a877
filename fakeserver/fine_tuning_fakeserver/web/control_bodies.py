"""The bodies of control requests: their models."""

from __future__ import annotations

from ..grading.body_types import Body, ShortCircuitList


class PaceBody(Body):
    """``PATCH /_fake/clock``."""

    pace: str | float


class AdvanceBody(Body):
    """``POST /_fake/clock/advance``: one of `seconds`, `to` and `step`."""

    seconds: float | str | None = None
    to: str | None = None
    step: int | None = None
    job: str | None = None


class NextBody(Body):
    """``POST /_fake/next``: the id of the next file or job, and the job's seed."""

    kind: str
    id: str
    seed: int | None = None


class RepliesBody(Body):
    """``PUT /_fake/replies``."""

    replies: ShortCircuitList[str]


class GraderScoresBody(Body):
    """``PUT /_fake/graders``."""

    scores: ShortCircuitList[float | None]


class RewindBody(Body):
    """``POST /_fake/rewind``: either of them."""

    request: int | None = None
    time: float | None = None
