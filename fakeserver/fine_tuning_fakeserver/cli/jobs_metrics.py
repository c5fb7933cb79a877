"""`jobs metrics`: the numbers of a job's result file, as a chart, a table or CSV."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan

from .jobs_output import note
from .jobs_session import REFUSED, Session
from .plot import chart

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
