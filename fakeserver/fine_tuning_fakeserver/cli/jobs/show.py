"""`jobs list`, `jobs show`, `jobs checkpoints`: what there is, looked at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite, nan
from typing import Any

from fine_tuning_client import NOT_GIVEN, FineTuningCheckpointResponse, FineTuningJobResponse

from .arguments import metadata_of
from .chart import chart
from .output import moment, note
from .session import REFUSED, Session

JOBS = ("ID", "STATUS", "CREATED", "MODEL")
TIMES = ("created_at", "finished_at", "estimated_finish")
MEMBERS = (
    *("id", "status", "error", "model", "fine_tuned_model", "method", "hyperparameters", "seed"),
    *("training_file", "validation_file", "trained_tokens", "result_files", "metadata", *TIMES),
)
"""What `show` has of a job, if the service said it, from what matters most down."""


def jobs(session: Session) -> int:
    """Show jobs, newest first."""
    found = _all(session) if session.given.all else _page(session)
    if session.given.json:
        for job in found:
            session.out.json(job.raw)
    elif rows := [_cells(job) for job in found]:
        session.out.table(JOBS, rows)
    else:
        note("no jobs")
    return 0


def _all(session: Session) -> Iterator[FineTuningJobResponse]:
    if session.given.limit or session.given.after:
        raise ValueError("--all goes with neither --limit nor --after")
    return session.client.iter_jobs(metadata=metadata_of(session.given) or NOT_GIVEN)


def _page(session: Session) -> Iterable[FineTuningJobResponse]:
    page = session.client.list_jobs(
        limit=session.given.limit, after=session.given.after, metadata=metadata_of(session.given) or NOT_GIVEN
    )
    if page.has_more and page.last_id:
        note(f"there are more: --after {page.last_id}, or --all")
    return page


def _cells(job: FineTuningJobResponse) -> tuple[object, ...]:
    return job.id, job.status, moment(job.created_at), job.fine_tuned_model or job.model


def show(session: Session) -> int:
    """Show a job as it is now, a member a line."""
    job = session.client.retrieve_job(session.given.job)
    if session.given.json:
        session.out.json(job.raw)
        return 0
    for name in MEMBERS:
        if text := _flat(name, _member(job, name)):
            session.out.row((name, text), (max(map(len, MEMBERS)),))
    return 0


def _member(job: FineTuningJobResponse, name: str) -> Any:
    """A member of *job*; its hyperparameters are also met inside its method, and only there."""
    value = getattr(job, name)
    if value is not None or name != "hyperparameters" or not isinstance(job.method, Mapping):
        return value
    inner = job.method.get(str(job.method.get("type")))
    return inner.get(name) if isinstance(inner, Mapping) else None


def _flat(name: str, value: Any) -> str:
    """A member in one line; nothing where the service said nothing."""
    if value is None:
        return ""
    if name in TIMES:
        return moment(value)
    if name == "method" and isinstance(value, Mapping):
        return str(value.get("type"))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={each}" for key, each in value.items() if each is not None)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def checkpoints(session: Session) -> int:
    """Show a job's checkpoints, newest last as in a log."""
    points = list(session.client.iter_job_checkpoints(session.given.job))[::-1]
    if session.given.json:
        for point in points:
            session.out.json(point.raw)
    elif points:
        names = list(dict.fromkeys(name for point in points for name in _numbers(point)))
        header = ("STEP", *(name.upper() for name in names), "MODEL")
        session.out.table(header, [_measured(point, names) for point in points])
    else:
        note(f"job {session.given.job} has no checkpoints")
    return 0


def _numbers(point: FineTuningCheckpointResponse) -> dict[str, float]:
    """What was measured; the service says the step and the method there, too, and one may say nothing."""
    metrics = point.metrics if isinstance(point.metrics, Mapping) else {}
    return {name: value for name, value in metrics.items() if isinstance(value, int | float) and name != "step"}


def _measured(point: FineTuningCheckpointResponse, names: Iterable[str]) -> tuple[object, ...]:
    numbers = _numbers(point)
    return point.step_number, *(numbers.get(name) for name in names), point.fine_tuned_model_checkpoint


def cancel(session: Session) -> int:
    """Stop a job for good."""
    return _told(session, session.client.cancel_job(session.given.job))


def pause(session: Session) -> int:
    """Stop a running job until it is resumed."""
    return _told(session, session.client.pause_job(session.given.job))


def resume(session: Session) -> int:
    """Let a paused job go on."""
    return _told(session, session.client.resume_job(session.given.job))


def _told(session: Session, job: FineTuningJobResponse) -> int:
    session.out.row((job.id, job.status), (len(job.id),))
    return 0


Row = dict[str, float | None]

WIDTH, HEIGHT = 64, 7
LOSS = "train_loss"


def metrics(session: Session) -> int:
    """Show a job's metrics; 1 while there are none."""
    rows = session.client.result_metrics(session.given.job)
    if not rows:
        status = session.client.retrieve_job(session.given.job).status
        note(f"job {session.given.job} is {status} and has no metrics: they come when it has succeeded")
        return REFUSED
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_spelled(row.get(name)) for name in names] for row in rows]
    if session.given.csv:
        session.out.csv(names, cells)
    elif session.out.is_terminal:
        _draw(session, rows)
    else:
        session.out.table(names, cells)
    return 0


def _spelled(number: float | None) -> str:
    """A number as short as it can be written without loss; steps are whole."""
    if number is None:
        return ""
    return str(int(number)) if isfinite(number) and number == int(number) and abs(number) < 2**53 else repr(number)


def _draw(session: Session, rows: Sequence[Row]) -> None:
    """The last step's numbers, and the loss over all steps where there is one."""
    first, last = (_spelled(rows[each].get("step")) for each in (0, -1))
    for name, number in rows[-1].items():
        session.out.row((name, _spelled(number)), (max(map(len, rows[-1])),))
    losses = [nan if (loss := row.get(LOSS)) is None else loss for row in rows]
    for text in chart(losses, (f"step {first}", last), WIDTH, HEIGHT):
        session.out.line(text, "cyan")
