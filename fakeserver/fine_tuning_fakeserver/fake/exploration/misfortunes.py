"""What can go wrong: at a request, or between two."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from fine_tuning_formats.lazy_dataclass import dataclass

from ...account.world import World
from ...api import files, jobs, models
from ...api_errors import ApiError, fine_tuning_closed, no_quota, wrong_key
from ...control import seeding, steering
from ...domain.timeline import TERMINAL
from ..clients import API_KEY

HOUR, DAY = 3600.0, 86_400.0
OUTAGE_S, SLOW_S = 300.0, 20.0
SLOW_JOB_S = 3 * HOUR
NO_JSON = "upstream connect error"
BILLED = frozenset({"create_job", "create_chat_completion", "create_completion", "run_grader"})
"""Operations that an organization without quota is refused (inferred)."""
FOREIGN_ROWS = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 10
"""What another client of the account trains with."""


@dataclass(frozen=True, slots=True)
class Situation:
    """The account when a request comes in, or after it was answered.

    Args:
        operation: the operation that is requested.
        status: the status of the newest unfinished job, or of the newest of all; None where there is no job.
        can_fail: whether its training is still ahead or under way.
        has_file: whether a file can be deleted.
        has_model: whether a fine-tuned model can.
    """

    operation: str
    status: str | None = None
    can_fail: bool = False
    has_file: bool = False
    has_model: bool = False

    @property
    def is_under_way(self) -> bool:
        """Whether a job is unfinished."""
        return self.status is not None and self.status not in TERMINAL


def situation_of(world: World, operation: str) -> Situation:
    """Return the situation in which *operation* is requested, or was answered."""
    with world.service.lock:
        account, now = world.account, world.now
        timeline = steering.target_job(account, None).timeline() if account.jobs else None
        status = timeline.status(now) if timeline else None
        can_fail = timeline is not None and status not in TERMINAL and not timeline.has_happened("trained", now)
        return Situation(operation, status, can_fail, len(account.file_shelf) > 0, account.model_count > 0)


Fault: TypeAlias = Mapping[str, Any]
Event: TypeAlias = Callable[[World], object]
"""Changes an account, as somebody else does."""


@dataclass(frozen=True, slots=True, eq=False)
class Misfortune:
    """One thing that can go wrong.

    Args:
        name: as in ``cancelled@7``.
        text: what happens, in words that follow a colon.
        weight: how telling it is; the higher, the earlier it is tried.
        fault: of a misfortune at a request: the fault that hits it.
        event: of a misfortune between two requests: what happens to the account after the first one.
        after: what happens after the second one, as the end of a pause.
        later: the fault that hits all requests from the second one on, where there is one.
        hits: the operations that `later` hits; None for all.
        lasts_s: how many virtual seconds `later` lasts.
        applies: whether it can happen in the situation after the first request.
        needs_restart: whether it needs a callable that starts the program again.
        loses_answer: whether the process ends before it learns the first answer, and not before the second request.
        breaks_body: whether the answer has a body that cannot be read.
        longer_s: by how many virtual seconds the run becomes longer; it is then tried once for each status.
    """

    name: str
    text: str
    weight: int
    fault: Fault | None = None
    event: Event | None = None
    after: Event | None = None
    later: Fault | None = None
    hits: frozenset[str] | None = None
    lasts_s: float = math.inf
    applies: Callable[[Situation], bool] = lambda situation: True
    needs_restart: bool = False
    loses_answer: bool = False
    breaks_body: bool = False
    longer_s: float = 0.0

    @property
    def is_at_request(self) -> bool:
        """Whether it happens to a request, not between two."""
        return self.fault is not None


def _newest_unfinished(world: World) -> str:
    return steering.target_job(world.account, None).id


def _fail(**plan: Any) -> Event:
    return lambda world: steering.set_job_plan(world.service, _newest_unfinished(world), plan)


def _slow_down(world: World) -> None:
    """Let the phase that the newest unfinished job is in, or the next one, take longer."""
    job = steering.target_job(world.account, None)
    timeline, now, durations = job.timeline(), world.now, job.current_spec.durations
    steps_left = (job.current_spec.fail_step or job.current_spec.steps) - timeline.steps_done(now)
    changes = {"finishing": durations.finishing + SLOW_JOB_S}
    if not timeline.has_happened("started", now):
        changes = {"queued": durations.queued + SLOW_JOB_S}
    elif steps_left:
        changes = {"seconds_per_step": durations.seconds_per_step + SLOW_JOB_S / steps_left}
    steering.set_job_plan(world.service, job.id, changes)


def _cancel(world: World) -> None:
    jobs.cancel(world.service, _newest_unfinished(world))


def _pause(world: World) -> None:
    jobs.pause(world.service, _newest_unfinished(world))


def _resume(world: World) -> None:
    for identifier in list(world.account.active):
        if world.account.jobs[identifier].timeline().status(world.now) == "paused":
            jobs.resume(world.service, identifier)


def _delete_file(world: World) -> None:
    """Delete the training file of the newest unfinished job, or the newest file."""
    account = world.account
    job = steering.target_job(account, None) if account.active else None
    newest, _ = account.file_shelf.page(None, 1)
    training_file = job.training_file if job else None
    files.delete(world.service, training_file if training_file in account.files else next(iter(newest)))


def _delete_model(world: World) -> None:
    models.delete(world.service, next(reversed(world.account.models)))


def _pass_time(seconds: float) -> Event:
    return lambda world: steering.advance(world.service, seconds)


def _train_another(world: World) -> None:
    """Let another client of the account start a job of its own."""
    file = seeding.seed_file(
        world.service, seeding.FileSeed.parse({"content": FOREIGN_ROWS, "filename": "other.jsonl"})
    )
    seed = {"training_file": file["id"], "status": "running", "suffix": "other"}
    seeding.seed_job(world.service, seeding.JobSeed.parse(seed))


def _refusal(error: ApiError) -> Fault:
    return {"kind": "fail", "status": error.status, "code": error.code, "message": error.message}


AT_REQUEST = (
    Misfortune(
        "reset-after", "it takes effect, and the connection is reset", 10, {"kind": "disconnect", "applied": True}
    ),
    Misfortune(
        "timeout",
        "it takes effect, and no answer comes in time",
        9,
        {"kind": "delay", "seconds": HOUR, "applied": True},
    ),
    Misfortune("500", "it is answered 500", 7, {"kind": "fail", "status": 500}),
    Misfortune("429", "it is answered 429 without Retry-After", 6, {"kind": "rate_limit", "retry_after": None}),
    Misfortune(
        "malformed",
        "it takes effect, and its answer is not JSON",
        6,
        {"kind": "malformed", "body": NO_JSON, "applied": True},
        breaks_body=True,
    ),
    Misfortune(
        "truncated",
        "it takes effect, and its answer ends in the middle",
        6,
        {"kind": "truncate", "applied": True},
        breaks_body=True,
    ),
    Misfortune("refused", "the connection is refused", 5, {"kind": "refuse"}),
    Misfortune("reset", "the connection is reset before it takes effect", 5, {"kind": "disconnect"}),
    Misfortune("503", "it is answered 503", 4, {"kind": "fail", "status": 503}),
    Misfortune(
        "429-retry-after", "it is answered 429 with Retry-After", 4, {"kind": "rate_limit", "retry_after": 30.0}
    ),
    Misfortune("slow", f"its answer comes {SLOW_S:g} s late", 3, {"kind": "delay", "seconds": SLOW_S}),
)

BETWEEN = (
    Misfortune(
        "failed",
        "the job fails at its next training step",
        9,
        event=_fail(outcome="failed", fail_at=1, error="server_error"),
        applies=lambda situation: situation.can_fail,
    ),
    Misfortune(
        "cancelled",
        "the job is cancelled by somebody else",
        9,
        event=_cancel,
        applies=lambda situation: situation.is_under_way,
    ),
    Misfortune(
        "paused",
        "the job is paused and resumed by somebody else",
        8,
        event=_pause,
        after=_resume,
        applies=lambda situation: situation.status == "running",
    ),
    Misfortune(
        "restart",
        "the process ends before it learns the answer, and starts again",
        8,
        needs_restart=True,
        loses_answer=True,
    ),
    Misfortune("restart-later", "the process ends before its next request, and starts again", 6, needs_restart=True),
    Misfortune(
        "invalid-file",
        "the job fails in validation",
        7,
        event=_fail(outcome="failed", fail_at="validation", error="invalid_training_file"),
        applies=lambda situation: situation.status == "validating_files",
    ),
    Misfortune("key-revoked", "the API key is revoked", 7, later=_refusal(wrong_key(API_KEY))),
    Misfortune(
        "outage", "all is answered 503 for 5 minutes", 7, later={"kind": "fail", "status": 503}, lasts_s=OUTAGE_S
    ),
    Misfortune(
        "slow-job",
        "the job takes 3 hours longer",
        6,
        event=_slow_down,
        applies=lambda situation: situation.can_fail,
        longer_s=SLOW_JOB_S,
    ),
    Misfortune("quota", "the quota is used up", 5, later=_refusal(no_quota()), hits=BILLED),
    Misfortune(
        "file-deleted",
        "the training file is deleted",
        5,
        event=_delete_file,
        applies=lambda situation: situation.has_file,
    ),
    Misfortune("other-client", "another client of the account starts a job", 5, event=_train_another),
    Misfortune(
        "model-deleted", "the model is deleted", 4, event=_delete_model, applies=lambda situation: situation.has_model
    ),
    Misfortune(
        "closed",
        "the service takes no new jobs any more",
        4,
        later=_refusal(fine_tuning_closed()),
        hits=frozenset({"create_job"}),
    ),
    Misfortune("day-later", "a day passes, as on a laptop that sleeps", 4, event=_pass_time(DAY)),
)

MISFORTUNES: Mapping[str, Misfortune] = {each.name: each for each in (*AT_REQUEST, *BETWEEN)}
"""All of them by name, those at a request first."""
