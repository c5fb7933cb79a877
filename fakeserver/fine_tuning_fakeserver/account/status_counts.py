"""How many jobs there are by status, kept up to date as their statuses change."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping

from ..domain.job import Job
from ..domain.timeline import TERMINAL

FIRST_STATUS = "validating_files"


class StatusCounts:
    """Counts of jobs by status. To ask costs as much as statuses have changed since, however many jobs there are."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._unfinished: dict[str, str] = {}
        """The status as which each job is counted that is not known to be over."""
        self._changes: list[tuple[float, str]] = []
        """When statuses change next: a heap. An entry that says nothing any more does no harm."""

    def watch(self, job: Job) -> None:
        """Count a job that was created or changed."""
        at = job.created_at  # to be looked at the next time
        if job.id not in self._unfinished:
            self._unfinished[job.id] = FIRST_STATUS
            self._counts[FIRST_STATUS] += 1
            at = next((at for at, status in job.timeline().milestones if status != FIRST_STATUS), at)
        heapq.heappush(self._changes, (at, job.id))

    def finish(self, identifier: str, status: str) -> None:
        """Count a job as over, for good."""
        self._count_as(identifier, status)
        if len(self._changes) > 2 * len(self._unfinished) + 100:
            self._changes = [entry for entry in self._changes if entry[1] in self._unfinished]
            heapq.heapify(self._changes)

    def by_status(self, now: float, jobs: Mapping[str, Job]) -> dict[str, int]:
        """Return the counts at *now*, without zeros."""
        while self._changes and self._changes[0][0] <= now:
            _, identifier = heapq.heappop(self._changes)
            if identifier not in self._unfinished:
                continue
            timeline = jobs[identifier].timeline()
            self._count_as(identifier, timeline.status(now))
            if identifier in self._unfinished and (later := [at for at, _ in timeline.milestones if at > now]):
                heapq.heappush(self._changes, (later[0], identifier))
        return {status: count for status, count in self._counts.items() if count}

    def _count_as(self, identifier: str, status: str) -> None:
        if (counted := self._unfinished.pop(identifier, None)) is None:
            return
        self._counts[counted] -= 1
        self._counts[status] += 1
        if status not in TERMINAL:
            self._unfinished[identifier] = status
