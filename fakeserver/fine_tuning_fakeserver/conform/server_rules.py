"""Rules between the answers of one server: lifecycle, pages, coherence, idempotence, headers.

A rule that the fake of the dialect itself does not keep is no rule of that dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fine_tuning_formats.lazy_dataclass import dataclass

from ..evidence import Evidence, recorded, sdk, spec

if TYPE_CHECKING:
    from .answers import SeenAnswer
    from .session import Session

TERMINAL = ("succeeded", "failed", "cancelled")
Found = Iterator[str]


@dataclass(frozen=True)
class Rule:
    """A rule.

    Args:
        id: names its check.
        area: what it is about.
        evidence: where it is known from.
        steps: the answers that it looks at.
        broken: yields how they break it.
    """

    id: str
    area: str
    evidence: Evidence
    steps: tuple[str, ...]
    broken: Callable[..., Found]


RULES: list[Rule] = []
LIFECYCLE = spec("the description of the job's status and times")
PAGES = spec("ListPaginatedFineTuningJobsResponse; the parameters limit and after")


def rule(id: str, area: str, evidence: Evidence, *steps: str) -> Callable[[Callable[..., Found]], Callable[..., Found]]:
    """Declare a rule about the answers to *steps*."""

    def declare(broken: Callable[..., Found]) -> Callable[..., Found]:
        RULES.append(Rule(id, area, evidence, steps, broken))
        return broken

    return declare


def broken_rules(rule: Rule, session: Session) -> list[str] | None:
    """Return how the session breaks the rule; None where it has not all the answers."""
    answers = [session.answers.get(step) for step in rule.steps]
    if not all(answer is not None and 200 <= answer.status < 300 for answer in answers):
        return None
    try:
        return list(rule.broken(*answers))
    except (TypeError, ValueError, LookupError, AttributeError):  # such as a time that is text
        return ["members must be of the contract's kinds, got others"]


def _ids(items: list[dict[str, Any]]) -> list[Any]:
    return [item.get("id") for item in items]


@rule("new-job-unfinished", "lifecycle", LIFECYCLE, "create-job")
def new_job_unfinished(new: SeenAnswer) -> Found:
    """Find a new job that has a final status."""
    if new.members.get("status") in TERMINAL:
        yield f"status of a new job must not be final, got {new.members.get('status')!r}"
    for name in ("finished_at", "fine_tuned_model"):
        if new.members.get(name) not in (None, "", 0):
            yield f"{name} of a new job must be null, got {new.members[name]!r}"


@rule("job-keeps-what-was-asked", "lifecycle", LIFECYCLE, "create-job", "retrieve-new-job", "upload-file")
def job_keeps_what_was_asked(new: SeenAnswer, seen: SeenAnswer, file: SeenAnswer) -> Found:
    """Find a job that shows other members than it was created with."""
    for name in ("id", "created_at", "model", "training_file", "seed"):
        if new.members.get(name) != seen.members.get(name):
            yield f"{name} must stay {new.members.get(name)!r}, got {seen.members.get(name)!r}"
    if new.members.get("training_file") != file.members.get("id"):
        yield f"training_file must be {file.members.get('id')!r}, got {new.members.get('training_file')!r}"


@rule("ended-job-is-whole", "lifecycle", LIFECYCLE, "retrieve-ended-job")
def ended_job_is_whole(job: SeenAnswer) -> Found:
    """Find a job that has not succeeded, or lacks its model, result file or end."""
    members = job.members
    if members.get("status") != "succeeded":
        yield f"status must be 'succeeded' for ten valid rows, got {members.get('status')!r}"
        return
    if not isinstance(members.get("fine_tuned_model"), str):
        yield f"fine_tuned_model must be a name, got {members.get('fine_tuned_model')!r}"
    if not members.get("result_files"):
        yield f"result_files must have a file, got {members.get('result_files')!r}"
    begin, end = members.get("created_at"), members.get("finished_at")
    if not (isinstance(begin, int) and isinstance(end, int) and begin <= end):
        yield f"finished_at must be a time from created_at on, got {end!r}"
    if not isinstance(members.get("trained_tokens"), int) or members["trained_tokens"] <= 0:
        yield f"trained_tokens must be a number above 0, got {members.get('trained_tokens')!r}"


@rule("refused-cancel-changes-nothing", "lifecycle", LIFECYCLE, "retrieve-ended-job", "retrieve-after-refusal")
def refused_cancel_changes_nothing(before: SeenAnswer, after: SeenAnswer) -> Found:
    """Find a job whose status changed by a refused cancellation."""
    if before.members.get("status") != after.members.get("status"):
        yield f"status must stay {before.members.get('status')!r}, got {after.members.get('status')!r}"


@rule("cancelled-job-has-no-model", "lifecycle", LIFECYCLE, "cancel-job", "retrieve-cancelled-job")
def cancelled_job_has_no_model(cancelled: SeenAnswer, seen: SeenAnswer) -> Found:
    """Find a cancelled job that is not cancelled, or has a model."""
    if not str(seen.members.get("status")).startswith("cancel"):
        yield f"status must be 'cancelled', got {seen.members.get('status')!r}"
    if isinstance(seen.members.get("fine_tuned_model"), str) and seen.members["fine_tuned_model"]:
        yield f"fine_tuned_model must be null, got {seen.members['fine_tuned_model']!r}"


@rule("events-limit", "paging", PAGES, "events-page-1", "list-events")
def events_limit(page: SeenAnswer, everything: SeenAnswer) -> Found:
    """Find a page of events that is longer than its limit, or whose has_more is wrong."""
    if len(page.items) > 2:
        yield f"a page must have 2 events with limit=2, got {len(page.items)}"
    if len(everything.items) > 2 and page.members.get("has_more") is not True:
        yield f"has_more must be true before the last page, got {page.members.get('has_more')!r}"
    if len(everything.items) < 100 and everything.members.get("has_more") is not False:
        yield f"has_more must be false on the last page, got {everything.members.get('has_more')!r}"


@rule("events-cursor", "cursors", PAGES, "events-page-1", "events-page-2", "list-events")
def events_cursor(first: SeenAnswer, second: SeenAnswer, everything: SeenAnswer) -> Found:
    """Find pages of events that do not follow one another."""
    wanted = _ids(everything.items[:4])
    if (got := _ids(first.items) + _ids(second.items)) != wanted:
        yield f"two pages must be the first 4 events, got {len(set(got) & set(wanted))} of them"


@rule("events-newest-first", "cursors", recorded("GetJobEvents", "2025-09"), "list-events")
def events_newest_first(events: SeenAnswer) -> Found:
    """Find events that are not listed newest first."""
    times = [item.get("created_at", 0) for item in events.items]
    if times != sorted(times, reverse=True):
        yield "events must be newest first, got another order"


@rule(
    "jobs-cursor",
    "cursors",
    recorded("GetJobsWithAfter", "2025-09"),
    "create-second-job",
    "jobs-page-1",
    "jobs-page-2",
    "create-job",
)
def jobs_cursor(second: SeenAnswer, page: SeenAnswer, following: SeenAnswer, first: SeenAnswer) -> Found:
    """Find pages of jobs that do not follow one another."""
    if _ids(page.items) != [second.members.get("id")]:
        yield f"the first page must have the newest job only, got {len(page.items)} jobs"
    if page.members.get("has_more") is not True:
        yield f"has_more must be true, got {page.members.get('has_more')!r}"
    if second.members.get("id") in _ids(following.items) or not following.items:
        yield "the page after a job must go on with the next one, got none or the same"


@rule("event-ids-unique", "coherence", sdk("cursors of pages"), "list-events")
def event_ids_unique(events: SeenAnswer) -> Found:
    """Find two events with one id."""
    if len(set(map(str, _ids(events.items)))) < len(events.items):
        yield "ids of events must differ, got some twice"


@rule("events-within-job", "coherence", LIFECYCLE, "list-events", "retrieve-ended-job")
def events_within_job(events: SeenAnswer, job: SeenAnswer) -> Found:
    """Find an ended job without events, or with one from before its creation."""
    times = [item["created_at"] for item in events.items if isinstance(item.get("created_at"), int)]
    if not times:
        yield "a job that has ended must have events, got none"
    elif min(times) < job.members.get("created_at", 0):
        yield f"events must not be before the job's creation, got one {job.members['created_at'] - min(times)} s before"


@rule("checkpoints-of-job", "coherence", spec("FineTuningJobCheckpoint"), "list-checkpoints", "retrieve-ended-job")
def checkpoints_of_job(checkpoints: SeenAnswer, job: SeenAnswer) -> Found:
    """Find checkpoints of another job, none, or two of one step."""
    for item in checkpoints.items:
        if item.get("fine_tuning_job_id", job.members.get("id")) != job.members.get("id"):
            yield f"fine_tuning_job_id must be {job.members.get('id')!r}, got {item.get('fine_tuning_job_id')!r}"
    steps = [item.get("step_number") for item in checkpoints.items]
    if not steps or len(set(steps)) < len(steps):
        yield f"checkpoints must have step numbers that differ, got {steps}"


@rule("result-file-is-csv", "coherence", recorded("result file", "2023-11"), "download-result")
def result_file_is_csv(result: SeenAnswer) -> Found:
    """Find a result file that is not a table of steps."""
    from base64 import b64decode

    text = result.body
    try:
        text = b64decode(result.body, validate=True)
    except ValueError:
        pass  # it is plain, as in some dialects
    if not text.startswith(b"step,"):
        yield "the result file must be CSV that begins with step, as it is or in base64"


@rule(
    "file-is-what-was-sent",
    "coherence",
    recorded("upload and download of a file", "2025-09"),
    "upload-file",
    "download-file",
)
def file_is_what_was_sent(file: SeenAnswer, content: SeenAnswer) -> Found:
    """Find a file whose bytes, or their number, are not those that were sent."""
    from .session import TRAINING_FILE

    if file.members.get("bytes") != len(TRAINING_FILE):
        yield f"bytes must be {len(TRAINING_FILE)}, got {file.members.get('bytes')!r}"
    if content.body != TRAINING_FILE:
        yield f"the content must be the {len(TRAINING_FILE)} bytes sent, got {len(content.body)} others"


@rule("same-answer-again", "idempotence", LIFECYCLE, "retrieve-ended-job", "retrieve-again")
def same_answer_again(first: SeenAnswer, second: SeenAnswer) -> Found:
    """Find an ended job that is answered in two ways."""
    if first.json != second.json:
        yield "a job that has ended must be answered alike twice, got a difference"


@rule("two-creations-two-jobs", "idempotence", sdk("no Idempotency-Key is sent"), "create-job", "create-second-job")
def two_creations_two_jobs(first: SeenAnswer, second: SeenAnswer) -> Found:
    """Find two creations that made one job."""
    if first.members.get("id") == second.members.get("id"):
        yield "a second creation must make a second job, got the same id"


def request_id_problems(session: Session, headers: Mapping[str, str], name: str) -> list[str]:
    """Return what is wrong with the header that names requests, if the dialect's answers have it."""
    if name not in headers:
        return []
    ids, problems = session.target.request_ids, []
    if lacking := [step for step, answer in session.answers.items() if answer.status and name not in answer.headers]:
        problems.append(f"{name} must be in every answer, got {len(lacking)} without, such as that to {lacking[0]}")
    if len(set(ids)) < len(ids):
        problems.append(f"{name} must differ from answer to answer, got some twice")
    return problems
