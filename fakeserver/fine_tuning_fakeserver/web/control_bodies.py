"""The bodies of control requests: their models."""

from __future__ import annotations

from typing import Any

from ..account.world import FLUSH_WITHIN_S
from ..grading.body_types import Body, ShortCircuitList


class PaceBody(Body):
    """``PATCH /_fake/clock``."""

    pace: str | float


class DialectBody(Body):
    """``PUT /_fake/dialect``."""

    dialect: str


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


class ForkBody(Body):
    """``POST /_fake/fork``: the name of the account that the copy becomes."""

    name: str


class RewindBody(Body):
    """``POST /_fake/rewind``: either of them."""

    request: int | None = None
    time: float | None = None


class SleepBody(Body):
    """``POST /_fake/clock/sleep``: how many virtual seconds a client waits."""

    seconds: float


class ScriptBody(Body):
    """``POST /_fake/scripts``: items in one queue, or by operation, as the handle takes them; JSON only."""

    responses: ShortCircuitList[Any] | dict[str, Any] | None = None
    strict: bool = False


class FailedAssertionBody(Body):
    """``POST /_fake/requests/failed_assertions``: see `FailedAssertion`."""

    text: str
    request: int | None = None
    problems: ShortCircuitList[str]


class DeliverBody(Body):
    """``POST /_fake/webhooks/deliver``: how long to wait at most, in real seconds."""

    timeout: float | str = FLUSH_WITHIN_S
