"""What has happened in an account, step by step: its requests, and what was done besides, by control."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

from fine_tuning_formats.lazy_dataclass import dataclass

from ..account import records
from ..account.blobs import Blob
from ..account.records import Record, accepted_at
from ..account.request_log import LogEntry
from ..account.world import World
from ..domain.plan import Plan
from ..domain.timeline import Replan

MADE: Mapping[str, type[Record]] = {
    "create_job": records.JobCreated,
    "cancel_job": records.JobIntervened,
    "pause_job": records.JobIntervened,
    "resume_job": records.JobIntervened,
    "upload_file": records.FileUploaded,
    "delete_file": records.FileDeleted,
}
"""The record that an operation makes: sent again, it makes it again. Others were made by control."""


@dataclass(frozen=True, slots=True)
class ControlStep:
    """A record that no request has made, and the record after it."""

    record: Record
    following: Record | None


Step: TypeAlias = LogEntry | ControlStep


class AccountHistory:
    """The steps of an account, in order.

    Args:
        world: the account; its lock is held.
    """

    def __init__(self, world: World) -> None:
        self._journal: list[Record] = list(world.service.journal)
        self._entries: Sequence[LogEntry] = sorted(world.requests.find(), key=lambda entry: (entry.head, entry.number))

    @cached_property
    def _made_by(self) -> Mapping[int, int]:
        """By the number of a request, the index of the record that it has made: the last of its kind before its end."""
        made_by: dict[int, int] = {}
        begin = 0
        for entry in self._entries:
            wanted = MADE.get(entry.operation or "")
            if wanted and entry.took_effect:
                own = range(begin, min(entry.head, len(self._journal)))
                made = [index for index in own if isinstance(self._journal[index], wanted)]
                if made:
                    made_by[entry.number] = made[-1]
            begin = max(begin, entry.head)
        return made_by

    def steps(self) -> Iterator[Step]:
        """Yield the requests, and between them the records that none of them has made."""
        made, place = set(self._made_by.values()), 0
        for entry in self._entries:
            until = min(self._made_by.get(entry.number, entry.head), len(self._journal))
            yield from self._control_steps(range(place, until), made)
            place = max(place, until)
            yield entry
        yield from self._control_steps(range(place, len(self._journal)), made)

    def _control_steps(self, indices: range, made: set[int]) -> Iterator[ControlStep]:
        for index in indices:
            if index not in made:
                following = self._journal[index + 1] if index + 1 < len(self._journal) else None
                yield ControlStep(self._journal[index], following)

    def accepted_at(self, entry: LogEntry) -> float | None:
        """Return when what a request has made was accepted, in virtual Unix seconds; None if it has made nothing."""
        index = self._made_by.get(entry.number)
        return None if index is None else accepted_at(self._journal[index])

    def uploaded(self, entry: LogEntry) -> Blob | None:
        """Return what a request has uploaded; None where that is not known."""
        index = self._made_by.get(entry.number)
        record = None if index is None else self._journal[index]
        return record.file.content if isinstance(record, records.FileUploaded) else None

    def plan_before(self, change: records.JobIntervened) -> Plan:
        """Return the plan that a job had before a change of it."""
        plan = Plan()
        for record in self._journal:
            if record is change:
                return plan
            if isinstance(record, records.JobCreated) and record.job.id == change.id:
                plan = record.job.spec.plan
            elif (
                isinstance(record, records.JobIntervened) and record.id == change.id and isinstance(record.act, Replan)
            ):
                plan = record.act.spec.plan
        return plan
